"""What a moving point leaves on pixels: the star's shape spread evenly along a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ssosd.analysis.forced.trend import Trend

FloatArray = NDArray[np.float64]

FWHM_PER_SIGMA = 2.3548200450309493  # 2 sqrt(2 ln 2)
_PIXEL = 1.0 / 12.0  # variance of a pixel's own box, pixels squared
_SHORTEST = 0.05  # pixels: what is shorter is a point


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A point on a chip as a sum of Gaussians of one ellipse, and how its light relates to the catalogue's.

    Gaussians stay simple when they are drawn along a line, and two of them follow a real star's wings.
    """

    weights: tuple[float, ...]  # share of the light of each Gaussian, together 1
    scales: tuple[float, ...]  # of each Gaussian, of the ellipse's axes
    ellipse: tuple[float, float, float]  # variances xx, xy, yy of scale 1, pixels squared, without the pixel
    per_catalogue: float  # all light over the catalogue's FLUX, of the stars it was measured from
    n_stars: int  # it was measured from; 0 when it is taken from the seeing alone
    trend: Trend | None = None  # of that over the chip, where the stars' shape changes over it

    def per_catalogue_at(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Light of this shape over the catalogue's FLUX at FITS pixels of the chip, shape (n,)."""
        ratio = np.full(x.shape, self.per_catalogue)
        return ratio if self.trend is None else ratio * self.trend.at(x, y)

    @property
    def fwhm_px(self) -> float:
        """Full width at half maximum of the narrowest Gaussian with its pixel, mean of the axes."""
        xx, xy, yy = self.ellipse
        core = min(self.scales) ** 2 * np.sqrt(max(xx * yy - xy * xy, 0.0)) + _PIXEL
        return float(FWHM_PER_SIGMA * np.sqrt(core))

    @property
    def elongation(self) -> float:
        """Major over minor axis."""
        xx, xy, yy = self.ellipse
        middle, spread = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
        return float(np.sqrt((middle + spread) / max(middle - spread, 1e-9)))


def round_shape(fwhm_px: float) -> Shape:
    """A round Gaussian, for a chip whose stars do not tell."""
    variance = max((fwhm_px / FWHM_PER_SIGMA) ** 2 - _PIXEL, 0.05)
    return Shape(
        weights=(1.0,), scales=(1.0,), ellipse=(variance, 0.0, variance), per_catalogue=1.0, n_stars=0
    )


def trail_profile(
    dx: FloatArray,
    dy: FloatArray,
    *,
    shape: Shape,
    length: FloatArray,
    angle: FloatArray,
    widen: tuple[FloatArray, FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Light of one count on pixels, and its derivatives by the pixel's place.

    A Gaussian drawn along a line is the product of a Gaussian across it and of the difference of two error
    functions along it (Veres et al. 2012, PASP 124, 1197, eq. 3); for an ellipse the middle along depends on
    the place across. A pixel's box is taken as a Gaussian of its variance.

    Parameters
    ----------
    dx, dy : ndarray, shape (n,)
        Pixels from the middle of the trail.
    shape : Shape
    length, angle : ndarray, shape (n,)
        Of the trail, pixels and radians from x to y; 0 for a point.
    widen : tuple of two ndarray of shape (n,), optional
        1-sigma uncertainty of the middle along and across the trail, pixels: the profile is spread by it.

    Returns
    -------
    light, by_x, by_y : ndarray, shape (n,)
    """
    cos, sin = np.cos(angle), np.sin(angle)
    u, w = dx * cos + dy * sin, dy * cos - dx * sin
    half = 0.5 * np.maximum(length, _SHORTEST)
    more_u, more_w = (s**2 for s in widen) if widen is not None else (0.0, 0.0)
    light, by_u, by_w = np.zeros(dx.shape), np.zeros(dx.shape), np.zeros(dx.shape)
    xx, xy, yy = shape.ellipse
    uu = cos * cos * xx + 2.0 * sin * cos * xy + sin * sin * yy
    ww = sin * sin * xx - 2.0 * sin * cos * xy + cos * cos * yy
    uw = sin * cos * (yy - xx) + (cos * cos - sin * sin) * xy
    for weight, scale in zip(shape.weights, shape.scales, strict=True):
        across = scale**2 * ww + _PIXEL + more_w
        slant = scale**2 * uw / across
        sigma = np.sqrt(scale**2 * uu + _PIXEL + more_u - slant * slant * across)
        front, back = (u - slant * w + half) / sigma, (u - slant * w - half) / sigma
        along = (ndtr(front) - ndtr(back)) / (2.0 * half)
        steep = (np.exp(-0.5 * front**2) - np.exp(-0.5 * back**2)) / (
            np.sqrt(2.0 * np.pi) * sigma * 2.0 * half
        )
        beside = weight * np.exp(-0.5 * w * w / across) / np.sqrt(2.0 * np.pi * across)
        light += beside * along
        by_u += beside * steep
        by_w -= beside * (along * w / across + slant * steep)
    return light, by_u * cos - by_w * sin, by_u * sin + by_w * cos


def point_profile(dx: FloatArray, dy: FloatArray, shape: Shape) -> FloatArray:
    """Light of one count of a point on pixels, at these distances (pixels, shape (n,)) from it."""
    xx, xy, yy = shape.ellipse
    light = np.zeros(dx.shape)
    for weight, scale in zip(shape.weights, shape.scales, strict=True):
        vxx, vxy, vyy = scale**2 * xx + _PIXEL, scale**2 * xy, scale**2 * yy + _PIXEL
        area = vxx * vyy - vxy * vxy
        square = (vyy * dx * dx - 2.0 * vxy * dx * dy + vxx * dy * dy) / area
        light += weight / (2.0 * np.pi * np.sqrt(area)) * np.exp(-0.5 * square)
    return light
