"""What can be inspected: a night of a store, or a table of candidates with its cutouts."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ssosd.analysis.cutouts import cutout_name
from ssosd.errors import BadInput
from ssosd.reports.recovered import FILE_NAME as RECOVERED
from ssosd.reports.recovered import read_recovered_csv
from ssosd.store import Judged, Seen
from ssosd.web.describe import Json, detections, missed
from ssosd.web.frames import CODE, Frames, read_frames


class Subject(Protocol):
    """Candidates that people give verdicts on. Called from several threads at once."""

    @property
    def name(self) -> str:
        """In addresses: the night's date, or "table"."""

    def overview(self) -> Json:
        """Title, fields and all candidates with their verdicts.

        ``linked`` has a stamp of each field's linking: where it is another one, names may mean other objects.
        """

    def rows(self, candidate: str) -> tuple[pd.DataFrame, Path]:
        """A candidate's detections in order of time, and the folder of its cutouts; BadInput without one."""

    def name_now(self, candidate: str, seen: Seen) -> str | None:
        """What is called what was seen, as `ssosd.store.verdicts.Verdicts.name_now`."""

    def judge(self, candidate: str, verdict: str | None, *, person: str, version: int, seen: Seen) -> Judged:
        """Give a verdict, as `ssosd.store.verdicts.Verdicts.give_verdict`."""

    def undo(self, *, person: str) -> Judged:
        """Take back a person's last verdict, as `ssosd.store.verdicts.Verdicts.undo_verdict`."""

    def changes(self, *, after: int) -> Json:
        """Judgements behind a version, stamps as in `overview`, and whether the files follow yet."""


def seen(entry: Json) -> Seen:
    """The place of a candidate as `Subject.overview` has it, for `Subject.judge`."""
    return Seen(mjd=entry["mjd"], ra_deg=entry["ra"], dec_deg=entry["dec"])


def details(subject: Subject, candidate: str) -> Json:
    """All about a candidate but its pixels."""
    rows, folder = subject.rows(candidate)
    frames = _frames(rows, folder)
    found = detections(rows)
    for k, frame in enumerate(frames.about):
        frame["detection"] = k
    return {
        "id": candidate,
        "detections": found,
        "missed": _missed(folder.parent / "cats" / RECOVERED, candidate),
        "frames": frames.about,
        "levels": frames.levels,
        "code": CODE,
    }


def pixels(subject: Subject, candidate: str) -> bytes:
    """The pixels of a candidate's frames, as `details` describes them."""
    rows, folder = subject.rows(candidate)
    return _frames(rows, folder).pixels


def _missed(path: Path, candidate: str) -> list[Json]:
    """Exposures of the field without a detection; none where they were not looked at."""
    if not path.is_file():
        return []
    table = read_recovered_csv(path)
    return missed(table[table["CANDIDATE"] == candidate])


def _frames(rows: pd.DataFrame, folder: Path) -> Frames:
    sources, catalogs = rows["SOURCE_NUMBER"].tolist(), rows["CATALOG_NUMBER"].tolist()
    return read_frames(
        [folder / cutout_name(int(s), int(c)) for s, c in zip(sources, catalogs, strict=True)],
        ra_deg=rows["RA"].to_numpy(dtype=np.float64),
        dec_deg=rows["DEC"].to_numpy(dtype=np.float64),
    )


def pick(table: pd.DataFrame, candidate: str) -> pd.DataFrame:
    """A candidate's rows in order of time.

    Raises
    ------
    BadInput
        The table has no such candidate.
    """
    rows = table[table["CANDIDATE"] == candidate] if "CANDIDATE" in table else table
    if rows.empty:
        raise BadInput(f"{candidate}: no such candidate")
    return rows.sort_values("MID_EXPOSURE_MJD", kind="stable")
