"""A crew of threads: nothing to start, nothing to send; for small replays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from ssosd.crew.base import Crew
from ssosd.crew.jobs import Job, done
from ssosd.station import Station


class Threads(Crew):
    """Threads of this process.

    Parameters
    ----------
    station : Station
    size : int
        Threads.
    """

    def __init__(self, *, station: Station, size: int) -> None:
        self._station = station
        self._size = size
        self._in_hand = 0
        self._ended: SimpleQueue[tuple[Job, Any]] = SimpleQueue()
        self._executor = ThreadPoolExecutor(max_workers=size)

    @property
    def at_once(self) -> int:
        """See `Crew`."""
        return self._size

    @property
    def in_hand(self) -> int:
        """See `Crew`."""
        return self._in_hand

    def give(self, job: Job) -> None:
        """See `Crew`."""
        self._in_hand += 1
        self._executor.submit(lambda: self._ended.put((job, done(job, self._station))))

    def take(self) -> tuple[Job, Any]:
        """See `Crew`."""
        ended = self._ended.get()
        self._in_hand -= 1
        return ended

    def close(self) -> None:
        """See `Crew`; a binary that runs is waited for."""
        self._executor.shutdown(cancel_futures=True)
