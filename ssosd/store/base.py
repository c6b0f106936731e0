"""The connection to the store, its runs and its events; what the other parts of the store build on."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlite_utils import Database

from ssosd.errors import Misconfigured, Retriable, ServiceUnavailable, SsosdError
from ssosd.migrations import migrations

#: File name of the store under the target folder.
STORE_NAME = "ssosd.db"
_BUSY_TIMEOUT_S = 30.0


#: Shortest and longest pause between the later tries of what waits for a service.
_SERVICE_REST_S = (60.0, 900.0)
_MOST_DOUBLED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How often and when what may succeed later is tried again."""

    tries: int
    delay_s: float  # before the second try; doubled with each further one

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Patience:
        """By TRIES and RETRY_DELAY."""
        return cls(tries=config["TRIES"], delay_s=config["RETRY_DELAY"])


def utc_now() -> datetime:
    """Return the present time, UTC: the clock that is used unless another one is given."""
    return datetime.now(UTC)


class _Database(Database):
    """Its transactions hold the store from their begin: what they read is still so when they write."""

    @contextmanager
    def atomic(self) -> Generator[Database, None, None]:
        """A transaction, or within one a part of it; another process's is waited for."""
        if self.conn.in_transaction:
            with super().atomic():
                yield self
            return
        self.conn.execute("BEGIN IMMEDIATE")
        try:
            yield self
            self.conn.execute("COMMIT")
        except BaseException:
            self.rollback()
            raise


class Base:
    """The store of one target folder.

    Parameters
    ----------
    path : Path
        The SQLite file; created with its schema when it does not exist.
    clock : callable
        Gives the present UTC time for events and runs; results never carry it.

    Raises
    ------
    Misconfigured
        The file cannot be opened, is not a store of ssosd or one of a later version; so at the end of a
        ``with`` when it could not be written.
    Retriable
        Another process has held it for too long; at the end of a ``with`` too.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.path = path
        self._clock = clock
        try:
            connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self.db = _Database(connection)
            migrations.bring_up_to_date(self.db)
            later = migrations.of_later_versions(self.db)
            self._file = _file_at(path)
        except sqlite3.Error as error:
            raise _refusal(path, error) or _unusable(path, error) from error
        if later:
            self.close()
            raise Misconfigured(
                f"{path}: a later version of ssosd has worked with it",
                next_step="install that version again, or give another target with -t",
            )

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        refusal = _refusal(self.path, error)
        if refusal is not None:
            raise refusal from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a query as dictionaries."""
        return list(self.db.query(sql, list(parameters)))

    @property
    def is_in_place(self) -> bool:
        """Whether the file of this name is still the one that is open, neither deleted nor replaced."""
        try:
            return _file_at(self.path) == self._file
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # a disk that does not answer just now tells nothing
            return True

    @property
    def now_s(self) -> float:
        """Present time, Unix seconds."""
        return self._clock().timestamp()

    def _count_try(
        self, table: str, where: str, key: Sequence[Any], *, error: SsosdError, patience: Patience | None
    ) -> None:
        """Count a failed try and set when the next one may be: never for what cannot succeed as it is.

        What waits for a service is never given up: the network may be away for the whole night.
        """
        self.db.execute(f"UPDATE {table} SET tries = tries + 1, next_try_s = NULL WHERE {where}", list(key))  # noqa: S608
        if patience is not None and isinstance(error, Retriable):
            self.db.execute(
                f"UPDATE {table} SET next_try_s = ? + ? * (1 << (tries - 1)) WHERE {where} AND tries < ?",  # noqa: S608
                [self.now_s, patience.delay_s, *key, patience.tries],
            )
        if patience is not None and isinstance(error, ServiceUnavailable):
            pause_s = max(patience.delay_s * 2 ** min(patience.tries, _MOST_DOUBLED), _SERVICE_REST_S[0])
            self.db.execute(
                f"UPDATE {table} SET next_try_s = ? WHERE {where} AND tries >= ?",  # noqa: S608
                [self.now_s + min(pause_s, _SERVICE_REST_S[1]), *key, patience.tries],
            )

    @property
    def data_version(self) -> int:
        """A number that is another one after any other process has written to the store."""
        return int(self.db.conn.execute("PRAGMA data_version").fetchone()[0])

    def begin_run(
        self, *, command: str, parameters: str, versions: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> int:
        """Record the start of a run, and the data folders that it accounts for; returns its number."""
        with self.db.atomic():
            inserted = self.db.table("runs").insert(
                {
                    "started_at": self._now(),
                    "command": command,
                    "parameters": parameters,
                    "versions": json.dumps(dict(versions), sort_keys=True),
                    "folders": json.dumps([str(folder) for folder in folders]),
                },
                pk="id",
            )
            return int(str(inserted.last_pk))

    def end_run(self, number: int) -> None:
        """Record the end of a run."""
        with self.db.atomic():
            self.db.table("runs").update(number, {"finished_at": self._now()})

    def beat(self, *, pid: int, started_s: float, **columns: Any) -> None:
        """Record that a daemon is alive, and how it is."""
        with self.db.atomic():
            self.db.table("heartbeats").upsert(
                {"pid": pid, "started_s": started_s, "beat_s": self.now_s, **columns}, pk=("pid", "started_s")
            )

    def event(self, level: str, subject: str, message: str) -> None:
        """Record that something happened; level is info, warning or error."""
        with self.db.atomic():
            self.db.table("events").insert(
                {"at": self._now(), "level": level, "subject": subject, "message": message}
            )

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds")


def _file_at(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _refusal(path: Path, error: BaseException | None) -> SsosdError | None:
    """What a person can do about a store that let nobody write; None for any other error."""
    if not isinstance(error, sqlite3.OperationalError):
        return None
    if "locked" in str(error):
        return Retriable(f"{path}: another process has held it for too long", next_step="try again")
    if not is_denied(error):
        return None
    owner = other_owner(path)
    if not owner:
        return _unusable(path, error)
    return Misconfigured(f"{path}: only the user {owner} may write to it", next_step=as_user(owner))


def is_denied(error: sqlite3.Error) -> bool:
    """Whether SQLite says that we may not write to, or open, a file."""
    return "readonly" in str(error) or "unable to open" in str(error)


def other_owner(path: Path) -> str:
    """User whose file it is, "" when that is us, nobody with a name here, or it is not there."""
    try:
        return "" if path.stat().st_uid == os.geteuid() else path.owner()
    except (OSError, KeyError):
        return ""


def as_user(owner: str) -> str:
    """What to do about a file that is another user's."""
    return f"run it as the user of the service: sudo -u {owner} ssosd ..."


def _unusable(path: Path, error: sqlite3.Error) -> Misconfigured:
    return Misconfigured(
        f"{path}: cannot be used as the store: {error}",
        next_step="check that the folder is writable and that the file is a store of ssosd",
    )


def error_columns(error: SsosdError | None) -> dict[str, Any]:
    """An error as columns of a row; all NULL without one."""
    if error is None:
        return {"error_class": None, "reason": None, "next_step": None, "next_try_s": None, "tries": 0}
    return {"error_class": type(error).__name__, "reason": error.message, "next_step": error.next_step}


def finite(value: float) -> float | None:
    """A number as SQLite keeps it: NULL when it is not finite."""
    return value if math.isfinite(value) else None


def existing_store(path: Path) -> Path:
    """The path of a store that is there, for those who must not begin a new one.

    Raises
    ------
    Misconfigured
        There is no store at this path.
    """
    if not path.is_file():
        raise Misconfigured(f"{path}: no store here", next_step="give the target folder with -t")
    return path


def read_only(path: Path, *, leave_no_trace: bool = False) -> closing[sqlite3.Connection]:
    """Open a store for reading alone, as status does while another process writes.

    Parameters
    ----------
    path : Path
    leave_no_trace : bool
        Where nobody writes, leave not even SQLite's own empty files beside it; not for one who reads on while
        a writer may begin.

    Raises
    ------
    Misconfigured
        There is no store at this path.
    """
    existing_store(path)
    log = path.with_name(f"{path.name}-wal")
    quiet = leave_no_trace and not (log.exists() and log.stat().st_size)
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if quiet else ''}"
    connection = sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S)
    connection.row_factory = sqlite3.Row
    return closing(connection)
