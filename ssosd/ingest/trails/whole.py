"""The catalogue of an exposure whose stars are trails: SExtractor finds long ones in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from ssosd.errors import BadInput
from ssosd.ingest.trails.points import Parted, part
from ssosd.ingest.trails.rows import Objects, whole_rows
from ssosd.ingest.trails.search import Background, Found, Squares, find_trails, smoothed
from ssosd.ingest.trails.shape import drawn_out, measure_trail
from ssosd.ldac import LdacChip

SHORTEST_FWHM = 2.5  # trails shorter than this, in FWHM, SExtractor finds and places well


def with_whole_trails(chips: Sequence[LdacChip], image: Path) -> list[LdacChip] | None:
    """Catalogue each trail of a star as a whole, with the place of its middle.

    Parameters
    ----------
    chips : sequence of LdacChip
        SExtractor's catalogue.
    image : Path
        The plain FITS file that SExtractor read.

    Returns
    -------
    list of LdacChip, or None
        None where stars are no trails; the pixels are not looked at when the shapes of the bright detections
        say so.

    Raises
    ------
    BadInput
        The image does not have these chips, or is cut short.
    """
    if not any(drawn_out(chip.objects)[0].size for chip in chips):
        return None
    try:
        changed = _with_pixels(chips, image)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{image.name}: its pixels cannot be read: {error}") from error
    return changed if any(new is not old for new, old in zip(changed, chips, strict=True)) else None


def _with_pixels(chips: Sequence[LdacChip], image: Path) -> list[LdacChip]:
    with fits.open(image) as hdus:
        planes = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2]
        changed = []
        for chip, hdu in zip(chips, planes, strict=True):
            pixels = np.asarray(hdu.data, dtype=np.float32)
            objects = _whole(chip, pixels.reshape(pixels.shape[-2:]))
            changed.append(chip if objects is None else replace(chip, objects=objects))
    return changed


def _whole(chip: LdacChip, pixels: np.ndarray) -> Objects | None:
    """Rows of a chip; None where its stars are no long trails."""
    objects = chip.objects
    rows, angle = drawn_out(objects)
    if not rows.size:
        return None
    background = Background.of(pixels)
    image = np.nan_to_num(pixels - background.level, posinf=0.0, neginf=0.0)
    x, y = (objects[name].astype(np.float64) for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
    trail = measure_trail(image, x[rows], y[rows], angle)
    if trail is None or trail.length < SHORTEST_FWHM * trail.fwhm:
        return None
    squares = Squares.of(trail)
    known = np.isfinite(x) & np.isfinite(y)
    trails, told = [], []
    for seen in smoothed(image, background.noise, trail):
        here = find_trails(seen, squares)
        own = np.flatnonzero(known & seen.counts(y))
        told.append(part(seen, squares, here, own, x[own], y[own]))
        trails.append(here.take(seen.counts(here.y)))
    found = Found.together(trails)
    if not found.x.size:
        return None
    return whole_rows(
        objects,
        found,
        Parted.together(told),
        trail,
        squares,
        shape=(image.shape[0], image.shape[1]),
        gain=float(chip.header.get("SEXGAIN", 0.0)) or float("inf"),
        zero_point=float(chip.header.get("SEXMGZPT", 0.0)),
    )
