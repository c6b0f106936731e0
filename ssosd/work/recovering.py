"""Candidates measured where they were not detected."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.analysis.forced.chips import ChipFacts
from ssosd.analysis.forced.recover import recover
from ssosd.analysis.forced.rest import FixedSky
from ssosd.analysis.forced.tracks import track_candidates
from ssosd.analysis.photometry.calibrate import Photometry
from ssosd.astromatic_setup import read_setup
from ssosd.linker.scamp.link import Linked
from ssosd.reports.recovered import RECOVERED_COLUMNS
from ssosd.station import Station
from ssosd.work.picturing import solved_images

_SATUR_LEVEL, _GAIN = "50000", "0"  # SExtractor's defaults


def recovered(
    found: pd.DataFrame, positions: pd.DataFrame, *, linked: Linked, photometry: Photometry, station: Station
) -> pd.DataFrame:
    """Each candidate in each exposure without a detection of it, as `ssosd.reports.recovered` has it.

    Parameters
    ----------
    found : DataFrame
        Of the candidates, one row per detection, with FIELD and CANDIDATE.
    positions : DataFrame
        All detections of the sequence at their final positions.
    linked : Linked
    photometry : Photometry
        Of its exposures.
    station : Station
    """
    if found.empty:
        return pd.DataFrame(columns=[name for name, *_ in RECOVERED_COLUMNS])
    rows = recover(
        track_candidates(found, linked.exposures),
        exposures=linked.exposures,
        chips=chip_facts(positions, linked=linked, photometry=photometry, station=station),
        rest=FixedSky(positions, _stars_with_flux(linked.reference, photometry, positions)),
        photometry=photometry,
        snr=station.config["RECOVER_SNR"],
    )
    names = found.drop_duplicates("SOURCE_NUMBER").set_index("SOURCE_NUMBER")
    taken = [linked.exposures[number - 1] for number in rows["CATALOG_NUMBER"]]
    return rows.assign(
        **{name: rows["SOURCE_NUMBER"].map(names[name]) for name in ("FIELD", "CANDIDATE")},
        MID_EXPOSURE_MJD=[exposure.mjd_mid for exposure in taken],
        FILTER=[exposure.filter for exposure in taken],
        IMAGE_FILENAME=[exposure.name for exposure in taken],
    )


def chip_facts(
    positions: pd.DataFrame, *, linked: Linked, photometry: Photometry, station: Station
) -> dict[tuple[int, int], ChipFacts]:
    """What is known of each chip, by CATALOG_NUMBER and HDU."""
    setup = read_setup(station.config["SEX_CONFIG"])
    seeing = photometry.exposures.set_index("CATALOG_NUMBER")["SEEING"]
    rows = positions.groupby(["CATALOG_NUMBER", "EXTENSION"]).indices
    chips = {(n, c.hdu): c for n, e in enumerate(linked.exposures, start=1) for c in e.chips}
    return {
        key: ChipFacts(
            solved=image,
            detections=positions.iloc[rows.get(key, [])],
            fwhm_px=_first_guess(seeing.get(key[0]), chips[key].scale_arcsec),
            gain=float(setup.get("GAIN", _GAIN)),
            saturation=float(setup.get("SATUR_LEVEL", _SATUR_LEVEL)),
            gain_key=setup.get("GAIN_KEY", "GAIN"),
            saturation_key=setup.get("SATUR_KEY", "SATURATE"),
        )
        for key, image in solved_images(linked).items()
    }


def _first_guess(seeing_arcsec: float | None, scale_arcsec: float) -> float:
    """FWHM of a star, pixels."""
    fwhm = np.nan if seeing_arcsec is None else seeing_arcsec / scale_arcsec
    return float(np.clip(fwhm, 1.2, 20.0)) if np.isfinite(fwhm) else 3.0


def _stars_with_flux(stars: pd.DataFrame, photometry: Photometry, detections: pd.DataFrame) -> pd.DataFrame:
    """Reference stars with the FLUX that they have in the first calibrated exposure, 0 without one."""
    flux = np.zeros(len(stars))
    for number in sorted(photometry.calibrations):
        own = detections[detections["CATALOG_NUMBER"] == number]
        zero = photometry.one_count_mag(number, int(own["EXTENSION"].iloc[0]), own)
        flux = np.nan_to_num(10.0 ** (-0.4 * (stars["MAG"].to_numpy(np.float64) - zero)))
        break
    return stars[["RA", "DEC"]].assign(FLUX=flux)
