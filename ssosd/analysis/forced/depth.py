"""How deep exposures go: at which magnitude half of the points that are there were detected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd.analysis.forced.chips import Chips
from ssosd.analysis.forced.fit import Trails, forced_flux
from ssosd.analysis.forced.profile import FloatArray
from ssosd.analysis.photometry.calibrate import Photometry
from ssosd.analysis.photometry.limits import half_detected
from ssosd.errors import BadInput
from ssosd.grouping import BoolArray, IntArray
from ssosd.model import Exposure
from ssosd.sphere import mean_position, offsets_arcsec

_SEEN = 2  # other exposures that have detected what is known to be there
_REACH_FWHM = 0.6  # a detection so near is of the same place
_CLEAR_FWHM = 3.0  # no other place so near
_FAINT_SNR = 12.0  # brighter ones are detected in any case
_MOST_PLACES, _LEAST_PLACES = 500, 20  # that are measured in all exposures; in each of many
_MOST_CHIPS = 4  # of an exposure that are opened
_MOST_DETECTIONS, _STRIPE_FWHM = 3000, 30.0  # of an exposure: of more those in stripes so wide
_ON_CHIP = 0.95  # share of the light that must be on pixels with a value


def half_detected_mags(
    positions: pd.DataFrame, *, exposures: Sequence[Exposure], chips: Chips, photometry: Photometry
) -> dict[int, float]:
    """Magnitude at which half of the points that are there were detected, of each calibrated exposure.

    What two other exposures detected at one place is there. Its light is measured on the pixels whether this
    exposure detected it or not: SExtractor's own magnitudes of what is hardly detected are off by tenths, and
    those of the others are of what their noise has made brighter. How significant light must be for half of
    it to be detected is a matter of SExtractor's set-up: the exposures of a sequence tell it together.

    Parameters
    ----------
    positions : DataFrame
        All detections of the sequence: CATALOG_NUMBER, RA, DEC (deg ICRS), SNR_WIN.
    exposures : sequence of Exposure
        In the order of CATALOG_NUMBER.
    chips : Chips
    photometry : Photometry
        Of the exposures.

    Returns
    -------
    dict
        By CATALOG_NUMBER; empty where too few faint things are there to tell, or fewer than three exposures.
    """
    fwhm = float(photometry.exposures["SEEING"].median())
    if not photometry.calibrations or not np.isfinite(fwhm):
        return {}
    ra, dec, seen = _places(positions, n_exposures=len(exposures), fwhm_arcsec=fwhm)
    significance, detected, one_sigma = [np.empty(0)], [np.empty(0, dtype=bool)], {}
    for number, exposure in enumerate(exposures, start=1):
        known = np.flatnonzero(seen.sum(axis=1) - seen[:, number - 1] >= _SEEN)
        if number not in photometry.calibrations or not known.size:
            continue
        noise = []
        for hdu in _some([chip.hdu for chip in exposure.chips if (number, chip.hdu) in chips.facts]):
            try:
                rows, flux, sky_err = _light(chips, number, hdu, ra[known], dec[known])
            except BadInput:
                continue  # what needs this file says so
            significance.append(flux / sky_err)
            detected.append(seen[known[rows], number - 1])
            one = photometry.one_count_mag(number, hdu, chips.facts[number, hdu].detections)
            noise.append(one - 2.5 * np.log10(sky_err))
        if noise and sum(len(part) for part in noise):
            one_sigma[number] = float(np.median(np.concatenate(noise)))
    half = half_detected(np.concatenate(significance), np.concatenate(detected))
    if not np.isfinite(half):
        return {}
    return {number: mag - 2.5 * float(np.log10(half)) for number, mag in one_sigma.items()}


def _some(hdus: list[int]) -> list[int]:
    """A few chips, spread over those that there are."""
    if len(hdus) <= _MOST_CHIPS:
        return hdus
    return [hdus[k] for k in np.linspace(0, len(hdus) - 1, _MOST_CHIPS).astype(int)]


def _places(
    positions: pd.DataFrame, *, n_exposures: int, fwhm_arcsec: float
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Faint things at rest that stand alone, and which exposures have detected them.

    Returns
    -------
    ra, dec : ndarray, shape (n,)
    seen : ndarray of bool, shape (n, n_exposures)
    """
    table = positions[np.isfinite(positions["RA"]) & np.isfinite(positions["DEC"])]
    ra, dec, snr = (table[name].to_numpy(np.float64) for name in ("RA", "DEC", "SNR_WIN"))
    number = table["CATALOG_NUMBER"].to_numpy(np.intp) - 1
    if not ra.size:
        return ra, dec, np.zeros((0, n_exposures), dtype=bool)
    x, y = offsets_arcsec(ra, dec, *mean_position(ra, dec))
    where = np.column_stack([x, y])
    stripe = np.floor(x / (_STRIPE_FWHM * fwhm_arcsec))
    chosen = stripe % np.ceil(x.size / n_exposures / _MOST_DETECTIONS) == 0.0
    of_exposure = [np.flatnonzero(number == k) for k in range(n_exposures)]
    trees = [cKDTree(where[own]) for own in of_exposure]
    reach = _REACH_FWHM * fwhm_arcsec
    middle = np.empty((0, 2))
    for own in of_exposure:  # places that no exposure before has seen
        new = where[own[chosen[own]]]
        if len(middle) and len(new):
            new = new[~np.isfinite(cKDTree(middle).query(new, distance_upper_bound=reach)[0])]
        middle = np.concatenate([middle, new])
    for _ in range(2):  # the second time from the mean of what was found
        found = np.stack([_nearest(tree, middle, reach) for tree in trees], axis=1)
        seen = found >= 0
        row = np.stack(
            [own[k] if own.size else k for own, k in zip(of_exposure, found.T, strict=True)], axis=1
        )
        n = np.maximum(seen.sum(axis=1), 1)[:, None]
        middle = np.where(seen[:, :, None], where[row], 0.0).sum(axis=1) / n
    often = np.flatnonzero(seen.sum(axis=1) >= _SEEN)
    level = np.nanmedian(np.where(seen[often], snr[row[often]], np.nan), axis=1) if often.size else snr[:0]
    faint = often[level < _FAINT_SNR]
    if len(often) > 1:
        beside = np.asarray(cKDTree(middle[often]).query(middle[faint], k=[2])[0])[:, 0]
        faint = faint[beside > _CLEAR_FWHM * fwhm_arcsec]
    most = max(_MOST_PLACES // n_exposures, _LEAST_PLACES)
    if faint.size > most:
        faint = faint[np.lexsort((middle[faint, 1], middle[faint, 0]))]
        faint = faint[np.linspace(0, faint.size - 1, most).astype(int)]
    first = row[faint, np.argmax(seen[faint], axis=1)]
    shift = middle[faint] - where[first]
    dec_there = dec[first] + shift[:, 1] / 3600.0
    return ra[first] + shift[:, 0] / 3600.0 / np.cos(np.radians(dec_there)), dec_there, seen[faint]


def _nearest(tree: cKDTree, places: FloatArray, reach: float) -> IntArray:
    """Row of the nearest within reach, -1 where there is none."""
    if not tree.n:
        return np.full(len(places), -1, dtype=np.intp)
    found: NDArray[np.intp] = np.asarray(tree.query(places, distance_upper_bound=reach)[1], dtype=np.intp)
    return np.where(found < tree.n, found, -1)


def _light(
    chips: Chips, number: int, hdu: int, ra: FloatArray, dec: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Rows of the places that are on a chip, their light and its error by the sky's noise, FLUX's counts."""
    with chips.open(number, hdu) as chip:
        places = chip.sky.pixels_of(ra, dec)
        zero, one = np.zeros(len(ra)), np.ones(len(ra))
        points = Trails(
            x=places[:, 0],
            y=places[:, 1],
            length=zero,
            angle=zero,
            err_along=zero,
            err_across=zero,
            scale=one,
        )
        rows = np.flatnonzero(chip.holds(points))
        if not rows.size:
            return rows, zero[:0], zero[:0]
        points = points.take(rows)
        light = forced_flux(chip.read(points), points, shape=chip.shape, gain=chip.gain)
        per = chip.shape.per_catalogue_at(points.x, points.y)
        good = (light.seen > _ON_CHIP) & np.isfinite(light.flux) & (light.sky_err > 0.0)
        return rows[good], (light.flux / per)[good], (light.sky_err / per)[good]
