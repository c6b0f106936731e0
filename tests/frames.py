"""Tiny FITS files for header tests: one sane frame, and every way to make it less so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits

WIDTH, HEIGHT = 64, 48

TAN = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CUNIT1": "deg",
    "CUNIT2": "deg",
    "CRVAL1": 120.0,
    "CRVAL2": 30.0,
    "CRPIX1": 30.0,
    "CRPIX2": 20.0,
    "CD1_1": -2.7e-4,
    "CD1_2": 1.0e-5,
    "CD2_1": 1.2e-5,
    "CD2_2": 2.7e-4,
}
OBSERVED = {
    "DATE-OBS": "2019-03-26T02:27:31.130",
    "EXPTIME": 300.0,
    "FILTER": "VR",
    "OBJECT": "5945",
    "TELESCOP": "Hall 42",
    "INSTRUME": "NASA42",
}


def header(*parts: Mapping[str, object], **changes: object) -> fits.Header:
    """Header of the given parts (default: observed and TAN); a change to None deletes, `__` stands for a dash."""
    cards = {k: v for part in (parts or (OBSERVED, TAN)) for k, v in part.items()}
    for name, value in changes.items():
        cards[name.replace("__", "-")] = value
    head = fits.Header()
    for keyword, value in cards.items():
        if value is not None:
            head[keyword] = value
    return head


def pixels(shape: tuple[int, int] = (HEIGHT, WIDTH), dtype: str = "f4", seed: int = 3) -> np.ndarray:
    """Noise on a sky, so that a plane that went astray is seen."""
    return np.random.default_rng(seed).normal(1000.0, 5.0, shape).astype(dtype)


def write(path: Path, head: fits.Header, data: np.ndarray | None = None) -> Path:
    """One frame with its image in the primary HDU."""
    fits.PrimaryHDU(pixels() if data is None else data, head).writeto(path, overwrite=True)
    return path


def write_mef(
    path: Path,
    chips: list[tuple[fits.Header, np.ndarray | None]],
    primary: fits.Header | None = None,
    *,
    compressed: bool = False,
) -> Path:
    """An empty primary (with a header) and image extensions."""
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    hdus = [kind(pixels() if data is None else data, head) for head, data in chips]
    fits.HDUList([fits.PrimaryHDU(header=primary), *hdus]).writeto(path, overwrite=True)
    return path
