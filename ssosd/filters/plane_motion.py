"""FILTER_MOTION with MOTION_FIT PLANE: sources that do not move as one object does on the sky.

The motion is judged in both coordinates together, on the tangent plane, with the errors that the field's own
stars show: a mover along RA or along Dec is as good as any other, and the slow curvature of a long arc (the
observer's parallax) is part of the model.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.special import chdtri

from ssosd import motion
from ssosd.filters.outcome import Criterion, Outcome, by_tracklets, sorted_column
from ssosd.grouping import BoolArray, FloatArray, Grouping, IntArray, instants
from ssosd.trackfit import fit_motion

COLUMNS = ("RA", "DEC", "MID_EXPOSURE_MJD", "EXPTIME", "ERR_POSITION")

MIN_INSTANTS = 3  # two positions fit any motion
SIGNIFICANT = 4.8  # smallest rate in its own standard errors
MIN_MOVED = 0.4  # arcsec: less is a centroid that wanders
CALM_MOVED, OFTEN, ENOUGH = 1.5, 0.6, 100  # arcsec, share of the instants, number: sources at rest
MOVING_SHARE, MOVING_NUMBER = 0.01, 5  # of these, that may be slow movers after all
STEADY_SHARE, STEADY_MORE = 0.1, 1.1  # and of those whose motion is steady; so much unrest is usual
FIT_CHANCE = 1e-4  # a fit is bad when so few of the true ones have as large a chi-square


def filter_plane_motion(detections: pd.DataFrame, grouping: Grouping) -> Outcome:
    """Reject the sources that are not in significant motion on a great circle.

    In this order: detections at fewer than three instants; a rate of less than 4.8 of its standard errors
    (more where the field's stars at rest seem to move themselves, as they do unfiltered in refracting air);
    less than 0.4 arcsec from first to last; a chi-square of the fit (position, rate and an acceleration as
    objects show it, see `ssosd.trackfit`) that one true mover in ten thousand exceeds. SCAMP's flag 64 and
    R_SQU_M have no say.

    Parameters
    ----------
    detections : DataFrame
        Columns RA, DEC (deg ICRS), MID_EXPOSURE_MJD (UTC days), EXPTIME (s), ERR_POSITION (arcsec).
    grouping : Grouping

    Returns
    -------
    Outcome
        Measured and limit are the number of instants, the rate over its error, arcsec, or chi-square per
        degree of freedom.
    """
    t = sorted_column(detections, "MID_EXPOSURE_MJD", grouping)
    ra, dec = sorted_column(detections, "RA", grouping), sorted_column(detections, "DEC", grouping)
    sigma = sorted_column(detections, "ERR_POSITION", grouping)
    instant = instants(t)
    usable = np.isfinite(ra) & np.isfinite(dec) & (instant >= 0)
    n_instants = _count_instants(grouping, instant, usable)
    few = n_instants < MIN_INSTANTS

    simple = motion.rates(grouping, t_mjd=np.where(usable, t, np.nan), ra=ra, dec=dec, sigma_arcsec=sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = simple.pm / simple.pm_err
    arc = (grouping.max(np.where(usable, t, np.nan)) - grouping.min(np.where(usable, t, np.nan))) * 24.0
    moved = simple.pm * arc
    steady = simple.chi2 <= chdtri(np.maximum(2 * simple.n - 4, 1), FIT_CHANCE)
    often = simple.n >= OFTEN * simple.n.max(initial=0)
    calm = often & (moved < CALM_MOVED) & np.isfinite(significance)
    unrest = _restlessness(significance[calm & steady], STEADY_SHARE)
    significant = SIGNIFICANT * np.where(
        by_tracklets(detections, grouping),
        unrest if unrest > STEADY_MORE else 1.0,
        _restlessness(significance[calm], MOVING_SHARE),
    )
    resting = ~(significance >= significant)

    chi2_dof, limit = np.full(grouping.n_groups, np.nan), np.full(grouping.n_groups, np.nan)
    left = ~few & ~resting & (moved >= MIN_MOVED)
    if left.any():
        rows = np.repeat(left, grouping.counts) & usable
        exptime = sorted_column(detections, "EXPTIME", grouping)
        chi2, n = _fit(grouping, rows, instant=instant, t=t, ra=ra, dec=dec, sigma=sigma, exptime=exptime)
        dof = np.maximum(2 * n[left] - 4, 1)
        chi2_dof[left], limit[left] = chi2[left] / dof, chdtri(dof, FIT_CHANCE) / dof
    return Outcome.of(
        grouping.n_groups,
        [
            Criterion(
                reason="detected at too few instants to tell motion",
                rejects=few,
                measured=n_instants,
                limit=MIN_INSTANTS,
            ),
            Criterion(
                reason="the rate is not significant against its error",
                rejects=resting,
                measured=significance,
                limit=significant,
            ),
            Criterion(
                reason="it moves less than a centroid may wander",
                rejects=~few & ~(moved >= MIN_MOVED),
                measured=moved,
                limit=MIN_MOVED,
            ),
            Criterion(
                reason="chi-square of the motion on a great circle",
                rejects=left & ~(chi2_dof <= limit),
                measured=chi2_dof,
                limit=limit,
            ),
        ],
    )


def _restlessness(significance: FloatArray, share: float) -> float:
    """How many times larger the rates of what is at rest are than their errors say; 1 if few tell.

    Some may be slow movers after all, so the quantile is the one that leaves out a share of them, or five.
    """
    if significance.size < ENOUGH:
        return 1.0
    beyond = max(share, MOVING_NUMBER / significance.size)
    expected = math.sqrt(-2.0 * math.log(beyond))  # quantile of a rate in its errors: Rayleigh's distribution
    return max(1.0, float(np.quantile(significance, 1.0 - beyond)) / expected)


def _count_instants(grouping: Grouping, instant: IntArray, usable: BoolArray) -> IntArray:
    """Different instants of each source; rows are in time order."""
    labels, own = grouping.labels[usable], instant[usable]
    new = np.ones(own.size, dtype=bool)
    new[1:] = (labels[1:] != labels[:-1]) | (own[1:] != own[:-1])
    return np.bincount(labels[new], minlength=grouping.n_groups).astype(np.intp)


def _fit(
    grouping: Grouping,
    rows: BoolArray,
    *,
    instant: IntArray,
    t: FloatArray,
    ra: FloatArray,
    dec: FloatArray,
    sigma: FloatArray,
    exptime: FloatArray,
) -> tuple[FloatArray, IntArray]:
    """Chi-square and instants of the sources that have `rows`; of two rows at an instant the first."""
    plane = motion.tangent_plane(grouping, ra=np.where(rows, ra, np.nan), dec=np.where(rows, dec, np.nan))
    member = np.flatnonzero(rows)[::-1]  # the first row of an instant is written last, and stays
    source, source_of = np.unique(grouping.labels[member], return_inverse=True)
    epoch, epoch_of = np.unique(instant[member], return_inverse=True)
    shape = (source.size, epoch.size)
    seen = np.zeros(shape, dtype=bool)
    x, y, s = np.zeros(shape), np.zeros(shape), np.ones(shape)
    seen[source_of, epoch_of] = True
    for target, values in ((x, plane.xi), (y, plane.eta), (s, sigma)):
        target[source_of, epoch_of] = values[member]
    times, exposed = np.zeros(epoch.size), np.zeros(epoch.size)
    times[epoch_of], exposed[epoch_of] = t[member], np.nan_to_num(exptime[member])
    fitted = fit_motion(
        x=x, y=y, sigma=s, seen=seen, t=(times - times.mean()) * 24.0, exptime=exposed / 3600.0
    )
    chi2, n = np.full(grouping.n_groups, np.nan), np.zeros(grouping.n_groups, dtype=np.intp)
    chi2[source], n[source] = fitted.chi2, seen.sum(axis=1)
    return chi2, n
