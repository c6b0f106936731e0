"""A night of a store as something to inspect."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from ssosd.errors import BadInput
from ssosd.reports.tables import read_candidates_csv
from ssosd.store import STORE_NAME, Judged, Seen, Store
from ssosd.web.describe import Json, by_urgency, plain, summaries
from ssosd.web.scribe import Scribe
from ssosd.web.subject import pick

_FIELDS = """
    SELECT s.field, s.state, s.folder, s.ra_deg AS ra, s.dec_deg AS dec, s.funnel, s.n_exposures AS n,
           max(e.width_deg) AS width, max(e.height_deg) AS height
    FROM sequences s LEFT JOIN sequence_exposures m ON m.sequence = s.id
    LEFT JOIN exposures e ON e.digest = m.exposure
    WHERE s.night = ? GROUP BY s.id ORDER BY s.field
"""
#: What linking says of each candidate; not what is known of it, which others are asked for later.
_LINKED = """
    SELECT s.field, c.candidate, c.source_number, c.n_detections, c.mjd_first, c.ra_deg, c.dec_deg
    FROM candidates c JOIN sequences s ON s.id = c.sequence WHERE c.night = ? ORDER BY s.field, c.candidate
"""


class NightSubject:
    """The candidates of a night; every request looks at the store anew.

    Parameters
    ----------
    store : Path
        The store's file.
    night : str
    scribe : Scribe
        Told when the night's files have become old.
    """

    def __init__(self, store: Path, night: str, *, scribe: Scribe) -> None:
        self._path = store
        self.name = night
        self._scribe = scribe
        self._tables: dict[Path, tuple[int, pd.DataFrame]] = {}
        self._lock = threading.Lock()

    def overview(self) -> Json:
        """Title, fields and all candidates with their verdicts."""
        with Store(self._path) as store:
            linked = self._linked(store)  # first: what follows is never older than its stamp
            fields = store.rows(_FIELDS, [self.name])
            if not fields:
                raise BadInput(f"{self.name}: no such night")
            verdicts = store.verdicts(self.name)
            history = store.verdict_history(self.name)
        entries = [entry for row in fields for entry in summaries(self._table(row["folder"]))]
        for entry in entries:
            given = verdicts.get(entry["id"])
            entry["verdict"] = given.verdict if given else None
            entry["person"], entry["at"] = (given.person, given.at) if given else (None, None)
            entry["version"] = given.version if given else 0
        return {
            "title": self.name,
            "kind": "night",
            "fields": [{k: plain(v) for k, v in row.items() if k != "folder"} for row in _unpacked(fields)],
            "candidates": by_urgency(entries),
            "history": history,
            "version": history[-1]["version"] if history else 0,
            "linked": linked,
            "files": self._scribe.state(self.name),
        }

    def rows(self, candidate: str) -> tuple[pd.DataFrame, Path]:
        """A candidate's detections in order of time, and the folder of its cutouts."""
        with Store(self._path) as store:
            found = store.rows(
                "SELECT s.folder FROM candidates c JOIN sequences s ON s.id = c.sequence"
                " WHERE c.night = ? AND c.candidate = ?",
                [self.name, candidate],
            )
        if not found or found[0]["folder"] is None:
            raise BadInput(f"{candidate}: no candidate of the night {self.name}")
        return pick(self._table(found[0]["folder"]), candidate), Path(found[0]["folder"]) / "cutouts"

    def name_now(self, candidate: str, seen: Seen) -> str | None:
        """Name of the candidate that is now where one of this name was seen; None when none is."""
        with Store(self._path) as store:
            return store.name_now(self.name, candidate, seen)

    def judge(self, candidate: str, verdict: str | None, *, person: str, version: int, seen: Seen) -> Judged:
        """Give a verdict; the night's files follow soon."""
        return self._write(
            lambda store: store.give_verdict(
                self.name, candidate, verdict, person=person, version=version, seen=seen
            )
        )

    def undo(self, *, person: str) -> Judged:
        """Take back a person's last verdict; the night's files follow soon."""
        return self._write(lambda store: store.undo_verdict(self.name, person=person))

    def changes(self, *, after: int) -> Json:
        """Judgements behind a version, stamps as in `overview`, and whether the files follow yet."""
        with Store(self._path) as store:
            return {
                "history": store.verdict_history(self.name, after=after),
                "linked": self._linked(store),
                "files": self._scribe.state(self.name),
            }

    def _linked(self, store: Store) -> dict[str, str]:
        """A stamp of what linking gave each field; fields without candidates have none."""
        rows = [tuple(row.values()) for row in store.rows(_LINKED, [self.name])]
        return {
            field: blake2b(repr(list(found)).encode(), digest_size=8).hexdigest()
            for field, found in groupby(rows, key=lambda row: row[0])
        }

    def _write(self, change: Callable[[Store], Judged]) -> Judged:
        with Store(self._path) as store:
            judged = change(store)
        if judged.taken and judged.now is not None:
            self._scribe.wanted(self.name)
        return judged

    def _table(self, folder: str | None) -> pd.DataFrame:
        """A field's candidates, read again only when the file is another one."""
        if folder is None:
            return pd.DataFrame()
        path = Path(folder) / "cats" / "candidates.csv"
        try:
            age = path.stat().st_mtime_ns
        except OSError:
            return pd.DataFrame()
        with self._lock:
            if path not in self._tables or self._tables[path][0] != age:
                self._tables[path] = (age, read_candidates_csv(path))
            return self._tables[path][1]


class Nights:
    """All nights of a target that have candidates, each a `NightSubject`."""

    def __init__(self, target: Path, *, scribe: Scribe) -> None:
        self._path = target / STORE_NAME
        self._scribe = scribe
        self._open: dict[str, NightSubject] = {}

    def names(self) -> list[Json]:
        """Nights with their numbers of candidates and verdicts, latest first."""
        with Store(self._path) as store:
            return store.rows(
                "SELECT night AS name, count(*) AS candidates, count(v.verdict) AS judged"
                " FROM candidates LEFT JOIN verdicts v USING (night, candidate)"
                " GROUP BY night ORDER BY night DESC"
            )

    def subject(self, name: str) -> NightSubject:
        """A night by its date; BadInput when the store has no such night."""
        with Store(self._path) as store:
            if not store.rows("SELECT 1 FROM sequences WHERE night = ? LIMIT 1", [name]):
                raise BadInput(f"{name}: no such night")
        return self._open.setdefault(name, NightSubject(self._path, name, scribe=self._scribe))


def _unpacked(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "funnel": json.loads(row["funnel"] or "[]")} for row in fields]
