"""From pairs to tracks: what else is found where a pair says the object must be."""

from __future__ import annotations

import numpy as np

from ssosd.grouping import BoolArray, FloatArray, Grouping, IntArray
from ssosd.linker.tracklets.pairs import FEW_EPOCHS
from ssosd.linker.tracklets.pool import GATE_CHI2, Pool
from ssosd.trackfit import TRAIL_ERROR, TRAIL_WIDTH, Motion, acceleration_sigma, fit_motion, spread

FIRST_LOOK = 6  # epochs around a pair in which the first other detections must be
MOST_BY_CHANCE = 10.0  # detections expected where a pair predicts another: beyond, it is not looked for
FARTHEST = 4.0  # arcsec, of fine pixels: error of a prediction with which a detection is looked for
ROUNDS = 6
PAIRS_AT_ONCE, PLACES_AT_ONCE = 300_000, 30_000_000  # pairs extended in one go, and these times the epochs
BEST = 2
LEAST_SHARE = 0.25  # of the epochs between its ends that a track must be seen in
CHUNK = 2_000_000  # places looked at in one go


def first_tracks(pool: Pool, pairs: IntArray, *, needed: int) -> IntArray:
    """Extend pairs to the epochs around them; of many epochs keep the best for each detection."""
    step = min(PAIRS_AT_ONCE, max(PLACES_AT_ONCE // max(pool.times.size, 1), 1))
    around = _epochs_around(pool.times, FIRST_LOOK)
    parts = [
        first_hits(pool, pairs[k : k + step], needed=needed, around=around)
        for k in range(0, max(len(pairs), 1), step)
    ]
    track = unique_tracks(pool, np.concatenate(parts))
    return track if pool.times.size <= FEW_EPOCHS else _best_of_each(track)


def _best_of_each(track: IntArray) -> IntArray:
    """Keep the tracks that are among the `BEST` of one of their detections: longest, then first."""
    n = (track >= 0).sum(axis=1)
    track = track[np.lexsort((np.arange(len(track)), -n))]
    rows, columns = np.nonzero(track >= 0)
    groups = Grouping.of(track[rows, columns], rows)
    keep = np.zeros(len(track), dtype=bool)
    keep[rows[groups.order[groups.ranks < BEST]]] = True
    return track[keep]


def first_hits(pool: Pool, pairs: IntArray, *, needed: int, around: IntArray) -> IntArray:
    """Extend pairs to the epochs around them.

    Parameters
    ----------
    pool : Pool
    pairs : ndarray of int, shape (m, 2)
    needed : int
        Detections, the pair included, that a track needs to go on.
    around : ndarray of int, shape (n_epochs, n_epochs, n)
        The epochs to look at of each pair of epochs, -1 where there are fewer.

    Returns
    -------
    ndarray of int, shape (m_left, n_epochs)
        Detections by epoch, -1 where there is none.
    """
    times, exptimes = pool.times, pool.plane.exptimes
    n_epochs = times.size
    i, j = pairs[:, 0], pairs[:, 1]
    ei, ej = pool.epoch[i], pool.epoch[j]
    dt = times[ej] - times[ei]
    dx, dy = pool.x[j] - pool.x[i], pool.y[j] - pool.y[i]
    angle, rate = np.arctan2(dy, dx), np.hypot(dx, dy) / dt
    accelerated = acceleration_sigma(rate)
    track = np.full((len(pairs), n_epochs), -1, dtype=np.intp)
    rows = np.arange(len(pairs))
    track[rows, ei], track[rows, ej] = i, j
    around = around[ei, ej]
    hits = np.full(len(pairs), 2)
    looks = around.shape[1]
    for step in range(looks):
        # those that can still reach the number needed
        alive = np.flatnonzero((around[:, step] >= 0) & (hits + looks - step >= needed))
        epoch = around[alive, step]
        tau = (times[epoch] - times[ei[alive]]) / dt[alive]
        si, sj = pool.sigma[i[alive]], pool.sigma[j[alive]]
        bend = 0.5 * accelerated[alive] * np.abs(tau * (tau - 1.0)) * dt[alive] ** 2
        pieces = [
            (share * rate[alive]) ** 2
            * ((exptimes[ei[alive]] * (1 - tau)) ** 2 + (exptimes[ej[alive]] * tau) ** 2)
            for share in (TRAIL_ERROR, TRAIL_WIDTH)
        ]
        base = (si * (1 - tau)) ** 2 + (sj * tau) ** 2 + bend**2
        along, across = np.sqrt(base + pieces[0]), np.sqrt(base + pieces[1])
        # what is found where a chance detection is expected would only spoil the track
        told = np.flatnonzero(np.pi * GATE_CHI2 * along * across * pool.density[i[alive]] < MOST_BY_CHANCE)
        alive, epoch, tau = alive[told], epoch[told], tau[told]
        found, _ = pool.nearest(
            epoch,
            pool.x[i[alive]] + tau * dx[alive],
            pool.y[i[alive]] + tau * dy[alive],
            angle=angle[alive],
            along=along[told],
            across=across[told],
            trail=rate[alive] * exptimes[epoch],
        )
        good = found >= 0
        track[alive[good], epoch[good]] = found[good]
        hits[alive[good]] += 1
    return track[hits >= needed]


def _epochs_around(times: FloatArray, count: int) -> IntArray:
    """For each pair of epochs (ascending times) the nearest others, -1 filled: shape (n, n, count)."""
    n = times.size
    count = min(count, n - 2) if n > 2 else 0
    result = np.full((n, n, count), -1, dtype=np.intp)
    index = np.arange(n)
    if not count:
        return result
    beside = np.arange(-(count + 2), count + 2)  # of the middle: those nearest to it are among so many
    for i in range(n):
        middle = 0.5 * (times[i] + times)
        near = np.searchsorted(times, middle)[:, None] + beside
        distance = np.abs(times[np.clip(near, 0, n - 1)] - middle[:, None])
        distance[(near < 0) | (near >= n) | (near == i) | (near == index[:, None])] = np.inf
        first = np.argsort(distance, axis=1, kind="stable")[:, :count]
        result[i] = np.take_along_axis(near, first, axis=1)
    return result


def unique_tracks(pool: Pool, track: IntArray) -> IntArray:
    """Leave out tracks of the same detections, in a fixed order."""
    if not len(track):
        return track
    rng = np.random.default_rng(1)
    code = rng.integers(1, 2**62, size=pool.n + 1, dtype=np.int64)
    code[-1] = 0
    _, first = np.unique(code[track].sum(axis=1), return_index=True)
    return track[np.sort(first)]


def fit_tracks(pool: Pool, track: IntArray) -> Motion:
    """Motion of tracks on the field's plane."""
    return fit_motion(
        x=spread(track, pool.x),
        y=spread(track, pool.y),
        sigma=spread(track, pool.sigma),
        seen=track >= 0,
        t=pool.times,
        exptime=pool.plane.exptimes,
    )


def grow(pool: Pool, track: IntArray, *, needed: int) -> IntArray:
    """Fit tracks, look again in all epochs where the place is known well enough, until nothing changes.

    Parameters
    ----------
    pool : Pool
    track : ndarray of int, shape (m, n_epochs)
    needed : int
        Tracks with fewer detections at the end are left out.

    Returns
    -------
    ndarray of int, shape (m_left, n_epochs)
    """
    done = [track[:0]]
    track = unique_tracks(pool, track)
    for _ in range(ROUNDS):
        if not len(track):
            break
        step = max(CHUNK // track.shape[1] // 4, 1)
        new = np.concatenate([_again(pool, track[k : k + step]) for k in range(0, len(track), step)])
        changed = (new != track).any(axis=1)
        # one stray detection may drive the others out: what was there before is judged as well
        poorer = (new >= 0).sum(axis=1) < (track >= 0).sum(axis=1)
        done += [new[~changed], track[poorer]]
        track = unique_tracks(pool, new[changed & _often_seen(new)])
    track = unique_tracks(pool, np.concatenate([*done, track]))
    return track[(track >= 0).sum(axis=1) >= needed]


def _often_seen(track: IntArray) -> BoolArray:
    """Whether a track is worth going on with: of many epochs between its ends it has some share."""
    seen = track >= 0
    n = seen.sum(axis=1)
    between = seen.shape[1] - np.argmax(seen, axis=1) - np.argmax(seen[:, ::-1], axis=1)
    return np.asarray((n >= 2) & ((between < FIRST_LOOK * 2) | (n >= LEAST_SHARE * between)), dtype=bool)


def _again(pool: Pool, track: IntArray) -> IntArray:
    """One round: the detections that fit best, epoch by epoch, with the motion fitted so far."""
    motion = fit_tracks(pool, track)
    x, y, along, across = motion.at(pool.times)
    look: BoolArray = np.maximum(along, across) < np.maximum(
        FARTHEST * pool.plane.coarse, 0.5 * motion.rate[:, None] * pool.plane.exptimes
    )
    m, f = np.nonzero(look)
    trail = motion.rate[m] * pool.plane.exptimes[f]
    found, _ = pool.nearest(
        f, x[m, f], y[m, f], angle=motion.angle[m], along=along[m, f], across=across[m, f], trail=trail
    )
    result = np.full_like(track, -1)
    result[m, f] = found
    # a detection that is in the fit is judged by its residual, not by an error that contains it
    kept = (track >= 0) & (motion.point_chi2 <= GATE_CHI2) & (result < 0) & look
    return np.where(kept, track, result)
