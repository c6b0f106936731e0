"""Cutouts as pictures for people: one scale for all frames of a blink, 8-bit greys, PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from astropy.io import fits
from astropy.visualization import ZScaleInterval
from numpy.typing import NDArray

from ssosd.analysis.fitscards import image_of
from ssosd.errors import BadInput

Contrast = Literal["zscale", "linear", "asinh"]
CONTRASTS: tuple[Contrast, ...] = get_args(Contrast)
#: Grey of a pixel without value; it is transparent in a PNG. Sky and stars have 1 to 255.
BLANK = 0

Pixels = NDArray[np.float32]
Greys = NDArray[np.uint8]

_DARK = -2.5  # noise below the sky that is black in linear and asinh
_LEAST_SPAN = 8.0  # of the greys, in noise: an empty frame is not blown up to snow
_LINEAR_PERCENTILE = 99.5
_ASINH_SOFTENING = 4.0  # noise above black where asinh turns from a line into a logarithm
_MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """One cutout."""

    pixels: Pixels  # shape (ny, nx), counts, first row in the south, NaN without value
    header: Mapping[str, Any]  # values of its cards, the WCS among them


def read_stamp(path: Path) -> Stamp:
    """Read a cutout as `ssosd.analysis.cutouts` (or the seed) wrote it.

    Raises
    ------
    BadInput
        There is no such file, or it is no two-dimensional FITS image.
    """
    try:
        found = image_of(path.read_bytes()) or _by_astropy(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{path}: no cutout: {error}") from error
    return Stamp(pixels=found[0], header=found[1])


def _by_astropy(path: Path) -> tuple[Pixels, dict[str, Any]]:
    with fits.open(path, memmap=False) as hdus:
        hdu = next((h for h in hdus if getattr(h, "is_image", False) and h.data is not None), None)
        if hdu is None or hdu.data.ndim != 2:
            raise ValueError("no two-dimensional image")
        return hdu.data.astype(np.float32), {c.keyword: c.value for c in hdu.header.cards}


def in_noise(pixels: Pixels) -> Pixels:
    """Pixels above the sky in units of the sky's noise, so that frames of any night compare.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Counts; NaN without value.

    Returns
    -------
    ndarray, shape (ny, nx)
        (pixels - median) / noise, the noise being 1.4826 times the median absolute deviation, or 1 count
        where that is zero. NaN stays NaN.

    Examples
    --------
    >>> print(in_noise(np.array([[9, 10], [11, np.nan]], dtype=np.float32)).round(2))
    [[-0.67  0.  ]
     [ 0.67   nan]]
    """
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return np.full(pixels.shape, np.nan, dtype=np.float32)
    sky = np.median(finite)
    noise = _MAD_TO_SIGMA * float(np.median(np.abs(finite - sky))) or 1.0
    return np.where(np.isfinite(pixels), (pixels - sky) / noise, np.nan).astype(np.float32)


def cut_levels(frames: Sequence[Pixels], contrast: Contrast) -> tuple[float, float]:
    """The values that are black and white, the same for all frames of a blink.

    Parameters
    ----------
    frames : sequence of ndarray
        From `in_noise`.
    contrast : str
        One of `CONTRASTS`. zscale is IRAF's, by `astropy.visualization.ZScaleInterval`.

    Returns
    -------
    (float, float)
        Of the same unit as the frames; (-2.5, 8) or wider when no pixel has a value.
    """
    values = np.concatenate([f[np.isfinite(f)] for f in frames] or [np.empty(0, dtype=np.float32)])
    if not values.size:
        return _DARK, _LEAST_SPAN
    if contrast == "zscale":
        low, high = (float(v) for v in ZScaleInterval().get_limits(values))
    else:
        low = _DARK
        high = float(values.max() if contrast == "asinh" else np.percentile(values, _LINEAR_PERCENTILE))
    return low, max(high, low + _LEAST_SPAN)


def greys(frame: Pixels, *, levels: tuple[float, float], contrast: Contrast) -> Greys:
    """A frame as it is looked at: north (the last row of FITS) on top, white is bright.

    Parameters
    ----------
    frame : ndarray, shape (ny, nx)
        From `in_noise`, first row in the south.
    levels : (float, float)
        From `cut_levels` with the same contrast.
    contrast : str
        zscale and linear are both linear between their levels, asinh is linear near the sky and logarithmic
        far above it.

    Returns
    -------
    ndarray of uint8, shape (ny, nx)
        First row in the north; `BLANK` where there is no value.
    """
    low, high = levels
    share = np.clip((np.nan_to_num(frame, nan=low) - low) / (high - low), 0.0, 1.0)
    if contrast == "asinh":
        bend = (high - low) / _ASINH_SOFTENING
        share = np.arcsinh(share * bend) / np.arcsinh(bend)
    shaded = np.where(np.isfinite(frame), 1.0 + np.rint(254.0 * share), BLANK)
    return np.ascontiguousarray(shaded[::-1].astype(np.uint8))


def blink_greys(stamps: Sequence[Stamp], contrast: Contrast = "zscale") -> list[Greys]:
    """All frames of a blink on one scale, as `greys` has each."""
    frames = [in_noise(stamp.pixels) for stamp in stamps]
    levels = cut_levels(frames, contrast)
    return [greys(frame, levels=levels, contrast=contrast) for frame in frames]


def png_bytes(shaded: Greys) -> bytes:
    """A grey picture as PNG; pixels without value are transparent. The same greys give the same bytes.

    Written here (ISO/IEC 15948:2004, 5 and 11): rows as they are, as in noise no pixel foretells the next.
    """
    height, width = shaded.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each begins with its filter, 0 for none
    rows[:, 1:] = shaded
    packer = zlib.compressobj(strategy=zlib.Z_RLE)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),  # 8 bits, greys
        (b"tRNS", struct.pack(">H", BLANK)),
        (b"IDAT", packer.compress(rows.tobytes()) + packer.flush()),
        (b"IEND", b""),
    )
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        parts += [struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))]
    return b"".join(parts)
