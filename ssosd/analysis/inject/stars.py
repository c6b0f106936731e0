"""The shape and the brightness of points on a chip, measured from its stars: what a painted mover must be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from ssosd.analysis.painter.psf import Psf

FloatArray = NDArray[np.float64]

#: Fewer stars than this say nothing of a chip.
MIN_STARS = 5
_MOST_STARS = 40
_BETA = (1.5, 8.0)  # of a Moffat profile; beyond the upper end it is a Gaussian
_STRETCH = 0.7  # log of the largest ratio of axes, per component
_CLEAR_FWHM = 4.0  # no other detection within so many FWHM
_STAMP_FWHM = 3.0  # half width of the pixels that are fitted
_BRIGHTEST = 0.7  # of the saturation level, above which detectors begin to be not linear
_FAINTEST_SNR = 15.0  # of the peak
_SHAPE_ERROR = 0.02  # of a star's light: no profile is exact
_USUAL = 0.1  # stars differ by less from their common width
_NARROWEST_FWHM = 0.5  # cosmic rays and hot pixels are narrower
_TOTAL_OVER_AUTO = 1.06  # of a point, in SExtractor's usual Kron aperture


@dataclass(frozen=True, kw_only=True, slots=True)
class StarShape:
    """A point on a chip: an elliptical Moffat (1969, A&A 3, 455), and how it relates to the catalogue."""

    psf: Psf  # FWHM along the major axis
    axis_ratio: float  # minor over major
    theta_deg: float  # of the major axis, from x to y
    total_over_auto: float  # all light over FLUX_AUTO
    n_stars: int


def round_stars(fwhm_px: float) -> StarShape:
    """What stars are like where too few show it."""
    psf = Psf(kind="moffat", fwhm_px=fwhm_px)
    return StarShape(psf=psf, axis_ratio=1.0, theta_deg=0.0, total_over_auto=_TOTAL_OVER_AUTO, n_stars=0)


def pixel_noise(pixels: FloatArray) -> float:
    """Rms of the noise between neighbouring pixels, from the differences along rows; NaN for no pixels."""
    differences = np.diff(pixels[:: max(1, len(pixels) // 256)], axis=1)
    finite = differences[np.isfinite(differences)]
    if not len(finite):
        return float("nan")
    return float(1.4826 * np.median(np.abs(finite - np.median(finite))) / np.sqrt(2.0))


def measure_stars(
    pixels: FloatArray,
    *,
    x: FloatArray,
    y: FloatArray,
    flux: FloatArray,
    flags: NDArray[np.integer],
    fwhm_px: float,
    gain: float,
    saturation: float,
) -> StarShape | None:
    """Fit one profile to the good stars of a chip.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Counts; NaN where there is none.
    x, y : ndarray, shape (n,)
        Of all detections, FITS pixels (1-based).
    flux : ndarray, shape (n,)
        FLUX_AUTO, counts.
    flags : ndarray, shape (n,)
        SExtractor's; only detections without any are used.
    fwhm_px : float
        A first guess.
    gain : float
        e- per count; inf when there is no shot noise to be told.
    saturation : float
        Counts.

    Returns
    -------
    StarShape or None
        None with fewer than `MIN_STARS` stars.
    """
    noise = pixel_noise(pixels)
    half = int(np.clip(np.ceil(_STAMP_FWHM * fwhm_px), 4, 25))
    chosen = _isolated(x, y, flux, flags, clear_px=_CLEAR_FWHM * fwhm_px)
    stamps, chosen = _stamps(
        pixels, x, y, chosen, half=half, fwhm_px=fwhm_px, noise=noise, saturation=saturation
    )
    if len(chosen) < MIN_STARS:
        return None
    step = np.arange(-half, half + 1)
    dx = (np.rint(x[chosen])[:, None] + step - x[chosen, None])[:, None, :]
    dy = (np.rint(y[chosen])[:, None] + step - y[chosen, None])[:, :, None]
    border = np.ones(stamps.shape[1:], dtype=bool)
    border[1:-1, 1:-1] = False
    light = np.maximum(stamps - np.median(stamps[:, border], axis=1)[:, None, None], 0.0)
    sigma = np.sqrt(noise**2 + light / gain + (_SHAPE_ERROR * light) ** 2)

    def model(shape: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Each star's best total and what is left of its pixels, over their errors."""
        profile = _profiles(dx, dy, *_of_vector(shape))
        weight = 1.0 / sigma**2
        s, p, pp = (np.sum(weight * term, axis=(1, 2)) for term in (1.0, profile, profile**2))
        d, dp = (np.sum(weight * term, axis=(1, 2)) for term in (stamps, stamps * profile))
        total = (s * dp - p * d) / (s * pp - p * p)
        sky = (d - total * p) / s
        return total, (stamps - total[:, None, None] * profile - sky[:, None, None]) / sigma

    def residuals(shape: FloatArray) -> FloatArray:
        return model(shape)[1].ravel()

    fit = least_squares(
        residuals,
        [np.log(fwhm_px), np.log(3.0), 0.0, 0.0],
        bounds=(
            [np.log(0.5), np.log(_BETA[0]), -_STRETCH, -_STRETCH],
            [np.log(8.0 * fwhm_px), np.log(_BETA[1]), _STRETCH, _STRETCH],
        ),
        loss="soft_l1",
    )
    psf, axis_ratio, theta_deg = _of_vector(fit.x)
    total, _ = model(fit.x)
    return StarShape(
        psf=psf,
        axis_ratio=axis_ratio,
        theta_deg=theta_deg,
        total_over_auto=float(np.median(total / flux[chosen])),
        n_stars=len(chosen),
    )


def _isolated(
    x: FloatArray, y: FloatArray, flux: FloatArray, flags: NDArray[np.integer], *, clear_px: float
) -> NDArray[np.intp]:
    """Detections with nothing beside them, brightest first."""
    places = np.column_stack([x, y])
    if len(places) < MIN_STARS:
        return np.zeros(0, dtype=np.intp)
    nearest = np.asarray(cKDTree(places).query(places, k=2)[0])[:, 1]
    good = np.flatnonzero((flags == 0) & (flux > 0.0) & (nearest > clear_px))
    return good[np.argsort(-flux[good], kind="stable")]


def _stamps(
    pixels: FloatArray,
    x: FloatArray,
    y: FloatArray,
    chosen: NDArray[np.intp],
    *,
    half: int,
    fwhm_px: float,
    noise: float,
    saturation: float,
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Pixels around the brightest stars that are whole, linear, and points rather than galaxies."""
    found, kept = [], []
    for star in chosen.tolist():
        row, column = round(y[star]) - 1, round(x[star]) - 1
        stamp = pixels[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
        if stamp.shape != (2 * half + 1, 2 * half + 1) or not np.isfinite(stamp).all():
            continue
        peak = float(stamp.max())
        if peak < _BRIGHTEST * saturation and peak - float(np.median(stamp)) > _FAINTEST_SNR * noise:
            found.append(stamp)
            kept.append(star)
        if len(kept) == 4 * _MOST_STARS:
            break
    if not kept:
        return np.zeros((0, 2 * half + 1, 2 * half + 1)), np.zeros(0, dtype=np.intp)
    stack = np.array(found)
    usual = _alike(_widths(stack), least=_NARROWEST_FWHM * fwhm_px)
    return stack[usual][:_MOST_STARS], np.array(kept, dtype=np.intp)[usual][:_MOST_STARS]


def _widths(stack: FloatArray) -> FloatArray:
    """A measure of each star's width: the root of its light above the border over its peak."""
    border = np.ones(stack.shape[1:], dtype=bool)
    border[1:-1, 1:-1] = False
    light = stack - np.median(stack[:, border], axis=1)[:, None, None]
    return np.sqrt(np.maximum(light.sum(axis=(1, 2)), 0.0) / light.max(axis=(1, 2)))


def _alike(width: FloatArray, *, least: float) -> NDArray[np.bool_]:
    """Which are as wide as most: on few stars hot pixels and galaxies, of all widths, move the median."""
    ordered = np.sort(width[width > least])
    if not len(ordered):
        return np.zeros(len(width), dtype=bool)
    ends = np.searchsorted(ordered, ordered * (1.0 + _USUAL) / (1.0 - _USUAL), side="right")
    first = int(np.argmax(ends - np.arange(len(ordered))))
    common = float(np.median(ordered[first : ends[first]]))
    return np.abs(width - common) <= _USUAL * common


def _of_vector(shape: FloatArray) -> tuple[Psf, float, float]:
    """Profile, axis ratio and angle of (log mean FWHM, log beta, and the ellipse as a vector)."""
    stretch = float(np.hypot(shape[2], shape[3]))  # log of major over minor
    theta = float(np.degrees(np.arctan2(shape[3], shape[2])) / 2.0)
    fwhm = float(np.exp(shape[0] + stretch / 2.0))
    return Psf(kind="moffat", beta=float(np.exp(shape[1])), fwhm_px=fwhm), float(np.exp(-stretch)), theta


def _profiles(dx: FloatArray, dy: FloatArray, psf: Psf, axis_ratio: float, theta_deg: float) -> FloatArray:
    """Points of one count on pixels, shape (n, s, s); each pixel's integral is a 3 x 3 Gauss-Legendre sum."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    c, s = np.cos(np.radians(theta_deg)), np.sin(np.radians(theta_deg))
    scale2 = float(psf.squared_radius(np.float64(psf.fwhm_px)))  # type: ignore[arg-type]
    total = np.zeros(np.broadcast_shapes(dx.shape, dy.shape))
    for node_x, weight_x in zip(nodes / 2.0, weights / 2.0, strict=True):
        for node_y, weight_y in zip(nodes / 2.0, weights / 2.0, strict=True):
            a, b = dx + node_x, dy + node_y
            along, across = c * a + s * b, (c * b - s * a) / axis_ratio
            value = (1.0 + (along**2 + across**2) / scale2) ** -psf.beta
            total += weight_x * weight_y * value
    return total * psf.central / (scale2 * axis_ratio)
