"""Standard errors of positions along RA and Dec, and whether the known objects bear them out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.model import PIECES_FLAG

_ARCSEC = 3600.0
_FEWEST = 10  # matched detections for a verdict
_TRUSTED = (0.5, 2.0)  # the scatter of residuals over the stated error


@dataclass(frozen=True, kw_only=True)
class PositionErrors:
    """One standard error each, NaN where it is not known."""

    ra: NDArray[np.float64]  # arcsec, with cos Dec
    dec: NDArray[np.float64]  # arcsec
    correlation: NDArray[np.float64]  # of the two, within (-1, 1)


def position_errors(detections: pd.DataFrame, *, scatter_arcsec: float = 0.0) -> PositionErrors:
    """Project the error ellipses on RA and Dec, with the scatter of the astrometric solution.

    Parameters
    ----------
    detections : DataFrame
        ERRA_WORLD, ERRB_WORLD (deg, of the solved positions) and ERRTHETA_WORLD (deg, position angle of the
        first from north to east); FLAGS_SSOS where it is there.
    scatter_arcsec : float
        Added to both in quadrature; 0 where ERRA_WORLD has it already, as SCAMP's has by its
        ASTRACCURACY_KEY.

    Returns
    -------
    PositionErrors
        NaN for rows without a positive finite error, and for a table without these columns; for joined pieces
        of a trail too, whose middle is off by arcseconds where the errors are those of one piece's centre.

    Examples
    --------
    >>> along_ra = {"ERRA_WORLD": [0.2 / 3600], "ERRB_WORLD": [0.1 / 3600], "ERRTHETA_WORLD": [90.0]}
    >>> errors = position_errors(pd.DataFrame(along_ra))
    >>> errors.ra.round(3), errors.dec.round(3)
    (array([0.2]), array([0.1]))
    """
    nothing = np.full(len(detections), np.nan)
    if not {"ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD"} <= set(detections.columns):
        return PositionErrors(ra=nothing, dec=nothing.copy(), correlation=nothing.copy())
    a, b, theta = (
        detections[name].to_numpy(np.float64) for name in ("ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD")
    )
    a, b, angle = a * _ARCSEC, b * _ARCSEC, np.radians(theta)
    good = np.isfinite(a) & np.isfinite(b) & np.isfinite(angle) & (a > 0.0) & (b > 0.0)
    if "FLAGS_SSOS" in detections:
        good &= (detections["FLAGS_SSOS"].to_numpy(np.int64) & PIECES_FLAG) == 0
    a, b, angle = (np.where(good, x, np.nan) for x in (a, b, angle))
    east = (a * np.sin(angle)) ** 2 + (b * np.cos(angle)) ** 2 + scatter_arcsec**2
    north = (a * np.cos(angle)) ** 2 + (b * np.sin(angle)) ** 2 + scatter_arcsec**2
    both = (a**2 - b**2) * np.sin(angle) * np.cos(angle)
    ra, dec = np.sqrt(east), np.sqrt(north)
    return PositionErrors(ra=ra, dec=dec, correlation=both / (ra * dec))


def pull_of_known(detections: pd.DataFrame, errors: PositionErrors) -> float:
    """Scatter of the known objects' residuals over the stated errors, 1 when these are right.

    Each object's mean residual is taken off first: it is the error of its orbit.

    Parameters
    ----------
    detections : DataFrame
        CANDIDATE, MATCHED, SKYBOT_DELTARA, SKYBOT_DELTADEC (arcsec, the first with cos Dec).
    errors : PositionErrors
        Row by row.

    Returns
    -------
    float
        NaN with fewer than ten such detections, of objects with three or more.
    """
    if not {"MATCHED", "SKYBOT_DELTARA", "SKYBOT_DELTADEC"} <= set(detections.columns):
        return np.nan
    matched = detections["MATCHED"].astype("boolean").fillna(value=False).to_numpy(bool)
    table = pd.DataFrame(
        {
            "of": detections["CANDIDATE"].to_numpy(),
            "ra": detections["SKYBOT_DELTARA"].to_numpy(np.float64),
            "dec": detections["SKYBOT_DELTADEC"].to_numpy(np.float64),
            "ra_err": errors.ra,
            "dec_err": errors.dec,
        }
    )[matched].dropna()
    groups = table.groupby("of")
    count = groups["ra"].transform("size")
    pulls = [(table[x] - groups[x].transform("mean")) / table[f"{x}_err"] for x in ("ra", "dec")]
    pulls = [p * np.sqrt(count / (count - 1).clip(lower=1)) for p in pulls]
    values = np.concatenate([p[count >= 3].to_numpy() for p in pulls])
    if len(values) < 2 * _FEWEST:
        return np.nan
    return float(1.4826 * np.median(np.abs(values)))


def trusted(pull: float) -> bool:
    """Whether stated errors may be reported; an unknown pull does not speak against them."""
    return not np.isfinite(pull) or _TRUSTED[0] <= pull <= _TRUSTED[1]
