"""Small painted images for tests that run the real binaries: Gaussian stars on a flat noisy sky."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.model import Chip, Exposure

FWHM_PX = 2.8


def stars(
    shape: tuple[int, int],
    xy: Sequence[tuple[float, float]],
    flux: Sequence[float],
    *,
    sky: float = 1000.0,
    noise: float = 8.0,
    fwhm: float = FWHM_PX,
    seed: int = 1,
) -> NDArray[np.float32]:
    """Image of shape (height, width); `xy` are FITS pixel coordinates (the first pixel's centre is 1, 1)."""
    rng = np.random.default_rng(seed)
    image = rng.normal(sky, noise, shape)
    sigma = fwhm / np.sqrt(8.0 * np.log(2.0))
    yy, xx = np.mgrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    for (x, y), f in zip(xy, flux, strict=True):
        near = np.s_[max(0, int(y) - 20) : int(y) + 20, max(0, int(x) - 20) : int(x) + 20]
        r2 = (xx[near] - x) ** 2 + (yy[near] - y) ** 2
        image[near] += f / (2.0 * np.pi * sigma**2) * np.exp(-r2 / (2.0 * sigma**2))
    return image.astype(np.float32)


def scattered(
    shape: tuple[int, int], n: int, *, seed: int = 5, margin: float = 20.0
) -> list[tuple[float, float]]:
    """At most n places at least 18 pixels from each other."""
    rng = np.random.default_rng(seed)
    places: list[tuple[float, float]] = []
    for _ in range(50 * n):
        x, y = rng.uniform(margin, shape[1] - margin), rng.uniform(margin, shape[0] - margin)
        if all(np.hypot(x - a, y - b) > 18.0 for a, b in places):
            places.append((float(x), float(y)))
        if len(places) == n:
            break
    return places


def header(
    shape: tuple[int, int],
    *,
    ra: float = 150.0,
    dec: float = 20.0,
    scale: float = 1.0,
    rotation: float = 0.0,
    mirrored: bool = False,
    **cards: object,
) -> fits.Header:
    """TAN header with the centre at (ra, dec), `scale` in arcsec/px, `rotation` in degrees."""
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    parity = 1.0 if mirrored else -1.0
    head = fits.Header()
    head.update({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec})
    head.update({"CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2, "RADESYS": "ICRS"})
    head.update({"CD1_1": parity * c * scale / 3600, "CD1_2": s * scale / 3600})
    head.update({"CD2_1": -parity * s * scale / 3600, "CD2_2": c * scale / 3600})
    head.update({"DATE-OBS": "2026-11-14T20:00:00.127", "EXPTIME": 120.0, "FILTER": "r", "GAIN": 1.5})
    head.update(cards)
    return head


def write(path: Path, *planes: tuple[NDArray[np.generic], fits.Header], empty_primary: bool = False) -> Path:
    """One FITS file; with several planes or `empty_primary` they are extensions."""
    if len(planes) == 1 and not empty_primary:
        hdus = fits.HDUList([fits.PrimaryHDU(*planes[0])])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(*plane) for plane in planes)])
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus.writeto(path, overwrite=True)
    return path


def exposure(
    path: Path, *, hdus: Sequence[int] = (0,), digest: str = "0" * 32, **changes: object
) -> Exposure:
    """An exposure value for a painted file; nothing in it is read from the file."""
    chips = tuple(
        Chip(
            hdu=hdu,
            width_px=256,
            height_px=256,
            ra_deg=150.0,
            dec_deg=20.0,
            corners_deg=((150.04, 19.96), (149.96, 19.96), (149.96, 20.04), (150.04, 20.04)),
            scale_arcsec=1.0,
        )
        for hdu in hdus
    )
    fields: dict[str, object] = {
        "path": str(path),
        "digest": digest,
        "date_obs": "2026-11-14T20:00:00.127",
        "mjd_start": 61358.83333480,
        "mjd_mid": 61358.83402924,
        "exptime_s": 120.0,
        "filter": "r",
        "object": "F01",
        "telescope": "",
        "instrument": "",
        "ra_deg": 150.0,
        "dec_deg": 20.0,
        "width_deg": 0.07,
        "height_deg": 0.07,
        "chips": chips,
    }
    return Exposure(**{**fields, **changes})  # type: ignore[arg-type]
