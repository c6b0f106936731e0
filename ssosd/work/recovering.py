"""Candidates measured on the pixels: their trails, and what is there where they were not detected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.analysis.forced.chips import ChipFacts, Chips
from ssosd.analysis.forced.depth import half_detected_mags
from ssosd.analysis.forced.recover import recover
from ssosd.analysis.forced.rest import FixedSky
from ssosd.analysis.forced.standing import star_evidence
from ssosd.analysis.forced.tracks import Tracks, places_left, track_candidates
from ssosd.analysis.forced.trails import measure_trails, trail_rows
from ssosd.analysis.photometry.calibrate import Photometry
from ssosd.analysis.solved import WeightMap
from ssosd.astromatic_setup import read_setup
from ssosd.ingest.fitsblocks import read_layout
from ssosd.ingest.prepare import Prepared
from ssosd.ingest.weights import weight_planes
from ssosd.linker.scamp.link import Linked
from ssosd.reports.recovered import RECOVERED_COLUMNS
from ssosd.station import Station
from ssosd.work.linking import Candidates
from ssosd.work.picturing import solved_images

_SATUR_LEVEL, _GAIN = "50000", "0"  # SExtractor's defaults
SHAPE_ERROR = 0.02  # of magnitudes of fitted shapes: no profile is exact, and stars vary over a chip
_LEFT_FWHM = 1.5  # so far off a place no light of an object reaches it
_USUAL_FWHM = 2.5  # arcsec, of exposures whose seeing is not known


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pixels:
    """What measuring on the pixels of a linked sequence needs."""

    linked: Linked
    photometry: Photometry
    chips: Chips
    rest: FixedSky

    @classmethod
    def of(
        cls,
        left: Candidates,
        photometry: Photometry,
        *,
        station: Station,
        copies: Mapping[str, Prepared] | None = None,
    ) -> Pixels:
        """Get ready; no pixel is read yet.

        Parameters
        ----------
        left : Candidates
        photometry : Photometry
        station : Station
        copies : mapping, optional
            Of exposures, by digest, that are measured in their place.
        """
        linked, detections = left.linked, left.positions
        stars = _stars_with_flux(linked.reference, photometry, detections)
        facts = chip_facts(detections, linked=linked, photometry=photometry, station=station)
        rest = FixedSky(detections, stars)
        return cls(
            linked=linked,
            photometry=photometry,
            chips=Chips(_replaced(facts, linked, copies) if copies else facts, rest),
            rest=rest,
        )


def depth_of(left: Candidates, pixels: Pixels) -> dict[int, float]:
    """Magnitude at which half was detected, of each exposure, as `half_detected_mags` has it."""
    return half_detected_mags(
        left.positions, exposures=left.linked.exposures, chips=pixels.chips, photometry=pixels.photometry
    )


def with_trails(
    candidates: pd.DataFrame, pixels: Pixels, *, station: Station
) -> tuple[pd.DataFrame, list[str]]:
    """Candidates with places, light and rates from their trails, where these are long, and magnitudes.

    Returns
    -------
    table : DataFrame
    notes : list of str
        Files that could not be read.
    """
    longer_than = station.config["FIT_TRAILS"]
    if longer_than is None:
        return pixels.photometry.apply(candidates), []
    measured, notes = measure_trails(
        candidates,
        exposures=pixels.linked.exposures,
        chips=pixels.chips,
        rest=pixels.rest,
        longer_than_fwhm=longer_than,
    )
    return _with_trail_magnitudes(pixels.photometry.apply(measured), pixels), notes


def _with_trail_magnitudes(table: pd.DataFrame, pixels: Pixels) -> pd.DataFrame:
    """Calibrated magnitudes of trails: all of their light is measured, whatever aperture SExtractor took."""
    mag, err = (table[name].to_numpy(np.float64, copy=True) for name in ("MAG_CALIB", "MAG_CALIB_ERR"))
    number, extension = (table[name].to_numpy(np.int64) for name in ("CATALOG_NUMBER", "EXTENSION"))
    flux, flux_err = (table[name].to_numpy(np.float64) for name in ("FLUX", "FLUXERR"))
    measured = trail_rows(table)
    for key, facts in pixels.chips.facts.items():
        own = measured & (number == key[0]) & (extension == key[1])
        if key[0] not in pixels.photometry.calibrations or not own.any():
            continue
        mag[own], of_light = pixels.photometry.of_light(
            *key, facts.detections, flux=flux[own], error=flux_err[own]
        )
        err[own] = np.hypot(of_light, SHAPE_ERROR)
    return table.assign(MAG_CALIB=mag, MAG_CALIB_ERR=err)


def recovered(found: pd.DataFrame, pixels: Pixels, *, station: Station) -> pd.DataFrame:
    """Each candidate in each exposure without a detection of it, as `ssosd.reports.recovered` has it.

    Parameters
    ----------
    found : DataFrame
        Of the candidates, one row per detection, with FIELD and CANDIDATE.
    pixels : Pixels
    station : Station
    """
    exposures = pixels.linked.exposures
    if found.empty:
        return pd.DataFrame(columns=[name for name, *_ in RECOVERED_COLUMNS])
    rows = missed_of(found, pixels, station=station)
    names = found.drop_duplicates("SOURCE_NUMBER").set_index("SOURCE_NUMBER")
    taken = [exposures[number - 1] for number in rows["CATALOG_NUMBER"]]
    return rows.assign(
        **{name: rows["SOURCE_NUMBER"].map(names[name]) for name in ("FIELD", "CANDIDATE")},
        MID_EXPOSURE_MJD=[exposure.mjd_mid for exposure in taken],
        FILTER=[exposure.filter for exposure in taken],
        IMAGE_FILENAME=[exposure.name for exposure in taken],
    )


def light_left(found: pd.DataFrame, pixels: Pixels, *, station: Station) -> pd.DataFrame:
    """What is at the places of candidates' detections in the exposures in which they are elsewhere.

    Parameters
    ----------
    found : DataFrame
        One row per detection.
    pixels : Pixels
    station : Station

    Returns
    -------
    DataFrame
        As `ssosd.analysis.forced.recover.recover` has it, for each of those places and exposures, with
        PLACE, the row of the detection, MAG_THERE and BAND_THERE, its magnitude and band.
    """
    places = places_left(found, _tracks(found, pixels), clear_arcsec=_LEFT_FWHM * _fwhm(found))
    rows = _recover(places, pixels, station=station)
    place = rows["SOURCE_NUMBER"].to_numpy(np.intp)
    there = found.iloc[place]
    return rows.assign(
        PLACE=place,
        SOURCE_NUMBER=there["SOURCE_NUMBER"].to_numpy(np.int64),
        MAG_THERE=there["MAG_CALIB"].to_numpy(np.float64),
        BAND_THERE=there["BAND"].to_numpy(),
    )


def missed_of(found: pd.DataFrame, pixels: Pixels, *, station: Station) -> pd.DataFrame:
    """What is there where candidates were not detected, as `ssosd.analysis.forced.recover.recover` has it."""
    return _recover(_tracks(found, pixels), pixels, station=station)


def light_there(found: pd.DataFrame, pixels: Pixels, *, station: Station) -> pd.DataFrame:
    """What is there where candidates were detected, as `ssosd.analysis.forced.recover.recover` has it."""
    tracks = _tracks(found, pixels)
    return _recover(replace(tracks, seen=~tracks.seen), pixels, station=station)


def evidence_of_stars(found: pd.DataFrame, pixels: Pixels) -> pd.DataFrame:
    """What candidates' light is alike, as `ssosd.analysis.forced.standing.star_evidence` has it."""
    return star_evidence(found, _tracks(found, pixels), chips=pixels.chips)


def _tracks(found: pd.DataFrame, pixels: Pixels) -> Tracks:
    return track_candidates(found, pixels.linked.exposures, measured=trail_rows(found))


def _recover(tracks: Tracks, pixels: Pixels, *, station: Station) -> pd.DataFrame:
    return recover(
        tracks,
        exposures=pixels.linked.exposures,
        chips=pixels.chips,
        rest=pixels.rest,
        photometry=pixels.photometry,
        snr=station.config["RECOVER_SNR"],
    )


def _fwhm(found: pd.DataFrame) -> float:
    """Of stars in the exposures of detections, arcsec."""
    seeing = float(found["SEEING"].median())
    return seeing if np.isfinite(seeing) else _USUAL_FWHM


def chip_facts(
    positions: pd.DataFrame, *, linked: Linked, photometry: Photometry, station: Station
) -> dict[tuple[int, int], ChipFacts]:
    """What is known of each chip, by CATALOG_NUMBER and HDU."""
    setup = read_setup(station.config["SEX_CONFIG"])
    kind = setup.get("WEIGHT_TYPE", "").upper()
    weights = _weight_maps(linked, station.config["WEIGHT_IMAGES"], kind if "MAP_" in kind else "MAP_WEIGHT")
    seeing = photometry.exposures.set_index("CATALOG_NUMBER")["SEEING"]
    rows = positions.groupby(["CATALOG_NUMBER", "EXTENSION"]).indices
    chips = {(n, c.hdu): c for n, e in enumerate(linked.exposures, start=1) for c in e.chips}
    return {
        key: ChipFacts(
            solved=replace(image, weight=weights.get(key)),
            detections=positions.iloc[rows.get(key, [])],
            fwhm_px=_first_guess(seeing.get(key[0]), chips[key].scale_arcsec),
            gain=float(setup.get("GAIN", _GAIN)),
            saturation=float(setup.get("SATUR_LEVEL", _SATUR_LEVEL)),
            gain_key=setup.get("GAIN_KEY", "GAIN"),
            saturation_key=setup.get("SATUR_KEY", "SATURATE"),
            cards=dict(chips[key].cards),
        )
        for key, image in solved_images(linked).items()
    }


def _replaced(
    facts: Mapping[tuple[int, int], ChipFacts], linked: Linked, copies: Mapping[str, Prepared]
) -> dict[tuple[int, int], ChipFacts]:
    """The chips as they are in copies of the exposures."""
    there = {}
    for number, exposure in enumerate(linked.exposures, start=1):
        copy = copies[exposure.digest]
        images = [hdu.index for hdu in read_layout(copy.image).hdus if hdu.is_image]
        for chip, hdu in zip(copy.hdus, images, strict=True):
            solved = replace(facts[number, chip].solved, path=copy.image, hdu=hdu)
            there[number, chip] = replace(facts[number, chip], solved=solved)
    return there


def _weight_maps(linked: Linked, folder: Path | None, kind: str) -> dict[tuple[int, int], WeightMap]:
    """The weight map of each chip, by CATALOG_NUMBER and HDU; none where weights are not used."""
    if folder is None:
        return {}
    return {
        (number, chip): WeightMap(path=path, hdu=hdu, kind=kind)
        for number, exposure in enumerate(linked.exposures, start=1)
        for chip, (path, hdu) in weight_planes(exposure, folder=folder).items()
    }


def _first_guess(seeing_arcsec: float | None, scale_arcsec: float) -> float:
    """FWHM of a star, pixels."""
    fwhm = np.nan if seeing_arcsec is None else seeing_arcsec / scale_arcsec
    return float(np.clip(fwhm, 1.2, 20.0)) if np.isfinite(fwhm) else 3.0


def _stars_with_flux(stars: pd.DataFrame, photometry: Photometry, detections: pd.DataFrame) -> pd.DataFrame:
    """Reference stars with the FLUX that they have in the first calibrated exposure, 0 without one."""
    if not photometry.calibrations:
        return stars[["RA", "DEC"]].assign(FLUX=0.0)
    number = min(photometry.calibrations)
    own = detections[detections["CATALOG_NUMBER"] == number]
    zero = photometry.one_count_mag(number, int(own["EXTENSION"].iloc[0]), own)
    flux = 10.0 ** (-0.4 * (stars["MAG"].to_numpy(np.float64) - zero))
    return stars[["RA", "DEC"]].assign(FLUX=np.nan_to_num(flux))
