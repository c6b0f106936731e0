"""What looks like two sources whose light is parted now here, now there: no evidence of motion."""

from __future__ import annotations

import numpy as np

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.pool import Pool
from ssosd.trackfit import spread

LITTLE_FWHM = 6.0  # what moves by less than this, in FWHM, may be a blend
WIDE = 1.15  # mean size of its detections, in that of a star
BESIDE_FWHM = 1.0  # a strange detection so near to one of its own, in any exposure, is of the partner


def looks_blended(pool: Pool, track: IntArray, moved: FloatArray) -> BoolArray:
    """Whether tracks may be the wandering centroid of a blend: on painted nights one mover in twenty does.

    Parameters
    ----------
    pool : Pool
    track : ndarray of int, shape (m, n_epochs)
    moved : ndarray, shape (m,)
        From the first to the last detection, arcsec.

    Returns
    -------
    ndarray of bool, shape (m,)
        False for all that moves by `LITTLE_FWHM` or more.
    """
    result = np.zeros(len(track), dtype=bool)
    rows = np.flatnonzero(moved < LITTLE_FWHM * pool.fwhm)
    if rows.size:
        result[rows] = _wide(pool, track[rows]) | _has_partner(pool, track[rows])
    return result


def _wide(pool: Pool, track: IntArray) -> BoolArray:
    seen = track >= 0
    size = np.where(seen, pool.size[track] / pool.stars.size, 0.0)
    return np.asarray(size.sum(axis=1) > WIDE * seen.sum(axis=1), dtype=bool)


def _has_partner(pool: Pool, track: IntArray) -> BoolArray:
    """Whether anything that is not of the track was detected, at any time, where the track is."""
    members, inverse = np.unique(track[track >= 0], return_inverse=True)
    reach = BESIDE_FWHM * pool.fwhm
    where = np.stack([pool.x[members], pool.y[members]], axis=-1)
    near = np.zeros(track.shape, dtype=np.intp)
    count = np.asarray(pool.all_places.query_ball_point(where, reach, return_length=True))
    near[track >= 0] = count[inverse]
    x, y = spread(track, pool.x), spread(track, pool.y)
    own = np.zeros(track.shape, dtype=np.intp)
    for epoch in range(track.shape[1]):
        there = (track[:, epoch] >= 0)[:, None] & (track >= 0)
        own += there & (np.hypot(x - x[:, epoch, None], y - y[:, epoch, None]) <= reach)
    return np.asarray((near > own).any(axis=1), dtype=bool)
