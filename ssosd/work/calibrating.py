"""Zero points of a sequence's exposures, and how good each of these is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ssosd.analysis.photometry.calibrate import UNKNOWN_BAND, Photometry, calibrate
from ssosd.astromatic_setup import read_setup
from ssosd.linker.scamp.link import Linked
from ssosd.linker.scamp.quality import rms_arcsec
from ssosd.model import Catalogue
from ssosd.plumbing.text import counted
from ssosd.reports.context import reference_code
from ssosd.station import Station

_KRON_FACTOR = "2.5"  # SExtractor's default of PHOT_AUTOPARAMS


def photometry_of(linked: Linked, *, station: Station) -> Photometry:
    """Calibrate each exposure of a linked sequence with its reference stars, as the parameters say."""
    config = station.config
    catalogue = reference_code(config)
    reference_band, band = config["REF_BAND"], config["PHOT_BAND"]
    if reference_band == "AUTO":
        reference_band = "G" if catalogue.startswith("Gaia") else UNKNOWN_BAND
    setup = read_setup(config["SEX_CONFIG"])
    return calibrate(
        detections=linked.measured,
        reference=linked.reference,
        catalogue=catalogue,
        band=None if band == "AUTO" else band,
        filter_bands={
            name: letter for name, _, letter in (p.rpartition("=") for p in config["FILTER_BANDS"])
        },
        reference_band=reference_band,
        kron_factor=float(setup.get("PHOT_AUTOPARAMS", _KRON_FACTOR).replace(",", " ").split()[0]),
    )


def quality_of_exposures(
    linked: Linked,
    photometry: Photometry,
    catalogues: Mapping[str, Catalogue],
    *,
    depth: Mapping[int, float],
) -> pd.DataFrame:
    """One row per linked exposure: the columns of the table `exposure_quality`.

    Parameters
    ----------
    linked : Linked
    photometry : Photometry
        Of its exposures.
    catalogues : mapping
        By the exposures' digests.
    depth : mapping
        Magnitude at which half was detected, by CATALOG_NUMBER.
    """
    light = photometry.exposures.set_index("CATALOG_NUMBER")
    solved = linked.quality.set_index("CATALOG_NUMBER")
    numbers = range(1, len(linked.exposures) + 1)
    own = [catalogues[exposure.digest] for exposure in linked.exposures]
    scale = [exposure.chips[0].scale_arcsec for exposure in linked.exposures]
    light, solved = light.reindex(numbers), solved.reindex(numbers)
    of_all = np.array([c.fwhm_px for c in own]) * np.array(scale)  # galaxies among them
    rms = rms_arcsec(solved)
    return pd.DataFrame(
        {
            "exposure": [exposure.digest for exposure in linked.exposures],
            "catalog_number": list(numbers),
            "seeing_arcsec": light["SEEING"].fillna(pd.Series(of_all, index=light.index)).to_numpy(),
            "sky": [c.background for c in own],
            "n_detections": [c.n_detections for c in own],
            "rms_ref_arcsec": rms.to_numpy(),
            "n_matched": solved["N_MATCHED"].to_numpy(),
            "zero_point": light["ZP"].to_numpy(),
            "zero_point_err": light["ZP_ERR"].to_numpy(),
            "n_zp_stars": light["N_STARS"].fillna(0).astype(int).to_numpy(),
            "colour_term": light["COLOUR_TERM"].to_numpy(),
            "band": light["BAND"].fillna("").to_numpy(),
            "phot_cat": light["PHOT_CAT"].fillna("").to_numpy(),
            "limit_5sigma": light["LIMIT_5SIGMA"].to_numpy(),
            "limit_50": [depth.get(number, np.nan) for number in numbers],
            "why_not": light["REASON"].fillna("no detection of it is left").to_numpy(),
        }
    )


def without_magnitudes(quality: pd.DataFrame) -> list[str]:
    """Why exposures have no calibrated magnitudes, each reason once, for a person."""
    failed = quality[quality["why_not"] != ""]
    reasons = failed.groupby("why_not", sort=True)["exposure"].size()
    exposures = counted(len(quality), "exposure")
    return [f"no calibrated magnitudes in {n} of {exposures}: {why}" for why, n in reasons.items()]
