"""An 80-column draft of a candidates table as the ssos pipeline writes it, beside that table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ssosd.errors import BadInput
from ssosd.plumbing.files import atomic_write_text
from ssosd.reports.mpc80 import Draft, render_draft
from ssosd.reports.tables import read_candidates_csv
from ssosd.site import night_of, site_from_code

_NEEDED = ("SOURCE_NUMBER", "RA", "DEC", "MID_EXPOSURE_MJD")


def draft_of_csv(path: Path, *, code: str) -> tuple[Path, Draft]:
    """Write ``NAME_mpc.txt`` beside a table; what a person called an artifact is left out.

    Parameters
    ----------
    path : Path
        With SOURCE_NUMBER, RA, DEC, MID_EXPOSURE_MJD; MATCHED, SKYBOT_NUMBER, SKYBOT_NAME, MAG_CALIB, BAND,
        INSPECTED, ASTEROID, UNKNOWN where they are there.
    code : str
        Observatory code.

    Raises
    ------
    BadInput
        No such table, a column is missing, or nothing is left without the artifacts.
    Misconfigured
        No such observatory.
    """
    table = read_candidates_csv(path)
    missing = [name for name in _NEEDED if name not in table]
    if missing or table.empty:
        raise BadInput(f"{path}: no candidates to write: no {', '.join(missing) or 'rows'}")
    if {"INSPECTED", "ASTEROID", "UNKNOWN"} <= set(table.columns):
        said = table[["INSPECTED", "ASTEROID", "UNKNOWN"]].astype("boolean").fillna(value=False).astype(bool)
        table = table[~(said["INSPECTED"] & ~said["ASTEROID"] & ~said["UNKNOWN"])]
    if table.empty:
        raise BadInput(f"{path}: no candidates to write: all of them are called artifacts")
    if "CANDIDATE" not in table:
        table = table.assign(CANDIDATE=table["SOURCE_NUMBER"].astype("Int64").astype("str").str.zfill(6))
    if "MATCHED" in table and "MATCH_STATE" not in table:
        matched = table["MATCHED"].astype("boolean").fillna(value=False)
        table = table.assign(MATCH_STATE=pd.Series("unknown", index=table.index).mask(matched, "matched"))
    night = night_of(float(table["MID_EXPOSURE_MJD"].min()), site_from_code(code).lon_deg)
    draft = render_draft(candidates=table, code=code, night=night)
    written = path.with_name(f"{path.stem}_mpc.txt")
    atomic_write_text(written, draft.text)
    return written, draft
