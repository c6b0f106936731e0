"""Work that is done elsewhere and comes home: outcomes are handed to the thread that owns the store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from queue import SimpleQueue
from typing import Any

from ssosd import work
from ssosd.errors import Retriable, SsosdError, Unforeseen
from ssosd.station import Station

log = logging.getLogger("ssosd.daemon")


class Errands:
    """Futures whose outcomes, errors too, are handled by calls in an inbox.

    Parameters
    ----------
    inbox : SimpleQueue
        Where the handlers' calls are put.
    """

    def __init__(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        self._inbox = inbox
        self._under_way: set[Future[Any]] = set()

    def send(
        self,
        executor: Executor,
        work_to_do: Callable[[], Any],
        *,
        station: Station,
        then: Callable[[Any], None],
    ) -> None:
        """Have work done on an executor; `then` is called with its outcome, a value or an `SsosdError`."""
        future = executor.submit(work_to_do)
        self._under_way.add(future)

        def landed() -> None:
            self._under_way.discard(future)
            if future.cancelled():
                return
            error = future.exception()
            then(future.result() if error is None else named(error, station=station))

        future.add_done_callback(lambda _: self._inbox.put(landed))

    def wait(self, timeout_s: float) -> int:
        """Wait for what is under way, not longer than this; returns how much is left."""
        for future in self._under_way:
            future.cancel()
        return len(wait(self._under_way, timeout=timeout_s).not_done)


def named(error: BaseException, *, station: Station) -> SsosdError:
    """An error that no stage has foreseen, so that it costs only the file or sequence that it came with."""
    if isinstance(error, SsosdError):
        return error
    if isinstance(error, OSError):
        return work.failure(error, station=station)
    log.error("not foreseen: %r", error, exc_info=error)
    if isinstance(error, MemoryError):
        return Retriable("out of memory", next_step="lower WORKERS or add memory")
    return Unforeseen(
        f"not foreseen: {type(error).__name__}: {error}",
        next_step="a fault of ssosd: report it with the lines of the log",
    )
