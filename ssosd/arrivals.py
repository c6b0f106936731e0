"""Files on their way in: which are being watched until they are at rest and whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssosd.errors import BadInput
from ssosd.ingest.settle import Look
from ssosd.ingest.watcher import is_wanted, scan
from ssosd.station import Station
from ssosd.store import FileRow
from ssosd.work import TakenIn


@dataclass(kw_only=True, slots=True)
class Looked:
    """Outcome of one look at all files on their way."""

    quiet: list[Path] = field(default_factory=list)  # at rest: to be read now
    given_up: list[TakenIn] = field(default_factory=list)  # never came to rest


class Arrivals:
    """The files that have been noticed and not yet recorded.

    State is in memory alone: after a restart the scan notices the same files again.

    Parameters
    ----------
    root : Path
        The watched folder.
    """

    def __init__(self, *, root: Path) -> None:
        self._root = root
        self._looks: dict[Path, Look] = {}
        self._reading: set[Path] = set()
        #: Number of HDUs that files of an instrument have had, by (telescope, instrument).
        self.n_hdus: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._looks)

    def forget(self) -> None:
        """Forget all: a scan follows."""
        self._looks.clear()
        self._reading.clear()

    def notice(self, path: Path, *, now_s: float, config: Mapping[str, Any]) -> None:
        """A hint: this file may have come or changed."""
        if path in self._looks or not is_wanted(
            path, root=self._root, include=config["INCLUDE"], exclude=config["EXCLUDE"]
        ):
            return
        stat = _stat(path)
        if stat is not None:
            self._looks[path] = Look.first(stat.st_size, stat.st_mtime_ns, now_s)

    def scan(self, known: Mapping[str, FileRow], *, station: Station, now_s: float) -> int:
        """Notice every file that the store does not know as it is now; returns how many are new."""
        before = len(self._looks)
        config = station.config
        for path, stat in scan(self._root, include=config["INCLUDE"], exclude=config["EXCLUDE"]):
            if path in self._looks or path.is_relative_to(station.target):
                continue
            row = known.get(str(path))
            if row is None or not _is_settled(row, stat, read_with=station.read_with, now_s=now_s):
                self._looks[path] = Look.first(stat.st_size, stat.st_mtime_ns, now_s)
        return len(self._looks) - before

    def look(self, *, now_s: float, config: Mapping[str, Any]) -> Looked:
        """Look at each file once; those at rest are handed out for reading, once each."""
        looked = Looked()
        for path, former in list(self._looks.items()):
            if path in self._reading:
                continue
            stat = _stat(path)
            if stat is None:
                del self._looks[path]  # it is gone again, as temporary names go
                continue
            look = former.again(stat.st_size, stat.st_mtime_ns, now_s)
            self._looks[path] = look
            if look.is_quiet(now_s, config["SETTLE_TIME"]):
                self._reading.add(path)
                looked.quiet.append(path)
            elif now_s - look.first_seen_s > config["SETTLE_LIMIT"]:
                del self._looks[path]
                looked.given_up.append(
                    _never_at_rest(path, look, f"it still changes after {config['SETTLE_LIMIT']:g} s")
                )
        return looked

    def judge(self, path: Path, taken: TakenIn, *, now_s: float, config: Mapping[str, Any]) -> TakenIn | None:
        """What to record of a file that has been read; None when it is to be looked at again."""
        self._reading.discard(path)
        look = self._looks.get(path)
        if look is None or not taken.missing:
            return taken
        if (taken.size_bytes, taken.mtime_ns) == (look.size_bytes, look.mtime_ns) and (
            now_s - look.quiet_since_s > config["SETTLE_LIMIT"]
        ):
            return _never_at_rest(path, look, taken.missing)
        self._looks[path] = Look(
            size_bytes=taken.size_bytes,
            mtime_ns=taken.mtime_ns,
            first_seen_s=look.first_seen_s,
            quiet_since_s=look.quiet_since_s,
            looks=0,
        )
        return None

    def recorded(self, taken: TakenIn) -> None:
        """The store has it: no longer on its way."""
        self._looks.pop(taken.path, None)
        if taken.exposure is not None:
            key = (taken.exposure.telescope, taken.exposure.instrument)
            self.n_hdus[key] = max(self.n_hdus.get(key, 0), taken.n_hdus)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is_settled(row: FileRow, stat: os.stat_result, *, read_with: str, now_s: float) -> bool:
    """Whether the store knows a file as it is now and nothing more is to be tried."""
    if row.outcome == "gone" or row.read_with != read_with:
        return False
    if row.next_try_s is not None and row.next_try_s <= now_s:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (row.size_bytes, row.mtime_ns)


def _never_at_rest(path: Path, look: Look, why: str) -> TakenIn:
    error = BadInput(
        f"{path.name}: not whole: {why}",
        next_step="it is looked at again when it changes; SETTLE_LIMIT sets how long it is waited for",
    )
    return TakenIn(path=path, size_bytes=look.size_bytes, mtime_ns=look.mtime_ns, error=error)
