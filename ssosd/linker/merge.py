"""Sources of two linkers as one table, and one candidate per object of what the chain leaves of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssosd.grouping import FloatArray, IntArray
from ssosd.linker.tracklets.link import Tracklets

SCAMP, TRACKLET, BOTH = "SCAMP", "TRACKLET", "BOTH"
#: Figures of a source, in each of its rows, that only the tracklet linker has.
JUDGED = ("SCORE", "N_CHANCE", "CHI2_DOF")
_DETECTION = ["CATALOG_NUMBER", "EXTENSION", "NUMBER"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Merged:
    """Candidates of both linkers, each object once."""

    detections: pd.DataFrame  # by SOURCE_NUMBER and time
    ledger: pd.DataFrame  # sources left out: another one has their detections, or the judge refused them
    n_sources: int


def sources_of_both(*, scamp: pd.DataFrame | None, tracklets: Tracklets | None) -> pd.DataFrame:
    """One table of all sources; the numbers of the tracklet linker's follow SCAMP's.

    Parameters
    ----------
    scamp : DataFrame, shape (n, ...), optional
        SCAMP's sources, one row per detection.
    tracklets : Tracklets, optional
        One of the two is there.

    Returns
    -------
    DataFrame
        With LINKED_BY, SCAMP or TRACKLET, and the columns `JUDGED`, missing for SCAMP's. A detection may be
        in a source of each.
    """
    parts = [] if scamp is None else [scamp.assign(LINKED_BY=SCAMP, **dict.fromkeys(JUDGED, np.nan))]
    if tracklets is not None:
        offset = 0 if scamp is None or scamp.empty else int(scamp["SOURCE_NUMBER"].max())
        number = tracklets.detections["SOURCE_NUMBER"].to_numpy(np.int64)
        figures = {name: tracklets.sources[name].to_numpy(np.float64)[number - 1] for name in JUDGED}
        own = tracklets.detections.assign(LINKED_BY=TRACKLET, SOURCE_NUMBER=number + offset, **figures)
        parts.append(own)
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]


def merge_candidates(candidates: pd.DataFrame) -> Merged:
    """Leave each object once among candidates of both linkers.

    A SCAMP candidate that shares a detection with a candidate of the tracklet linker gives way to it: a
    detection is of one object, and the tracklet linker's choice is by the whole motion. If they share half
    of the SCAMP candidate's detections or more, both found the object, and LINKED_BY is BOTH.

    Parameters
    ----------
    candidates : DataFrame
        What the chain left of `sources_of_both`: CATALOG_NUMBER, EXTENSION, NUMBER, SOURCE_NUMBER, LINKED_BY.

    Returns
    -------
    Merged
    """
    by_scamp = (candidates["LINKED_BY"] == SCAMP).to_numpy(dtype=bool)
    scamp, tracks = candidates[by_scamp], candidates[~by_scamp]
    owner = tracks[[*_DETECTION, "SOURCE_NUMBER"]].rename(columns={"SOURCE_NUMBER": "OWNER"})
    shared = scamp[[*_DETECTION, "SOURCE_NUMBER"]].merge(owner, on=_DETECTION, how="inner")
    size = scamp.groupby("SOURCE_NUMBER").size()
    common = shared.groupby(["SOURCE_NUMBER", "OWNER"]).size().reset_index(name="N")
    half = 2 * common["N"].to_numpy() >= size.reindex(common["SOURCE_NUMBER"]).to_numpy()
    gone = np.unique(shared["SOURCE_NUMBER"].to_numpy(np.int64))
    number = candidates["SOURCE_NUMBER"]
    found_by = candidates["LINKED_BY"].where(~number.isin(common.loc[half, "OWNER"]), BOTH)
    kept = candidates.assign(LINKED_BY=found_by)[~number.isin(gone)].reset_index(drop=True)
    return Merged(
        detections=kept, ledger=_ledger(gone, shared, size), n_sources=int(kept["SOURCE_NUMBER"].nunique())
    )


def _ledger(gone: IntArray, shared: pd.DataFrame, size: pd.Series) -> pd.DataFrame:
    """Ledger rows of the SCAMP candidates that gave way, as the filters write theirs."""
    count = shared.groupby("SOURCE_NUMBER").size().reindex(gone)
    reason = ["detections of a candidate of the tracklet linker"] * gone.size
    return _rows(gone, np.asarray(count, dtype=np.float64), np.zeros(gone.size), reason, size)


def without_refused(merged: Merged, verdicts: pd.DataFrame) -> Merged:
    """Leave out the candidates that the tracklet linker's judge refused; the others get its figures.

    Parameters
    ----------
    merged : Merged
    verdicts : DataFrame
        `tracklets.sources.judge_sources` of candidates that SCAMP alone found.
    """
    refused = verdicts[~verdicts["ACCEPTED"]]
    gone = refused["SOURCE_NUMBER"].to_numpy(np.int64)
    size = merged.detections.groupby("SOURCE_NUMBER").size()
    ledger = _rows(
        gone, refused["MEASURED"].to_numpy(np.float64), refused["LIMIT"].to_numpy(np.float64),
        refused["REASON"].tolist(), size,
    )  # fmt: skip
    kept = merged.detections[~merged.detections["SOURCE_NUMBER"].isin(gone)].reset_index(drop=True)
    figures = verdicts.set_index("SOURCE_NUMBER")
    for name in JUDGED:
        kept[name] = kept[name].fillna(kept["SOURCE_NUMBER"].map(figures[name]))
    return Merged(
        detections=kept,
        ledger=pd.concat([merged.ledger, ledger], ignore_index=True),
        n_sources=merged.n_sources - gone.size,
    )


def without_shared(candidates: pd.DataFrame, better: pd.DataFrame) -> pd.DataFrame:
    """Candidates that have no detection in common with better ones."""
    taken = better[_DETECTION].drop_duplicates().assign(TAKEN=True)
    shared = candidates[_DETECTION].merge(taken, on=_DETECTION, how="left")["TAKEN"].notna().to_numpy()
    gone = candidates["SOURCE_NUMBER"][shared]
    return candidates[~candidates["SOURCE_NUMBER"].isin(gone)].reset_index(drop=True)


def _rows(
    gone: IntArray, measured: FloatArray, limit: FloatArray, reason: list[str], size: pd.Series
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "SOURCE_NUMBER": gone,
            "FILTER": pd.Series(["LINKER"] * gone.size, dtype="str"),
            "MEASURED": measured,
            "LIMIT": limit,
            "REASON": pd.Series(reason, dtype="str"),
            "N_DETECTIONS": size.reindex(gone).to_numpy(np.float64).astype(np.int64),
        }
    )
