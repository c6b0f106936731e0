"""Paint movers into the pixels of a real chip: its own star shape, its own shot noise, its own limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssosd.analysis.inject.stars import StarShape
from ssosd.analysis.painter.movers import trails

FloatArray = NDArray[np.float64]

#: Wings end where a pixel gets less than this share of the noise.
_WING_FLOOR = 0.002
#: A mover is whole on a chip when it ends this many FWHM from the edge.
_EDGE_FWHM = 2.0
_FAR = -1.0e6  # pixels: a place that is on no chip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Painted:
    """What painting changes on a chip."""

    pixel: NDArray[np.intp]  # flat indices of the pixels that change
    counts: FloatArray  # what they hold then
    whole: NDArray[np.bool_]  # of each mover, whether all of its light is on the chip


def paint_movers(
    pixels: FloatArray,
    *,
    x: FloatArray,
    y: FloatArray,
    flux: FloatArray,
    stars: StarShape,
    noise: float,
    gain: float,
    saturation: float,
    rng: np.random.Generator,
) -> Painted:
    """Add movers to a chip.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Counts of the real chip; NaN where there is none, which stays.
    x, y : ndarray, shape (3, n)
        FITS pixels (1-based) of the movers at the start, middle and end of the exposure; NaN when nowhere.
    flux : ndarray, shape (n,)
        All light of each, counts.
    stars : StarShape
        From `ssosd.analysis.inject.stars.measure_stars`.
    noise : float
        Of a pixel without a source, counts rms; the movers' wings end well below it.
    gain : float
        e- per count, for the movers' own shot noise; inf for none.
    saturation : float
        Counts at which a pixel is full: none gets above it, one that is there already stays as it is.
    rng : Generator
        Of the shot noise.
    """
    ny, nx = pixels.shape
    placed_x, placed_y = (np.where(np.isfinite(x) & np.isfinite(y), place, _FAR) for place in (x, y))
    light = trails(
        placed_x,
        placed_y,
        flux,
        shape=(ny, nx),
        psf=stars.psf,
        floor_e=_WING_FLOOR * noise,
        axis_ratio=stars.axis_ratio,
        theta_deg=stars.theta_deg,
    )
    pixel, inverse = np.unique(light.pixel, return_inverse=True)
    added = np.bincount(inverse, weights=light.charge_e, minlength=len(pixel)).astype(np.float64)
    if np.isfinite(gain):
        added = rng.poisson(added * gain) / gain
    before = pixels.reshape(-1)[pixel]
    counts = np.where(before < saturation, np.minimum(before + added, saturation), before)
    margin = _EDGE_FWHM * stars.psf.fwhm_px
    outside = np.maximum.reduce(
        [0.5 - placed_x, placed_x - (nx + 0.5), 0.5 - placed_y, placed_y - (ny + 0.5)]
    ).max(axis=0)
    return Painted(pixel=pixel, counts=counts, whole=outside < -margin)
