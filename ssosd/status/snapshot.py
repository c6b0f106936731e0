"""One consistent look at the store that leaves no trace, not even SQLite's own side files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ssosd.errors import Misconfigured

#: File name of the store under the target folder, as `ssosd.store` has it (whose imports are slow).
STORE_NAME = "ssosd.db"
_BUSY_TIMEOUT_S = 5.0
_T = TypeVar("_T")
Parameters = Sequence[Any] | Mapping[str, Any]


class Snapshot:
    """A store at one moment.

    Parameters
    ----------
    connection : sqlite3.Connection
        Open for reading.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """Rows of a query as dictionaries."""
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def pairs(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, Any]]:
        """Rows of a query of two columns."""
        return self._connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Parameters = ()) -> Any:
        """First column of the first row of a query; None without rows."""
        row = self._connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def counts(self, names: Sequence[str], sql: str, parameters: Parameters = ()) -> dict[str, int]:
        """Rows of (name, number) as a mapping that has every one of `names`."""
        found = dict(self._connection.execute(sql, parameters).fetchall())
        return {name: int(found.get(name, 0)) for name in names}


def look(path: Path, question: Callable[[Snapshot], _T]) -> _T:
    """Ask a store something, in one read transaction.

    A store that nobody has open lies in one file. SQLite would put its ``-wal`` and ``-shm`` files beside it
    even for a reader, and cannot read at all where it may not; so such a store is read as an immutable file,
    and asked again if somebody opened it meanwhile.

    Parameters
    ----------
    path : Path
        The store.
    question : callable
        Given the snapshot, gives the answer.

    Raises
    ------
    Misconfigured
        There is no store, it cannot be read, or it was made by another version of ssosd.
    """
    if not path.is_file():
        raise Misconfigured(f"{path}: no store here", next_step="give the target folder with -t")
    journal = path.with_name(path.name + "-wal")
    try:
        if not journal.exists():
            try:
                answer = _ask(path, "immutable=1", question)
            except sqlite3.DatabaseError:
                if not journal.exists():
                    raise
            else:
                if not journal.exists():
                    return answer
        return _ask(path, "mode=ro", question)
    except sqlite3.Error as error:
        raise Misconfigured(
            f"{path}: cannot be read: {error}",
            next_step="check that you may read it and that it is a store of this version of ssosd",
        ) from error


def _ask(path: Path, mode: str, question: Callable[[Snapshot], _T]) -> _T:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{mode}", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None
    )
    try:
        connection.execute("BEGIN")
        return question(Snapshot(connection))
    finally:
        connection.close()
