"""Points among trails: what is left when the trails are taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from ssosd.ingest.trails.search import Found, Smoothed, Squares, left_by, summit, turned
from ssosd.ingest.trails.shape import FloatArray, Image, StarTrail

IntArray = NDArray[np.intp]

_POINT_SNR = 4.0  # of what is left
_RIDGE = 0.3  # of a trail's light: less may be what its shape is not known well enough for
_NEAR = 1.2  # FWHM between a detection and the point that it is
_BESIDE, _BEYOND = 1.5, 1.0  # FWHM beside a trail and beyond its ends within which its pieces are
_MIXED = 0.02  # share of a trail's light in a point's from which on the point is measured without it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parted:
    """Detections whose light is a trail's, or mixed with it."""

    pieces: IntArray  # rows of the catalogue that are of a trail
    trail_x: FloatArray  # the middle of that, FITS pixels
    trail_y: FloatArray
    mixed: IntArray  # rows that are points on which a trail's light falls
    points: Found  # these without that light

    @classmethod
    def together(cls, parts: Sequence[Parted]) -> Parted:
        """Those of several parts of a chip."""
        return cls(
            pieces=np.concatenate([p.pieces for p in parts]),
            trail_x=np.concatenate([p.trail_x for p in parts]),
            trail_y=np.concatenate([p.trail_y for p in parts]),
            mixed=np.concatenate([p.mixed for p in parts]),
            points=Found.together([p.points for p in parts]),
        )


def part(
    seen: Smoothed, squares: Squares, found: Found, rows: IntArray, x: FloatArray, y: FloatArray
) -> Parted:
    """Tell points from pieces of trails by what is left without the trails.

    Parameters
    ----------
    seen : Smoothed
    squares : Squares
    found : Found
        Trails in it.
    rows : ndarray of int, shape (n,)
        Detections in it, by their rows in the catalogue.
    x, y : ndarray, shape (n,)
        Their places, FITS pixels.
    """
    near, trail, ridge = _within_trails(seen.trail, found, x, y)
    rest = _peaks(_without(seen, found), squares) if near.size else found.take(near)
    is_point, peak = np.zeros(near.size, dtype=bool), np.zeros(near.size, dtype=np.intp)
    if rest.x.size:
        here = np.column_stack([x[near], y[near]])
        distance, peak = map(np.asarray, cKDTree(rest.places).query(here))
        height = rest.flux[peak] * squares.point
        is_point = (distance < _NEAR * seen.trail.fwhm) & (height > _RIDGE * ridge)
        order = np.lexsort((distance, peak))  # of several detections of one point the nearest is it
        is_point[order[np.diff(peak[order], prepend=-1) == 0]] = False
    points, pieces = rest.take(peak[is_point]), ~is_point
    light = seen.at(seen.point, points.x, points.y)
    mixed = light - points.flux * squares.point > _MIXED * light
    return Parted(
        pieces=rows[near[pieces]],
        trail_x=found.x[trail[pieces]],
        trail_y=found.y[trail[pieces]],
        mixed=rows[near[is_point]][mixed],
        points=points.take(mixed),
    )


def _within_trails(
    trail: StarTrail, found: Found, x: FloatArray, y: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Places on trails: which they are, the trail that is the brightest there, and the light of its ridge."""
    none = np.zeros(0, dtype=np.intp)
    if not (x.size and found.x.size):
        return none, none, np.zeros(0)
    reach = 0.5 * trail.length + _BEYOND * trail.fwhm
    pairs = cKDTree(np.column_stack([x, y])).sparse_distance_matrix(
        cKDTree(found.places), reach + _BESIDE * trail.fwhm, output_type="ndarray"
    )
    own, which = pairs["i"].astype(np.intp), pairs["j"].astype(np.intp)
    u, v = turned(x[own] - found.x[which], y[own] - found.y[which], trail.angle)
    within = (np.abs(u) < reach) & (np.abs(v) < _BESIDE * trail.fwhm)
    own, which = own[within], which[within]
    order = np.lexsort((-left_by(found, trail, which, x[own], y[own]), own))
    rows, first = np.unique(own[order], return_index=True)
    ridge = np.zeros(x.size)
    np.maximum.at(ridge, own, left_by(found, trail, which, found.x[which], found.y[which]))
    return rows, which[order[first]], ridge[rows]


def _without(seen: Smoothed, found: Found) -> Smoothed:
    """The light seen with a star's shape, without the trails."""
    trail, rest = seen.trail, seen.point.copy()
    wide = 5.0 * np.sqrt(2.0) * trail.sigma
    half_x, half_y = (
        int(np.ceil(0.5 * trail.length * abs(by) + wide)) for by in (np.cos(trail.angle), np.sin(trail.angle))
    )
    for k in range(found.x.size):
        column, row = round(found.x[k]) - 1, round(found.y[k]) - 1 - seen.first
        low_x, high_x = max(column - half_x, 0), min(column + half_x + 1, rest.shape[1])
        low_y, high_y = max(row - half_y, 0), min(row + half_y + 1, rest.shape[0])
        if high_x <= low_x or high_y <= low_y:
            continue
        rows, columns = np.mgrid[low_y:high_y, low_x:high_x]
        one = np.broadcast_to(np.intp(k), rows.shape)
        rest[low_y:high_y, low_x:high_x] -= left_by(
            found, trail, one, columns + 1.0, rows + 1.0 + seen.first
        ).astype(np.float32)
    return replace(seen, point=rest)


def _peaks(rest: Smoothed, squares: Squares) -> Found:
    """Points, brighter than chance makes them."""
    plane: Image = rest.point
    peak = (plane == maximum_filter(plane, 3)) & (plane > _POINT_SNR * np.sqrt(squares.point) * rest.noise)
    peak[[0, -1]] = peak[:, [0, -1]] = False
    row, column = np.nonzero(peak)
    x, y, height = summit(plane, row, column, StarTrail(length=2.0, angle=0.0, fwhm=rest.trail.fwhm))
    noise = rest.noise[row, column].astype(np.float64)
    return Found(x=x, y=y + rest.first, flux=height / squares.point, noise=noise)
