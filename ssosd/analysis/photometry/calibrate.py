"""Calibrated magnitudes: a zero point per exposure from the reference stars in it.

An object of the Sun's colour is what the zero points hold for; asteroids are within some 0.3 mag of it in
BP - RP. Magnitudes are those of MAG, whose apertures lose the same part of the light of a point-like object
as of a bright star: OFFSET contains it, and apertures that came out too small or too large are corrected for.
ZP is the zero point of the whole light.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.analysis.photometry.apertures import LightCurve, Noise
from ssosd.analysis.photometry.fit import MIN_STARS, ErrorModel, ZeroPoint, fit_zero_point
from ssosd.analysis.photometry.gaia_bands import RELATIONS, SOLAR_BP_RP, band_of_filter, gaia_to_band
from ssosd.analysis.photometry.limits import five_sigma
from ssosd.analysis.photometry.stars import (
    MAG_PER_RELATIVE,
    NO_MAGNITUDE,
    ReferenceSky,
    mag_of_one_count,
    measured,
    pointlike,
    saturated_above,
)
from ssosd.sphere import offsets_arcsec

#: Columns that `Photometry.apply` adds to detections.
NEW_COLUMNS = ("MAG_CALIB", "MAG_CALIB_ERR", "BAND", "PHOT_CAT", "SEEING")
#: The band that `calibrate` is told when that of the reference is not known.
UNKNOWN_BAND = ""
_NAMELESS = ("", "UNK")
_MIN_CHIP_STARS = 8
_OF_CORRECTION = 0.15  # relative error of the correction for the aperture
_OTHER_THING = 1.0  # mag: a star so far off is variable, or not that star


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What turns the instrumental magnitudes of one exposure into calibrated ones."""

    zero: ZeroPoint
    chips: Mapping[int, float]  # EXTENSION to how much its zero point differs from the exposure's, mag
    noise: Noise
    curve: LightCurve
    model: ErrorModel

    def magnitudes(self, detections: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Calibrated magnitudes and their errors, NaN where there is no instrumental one.

        Parameters
        ----------
        detections : DataFrame
            Of the exposure, star or not: MAG, MAGERR, FLUX, FLUXERR, EXTENSION, AWIN_IMAGE, BWIN_IMAGE.
        """
        mag, error = (detections[name].to_numpy(np.float64) for name in ("MAG", "MAGERR"))
        with np.errstate(invalid="ignore"):
            known = (np.abs(mag) < NO_MAGNITUDE) & (error > 0.0) & (error < NO_MAGNITUDE)
        light = self.curve.apply(self.noise.apertures(detections))
        shift = detections["EXTENSION"].map(self.chips).fillna(0.0).to_numpy(np.float64)
        bias, sigma = self.model.apply(np.where(known, error, 1.0))
        total = np.sqrt(sigma**2 + self.zero.offset_err**2 + (_OF_CORRECTION * light) ** 2)
        return (
            np.where(known, mag + self.zero.offset + shift + light + bias, np.nan),
            np.where(known, total, np.nan),
        )


@dataclass(frozen=True, kw_only=True)
class Photometry:
    """The calibrations of a sequence's exposures, and what they rest on."""

    exposures: pd.DataFrame  # one row per exposure, see `calibrate`
    calibrations: Mapping[int, Calibration]  # by CATALOG_NUMBER; none for exposures without one

    def one_count_mag(self, number: int, extension: int, detections: pd.DataFrame) -> float:
        """Calibrated magnitude of a star whose FLUX is one count.

        Parameters
        ----------
        number : int
            CATALOG_NUMBER of an exposure with a calibration.
        extension : int
            Its chip.
        detections : DataFrame
            Of the exposure: MAG, FLUX.
        """
        calibration = self.calibrations[number]
        shift = calibration.chips.get(extension, 0.0)
        # OFFSET goes from MAG to the sky: from counts it takes MAG's own zero point too
        return calibration.zero.offset + shift + mag_of_one_count(detections)

    def of_light(
        self,
        number: int,
        extension: int,
        detections: pd.DataFrame,
        *,
        flux: NDArray[np.float64],
        error: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Calibrated magnitudes of all of some objects' light, and their errors; NaN where there is none.

        Parameters
        ----------
        number, extension, detections
            As `one_count_mag`.
        flux, error : ndarray, shape (n,)
            Counts, as FLUX.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            mag = self.one_count_mag(number, extension, detections) - 2.5 * np.log10(flux)
            relative = MAG_PER_RELATIVE * error / flux
        return mag, np.hypot(relative, self.calibrations[number].zero.offset_err)

    def apply(self, detections: pd.DataFrame) -> pd.DataFrame:
        """Detections with `NEW_COLUMNS`; NaN and "" where there is no calibration.

        Parameters
        ----------
        detections : DataFrame
            Of these exposures: CATALOG_NUMBER and what `Calibration.magnitudes` wants.
        """
        n = len(detections)
        mags, errors = np.full(n, np.nan), np.full(n, np.nan)
        number = detections["CATALOG_NUMBER"].to_numpy()
        for exposure, calibration in self.calibrations.items():
            own = number == exposure
            if own.any():
                mags[own], errors[own] = calibration.magnitudes(detections[own])
        of_exposure = self.exposures.set_index("CATALOG_NUMBER").reindex(number)
        known = np.isfinite(mags)
        texts = {
            name: pd.Series(
                np.where(known, of_exposure[name].fillna("").to_numpy(), ""),
                index=detections.index,
                dtype="str",
            )
            for name in ("BAND", "PHOT_CAT")
        }
        seeing = of_exposure["SEEING"].to_numpy(np.float64)
        return detections.assign(MAG_CALIB=mags, MAG_CALIB_ERR=errors, **texts, SEEING=seeing)


def aperture_loss(kron_factor: float) -> float:
    """Light of a point outside MAG_AUTO's aperture, mag: a Gaussian's, to the given number of Kron radii.

    The Kron radius of a Gaussian is sqrt(pi / 2) sigma (its first moment; Kron 1980, ApJS 43, 305).

    >>> round(aperture_loss(2.5), 3), round(aperture_loss(1.5), 3)
    (0.008, 0.203)
    """
    return float(-2.5 * np.log10(1.0 - np.exp(-np.pi / 4.0 * kron_factor**2)))


def calibrate(
    *,
    detections: pd.DataFrame,
    reference: pd.DataFrame,
    catalogue: str,
    band: str | None = None,
    filter_bands: Mapping[str, str] | None = None,
    reference_band: str = "G",
    kron_factor: float = 1.5,
    match_radius_arcsec: float = 1.5,
    clear_arcsec: float = 6.0,
) -> Photometry:
    """Calibrate the magnitudes of a sequence, each exposure by itself.

    Parameters
    ----------
    detections : DataFrame
        All detections of the sequence (`Linked.detections`), stars included: CATALOG_NUMBER, EXTENSION, RA,
        DEC (deg ICRS), MAG, MAGERR, FLUX, FLUXERR, FILTER, EXPTIME (s), IMAGE_FILENAME, FLAGS_EXTRACTION,
        AWIN_IMAGE, BWIN_IMAGE, XWIN_IMAGE, YWIN_IMAGE (pixels), optionally FWHM_IMAGE.
    reference : DataFrame
        Reference stars: RA, DEC, MAG; with BP and RP (mag) where the catalogue is Gaia with colours, MAG
        then being G.
    catalogue : str
        The MPC's name of the reference catalogue (``Gaia3``), for PHOT_CAT. With "" or ``UNK`` nothing is
        calibrated.
    band : str, optional
        The MPC's letter of the band, for all exposures; None reads it from each exposure's FILTER. Without
        colours in the reference the magnitudes are on `reference_band` whatever the filter.
    filter_bands : mapping, optional
        FILTER, as headers write it, to the MPC's letter; goes before what names usually mean.
    reference_band : str
        Band of MAG in the reference; `UNKNOWN_BAND` calibrates nothing.
    kron_factor : float
        First of PHOT_AUTOPARAMS in SEX_CONFIG, for ZP alone.
    match_radius_arcsec, clear_arcsec : float
        Largest distance of a star from its reference position; stars with a neighbour within the second are
        not used.

    Returns
    -------
    Photometry
        Exposures by CATALOG_NUMBER: IMAGE_FILENAME, FILTER, BAND, PHOT_CAT ("" without a calibration),
        OFFSET, OFFSET_ERR (mag, added to MAG), ZP, ZP_ERR (magnitude of one count per second, all light),
        COLOUR_TERM, COLOUR_TERM_ERR (mag per mag of BP - RP), N_STARS, SCATTER (mag, of those stars), SEEING
        (FWHM of the exposure's stars, arcsec), LIMIT_5SIGMA (mag), REASON ("" when it is calibrated).

    Notes
    -----
    MAG_CALIB_ERR is the scatter that reference stars of the same MAGERR have about their catalogue
    magnitudes, with the error of the zero point; it is larger than MAGERR.
    """
    sky = ReferenceSky(reference, radius_arcsec=match_radius_arcsec, clear_arcsec=clear_arcsec)
    rows: list[dict[str, object]] = []
    calibrations: dict[int, Calibration] = {}
    for number, places in sorted(detections.groupby("CATALOG_NUMBER").indices.items()):
        one = detections.iloc[places]
        filter_name = str(one["FILTER"].iloc[0])
        given = (filter_bands or {}).get(filter_name, band_of_filter(filter_name)) if band is None else band
        target, reason = _target(given, reference, reference_band)
        if catalogue in _NAMELESS:
            reason = "the reference catalogue is not named in AST_CAT: its magnitudes may be of any kind"
        elif not reason and not target:
            reason = f"no band of the MPC's stands for FILTER {filter_name!r}"
        calibration, row = _exposure(
            one, reference, sky, band="" if reason else target, reason=reason, kron_factor=kron_factor
        )
        names = {"BAND": "", "PHOT_CAT": ""}
        if calibration is not None:
            calibrations[int(str(number))] = calibration
            names = {"BAND": target, "PHOT_CAT": catalogue}
        rows.append(row | names | {"CATALOG_NUMBER": int(str(number))})
    return Photometry(exposures=pd.DataFrame(rows, columns=list(_ROW)), calibrations=calibrations)


_ROW = (
    *("CATALOG_NUMBER", "IMAGE_FILENAME", "FILTER", "BAND", "PHOT_CAT", "OFFSET", "OFFSET_ERR", "ZP"),
    *("ZP_ERR", "COLOUR_TERM", "COLOUR_TERM_ERR", "N_STARS", "SCATTER", "SEEING", "LIMIT_5SIGMA"),
    "REASON",
)


def _has_colours(reference: pd.DataFrame) -> bool:
    return {"BP", "RP"} <= set(reference.columns) and bool(
        np.isfinite(reference["BP"] - reference["RP"]).sum() >= MIN_STARS
    )


def _target(wanted: str | None, reference: pd.DataFrame, reference_band: str) -> tuple[str, str]:
    """Which band an exposure is brought to, "" for none, and why it cannot be."""
    if reference_band == UNKNOWN_BAND:
        return "", "the band of the reference catalogue's magnitudes is not known"
    if wanted is None:
        return "", ""
    if wanted == reference_band:
        return wanted, ""
    if _has_colours(reference) and reference_band == "G":
        return (wanted, "") if wanted in RELATIONS else ("", f"no relation from Gaia's bands to {wanted}")
    return reference_band, ""  # the catalogue's own band: what its magnitudes are


def _exposure(
    one: pd.DataFrame,
    reference: pd.DataFrame,
    sky: ReferenceSky,
    *,
    band: str,
    reason: str,
    kron_factor: float,
) -> tuple[Calibration | None, dict[str, object]]:
    """Calibrate one exposure; its row says all but the names."""
    row: dict[str, object] = dict.fromkeys(_ROW, np.nan)
    row |= {name: one[name].iloc[0] for name in ("IMAGE_FILENAME", "FILTER")} | {"N_STARS": 0}
    with_colour = _has_colours(reference)
    matched = sky.match(one["RA"].to_numpy(np.float64), one["DEC"].to_numpy(np.float64))
    stars = one.iloc[matched.rows]
    target, colour = _catalogued(reference.iloc[matched.stars], band)
    usable = measured(stars) & np.isfinite(target) & np.isfinite(colour)
    stars, target, colour = stars[usable], target[usable], colour[usable]
    mag, error = (stars[name].to_numpy(np.float64) for name in ("MAG", "MAGERR"))
    good = matched.single[usable] & (stars["FLAGS_EXTRACTION"].to_numpy() == 0)
    if good.any():
        best = np.flatnonzero(good)
        good[best] &= pointlike(stars["AWIN_IMAGE"].to_numpy(np.float64)[best], error[best])
        best = np.flatnonzero(good)
        good &= mag > saturated_above(mag[best], (target - mag)[best], error[best])
    row["SEEING"] = _seeing(stars[good], one)
    found = int(good.sum())
    if reason or found < MIN_STARS:
        row["REASON"] = reason or f"{found} good reference stars in it, {MIN_STARS} are needed"
        return None, row
    chips = _chip_offsets((target - mag)[good], stars["EXTENSION"].to_numpy()[good])
    difference = target - mag - stars["EXTENSION"].map(chips).fillna(0.0).to_numpy()
    zero = fit_zero_point(
        difference=difference[good], error=error[good], colour=colour[good] if with_colour else None
    )
    if zero is None:
        row["REASON"] = f"the {found} reference stars in it do not agree on a zero point"
        return None, row
    residual = difference - zero.offset - zero.colour_term * colour
    noise = Noise.measure(stars[good])
    curve = LightCurve.measure(residual=residual[good], own=noise.apertures(stars[good]))
    residual -= curve.apply(noise.apertures(stars))
    near = np.abs(residual) < np.maximum(_OTHER_THING, 10.0 * error)
    model = ErrorModel.measure(residual=residual[near], error=error[near], clean=good[near])
    calibration = Calibration(zero=zero, chips=chips, noise=noise, curve=curve, model=model)
    calibrated, _ = calibration.magnitudes(one)
    snr = one["FLUX"].to_numpy(np.float64) / one["FLUXERR"].to_numpy(np.float64)
    row |= {
        "OFFSET": zero.offset,
        "OFFSET_ERR": zero.offset_err,
        "ZP": zero.offset
        + mag_of_one_count(one)
        - 2.5 * np.log10(_seconds(one))
        + aperture_loss(kron_factor),
        "ZP_ERR": zero.offset_err,
        "COLOUR_TERM": zero.colour_term,
        "COLOUR_TERM_ERR": zero.colour_term_err,
        "N_STARS": zero.n_stars,
        "SCATTER": zero.scatter,
        "LIMIT_5SIGMA": five_sigma(calibrated, snr),
        "REASON": "",
    }
    return calibration, row


def _chip_offsets(difference: NDArray[np.float64], chips: NDArray[np.int64]) -> dict[int, float]:
    """How much the zero point of each chip differs from the exposure's; 0 where its stars are few."""
    groups = pd.Series(difference).groupby(chips)
    median, count = groups.median(), groups.size()
    if len(median) < 2:
        return {}
    enough = count >= _MIN_CHIP_STARS
    whole = float(np.average(median[enough], weights=count[enough])) if enough.any() else 0.0
    return {int(str(chip)): float(shift) for chip, shift in (median - whole).where(enough, 0.0).items()}


def _catalogued(stars: pd.DataFrame, band: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Catalogue magnitudes in the band, NaN where there is none, and BP - RP minus the Sun's (0 unknown)."""
    mag = stars["MAG"].to_numpy(np.float64)
    mag = np.where(np.abs(mag) < NO_MAGNITUDE, mag, np.nan)
    if not {"BP", "RP"} <= set(stars.columns):
        return mag, np.zeros(len(stars))
    bp, rp = stars["BP"].to_numpy(np.float64), stars["RP"].to_numpy(np.float64)
    return gaia_to_band(band, mag, bp, rp) if band else mag, bp - rp - SOLAR_BP_RP


def _seconds(one: pd.DataFrame) -> float:
    seconds = float(one["EXPTIME"].iloc[0])
    return seconds if seconds > 0.0 else np.nan


def _seeing(stars: pd.DataFrame, one: pd.DataFrame) -> float:
    """FWHM of the chosen stars in arcsec; NaN without FWHM_IMAGE or with few stars."""
    if "FWHM_IMAGE" not in stars or len(stars) < MIN_STARS:
        return np.nan
    best = np.argsort(stars["MAGERR"].to_numpy(np.float64), kind="stable")[: max(MIN_STARS, len(stars) // 3)]
    return float(np.nanmedian(stars["FWHM_IMAGE"].to_numpy(np.float64)[best])) * _pixel_scale(one)


def _pixel_scale(one: pd.DataFrame) -> float:
    """Arcseconds per pixel: the root of the area that a linear fit of sky to pixels gives a pixel."""
    chip = one[one["EXTENSION"] == one["EXTENSION"].mode().iloc[0]]
    if len(chip) < 3:
        return np.nan
    middle = len(chip) // 2
    xi, eta = offsets_arcsec(
        chip["RA"], chip["DEC"], float(chip["RA"].iloc[middle]), float(chip["DEC"].iloc[middle])
    )
    x, y = chip["XWIN_IMAGE"].to_numpy(np.float64), chip["YWIN_IMAGE"].to_numpy(np.float64)
    design = np.column_stack([x - x.mean(), y - y.mean(), np.ones(len(x))])
    matrix, *_ = np.linalg.lstsq(design, np.column_stack([xi, eta]), rcond=None)
    return float(np.sqrt(abs(np.linalg.det(matrix[:2]))))
