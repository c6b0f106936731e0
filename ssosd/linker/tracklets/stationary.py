"""What is at rest on the sky, or at one place of the detector: detections of several epochs at one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.plane import LARGEST_ERROR, SMALLEST_ERROR, Plane

REACH_SIGMA = 3.5  # a detection belongs to a place within this many of their joint errors
WIDEST_REACH = 1.5  # arcsec, of fine pixels
SOLID_FRACTION = 0.6  # of the epochs: a place seen in so many is solid
SOLID_SPAN = 0.7  # of the time
DRIFT_SIGMA = 3.5  # a place that drifts by more is not solid
ENOUGH, RAYLEIGH_97 = 100, 2.648  # places that tell; 0.97 quantile of a drift in its errors: sqrt(-2 ln 0.03)
FULL_WINDOW = 0.8
CALIBRATION_EPOCHS = 10
CLASS, CLASSES = 100, 10  # detections that a class of claimed errors needs, and how many there are at most
LEAST_RATIO = 0.8  # of scatter to claimed error: a mover trails, and has neighbours that stars left behind
_FAR = 1e7


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Places:
    """Detections grouped by place; nobody's neighbour is a place of its own."""

    label: IntArray  # place of each detection, shape (n,)
    n_epochs: IntArray  # of each place, shape (n_places,)

    @property
    def shared(self) -> IntArray:
        """In how many epochs each detection's place is seen, its own included."""
        return self.n_epochs[self.label]


def group_places(
    epoch: IntArray, frame: IntArray, x: FloatArray, y: FloatArray, sigma: FloatArray, *, widest: float
) -> Places:
    """Go through the exposures and give each detection to the nearest place within reach, or a new one.

    The place's position is the weighted mean of its detections so far; of two detections of one
    exposure the nearer gets the place. Work is one search per exposure in a growing list of places.

    Parameters
    ----------
    epoch, frame : ndarray of int, shape (n,)
        Instant, and exposure, that ascends with it.
    x, y, sigma : ndarray, shape (n,)
        Position and its error, in one unit.
    widest : float
        Largest distance, same unit.

    Examples
    --------
    >>> e = np.array([0, 1, 1]); zero = np.zeros(3)
    >>> p = group_places(e, e, np.array([0.0, 0.1, 9.0]), zero, zero + 0.1, widest=1.0)
    >>> p.label.tolist(), p.n_epochs.tolist()
    ([0, 0, 1], [2, 1])
    """
    n = x.size
    label = np.full(n, -1, dtype=np.intp)
    weight, sum_x, sum_y = np.zeros(n), np.zeros(n), np.zeros(n)
    seen = np.zeros(n, dtype=np.intp)
    latest = np.full(n, -1, dtype=np.intp)
    order = np.argsort(frame, kind="stable")
    edges = np.append(np.flatnonzero(np.diff(frame[order], prepend=-1)), n)
    n_places = 0
    for low, high in pairwise(edges):
        members = order[low:high]
        here = np.full(members.size, -1, dtype=np.intp)
        if n_places and members.size:
            w = weight[:n_places]
            mean = np.stack([sum_x[:n_places] / w, sum_y[:n_places] / w], axis=-1)
            tree = cKDTree(mean, balanced_tree=False, compact_nodes=False)
            where = np.stack([x[members], y[members]], axis=-1)
            distance, nearest = map(np.asarray, tree.query(where, distance_upper_bound=widest))
            found = np.flatnonzero(np.isfinite(distance))
            near = nearest[found]
            reach = REACH_SIGMA * np.sqrt(sigma[members[found]] ** 2 + 1.0 / w[near])
            within = distance[found] <= reach
            found, near = found[within], near[within]
            rank = np.lexsort((distance[found], near))
            first = rank[np.diff(near[rank], prepend=-1) != 0]
            here[found[first]] = near[first]
        new = here < 0
        here[new] = n_places + np.arange(int(new.sum()))
        n_places += int(new.sum())
        label[members] = here
        w_new = 1.0 / sigma[members] ** 2
        weight[here] += w_new
        sum_x[here] += w_new * x[members]
        sum_y[here] += w_new * y[members]
        seen[here] += latest[here] != epoch[members]
        latest[here] = epoch[members]
    return Places(label=label, n_epochs=seen[:n_places])


def places_on_sky(plane: Plane, *, factor: float = 1.0) -> Places:
    """Group detections by place on the sky, their errors taken `factor` times as large."""
    widest = WIDEST_REACH * plane.coarse
    return group_places(plane.epoch, plane.frame, plane.x, plane.y, factor * plane.sigma, widest=widest)


def calibrated(plane: Plane) -> Plane:
    """The plane with errors as large as the scatter of what is at rest says.

    The solid places of the first `CALIBRATION_EPOCHS` are sorted into classes by the error that is claimed,
    and the claim is multiplied by what the scatter of its class says: too much is claimed for bright stars,
    too little for the faintest, and where the astrometric solution differs from exposure to exposure.

    SExtractor's windows shrink around some faint detections, and the errors it claims with them (they are
    proportional to the size measured), while the scatter stays: errors are raised to those of a window of
    `FULL_WINDOW` of a star's size.
    """
    few = plane.take(plane.epoch < CALIBRATION_EPOCHS)
    places = places_on_sky(few, factor=1.3)
    solid = (places.shared >= 3) & (places.shared >= SOLID_FRACTION * min(plane.n_epochs, CALIBRATION_EPOCHS))
    stars = solid & ~few.saturated
    size = float(np.median(few.size[stars])) if stars.sum() >= 20 else 0.0
    sigma = plane.sigma * np.maximum(1.0, FULL_WINDOW * size / plane.size)
    if solid.sum() < 100:
        return replace(plane, sigma=np.hypot(sigma, 2.0 * SMALLEST_ERROR))
    claimed = few.sigma * np.maximum(1.0, FULL_WINDOW * size / few.size)
    return replace(plane, sigma=_as_scattered(sigma, *_scatter(few, places, solid, claimed)))


def _scatter(
    plane: Plane, places: Places, solid: BoolArray, claimed: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Claimed errors of what is at rest, ascending, and how far it scatters in these, by classes."""
    label = places.label
    w = np.where(solid, 1.0 / claimed**2, 0.0)
    total = np.maximum(np.bincount(label, w), 1e-30)
    count = places.n_epochs[label]
    loss = np.sqrt(count / np.maximum(count - 1, 1))
    residual = [
        ((v - (np.bincount(label, w * v) / total)[label]) * loss / claimed)[solid] for v in (plane.x, plane.y)
    ]
    own = claimed[solid]
    n = int(np.clip(own.size // CLASS, 1, CLASSES))
    edges = np.unique(np.quantile(own, np.linspace(0.0, 1.0, n + 1)))[1:-1]
    members = np.searchsorted(edges, own, side="right")
    classes = [members == k for k in np.unique(members)]
    ratio = [1.4826 * float(np.median(np.abs(np.concatenate([r[c] for r in residual])))) for c in classes]
    at = np.array([np.median(own[c]) for c in classes])
    return at, np.clip(ratio, LEAST_RATIO, LARGEST_ERROR * plane.coarse / at)


def _as_scattered(claimed: FloatArray, at: FloatArray, ratio: FloatArray) -> FloatArray:
    """Errors as large as what is at rest scatters."""
    return np.maximum(claimed * np.interp(np.log(claimed), np.log(at), ratio), SMALLEST_ERROR)


def _restlessness(drift2: FloatArray) -> float:
    """How many times larger the drifts of places often seen are than their errors say: 1 or more."""
    if drift2.size < ENOUGH:
        return 1.0
    return max(1.0, math.sqrt(float(np.quantile(drift2, 0.97))) / RAYLEIGH_97)


def solid_places(plane: Plane, places: Places) -> BoolArray:
    """Detections of places that are surely at rest: often seen, over a long time, without a drift.

    A slow mover's place drifts significantly, alone or with what was detected beside it in the exposures that
    lack it, or is seen only for a part of the time: it is not solid.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    drift2, span = _drift2(plane, places.label, places.n_epochs.size)
    whole = float(np.ptp(plane.times)) if plane.n_epochs else 0.0
    n = places.n_epochs
    often = (n >= 3) & (n >= np.minimum(SOLID_FRACTION * plane.n_epochs, 20.0)) & (span >= SOLID_SPAN * whole)
    limit = (DRIFT_SIGMA * _restlessness(drift2[often])) ** 2
    solid = often & (drift2 < limit)
    solid &= _drift2(plane, _with_strays(plane, places, solid), solid.size)[0] < limit
    return np.asarray(solid[places.label], dtype=bool)


def _drift2(plane: Plane, label: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Square of each place's drift in its errors, and the time between its first and last detection."""
    t, w = plane.t, 1.0 / plane.sigma**2
    total = np.maximum(np.bincount(label, w, count), 1e-30)
    dt = t - (np.bincount(label, w * t, count) / total)[label]
    stt = np.bincount(label, w * dt**2, count)
    slope2 = np.zeros(count)
    for v in (plane.x, plane.y):
        dv = v - (np.bincount(label, w * v, count) / total)[label]
        slope2 += np.bincount(label, w * dt * dv, count) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        drift2 = np.where(stt > 0.0, slope2 / stt, 0.0)
    last, first = np.full(count, -_FAR), np.full(count, _FAR)
    np.maximum.at(last, label, t)
    np.minimum.at(first, label, t)
    return drift2, last - first


def _with_strays(plane: Plane, places: Places, solid: BoolArray) -> IntArray:
    """Labels with each place that misses an exposure joined by what was detected beside it there.

    A slow mover leaves the reach of its first detections before the last exposure.
    """
    label = places.label
    lacking = np.flatnonzero(solid & (places.n_epochs < plane.n_epochs))
    stray = np.flatnonzero(~solid[label])
    if not (lacking.size and stray.size):
        return label
    mean = np.stack(
        [(np.bincount(label, v) / np.bincount(label))[lacking] for v in (plane.x, plane.y)], axis=-1
    )
    where = np.stack([plane.x[stray], plane.y[stray]], axis=-1)
    widest = WIDEST_REACH * plane.coarse
    distance, nearest = map(np.asarray, cKDTree(mean).query(where, distance_upper_bound=widest))
    found = np.isfinite(distance)
    stray, place = stray[found], lacking[nearest[found]]
    free = ~np.isin(place * plane.n_epochs + plane.epoch[stray], label * plane.n_epochs + plane.epoch)
    joined = label.copy()
    joined[stray[free]] = place[free]
    return joined
