"""FILTER_MOTION: sources that do not move on a straight line at a constant rate.

The rule is the documented one of the `ssos` pipeline (its known weakness included: a mover exactly along
the ecliptic where that runs along RA, or exactly along Dec, has no R^2 in one coordinate and is lost).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssosd import motion
from ssosd.filters import r_squared
from ssosd.filters.outcome import Criterion, Outcome, sorted_column
from ssosd.grouping import BoolArray, FloatArray, Grouping, IntArray

COLUMNS = ("RA", "DEC", "MID_EXPOSURE_MJD", "ERRA_WORLD", "FLAGS_SCAMP")

SCAMP_FLAG = 64  # SCAMP's bit for a proper motion that does not fit
FLAGGED_LIMIT = 2  # flagged detections that reject a source
FLAGGED_FRACTION_LIMIT = 0.2  # flagged share of the detections that rejects a source
MIN_SUBGROUP = 3  # detections that make a subgroup of epochs; fewer are outliers
GAP_TOLERANCE_DAY = 1e-8  # 1 ms: equal cadences must not be split by rounding


def filter_linear_motion(
    detections: pd.DataFrame,
    grouping: Grouping,
    *,
    r_squ_m: float,
    identify_outlier: bool,
    outlier_threshold: float,
) -> Outcome:
    """Reject the sources that are not in uniform motion.

    1. SCAMP's flag 64 on 2 detections or more, or on 20 % or more of them, rejects.
    2. With `identify_outlier`, the epochs E of a source are split wherever two consecutive ones differ by
       more than OUTLIER_THRESHOLD times ``MAD = median(|E - median(E)|)``. The subgroups of 3 detections or
       more are judged one by one, and one that fails rejects the source; the detections in smaller
       subgroups are its epoch outliers, which get FLAGS_SSOS 1. A source of outliers only is rejected.
       A source without such a gap is judged as a whole, whatever its number of detections.
    3. R^2 against epoch must be at least R_SQU_M in RA and in Dec, or, where Dec alone fails, in ecliptic
       longitude and latitude: `r_squared.worst_r_squared`.

    Detections without a finite position and epoch are left out of steps 2 and 3.

    Parameters
    ----------
    detections : DataFrame
        Columns RA, DEC (deg ICRS), MID_EXPOSURE_MJD (UTC days), ERRA_WORLD (deg), FLAGS_SCAMP.
    grouping : Grouping
    r_squ_m : float
        R_SQU_M, 0 to 1.
    identify_outlier : bool
        IDENTIFY_OUTLIER.
    outlier_threshold : float
        OUTLIER_THRESHOLD, in MAD.

    Returns
    -------
    Outcome
        For a rejection by R^2 the worst R^2 of the source's failing fits is recorded, with its coordinate.
        `flagged` marks the epoch outliers.
    """
    criteria = _flag_criteria(detections, grouping)
    unflagged = ~(criteria[0].rejects | criteria[1].rejects)
    judged, parents = _usable_rows(detections, grouping, unflagged)
    unusable = unflagged.copy()
    unusable[parents] = False

    whole = judged.grouping
    new = _gaps(judged, outlier_threshold) if identify_outlier else np.zeros(judged.t.size, dtype=bool)
    pieces, whole_of = whole.split(new)
    source = parents[whole_of]
    split = np.bincount(whole_of, minlength=whole.n_groups)[whole_of] > 1
    outlying = split & (pieces.counts < MIN_SUBGROUP)
    fitted = ~outlying
    flagged = np.zeros(grouping.order.size, dtype=bool)
    flagged[judged.rows[np.repeat(outlying, pieces.counts)]] = True
    criteria.append(_outlier_criterion(grouping.n_groups, source, pieces.counts, fitted))

    rows = np.repeat(fitted, pieces.counts)
    r2, code = r_squared.worst_r_squared(
        pieces.select(fitted),
        t=judged.t[rows],
        ra=judged.ra[rows],
        dec=judged.dec[rows],
        sigma=judged.sigma[rows],
        r_squ_m=r_squ_m,
    )
    criteria += _fit_criteria(grouping.n_groups, source[fitted], r2, code, split[fitted], unusable, r_squ_m)
    return Outcome.of(grouping.n_groups, criteria, flagged=flagged)


def _flag_criteria(detections: pd.DataFrame, grouping: Grouping) -> list[Criterion]:
    """Judge SCAMP's flag by its count and by its fraction; a missing FLAGS_SCAMP (NaN) is no flag."""
    flags = np.nan_to_num(sorted_column(detections, "FLAGS_SCAMP", grouping)).astype(np.int64)
    n_flagged = grouping.sum((flags & SCAMP_FLAG) != 0)
    return [
        Criterion(
            reason="SCAMP flag 64 on too many detections",
            rejects=n_flagged >= FLAGGED_LIMIT,
            measured=n_flagged,
            limit=FLAGGED_LIMIT,
        ),
        Criterion(
            reason="SCAMP flag 64 on too large a fraction of the detections",
            rejects=5 * n_flagged >= grouping.counts,  # 20 % without rounding
            measured=n_flagged / grouping.counts,
            limit=FLAGGED_FRACTION_LIMIT,
        ),
    ]


def _outlier_criterion(n_sources: int, source: IntArray, counts: IntArray, fitted: BoolArray) -> Criterion:
    """Find the sources of which no piece is large enough to be fitted; measured is the largest piece."""
    largest = np.zeros(n_sources)
    np.maximum.at(largest, source, counts)
    only_outliers = largest > 0
    only_outliers[source[fitted]] = False
    return Criterion(
        reason="epoch outliers only, no subgroup of enough detections",
        rejects=only_outliers,
        measured=largest,
        limit=MIN_SUBGROUP,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Judged:
    """The rows that can be fitted: arrays of shape (n_rows,), in the order of `grouping`."""

    grouping: Grouping
    rows: IntArray  # position of each row among the sorted rows of the full grouping
    t: FloatArray  # days after the source's first epoch
    ra: FloatArray  # deg
    dec: FloatArray  # deg
    sigma: FloatArray  # arcsec


def _usable_rows(
    detections: pd.DataFrame, grouping: Grouping, sources: BoolArray
) -> tuple[_Judged, IntArray]:
    """Rows of the given `sources` with finite epoch and position, and the source index of each group left."""
    time = sorted_column(detections, "MID_EXPOSURE_MJD", grouping)
    ra = sorted_column(detections, "RA", grouping)
    dec = sorted_column(detections, "DEC", grouping)
    usable = np.isfinite(time) & np.isfinite(ra) & np.isfinite(dec) & np.repeat(sources, grouping.counts)
    left, parents = grouping.restrict(usable)
    time = time[usable]
    judged = _Judged(
        grouping=left,
        rows=np.flatnonzero(usable),
        t=time - time[left.starts][left.labels],
        ra=ra[usable],
        dec=dec[usable],
        sigma=motion.usable_errors(left, sorted_column(detections, "ERRA_WORLD", left) * 3600.0),
    )
    return judged, parents


def _gaps(judged: _Judged, outlier_threshold: float) -> BoolArray:
    """Whether a row comes after a gap in the epochs of its source, shape (n_rows,)."""
    grouping, t = judged.grouping, judged.t
    centre = grouping.median_of_sorted(t)
    mad = grouping.median(np.abs(t - centre[grouping.labels]))
    step = np.diff(t, prepend=0.0)
    gap = step > outlier_threshold * mad[grouping.labels] + GAP_TOLERANCE_DAY
    gap[grouping.starts] = False
    return gap


def _fit_criteria(
    n_sources: int,
    source: IntArray,
    r2: FloatArray,
    code: IntArray,
    split: BoolArray,
    unusable: BoolArray,
    r_squ_m: float,
) -> list[Criterion]:
    """Criteria of the fits: for each source the worst of its failing pieces, in one of nine wordings."""
    failing = code >= 0
    source, r2, code, split = source[failing], r2[failing], code[failing], split[failing]
    rank = np.where(code == r_squared.TOO_FEW, -1.0, r2)
    order = np.lexsort((rank, source))
    first = order[np.flatnonzero(np.diff(source[order], prepend=-1))]
    source, r2, code, split = source[first], r2[first], code[first], split[first]

    too_few = unusable.copy()
    too_few[source[code == r_squared.TOO_FEW]] = True
    criteria = [
        Criterion(
            reason="fewer than two different epochs with a position",
            rejects=too_few,
            measured=np.where(unusable, 0.0, 1.0),
            limit=2.0,
        )
    ]
    measured = np.full(n_sources, np.nan)
    measured[source] = r2
    for i, coordinate in enumerate(r_squared.COORDINATES):
        for is_split in (False, True):
            rejects = np.zeros(n_sources, dtype=bool)
            rejects[source[(code == i) & (split == is_split)]] = True
            where = " in a subgroup of epochs" if is_split else ""
            note = ", Dec not linear" if i >= 2 else ""
            reason = f"R^2 of {coordinate} against epoch below R_SQU_M{where}{note}"
            criteria.append(Criterion(reason=reason, rejects=rejects, measured=measured, limit=r_squ_m))
    return criteria
