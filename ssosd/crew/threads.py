"""A crew of threads: nothing to start, nothing to send; for small replays."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from ssosd.crew.base import Crew
from ssosd.crew.jobs import Job, done
from ssosd.station import Station

_END_S = 2.0  # for what ends because its binary was killed; who waits for a service is left behind


class Threads(Crew):
    """Threads of this process, which do not keep it from ending.

    Parameters
    ----------
    station : Station
    size : int
        Threads.
    """

    def __init__(self, *, station: Station, size: int) -> None:
        self._station = station
        self._in_hand = 0
        self._waiting: SimpleQueue[Job | None] = SimpleQueue()
        self._ended: SimpleQueue[tuple[Job, Any]] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    @property
    def at_once(self) -> int:
        """See `Crew`."""
        return len(self._threads)

    @property
    def in_hand(self) -> int:
        """See `Crew`."""
        return self._in_hand

    def give(self, job: Job) -> None:
        """See `Crew`."""
        self._in_hand += 1
        self._waiting.put(job)

    def take(self) -> tuple[Job, Any]:
        """See `Crew`."""
        ended = self._ended.get()
        self._in_hand -= 1
        return ended

    def close(self) -> None:
        """See `Crew`; a binary that runs is waited for, a service that does not answer is not."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        for _ in self._threads:
            self._waiting.put(None)
        deadline = time.monotonic() + _END_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            self._ended.put((job, done(job, self._station)))
