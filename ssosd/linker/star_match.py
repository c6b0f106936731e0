"""Find an exposure's shift, rotation and scale: its bright detections against reference stars.

A vote on the shift (every pair of a bright detection and a bright star within the pointing's error has one
voice), then affine fits to the nearest stars within a shrinking radius. A header good to a few tenths of a
degree in rotation and to a per cent in scale is all it takes; what is further off is for SCAMP's matching.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd.grouping import Grouping

_Points = NDArray[np.float64]

BRIGHT = 400  # detections that vote; the stars that do are as dense, twice over
_VOTE_PX = 4.0  # pairs whose shifts agree this well vote for the same
_ROUNDS = (4.0, 2.0, 1.0, 1.0, 1.0)  # radius of each fit, in units of the final one
_CLIP = 3.0  # sigma beyond which a pair is left out of the next fit
_MIN_SIGMA = 0.02  # arcsec
#: A shift is believed when its voices are this many sigma above those that chance gives it.
_VOTE_SIGMA = 6.0
_MIN_VOICES = 8
_PER_CELL, _CROWD = 8.0, 3.0  # stars on average in a cell of the sky; so many times as many are a crowd


@dataclass(frozen=True, kw_only=True)
class Affine:
    """A correction on the tangent plane: true = matrix @ measured + shift."""

    matrix: NDArray[np.float64]  # shape (2, 2)
    shift: NDArray[np.float64]  # shape (2,), arcsec

    def after(self, signs: tuple[float, float]) -> Affine:
        """The correction of points whose axes had these signs changed before it was found."""
        return Affine(matrix=self.matrix * np.array(signs), shift=self.shift)

    def apply(self, points: _Points) -> _Points:
        """Corrected positions, shape (n, 2), arcsec."""
        return points @ self.matrix.T + self.shift

    @property
    def rotation_deg(self) -> float:
        """How far the field is turned from where its header has it, east to north."""
        m = self.matrix
        return float(np.degrees(np.arctan2(m[1, 0] - m[0, 1], m[0, 0] + m[1, 1])))

    @property
    def scale_ratio(self) -> float:
        """True size of a pixel over the header's."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))


@dataclass(frozen=True, kw_only=True)
class Matched:
    """An exposure on its stars."""

    affine: Affine
    pairs: NDArray[np.intp]  # shape (n, 2): detection and star, those the fit used
    rms_arcsec: tuple[float, float]  # of the pairs along xi and eta, after the fit


def match_stars(
    detections: _Points, flux: NDArray[np.float64], stars: _Points, mag: NDArray[np.float64], *,
    pointing_arcsec: float, radius_arcsec: float, good: NDArray[np.bool_] | None = None,
) -> Matched | None:  # fmt: skip
    """Match detections with reference stars on their common tangent plane.

    Parameters
    ----------
    detections : ndarray, shape (n, 2)
        Positions as the header has them, arcsec.
    flux : ndarray, shape (n,)
        Their brightness, in any unit that grows with it.
    stars : ndarray, shape (m, 2)
        Positions of the reference stars, arcsec.
    mag : ndarray, shape (m,)
        Magnitudes; NaN is taken for faint.
    pointing_arcsec : float
        How far the pointing may be off.
    radius_arcsec : float
        Within what distance of a star a detection is that star, once the field is in its place.
    good : ndarray of bool, shape (n,), optional
        Which detections a fit may use. All have a voice: in a wide field the brightest stars, which vote, are
        saturated.

    Returns
    -------
    Matched or None
        None where no shift stands out.
    """
    usable = np.arange(len(detections)) if good is None else np.flatnonzero(good)
    if min(usable.size, len(stars)) < _MIN_VOICES:
        return None
    vote = max(_VOTE_PX * radius_arcsec / 1.5, 2.0)
    voters = (_brightest(detections[who], -flux[who], BRIGHT) for who in (slice(None), usable))
    votes = (_voted(bright, stars, mag, reach=pointing_arcsec, vote=vote) for bright in voters)
    shift = next((found for found in votes if found is not None), None)
    if shift is None:
        return None
    detections = detections[usable]
    tree = cKDTree(stars)
    affine = Affine(matrix=np.eye(2), shift=shift)
    for factor in _ROUNDS:
        pairs = _nearest(tree, affine.apply(detections), factor * radius_arcsec)
        pairs = pairs[_kept(affine, detections, stars, pairs)]
        if len(pairs) < _MIN_VOICES:
            return None
        affine = _fit(detections[pairs[:, 0]], stars[pairs[:, 1]])
    residual = affine.apply(detections[pairs[:, 0]]) - stars[pairs[:, 1]]
    rms = np.sqrt((residual**2).mean(axis=0))
    pairs[:, 0] = usable[pairs[:, 0]]
    return Matched(affine=affine, pairs=pairs, rms_arcsec=(float(rms[0]), float(rms[1])))


def _brightest(points: _Points, faintness: NDArray[np.float64], n: int) -> _Points:
    order = np.argsort(np.where(np.isfinite(faintness), faintness, np.inf), kind="stable")
    return points[order[:n]]


def _spread(stars: _Points, mag: NDArray[np.float64]) -> NDArray[np.bool_]:
    """All but the faint ones of a crowd: a cluster's stars would outvote the field's."""
    if not len(stars):
        return np.zeros(0, dtype=bool)
    low, size = stars.min(axis=0), np.maximum(np.ptp(stars, axis=0), 1.0)
    side = np.sqrt(_PER_CELL * np.prod(size) / len(stars))
    column, row = np.floor((stars - low) / side).astype(np.int64).T
    cell = row * (int(size[0] / side) + 1) + column
    groups = Grouping.of(cell, mag)
    kept = np.empty(len(stars), dtype=bool)
    kept[groups.order] = groups.ranks < _CROWD * _PER_CELL
    return kept


def _voted(
    bright: _Points, stars: _Points, mag: NDArray[np.float64], *, reach: float, vote: float
) -> NDArray[np.float64] | None:
    """The shift from detections to stars with the most voices, if it stands out."""
    low, high = bright.min(axis=0) - reach, bright.max(axis=0) + reach
    inside = np.flatnonzero(((stars >= low) & (stars <= high)).all(axis=1))
    area, field = np.prod(high - low), max(float(np.prod(np.ptp(bright, axis=0))), 1.0)
    inside = inside[_spread(stars[inside], mag[inside])]
    chosen = _brightest(stars[inside], mag[inside], int(2 * len(bright) * area / field))
    if len(chosen) < _MIN_VOICES:
        return None
    near = cKDTree(bright).query_ball_tree(cKDTree(chosen), reach)
    first = np.repeat(np.arange(len(bright)), [len(found) for found in near])
    second = np.array([k for found in near for k in found], dtype=np.intp)
    if len(first) < _MIN_VOICES:
        return None
    shifts = chosen[second] - bright[first]
    tree = cKDTree(shifts)
    voices = np.array(tree.query_ball_point(shifts, vote, return_length=True))
    best = int(np.argmax(voices))
    expected = len(shifts) * min(1.0, (vote / reach) ** 2)
    if voices[best] < max(_MIN_VOICES, expected + _VOTE_SIGMA * np.sqrt(expected + 1.0)):
        return None
    return np.median(shifts[tree.query_ball_point(shifts[best], vote)], axis=0)


def _nearest(tree: cKDTree, points: _Points, radius: float) -> NDArray[np.intp]:
    """Pairs of a point and a star that are each other's nearest within the radius."""
    distance, star = (np.atleast_1d(a) for a in tree.query(points, distance_upper_bound=radius))
    point = np.flatnonzero(np.isfinite(distance))
    order = point[np.argsort(distance[point], kind="stable")]
    _, first = np.unique(star[order], return_index=True)
    single = np.sort(order[first])
    return np.column_stack([single, star[single]])


def _kept(affine: Affine, detections: _Points, stars: _Points, pairs: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which pairs are within some sigma of the others."""
    away = affine.apply(detections[pairs[:, 0]]) - stars[pairs[:, 1]]
    if not len(away):
        return np.zeros(0, dtype=bool)
    away -= np.median(away, axis=0)
    sigma = np.maximum(1.4826 * np.median(np.abs(away), axis=0), _MIN_SIGMA)
    return np.asarray((np.abs(away) < _CLIP * sigma + _MIN_SIGMA).all(axis=1))


def _fit(measured: _Points, true: _Points) -> Affine:
    design = np.column_stack([measured, np.ones(len(measured))])
    solution, *_ = np.linalg.lstsq(design, true, rcond=None)
    found = np.asarray(solution, dtype=np.float64)
    return Affine(matrix=found[:2].T.copy(), shift=found[2].copy())
