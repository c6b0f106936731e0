"""How many tracks as good as a given one chance alone would make of the field's detections.

The number of false alarms of the a-contrario method (Desolneux, Moisan & Morel, From Gestalt Theory to Image
Analysis, 2008, ch. 3): the number of ways to choose the detections, times the probability that detections
thrown at random fit as well. Tracks with an expectation below a limit are, in a field of chance alone, fewer
than that limit.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.blends import looks_blended
from ssosd.linker.tracklets.pairs import TRAILED_FWHM
from ssosd.linker.tracklets.pixels import SAME_PLACE_PX
from ssosd.linker.tracklets.pool import Pool
from ssosd.trackfit import Motion, arc_hours, spread

# Detections are not thrown at random but come in clumps, and centroids have long tails: how many times more
# false tracks painted nights show than the theory says.
CLUMPED, WANDERING = 30.0, 200.0
BLENDED = 200.0  # and of what looks blended so many times more
WANDER_SHARE = 0.7  # of the distance moved: places whose centroid wanders so far are counted
LONG_GAP = 0.6  # of the arc: a gap between two visits
MAG_FLOOR = 0.15  # magnitudes are not more alike than this


def log_expected(
    pool: Pool, track: IntArray, motion: Motion, clean: BoolArray, points: BoolArray
) -> FloatArray:
    """Natural logarithm of the expected number of chance tracks as good as each, shape (m,).

    Parameters
    ----------
    pool : Pool
    track : ndarray of int, shape (m, n_epochs)
    motion : Motion
        Of the tracks.
    clean : ndarray of bool, shape (m, n_epochs)
        Detections that count as evidence.
    points : ndarray of bool, shape (m,)
        What stays at one place of the detector among stars that are trails.

    Notes
    -----
    For k detections in n epochs: C(n, k) choices of epochs, the first detection one of N, the last within
    the distance moved, each of the m = k - 2 between at random near its predicted place. The probability that
    their residuals have a chi-square of at most c is the volume of the ellipsoid, ``(pi c)^m / m!`` times the
    products of the errors and densities. Shapes and magnitudes enter by Fisher's product of probabilities.
    The other hypothesis is an object at rest whose centroid wanders as far (a blend, a galaxy): then each of
    the m is anywhere within the distance moved, and there are as many such objects as the field shows. A
    third one is that of two objects at rest, see `_log_two_at_rest`. The largest of the numbers counts.
    What the telescope followed is not sought among all motions: the others are where the first one was.
    """
    n_epochs = pool.times.size
    k = clean.sum(axis=1)
    between = np.maximum(k - 2, 0)
    counts = np.bincount(pool.epoch, minlength=n_epochs)
    density = spread(track, pool.density) * (counts / max(counts.mean(), 1e-9))
    log_density = np.where(clean, np.log(np.maximum(density, 1e-12)), 0.0)
    arc = arc_hours(clean, pool.times)
    volume = motion.log_volume * between / np.maximum((track >= 0).sum(axis=1) - 2, 1)
    chi2 = np.maximum(np.where(clean, motion.point_chi2, 0.0).sum(axis=1), between)
    choices = gammaln(n_epochs + 1) - gammaln(k + 1) - gammaln(n_epochs - k + 1)
    choices += np.log(max(counts.mean(), 1.0))
    reach = np.pi * (motion.rate * arc + 2.0 * pool.fwhm) ** 2
    mean_log = log_density.sum(axis=1) / np.maximum(k, 1)
    value = choices + np.minimum(np.log(reach), np.log(pool.plane.area)) + mean_log
    value += between * (np.log(np.pi * np.maximum(chi2, 1e-3)) + mean_log) - gammaln(between + 1)
    value += volume
    stays = np.pi * (SAME_PLACE_PX * pool.plane.scale) ** 2
    there = choices + np.maximum(k - 1, 0) * (np.log(stays) + mean_log)
    value = np.where(points, np.minimum(value, there), value)
    moved = np.maximum(motion.rate * arc, 1e-3)
    unsteady = 1.0 + pool.wander.size - np.searchsorted(pool.wander, WANDER_SHARE * moved)
    wander = np.log(unsteady) + volume - gammaln(between + 1)
    wander += between * np.log(np.maximum(chi2, 1e-3) / (0.5 * moved) ** 2)
    wander += np.log(BLENDED) * looks_blended(pool, track, moved)
    likeness = _log_fisher(pool, track, motion, clean, points)
    alike = np.maximum(value + np.log(CLUMPED), wander + np.log(WANDERING)) + likeness
    return np.asarray(np.maximum(alike, _log_two_at_rest(pool, track, motion, clean)), dtype=np.float64)


def _log_two_at_rest(pool: Pool, track: IntArray, motion: Motion, clean: BoolArray) -> FloatArray:
    """Log of the expected number of pairs of things at rest, each seen in one visit, that move as much.

    Where a gap in time makes up most of the arc, what was detected before it may be one faint thing at rest,
    and what was detected after it another: as many pairs as the field has, so near to each other, and the
    motion within each visit is chance. -inf where there is no such gap.
    """
    result = np.full(len(track), -np.inf)
    t = np.where(clean, pool.times, np.nan)
    arc = arc_hours(clean, pool.times)
    latest = np.fmax.accumulate(t, axis=1)
    gap = np.nan_to_num(t[:, 1:] - latest[:, :-1], nan=0.0)
    after = np.argmax(gap, axis=1) + 1 if gap.size else np.zeros(len(track), dtype=np.intp)
    rows = np.flatnonzero(gap.max(axis=1, initial=0.0) > LONG_GAP * np.maximum(arc, 1e-9))
    for split in np.unique(after[rows]):
        own = rows[after[rows] == split]
        members, logs = clean[own], np.zeros(own.size)
        for epochs in (np.arange(split), np.arange(split, track.shape[1])):
            seen = members[:, epochs]
            logs += np.log(_places_seen(pool, epochs, seen.sum(axis=1)))
            logs -= 0.5 * _motion_within(
                pool, track[np.ix_(own, epochs)], seen, motion.point_chi2[np.ix_(own, epochs)]
            )
        reach = np.pi * (motion.rate[own] * arc[own] + 2.0 * pool.fwhm) ** 2
        result[own] = logs + np.minimum(np.log(reach / pool.plane.area), 0.0)
    return result


def _places_seen(pool: Pool, epochs: IntArray, count: IntArray) -> FloatArray:
    """How many places of the pool are seen in as many of some epochs, shape (m,); 1 at least."""
    here = np.isin(pool.epoch, epochs)
    of_place = np.bincount(pool.place[here])
    often = np.bincount(of_place)
    more = np.append(np.cumsum(often[::-1])[::-1], 0)  # places seen so often or more
    return np.maximum(more[np.minimum(count, more.size - 1)], 1).astype(np.float64)


def _motion_within(pool: Pool, track: IntArray, seen: BoolArray, chi2: FloatArray) -> FloatArray:
    """By how much chi-square is better with the motion than at rest, within a visit, shape (m,)."""
    weight = np.where(seen, pool.sigma[track] ** -2.0, 0.0)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
    rest = np.zeros(len(track))
    for values in (pool.x[track], pool.y[track]):
        mean = (weight * values).sum(axis=1, keepdims=True) / total
        rest += (weight * (values - mean) ** 2).sum(axis=1)
    return np.maximum(rest - np.where(seen, chi2, 0.0).sum(axis=1), 0.0)


def _log_fisher(
    pool: Pool, track: IntArray, motion: Motion, clean: BoolArray, points: BoolArray
) -> FloatArray:
    """Log of the chance that shapes and magnitudes agree as well."""
    safe = np.maximum(track, 0)
    trail = np.where(points, 0.0, motion.rate)[:, None] * pool.plane.exptimes
    trailed = clean & (trail > TRAILED_FWHM * pool.fwhm)
    angle = np.broadcast_to(motion.angle[:, None], track.shape)
    shape = np.ones(track.shape)
    shape[trailed] = pool.stretch_chance(safe[trailed], angle[trailed])
    mags = np.sort(pool.brightness[np.isfinite(pool.brightness)])
    alike = np.ones(track.shape)
    measured = clean & np.isfinite(pool.brightness[safe])
    if mags.size and measured.any():
        mag = np.where(measured, pool.brightness[safe], 0.0)
        count = np.maximum(measured.sum(axis=1), 1)
        mean = mag.sum(axis=1) / count
        away = np.maximum(np.abs(mag - mean[:, None]), MAG_FLOOR)
        high = np.searchsorted(mags, mean[:, None] + away, side="right")
        low = np.searchsorted(mags, mean[:, None] - away)
        alike = np.where(measured, np.clip((high - low) / mags.size, 1.0 / mags.size, 1.0), 1.0)
    log_p = np.log(shape).sum(axis=1) + np.log(alike).sum(axis=1)
    terms = trailed.sum(axis=1) + np.maximum(measured.sum(axis=1) - 1, 0)
    return _fisher(log_p, terms)


def _fisher(log_p: FloatArray, terms: IntArray) -> FloatArray:
    """Log of the probability that a product of `terms` uniform numbers is at most exp(log_p)."""
    log_x = np.log(np.maximum(-log_p, 1e-300))
    total = np.full(log_p.size, -np.inf)
    for order in range(int(terms.max()) if terms.size else 0):
        term = order * log_x - gammaln(order + 1)
        total = np.where(order < terms, np.logaddexp(total, term), total)
    return np.where(terms > 0, log_p + total, 0.0)
