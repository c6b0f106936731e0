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
from ssosd.linker.tracklets.streaks import epoch_key
from ssosd.trackfit import TRAIL_ERROR, TRAIL_WIDTH

GATE_CHI2 = 12.0  # of two degrees of freedom: passes 0.9975 of the true ones
UNSTEADY = 3  # epochs that see a place which is not solid
DENSITY_NEIGHBOURS = 32
CLEAR_SNR, FEW_STARS = 15.0, 10  # windows of fainter stars shrink
SHARP, SHARP_SNR = 0.6, 12.0  # size, in that of a star, of what is bright and no star
ALIKE, ROUND = 0.2, 1.3  # sizes of stars differ by so much; A / B of what is round
FWHM_PER_SIGMA = 2.3548  # of a Gaussian, 2 sqrt(2 ln 2)
_GRID = 512
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
    stretch: NDArray[np.complex128]
    size: FloatArray  # sqrt(A B), arcsec
    density: FloatArray  # of the pool around each detection, per arcsec^2 and epoch
    fwhm: float  # of a star, arcsec
    star_size: FloatArray  # sqrt(A B) of a star in each epoch, arcsec, shape (n_epochs,)
    star_stretch: NDArray[np.complex128]  # of a star in each epoch, as `stretch`
    wander: FloatArray  # extents of the places whose centroid wanders, arcsec, ascending

    @property
    def n(self) -> int:
        """Number of detections."""
        return int(self.x.size)

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
        top = float(size.max()) if size.size else 1.0
        half = np.concatenate([[0.0], np.geomspace(max(top * 1e-4, 1e-6), max(top, 1e-3), _GRID)])
        grid = np.concatenate([-half[:0:-1], half])
        floor = np.maximum(size, 1e-9)
        chance = np.array([np.arccos(np.clip(s / floor, -1.0, 1.0)).mean() / np.pi for s in grid])
        return grid, chance

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
    plane: Plane, keep: BoolArray, *, place: IntArray, shared: IntArray, solid: BoolArray, doubtful: BoolArray
) -> Pool:
    """Take the detections that are left, with magnitudes brought to one scale by what is at rest."""
    members = np.flatnonzero(keep)
    bright = -2.5 * np.log10(plane.snr)
    mag, bright = (v - zero_points(plane, v, place, solid)[plane.epoch] for v in (plane.mag, bright))
    stars = solid & ~plane.saturated & (plane.elongation < ROUND)
    reference = stars if stars.sum() >= 10 else keep
    minor = np.abs(plane.stretch[reference]) / np.maximum(plane.elongation[reference] ** 2 - 1.0, 0.05)
    fwhm = FWHM_PER_SIGMA * float(np.sqrt(np.median(minor))) if reference.any() else 2.0 * plane.scale
    star_size = _star_sizes(plane, stars & (plane.snr > CLEAR_SNR))
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
        doubtful=(doubtful & ~_is_star(plane, star_size) | _is_no_light(plane, star_size))[members],
        stretch=plane.stretch[members],
        size=plane.size[members] * plane.scale,
        density=_density(plane, members),
        fwhm=float(np.clip(fwhm, 1.5 * plane.scale, 10.0 * plane.scale)),
        star_size=star_size,
        star_stretch=_star_stretches(plane, solid & ~plane.saturated & (plane.snr > CLEAR_SNR)),
        wander=_extents(plane, members, place, shared),
    )


def _is_no_light(plane: Plane, star_size: FloatArray) -> BoolArray:
    """What has no SNR, or is far sharper than a star though it is bright: cosmic rays, hot pixels."""
    star = star_size[plane.epoch] / plane.scale
    sharp = np.isfinite(star) & (plane.size < SHARP * star) & (plane.snr > SHARP_SNR)
    return np.asarray(sharp | ~np.isfinite(plane.snr), dtype=bool)


def _is_star(plane: Plane, star_size: FloatArray) -> BoolArray:
    """What is bright, round and of a star's size: a bad line or a satellite's trail does not look so."""
    star = star_size[plane.epoch] / plane.scale
    alike = np.abs(plane.size - star) < ALIKE * star
    return np.asarray(alike & (plane.elongation < ROUND) & (plane.snr > CLEAR_SNR), dtype=bool)


def _star_sizes(plane: Plane, stars: BoolArray) -> FloatArray:
    """Median size of the stars of each epoch, arcsec; of all epochs where there are few; else infinite."""
    usual = float(np.median(plane.size[stars])) if stars.sum() >= FEW_STARS else np.inf
    return _medians(plane, stars, plane.size, usual) * plane.scale


def _star_stretches(plane: Plane, stars: BoolArray) -> NDArray[np.complex128]:
    """Median stretch of the stars of each epoch, arcsec^2; none where there are few."""
    real, imaginary = (_medians(plane, stars, v, 0.0) for v in (plane.stretch.real, plane.stretch.imag))
    return real + 1j * imaginary


def _medians(plane: Plane, stars: BoolArray, values: FloatArray, usual: float) -> FloatArray:
    """Median over the stars of each epoch; the usual value where there are few."""
    medians = np.full(plane.n_epochs, usual)
    for epoch in range(plane.n_epochs):
        here = values[stars & (plane.epoch == epoch)]
        if here.size >= FEW_STARS:
            medians[epoch] = np.median(here)
    return medians


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
