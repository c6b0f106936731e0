"""How likely a candidate is a near-Earth object: the MPC's digest2 score of its short arc.

digest2 (Keys et al. 2019, PASP 131, 064501) ranges over the orbits that the first and the last position
allow and weighs them with a model of the population. Its "no-id" NEO score, 0 to 100, supposes that the known
objects of the population have been told apart; the MPC posts objects with 65 and more on its NEO confirmation
page.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ssosd.model import PLACED_FLAG
from ssosd.site import Site

if TYPE_CHECKING:
    from digest2 import Digest2

NEO_SCORE = "NEO_SCORE"
NEO_LIMIT = 65.0  # of the MPC's NEO confirmation page
#: V minus the magnitude in a band, for the colours of an asteroid: as digest2 itself takes the MPC's letters.
TO_V: Mapping[str, float] = {
    "V": 0.0,
    "B": -0.8,
    "g": -0.28,
    "r": 0.23,
    "R": 0.4,
    "i": 0.39,
    "z": 0.37,
    "I": 0.8,
    "G": 0.24,
    "w": -0.16,
    "y": 0.36,
}
_WORK_CODE = "XXX"  # of a place that has no code of the MPC's
_KEPT = 20_000  # scores that are remembered: candidates are compared with the known objects again
_LOCK = threading.Lock()  # digest2 keeps its set-up in one place for all threads


def with_neo_scores(detections: pd.DataFrame, *, site: Site) -> pd.DataFrame:
    """Give each candidate that is not certainly a known object its score, from what was measured of it.

    Parameters
    ----------
    detections : DataFrame
        As for `neo_scores`, with MATCHED and FLAGS_SSOS.
    site : Site

    Returns
    -------
    DataFrame
        The same rows with NEO_SCORE, NaN where there is none.
    """
    if detections.empty:
        return detections
    known = detections["MATCHED"].to_numpy(bool)
    placed = (detections["FLAGS_SSOS"].to_numpy(np.int64) & PLACED_FLAG) != 0
    scores = neo_scores(detections[~known & ~placed], site=site)
    return detections.assign(**{NEO_SCORE: detections["CANDIDATE"].map(scores).astype(np.float64)})


def neo_scores(detections: pd.DataFrame, *, site: Site) -> dict[Any, float]:
    """Score each candidate.

    Parameters
    ----------
    detections : DataFrame
        CANDIDATE, MID_EXPOSURE_MJD (UTC, d), RA, DEC (deg ICRS); MAG_CALIB, BAND and ERR_POSITION (arcsec)
        where they are there. Without a calibrated magnitude the arc alone is scored.
    site : Site
        Of all of them.

    Returns
    -------
    dict
        Score 0 to 100 by CANDIDATE; those with fewer than two positions at different times, or whose
        positions fit no bound orbit, are left out.
    """
    code = site.code if len(site.code) == 3 else _WORK_CODE
    place = (code, site.lon_deg, site.rho_cos_phi, site.rho_sin_phi)
    ordered = detections.sort_values(["CANDIDATE", "MID_EXPOSURE_MJD"], kind="stable")
    scores = {}
    for candidate, rows in ordered.groupby("CANDIDATE", sort=True):
        own = rows.drop_duplicates("MID_EXPOSURE_MJD")
        columns = (own["MID_EXPOSURE_MJD"], own["RA"], own["DEC"], _v_magnitudes(own), _errors(own))
        arc = tuple(zip(*(np.asarray(c, dtype=float).tolist() for c in columns), strict=True))
        score = _score(arc, place) if len(arc) > 1 else None
        if score is not None:
            scores[candidate] = score
    return scores


@lru_cache(maxsize=_KEPT)
def _score(arc: tuple[tuple[float, ...], ...], place: tuple[str, float, float, float]) -> float | None:
    """Score an arc of (MJD, RA, Dec, V, error); None where no orbit passes through it."""
    from digest2 import Observation

    observations = [
        Observation(mjd=t, ra=ra, dec=dec, mag=mag, obscode=place[0], rms_ra=error, rms_dec=error)
        for t, ra, dec, mag, error in arc
    ]
    with _LOCK:
        try:
            result = _digest2(*place).classify_tracklet(observations, classes=["NEO"], is_ades=True)
        except RuntimeError:  # no orbit passes through these positions
            return None
    return float(result.noid.NEO)


def _v_magnitudes(rows: pd.DataFrame) -> np.ndarray:
    """V of each row, 0 (digest2's word for none) where it is not known; the median of the source for all."""
    if not {"MAG_CALIB", "BAND"} <= set(rows.columns):
        return np.zeros(len(rows))
    v = rows["MAG_CALIB"].to_numpy(np.float64) + rows["BAND"].map(TO_V).to_numpy(np.float64)
    known = v[np.isfinite(v)]
    return np.full(len(rows), float(np.median(known)) if known.size else 0.0)


def _errors(rows: pd.DataFrame) -> np.ndarray:
    """Errors of the positions, arcsec, 0 (digest2's own for the observatory) where they are not known."""
    if "ERR_POSITION" not in rows:
        return np.zeros(len(rows))
    return np.nan_to_num(rows["ERR_POSITION"].to_numpy(np.float64))


@lru_cache(maxsize=1)
def _digest2(code: str, lon_deg: float, rho_cos_phi: float, rho_sin_phi: float) -> Digest2:
    """The engine with its model of the population, and the one observatory that is asked for."""
    from digest2 import Digest2

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digest2.obscodes"
        line = f"{code} {lon_deg % 360.0:9.5f} {rho_cos_phi:8.6f}{rho_sin_phi:+9.6f} observatory\n"
        path.write_text(f"Code  Long.   cos      sin    Name\n{line}", encoding="ascii")
        return Digest2(obscodes_path=str(path), repeatable=True)
