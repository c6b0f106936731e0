"""The morning report of a night: cutouts become pictures, rows of the store a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pandas as pd

from ssosd.analysis.blink import make_blink
from ssosd.analysis.stamps import read_stamp
from ssosd.errors import BadInput
from ssosd.model import Blink
from ssosd.plumbing.files import atomic_write_text
from ssosd.reports.morning.candidates import triage
from ssosd.reports.morning.page import REPORT_NAME, morning_html
from ssosd.reports.recovered import FILE_NAME as RECOVERED
from ssosd.reports.recovered import RECOVERED_COLUMNS, read_recovered_csv
from ssosd.reports.summary import Summary, relative_name
from ssosd.station import Station
from ssosd.store import Store

#: Candidates that get pictures, in the order of who wants to be looked at first: a page of hundreds is slow.
_PICTURED = 200


def write_page(
    folder: Path,
    candidates: pd.DataFrame,
    *,
    summary: Summary,
    data: Path | None,
    station: Station,
    store: Store,
    breath: Callable[[], None] = lambda: None,
) -> None:
    """Write a night's `report.html`; the same night gives the same bytes.

    Parameters
    ----------
    folder : Path
        The night's.
    candidates : DataFrame
        The night's, one row per detection.
    summary : dict
        The night's.
    data : Path, optional
        Folder that the summary names exposures relative to.
    station : Station
    store : Store
    breath : callable, optional
        Called again and again meanwhile.

    Raises
    ------
    Retriable, Misconfigured
        It cannot be written.
    """
    night = summary["night"]
    verdicts = {name: given.verdict for name, given in store.verdicts(night).items() if given.verdict}
    rows = store.report_rows(night)
    quality = [row | {"file": relative_name(row["path"], data)} for row in rows["quality"]]
    page = morning_html(
        summary=summary,
        candidates=candidates,
        verdicts=verdicts,
        missed=_missed(folder / RECOVERED),
        blinks=_blinks(folder, candidates, triage(candidates, verdicts)[:_PICTURED], breath),
        quality=quality,
        expected=rows["expected"],
        sequences=rows["sequences"],
        files=_files(folder),
        station=f"{station.config['OBSERVATORY_CODE']} {station.site.name}".strip(),
    )
    atomic_write_text(folder / REPORT_NAME, page)


def _missed(path: Path) -> pd.DataFrame:
    """The night's places without a detection; none when they were not looked at."""
    try:
        return read_recovered_csv(path)
    except BadInput:
        return pd.DataFrame(columns=[name for name, *_ in RECOVERED_COLUMNS])


def _blinks(
    folder: Path, candidates: pd.DataFrame, names: list[str], breath: Callable[[], None]
) -> dict[str, Blink]:
    """Frames of each candidate of which there are cutouts that can be read."""
    if candidates.empty:
        return {}
    shown = candidates[["CANDIDATE", "MID_EXPOSURE_MJD", "FIELD", "SOURCE_NUMBER", "CATALOG_NUMBER"]]
    shown = shown[shown["CANDIDATE"].isin(names)].sort_values(["CANDIDATE", "MID_EXPOSURE_MJD"])
    blinks: dict[str, Blink] = {}
    for name, rows in groupby(zip(*(shown[c].tolist() for c in shown), strict=True), key=itemgetter(0)):
        breath()
        stamps = {}
        for _, _, field, source, catalog in rows:
            path = folder / str(field) / "cutouts" / f"{source}_{catalog}.fits"
            try:
                stamps[int(catalog)] = read_stamp(path)
            except BadInput:
                continue  # never cut, or removed by a person: the candidate is shown without it
        if stamps:
            blinks[str(name)] = make_blink(stamps)
    return blinks


def _files(folder: Path) -> Iterator[str]:
    """What a person may want to open, relative to the night's folder."""
    patterns = ("candidates.*", RECOVERED, "summary.txt", "summary.json", "drafts/*", "*/cats/candidates.csv",
                "*/logs/sequence.log", "*/checkplots/*.png", "*/regions/*.reg")  # fmt: skip
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.is_file() and not path.name.startswith("."):
                yield str(path.relative_to(folder))
