"""A copy of an exposure with synthetic movers in it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.analysis.inject.digits import Digits
from ssosd.analysis.inject.exposure import ChipLight, paint_exposure
from ssosd.analysis.photometry.calibrate import Photometry
from ssosd.astromatic_setup import read_setup
from ssosd.ingest.fitsblocks import Hdu, read_layout
from ssosd.ingest.headers import number
from ssosd.ingest.prepare import Prepared, prepare_image
from ssosd.linker.scamp.link import Linked
from ssosd.model import Catalogue
from ssosd.station import Station
from ssosd.work.picturing import solved_images

_SATUR_LEVEL = "50000"  # SExtractor's defaults


def painted_copy(
    catalog_number: int,
    movers: pd.DataFrame,
    *,
    linked: Linked,
    photometry: Photometry,
    catalogue: Catalogue,
    folder: Path,
    seed: int,
    station: Station,
) -> tuple[Prepared, pd.Series]:
    """Copy an exposure of a linked sequence as SExtractor reads it, and paint movers into the copy.

    Parameters
    ----------
    catalog_number : int
        Of the exposure.
    movers : DataFrame
        From `ssosd.analysis.painter.movers.ephemeris` for this exposure.
    linked : Linked
    photometry : Photometry
        Of its exposures; one without a calibration gets no movers.
    catalogue : Catalogue
        Of the exposure.
    folder : Path
        Where the copy is written; made.
    seed : int
        Of the movers' shot noise.
    station : Station

    Returns
    -------
    Prepared
        What `extract` takes.
    Series of bool
        Which movers have all of their light on a chip.
    """
    exposure = linked.exposures[catalog_number - 1]
    folder.mkdir()
    prepared = prepare_image(exposure, directory=folder, weights=station.config["WEIGHT_IMAGES"])
    copy = folder / "painted.fits"
    if prepared.image.parent == folder:
        prepared.image.rename(copy)
    else:
        shutil.copyfile(prepared.image, copy)
    chips = _chips(
        catalog_number, copy, hdus=prepared.hdus, linked=linked, photometry=photometry,
        fwhm_px=catalogue.fwhm_px, setup=read_setup(station.config["SEX_CONFIG"]),
    )  # fmt: skip
    whole = paint_exposure(chips, movers, rng=np.random.default_rng([seed, catalog_number]))
    return replace(prepared, image=copy), whole


def _chips(
    catalog_number: int,
    copy: Path,
    *,
    hdus: tuple[int, ...],
    linked: Linked,
    photometry: Photometry,
    fwhm_px: float,
    setup: Mapping[str, str],
) -> list[ChipLight]:
    if catalog_number not in photometry.calibrations:
        return []
    seen = linked.measured[linked.measured["CATALOG_NUMBER"] == catalog_number]
    solved = solved_images(linked)
    seeing = float(photometry.exposures.set_index("CATALOG_NUMBER")["SEEING"].get(catalog_number, np.nan))
    scale = {chip.hdu: chip.scale_arcsec for chip in linked.exposures[catalog_number - 1].chips}
    images = [hdu for hdu in read_layout(copy).hdus if hdu.is_image]
    return [
        ChipLight(
            digits=_digits(copy, image),
            solved=solved[catalog_number, hdu],
            detections=seen[seen["EXTENSION"] == hdu],
            one_count_mag=photometry.one_count_mag(catalog_number, hdu, seen),
            fwhm_px=seeing / scale[hdu] if np.isfinite(seeing) else fwhm_px,  # that of galaxies, too
            gain=_of_header(image, setup.get("GAIN_KEY", "GAIN"), setup.get("GAIN", "0")) or np.inf,
            saturation=_of_header(
                image, setup.get("SATUR_KEY", "SATURATE"), setup.get("SATUR_LEVEL", _SATUR_LEVEL)
            ),
        )
        for hdu, image in zip(hdus, images, strict=True)
    ]


def _digits(path: Path, image: Hdu) -> Digits:
    assert image.plane is not None  # prepared
    width, height = image.plane
    zero, scale = (number(image.cards.get(name)) for name in ("BZERO", "BSCALE"))
    return Digits(
        path=path,
        offset=image.offset,
        bitpix=image.cards.integer("BITPIX", 0),
        width_px=width,
        height_px=height,
        zero=zero or 0.0,
        scale=scale or 1.0,
        blank=image.cards.integer("BLANK", 0) if "BLANK" in image.cards else None,
    )


def _of_header(image: Hdu, keyword: str, otherwise: str) -> float:
    """What SExtractor takes for GAIN and for SATUR_LEVEL: the header's, else the set-up's."""
    found = number(image.cards.get(keyword))
    return float(otherwise) if found is None or not np.isfinite(found) else found
