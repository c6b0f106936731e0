"""The target folder: may it be written to, is there room, does SQLite work there, is the clock right."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ssosd.doctor.finding import Finding
from ssosd.errors import Misconfigured
from ssosd.plumbing.files import TEMPORARY_PREFIX, atomic_write_text, free_bytes, write_failure
from ssosd.plumbing.text import counted
from ssosd.store import STORE_NAME
from ssosd.store.base import as_user, is_denied, other_owner

#: Strict tables, which the store uses, came with SQLite 3.37 (2021-11-27).
OLDEST_SQLITE = (3, 37, 0)
_GIB = 2**30
#: 200,000 detections of about 150 bytes in each of three tables are 0.1 GB an exposure: a crowded sequence
#: takes a GB, a night some more; with less than the lower figure not even a sparse sequence is safe.
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 5 * _GIB, _GIB // 5
#: No machine that runs this version has a reason to believe that it is earlier.
_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
_SKEW_S = 60.0


def check_target(target: Path) -> Finding:
    """Write, flush and rename a file where the results will be."""
    place = _existing(target)
    with _scratch(place) as folder:
        atomic_write_text(Path(folder) / "probe", "ssosd")
    detail = str(target) if target.expanduser().exists() else f"{target} (to be made in {place})"
    return Finding(name="target", state="ok", detail=f"{detail}: may be written to")


def check_disk(target: Path, *, free: int | None = None) -> Finding:
    """Look at the room left on the target's disk."""
    room = free_bytes(target) if free is None else free
    detail = f"{room / _GIB:.1f} GiB free at {_existing(target)}"
    if room < _TOO_LITTLE_BYTES:
        return Finding(
            name="disk", state="fail", detail=detail, next_step="free some space or take another disk"
        )
    if room < _LITTLE_BYTES:
        return Finding(name="disk", state="warn", detail=detail, next_step="a night may need a few GB more")
    return Finding(name="disk", state="ok", detail=detail)


def check_sqlite(target: Path, *, version: tuple[int, ...] | None = None) -> Finding:
    """Make a small database on the target's file system, with the journal that the store uses."""
    found = version or sqlite3.sqlite_version_info
    text = ".".join(map(str, found))
    if found < OLDEST_SQLITE:
        return Finding(
            name="sqlite",
            state="fail",
            detail=f"{text} is older than {'.'.join(map(str, OLDEST_SQLITE))}",
            next_step="use a Python with a newer SQLite",
        )
    try:
        with _scratch(_existing(target)) as folder:
            mode = _try_journal(Path(folder) / "probe.db")
    except sqlite3.Error as error:
        raise Misconfigured(
            f"{text}: a database at {_existing(target)} does not work: {error}",
            next_step="put the target on a local disk",
        ) from error
    if mode != "wal":
        return Finding(
            name="sqlite",
            state="warn",
            detail=f"{text}: no write-ahead log at {_existing(target)} (journal {mode})",
            next_step="put the target on a local disk: a network file system may lose the store",
        )
    return Finding(name="sqlite", state="ok", detail=f"{text}, write-ahead log works")


def check_store(target: Path) -> list[Finding]:
    """Open the store, if there is one already, without changing it."""
    path = target / STORE_NAME
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as store:
            count = store.execute("SELECT count(*) FROM exposures").fetchone()[0]
    except sqlite3.Error as error:
        if is_denied(error):
            raise _not_ours(path, error) from error
        raise Misconfigured(
            f"{path}: is no store of ssosd: {error}", next_step="move it away, or choose another target"
        ) from error
    return [Finding(name="store", state="ok", detail=f"{path}: {counted(count, 'exposure')}")]


def check_clock(target: Path, *, now: datetime | None = None) -> Finding:
    """Compare the clock with common sense and with that of the target's file system."""
    moment = now or datetime.now(UTC)
    with _scratch(_existing(target)) as folder:
        stamp = datetime.fromtimestamp(Path(folder).stat().st_mtime, UTC)
    zone = moment.astimezone().tzname()
    detail = f"{moment:%Y-%m-%d %H:%M:%S} UTC; the machine's zone is {zone}, which ssosd does not use"
    if moment < _EARLIEST:
        return Finding(name="clock", state="fail", detail=detail, next_step="set the clock (NTP)")
    if abs((stamp - moment).total_seconds()) > _SKEW_S:
        return Finding(
            name="clock",
            state="warn",
            detail=f"{detail}; files written at the target are dated {stamp:%Y-%m-%d %H:%M:%S}",
            next_step="set both clocks by NTP",
        )
    return Finding(name="clock", state="ok", detail=detail)


def _not_ours(path: Path, error: sqlite3.Error) -> Misconfigured:
    """Even who only reads a store with a write-ahead log has to write beside it."""
    other = other_owner(path)
    return Misconfigured(
        f"{path}: cannot be opened: permissions ({error})",
        next_step=as_user(other) if other else "make the file and its folder writable for you",
    )


def _try_journal(path: Path) -> str:
    """Write through one connection, read through another; the journal mode that came of it."""
    with (
        closing(sqlite3.connect(path, timeout=5.0)) as writer,
        closing(sqlite3.connect(path, timeout=5.0)) as reader,
    ):
        mode = str(writer.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        writer.execute("CREATE TABLE probe (value INTEGER) STRICT")
        writer.execute("INSERT INTO probe VALUES (7)")
        writer.commit()
        if reader.execute("SELECT value FROM probe").fetchone() != (7,):
            raise sqlite3.OperationalError("a second connection does not see what the first wrote")
    return mode


def _existing(target: Path) -> Path:
    """Find the folder itself or the nearest one above it that exists."""
    place = target.expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _scratch(place: Path) -> tempfile.TemporaryDirectory[str]:
    """Lend a folder in `place` that is removed again."""
    try:
        return tempfile.TemporaryDirectory(dir=place, prefix=TEMPORARY_PREFIX)
    except OSError as error:
        raise write_failure(place, error) from error
