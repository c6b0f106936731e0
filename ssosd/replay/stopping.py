"""Stop a replay from outside: Ctrl-C and SIGTERM end it at once, and nothing half done is kept."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ssosd import astromatic


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the context SIGINT and SIGTERM kill the binaries that run and raise KeyboardInterrupt.

    For a process that ends after it: no binary can be run any more.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        astromatic.stop_all()
        raise KeyboardInterrupt

    former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
