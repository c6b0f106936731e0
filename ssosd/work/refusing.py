"""What light on the pixels says against sources: it is missing, it stays behind, or chance brings as much."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.analysis.forced.recover import FAINT, MEASURED
from ssosd.analysis.forced.standing import EVIDENCE_COLUMNS
from ssosd.filters.outcome import LEDGER_COLUMNS
from ssosd.grouping import FloatArray
from ssosd.linker.tracklets.link import MAX_CHANCE
from ssosd.sphere import separation_arcsec

STEP = "RECOVER"  # in the ledger and the funnel
# Chance tracks expected that are allowed where no exposure tells: painted nights have half of them.
_UNTOLD = 2.0
_APART_FWHM = 0.5  # light nearer to a detection may well be of a star at rest there, and proves nothing
_ABSENT, _LEAST = 0.4, 3.0  # of the light expected, where that is so many times the noise
# Of stars at rest that were taken for one mover 0.24 and more of the light is still there, of painted movers
# 0.08 and less.
_REMAINS, _REMAINS_SNR = 0.2, 2.5  # of the light, and how significant it must be
# By so much is the chi-square of a star better than that of a hot pixel, and by so much of the light's.
_STAR_CHI2, _STAR_SHARE = 25.0, 0.1
_SELDOM = 0.5  # of the exposures: in the others a star has passed over a hot pixel
_MOST_FOLLOWED = 3  # objects in a field
_HOT_REASON = "at one place of the detector while the sky moves, with the light of a hot pixel"
_UNTOLD_REASON = "at one place of the detector while the sky moves, and no pixel tells that it is no hot one"
_MANY_REASON = "at one place of the detector while the sky moves, as more are than a telescope follows"
_ABSENT_REASON = "its light is missing where nothing hides it"
_UNCONFIRMED_REASON = "chance makes as good a source, and no further light confirms it"
_REMAINS_REASON = "light stays at the places that it has left: stars at rest"


def refusals(asked: pd.DataFrame, missed: pd.DataFrame, *, snr: float) -> pd.DataFrame:
    """Which sources the light at their places without a detection refuses.

    A source is refused where that light is less than 0.4 of what its magnitude lets expect, and one that
    chance alone makes (N_CHANCE above 1, or above 2 where no exposure tells) unless all of it together is
    significant: of it only that counts which is more than half a FWHM from its detections, where no star at
    rest explains both.

    Parameters
    ----------
    asked : DataFrame
        One row per detection: SOURCE_NUMBER, N_CHANCE, MID_EXPOSURE_MJD (d), PM (arcsec/h), SEEING (arcsec),
        RA, DEC (deg ICRS), MAG_CALIB, BAND.
    missed : DataFrame
        `ssosd.analysis.forced.recover.recover` of them.
    snr : float
        RECOVER_SNR.

    Returns
    -------
    DataFrame
        `LEDGER_COLUMNS`; measured and limit are the joint significance of the light.
    """
    sources = asked.groupby("SOURCE_NUMBER", sort=True)
    chance = sources["N_CHANCE"].first()
    told = missed[missed["STATE"].isin((MEASURED, FAINT))].reset_index(drop=True)
    reach = _APART_FWHM * sources["SEEING"].median()
    time = sources["MID_EXPOSURE_MJD"]
    moves = 24.0 * (time.max() - time.min()) * sources["PM"].first() > reach
    apart = _from_detections(told, asked) > told["SOURCE_NUMBER"].map(reach).to_numpy(np.float64)
    mags = asked.groupby(["SOURCE_NUMBER", "BAND"])["MAG_CALIB"].median()
    key = pd.MultiIndex.from_frame(told[["SOURCE_NUMBER", "BAND"]])
    expected = _expected(told, mags.reindex(key).to_numpy(np.float64), snr=snr)
    known = np.isfinite(expected)
    light = pd.DataFrame(
        {
            "TOLD": 1,
            "N": apart.astype(np.int64),
            "SNR": np.where(apart, told["SNR"].to_numpy(np.float64), 0.0),
            "OF_EXPECTED": np.where(known, told["SNR"].to_numpy(np.float64), 0.0),
            "EXPECTED": np.where(known, expected, 0.0),
            "N_EXPECTED": known.astype(np.int64),
        }
    )
    sums = light.groupby(told["SOURCE_NUMBER"].to_numpy()).sum().reindex(chance.index, fill_value=0.0)
    limit = _ABSENT * sums["EXPECTED"]
    absent = (sums["OF_EXPECTED"] < limit) & (sums["EXPECTED"] > _LEAST * sums["N_EXPECTED"])
    joint: FloatArray = (sums["SNR"] / np.sqrt(np.maximum(sums["N"], 1))).to_numpy(np.float64)
    allowed = np.where((sums["TOLD"] > 0) | ~moves, MAX_CHANCE, _UNTOLD)
    gone = absent | ((chance > allowed) & (joint < snr))
    return _ledger(
        chance.index[gone],
        sources.size(),
        measured=joint[gone],
        limit=np.where(absent, limit / np.sqrt(np.maximum(sums["N_EXPECTED"], 1)), snr)[gone],
        reason=np.where(absent, _ABSENT_REASON, _UNCONFIRMED_REASON)[gone],
    )


def _from_detections(light: pd.DataFrame, detections: pd.DataFrame) -> FloatArray:
    """How far places are from the nearest detection of their source, arcsec."""
    places = light[["SOURCE_NUMBER", "RA_PREDICTED", "DEC_PREDICTED"]].reset_index(drop=True)
    pairs = places.reset_index().merge(detections[["SOURCE_NUMBER", "RA", "DEC"]], on="SOURCE_NUMBER")
    ra, dec, ra_there, dec_there = (
        pairs[name].to_numpy(np.float64) for name in ("RA_PREDICTED", "DEC_PREDICTED", "RA", "DEC")
    )
    pairs["APART"] = separation_arcsec(ra, dec, ra_there, dec_there)
    return pairs.groupby("index")["APART"].min().reindex(places.index).to_numpy(np.float64)


def remaining(found: pd.DataFrame, left: pd.DataFrame, *, snr: float) -> pd.DataFrame:
    """Which sources are stars at rest, each detected in some exposures only: their light stays where it was.

    Parameters
    ----------
    found : DataFrame
        One row per detection: SOURCE_NUMBER.
    left : DataFrame
        `ssosd.work.recovering.light_left` of some of its rows.
    snr : float
        RECOVER_SNR, of which MAG_LIMIT is the magnitude.

    Returns
    -------
    DataFrame
        `LEDGER_COLUMNS`; measured and limit are shares of the light of the detections.
    """
    expected = _expected(left, left["MAG_THERE"].to_numpy(np.float64), snr=snr)
    known = np.isfinite(expected) & (left["BAND"] == left["BAND_THERE"]).to_numpy(bool)
    known &= left["STATE"].isin((MEASURED, FAINT)).to_numpy(bool)
    light = left.loc[known, ["SOURCE_NUMBER", "CATALOG_NUMBER", "PLACE", "SNR"]].assign(
        EXPECTED=expected[known]
    )
    # places close to each other in one exposure have the same light and the same noise
    per_exposure = light.groupby(["SOURCE_NUMBER", "CATALOG_NUMBER"])[["SNR", "EXPECTED"]].mean()
    of_source = per_exposure.groupby("SOURCE_NUMBER")
    sums, n = of_source.sum(), of_source.size()
    share = sums["SNR"] / sums["EXPECTED"]
    stays = (share > _REMAINS) & (sums["SNR"] > _REMAINS_SNR * np.sqrt(n))
    per_place = light.groupby(["SOURCE_NUMBER", "PLACE"])[["SNR", "EXPECTED"]].sum()
    lit = per_place["SNR"] > _REMAINS * per_place["EXPECTED"]
    stays &= lit.groupby("SOURCE_NUMBER").sum() > 1  # one may have met a star
    return _ledger(
        share.index[stays],
        found.groupby("SOURCE_NUMBER").size(),
        measured=share[stays].to_numpy(np.float64),
        limit=_REMAINS,
        reason=_REMAINS_REASON,
    )


def hot_pixels(found: pd.DataFrame, evidence: pd.DataFrame | None) -> pd.DataFrame:
    """Which sources that stand at one place of the detector are no objects that the telescope followed.

    Parameters
    ----------
    found : DataFrame
        One row per detection of them: SOURCE_NUMBER.
    evidence : DataFrame or None
        `ssosd.analysis.forced.standing.star_evidence` of them; None where it was not asked for. A source that
        is not in it, or of which no pixel could be read, is refused with that for a reason.

    Returns
    -------
    DataFrame
        `LEDGER_COLUMNS`; measured and limit are differences of chi-square. Where more are left than a
        telescope follows, none is.
    """
    numbers = pd.Index(np.unique(found["SOURCE_NUMBER"].to_numpy(np.int64)))
    if evidence is None:
        evidence = pd.DataFrame(columns=list(EVIDENCE_COLUMNS), dtype=np.float64)
    told = evidence.reindex(numbers, fill_value=0.0)
    better = told["PIXEL"] - told["STAR"]
    limit = (_STAR_SHARE * (told["NOTHING"] - told["STAR"])).clip(lower=_STAR_CHI2)
    hot = ((better < limit) | (told["LIKE_STAR"] <= _SELDOM)).to_numpy(bool)
    untold = (told["NOTHING"] <= 0.0).to_numpy(bool)
    many = int((~hot).sum()) > _MOST_FOLLOWED
    gone = hot | many
    return _ledger(
        numbers[gone],
        found.groupby("SOURCE_NUMBER").size(),
        measured=better[gone].to_numpy(np.float64),
        limit=limit[gone].to_numpy(np.float64),
        reason=np.select([untold, hot], [_UNTOLD_REASON, _HOT_REASON], _MANY_REASON)[gone],
    )


def _ledger(
    sources: pd.Index[int],
    n_detections: pd.Series[int],
    *,
    measured: FloatArray,
    limit: FloatArray | float,
    reason: str | NDArray[np.str_],
) -> pd.DataFrame:
    """Rows of the ledger for refused sources."""
    table = pd.DataFrame({"SOURCE_NUMBER": sources.to_numpy(np.int64)}).assign(
        FILTER=STEP, MEASURED=measured, LIMIT=limit, REASON=reason
    )
    table["N_DETECTIONS"] = n_detections.reindex(sources).to_numpy(np.int64)
    return table[list(LEDGER_COLUMNS)].astype({"FILTER": "str", "REASON": "str", "LIMIT": np.float64})


def _expected(light: pd.DataFrame, mag: FloatArray, *, snr: float) -> FloatArray:
    """Signal to noise that a magnitude has where the limit is MAG_LIMIT."""
    return np.asarray(snr * 10.0 ** (0.4 * (light["MAG_LIMIT"].to_numpy(np.float64) - mag)))
