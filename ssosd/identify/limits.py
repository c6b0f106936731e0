"""How faint a known object may be and still be expected among the detections."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.identify.evidence import Evidence
from ssosd.identify.places import Places

_FAINTEST_SHARE = 0.9  # of the detections brighter than the magnitude taken as the limit
_FEWEST = 3  # known objects that make a zero point
_NO_MAG = 90.0  # SExtractor's 99 stands for none
#: V minus the magnitude in a band, by the MPC's letter: what the MPC adds to observations of minor planets
#: (https://minorplanetcenter.net/iau/info/BandConversion.txt).
_V_MINUS = {"B": -0.8, "V": 0.0, "R": 0.4, "I": 0.8, "g": -0.35, "r": 0.14, "i": 0.32, "G": 0.28}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """How faint an object may be and is still expected."""

    mag: float  # V; NaN when not known
    by: str  # what it rests on, "" when not known
    seeing_arcsec: float = np.nan  # FWHM of the stars it holds for

    def loss(self, rate_arcsec_h: float, exptime_s: float) -> float:
        """How much fainter than a star of the same light an object may be lost, because it is a trail.

        Matched filters of stars lose 1.25 log10(1 + 0.42 x^2) mag on a trail of x FWHM (Jones et al. 2018,
        Icarus 303, 181, section 5.1). 0 where the seeing is not known.

        Parameters
        ----------
        rate_arcsec_h : float
        exptime_s : float

        Examples
        --------
        >>> round(Limit(mag=21.0, by="", seeing_arcsec=2.0).loss(600.0, 120.0), 2)
        2.04
        >>> Limit(mag=21.0, by="").loss(600.0, 120.0)
        0.0
        """
        x = rate_arcsec_h * exptime_s / 3600.0 / self.seeing_arcsec
        return 1.25 * math.log10(1.0 + 0.42 * x**2) if math.isfinite(x) else 0.0


def measured_limit(quality: pd.DataFrame) -> Limit | None:
    """Limit of a sequence from its exposures' own, as photometry measured them.

    Half of them reach it: the median of the magnitude at which half of what is there is detected or, where
    that is not known, of the one with a ratio of 5.

    Parameters
    ----------
    quality : DataFrame
        Columns band, limit_50, limit_5sigma and seeing_arcsec of the table `exposure_quality`.

    Returns
    -------
    Limit or None
        None when no exposure is calibrated, or not in a band that V can be had from.

    Examples
    --------
    >>> measured_limit(pd.DataFrame({"band": ["r", "r"], "limit_50": [20.0, 20.2],
    ...                              "limit_5sigma": [21.0, None], "seeing_arcsec": [2.0, 2.2]}))
    Limit(mag=20.24, by='limit_50 in r', seeing_arcsec=2.1)
    """
    for column in ("limit_50", "limit_5sigma"):
        known = quality[quality["band"].isin(list(_V_MINUS)) & quality[column].notna()]
        if len(known):
            v_mag = known[column].astype(float) + known["band"].map(_V_MINUS)
            bands = ", ".join(sorted(set(known["band"])))
            return Limit(
                mag=round(float(v_mag.median()), 2),
                by=f"{column} in {bands}",
                seeing_arcsec=float(known["seeing_arcsec"].astype(float).median()),
            )
    return None


def limit_from_known(*, v_mag: NDArray[np.float64], places: Places, evidence: Evidence) -> Limit:
    """Estimate the limit from the known objects that were detected, where nothing measured it.

    Their predicted V and instrumental magnitudes give a zero point; the limit is the magnitude that nine of
    ten detections are brighter than. Unknown with fewer than three such objects.

    Parameters
    ----------
    v_mag : ndarray, shape (m,)
        Predicted V.
    places : Places
        Of the same predictions.
    evidence : Evidence
    """
    zero = v_mag - places.mag
    zero = zero[places.detected & places.on_chip & np.isfinite(zero)]
    seen = evidence.mag[np.isfinite(evidence.mag) & (evidence.mag < _NO_MAG)]
    if zero.size < _FEWEST or not seen.size:
        return Limit(mag=np.nan, by="")
    faintest = float(np.quantile(seen.astype(np.float64), _FAINTEST_SHARE) + np.median(zero))
    return Limit(mag=round(faintest, 2), by="known objects")
