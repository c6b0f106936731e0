"""Calibrated magnitudes: a zero point per exposure from the reference stars in it.

An object of the Sun's colour is what the zero points hold for; asteroids are within some 0.3 mag of it in
BP - RP. Magnitudes are those of MAG, whose apertures lose the same part of the light of a point-like object
as of a bright star: OFFSET contains it, and apertures that came out too small or too large are corrected for.
ZP is the zero point of the whole light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.analysis.gaia_bands import RELATIONS, SOLAR_BP_RP, band_of_filter, gaia_to_band
from ssosd.analysis.photometry_apertures import LightCurve, apertures_of, part
from ssosd.analysis.photometry_fit import MIN_STARS, ErrorModel, ZeroPoint, fit_zero_point
from ssosd.analysis.photometry_limits import five_sigma, half_complete
from ssosd.analysis.photometry_stars import (
    NO_MAGNITUDE,
    ReferenceSky,
    measured,
    pointlike,
    saturated_above,
)
from ssosd.sphere import offsets_arcsec

#: Columns that `calibrate` adds to the detections.
NEW_COLUMNS = ("MAG_CALIB", "MAG_CALIB_ERR", "BAND", "PHOT_CAT", "SEEING")
_NAMELESS = ("", "UNK")
_MIN_CHIP_STARS = 8
_OF_CORRECTION = 0.15  # relative error of the correction for the aperture
_OTHER_THING = 1.0  # mag: a star so far off is variable, or not that star


@dataclass(frozen=True, kw_only=True)
class Photometry:
    """Detections with calibrated magnitudes, and what they rest on."""

    detections: pd.DataFrame  # as given, with `NEW_COLUMNS`; NaN and "" where there is no calibration
    exposures: pd.DataFrame  # one row per exposure, see `calibrate`


@dataclass(frozen=True, kw_only=True)
class _Calibrated:
    """One exposure's part."""

    mag: NDArray[np.float64]
    err: NDArray[np.float64]
    row: dict[str, object]


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
        AWIN_IMAGE, XWIN_IMAGE, YWIN_IMAGE (pixels), optionally FWHM_IMAGE.
    reference : DataFrame
        Reference stars: RA, DEC, MAG; with BP and RP (mag) where the catalogue is Gaia with colours, MAG
        then being G.
    catalogue : str
        The MPC's name of the reference catalogue (``Gaia3``), for PHOT_CAT. With "" or ``UNK`` nothing is
        calibrated.
    band : str, optional
        The MPC's letter of the band, for all exposures; None reads it from each exposure's FILTER. Without
        colours in the reference the magnitudes are on `reference_band` whatever the filter.
    reference_band : str
        Band of MAG in the reference.
    kron_factor : float
        First of PHOT_AUTOPARAMS in SEX_CONFIG, for ZP alone.
    match_radius_arcsec, clear_arcsec : float
        Largest distance of a star from its reference position; stars with a neighbour within the second are
        not used.

    Returns
    -------
    Photometry
        Detections with MAG_CALIB, MAG_CALIB_ERR (mag, NaN without), BAND, PHOT_CAT ("" without) and SEEING
        (FWHM of the exposure's stars, arcsec). Exposures by CATALOG_NUMBER: IMAGE_FILENAME, FILTER, BAND,
        PHOT_CAT, OFFSET, OFFSET_ERR (mag, added to MAG), ZP, ZP_ERR (magnitude of one count per second, all
        light), COLOUR_TERM, COLOUR_TERM_ERR (mag per mag of BP - RP), N_STARS, SCATTER (mag, of those
        stars), SEEING (arcsec), LIMIT_5SIGMA, LIMIT_50 (mag), REASON ("" when it is calibrated).

    Notes
    -----
    MAG_CALIB_ERR is the scatter that reference stars of the same MAGERR have about their catalogue
    magnitudes, with the error of the zero point; it is larger than MAGERR.
    """
    sky = ReferenceSky(reference, radius_arcsec=match_radius_arcsec, clear_arcsec=clear_arcsec)
    n = len(detections)
    mags, errors, seeing = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    bands = np.full(n, "", dtype=object)
    rows: list[dict[str, object]] = []
    for number, places in sorted(detections.groupby("CATALOG_NUMBER").indices.items()):
        one = detections.iloc[places]
        wanted, reason = _target(str(one["FILTER"].iloc[0]), band, reference, reference_band)
        if catalogue in _NAMELESS:
            wanted, reason = "", "the reference catalogue is not named: its magnitudes may be of any kind"
        done = _exposure(one, reference, sky, band=wanted, reason=reason, kron_factor=kron_factor)
        calibrated = not done.row["REASON"]
        mags[places], errors[places] = done.mag, done.err
        bands[places] = wanted if calibrated else ""
        seeing[places] = done.row["SEEING"]
        names = {"BAND": wanted if calibrated else "", "PHOT_CAT": catalogue if calibrated else ""}
        rows.append(done.row | names | {"CATALOG_NUMBER": int(str(number))})
    table = detections.assign(
        MAG_CALIB=mags,
        MAG_CALIB_ERR=errors,
        BAND=pd.Series(bands, index=detections.index, dtype="str"),
        PHOT_CAT=pd.Series(np.where(bands == "", "", catalogue), index=detections.index, dtype="str"),
        SEEING=seeing,
    )
    return Photometry(detections=table, exposures=pd.DataFrame(rows, columns=list(_ROW)))


_ROW = (
    *("CATALOG_NUMBER", "IMAGE_FILENAME", "FILTER", "BAND", "PHOT_CAT", "OFFSET", "OFFSET_ERR", "ZP"),
    *("ZP_ERR", "COLOUR_TERM", "COLOUR_TERM_ERR", "N_STARS", "SCATTER", "SEEING", "LIMIT_5SIGMA"),
    *("LIMIT_50", "REASON"),
)


def _has_colours(reference: pd.DataFrame) -> bool:
    return {"BP", "RP"} <= set(reference.columns) and bool(
        np.isfinite(reference["BP"] - reference["RP"]).sum() >= MIN_STARS
    )


def _target(
    filter_name: str, band: str | None, reference: pd.DataFrame, reference_band: str
) -> tuple[str, str]:
    """Which band an exposure is brought to, and why it cannot be, one of both empty."""
    wanted = band if band is not None else band_of_filter(filter_name)
    if wanted is None:
        return "", f"no band of the MPC's stands for FILTER {filter_name!r}"
    if wanted == reference_band:
        return wanted, ""
    if _has_colours(reference) and reference_band == "G":
        if wanted in RELATIONS:
            return wanted, ""
        return "", f"no relation from Gaia's bands to {wanted}"
    return reference_band, ""  # the catalogue's own band: what its magnitudes are


def _exposure(
    one: pd.DataFrame,
    reference: pd.DataFrame,
    sky: ReferenceSky,
    *,
    band: str,
    reason: str,
    kron_factor: float,
) -> _Calibrated:
    """Calibrate one exposure."""
    nothing = np.full(len(one), np.nan)
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
        bright = saturated_above(mag[best], (target - mag)[best], error[best])
        good &= mag > bright
    row["SEEING"] = _seeing(stars[good], one)
    found = int(good.sum())
    if reason or found < MIN_STARS:
        row["REASON"] = reason or f"{found} good reference stars in it, {MIN_STARS} are needed"
        return _Calibrated(mag=nothing, err=nothing, row=row)
    chips = stars["EXTENSION"].to_numpy()
    by_chip = _chip_offsets((target - mag)[good], chips[good])
    difference = target - mag - by_chip.reindex(chips).fillna(0.0).to_numpy()
    zero = fit_zero_point(
        difference=difference[good], error=error[good], colour=colour[good] if with_colour else None
    )
    if zero is None:
        row["REASON"] = f"the {found} reference stars in it do not agree on a zero point"
        return _Calibrated(mag=nothing, err=nothing, row=row)
    residual = difference - zero.offset - zero.colour_term * colour
    own = apertures_of(one, stars=_marked(len(one), matched.rows[usable][good]))
    of_stars = part(own, matched.rows[usable])
    curve = LightCurve.measure(residual=residual[good], own=part(of_stars, np.flatnonzero(good)))
    residual -= curve.apply(of_stars)
    near = np.abs(residual) < np.maximum(_OTHER_THING, 10.0 * error)
    model = ErrorModel.measure(residual=residual[near], error=error[near], clean=good[near])
    all_shift = by_chip.reindex(one["EXTENSION"].to_numpy()).fillna(0.0).to_numpy()
    calibrated, sigma = _apply(one, zero, model, all_shift, curve.apply(own))
    snr = one["FLUX"].to_numpy(np.float64) / one["FLUXERR"].to_numpy(np.float64)
    row |= {
        "OFFSET": zero.offset,
        "OFFSET_ERR": zero.offset_err,
        "ZP": zero.offset + _of_one_count(one) - 2.5 * np.log10(_seconds(one)) + aperture_loss(kron_factor),
        "ZP_ERR": zero.offset_err,
        "COLOUR_TERM": zero.colour_term,
        "COLOUR_TERM_ERR": zero.colour_term_err,
        "N_STARS": zero.n_stars,
        "SCATTER": zero.scatter,
        "LIMIT_5SIGMA": five_sigma(calibrated, snr),
        "LIMIT_50": half_complete(calibrated),
        "REASON": "",
    }
    return _Calibrated(mag=calibrated, err=sigma, row=row)


def _chip_offsets(difference: NDArray[np.float64], chips: NDArray[np.int64]) -> pd.Series:
    """How much the zero point of each chip differs from the exposure's; 0 where its stars are few."""
    groups = pd.Series(difference).groupby(chips)
    median, count = groups.median(), groups.size()
    if len(median) < 2:
        return median * 0.0
    enough = count >= _MIN_CHIP_STARS
    whole = float(np.average(median[enough], weights=count[enough])) if enough.any() else 0.0
    return (median - whole).where(enough, 0.0)


def _marked(n: int, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    marked = np.zeros(n, dtype=bool)
    marked[rows] = True
    return marked


def _catalogued(stars: pd.DataFrame, band: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Catalogue magnitudes in the band, NaN where there is none, and BP - RP minus the Sun's (0 unknown)."""
    mag = stars["MAG"].to_numpy(np.float64)
    mag = np.where(np.abs(mag) < NO_MAGNITUDE, mag, np.nan)
    if not {"BP", "RP"} <= set(stars.columns):
        return mag, np.zeros(len(stars))
    bp, rp = stars["BP"].to_numpy(np.float64), stars["RP"].to_numpy(np.float64)
    return gaia_to_band(band, mag, bp, rp) if band else mag, bp - rp - SOLAR_BP_RP


def _apply(
    one: pd.DataFrame,
    zero: ZeroPoint,
    model: ErrorModel,
    shift: NDArray[np.float64],
    light: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Calibrated magnitudes and their errors; `shift` is the chips', `light` the apertures'."""
    mag, error = one["MAG"].to_numpy(np.float64), one["MAGERR"].to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        known = (np.abs(mag) < NO_MAGNITUDE) & (error > 0.0) & (error < NO_MAGNITUDE)
    bias, sigma = model.apply(np.where(known, error, 1.0))
    total = np.sqrt(sigma**2 + zero.offset_err**2 + (_OF_CORRECTION * light) ** 2)
    return (
        np.where(known, mag + zero.offset + shift + light + bias, np.nan),
        np.where(known, total, np.nan),
    )


def _of_one_count(one: pd.DataFrame) -> float:
    """Magnitude that MAG gives to one count: MAG_ZEROPOINT of the set-up."""
    flux, mag = one["FLUX"].to_numpy(np.float64), one["MAG"].to_numpy(np.float64)
    good = (flux > 0.0) & (np.abs(mag) < NO_MAGNITUDE)
    # OFFSET goes from MAG to the sky: from counts it takes MAG's own zero point too
    return float(np.median(mag[good] + 2.5 * np.log10(flux[good]))) if good.any() else np.nan


def _seconds(one: pd.DataFrame) -> float:
    seconds = float(one["EXPTIME"].iloc[0])
    return seconds if seconds > 0.0 else np.nan


def _seeing(stars: pd.DataFrame, one: pd.DataFrame) -> float:
    """FWHM of the chosen stars in arcsec; NaN without FWHM_IMAGE or with few stars."""
    if "FWHM_IMAGE" not in stars or len(stars) < MIN_STARS:
        return np.nan
    best = stars.nsmallest(max(MIN_STARS, len(stars) // 3), "MAGERR")
    return float(best["FWHM_IMAGE"].median()) * _pixel_scale(one)


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
