"""Which candidates go into which draft."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.model import PLACED_FLAG

FEWEST = 2  # positions that the MPC takes of an object in a night
#: Drafts in the order in which a person wants to read them.
GROUPS = ("neo", "unknown", "known", "unchecked")


def select_for_drafts(candidates: pd.DataFrame, *, policy: str) -> dict[str, pd.DataFrame]:
    """Rows of each draft.

    Parameters
    ----------
    candidates : DataFrame
        A night's detections: CANDIDATE, MATCHED, MATCH_STATE, FLAGS_SSOS, and INSPECTED, ASTEROID, UNKNOWN
        where people have given verdicts.
    policy : str
        DRAFT_POLICY: VERDICTS, KNOWN or ALL.

    Returns
    -------
    dict
        ``known`` (certainly a known object), ``unknown`` (none, or only possibly one) and ``unchecked``; each
        without artifacts, positions that were not measured, and objects of a single position.
    """
    if candidates.empty:
        return {name: candidates for name in GROUPS if name != "neo"}
    judged = _column(candidates, "INSPECTED")
    asteroid = _column(candidates, "ASTEROID")
    artifact = are_artifacts(candidates)
    matched = candidates["MATCHED"].astype("boolean").fillna(value=False).to_numpy(bool)
    wanted = asteroid.copy()
    if policy != "VERDICTS":
        wanted |= matched & ~judged
    if policy == "ALL":
        wanted |= ~artifact
    rows = candidates.assign(MATCHED=matched)[wanted & are_measured(candidates)]
    rows = rows[are_enough(rows)]
    known = rows["MATCHED"].to_numpy(bool)
    unchecked = (rows["MATCH_STATE"] == "unchecked").to_numpy(bool)
    return {
        "known": rows[known],
        "unknown": rows[~known & ~unchecked],
        "unchecked": rows[~known & unchecked],
    }


def are_artifacts(candidates: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are of what a person called an artifact."""
    judged = _column(candidates, "INSPECTED")
    return judged & ~_column(candidates, "ASTEROID") & ~_column(candidates, "UNKNOWN")


def are_measured(candidates: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have a position that was measured; all where no flags tell."""
    if "FLAGS_SSOS" not in candidates:
        return np.ones(len(candidates), dtype=bool)
    return (candidates["FLAGS_SSOS"].fillna(0).to_numpy(np.int64) & PLACED_FLAG) == 0


def are_enough(candidates: pd.DataFrame) -> pd.Series:
    """Which rows are of a candidate that has as many as the MPC takes of an object in a night."""
    return candidates.groupby("CANDIDATE")["CANDIDATE"].transform("size") >= FEWEST


def split_neos(
    rows: pd.DataFrame, *, limit: float, names: Mapping[str, str] | None = None
) -> dict[str, pd.DataFrame]:
    """Part what is not known by its NEO_SCORE: ``neo`` (at or above the limit) and ``unknown``.

    Candidates of one name in `names` are one object: the highest score counts for all of them.
    """
    if rows.empty:
        return {"neo": rows, "unknown": rows}
    object_ = [(names or {}).get(candidate, candidate) for candidate in rows["CANDIDATE"]]
    near = (rows["NEO_SCORE"].groupby(object_).transform("max") >= limit).to_numpy(bool)
    return {"neo": rows[near], "unknown": rows[~near]}


def _column(candidates: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    if name not in candidates:
        return np.zeros(len(candidates), dtype=bool)
    return candidates[name].astype("boolean").fillna(value=False).to_numpy(bool)
