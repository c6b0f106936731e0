"""Pairs of detections of two epochs that could be one mover: where tracks start."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.pixels import SAME_PLACE_PX
from ssosd.linker.tracklets.pool import Pool

LAGS = 2  # an epoch is paired with so many next ones at all rates
FAST_LATER = 500.0  # arcsec/h: above this, with the next one only
SLOW_REACH = 8.0  # arcsec, of fine pixels: later ones up to this, for what moves less than its error before
FEW_EPOCHS = 8  # up to so many epochs, all are paired
SIGNIFICANT = 2.0  # displacement over its error
MAG_STEP = 1.2  # mag between detections of a point
TRAIL_MAG_STEP = 2.5  # and of a trail, or pieces of it
TRAILED_FWHM = 2.5  # a trail longer than this, in FWHM, shows in the shape
ALIKE = 0.25  # limit of the product of the two chances of their stretch, for a trail
LONG_TRAIL = 20.0  # arcsec
LONG_ALIKE = 0.1
LEAST_REACH = 30.0  # arcsec that are searched whatever the budget
BUDGET = 1_200_000  # pairs looked at; of two epochs at most so many:
BUDGET_OF_TWO = 200_000
DRAWN_OUT = 0.3  # beyond the budget's reach: share of the detections, less with every ring,
FARTHER = 1.5  # which is so many times as wide as the one before


def partners(times: FloatArray) -> list[tuple[int, int, bool]]:
    """Epochs to be paired: (earlier, later, at all rates).

    Examples
    --------
    >>> partners(np.array([0.0, 1.0, 2.0, 3.0]))[:3]
    [(0, 1, True), (0, 2, True), (0, 3, False)]
    """
    n = times.size
    chosen: list[tuple[int, int, bool]] = []
    for i in range(n):
        later = [(i, j, True) for j in range(i + 1, min(i + 1 + LAGS, n))]
        if n <= FEW_EPOCHS:
            later += [(i, j, False) for j in range(i + 1 + LAGS, n)]
        else:
            step, last = 2.0, i + LAGS
            while last < n - 1 and i + 1 < n:
                wanted = times[i] + step * (times[i + 1] - times[i])
                j = max(int(np.searchsorted(times, wanted - 1e-9)), last + 1)
                if j >= n:
                    break
                later.append((i, j, False))
                last, step = j, step * 2.0
        chosen += later
    return chosen


def make_pairs(pool: Pool, *, pm_low: float, pm_up: float) -> tuple[IntArray, float]:
    """Find the pairs.

    Where there are too many, those far apart are sought among the detections that are drawn out the most:
    what is fast leaves a trail.

    Parameters
    ----------
    pool : Pool
    pm_low, pm_up : float
        Rates, arcsec/h.

    Returns
    -------
    pairs : ndarray of int, shape (m, 2)
        Index of the earlier and of the later detection.
    fastest : float
        Rate up to which all were tried, whatever their shape, arcsec/h: `pm_up` or less.
    """
    order = np.lexsort((pool.y, pool.x, -np.abs(pool.stretch), pool.epoch))
    edges = np.searchsorted(pool.epoch[order], np.arange(pool.times.size + 1))
    groups = [order[low:high] for low, high in pairwise(edges)]  # the most drawn out first
    chosen = partners(pool.times)
    budget = min(BUDGET_OF_TWO, BUDGET // max(sum(all_rates for _, _, all_rates in chosen), 1))
    parts, fastest = [np.empty((0, 2), dtype=np.intp)], pm_up
    for i, j, all_rates in chosen:
        dt = float(pool.times[j] - pool.times[i])
        first, second = groups[i], groups[j]
        if not all_rates:
            radius = min(SLOW_REACH * pool.plane.coarse, pm_up * dt + 1.0)
            parts.append(_near(pool, first, second, 0.0, radius, dt, pm_low))
            continue
        radius = (pm_up if j == i + 1 else min(pm_up, FAST_LATER)) * dt + 1.0
        within = max(_reach(pool, first.size * second.size, budget), LEAST_REACH)
        outer = min(radius, within)
        if j == i + 1 and within < radius:
            fastest = min(fastest, within / dt)
        parts.append(_near(pool, first, second, 0.0, outer, dt, pm_low))
        while outer < radius:
            inner, outer = outer, min(FARTHER * outer, radius)
            share = DRAWN_OUT * within / outer
            early, late = (g[: math.ceil(share * g.size)] for g in (first, second))
            parts.append(_near(pool, early, late, inner, outer, dt, pm_low))
    return np.concatenate(parts), fastest


def _reach(pool: Pool, product: int, budget: int) -> float:
    """Radius, arcsec, within which there are about `budget` pairs of two epochs."""
    return float(np.sqrt(budget * pool.plane.area / (np.pi * max(product, 1))))


def _near(
    pool: Pool, first: IntArray, second: IntArray, inner: float, outer: float, dt: float, pm_low: float
) -> IntArray:
    """Plausible pairs between two distances."""
    if not (first.size and second.size and outer > inner):
        return np.empty((0, 2), dtype=np.intp)
    a, b = (cKDTree(np.stack([pool.x[g], pool.y[g]], axis=-1)) for g in (first, second))
    near = a.sparse_distance_matrix(b, outer, output_type="ndarray")
    near = near[near["v"] > inner]
    pair = np.stack([first[near["i"]], second[near["j"]]], axis=-1)
    return pair[_plausible(pool, pair, near["v"], dt, pm_low)]


def _followed(pool: Pool, i: IntArray, j: IntArray) -> BoolArray:
    """Whether two detections are at one place of the detector, while stars are trails: of a point."""
    if not pool.stars.drawn_out:
        return np.zeros(i.size, dtype=bool)
    first, second = pool.members[i], pool.members[j]
    plane = pool.plane
    off = (v[first] - v[second] for v in (plane.pixel_x, plane.pixel_y))
    return np.asarray((np.hypot(*off) < SAME_PLACE_PX) & (plane.chip[first] == plane.chip[second]))


def _plausible(pool: Pool, pair: IntArray, distance: FloatArray, dt: float, pm_low: float) -> BoolArray:
    """Whether a pair moves, is of one brightness and, when it should be trailed, not across its motion."""
    i, j = pair[:, 0], pair[:, 1]
    error = np.hypot(pool.sigma[i], pool.sigma[j])
    keep = (distance > SIGNIFICANT * error) & (distance + 3.0 * error > pm_low * dt)
    # what stays in its place while time passes is no mover as fast as this
    rested = (pool.shared[i] > 1) | (pool.shared[j] > 1)
    keep &= ~rested | (distance < SLOW_REACH * pool.plane.coarse)
    exptime = pool.plane.exptimes
    trail = distance / dt * np.minimum(exptime[pool.epoch[i]], exptime[pool.epoch[j]])
    trailed = (trail > TRAILED_FWHM * pool.fwhm) & ~_followed(pool, i, j)
    step = np.nan_to_num(np.abs(pool.brightness[i] - pool.brightness[j]))
    keep &= step <= np.where(trailed, TRAIL_MAG_STEP, MAG_STEP)
    rows = np.flatnonzero(keep & trailed)
    angle = np.arctan2(pool.y[j[rows]] - pool.y[i[rows]], pool.x[j[rows]] - pool.x[i[rows]])
    chance = pool.stretch_chance(i[rows], angle) * pool.stretch_chance(j[rows], angle)
    keep[rows] = chance <= np.where(trail[rows] > LONG_TRAIL, LONG_ALIKE, ALIKE)
    return keep
