"""Paint movers into one exposure: into the copies of its chips, each with its own stars' shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssosd.analysis.inject.digits import Digits
from ssosd.analysis.inject.paint import paint_movers
from ssosd.analysis.inject.stars import measure_stars, pixel_noise
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
    """Paint movers into the copies; chips without enough stars to know their shape stay as they are.

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
    for chip in chips:
        seen = chip.detections
        pixels = chip.digits.read()
        stars = measure_stars(
            pixels,
            x=seen["XWIN_IMAGE"].to_numpy(np.float64),
            y=seen["YWIN_IMAGE"].to_numpy(np.float64),
            flux=seen["FLUX"].to_numpy(np.float64),
            flags=seen["FLAGS_EXTRACTION"].to_numpy(),
            fwhm_px=chip.fwhm_px,
            gain=chip.gain,
            saturation=chip.saturation,
        )
        if stars is None:
            continue
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
