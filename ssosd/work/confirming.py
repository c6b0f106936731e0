"""Candidates that chance may have made: the exposures without a detection of them confirm or refuse them.

A mover of 5 sigma is detected in four exposures of five and shows its light in the fifth as well, below the
limit of detection; of four pieces of noise in a row nothing is seen there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssosd.analysis.forced.recover import FAINT, MEASURED
from ssosd.filters.outcome import LEDGER_COLUMNS
from ssosd.grouping import FloatArray
from ssosd.linker.tracklets.link import MAX_CHANCE
from ssosd.station import Station
from ssosd.work.linking import Candidates
from ssosd.work.recovering import Pixels, missed_of, with_trails

_STEP = "RECOVER"  # in the ledger and the funnel
# Chance tracks expected: below the first none is asked about; where no exposure can tell, the second is
# allowed, as painted nights have half of what is expected.
_ASKED, _UNTOLD = 0.03, 2.0
_MOVED_FWHM = 1.25  # what moves by less is a star at rest, perhaps, whose light proves nothing
_ABSENT, _LEAST = 0.4, 3.0  # of the light expected, where that is so many times the noise
_ABSENT_REASON = "its light is missing where nothing hides it"
_UNCONFIRMED_REASON = "chance makes as good a source, and no further light confirms it"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """What measuring on the pixels left of a sequence."""

    candidates: pd.DataFrame  # with their trails fitted and magnitudes, one row per detection
    ledger: pd.DataFrame  # one row per rejected source, of linking and here
    funnel: tuple[tuple[str, int], ...]  # (step, sources left)
    notes: list[str]  # files that could not be read


def measured(left: Candidates, pixels: Pixels, *, station: Station) -> Measured:
    """Fit the trails of candidates, and with RECOVER leave out those that the pixels do not confirm.

    Parameters
    ----------
    left : Candidates
        With RECOVER its weak sources are asked about as well.
    pixels : Pixels
        Of them.
    station : Station
    """
    parts = [part for part in (left.detections, left.weak) if len(part)]
    every = pd.concat(parts, ignore_index=True) if len(parts) > 1 else (*parts, left.detections)[0]
    every = every.sort_values(["SOURCE_NUMBER", "MID_EXPOSURE_MJD"], kind="stable", ignore_index=True)
    found, notes = with_trails(every, pixels, station=station)
    if not station.config["RECOVER"] or station.config["LINKER"] == "SCAMP":
        return Measured(candidates=found, ledger=left.ledger, funnel=left.funnel, notes=notes)
    asked = found[found["N_CHANCE"] > _ASKED]
    refused = refusals(asked, missed_of(asked, pixels, station=station), snr=station.config["RECOVER_SNR"])
    kept = found[~found["SOURCE_NUMBER"].isin(refused["SOURCE_NUMBER"])].reset_index(drop=True)
    return Measured(
        candidates=kept,
        ledger=pd.concat([left.ledger, refused], ignore_index=True),
        funnel=(*left.funnel, (_STEP, int(kept["SOURCE_NUMBER"].nunique()))),
        notes=notes,
    )


def refusals(asked: pd.DataFrame, missed: pd.DataFrame, *, snr: float) -> pd.DataFrame:
    """Which sources the light at their places without a detection refuses.

    A source is refused where that light is less than 0.4 of what its magnitude lets expect, and one that
    chance alone makes (N_CHANCE above 1, or above 2 where no exposure tells) unless all of it together is
    significant, and the source moves by more than a star's light may reach.

    Parameters
    ----------
    asked : DataFrame
        One row per detection: SOURCE_NUMBER, N_CHANCE, MID_EXPOSURE_MJD (d), PM (arcsec/h), SEEING (arcsec),
        MAG_CALIB, BAND.
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
    table = pd.DataFrame({"N_DETECTIONS": sources.size(), "N_CHANCE": sources["N_CHANCE"].first()})
    time = sources["MID_EXPOSURE_MJD"]
    moved = 24.0 * (time.max() - time.min()) * sources["PM"].first()
    moves = moved > _MOVED_FWHM * sources["SEEING"].median()
    told = missed[missed["STATE"].isin((MEASURED, FAINT))]
    mags = asked.groupby(["SOURCE_NUMBER", "BAND"])["MAG_CALIB"].median()
    key = pd.MultiIndex.from_frame(told[["SOURCE_NUMBER", "BAND"]])
    usual = mags.reindex(key).to_numpy(np.float64)
    expected = snr * 10.0 ** (0.4 * (told["MAG_LIMIT"].to_numpy(np.float64) - usual))
    known = np.isfinite(expected)
    light = pd.DataFrame(
        {
            "N": 1,
            "SNR": told["SNR"].to_numpy(np.float64),
            "OF_EXPECTED": np.where(known, told["SNR"].to_numpy(np.float64), 0.0),
            "EXPECTED": np.where(known, expected, 0.0),
            "N_EXPECTED": known.astype(np.int64),
        }
    )
    sums = light.groupby(told["SOURCE_NUMBER"].to_numpy()).sum().reindex(table.index, fill_value=0.0)
    limit = _ABSENT * sums["EXPECTED"]
    absent = (sums["OF_EXPECTED"] < limit) & (sums["EXPECTED"] > _LEAST * sums["N_EXPECTED"])
    joint: FloatArray = (sums["SNR"] / np.sqrt(np.maximum(sums["N"], 1))).to_numpy(np.float64)
    allowed = np.where((sums["N"] > 0) | ~moves, MAX_CHANCE, _UNTOLD)
    gone = absent | ((table["N_CHANCE"] > allowed) & ~(moves & (joint >= snr)))
    return pd.DataFrame(
        {
            "SOURCE_NUMBER": table.index.to_numpy(np.int64),
            "FILTER": pd.Series([_STEP] * len(table), dtype="str"),
            "MEASURED": joint,
            "LIMIT": np.where(absent, limit / np.sqrt(np.maximum(sums["N_EXPECTED"], 1)), snr),
            "REASON": np.where(absent, _ABSENT_REASON, _UNCONFIRMED_REASON).astype("str"),
            "N_DETECTIONS": table["N_DETECTIONS"].to_numpy(np.int64),
        }
    )[gone.to_numpy()][list(LEDGER_COLUMNS)].reset_index(drop=True)
