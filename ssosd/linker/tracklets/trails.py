"""Pieces of one trail: detections of an epoch along the predicted trail of a track."""

from __future__ import annotations

import numpy as np

from ssosd.grouping import FloatArray, IntArray
from ssosd.linker.tracklets.pool import Pool
from ssosd.trackfit import Motion

ACROSS = 3.0  # arcsec, or 1.3 FWHM if more
BEYOND = 3.0  # arcsec past the ends of the trail
NEIGHBOURS = 16  # detections looked at around each place
SHORTEST_FWHM = 1.5  # trails that can fall into pieces are longer, in FWHM
PARTS_FWHM = 6.0  # trails longer than this, in FWHM, may be detected in a part only
WHOLE = 0.5  # of the trail's length: what covers less is a part of it
TOGETHER = (0.6, 1.3)  # lengths of all parts laid over each other, in trails, that tell where the middle is
STEPS = 41  # rates tried


def pieces_of(pool: Pool, track: IntArray, motion: Motion) -> tuple[IntArray, IntArray]:
    """Find the detections on the trails of tracks.

    Parameters
    ----------
    pool : Pool
    track : ndarray of int, shape (m, n_epochs)
    motion : Motion
        Of the tracks.

    Returns
    -------
    rows, detections : ndarray of int
        Pieces, without the tracks' own detections.
    """
    trail = motion.rate[:, None] * pool.plane.exptimes
    m, f = np.nonzero((trail > SHORTEST_FWHM * pool.fwhm) & (track >= 0))
    if not m.size or pool.n < 2:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    x, y, _, _ = motion.at(pool.times)
    k = min(NEIGHBOURS, pool.n)
    where = np.stack([x[m, f], y[m, f], pool._far * f], axis=-1)
    half = trail[m, f] / 2.0 + BEYOND
    found = pool.tree.query(where, k=[*range(1, k + 1)], distance_upper_bound=float(half.max()) + ACROSS)[1]
    safe = np.minimum(found, pool.n - 1)
    dx, dy = pool.x[safe] - x[m, f][:, None], pool.y[safe] - y[m, f][:, None]
    cos, sin = np.cos(motion.angle[m])[:, None], np.sin(motion.angle[m])[:, None]
    on = (found < pool.n) & (np.abs(dx * cos + dy * sin) < half[:, None])
    on &= np.abs(dy * cos - dx * sin) < max(ACROSS, 1.3 * pool.fwhm)
    on &= (safe != track[m, f][:, None]) & (pool.shared[safe] == 1)
    row, column = np.nonzero(on)
    return m[row], safe[row, column]


def middles(
    low: FloatArray, high: FloatArray, t: FloatArray, owner: IntArray, trail: FloatArray, fwhm: float
) -> FloatArray:
    """Where the middle of the trail is in each epoch, along the motion.

    A detection of a part of a trail says where the object was during the exposure, not at its middle. All
    parts of a track's trails, laid over each other by moving them back with the right rate, fill the trail:
    the rate is the one that makes the whole shortest, and its middle is the object's place at mid-exposure.

    Parameters
    ----------
    low, high : ndarray, shape (n,)
        Ends of what was detected in an epoch, arcsec along the motion.
    t : ndarray, shape (n,)
        Hours.
    owner : ndarray of int, shape (n,)
        The track, ascending from 0, each with a row.
    trail : ndarray, shape (n,)
        Length of the trail, arcsec.
    fwhm : float
        Of a star, arcsec.

    Returns
    -------
    ndarray, shape (n,)
        NaN where the detection covers the trail, or the parts do not tell.
    """
    start = np.flatnonzero(np.diff(owner, prepend=-1))
    middle = 0.5 * (low + high)
    n = np.diff(start, append=owner.size)
    mean_t, mean_u = (np.add.reduceat(v, start) / n for v in (t, middle))
    dt = t - mean_t[owner]
    rate = np.add.reduceat(dt * middle, start) / np.maximum(np.add.reduceat(dt**2, start), 1e-12)
    length = np.maximum.reduceat(trail, start)
    arc = np.maximum(np.maximum.reduceat(t, start) - np.minimum.reduceat(t, start), 1e-6)
    step = length / arc / (STEPS // 2)
    for _ in range(3):
        tried = rate[:, None] + step[:, None] * np.arange(-(STEPS // 2), STEPS // 2 + 1)
        moved = tried[owner] * dt[:, None] + mean_u[owner][:, None]
        top = np.maximum.reduceat(high[:, None] - moved, start)
        bottom = np.minimum.reduceat(low[:, None] - moved, start)
        best = np.argmin(top - bottom, axis=1)
        rows = np.arange(start.size)
        rate, step = tried[rows, best], step * 3.0 / STEPS
    extent = (top - bottom)[rows, best]
    centre = mean_u + 0.5 * (top + bottom)[rows, best]
    known = (extent > TOGETHER[0] * length) & (extent < TOGETHER[1] * length + fwhm) & (n >= 3)
    partial = (high - low < WHOLE * trail) & (trail > PARTS_FWHM * fwhm) & known[owner]
    return np.where(partial, centre[owner] + rate[owner] * dt, np.nan)
