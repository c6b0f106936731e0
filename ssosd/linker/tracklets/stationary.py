"""What is at rest on the sky, or at one place of the detector: detections of several epochs at one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.plane import SMALLEST_ERROR, Plane

REACH_SIGMA = 3.5  # a detection belongs to a place within this many of their joint errors
WIDEST_REACH = 1.5  # arcsec
SOLID_FRACTION = 0.6  # of the epochs: a place seen in so many is solid
SOLID_SPAN = 0.7  # of the time
DRIFT_SIGMA = 3.5  # a place that drifts by more is not solid
ENOUGH, RAYLEIGH_97 = 100, 2.648  # places that tell; 0.97 quantile of a drift in its errors: sqrt(-2 ln 0.03)
FULL_WINDOW = 0.8
CALIBRATION_EPOCHS = 10
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
    return group_places(plane.epoch, plane.frame, plane.x, plane.y, factor * plane.sigma, widest=WIDEST_REACH)


def calibrated(plane: Plane) -> Plane:
    """The plane with errors as large as the scatter of what is at rest says.

    The claimed errors are multiplied by what the fainter half of the solid places needs, and the scatter of
    the brighter quarter (frame to frame, from the astrometric solution) is added in quadrature. The first
    `CALIBRATION_EPOCHS` are looked at.

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
    factor, floor = _scatter(few, places, solid, claimed)
    return replace(plane, sigma=np.hypot(factor * sigma, floor))


def _scatter(plane: Plane, places: Places, solid: BoolArray, sigma: FloatArray) -> tuple[float, float]:
    """Factor of the claimed errors (1 to 3) and scatter of the bright ones, arcsec (1 at most)."""
    label = places.label
    w = np.where(solid, 1.0 / sigma**2, 0.0)
    total = np.maximum(np.bincount(label, w), 1e-30)
    count = places.n_epochs[label]
    loss = np.sqrt(count / np.maximum(count - 1, 1))
    residual = [
        (v - (np.bincount(label, w * v) / total)[label])[solid] * loss[solid] for v in (plane.x, plane.y)
    ]
    scatter = np.abs(np.concatenate(residual))
    sigma = sigma[solid]
    sharp = np.tile(sigma <= np.quantile(sigma, 0.25), 2)
    blunt = np.tile(sigma >= np.quantile(sigma, 0.5), 2)
    floor = 1.4826 * float(np.median(scatter[sharp]))
    factor = 1.4826 * float(np.median((scatter / np.tile(sigma, 2))[blunt]))
    return float(np.clip(factor, 1.0, 3.0)), min(floor, 1.0)


def _restlessness(drift2: FloatArray) -> float:
    """How many times larger the drifts of places often seen are than their errors say: 1 or more."""
    if drift2.size < ENOUGH:
        return 1.0
    return max(1.0, math.sqrt(float(np.quantile(drift2, 0.97))) / RAYLEIGH_97)


def solid_places(plane: Plane, places: Places) -> BoolArray:
    """Detections of places that are surely at rest: often seen, over a long time, without a drift.

    A slow mover's place drifts significantly, or is seen only for a part of the time: it is not solid.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    label, t = places.label, plane.t
    w = 1.0 / plane.sigma**2
    total = np.bincount(label, w)
    mean_t = np.bincount(label, w * t) / total
    dt = t - mean_t[label]
    stt = np.bincount(label, w * dt**2)
    slope2 = np.zeros(total.size)
    for v in (plane.x, plane.y):
        dv = v - (np.bincount(label, w * v) / total)[label]
        slope2 += np.bincount(label, w * dt * dv) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        drift2 = np.where(stt > 0.0, slope2 / stt, 0.0)
    last, first = np.full(total.size, -_FAR), np.full(total.size, _FAR)
    np.maximum.at(last, label, t)
    np.minimum.at(first, label, t)
    whole = float(np.ptp(plane.times)) if plane.n_epochs else 0.0
    n = places.n_epochs
    often = (n >= 3) & (n >= np.minimum(SOLID_FRACTION * plane.n_epochs, 20.0))
    often &= last - first >= SOLID_SPAN * whole
    solid = often & (drift2 < (DRIFT_SIGMA * _restlessness(drift2[often])) ** 2)
    return np.asarray(solid[label], dtype=bool)
