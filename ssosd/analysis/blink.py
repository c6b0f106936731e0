"""Cutouts of one candidate as a strip of frames to blink: stars stand still, the candidate moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from ssosd.analysis.stamps import Contrast, Pixels, Stamp, blink_greys, png_bytes
from ssosd.model import Blink
from ssosd.sphere import ARCSEC_PER_DEG, offsets_arcsec

_SMALLEST, _LARGEST = 64, 144  # pixels on a side
_AROUND = 48  # pixels of sky around the track
_GRID = ("CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")


def make_blink(stamps: Mapping[int, Stamp], *, contrast: Contrast = "zscale") -> Blink:
    """Lay cutouts on one window and put them side by side.

    Cutouts on one grid of the sky (as `ssosd.analysis.skygrid` makes them) are cut to a window about the
    middle of the track, so that the stars stand still. Where the track is too long for that, or the grids
    differ, each frame is centred on its detection and the stars move.

    Parameters
    ----------
    stamps : mapping
        By CATALOG_NUMBER, in the order of time; at least one.
    contrast : str
        As `ssosd.analysis.stamps.greys` has it.

    Returns
    -------
    Blink
    """
    frames = list(stamps.values())
    places = _targets([stamp.header for stamp in frames])
    origins = np.array([(stamp.header["CRPIX1"], stamp.header["CRPIX2"]) for stamp in frames], dtype=float)
    track = places - origins
    span = float(np.ptp(track, axis=0).max())
    together = span + _AROUND <= _LARGEST and len({_grid(stamp.header) for stamp in frames}) == 1
    side = int(np.clip(np.ceil(span) + _AROUND, _SMALLEST, _LARGEST)) if together else _SMALLEST
    if together:  # whole pixels from each other, as their grids are
        middle = 0.5 * (track.min(axis=0) + track.max(axis=0)) + origins[0]
        starts = np.rint(middle) + np.rint(origins - origins[0])
    else:
        starts = np.rint(places)
    starts = starts.astype(int) - 1 - side // 2
    cut = [
        Stamp(pixels=_window(stamp.pixels, int(start[0]), int(start[1]), side), header=stamp.header)
        for stamp, start in zip(frames, starts, strict=True)
    ]
    column, row = (places - 1.0 - starts).T
    return Blink(
        sheet=png_bytes(np.hstack(blink_greys(cut, contrast))),
        side_px=side,
        numbers=tuple(stamps),
        marks=tuple(
            (round(float(x), 2), round(side - 1.0 - float(y), 2)) for x, y in zip(column, row, strict=True)
        ),
        together=together,
    )


def _targets(headers: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """FITS pixels of the detections that cutouts are centred on, shape (n, 2)."""
    wanted = ("RATARGET", "DETARGET", *_GRID)
    if not all(h.get("CTYPE1") == "RA---TAN" and all(name in h for name in wanted) for h in headers):
        return np.array([_target(header) for header in headers])
    ra, dec, ra0, dec0, *matrix = np.array(
        [[h[name] for name in wanted] for h in headers], dtype=np.float64
    ).T
    origin = np.array([(h["CRPIX1"], h["CRPIX2"]) for h in headers], dtype=np.float64)
    plane = np.stack(offsets_arcsec(ra, dec, ra0, dec0), axis=-1) / ARCSEC_PER_DEG
    return origin + np.linalg.solve(np.stack(matrix, axis=-1).reshape(-1, 2, 2), plane[..., None])[..., 0]


def _target(header: Mapping[str, Any]) -> NDArray[np.float64]:
    """That of one, by any WCS; the middle where the header does not say."""
    if "RATARGET" not in header:
        return 0.5 * np.array([header["NAXIS1"] + 1.0, header["NAXIS2"] + 1.0])
    wcs = WCS(fits.Header(header), fix=False)
    return np.array(wcs.all_world2pix(header["RATARGET"], header["DETARGET"], 1), dtype=np.float64)


def _grid(header: Mapping[str, Any]) -> tuple[float | None, ...]:
    return tuple(header.get(keyword) for keyword in _GRID)


def _window(pixels: Pixels, left: int, low: int, side: int) -> Pixels:
    """A square part of an image, NaN where it lies outside."""
    height, width = pixels.shape
    part = np.full((side, side), np.nan, dtype=np.float32)
    x, right = max(0, left), min(width, left + side)
    y, high = max(0, low), min(height, low + side)
    if x < right and y < high:
        part[y - low : high - low, x - left : right - left] = pixels[y:high, x:right]
    return part
