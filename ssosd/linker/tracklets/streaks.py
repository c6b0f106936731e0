"""Trails longer than any object sought can leave: satellites, broken into detections on one line."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import pdtrik

from ssosd.grouping import BoolArray, FloatArray, IntArray, rows_of
from ssosd.linker.tracklets.plane import Plane

ELONGATED = 1.5  # A / B of a piece of a trail by which trails are found
ROUND = 1.25  # A / B up to which a detection on a trail may be something else
ALONG_DEG = 12.0  # pieces point along their line to this
ACROSS_DEG = 30.0  # what is stretched and points farther from it is none
REACH, APART = 200.0, 10.0  # arcsec: largest and smallest distance of two pieces that define a line
MIN_PIECES = 4  # farther from a pair on their line than an object can leave any
HALF_WIDTH = 4.0  # arcsec: what is so close to the line belongs to it
SPARE = 20.0  # arcsec beyond the longest trail of an object
LINE_CHANCE = 1e-7  # lines with so improbably many pieces are trails
MAX_LINES, MAX_PAIRS = 100, 4000  # per epoch
MANY_PAIRS = 5_000_000  # of pieces within reach: where there would be more, a sample of the pieces is paired
AT_ONCE = 64  # lines that are compared with the pieces in one go: few, and all at about one angle

Line = tuple[FloatArray, FloatArray, FloatArray]  # x, y (arcsec) of a point, angle (rad)


def epoch_key(plane: Plane, members: IntArray) -> FloatArray:
    """Points (x, y, z) with epochs so far apart in z that no search within one reaches the next."""
    far = 10.0 * (np.ptp(plane.x) + np.ptp(plane.y) + 1e4) if plane.x.size else 1e4
    return np.stack([plane.x[members], plane.y[members], far * plane.epoch[members]], axis=-1)


def satellite_trails(plane: Plane, pool: BoolArray, *, longest: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Which detections of the pool are on a trail longer than an object's, and which of them are of it.

    Parameters
    ----------
    plane : Plane
    pool : ndarray of bool, shape (n,)
    longest : ndarray, shape (n_epochs,)
        Trail of the fastest object sought, arcsec.

    Returns
    -------
    on : ndarray of bool, shape (n,)
        So near to the line that they may be of the trail.
    pieces : ndarray of bool, shape (n,)
        Those of them that are not round, nor stretched across it: what the trail passes by, an object or the
        trail of one, is left.
    """
    result, own = np.zeros(plane.x.size, dtype=bool), np.zeros(plane.x.size, dtype=bool)
    stretched = pool & (plane.elongation > ELONGATED)
    for epoch, rows in enumerate(rows_of(plane.epoch, plane.n_epochs)):
        pieces, here = rows[stretched[rows]], rows[pool[rows]]
        for _ in range(MAX_LINES):
            line = _best_line(plane, pieces, float(longest[epoch]) + SPARE)
            if line is None:
                break
            near = here[_offset(plane, here, *line) < HALF_WIDTH]
            result[near] = True
            across = stretched[near] & ~_aligned(plane, near, line[2], within_deg=ACROSS_DEG)
            own[near[~across]] = True
            pieces = pieces[_offset(plane, pieces, *line) >= HALF_WIDTH]
    return result, own & (plane.elongation > ROUND)


def _offset(plane: Plane, members: IntArray, x0: FloatArray, y0: FloatArray, angle: FloatArray) -> FloatArray:
    """Distance of detections from lines through (x0, y0) at an angle: broadcasts to (n_lines, n)."""
    dx, dy = plane.x[members] - np.asarray(x0)[..., None], plane.y[members] - np.asarray(y0)[..., None]
    return np.abs(dy * np.cos(angle)[..., None] - dx * np.sin(angle)[..., None])


def _best_line(
    plane: Plane, pieces: IntArray, longest: float
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Line through a pair of pieces with most pieces far from these, None if there is no trail."""
    if pieces.size < MIN_PIECES + 2:
        return None
    expected = 0.5 * pieces.size**2 * np.pi * REACH**2 / plane.area
    paired = pieces[:: max(1, math.ceil(math.sqrt(expected / MANY_PAIRS)))]
    points = np.stack([plane.x[paired], plane.y[paired]], axis=-1)
    pairs = cKDTree(points).query_pairs(REACH, output_type="ndarray")
    i, j = paired[pairs[:, 0]], paired[pairs[:, 1]]
    dx, dy = plane.x[j] - plane.x[i], plane.y[j] - plane.y[i]
    angle = np.arctan2(dy, dx)
    kept = np.flatnonzero(_aligned(plane, i, angle) & _aligned(plane, j, angle) & (np.hypot(dx, dy) > APART))
    kept = kept[:: kept.size // MAX_PAIRS + 1]
    if not kept.size:
        return None
    x0, y0, angle = plane.x[i[kept]], plane.y[i[kept]], angle[kept]
    on, far = _pieces_on(plane, pieces, (x0, y0, angle), longest)
    best = int(np.lexsort((on, far))[-1])
    # of all pieces so many are on a line across the field by chance, pointing along it
    chance = 2.0 * HALF_WIDTH / np.sqrt(plane.area) * ALONG_DEG / 90.0
    limit = max(float(MIN_PIECES), float(pdtrik(1.0 - LINE_CHANCE, max(pieces.size * chance, 1e-3))))
    if on[best] < limit or far[best] < MIN_PIECES:
        return None
    return x0[best], y0[best], angle[best]


def _pieces_on(plane: Plane, pieces: IntArray, lines: Line, longest: float) -> tuple[IntArray, IntArray]:
    """Pieces on each of some lines, and those of them farther than `longest` from its point: (n_lines,).

    Lines of about one angle are taken together, with the pieces that point along it: of a crowd's pieces one
    in seven, and few numbers at a time.
    """
    on, far = np.zeros((2, lines[2].size), dtype=np.intp)
    points_along = 0.5 * np.angle(plane.stretch[pieces])
    order = np.argsort(lines[2] % np.pi, kind="stable")
    for some in np.split(order, range(AT_ONCE, order.size, AT_ONCE)):
        x0, y0, angle = (values[some] for values in lines)
        turned = angle % np.pi
        middle, half = 0.5 * (turned[0] + turned[-1]), 0.5 * (turned[-1] - turned[0])
        off = np.abs((points_along - middle + 0.5 * np.pi) % np.pi - 0.5 * np.pi)
        near = pieces[off < half + np.radians(ALONG_DEG) + 1e-6]
        hit = (_offset(plane, near, x0, y0, angle) < HALF_WIDTH) & _aligned(plane, near, angle[:, None])
        along = (plane.x[near] - x0[:, None]) * np.cos(angle)[:, None]
        along += (plane.y[near] - y0[:, None]) * np.sin(angle)[:, None]
        on[some] = hit.sum(axis=1)
        far[some] = (hit & (np.abs(along) > longest)).sum(axis=1)
    return on, far


def _aligned(
    plane: Plane, members: IntArray, angle: FloatArray, *, within_deg: float = ALONG_DEG
) -> BoolArray:
    """Whether detections point along an angle."""
    turned = np.angle(plane.stretch[members] * np.exp(-2j * angle))
    return np.asarray(np.abs(turned) < 2.0 * np.radians(within_deg), dtype=bool)
