"""The shape of a point on a chip, from the pixels of a few of its stars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from ssosd.analysis.forced.pixels import Patches, read_patches
from ssosd.analysis.forced.profile import FWHM_PER_SIGMA, FloatArray, Shape, point_profile, round_shape
from ssosd.analysis.forced.trend import Trend
from ssosd.analysis.solved import OpenImage
from ssosd.grouping import BoolArray, IntArray

FEWEST_STARS = 5
_MOST_STARS, _LOOKED_AT = 15, 400
_CLEAR_FWHM = 4.0  # no other detection so near
_BRIGHTEST = 0.7  # of the saturation level: beyond, detectors begin to be not linear
_FAINTEST_SNR = 30.0
_USUAL = 0.12  # stars differ by less from their usual size
_FEWEST_LISTED = 3  # reference stars that tell it
_SHARPEST = 0.6  # size, in that of the first guess: below are cosmic rays and hot pixels
_SHAPE_ERROR = 0.02  # of a pixel's light: the brightest star shall not decide alone
_WHOLE = (0.5, 2.0)  # of the catalogue's light is what a star's shape finds: that of hot pixels is not it
_SECOND = (1.2, 3.0)  # scale of the second Gaussian
_TREND_STARS = 60  # the brightest show how the light that the shape finds changes over the chip
_ALIKE = 0.5  # these differ by less from the usual size: a galaxy's light is not in a star's shape


def measure_shape(
    image: OpenImage,
    detections: pd.DataFrame,
    *,
    fwhm_px: float,
    gain: float,
    saturation: float,
    still: Callable[[pd.DataFrame], BoolArray],
    catalogued: Callable[[pd.DataFrame], BoolArray],
) -> Shape:
    """Fit two Gaussians of one ellipse to good stars of a chip.

    Parameters
    ----------
    image : OpenImage
    detections : DataFrame
        On this chip: XWIN_IMAGE, YWIN_IMAGE, AWIN_IMAGE, BWIN_IMAGE (pixels), FLUX, FLUXERR (counts),
        FLAGS_EXTRACTION.
    fwhm_px : float
        A first guess.
    gain : float
        e- per count, inf for no shot noise.
    saturation : float
        Counts of a full pixel.
    still : callable
        Which rows of such a table stand still on the sky, shape (n,).
    catalogued : callable
        Which are reference stars: hot pixels stand still as well where nothing moves the telescope.

    Returns
    -------
    Shape
        A round Gaussian of the first guess with fewer than `FEWEST_STARS` stars.
    """
    rows = _lonely_stars(detections, fwhm_px=fwhm_px, saturation=saturation, still=still)
    if rows.size < FEWEST_STARS:
        return round_shape(fwhm_px)
    a, b = (detections[name].to_numpy(np.float64)[rows] for name in ("AWIN_IMAGE", "BWIN_IMAGE"))
    size = np.sqrt(a * b)
    listed = catalogued(detections.iloc[rows])
    unlike = np.abs(size / _star_size(size, listed, fwhm_px=fwhm_px) - 1.0)
    usual = unlike <= _USUAL
    if (usual & listed).sum() >= FEWEST_STARS:
        usual &= listed
    usual &= np.cumsum(usual) <= _MOST_STARS
    chosen = usual | ((unlike <= _ALIKE) & (np.arange(rows.size) < _TREND_STARS))
    rows, usual = rows[chosen], usual[chosen]
    x, y = (detections[name].to_numpy(np.float64)[rows] for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
    zero = np.zeros(rows.size)
    patches = read_patches(
        image, x=x, y=y, along=zero, angle=zero, fwhm_px=fwhm_px, saturation=_BRIGHTEST * saturation
    )
    whole = patches.sums((~patches.valid).astype(np.float64)) == 0.0
    whole &= np.isfinite(patches.noise) & (patches.noise > 0.0)
    if (whole & usual).sum() < FEWEST_STARS:
        return round_shape(fwhm_px)
    catalogue, error = (detections[name].to_numpy(np.float64)[rows] for name in ("FLUX", "FLUXERR"))
    shape = _fit(patches, x, y, catalogue, whole=whole & usual, fwhm_px=fwhm_px, gain=gain)
    if not _WHOLE[0] < shape.per_catalogue < _WHOLE[1]:
        return round_shape(fwhm_px)
    light, noise = _light(patches, x, y, shape) / catalogue, error / catalogue
    trend = Trend.measure(x[whole], y[whole], light[whole], noise=noise[whole], own=usual[whole])
    return replace(shape, trend=trend)


def _star_size(size: FloatArray, catalogued: BoolArray, *, fwhm_px: float) -> float:
    """Usual size of stars among detections, pixels: where most of the reference stars crowd together.

    Without enough of these it is that of all detections which are not sharper than a star can be.
    """
    told = size[catalogued]
    if told.size < _FEWEST_LISTED:
        told = size[size > _SHARPEST * fwhm_px / FWHM_PER_SIGMA]
    if not told.size:
        return float(np.median(size))
    told = np.sort(told)
    alike = np.searchsorted(told, told * (1.0 + _USUAL), side="right") - np.searchsorted(
        told, told * (1.0 - _USUAL)
    )
    middle = float(told[int(np.argmax(alike))])
    return float(np.median(told[np.abs(told / middle - 1.0) <= _USUAL]))


def _light(patches: Patches, x: FloatArray, y: FloatArray, shape: Shape) -> FloatArray:
    """Light that the shape finds at each place, counts."""
    own = patches.owner
    profile = point_profile(patches.x - x[own], patches.y - y[own], shape)
    return patches.sums(profile * patches.value) / patches.sums(profile**2)


def _lonely_stars(
    detections: pd.DataFrame,
    *,
    fwhm_px: float,
    saturation: float,
    still: Callable[[pd.DataFrame], BoolArray],
) -> IntArray:
    """Rows of bright stars that stand alone and have no flag; the brightest first."""
    x, y, flux, err = (
        detections[name].to_numpy(np.float64) for name in ("XWIN_IMAGE", "YWIN_IMAGE", "FLUX", "FLUXERR")
    )
    peak = flux / (1.1331 * fwhm_px**2)  # of a Gaussian: pi / (4 ln 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        good = (flux / err > _FAINTEST_SNR) & (peak < _BRIGHTEST * saturation)
    good &= (detections["FLAGS_EXTRACTION"].to_numpy() == 0) & np.isfinite(x) & np.isfinite(y)
    rows = np.flatnonzero(good)
    if rows.size < FEWEST_STARS:
        return rows.astype(np.intp)
    rows = rows[np.lexsort((x[rows], -flux[rows]))][:_LOOKED_AT]
    there = np.isfinite(x) & np.isfinite(y)
    tree = cKDTree(np.column_stack([x[there], y[there]]))
    nearest = np.asarray(tree.query(np.column_stack([x[rows], y[rows]]), k=2)[0])[:, 1]
    rows = rows[nearest > _CLEAR_FWHM * fwhm_px]
    return rows[still(detections.iloc[rows])].astype(np.intp)


def _fit(
    patches: Patches,
    x: FloatArray,
    y: FloatArray,
    catalogue: FloatArray,
    *,
    whole: np.ndarray,
    fwhm_px: float,
    gain: float,
) -> Shape:
    own = patches.owner
    use = whole[own]
    owner = np.cumsum(whole)[own[use]] - 1
    n = int(whole.sum())
    dx, dy, value = patches.x[use] - x[own[use]], patches.y[use] - y[own[use]], patches.value[use]
    sky = patches.noise[own[use]]
    sigma = np.sqrt(sky**2 + np.maximum(value, 0.0) / gain + (_SHAPE_ERROR * np.maximum(value, 0.0)) ** 2)
    weight = 1.0 / sigma**2

    def totals(light: FloatArray) -> FloatArray:
        top = np.bincount(owner, weight * light * value, minlength=n)
        return np.asarray(top / np.bincount(owner, weight * light * light, minlength=n))

    def residuals(vector: FloatArray) -> FloatArray:
        light = point_profile(dx, dy, _of_vector(vector))
        return (value - totals(light)[owner] * light) / sigma

    guess = max(fwhm_px / 2.3548, 0.4)
    fit = least_squares(
        residuals,
        [np.log(guess), 0.0, 0.0, np.log(1.8), -1.0],
        bounds=(
            [np.log(0.2), -0.8, -0.8, np.log(_SECOND[0]), -4.0],
            [np.log(6.0 * guess), 0.8, 0.8, np.log(_SECOND[1]), 1.5],
        ),
        loss="soft_l1",
        max_nfev=9,
    )
    shape = _of_vector(fit.x)
    light = point_profile(dx, dy, shape)
    ratio = float(np.median(totals(light) / catalogue[whole]))
    return Shape(
        weights=shape.weights, scales=shape.scales, ellipse=shape.ellipse, per_catalogue=ratio, n_stars=n
    )


def _of_vector(vector: FloatArray) -> Shape:
    """Shape of (log size, two of an ellipse, log scale and logit of the share of the second Gaussian)."""
    size, plus, cross, second, share = (float(v) for v in vector)
    stretch = float(np.hypot(plus, cross))
    cosh, sinh = np.cosh(stretch), np.sinh(stretch) / stretch if stretch > 0.0 else 1.0
    variance = np.exp(2.0 * size)
    wide = 1.0 / (1.0 + np.exp(-share))
    return Shape(
        weights=(1.0 - wide, wide),
        scales=(1.0, float(np.exp(second))),
        ellipse=(
            float(variance * (cosh + sinh * plus)),
            float(variance * sinh * cross),
            float(variance * (cosh - sinh * plus)),
        ),
        per_catalogue=1.0,
        n_stars=0,
    )
