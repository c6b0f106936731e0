"""An 80-column draft of a candidates table as the ssos pipeline writes it, beside that table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.errors import BadInput
from ssosd.plumbing.files import atomic_write_text
from ssosd.plumbing.text import counted
from ssosd.reports.mpc80 import Draft, render_draft
from ssosd.reports.names import temporary_names
from ssosd.reports.selection import are_artifacts, are_enough, are_measured
from ssosd.reports.tables import read_candidates_csv
from ssosd.site import night_of, site_from_code

_NEEDED = ("SOURCE_NUMBER", "RA", "DEC", "MID_EXPOSURE_MJD")


def draft_of_csv(path: Path, *, code: str) -> tuple[Path, Draft]:
    """Write ``NAME_mpc.txt`` beside a table.

    What a person called an artifact is left out, positions that were not measured, and objects of a single
    one. An object has the same temporary designation as in the night's drafts.

    Parameters
    ----------
    path : Path
        With SOURCE_NUMBER, RA, DEC, MID_EXPOSURE_MJD; MATCHED, SKYBOT_NUMBER, SKYBOT_NAME, MAG_CALIB, BAND,
        INSPECTED, ASTEROID, UNKNOWN, FLAGS_SSOS where they are there.
    code : str
        Observatory code.

    Raises
    ------
    BadInput
        No such table, a column is missing, or nothing is left to write.
    Misconfigured
        No such observatory.
    """
    table = read_candidates_csv(path)
    missing = [name for name in _NEEDED if name not in table]
    if missing or table.empty:
        raise BadInput(f"{path}: no candidates to write: no {', '.join(missing) or 'rows'}")
    if {"INSPECTED", "ASTEROID", "UNKNOWN"} <= set(table.columns):
        table = table[~are_artifacts(table)]
    if table.empty:
        raise BadInput(f"{path}: no candidates to write: all of them are called artifacts")
    if "CANDIDATE" not in table:
        table = table.assign(CANDIDATE=table["SOURCE_NUMBER"].astype("Int64").astype("str").str.zfill(6))
    if "MATCHED" in table and "MATCH_STATE" not in table:
        matched = table["MATCHED"].astype("boolean").fillna(value=False)
        table = table.assign(MATCH_STATE=pd.Series("unknown", index=table.index).mask(matched, "matched"))
    if "SKYBOT_NUMBER" in table:  # a number that went through a column with gaps
        numbers = table["SKYBOT_NUMBER"].astype("string").str.removesuffix(".0")
        table = table.assign(SKYBOT_NUMBER=numbers)
    table, left_out = _sendable(table)
    if table.empty:
        raise BadInput(f"{path}: no candidates to write: {left_out[0]}")
    night = night_of(float(table["MID_EXPOSURE_MJD"].min()), site_from_code(code).lon_deg)
    draft = render_draft(candidates=table, code=code, night=night, designations=_names(table, night))
    draft = replace(draft, problems=(*left_out, *draft.problems))
    written = path.with_name(f"{path.stem}_mpc.txt")
    atomic_write_text(written, draft.text)
    return written, draft


def _sendable(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows that the MPC takes, and what is said of the others."""
    said = []
    measured = are_measured(table)
    if not measured.all():
        said.append(f"{counted(int((~measured).sum()), 'position', 'are')} left out: not measured")
    table = table[measured]
    enough = are_enough(table)
    if not enough.all():
        said.append(f"{counted(int((~enough).sum()), 'candidate', 'are')} left out: of a single position")
    return table[enough], said


def _names(table: pd.DataFrame, night: str) -> dict[str, str]:
    """The temporary designations that these candidates have in the night's drafts.

    A table of the seed does not number the detections: their places stand for that.
    """
    places = [f"{ra:.5f} {dec:+.5f}" for ra, dec in zip(table["RA"], table["DEC"], strict=True)]
    stand_ins = pd.DataFrame(
        {
            "NUMBER": places,
            "FIELD": "",
            "IMAGE_FILENAME": "",
            "EXTENSION": 0,
            "PMRA": np.nan,
            "PMDEC": np.nan,
        },
        index=table.index,
    )
    missing = stand_ins.columns.difference(table.columns)
    return temporary_names(table.join(stand_ins[missing]), night=night)
