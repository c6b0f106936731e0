"""Files of a painted night: exposures, reference catalogues, truth tables."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.analysis.painter.options import SkyOptions
from ssosd.analysis.painter.sources import stream
from ssosd.analysis.painter.wcs import from_offsets
from ssosd.ldac import LdacChip, write_ldac
from ssosd.plumbing.files import atomic_path, atomic_write_bytes
from ssosd.sphere import offsets_arcsec

#: Julian year of the painted reference catalogue's positions (the stars do not move).
REFCAT_EPOCH = 2016.0
_MAS_PER_DEG = 3.6e6


def exposure_header(options: SkyOptions, *, date_obs: str, visit: int, field: int) -> fits.Header:
    """Cards that are the same for all chips of an exposure; `visit` and `field` are 1-based."""
    names = {(f, v): name for f, v, name in options.objects}
    target = names.get((field, visit), f"F{field:02d}")
    cards: list[tuple[str, Any, str]] = [
        ("DATE-OBS", date_obs, "start of exposure, UTC"),
        ("TIMESYS", "UTC", ""),
        ("OBJECT", target, ""),
        ("EXPTIME", float(options.exptimes_s[(visit - 1) % len(options.exptimes_s)]), "[s]"),
        ("FILTER", options.filters[(visit - 1) % len(options.filters)], ""),
        ("GAIN", options.gain, "[e-/ADU]"),
        ("RDNOISE", options.read_noise_e, "[e-]"),
        ("SATURATE", options.saturation_adu, "[ADU]"),
        ("INSTRUME", "SKYCAM", ""),
        ("TELESCOP", "PAINTED 0.6m", ""),
        ("IMAGETYP", "LIGHT", ""),
        ("AIRMASS", 1.2, ""),
        ("QRUNID", "PAINTED", ""),
    ]
    return fits.Header([card for card in cards if card[:2] != ("OBJECT", "")])


def write_exposure(
    path: Path,
    chips: Sequence[tuple[NDArray[np.uint16], fits.Header]],
    *,
    header: fits.Header,
    empty_primary: bool,
) -> None:
    """Write one exposure; the suffix of `path` decides on compression.

    Parameters
    ----------
    path : Path
        Ends in .fits, .fits.fz (RICE) or .fits.gz.
    chips : sequence of (pixels, WCS cards)
        One per chip, in the order of the HDUs.
    header : Header
        Cards of the whole exposure: in the primary, and GAIN, RDNOISE, SATURATE in every chip.
    empty_primary : bool
        Of a file of several chips. A file of one chip has it in the primary.
    """
    packed = path.name.endswith(".fz")
    image = fits.CompImageHDU if packed else fits.ImageHDU
    hdus: list[Any] = []
    detector = fits.Header([header.cards[key] for key in ("GAIN", "RDNOISE", "SATURATE")])
    for index, (pixels, wcs) in enumerate(chips):
        in_primary = index == 0 and (len(chips) == 1 or not empty_primary)
        cards = (header if in_primary else detector) + wcs
        if in_primary and not packed:
            hdus.append(fits.PrimaryHDU(pixels, cards))
        else:
            hdus.append(image(pixels, cards, name="" if len(chips) == 1 else f"CHIP{index + 1:02d}"))
    if not isinstance(hdus[0], fits.PrimaryHDU):
        whole = len(chips) > 1 and empty_primary
        hdus.insert(0, fits.PrimaryHDU(header=header if whole else None))
    if len(chips) > 1:
        hdus[0].header["NEXTEND"] = len(hdus) - 1
    if path.name.endswith(".gz"):
        memory = io.BytesIO()
        fits.HDUList(hdus).writeto(memory)
        # no time of writing in the bytes: the same night is the same files
        atomic_write_bytes(path, gzip.compress(memory.getvalue(), compresslevel=1, mtime=0))
        return
    with atomic_path(path) as temporary:
        fits.HDUList(hdus).writeto(temporary)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV."""
    atomic_write_bytes(path, table.to_csv(index=False).encode("utf-8"))


def reference_table(options: SkyOptions, stars: pd.DataFrame, *, field: int) -> NDArray[Any]:
    """Reference stars of one field as SCAMP's ``ASTREF_CATALOG FILE`` wants them.

    Column names are those that SCAMP's ``ASTREFCENT_KEYS``, ``ASTREFERR_KEYS`` and ``ASTREFMAG_KEY`` name by
    default; positions are scattered by their errors.
    """
    rng = stream(options.seed, "refcat", field)
    bright = stars[(stars["kind"] == "star") & (stars["mag"] < options.refcat_mag_limit)]
    n = len(bright)
    error_mas = rng.uniform(*options.refcat_error_mas, n)
    center = options.centers_deg[field - 1]
    # a tangent plane of a few degrees is flat enough for errors of milliarcseconds
    east, north = rng.standard_normal((2, n)) * error_mas / 1000.0
    xi, eta = offsets_arcsec(bright["ra"], bright["dec"], *center)
    ra, dec = from_offsets(xi + east, eta + north, *center)
    table = np.zeros(
        n,
        dtype=[
            ("X_WORLD", "f8"),
            ("Y_WORLD", "f8"),
            ("ERRA_WORLD", "f4"),
            ("ERRB_WORLD", "f4"),
            ("ERRTHETA_WORLD", "f4"),
            ("MAG", "f4"),
            ("MAGERR", "f4"),
            ("OBSDATE", "f8"),
        ],
    )
    mag_error = rng.uniform(0.005, 0.03, n)
    table["X_WORLD"], table["Y_WORLD"] = ra, dec
    table["ERRA_WORLD"] = table["ERRB_WORLD"] = error_mas / _MAS_PER_DEG
    table["MAG"] = bright["mag"].to_numpy() + mag_error * rng.standard_normal(n)
    table["MAGERR"] = mag_error
    table["OBSDATE"] = REFCAT_EPOCH
    return table


def write_refcat(path: Path, table: NDArray[Any]) -> None:
    """Write reference stars as FITS-LDAC."""
    header = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)])
    write_ldac(path, [LdacChip(header=header, objects=table)])
