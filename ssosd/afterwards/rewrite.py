"""A night's files written again from the store, without a binary or an exposure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ssosd.errors import BadInput
from ssosd.night.files import write_night
from ssosd.plumbing.lock import TargetLock, is_held
from ssosd.reports.morning.page import REPORT_NAME
from ssosd.station import Station
from ssosd.status.process import read_lock
from ssosd.store import STORE_NAME, Store, existing_store, utc_now

#: Who writes all nights whose files are old; an inspector has the target for those that it judged alone.
_WRITE_WHAT_IS_OLD = ("run", "replay")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """What became of the wish for a report."""

    page: Path
    written: bool  # False: a daemon holds the target and has been asked to write it


def rewrite_night(target: Path, *, night: str | None) -> Rewritten:
    """Write all files of a night, its summary and report too, as the last run would.

    Parameters
    ----------
    target : Path
    night : str, optional
        The latest one without.

    Raises
    ------
    BadInput
        There is no such night.
    Misconfigured
        There is no store here, what the last run was set up with has become invalid, or somebody has the
        target for a moment who does not write it.
    """
    path = existing_store(target / STORE_NAME)
    with Store(path) as store:
        nights = store.nights()
        if not nights or (night is not None and night not in nights):
            known = ", ".join(nights[-5:]) or "none"
            raise BadInput(
                f"{night or 'the latest night'}: no exposures of it here; the last nights: {known}"
            )
        wanted = night or nights[-1]
        page = target / wanted / REPORT_NAME
        lock = read_lock(target)
        if lock is not None and lock["purpose"] in _WRITE_WHAT_IS_OLD:
            store.report_night(wanted)
            return Rewritten(page=page, written=False)
        station, folders = as_last_run(store, target)
        with TargetLock(station.target, purpose="report", now=utc_now()):
            write_night(wanted, station=station, store=store, folders=folders, summary=True)
        return Rewritten(page=page, written=True)


def follow_ledger(target: Path, *, night: str) -> Rewritten:
    """Write a night's files again after its ledger of submissions has changed.

    Parameters and errors are those of `rewrite_night`. A daemon that holds the target has seen the change;
    the summary does not become due by it.
    """
    if is_held(target / ".ssosd" / "lock"):
        return Rewritten(page=target / night / REPORT_NAME, written=False)
    return rewrite_night(target, night=night)


def as_last_run(store: Store, target: Path) -> tuple[Station, list[Path]]:
    """Station and data folders of the last run on a target.

    Raises
    ------
    BadInput
        No run is recorded.
    Misconfigured
        What it was set up with has become invalid.
    """
    runs = store.rows("SELECT parameters, folders FROM runs ORDER BY id DESC LIMIT 1")
    if not runs:
        raise BadInput(f"{target}: no run is recorded here", next_step="replay the night")
    folders = [Path(folder) for folder in json.loads(runs[0]["folders"] or "[]")]
    return Station.of_record(runs[0]["parameters"], target), folders
