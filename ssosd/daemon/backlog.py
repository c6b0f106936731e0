"""The exposures that wait for SExtractor: the latest night's first, each night's in order of time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ssosd.model import Exposure


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """An exposure that is to be extracted."""

    exposure: Exposure
    night: str
    key: str  # of the catalogue that is wanted


class Backlog:
    """A queue without repeats: an exposure that waits already keeps its place and gets the later key."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, float, str]] = []
        self._waiting: dict[str, Waiting] = {}
        self._nights: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, exposures: Iterable[Waiting]) -> None:
        """Let exposures wait."""
        for waiting in exposures:
            digest = waiting.exposure.digest
            former = self._waiting.get(digest)
            if former is None or former.night != waiting.night:
                place = (-date.fromisoformat(waiting.night).toordinal(), waiting.exposure.mjd_mid, digest)
                heapq.heappush(self._heap, place)
                self._nights[waiting.night] += 1
                if former is not None:
                    self._nights[former.night] -= 1
            self._waiting[digest] = waiting

    def next(self) -> Waiting | None:
        """Take the exposure whose turn it is; None when nobody waits."""
        while self._heap:
            digest = heapq.heappop(self._heap)[-1]
            waiting = self._waiting.pop(digest, None)
            if waiting is not None:  # else: taken already, from its place in another night
                self._nights[waiting.night] -= 1
                return waiting
        return None

    def has(self, night: str) -> bool:
        """Whether exposures of a night wait."""
        return self._nights[night] > 0

    def clear(self) -> None:
        """Forget all: what is wanted is added again."""
        self._heap.clear()
        self._waiting.clear()
        self._nights.clear()
