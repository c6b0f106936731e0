"""Whether the stars of a chip are trails, and of what length, angle and width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

FloatArray = NDArray[np.float64]
Image = NDArray[np.float32]

FWHM_PER_SIGMA = 2.3548200450309493  # of a Gaussian, 2 sqrt(2 ln 2)
_BRIGHT, _FEWEST = 40, 6  # detections that tell, at most and at least
_DRAWN_OUT = 0.3  # (A^2 - B^2) / (A^2 + B^2) of what is drawn out: A/B 1.36
_SHARE = 0.2  # of the bright detections that are so at least
_NEAR, _ALONG = np.radians(20.0), 0.7  # and the share of these within such an angle of the others
_ALIKE = 0.1  # of their length: trails are of one length
_MOST_OFTEN = 0.4  # share of them that are
_ROUNDS, _RIDGE = 3, 2.0  # in which the angle is found; pixels beside the middle line that tell the length
_STEP = 0.5  # of profiles, pixels
_REACHES = (40.0, 120.0, 360.0)  # half lengths within which ends are looked for, pixels
_INTERPOLATED = 1.0 / 6.0  # variance that linear interpolation adds, pixels squared
_BESIDE = 8.0  # pixels beside a trail that tell its width
_NEIGHBOURS = 3  # FLAGS that do not matter: something beside it, deblended


@dataclass(frozen=True, kw_only=True, slots=True)
class StarTrail:
    """What a star leaves on a chip: a Gaussian drawn evenly along a line."""

    length: float  # pixels
    angle: float  # radians from x to y, -pi/2 to pi/2
    fwhm: float  # across, pixels

    @property
    def sigma(self) -> float:
        """Of the Gaussian, pixels."""
        return self.fwhm / FWHM_PER_SIGMA


def drawn_out(objects: NDArray[Any]) -> tuple[NDArray[np.intp], float]:
    """Bright detections of a chip and the angle of their shapes; no detections where these are round.

    A look at the catalogue alone, so that exposures of round stars cost nothing.

    Parameters
    ----------
    objects : structured ndarray
        SExtractor's rows: AWIN_IMAGE, BWIN_IMAGE, THETAWIN_IMAGE, FLUX_AUTO, FLAGS.

    Returns
    -------
    rows : ndarray of int
    angle : float
        Radians from x to y.
    """
    whole = np.flatnonzero((objects["FLAGS"] & ~_NEIGHBOURS) == 0)
    rows = whole[np.argsort(-objects["FLUX_AUTO"][whole], kind="stable")[:_BRIGHT]]
    a, b = (objects[name][rows].astype(np.float64) ** 2 for name in ("AWIN_IMAGE", "BWIN_IMAGE"))
    with np.errstate(divide="ignore", invalid="ignore"):
        long = (a - b) / (a + b) > _DRAWN_OUT  # not so what is unknown
    rows = rows[long]
    turned = np.exp(2j * np.radians(objects["THETAWIN_IMAGE"][rows].astype(np.float64)))
    if rows.size < max(_FEWEST, _SHARE * long.size):
        return rows[:0], 0.0
    middle = complex(np.median(turned.real), np.median(turned.imag))
    along = np.abs(np.angle(turned / middle)) < 2.0 * _NEAR
    if along.sum() < _ALONG * rows.size:
        return rows[:0], 0.0
    return rows[along], float(np.angle(turned[along].mean()) / 2.0)


def measure_trail(image: Image, x: FloatArray, y: FloatArray, angle: float) -> StarTrail | None:
    """Measure the trails of bright stars on the pixels.

    Along a trail the light is even and falls to half at its ends; across it is a star's.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Without its background.
    x, y : ndarray, shape (n,)
        Places on the trails, FITS pixels.
    angle : float
        Of the trails to some degrees, radians from x to y.

    Returns
    -------
    StarTrail or None
        None where the stars are not of one length.
    """
    for reach in _REACHES:
        for _ in range(_ROUNDS):
            strips, u, v = _strips(image, x, y, angle, reach, _BESIDE)
            lengths, middles = _extents(u, strips[:, np.abs(v) <= _RIDGE].mean(axis=1))
            told = _alike(lengths)
            if told.size < max(_FEWEST, _MOST_OFTEN * x.size):
                break
            length = float(np.median(lengths[told]))
            angle += _slope(strips[told], u, v, middles[told], length)
        else:
            inner, _, v = _strips(image, x[told], y[told], angle, 0.3 * length, _BESIDE)
            across = _widths(v, inner.mean(axis=2))
            if np.isfinite(across).sum() < _FEWEST:
                return None
            half_turn = float((angle + np.pi / 2.0) % np.pi - np.pi / 2.0)
            return StarTrail(length=length, angle=half_turn, fwhm=float(np.nanmedian(across)))
    return None


def _alike(lengths: FloatArray) -> NDArray[np.intp]:
    """Rows of those that have one length: around the shortest range with half of what is known."""
    known = np.sort(lengths[np.isfinite(lengths)])
    if known.size < _FEWEST:
        return np.empty(0, dtype=np.intp)
    half = (known.size + 1) // 2
    first = int(np.argmin(known[half - 1 :] - known[: known.size - half + 1]))
    middle = float(np.median(known[first : first + half]))
    return np.flatnonzero(np.abs(lengths - middle) <= max(_ALIKE * middle, 1.0))


def _strips(
    image: Image, x: FloatArray, y: FloatArray, angle: float, half: float, beside: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pixels around places, turned: shape (n, across, along), and the distances along and across."""
    u, v = (np.arange(-reach, reach + _STEP / 2.0, _STEP) for reach in (max(half, _STEP), beside))
    cos, sin = np.cos(angle), np.sin(angle)
    columns = x[:, None, None] - 1.0 + u * cos - v[:, None] * sin
    rows = y[:, None, None] - 1.0 + u * sin + v[:, None] * cos
    return map_coordinates(image, [rows, columns], order=1, mode="constant", output=np.float64), u, v


def _extents(u: FloatArray, profiles: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Full width at half of the plateau and its middle, of each profile; NaN where its ends are not seen."""
    found = [_extent(u, profile) for profile in profiles]
    width, middle = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return width, middle


def _extent(u: FloatArray, profile: FloatArray) -> tuple[float, float]:
    level = 0.5 * float(profile[_near(profile)].max())
    low = high = np.nan
    for _ in range(4):
        low, high = _crossings(u, profile, level)
        if not np.isfinite(low):
            return np.nan, np.nan
        inner = np.abs(u - 0.5 * (low + high)) <= 0.3 * (high - low)
        level = 0.5 * float(np.median(profile[inner]))
    return high - low, 0.5 * (low + high)


def _near(profile: FloatArray) -> slice:
    return slice(profile.size // 2 - 3, profile.size // 2 + 4)


def _crossings(u: FloatArray, profile: FloatArray, level: float) -> tuple[float, float]:
    """Where a profile falls to a level on both sides of its middle, NaN where it does not."""
    above = profile > level
    if not (level > 0.0 and above[_near(profile)].any()):
        return np.nan, np.nan
    inside = profile.size // 2 - 3 + int(np.argmax(above[_near(profile)]))
    below = np.flatnonzero(~above)
    before, after = below[below < inside], below[below > inside]
    if not before.size or not after.size:
        return np.nan, np.nan
    first, last, step = int(before[-1]), int(after[0]), u[1] - u[0]
    low = u[first] + step * (level - profile[first]) / (profile[first + 1] - profile[first])
    high = u[last - 1] + step * (profile[last - 1] - level) / (profile[last - 1] - profile[last])
    return float(low), float(high)


def _widths(v: FloatArray, profiles: FloatArray) -> FloatArray:
    """Full width at half maximum of profiles across trails, NaN where there is none: of a star's shape."""
    near = np.abs(v) <= _RIDGE
    level = 0.5 * profiles[:, near].max(axis=1)
    found = [_crossings(v, one, half) for one, half in zip(profiles, level, strict=True)]
    width = np.array([high - low for low, high in found], dtype=np.float64)
    blurred = FWHM_PER_SIGMA**2 * _INTERPOLATED
    return np.sqrt(np.maximum(width**2 - blurred, 1.0))


def _slope(profiles: FloatArray, u: FloatArray, v: FloatArray, middle: FloatArray, length: float) -> float:
    """By how much the trails are turned against the strips, radians: median of their ridges' slopes."""
    core = np.abs(v) <= 2.0 * _RIDGE
    light = np.maximum(profiles[:, core], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ridge = np.nan_to_num((light * v[core, None]).sum(axis=1) / light.sum(axis=1))
    along = u - middle[:, None]
    use = np.where(np.abs(along) <= 0.4 * length, 1.0, 0.0)
    count = np.maximum(use.sum(axis=1), 1.0)
    du = along - ((use * along).sum(axis=1) / count)[:, None]
    square = (use * du * du).sum(axis=1)
    slopes = (use * du * ridge).sum(axis=1) / np.maximum(square, 1e-9)
    return float(np.arctan(np.median(slopes)))
