"""Sources of another linker before the judge of this one: what chance, blends and wandering galaxies make."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.pool import Pool
from ssosd.linker.tracklets.select import assess, without_odd, without_worst

REST = "detections left after what is at rest, fixed in pixels or on a satellite's trail"
CHANCE = "chance makes as good a source"
UNSTEADY = "motion, shape or brightness not of one moving object (chi-square per degree of freedom)"
VERDICT_COLUMNS = (
    "SOURCE_NUMBER",
    "SCORE",
    "N_CHANCE",
    "CHI2_DOF",
    "ACCEPTED",
    "MEASURED",
    "LIMIT",
    "REASON",
)
_DETECTION = ["CATALOG_NUMBER", "EXTENSION", "NUMBER"]


def judge_sources(
    pool: Pool,
    *,
    detections: pd.DataFrame,
    sources: pd.DataFrame,
    pm_low: float,
    pm_up: float,
    min_detections: int,
    max_chance: float,
) -> pd.DataFrame:
    """Judge given sources as the tracklet linker judges its own tracks.

    Parameters
    ----------
    pool : Pool
        What may move, of `Tracklets`.
    detections : DataFrame, shape (n, ...)
        The table that was given to `link_tracklets`.
    sources : DataFrame, shape (n_rows, ...)
        Rows of that table by SOURCE_NUMBER: CATALOG_NUMBER, EXTENSION, NUMBER.
    pm_low, pm_up, min_detections, max_chance
        As in `link_tracklets`.

    Returns
    -------
    DataFrame, one row per source
        `VERDICT_COLUMNS`, by SOURCE_NUMBER; MEASURED, LIMIT and REASON say why a source is not accepted.
        SCORE, N_CHANCE and CHI2_DOF are missing where too few of its detections may move.
    """
    number, track = _tracks(pool, detections, sources)
    for prune in 2 * (without_odd, without_worst):
        enough = (track >= 0).sum(axis=1) >= max(min_detections, 2)
        track[enough] = prune(pool, track[enough])
    left = (track >= 0).sum(axis=1)
    enough = left >= max(min_detections, 2)
    judged = assess(
        pool, track[enough], pm_low=pm_low, pm_up=pm_up, needed=min_detections, max_chance=max_chance
    )
    by_chance = judged.log_expected > np.log(max_chance)
    chance = np.exp(np.clip(judged.log_expected, -700.0, 700.0))
    fit = judged.motion.chi2 / np.maximum(judged.dof, 1)
    return pd.DataFrame(
        {
            "SOURCE_NUMBER": number,
            "SCORE": _where(enough, -judged.log_expected / np.log(10.0), np.nan),
            "N_CHANCE": _where(enough, chance, np.nan),
            "CHI2_DOF": _where(enough, fit, np.nan),
            "ACCEPTED": _where(enough, judged.accepted & ~judged.standing, 0.0).astype(bool),
            "MEASURED": _where(enough, np.where(by_chance, chance, fit), left),
            "LIMIT": _where(enough, np.where(by_chance, max_chance, np.nan), float(min_detections)),
            "REASON": [
                REST if not some else CHANCE if many else UNSTEADY
                for some, many in zip(enough, _where(enough, by_chance, 0.0), strict=True)
            ],
        }
    )[list(VERDICT_COLUMNS)]


def _where(mask: BoolArray, values: FloatArray | BoolArray, other: float | IntArray) -> FloatArray:
    """`values`, one for each true of `mask`, in their places; `other` elsewhere."""
    result = np.full(mask.size, other, dtype=np.float64)
    result[mask] = values
    return result


def _tracks(pool: Pool, detections: pd.DataFrame, sources: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Numbers of the sources, and their detections in the pool by epoch, -1 where there is none."""
    row = pool.plane.rows[pool.members]
    known = detections[_DETECTION].iloc[row].assign(INDEX=np.arange(pool.n))
    number, inverse = np.unique(sources["SOURCE_NUMBER"].to_numpy(np.int64), return_inverse=True)
    own = sources[_DETECTION].assign(ROW=inverse).merge(known, on=_DETECTION, how="inner")
    index = own["INDEX"].to_numpy(np.intp)
    track = np.full((number.size, pool.times.size), -1, dtype=np.intp)
    track[own["ROW"].to_numpy(np.intp), pool.epoch[index]] = index
    return number, track
