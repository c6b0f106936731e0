"""A table of candidates with its cutouts beside it, ours or the seed's, as something to inspect."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ssosd.errors import BadInput
from ssosd.plumbing.files import atomic_write_text
from ssosd.reports.tables import read_candidates_csv
from ssosd.store import ASTEROID, UNKNOWN, VERDICTS, Judged, Seen, Verdict
from ssosd.web.describe import Json, by_urgency, summaries
from ssosd.web.subject import pick

NAME = "table"
_NEEDED = ("SOURCE_NUMBER", "CATALOG_NUMBER", "RA", "DEC")
_COLUMNS = ("INSPECTED", "ASTEROID", "UNKNOWN")
_MJD_J2000, _YEAR_D = 51544.5, 365.25


def find_table(path: Path) -> Path:
    """The table of candidates that a path means: itself, or the newest one in that folder or its ``cats/``.

    Raises
    ------
    BadInput
        There is none.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise BadInput(
            f"{path}: no such night, file or folder", next_step="name a night, a folder or a CSV file"
        )
    found = [p for folder in (path, path / "cats") for p in folder.glob("*.csv") if _is_table(p)]
    if not found:
        raise BadInput(f"{path}: no table of candidates here", next_step="looked for *.csv here and in cats/")
    return max(found, key=lambda p: (p.stat().st_mtime_ns, p.name))


class TableSubject:
    """The candidates of one CSV file; verdicts go into its columns INSPECTED, ASTEROID and UNKNOWN.

    Versions and history live as long as this object: two people are safe from each other through one
    inspector, not through two.

    Parameters
    ----------
    path : Path
        The CSV file. Its cutouts are in ``cutouts/`` beside it or one folder up.

    Raises
    ------
    BadInput
        It is no table of candidates.
    """

    name = NAME

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = threading.Lock()
        self._table = _read(self.path)
        folders = [self.path.parent / "cutouts", self.path.parent.parent / "cutouts"]
        self._cutouts = next((folder for folder in folders if folder.is_dir()), folders[0])
        self._now: dict[str, Verdict] = _recorded(self._table)
        self._deeds: list[tuple[Verdict, str | None, int | None]] = []  # verdict, what was before, undoes

    def overview(self) -> Json:
        """Title and all candidates with their verdicts."""
        entries = summaries(self._table)
        for entry in entries:
            now = self._now.get(entry["id"])
            entry["verdict"], entry["version"] = (now.verdict, now.version) if now else (None, 0)
            entry["person"], entry["at"] = (now.person, now.at) if now else (None, None)
        return {
            "title": self.path.name,
            "kind": NAME,
            "fields": [],
            "candidates": by_urgency(entries),
            "history": self._history(),
            "version": len(self._deeds),
            "linked": {},  # once and for all
            "files": {"state": "written", "detail": ""},
        }

    def rows(self, candidate: str) -> tuple[pd.DataFrame, Path]:
        """A candidate's detections in order of time, and the folder of its cutouts."""
        return pick(self._table, candidate), self._cutouts

    def name_now(self, candidate: str, seen: Seen) -> str | None:  # noqa: ARG002 - names stay
        """The name it had."""
        return candidate

    def judge(
        self,
        candidate: str,
        verdict: str | None,
        *,
        person: str,
        version: int,
        seen: Seen,  # noqa: ARG002 - names stay
    ) -> Judged:
        """Give a verdict and write the file."""
        with self._lock:
            pick(self._table, candidate)
            now = self._now.get(candidate)
            if (now.version if now else 0) != version:
                return Judged(taken=False, now=now)
            return Judged(taken=True, now=self._judge(candidate, verdict, person, undoes=None))

    def undo(self, *, person: str) -> Judged:
        """Take back a person's last verdict and write the file."""
        with self._lock:
            undone = {undoes for *_, undoes in self._deeds}
            for given, before, undoes in reversed(self._deeds):
                if given.person != person or undoes is not None or given.version in undone:
                    continue
                if any(
                    later.candidate == given.candidate and later.person != person
                    for later, *_ in self._deeds[given.version :]
                ):
                    return Judged(taken=False, now=self._now[given.candidate])
                return Judged(
                    taken=True, now=self._judge(given.candidate, before, person, undoes=given.version)
                )
            return Judged(taken=True, now=None)

    def changes(self, *, after: int) -> Json:
        """Judgements behind a version."""
        files = {"state": "written", "detail": ""}
        return {"history": self._history()[after:], "linked": {}, "files": files}

    def _history(self) -> list[Json]:
        return [
            {
                "candidate": given.candidate,
                "verdict": given.verdict,
                "person": given.person,
                "at": given.at,
                "version": given.version,
                "undoes": undoes,
            }
            for given, _, undoes in self._deeds
        ]

    def _judge(self, candidate: str, verdict: str | None, person: str, *, undoes: int | None) -> Verdict:
        before = self._now.get(candidate)
        given = Verdict(
            candidate=candidate,
            verdict=verdict,
            person=person,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            version=len(self._deeds) + 1,
        )
        self._write(candidate, verdict)
        self._deeds.append((given, before.verdict if before else None, undoes))
        self._now[candidate] = given
        return given

    def _write(self, candidate: str, verdict: str | None) -> None:
        """Put a verdict into the file; every other cell of it stays as it is, to the letter."""
        if verdict not in (*VERDICTS, None):
            raise BadInput(f"{verdict}: no verdict", next_step=f"one of {', '.join(VERDICTS)}")
        with _alone_in(self.path.parent):
            try:
                cells = pd.read_csv(self.path, dtype="str", keep_default_na=False, na_filter=False)
            except (OSError, ValueError) as error:
                raise BadInput(f"{self.path}: no table of candidates: {error}") from error
            hit = _names(cells) == candidate
            values = (verdict is not None, verdict == ASTEROID, verdict == UNKNOWN)
            for name, value in zip(_COLUMNS, values, strict=True):
                if name not in cells:
                    cells[name] = "False"
                cells.loc[hit, name] = str(value)
            atomic_write_text(self.path, cells.to_csv(index=False, lineterminator="\n"))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other inspectors from writing in a folder, so that none loses what another has just written."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> pd.DataFrame:
    table = read_candidates_csv(path)
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise BadInput(f"{path}: no table of candidates: it has no {', '.join(missing)}")
    if "MID_EXPOSURE_MJD" not in table:  # the seed has the middle of the exposure as an epoch
        table["MID_EXPOSURE_MJD"] = _MJD_J2000 + (table["EPOCH"] - 2000.0) * _YEAR_D
    if "MATCH_STATE" not in table and "MATCHED" in table:
        table["MATCH_STATE"] = table["MATCHED"].map({True: "matched", False: "unknown"}).fillna("unchecked")
    table["CANDIDATE"] = _names(table)
    return table


def _names(table: pd.DataFrame) -> pd.Series:
    """Names of the candidates: the seed has numbers alone."""
    return table["CANDIDATE"] if "CANDIDATE" in table else table["SOURCE_NUMBER"].astype("str")


def _recorded(table: pd.DataFrame) -> dict[str, Verdict]:
    """Verdicts that the file has already."""
    if not set(_COLUMNS) <= set(table.columns):
        return {}
    first = table.groupby("CANDIDATE", sort=True)[list(_COLUMNS)].first()
    found = {}
    for name, inspected, asteroid, unknown in first.itertuples():
        if inspected is True or str(inspected) == "True":
            said = "asteroid" if asteroid else "unknown" if unknown else "artifact"
            found[str(name)] = Verdict(candidate=str(name), verdict=said, person="", at="", version=0)
    return found


def _is_table(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline().strip().split(",")
    return {name.strip('"') for name in header} >= set(_NEEDED)
