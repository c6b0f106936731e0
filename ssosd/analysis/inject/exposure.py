"""Paint movers into one exposure: into the copies of its chips, with the shape of their stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssosd.analysis.inject.digits import Digits
from ssosd.analysis.inject.paint import paint_movers
from ssosd.analysis.inject.stars import StarShape, measure_stars, pixel_noise, round_stars
from ssosd.analysis.solved import SolvedImage

#: Moments at which a mover's place is known.
_MOMENTS = (("ra_start", "dec_start"), ("ra", "dec"), ("ra_end", "dec_end"))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChipLight:
    """What one needs to paint on a chip."""

    digits: Digits  # of the copy
    solved: SolvedImage  # of the original
    detections: pd.DataFrame  # on it: XWIN_IMAGE, YWIN_IMAGE, FLUX (counts), FLAGS_EXTRACTION
    one_count_mag: float  # calibrated magnitude of a star with FLUX 1
    fwhm_px: float  # a first guess
    gain: float  # e- per count; inf for no shot noise
    saturation: float  # counts


def paint_exposure(
    chips: Sequence[ChipLight], movers: pd.DataFrame, *, rng: np.random.Generator
) -> pd.Series:
    """Paint movers into the copies.

    A chip with too few stars to know their shape borrows that of the exposure's chip with the most; without
    any, stars are round and as wide as the first guess.

    Parameters
    ----------
    chips : sequence of ChipLight
    movers : DataFrame
        n rows from `ssosd.analysis.painter.movers.ephemeris`: places at the start, middle and end of the
        exposure (deg), mag.
    rng : Generator
        Of the movers' shot noise.

    Returns
    -------
    Series of bool
        Which movers have all of their light on one chip.
    """
    whole = pd.Series(data=False, index=movers.index)
    shapes = [_shape(chip) for chip in chips]
    best = max((s for s in shapes if s is not None), key=lambda s: s.n_stars, default=None)
    for chip, own in zip(chips, shapes, strict=True):
        stars = own or best or round_stars(chip.fwhm_px)
        pixels = chip.digits.read()
        places = np.stack([chip.solved.pixels_of(movers[ra], movers[dec]) for ra, dec in _MOMENTS])
        auto = 10.0 ** (-0.4 * (movers["mag"].to_numpy(np.float64) - chip.one_count_mag))
        painted = paint_movers(
            pixels,
            x=places[:, :, 0],
            y=places[:, :, 1],
            flux=auto * stars.total_over_auto,
            stars=stars,
            noise=pixel_noise(pixels),
            gain=chip.gain,
            saturation=chip.saturation,
            rng=rng,
        )
        chip.digits.write(painted.pixel, painted.counts)
        whole |= painted.whole
    return whole


def _shape(chip: ChipLight) -> StarShape | None:
    seen = chip.detections
    return measure_stars(
        chip.digits.read(),  # not kept: a mosaic is large
        x=seen["XWIN_IMAGE"].to_numpy(np.float64),
        y=seen["YWIN_IMAGE"].to_numpy(np.float64),
        flux=seen["FLUX"].to_numpy(np.float64),
        flags=seen["FLAGS_EXTRACTION"].to_numpy(),
        fwhm_px=chip.fwhm_px,
        gain=chip.gain,
        saturation=chip.saturation,
    )
