"""Take in one file: from bytes on disk to an exposure, a calibration frame, or a reason; nothing is recorded.

These functions run in any thread or process; they never raise for a bad file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ssosd.errors import BadInput, Retriable, SsosdError
from ssosd.ingest.calibration import calibration_reason
from ssosd.ingest.exposure import read_exposure
from ssosd.ingest.fitsblocks import FitsLayout, read_layout
from ssosd.ingest.habits import Habits
from ssosd.ingest.headers import HeaderStack
from ssosd.ingest.mapped import mapped_start, rule_for, set_aside
from ssosd.ingest.settle import Missing, what_is_missing
from ssosd.ingest.starttime import read_start
from ssosd.model import Exposure
from ssosd.plumbing.files import mtime_ns
from ssosd.station import Station


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenIn:
    """What became of one file."""

    path: Path
    size_bytes: int
    mtime_ns: int
    exposure: Exposure | None = None  # None when it cannot be used or is none
    error: SsosdError | None = None  # why it cannot be used
    ignored: str = ""  # why it is none of ours: a calibration frame
    missing: tuple[Missing, ...] = ()  # what it lacks, gravest first, as if it were still growing
    taken_mjd: float | None = None  # start by its header, UTC, where it is no exposure and has one


def take_in(path: Path, *, station: Station, identity: Callable[[Path], str] | None = None) -> TakenIn:
    """Read a file's headers; never raises for a bad file.

    Parameters
    ----------
    path : Path
    station : Station
    identity : callable, optional
        As in `ssosd.ingest.exposure.read_exposure`.
    """
    size, mtime = 0, 0
    layout: FitsLayout | None = None
    try:
        before = path.stat()
        size, mtime = before.st_size, mtime_ns(before)
        layout = read_layout(path)
        rule = rule_for(layout, station.header_map)
        ignored = "" if rule is None else set_aside(layout, rule)
        ignored = ignored or calibration_reason(layout, name=path.name, words=station.config["CALIBRATION"])
        if ignored:
            when = _start_mjd(layout, station)
            return TakenIn(path=path, size_bytes=size, mtime_ns=mtime, ignored=ignored, taken_mjd=when)
        exposure = read_exposure(
            path,
            keywords=station.keywords,
            extensions=station.config["SCI_EXTENSION"],
            header_map=station.header_map,
            saturation_key=station.saturation_key,
            identity=identity,
        )
        after = path.stat()
        if (after.st_size, mtime_ns(after)) != (size, mtime):
            raise Retriable(
                f"{path}: changed while it was read", next_step="it is read again once it is whole"
            )
    except SsosdError as error:
        when = None if layout is None else _start_mjd(layout, station)
        return TakenIn(path=path, size_bytes=size, mtime_ns=mtime, error=error, taken_mjd=when)
    except OSError as error:
        problem = Retriable(f"{path}: {error.strerror or error}", next_step="check that it can be read")
        return TakenIn(path=path, size_bytes=size, mtime_ns=mtime, error=problem)
    return TakenIn(path=path, size_bytes=size, mtime_ns=mtime, exposure=exposure)


def _start_mjd(layout: FitsLayout, station: Station) -> float | None:
    """When a file that is no exposure was taken, UTC MJD, as far as its header says so."""
    stack = HeaderStack([(hdu.index, hdu.cards) for hdu in layout.hdus])
    rule = rule_for(layout, station.header_map)
    try:
        if rule is not None and rule.time:
            start, _ = mapped_start(stack, rule, exptime_s=0.0, name="")
        else:
            start, _ = read_start(stack, keyword=station.keywords.date_obs, exptime_s=0.0, name="")
    except BadInput:
        return None
    return start.mjd


def admit(path: Path, *, station: Station, habits: Habits) -> TakenIn:
    """Take in a file that may still be growing; never raises for a bad file.

    Parameters
    ----------
    path : Path
    station : Station
    habits : Habits
        What files of an instrument may lack.

    Returns
    -------
    TakenIn
        With `missing` when something speaks against the file being whole; its exposure is there all the
        same when the headers could be read.
    """
    try:
        before = path.stat()
    except OSError as error:
        return TakenIn(path=path, size_bytes=0, mtime_ns=0, missing=(_unread(error),))
    stamp: dict[str, Any] = {"path": path, "size_bytes": before.st_size, "mtime_ns": mtime_ns(before)}
    try:
        with path.open("rb"):
            pass  # a file may be made readable only when it is finished
        missing = what_is_missing(path)
    except OSError as error:
        return TakenIn(**stamp, missing=(_unread(error),))
    except SsosdError as error:
        return TakenIn(**stamp, error=error)
    if missing and missing[0].kind == "bytes":
        return TakenIn(**stamp, missing=missing)
    taken = take_in(path, station=station)
    if _changed(path, before) or (taken.size_bytes, taken.mtime_ns) != (before.st_size, mtime_ns(before)):
        return TakenIn(**stamp, missing=(Missing(kind="bytes", text="it changed while it was read"),))
    if taken.exposure is None:
        return taken
    exposure, missing = habits.sift(taken.exposure, missing)
    return replace(taken, exposure=exposure, missing=missing)


def refused(path: Path, error: SsosdError) -> TakenIn:
    """A file that could not be read for a reason that nobody has foreseen."""
    try:
        stat = path.stat()
    except OSError as problem:
        return TakenIn(path=path, size_bytes=0, mtime_ns=0, missing=(_unread(problem),))
    return TakenIn(path=path, size_bytes=stat.st_size, mtime_ns=mtime_ns(stat), error=error)


def _unread(error: OSError) -> Missing:
    why = f"cannot be read: {error.strerror or error}"
    if isinstance(error, PermissionError):
        return Missing(kind="access", text=why)
    return Missing(kind="bytes", text=f"it {why}")


def _changed(path: Path, before: os.stat_result) -> bool:
    """Whether another file has taken a file's name, or it has been written to."""
    try:
        after = path.stat()
    except OSError:
        return True
    return any(getattr(after, name) != getattr(before, name) for name in ("st_ino", "st_size", "st_mtime_ns"))
