"""Files on their way in: which are being watched until they are at rest and whole."""

from __future__ import annotations

import heapq
import math
import os
import stat as stat_
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ssosd.errors import BadInput, Retriable, SsosdError, Unreadable
from ssosd.ingest.habits import Habits, taken_although
from ssosd.ingest.settle import Look
from ssosd.ingest.watcher import Found, Sieve, regular_stat
from ssosd.intake import TakenIn
from ssosd.plumbing.files import mtime_ns
from ssosd.station import Station
from ssosd.store import FileRow

_MOST_AT_ONCE = 64  # files handed out for reading and not yet judged: a flood does not fill the memory
_HELD = ("exposure", "duplicate")  # outcomes of files that hold an exposure


@dataclass(kw_only=True, slots=True)
class Looked:
    """Outcome of one look at the files on their way."""

    quiet: list[Path] = field(default_factory=list)  # at rest: to be read now
    given_up: list[TakenIn] = field(default_factory=list)  # never came to rest


@dataclass(kw_only=True, slots=True)
class Scanned:
    """What a scan found that the store does not know."""

    fresh: int = 0  # files to look at
    moved: list[str] = field(default_factory=list)  # gone, but another file holds the exposure
    removed: list[str] = field(default_factory=list)  # parked, and taken away or excluded by a person since
    back: list[str] = field(default_factory=list)  # files of exposures that the last scan did not find
    nameless: list[str] = field(default_factory=list)  # cannot be taken; each is told of once
    unreadable: dict[str, str] = field(default_factory=dict)  # folders, and why, at each scan anew


@dataclass(kw_only=True, slots=True)
class _Waiting:
    look: Look
    due_s: float  # next look
    reading: bool = False
    read_from_s: float = 0.0  # not read before: it was, and lacked something


class Arrivals:
    """The files that have been noticed and not yet recorded.

    State is in memory alone: after a restart the scan notices the same files again. A file is noticed, looked
    at until it is at rest, handed out for reading, judged, and, when that gave something to record, recorded.
    Of those whose turn it is the newest goes first: tonight's exposure does not wait behind an archive.

    Parameters
    ----------
    root : Path
        The watched folder.
    breath : callable, optional
        Called again and again during a scan.
    """

    def __init__(self, *, root: Path, breath: Callable[[], None] = lambda: None) -> None:
        self._root = root
        self._breath = breath
        self._waiting: dict[str, _Waiting] = {}
        self._agenda: list[tuple[float, str]] = []  # heap of (due, path); an entry no longer due is skipped
        self._due: list[tuple[int, str]] = []  # heap of (minus time of change, path) of those that are due
        self._n_reading = 0
        self._last_s = 0.0
        self._sieve: Sieve | None = None
        self._sieve_for: tuple[object, ...] = ()
        self._told: set[str] = set()  # nameless ones
        self._away: set[str] = set()  # files of exposures that were not there at the last scan
        #: What files of an instrument are like; the workers read it.
        self.habits = Habits()

    def __len__(self) -> int:
        return len(self._waiting)

    def forget(self) -> None:
        """Forget all files: a scan follows."""
        self._waiting.clear()
        self._agenda.clear()
        self._due.clear()
        self._n_reading = 0

    # ---- noticing --------------------------------------------------------------------------------------

    def notice(
        self, path: Path, *, known: Callable[[str], FileRow | None], station: Station, now_s: float
    ) -> None:
        """Follow a hint: this file may have come or changed, or a folder have come with files in it."""
        text = str(path)
        self._mind_the_clock(now_s)
        if text in self._waiting:
            return
        sieve = self._sieve_of(station)
        try:
            stat = os.stat(text)  # noqa: PTH116 - thousands in a burst
        except OSError:
            return
        found: Iterable[Found]
        if stat_.S_ISDIR(stat.st_mode):
            found = sieve.scan(text) if sieve.enters(text) else ()
        else:
            found = [(text, stat)] if stat_.S_ISREG(stat.st_mode) and sieve(text) else ()
        for name, stat in found:
            row = known(name) if name not in self._waiting else None
            settled = row is not None and _is_settled(row, stat, read_with=station.read_with, now_s=now_s)
            if row is None or row.outcome == "parked" or not settled:  # it may have become readable
                self._add(name, stat, now_s)

    def scan(
        self,
        known: Mapping[str, FileRow],
        *,
        station: Station,
        now_s: float,
        twins: Callable[[Collection[str]], Mapping[str, Collection[str]]],
    ) -> Scanned:
        """Notice every file that the store does not know as it is now.

        Parameters
        ----------
        known : mapping
            Every row of the store's files, by path.
        station : Station
        now_s : float
        twins : callable
            `ssosd.store.Store.twins`: of some exposures, those that are the same frame in other bytes.
        """
        self._mind_the_clock(now_s)
        scanned = Scanned()
        read_with = station.read_with
        unseen = set(known)
        fresh = []
        for path, stat in self._sieve_of(station).scan():
            unseen.discard(path)
            row = known.get(path)
            if row is not None and _is_settled(row, stat, read_with=read_with, now_s=now_s):
                continue
            if path not in self._waiting:
                fresh.append((path, stat))
        for path, stat in sorted(fresh, key=lambda found: found[0]):
            self._add(path, stat, now_s)
        nameless = self._sieve_of(station).nameless
        scanned.unreadable = self._sieve_of(station).unreadable
        scanned.nameless = sorted(nameless - self._told)
        self._told |= nameless
        scanned.fresh = len(fresh)
        scanned.moved = _moved(known, unseen, twins)
        parked = sorted(path for path in unseen if known[path].outcome == "parked")
        scanned.removed = [path for path in parked if self._is_removed(path, station)]
        scanned.back = sorted(self._away - unseen)
        self._away = {path for path in unseen if known[path].outcome in _HELD}
        return scanned

    def _is_removed(self, path: str, station: Station) -> bool:
        """Whether a person has taken a file away, or named it in EXCLUDE: not with its folder or its disk."""
        if regular_stat(path) is not None:
            return not self._sieve_of(station)(path)
        return os.access(os.path.dirname(path), os.R_OK | os.X_OK)  # noqa: PTH120 - as the other paths here

    def _sieve_of(self, station: Station) -> Sieve:
        config = station.config
        wanted = (config["INCLUDE"], config["EXCLUDE"], station.target)
        if self._sieve is None or self._sieve_for != wanted:
            self._sieve = Sieve(
                self._root,
                include=config["INCLUDE"],
                exclude=config["EXCLUDE"],
                target=station.target,
                breath=self._breath,
            )
            self._sieve_for = wanted
        return self._sieve

    def _add(self, path: str, stat: os.stat_result, now_s: float) -> None:
        if path not in self._waiting:
            self._waiting[path] = _Waiting(look=Look.first(stat.st_size, mtime_ns(stat), now_s), due_s=now_s)
            heapq.heappush(self._agenda, (now_s, path))

    # ---- looking ---------------------------------------------------------------------------------------

    @property
    def next_look_s(self) -> float:
        """When a file is to be looked at next; infinite when none is, or the workers are behind."""
        if self._n_reading >= _MOST_AT_ONCE:
            return math.inf
        if self._due:
            return self._last_s
        return self._agenda[0][0] if self._agenda else math.inf

    def look(self, *, now_s: float, config: Mapping[str, Any]) -> Looked:
        """Look at the files that are due; those at rest are handed out for reading, once each.

        While the workers are behind, nobody is looked at: what waits for them only comes to more rest.
        """
        looked = Looked()
        self._mind_the_clock(now_s)
        later: list[tuple[float, str]] = []
        self._call_up(now_s)
        while self._due and self._n_reading < _MOST_AT_ONCE:
            _, path = heapq.heappop(self._due)
            waiting = self._waiting.get(path)
            if waiting is None or waiting.reading or waiting.due_s > now_s:
                continue
            self._look_at(path, waiting, looked, now_s=now_s, config=config)
            if path in self._waiting and not waiting.reading:
                later.append((waiting.due_s, path))
        for entry in later:
            heapq.heappush(self._agenda, entry)
        return looked

    def _call_up(self, now_s: float) -> None:
        """Put those whose time has come in the order of their turns."""
        while self._agenda and self._agenda[0][0] <= now_s:
            due_s, path = heapq.heappop(self._agenda)
            waiting = self._waiting.get(path)
            if waiting is not None and not waiting.reading and waiting.due_s == due_s:
                heapq.heappush(self._due, (-waiting.look.mtime_ns, path))

    def _look_at(
        self, path: str, waiting: _Waiting, looked: Looked, *, now_s: float, config: Mapping[str, Any]
    ) -> None:
        stat = regular_stat(path)
        if stat is None:
            del self._waiting[path]  # it is gone again, as temporary names go
            return
        former, look = waiting.look, waiting.look.again(stat.st_size, mtime_ns(stat), now_s)
        waiting.look = look
        settle = config["SETTLE_TIME"]
        waiting.due_s = min(now_s + settle / 2.0, max(look.quiet_since_s + settle, now_s))
        if look.looks < former.looks:
            waiting.read_from_s = 0.0
        if look.is_quiet(now_s, settle):
            if now_s >= waiting.read_from_s:
                waiting.reading = True
                self._n_reading += 1
                looked.quiet.append(Path(path))
            else:
                waiting.due_s = min(now_s + settle, waiting.read_from_s)
        elif now_s - look.first_seen_s > config["SETTLE_LIMIT"]:
            del self._waiting[path]
            why = f"it still changes after {config['SETTLE_LIMIT']:g} s"
            looked.given_up.append(_parked(Path(path), look, why, error=BadInput))

    def _mind_the_clock(self, now_s: float) -> None:
        """When the clock has been put back, the present time is the beginning of everything."""
        behind, self._last_s = now_s < self._last_s, now_s
        if not behind:
            return
        for waiting in self._waiting.values():
            look = waiting.look
            waiting.look = Look.first(look.size_bytes, look.mtime_ns, now_s)
            waiting.due_s, waiting.read_from_s = now_s, 0.0
        self._agenda = [(now_s, path) for path, waiting in self._waiting.items() if not waiting.reading]
        heapq.heapify(self._agenda)
        self._due.clear()

    # ---- judging ---------------------------------------------------------------------------------------

    def judge(self, path: Path, taken: TakenIn, *, now_s: float, config: Mapping[str, Any]) -> TakenIn | None:
        """What to record of a file that has been read; None when it is to be looked at again."""
        waiting = self._waiting.get(str(path))
        if waiting is None or not waiting.reading:
            return None  # forgotten meanwhile: the scan finds it again
        waiting.reading = False
        self._n_reading -= 1
        look = waiting.look
        settle, limit = config["SETTLE_TIME"], config["SETTLE_LIMIT"]
        at_rest_s = now_s - look.quiet_since_s
        waiting.due_s = now_s + settle / 2.0
        if (taken.size_bytes, taken.mtime_ns) != (look.size_bytes, look.mtime_ns):
            again = Look.first(taken.size_bytes, taken.mtime_ns, now_s)
            waiting.look = replace(again, first_seen_s=look.first_seen_s)
        elif not taken.missing:
            return taken
        elif at_rest_s >= limit:
            return self._verdict(path, look, taken)
        else:
            waiting.read_from_s = min(look.quiet_since_s + limit, now_s + max(settle, at_rest_s))
        heapq.heappush(self._agenda, (waiting.due_s, str(path)))
        return None

    def read_again(self, path: Path, *, now_s: float) -> None:
        """Hand a file out once more: what was read of it does not count."""
        waiting = self._waiting.get(str(path))
        if waiting is None or not waiting.reading:
            return  # forgotten meanwhile: the scan finds it again
        waiting.reading, waiting.due_s = False, now_s
        self._n_reading -= 1
        heapq.heappush(self._agenda, (now_s, str(path)))

    def _verdict(self, path: Path, look: Look, taken: TakenIn) -> TakenIn:
        """Decide on a file that has lacked something for long: see `ssosd.ingest.settle`."""
        gravest, exposure = taken.missing[0], taken.exposure
        if gravest.kind == "access":
            return _refused(path, look, gravest.text)
        if exposure is None or gravest.kind == "bytes":
            return _parked(path, look, gravest.text, error=BadInput)
        if gravest.kind == "end" or self.habits.came_to_rest(exposure, taken.missing):
            return replace(taken, exposure=taken_although(exposure, taken.missing), missing=())
        return replace(_parked(path, look, gravest.text, error=Retriable), taken_mjd=exposure.mjd_mid)

    def recorded(self, taken: TakenIn) -> None:
        """The store has it: no longer on its way."""
        waiting = self._waiting.pop(str(taken.path), None)
        if waiting is not None and waiting.reading:
            self._n_reading -= 1
        if taken.exposure is not None:
            self.habits.learn(taken.exposure)


def _moved(
    known: Mapping[str, FileRow],
    unseen: set[str],
    twins: Callable[[Collection[str]], Mapping[str, Collection[str]]],
) -> list[str]:
    """Those of the unseen paths whose exposures are held by a file that was seen, in alphabetical order.

    A file that was packed in place (gzip, fpack) holds the same frame. A path that holds the only copy stays:
    a file system that is not mounted just now loses nothing.
    """
    lost = {path: known[path].exposure or "" for path in unseen if known[path].outcome in _HELD}
    if not lost:
        return []
    seen = (row for path, row in known.items() if path not in unseen)
    held = {row.exposure for row in seen if row.exposure and row.outcome in _HELD}
    alone = set(lost.values()) - held
    same = twins(alone) if held and alone else {}
    there = held | {digest for digest, others in same.items() if not held.isdisjoint(others)}
    return sorted(path for path, digest in lost.items() if digest in there and regular_stat(path) is None)


def _is_settled(row: FileRow, stat: os.stat_result, *, read_with: str, now_s: float) -> bool:
    """Whether the store knows a file as it is now and nothing more is to be tried."""
    if row.outcome == "gone" or row.read_with != read_with:
        return False
    if row.next_try_s is not None and row.next_try_s <= now_s:
        return False
    return stat.st_size == row.size_bytes and mtime_ns(stat) == row.mtime_ns


def _refused(path: Path, look: Look, why: str) -> TakenIn:
    problem = Unreadable(
        f"{path.name}: {why}", next_step="let the user of the daemon read it (docs/daemon.md)"
    )
    return TakenIn(path=path, size_bytes=look.size_bytes, mtime_ns=look.mtime_ns, error=problem)


def _parked(path: Path, look: Look, why: str, *, error: type[SsosdError]) -> TakenIn:
    problem = error(
        f"{path.name}: not whole: {why}",
        next_step="it is looked at again when it changes; SETTLE_LIMIT sets how long it is waited for",
    )
    return TakenIn(path=path, size_bytes=look.size_bytes, mtime_ns=look.mtime_ns, error=problem)
