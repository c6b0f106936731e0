"""Pixels around places of a chip, each with its sky and noise; only these are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssosd.analysis.forced.profile import FloatArray
from ssosd.analysis.solved import OpenImage
from ssosd.grouping import BoolArray, IntArray

REACH_FWHM = 2.0  # pixels this far from the place, or the trail, are fitted
SKY_FROM_FWHM, SKY_WIDTH_FWHM, SKY_WIDTH_PX = 3.0, 2.5, 7.0  # the ring of sky: from, and how wide at least
_ROUNDS, _CLIP = 4, 3.0
_CLIPPED_MAD = 1.4826 * 1.0137  # MAD to sigma of a normal distribution cut at 3 sigma
_FEWEST = 30  # pixels of sky


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Patches:
    """The pixels that are fitted, of n places one after the other."""

    owner: IntArray  # of each pixel, ascending, shape (m,)
    x: FloatArray  # FITS pixels, shape (m,)
    y: FloatArray
    value: FloatArray  # counts above the sky; 0 where not valid
    valid: BoolArray  # on the chip, a number, and not full
    full: BoolArray  # at the saturation level
    noise: FloatArray  # of a pixel of sky, counts rms, shape (n,); NaN where there is no sky to be seen
    sky_error: FloatArray  # of the sky that was taken away, counts, shape (n,)

    @property
    def n(self) -> int:
        """Number of places."""
        return int(self.noise.size)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum over the pixels of each place."""
        return np.bincount(self.owner, values, minlength=self.n).astype(np.float64)


def read_patches(
    image: OpenImage,
    *,
    x: FloatArray,
    y: FloatArray,
    along: FloatArray,
    angle: FloatArray,
    fwhm_px: float,
    saturation: float,
) -> Patches:
    """Read the surroundings of places, or of lines through them.

    Parameters
    ----------
    image : OpenImage
    x, y : ndarray, shape (n,)
        FITS pixels; finite, and one at least.
    along, angle : ndarray, shape (n,)
        Full length of the line (pixels) and its angle from x to y (radians).
    fwhm_px : float
        Of a star.
    saturation : float
        Counts of a full pixel.
    """
    reach = REACH_FWHM * fwhm_px
    first = SKY_FROM_FWHM * fwhm_px
    last = first + max(SKY_WIDTH_FWHM * fwhm_px, SKY_WIDTH_PX)
    half_x = 0.5 * np.abs(along * np.cos(angle)) + last
    half_y = 0.5 * np.abs(along * np.sin(angle)) + last
    low_x, low_y = np.floor(x - half_x).astype(int), np.floor(y - half_y).astype(int)
    high_x, high_y = np.ceil(x + half_x).astype(int), np.ceil(y + half_y).astype(int)
    parts: list[Sequence[np.ndarray]] = []
    noise, error, counts = [], [], []
    for k in range(x.size):
        pixels, there = image.read(
            low_x[k] - 1, low_y[k] - 1, high_x[k] - low_x[k] + 1, high_y[k] - low_y[k] + 1
        )
        column = np.arange(low_x[k], high_x[k] + 1) - x[k]
        row = (np.arange(low_y[k], high_y[k] + 1) - y[k])[:, None]
        cos, sin = np.cos(angle[k]), np.sin(angle[k])
        beyond = np.maximum(np.abs(column * cos + row * sin) - 0.5 * along[k], 0.0)
        distance = np.hypot(beyond, row * cos - column * sin)
        sky, sigma, n = sky_of(pixels[there & (distance >= first) & (distance <= last)])
        rows, columns = np.nonzero(distance <= reach)
        own, seen = pixels[rows, columns].astype(np.float64), there[rows, columns]
        full = seen & (own >= saturation)
        seen = seen & ~full
        parts.append(
            (columns + float(low_x[k]), rows + float(low_y[k]), np.where(seen, own - sky, 0.0), seen, full)
        )
        noise.append(sigma)
        error.append(1.2533 * sigma / np.sqrt(max(n, 1)))  # of a median: sqrt(pi / 2)
        counts.append(rows.size)
    of_all = [np.concatenate([part[i] for part in parts], dtype=np.float64) for i in range(5)]
    return Patches(
        owner=np.repeat(np.arange(x.size), counts).astype(np.intp),
        x=of_all[0],
        y=of_all[1],
        value=np.nan_to_num(of_all[2]),
        valid=of_all[3] > 0.0,
        full=of_all[4] > 0.0,
        noise=np.array(noise, dtype=np.float64),
        sky_error=np.array(error, dtype=np.float64),
    )


def sky_of(values: np.ndarray) -> tuple[float, float, int]:
    """Median, standard deviation and number of the pixels that are sky, by clipping; NaN for too few."""
    kept = np.sort(values.astype(np.float64))
    for _ in range(_ROUNDS):
        if kept.size < _FEWEST:
            return np.nan, np.nan, 0
        middle = _middle(kept)
        sigma = 1.4826 * _middle(np.sort(np.abs(kept - middle)))
        low, high = np.searchsorted(kept, [middle - _CLIP * sigma, middle + _CLIP * sigma])
        if high - low == kept.size:
            break
        kept = kept[low:high]
    middle = _middle(kept)
    return middle, _CLIPPED_MAD * _middle(np.sort(np.abs(kept - middle))), int(kept.size)


def _middle(ordered: FloatArray) -> float:
    """Median of sorted values, one at least."""
    return float(0.5 * (ordered[(ordered.size - 1) // 2] + ordered[ordered.size // 2]))
