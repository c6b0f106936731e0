"""Cutouts of one candidate as the page blinks them: a byte per pixel, and where the track runs in each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from ssosd.analysis.stamps import CONTRASTS, Pixels, Stamp, cut_levels, in_noise, read_stamp
from ssosd.errors import BadInput
from ssosd.sphere import mean_position

#: A pixel's byte is 1 + round((asinh(v / SOFT) - LOW) / STEP) for v in units of the sky's noise, 0 for none:
#: steps of 0.09 near the sky, of 5 % far above it, from -10 to 10000.
SOFT = 2.0
LOW = float(np.arcsinh(-10.0 / SOFT))
STEP = float((np.arcsinh(10_000.0 / SOFT) - LOW) / 254.0)
CODE = {"soft": SOFT, "low": LOW, "step": STEP}


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """The pictures of a candidate."""

    about: list[dict[str, Any]]  # one per frame: JSON, see `read_frames`
    levels: dict[str, tuple[float, float]]  # black and white of each contrast, in units of the sky's noise
    pixels: bytes  # of all frames, row by row from the north, at the `offset` that `about` has


def read_frames(
    paths: Sequence[Path], *, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> Frames:
    """Read the cutouts of a candidate.

    Parameters
    ----------
    paths : sequence of Path
        One per frame; a file that is missing or broken leaves a frame without pixels and with a reason.
    ra_deg, dec_deg : ndarray, shape (n,)
        The track: ICRS positions of the candidate's detections.

    Returns
    -------
    Frames
        Each of `about` has width, height, offset, reason ("" when all is well), date, filter, scale (arcsec
        per pixel), north and east (unit vectors in pixels, y downwards), anchor (pixel of the track's middle)
        and track (pixels of the detections), positions from the centre of the upper left pixel.
    """
    middle = mean_position(ra_deg, dec_deg)
    sky = np.column_stack([np.append(ra_deg, middle[0]), np.append(dec_deg, middle[1])])
    about: list[dict[str, Any]] = []
    noise: list[Pixels] = []
    parts: list[bytes] = []
    offset = 0
    for path in paths:
        try:
            stamp = read_stamp(path)
            frame = {"reason": "", **_place(stamp, sky)}
        except BadInput as error:
            about.append({"reason": error.message.rpartition("/")[2], "width": 0, "height": 0, "offset": 0})
            continue
        scaled = in_noise(stamp.pixels)
        height, width = scaled.shape
        about.append({**frame, "width": width, "height": height, "offset": offset})
        noise.append(scaled)
        parts.append(encode(scaled).tobytes())
        offset += width * height
    return Frames(about=about, levels={c: cut_levels(noise, c) for c in CONTRASTS}, pixels=b"".join(parts))


def encode(scaled: Pixels) -> NDArray[np.uint8]:
    """A byte per pixel, first row in the north; see `SOFT`.

    >>> encode(np.array([[0.0, np.nan], [-50.0, 1e6]], dtype=np.float32)).tolist()
    [[1, 255], [52, 0]]
    """
    with np.errstate(invalid="ignore"):
        steps = np.rint((np.arcsinh(scaled / SOFT) - LOW) / STEP)
    coded = np.where(np.isfinite(scaled), 1.0 + np.clip(steps, 0.0, 254.0), 0.0)
    return np.ascontiguousarray(coded[::-1].astype(np.uint8))


def _place(stamp: Stamp, sky: NDArray[np.float64]) -> dict[str, Any]:
    """What a frame's header says: when, with which filter, and where the track runs."""
    header = stamp.header
    found: dict[str, Any] = {
        "date": str(header.get("DATE-OBS", "")),
        "filter": str(header.get("FILTER", "")),
    }
    wcs = _wcs(header)
    if wcs is None:
        return {**found, "scale": None, "north": None, "east": None, "anchor": None, "track": []}
    height = stamp.pixels.shape[0]
    steps = np.array([sky[-1], sky[-1] + [0.0, 1e-3], sky[-1] + [1e-3 / np.cos(np.radians(sky[-1, 1])), 0.0]])
    xy = np.asarray(wcs.wcs_world2pix(np.vstack([sky[:-1], steps]), 0))
    xy[:, 1] = height - 1.0 - xy[:, 1]
    middle, north, east = xy[-3], xy[-2] - xy[-3], xy[-1] - xy[-3]
    return {
        **found,
        "scale": round(3.6 / float(np.hypot(*north)), 4),
        "north": _unit(north),
        "east": _unit(east),
        "anchor": _rounded(middle),
        "track": [_rounded(point) for point in xy[:-3]],
    }


def _wcs(header: Mapping[str, Any]) -> WCS | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(fits.Header(header), naxis=2)
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(f"WCS of the cutout: {error}") from error
    return wcs if wcs.has_celestial else None


def _unit(vector: NDArray[np.float64]) -> list[float]:
    return [round(float(v), 4) for v in vector / np.hypot(*vector)]


def _rounded(point: NDArray[np.float64]) -> list[float]:
    return [round(float(v), 2) for v in point]
