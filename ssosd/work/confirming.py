"""Candidates that chance may have made: the exposures without a detection of them confirm or refuse them.

A mover of 5 sigma is detected in four exposures of five and shows its light in the fifth as well, below the
limit of detection; of four pieces of noise in a row nothing is seen there. And a mover has left the places at
which it was detected, while stars that are detected now and then are still there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssosd.grouping import BoolArray
from ssosd.model import STANDING_FLAG
from ssosd.station import Station
from ssosd.work.linking import Candidates
from ssosd.work.recovering import Pixels, evidence_of_stars, light_left, missed_of, with_trails
from ssosd.work.refusing import STEP, hot_pixels, refusals, remaining

_ASKED = 0.03  # chance tracks expected: a source below is not asked about
_MISSABLE_SNR = 10.0  # brighter stars are not missed in exposures as deep
_PLACES = 8  # of a source, at which it is looked


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """What measuring on the pixels left of a sequence."""

    candidates: pd.DataFrame  # with their trails fitted and magnitudes, one row per detection
    ledger: pd.DataFrame  # one row per rejected source, of linking and here
    funnel: tuple[tuple[str, int], ...]  # (step, sources left)
    notes: list[str]  # files that could not be read


def measured(left: Candidates, pixels: Pixels, *, station: Station) -> Measured:
    """Fit the trails of candidates, and with RECOVER leave out those that the pixels do not confirm.

    Without RECOVER what stands at one place of the detector is left out: only pixels tell it from a hot one.

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
    asks = station.config["RECOVER"] and station.config["LINKER"] != "SCAMP"
    standing = every[(every["FLAGS_SSOS"] & STANDING_FLAG) != 0]
    hot = hot_pixels(standing, evidence_of_stars(standing, pixels) if asks and len(standing) else None)
    ledger = pd.concat([left.ledger, hot], ignore_index=True) if len(hot) else left.ledger
    found, notes = with_trails(_without(every, hot), pixels, station=station)
    if not asks:
        return Measured(candidates=found, ledger=ledger, funnel=left.funnel, notes=notes)
    snr = station.config["RECOVER_SNR"]
    asked = found[found["N_CHANCE"] > _ASKED]
    unconfirmed = refusals(asked, missed_of(asked, pixels, station=station), snr=snr)
    kept = _without(found, unconfirmed)
    faint = kept[_places_asked(kept)].reset_index(drop=True)
    at_rest = remaining(kept, light_left(faint, pixels, station=station), snr=snr)
    kept = _without(kept, at_rest)
    return Measured(
        candidates=kept,
        ledger=pd.concat([ledger, unconfirmed, at_rest], ignore_index=True),
        funnel=(*left.funnel, (STEP, int(kept["SOURCE_NUMBER"].nunique()))),
        notes=notes,
    )


def false_expected(found: pd.DataFrame) -> float:
    """How many of the candidates chance has made, at most: each has a part of N_CHANCE in it, of 1 at most.

    Parameters
    ----------
    found : DataFrame
        One row per detection of those that are left: SOURCE_NUMBER, N_CHANCE, missing where SCAMP alone
        linked it.

    Examples
    --------
    >>> rows = {"SOURCE_NUMBER": [1, 1, 2, 3, 4], "N_CHANCE": [0.1, 0.1, 7.0, None, 0.2]}
    >>> round(false_expected(pd.DataFrame(rows)), 6)
    1.3
    """
    return float(found.drop_duplicates("SOURCE_NUMBER")["N_CHANCE"].clip(upper=1.0).sum())


def followed(found: pd.DataFrame) -> list[str]:
    """Say which candidates the telescope seems to have followed; found has CANDIDATE and FLAGS_SSOS."""
    names = found.loc[(found["FLAGS_SSOS"] & STANDING_FLAG) != 0, "CANDIDATE"].unique()
    return [
        f"{name} stands at one place of the detector, with the light of a star: the telescope followed it"
        for name in names
    ]


def _without(found: pd.DataFrame, refused: pd.DataFrame) -> pd.DataFrame:
    return found[~found["SOURCE_NUMBER"].isin(refused["SOURCE_NUMBER"])].reset_index(drop=True)


def _places_asked(found: pd.DataFrame) -> BoolArray:
    """Detections of faint sources at whose places it is looked later on: eight of each, spread over time."""
    of_source = found.groupby("SOURCE_NUMBER")
    step = np.ceil(of_source["SNR_WIN"].transform("size") / _PLACES)
    faint = of_source["SNR_WIN"].transform("median") < _MISSABLE_SNR
    return (faint & (of_source.cumcount() % step == 0)).to_numpy(bool)
