"""Candidates where they were not detected: what is there, and how much light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ssosd.analysis.forced.chips import ChipFacts, Chips, OpenChip
from ssosd.analysis.forced.fit import Trails, fitted_places, forced_flux
from ssosd.analysis.forced.profile import FloatArray
from ssosd.analysis.forced.rest import FixedSky, Resting
from ssosd.analysis.forced.tracks import Tracks
from ssosd.analysis.photometry.calibrate import Photometry
from ssosd.errors import BadInput
from ssosd.grouping import IntArray
from ssosd.model import Chip, Exposure
from ssosd.sphere import separation_arcsec

MEASURED, FAINT, SHAPED, BEHIND = "measured", "too faint", "of another shape", "behind a star"
SATURATED, EDGE, OUTSIDE, UNREAD = "saturated", "on the edge", "off the detector", "not read"
#: Share of the light that must be clear of what is at rest.
LEAST_CLEAR = 0.5
#: What a candidate can be in an exposure without a detection of it, in the order in which it is decided.
STATES = (UNREAD, OUTSIDE, EDGE, SATURATED, BEHIND, SHAPED, MEASURED, FAINT)
COLUMNS = (
    *("SOURCE_NUMBER", "CATALOG_NUMBER", "EXTENSION", "STATE", "SNR", "RA", "DEC", "ERR_POSITION"),
    *("RA_PREDICTED", "DEC_PREDICTED", "ERR_ALONG", "ERR_ACROSS", "X_IMAGE", "Y_IMAGE", "TRAIL", "FLUX"),
    *("FLUXERR", "MAG_CALIB", "MAG_CALIB_ERR", "MAG_LIMIT", "BAND", "CLEAR", "REASON"),
)
_MARGIN_ARCSEC = 120.0  # by which a header's pointing may be off
_ON_CHIP = 0.9  # share of the light that must be on pixels with a value
_ELSEWHERE = 4.0  # standard errors of the prediction: light farther off is of something else
_ODD = 3.0  # chi-square per pixel: of a star's edge, a cosmic ray, a hot pixel or a dead one
_FULL = 0.02  # share of the light on full pixels that spoils it
_HALO_ARCSEC = 20.0  # how far off bright stars are looked for


def recover(
    tracks: Tracks,
    *,
    exposures: Sequence[Exposure],
    chips: Chips,
    rest: FixedSky,
    photometry: Photometry,
    snr: float,
) -> pd.DataFrame:
    """Measure all candidates in all exposures in which they have no detection.

    Parameters
    ----------
    tracks : Tracks
    exposures : sequence of Exposure
        In the order of CATALOG_NUMBER.
    chips : Chips
    rest : FixedSky
    photometry : Photometry
        Of the exposures.
    snr : float
        Significance at which light at the predicted place counts as the candidate's.

    Returns
    -------
    DataFrame
        `COLUMNS`, by SOURCE_NUMBER and CATALOG_NUMBER. SNR is that at the predicted place, against the sky's
        noise: without an object it has mean 0 and standard deviation 1. Where STATE is "measured" RA, DEC,
        X_IMAGE, Y_IMAGE, FLUX and the magnitude are those of the place fitted there, with the prediction as
        its prior, FLUX and the magnitude where it is "of another shape", too; else FLUX is at the predicted
        place. CLEAR is the share of the light that is clear of
        what is at rest there.
    """
    m, f = np.nonzero(~tracks.seen)
    table = pd.DataFrame(
        {
            "SOURCE_NUMBER": tracks.numbers[m],
            "CATALOG_NUMBER": f + 1,
            "RA_PREDICTED": tracks.ra[m, f],
            "DEC_PREDICTED": tracks.dec[m, f],
            "ERR_ALONG": tracks.err_along[m, f],
            "ERR_ACROSS": tracks.err_across[m, f],
            "TRAIL": tracks.trail[m, f],
        }
    ).reindex(columns=list(COLUMNS))
    state, reason = np.full(m.size, OUTSIDE, dtype=object), np.full(m.size, "", dtype=object)
    parts: list[pd.DataFrame] = []
    near = rest.near(tracks, m, f, beside_arcsec=_HALO_ARCSEC)
    for number, exposure in enumerate(exposures, start=1):
        for chip in exposure.chips:
            rows = np.flatnonzero((f == number - 1) & (state == OUTSIDE))
            rows = rows[may_be_on(chip, tracks.ra[m[rows], f[rows]], tracks.dec[m[rows], f[rows]])]
            facts = chips.facts.get((number, chip.hdu))
            if not rows.size or facts is None:
                continue
            try:
                with chips.open(number, chip.hdu) as opened:
                    trails = opened.lay(tracks, m[rows], f[rows])
                    here = opened.holds(trails)
                    if not here.any():
                        continue
                    rows, trails = rows[here], trails.take(here)
                    found = _measured(opened, trails, near.of(rows), snr=snr)
            except BadInput as error:
                state[rows], reason[rows] = UNREAD, error.message
                continue
            found = _with_magnitudes(found, photometry, facts, number=number, extension=chip.hdu)
            found["EXTENSION"] = float(chip.hdu)
            state[rows] = found["STATE"].to_numpy()
            parts.append(found.set_axis(rows, axis=0))
    return _joined(table.assign(STATE=state, REASON=reason, BAND=""), parts)


def _measured(chip: OpenChip, trails: Trails, near: Resting, *, snr: float) -> pd.DataFrame:
    """What is at some places of a chip: the columns of `COLUMNS` that the pixels tell."""
    patches = chip.read(trails)
    masked = chip.masked(patches, near)
    all_light = forced_flux(patches, trails, shape=chip.shape, gain=chip.gain, also=patches.full)
    whole = forced_flux(patches, trails, shape=chip.shape, gain=chip.gain)
    clear = forced_flux(patches, trails, shape=chip.shape, gain=chip.gain, masked=masked)
    places = fitted_places(patches, trails, shape=chip.shape, gain=chip.gain, masked=masked)
    off = np.hypot(places.x - trails.x, places.y - trails.y) / trails.scale
    with np.errstate(invalid="ignore"):
        significance = clear.flux / clear.sky_err
        elsewhere = (significance >= snr) & (places.pull > _ELSEWHERE)
        odd = (np.abs(significance) >= snr) & (places.chi2_dof > _ODD)  # dead pixels are less than sky
        state = np.select(
            [
                ~(all_light.seen >= _ON_CHIP) | ~np.isfinite(patches.noise),
                all_light.seen - whole.seen > _FULL,
                ~(clear.seen >= LEAST_CLEAR) | ~np.isfinite(significance) | elsewhere,
                odd,
                significance >= snr,
            ],
            [EDGE, SATURATED, BEHIND, SHAPED, MEASURED],
            FAINT,
        )
    told = np.isin(state, (MEASURED, FAINT))
    is_measured, is_fitted = state == MEASURED, np.isin(state, (MEASURED, SHAPED))
    x, y = np.where(is_measured, places.x, trails.x), np.where(is_measured, places.y, trails.y)
    ra, dec = chip.sky.sky_of(x, y)
    error = np.sqrt(0.5 * (places.err_along**2 + places.err_across**2)) / trails.scale
    per = chip.shape.per_catalogue_at(x, y)
    return pd.DataFrame(
        {
            "STATE": state,
            "SNR": np.where(told, significance, np.nan),
            "X_IMAGE": x,
            "Y_IMAGE": y,
            "RA": np.where(is_measured, ra, np.nan),
            "DEC": np.where(is_measured, dec, np.nan),
            "ERR_POSITION": np.where(is_measured, error, np.nan),
            "FLUX": np.where(is_fitted, places.flux, np.where(told, clear.flux, np.nan)) / per,
            "FLUXERR": np.where(is_fitted, places.err, np.where(told, clear.err, np.nan)) / per,
            "CLEAR": clear.seen,
            "FLUX_LIMIT": np.where(told, snr * clear.sky_err / per, np.nan),
            "REASON": [
                _in_words(*facts)
                for facts in zip(
                    state, all_light.seen, clear.seen, off, elsewhere, places.chi2_dof, strict=True
                )
            ],
        }
    )


def _in_words(state: str, on_chip: float, clear: float, off: float, elsewhere: bool, chi2: float) -> str:
    """The numbers that decided a state, for a person."""
    if state == EDGE:
        return f"{_percent(on_chip)} of its light on pixels with a value"
    if state == SATURATED:
        return "full pixels in its light"
    if state == BEHIND and elsewhere:
        return f'the light there is of something {off:.1f}" from its place'
    if state == SHAPED:
        return f"the light there has not the shape of the object's: chi-square {chi2:.1f} per pixel"
    if state == BEHIND:
        return f"{_percent(clear)} of its light is clear of what is at rest there"
    return ""


def _percent(share: float) -> str:
    return f"{100.0 * np.nan_to_num(share):.0f} %"


def _with_magnitudes(
    found: pd.DataFrame, photometry: Photometry, facts: ChipFacts, *, number: int, extension: int
) -> pd.DataFrame:
    """Magnitudes in the place of the limit's flux; NaN without a calibration or without light."""
    limit = found.pop("FLUX_LIMIT").to_numpy(np.float64)
    if number not in photometry.calibrations:
        return found.assign(BAND="")
    flux, err = found["FLUX"].to_numpy(np.float64), found["FLUXERR"].to_numpy(np.float64)
    is_fitted = found["STATE"].isin((MEASURED, SHAPED)).to_numpy() & (flux > 0.0)
    mag, mag_err = photometry.of_light(number, extension, facts.detections, flux=flux, error=err)
    faintest, _ = photometry.of_light(number, extension, facts.detections, flux=limit, error=err)
    band = photometry.exposures.set_index("CATALOG_NUMBER")["BAND"]
    return found.assign(
        MAG_CALIB=np.where(is_fitted, mag, np.nan),
        MAG_CALIB_ERR=np.where(is_fitted, mag_err, np.nan),
        MAG_LIMIT=faintest,
        BAND=str(band.get(number, "")),
    )


def _joined(table: pd.DataFrame, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The table with what was measured, by its row numbers; "" and NaN where nothing was."""
    if parts:
        new = pd.concat(parts).reindex(table.index)
        there = table.index.isin(np.concatenate([part.index for part in parts]))
        table = table.assign(**{str(name): new[name].where(there, table[name]) for name in new})
    return table


def may_be_on(chip: Chip, ra: FloatArray, dec: FloatArray) -> IntArray:
    """Which places may be on a chip, by its header."""
    half = 0.5 * np.hypot(chip.width_px, chip.height_px) * chip.scale_arcsec
    near = separation_arcsec(chip.ra_deg, chip.dec_deg, ra, dec) <= half + _MARGIN_ARCSEC
    return np.flatnonzero(near).astype(np.intp)
