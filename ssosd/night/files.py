"""A night's files: candidates.csv, drafts, summary and report, from the store and the fields' tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssosd.analysis.inject.curve import completeness_curves
from ssosd.days import unix_s_of
from ssosd.errors import BadInput
from ssosd.ingest.watcher import Sieve
from ssosd.night.drafts import write_drafts
from ssosd.night.page import write_page
from ssosd.plumbing.files import TEMPORARY_PREFIX, atomic_write_bytes, atomic_write_text
from ssosd.reports.recovered import FILE_NAME as RECOVERED
from ssosd.reports.recovered import read_recovered_csv, write_recovered_csv
from ssosd.reports.summary import Summary, audit, night_summary, summary_json
from ssosd.reports.summary_text import summary_text
from ssosd.reports.tables import read_candidates_csv, with_all_columns, write_candidates_csv
from ssosd.reports.votable import detections_table, fits_bytes, votable_bytes
from ssosd.site import night_bounds
from ssosd.station import Station
from ssosd.store import ASTEROID, UNKNOWN, SequenceRow, Store, Verdict

Breath = Callable[[], None]

#: The candidates for TOPCAT, Aladin and their like, beside candidates.csv.
TABLES = {"candidates.vot": votable_bytes, "candidates.fits": fits_bytes}


def write_night(
    night: str,
    *,
    station: Station,
    store: Store,
    folders: Sequence[Path],
    summary: bool,
    changed_between: Callable[[float, float], list[str]] | None = None,
    breath: Breath = lambda: None,
) -> pd.DataFrame:
    """Write a night's candidates.csv, its drafts, its summary and its report; idempotent.

    The night counts as written when every file of it is accounted for; until then it stays to be written.

    Parameters
    ----------
    night : str
    station : Station
    store : Store
    folders : sequence of Path
        Data folders whose files are to be accounted for; names are given relative to the only one.
    summary : bool
        Whether summary and report are due; one that is there already is written again in any case.
    changed_between : callable, optional
        The files in these folders that were changed last between two times (Unix seconds); when it is not
        given the folders are looked through.
    breath : callable, optional
        Called again and again meanwhile.

    Returns
    -------
    DataFrame
        The night's candidates, one row per detection.

    Raises
    ------
    Retriable, Misconfigured
        A file cannot be written.
    """
    folder = station.target / night
    store.begin_writing(night)
    sequences = store.sequences(night=night)
    remove_strangers(folder, sequences)
    tables = [table for row in sequences if (table := _table(row, store, breath)) is not None]
    filled = [table for table in tables if len(table)] or tables[:1]
    candidates = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
    candidates = with_verdicts(with_all_columns(candidates), store.verdicts(night))
    if sequences:
        write_candidates_csv(folder / "candidates.csv", candidates)
        write_drafts(folder / "drafts", night, candidates, station=station, store=store, breath=breath)
        table = detections_table(candidates)
        for name, as_bytes in TABLES.items():
            breath()
            atomic_write_bytes(folder / name, as_bytes(table, night=night))
        _write_recovered(folder / RECOVERED, sequences)
    else:
        _remove(*(folder / name for name in ("candidates.csv", RECOVERED, *TABLES)))
        _remove(*folder.glob("drafts/*"))
        store.forget_drafts(night)
    lost: list[str] = []
    if summary or (folder / "summary.json").exists():
        summed = _write_summary(
            folder,
            night,
            candidates,
            station=station,
            store=store,
            folders=folders,
            changed_between=changed_between or partial(_changed_between, folders, station, breath),
        )
        breath()
        data = folders[0] if len(folders) == 1 else None
        write_page(folder, candidates, summary=summed, data=data, station=station, store=store, breath=breath)
        lost = summed["audit"]["unaccounted"]
    if not lost:
        store.record_written(night, summary=summary)
    return candidates


def candidate_rows(night: str, candidates: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per candidate for the store, from the table of detections."""
    if candidates.empty:
        return []
    ordered = candidates.sort_values(["CANDIDATE", "MID_EXPOSURE_MJD"], kind="stable")
    grouped = ordered.groupby("CANDIDATE", sort=True)
    first = grouped.first()
    table = pd.DataFrame(
        {
            "source_number": first["SOURCE_NUMBER"],
            "n_detections": grouped.size(),
            "mjd_first": first["MID_EXPOSURE_MJD"],
            "ra_deg": first["RA"],
            "dec_deg": first["DEC"],
            "pm": first["PM"],
            "pm_ra": first["PMRA"],
            "pm_dec": first["PMDEC"],
            "mag": grouped["MAG"].median(),
            "linked_by": first["LINKED_BY"],
            "score": first["SCORE"],
            "n_chance": first["N_CHANCE"],
            "chi2_dof": first["CHI2_DOF"],
            "neo_score": first["NEO_SCORE"],
            "extended": first["EXTENDED"],
            "match_state": first["MATCH_STATE"],
            "known_number": first["SKYBOT_NUMBER"],
            "known_name": first["SKYBOT_NAME"],
            "known_nearby": first["KNOWN_NEARBY"].replace("", np.nan),
        }
    )
    table = table.astype(object).where(table.notna(), None)
    return [
        {"night": night, "candidate": candidate, **{str(name): value for name, value in row.items()}}
        for candidate, row in zip(table.index, table.to_dict("records"), strict=True)
    ]


def calibrated_magnitudes(candidates: pd.DataFrame) -> dict[str, tuple[float, str]]:
    """Median calibrated magnitude and its band, of each candidate that has one; several bands as ``r/g``."""
    rows = candidates[candidates["MAG_CALIB"].notna()]
    if rows.empty:
        return {}
    grouped = rows.groupby("CANDIDATE")
    bands = grouped["BAND"].agg(lambda of: "/".join(sorted(set(of))))
    return dict(zip(bands.index, zip(grouped["MAG_CALIB"].median(), bands, strict=True), strict=True))


def with_verdicts(candidates: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> pd.DataFrame:
    """Candidates with what people say of them, in the seed's columns INSPECTED, ASTEROID and UNKNOWN.

    Parameters
    ----------
    candidates : DataFrame
        One row per detection, with CANDIDATE; a table without rows is returned as it is.
    verdicts : mapping
        By candidate, from the store.
    """
    if candidates.empty:
        return candidates
    said = candidates["CANDIDATE"].map({name: given.verdict for name, given in verdicts.items()})
    return candidates.assign(
        INSPECTED=said.notna(), ASTEROID=said.eq(ASTEROID).astype(bool), UNKNOWN=said.eq(UNKNOWN).astype(bool)
    )


def remove_strangers(folder: Path, sequences: Iterable[SequenceRow]) -> None:
    """Remove what a killed process leaves: folders of fields that are no more, half-written files."""
    kept = {row.field for row in sequences if row.state != "parked" or row.folder is not None}
    if not folder.is_dir():
        return
    _remove(*folder.glob(f"{TEMPORARY_PREFIX}*"), *folder.glob(f"drafts/{TEMPORARY_PREFIX}*"))
    for path in folder.iterdir():
        if path.name not in kept and (path / "logs" / "sequence.log").is_file():
            shutil.rmtree(path)


def _table(row: SequenceRow, store: Store, breath: Breath) -> pd.DataFrame | None:
    """A linked field's candidates; a field whose table has been lost is linked again."""
    breath()
    if row.folder is None or row.n_candidates is None:
        return None
    try:
        return read_candidates_csv(Path(row.folder) / "cats" / "candidates.csv")
    except BadInput as error:
        store.event("warning", f"{row.night}/{row.field}", f"linked again: {error}")
        store.reopen_sequence(row.id)
        return None


def _write_recovered(path: Path, sequences: Iterable[SequenceRow]) -> None:
    """Put the fields' tables of what was not detected together; no file when no field has one."""
    tables = []
    for row in sequences:
        if row.folder is not None and row.n_candidates is not None:
            with suppress(BadInput):  # linked without RECOVER, or by an older version
                tables.append(read_recovered_csv(Path(row.folder) / "cats" / RECOVERED))
    if not tables:
        _remove(path)
        return
    write_recovered_csv(path, pd.concat(tables, ignore_index=True))


def _write_summary(
    folder: Path,
    night: str,
    candidates: pd.DataFrame,
    *,
    station: Station,
    store: Store,
    folders: Sequence[Path],
    changed_between: Callable[[float, float], list[str]],
) -> Summary:
    """Write summary.txt and summary.json."""
    bounds = night_bounds(night, station.site.lon_deg)
    first_s, end_s = map(unix_s_of, bounds)
    rows = store.night_rows(night)
    injected = rows.pop("completeness")
    there = changed_between(first_s, end_s)
    lost = audit(there, store.outcomes(there))
    summary = night_summary(
        night=night,
        files=store.file_rows(night),
        **rows,
        calibrated=calibrated_magnitudes(candidates),
        completeness=completeness_curves(injected),
        unaccounted=lost,
        exposures_per_field=station.config["EXPOSURES_PER_FIELD"],
        data=folders[0] if len(folders) == 1 else None,
        target=station.target,
    )
    atomic_write_text(folder / "summary.json", summary_json(summary))
    atomic_write_text(folder / "summary.txt", summary_text(summary))
    return summary


def _changed_between(
    folders: Sequence[Path], station: Station, breath: Breath, first_s: float, end_s: float
) -> list[str]:
    """Look for the files in some folders that were changed last in this time."""
    include, exclude = station.config["INCLUDE"], station.config["EXCLUDE"]
    sieves = [
        Sieve(data, include=include, exclude=exclude, target=station.target, breath=breath)
        for data in folders
    ]
    return [path for sieve in sieves for path, stat in sieve.scan() if first_s <= stat.st_mtime < end_s]


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
