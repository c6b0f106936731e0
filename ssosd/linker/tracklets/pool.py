"""The detections that may be movers, and how to find them near a predicted place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.brightness import zero_points
from ssosd.linker.tracklets.plane import Plane
from ssosd.linker.tracklets.stars import CLEAR_SNR, ROUND, Stars
from ssosd.linker.tracklets.streaks import epoch_key
from ssosd.trackfit import TRAIL_ERROR, TRAIL_WIDTH

GATE_CHI2 = 12.0  # of two degrees of freedom: passes 0.9975 of the true ones
UNSTEADY = 3  # epochs that see a place which is not solid
DENSITY_NEIGHBOURS = 32
SHARP, SHARP_SNR = 0.6, 12.0  # size, in that of a point, of what is bright and no star
ALIKE = 0.2  # sizes of stars differ by so much
_GRID = 256
_NEIGHBOURS = ((3.0, 2), (12.0, 4), (np.inf, 8))  # radius, arcsec, and how many are looked at


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Detections left for linking, shape (n,) each."""

    plane: Plane
    members: IntArray  # index in the plane
    epoch: IntArray
    x: FloatArray
    y: FloatArray
    sigma: FloatArray
    brightness: FloatArray  # -2.5 log10 of the SNR, epochs on one scale: steadier than MAG of faint sources
    mag: FloatArray  # epochs on one scale
    place: IntArray  # label of the place on the sky
    shared: IntArray  # epochs in which that place is seen
    doubtful: BoolArray  # of a bad line, of a satellite's trail or not of light, perhaps: no evidence
    standing: IntArray  # label of its place of the detector, if that moves evenly on the sky, else -1
    stretch: NDArray[np.complex128]
    size: FloatArray  # sqrt(A B), arcsec
    density: FloatArray  # of the pool around each detection, per arcsec^2 and epoch
    stars: Stars
    wander: FloatArray  # extents of the places whose centroid wanders, arcsec, ascending

    @property
    def n(self) -> int:
        """Number of detections."""
        return int(self.x.size)

    @property
    def fwhm(self) -> float:
        """Of a point, arcsec."""
        return self.stars.fwhm

    @cached_property
    def times(self) -> FloatArray:
        """Hours of the epochs."""
        return self.plane.times

    @cached_property
    def _key(self) -> FloatArray:
        return epoch_key(self.plane, self.members)

    @cached_property
    def tree(self) -> cKDTree:
        """Of all detections, epochs far apart."""
        return cKDTree(self._key)

    @cached_property
    def all_places(self) -> cKDTree:
        """Of all detections of the sequence, those at rest as well, whatever the epoch."""
        return cKDTree(np.stack([self.plane.x, self.plane.y], axis=-1))

    @cached_property
    def _far(self) -> float:
        later = np.flatnonzero(self.epoch)
        return float(self._key[later[0], 2] / self.epoch[later[0]]) if later.size else 1.0

    @cached_property
    def _stretch_table(self) -> tuple[FloatArray, FloatArray]:
        size = np.abs(self.stretch)
        size = size[np.isfinite(size)]
        if size.size > 4000:
            size = np.sort(size)[:: size.size // 4000 + 1]
        # by quantiles, as a single absurd one must not take the grid away from all others
        levels = np.quantile(size, np.linspace(0.0, 1.0, _GRID + 1)) if size.size else np.ones(1)
        middle, top = float(np.median(levels)), float(levels.max())
        half = np.concatenate([[0.0], levels, np.geomspace(max(middle, 1e-6), max(top, 1e-3), _GRID)])
        half = np.unique(half)
        floor = np.maximum(size, 1e-9)
        chance = np.array([np.arccos(np.minimum(s / floor, 1.0)).mean() / np.pi for s in half])
        return np.concatenate([-half[:0:-1], half]), np.concatenate([1.0 - chance[:0:-1], chance])

    def stretch_chance(self, index: IntArray, angle: FloatArray) -> FloatArray:
        """Chance that a detection of the pool, pointing anywhere, is stretched as much along an angle.

        0.5 for a round one; small for one stretched along the angle, near 1 for one stretched across it.
        """
        grid, chance = self._stretch_table
        along = np.real(self.stretch[index] * np.exp(-2j * angle))
        return np.clip(np.interp(along, grid, chance), 0.5 / max(self.n, 1), 1.0)

    def nearest(
        self, epoch: IntArray, x: FloatArray, y: FloatArray, *, angle: FloatArray, along: FloatArray,
        across: FloatArray, trail: FloatArray,
    ) -> tuple[IntArray, FloatArray]:  # fmt: skip
        """Best detection near each predicted place.

        Parameters
        ----------
        epoch, x, y : ndarray, shape (m,)
            Where to look, arcsec.
        angle : ndarray, shape (m,)
            Direction of motion, radians from x to y.
        along, across : ndarray, shape (m,)
            1-sigma errors of the prediction, arcsec.
        trail : ndarray, shape (m,)
            Length of the trail, arcsec.

        Returns
        -------
        index : ndarray of int, shape (m,)
            -1 where nothing is within `GATE_CHI2`.
        chi2 : ndarray, shape (m,)
            Of the detection found, inf where none.
        """
        index = np.full(x.size, -1, dtype=np.intp)
        best = np.full(x.size, np.inf)
        if not (self.n and x.size):
            return index, best
        vu, vw = along**2 + (TRAIL_ERROR * trail) ** 2, across**2 + (TRAIL_WIDTH * trail) ** 2
        widest = float(np.quantile(self.sigma, 0.98))
        largest = np.maximum(vu, vw)
        radius = np.sqrt(GATE_CHI2 * (largest + widest**2))
        farthest = 1.001 * np.sqrt(GATE_CHI2 * (largest + float(self.sigma.max()) ** 2))  # that can pass
        cos, sin = np.cos(angle), np.sin(angle)
        level = np.ceil(np.log2(np.maximum(radius, 0.25))).astype(np.intp)
        for step in np.unique(level):
            asked = np.flatnonzero(level == step)
            bound = float(2.0**step)
            k = min(next(count for limit, count in _NEIGHBOURS if bound <= limit), self.n)
            where = np.stack([x[asked], y[asked], self._far * epoch[asked]], axis=-1)
            answer = self.tree.query(where, k=[*range(1, k + 1)], distance_upper_bound=bound)
            distance, found = map(np.asarray, answer)
            row, column = np.nonzero(distance <= farthest[asked][:, None])
            near, at = found[row, column], asked[row]
            dx, dy, s2 = self.x[near] - x[at], self.y[near] - y[at], self.sigma[near] ** 2
            chi2 = np.full(found.shape, np.inf)
            chi2[row, column] = (dx * cos[at] + dy * sin[at]) ** 2 / (vu[at] + s2)
            chi2[row, column] += (dy * cos[at] - dx * sin[at]) ** 2 / (vw[at] + s2)
            nearest = np.argmin(chi2, axis=1)
            value = chi2[np.arange(asked.size), nearest]
            good = value <= GATE_CHI2
            index[asked[good]] = found[good, nearest[good]]
            best[asked[good]] = value[good]
        return index, best


def make_pool(
    plane: Plane,
    keep: BoolArray,
    *,
    place: IntArray,
    shared: IntArray,
    solid: BoolArray,
    doubtful: BoolArray,
    standing: IntArray,
) -> Pool:
    """Take the detections that are left, with magnitudes brought to one scale by what is at rest."""
    members = np.flatnonzero(keep)
    bright = -2.5 * np.log10(plane.snr)
    mag, bright = (v - zero_points(plane, v, place, solid)[plane.epoch] for v in (plane.mag, bright))
    stars = Stars.of(plane, keep, solid)
    return Pool(
        plane=plane,
        members=members,
        epoch=plane.epoch[members],
        x=plane.x[members],
        y=plane.y[members],
        sigma=plane.sigma[members],
        brightness=bright[members],
        mag=mag[members],
        place=place[members],
        shared=shared[members],
        doubtful=(doubtful & ~_is_star(plane, stars) | _is_no_light(plane, stars))[members],
        standing=standing[members],
        stretch=plane.stretch[members],
        size=plane.size[members] * plane.scale,
        density=_density(plane, members),
        stars=stars,
        wander=_extents(plane, members[standing[members] < 0], place, shared),
    )


def _is_no_light(plane: Plane, stars: Stars) -> BoolArray:
    """What has no SNR, or is far sharper than a point though it is bright: cosmic rays, hot pixels."""
    point = stars.width[plane.epoch] / plane.scale
    sharp = np.isfinite(point) & (plane.size < SHARP * point) & (plane.snr > SHARP_SNR)
    return np.asarray(sharp | ~np.isfinite(plane.snr), dtype=bool)


def _is_star(plane: Plane, stars: Stars) -> BoolArray:
    """What is bright, round and of a point's size: a bad line or a satellite's trail does not look so."""
    point = stars.width[plane.epoch] / plane.scale
    alike = np.abs(plane.size - point) < ALIKE * point
    return np.asarray(alike & (plane.elongation < ROUND) & (plane.snr > CLEAR_SNR), dtype=bool)


def _extents(plane: Plane, members: IntArray, place: IntArray, shared: IntArray) -> FloatArray:
    """Extents of the places in the pool that several epochs see, without a uniform motion: these wander."""
    unsteady = members[shared[members] >= UNSTEADY]
    _, label = np.unique(place[unsteady], return_inverse=True)
    n = int(label.max()) + 1 if label.size else 0
    count = np.maximum(np.bincount(label, minlength=n), 1)
    t = plane.t[unsteady]
    t = t - (np.bincount(label, t, minlength=n) / count)[label]
    square = np.maximum(np.bincount(label, t * t, minlength=n), 1e-12)
    total = np.zeros(n)
    for values in (plane.x[unsteady], plane.y[unsteady]):
        rest = values - t * (np.bincount(label, t * values, minlength=n) / square)[label]
        high, low = np.full(n, -np.inf), np.full(n, np.inf)
        np.maximum.at(high, label, rest)
        np.minimum.at(low, label, rest)
        total = np.hypot(total, high - low)
    return np.sort(total)


def _density(plane: Plane, members: IntArray) -> FloatArray:
    """Density of the pool in an epoch at each member: that of the field, or of its surroundings if more."""
    n, epochs = members.size, max(plane.n_epochs, 1)
    if n == 0:
        return np.empty(0)
    field = n / epochs / plane.area
    points = np.stack([plane.x[members], plane.y[members]], axis=-1)
    stride = max(1, 2 * epochs // DENSITY_NEIGHBOURS)  # of many epochs a sample will do
    sample = points[::stride]
    k = min(max(8, 2 * epochs // stride), len(sample))
    far = np.asarray(cKDTree(sample).query(points, k=[k])[0])[:, 0]
    local = k * stride / epochs / (np.pi * np.maximum(far, 1.0) ** 2)
    return np.maximum(local, field)
