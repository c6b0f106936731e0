"""Calibrated magnitudes of candidates from all pixels of their light, and what stars cover of it.

An aperture that SExtractor fits to a faint object has the noise of many pixels of sky, and its size follows
the noise. A profile of known shape at a place that the motion knows has the least noise there is (Naylor
1998, MNRAS 296, 339).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.analysis.forced.recover import BEHIND, LEAST_CLEAR, MEASURED
from ssosd.analysis.forced.trails import trail_rows
from ssosd.grouping import BoolArray, FloatArray
from ssosd.model import COVERED_FLAG, PLACED_FLAG, SWALLOWED_FLAG
from ssosd.sphere import ARCSEC_PER_DEG
from ssosd.station import Station
from ssosd.work.recovering import SHAPE_ERROR, Pixels, light_there

SHAPE_FLAG = 256  # in FLAGS_SSOS: MAG_CALIB is of the stars' shape
_EXTENDED, _EXTENDED_SIGMA = 0.1, 4.0  # mag by which a source is brighter in SExtractor's apertures
_PULLED_FWHM = (
    0.15  # by so much stars that cover it pull a place in each coordinate, 1 sigma, on painted nights
)


def with_fitted_light(found: pd.DataFrame, pixels: Pixels, *, station: Station) -> pd.DataFrame:
    """Candidates with calibrated magnitudes of the stars' shape, drawn along their motion, where it fits.

    SExtractor's magnitude stays where the light there is not the object's alone or has another shape, and for
    all of a source that is brighter in its apertures: a comet's coma is in them. Trails that were fitted have
    theirs already. Where stars cover more than half of the light, SExtractor's place is in part theirs.

    Parameters
    ----------
    found : DataFrame
        One row per detection, as `ssosd.work.confirming.measured` leaves them.
    pixels : Pixels
    station : Station

    Returns
    -------
    DataFrame
        Of the same rows; where MAG_CALIB and MAG_CALIB_ERR are new FLAGS_SSOS has `SHAPE_FLAG`. Where stars
        cover the light it has `COVERED_FLAG`, and the errors of the place are larger.
    """
    if not station.config["FIT_MAGS"] or found.empty or not pixels.photometry.calibrations:
        return found
    keys = ["SOURCE_NUMBER", "CATALOG_NUMBER"]
    rows = light_there(found, pixels, station=station).set_index(keys)
    rows = rows.reindex(pd.MultiIndex.from_frame(found[keys]))
    fitted = np.where(
        (rows["STATE"] == MEASURED).to_numpy(bool), rows["MAG_CALIB"].to_numpy(np.float64), np.nan
    )
    err = np.hypot(rows["MAG_CALIB_ERR"].to_numpy(np.float64), SHAPE_ERROR)
    mag = np.where(trail_rows(found) | _extended(found, fitted, err), np.nan, fitted)
    new = np.isfinite(mag) & np.isfinite(err) & found["MAG_CALIB"].notna().to_numpy(bool)  # and has its band
    found = found.assign(
        MAG_CALIB=np.where(new, mag, found["MAG_CALIB"].to_numpy(np.float64)),
        MAG_CALIB_ERR=np.where(new, err, found["MAG_CALIB_ERR"].to_numpy(np.float64)),
        FLAGS_SSOS=found["FLAGS_SSOS"].to_numpy(np.int64) | np.where(new, SHAPE_FLAG, 0),
    )
    covered = (rows["STATE"] == BEHIND).to_numpy(bool) & (rows["CLEAR"].to_numpy(np.float64) < LEAST_CLEAR)
    return _covered(found, covered & ~trail_rows(found))


def _covered(found: pd.DataFrame, covered: BoolArray) -> pd.DataFrame:
    """Candidates with their flag and larger errors where stars cover their light."""
    flags = found["FLAGS_SSOS"].to_numpy(np.int64)
    pull = _PULLED_FWHM * found["SEEING"].fillna(0.0).to_numpy(np.float64)
    pulled = covered & (
        (flags & (SWALLOWED_FLAG | PLACED_FLAG)) == 0
    )  # those know of it, or are the motion's
    pull = np.where(pulled, pull, 0.0)
    units = {"ERR_POSITION": 1.0, "ERRA_WORLD": ARCSEC_PER_DEG, "ERRB_WORLD": ARCSEC_PER_DEG}
    errors = {name: np.hypot(found[name], pull / unit) for name, unit in units.items() if name in found}
    return found.assign(FLAGS_SSOS=flags | np.where(covered, COVERED_FLAG, 0), **errors)


def _extended(found: pd.DataFrame, mag: FloatArray, err: FloatArray) -> BoolArray:
    """Rows of sources with more light in SExtractor's apertures than the stars' shape finds."""
    table = pd.DataFrame(
        {
            "SOURCE": found["SOURCE_NUMBER"].to_numpy(),
            "MORE": mag - found["MAG_CALIB"].to_numpy(np.float64),
            "VARIANCE": err**2 + found["MAG_CALIB_ERR"].to_numpy(np.float64) ** 2,
        }
    ).dropna()
    of_source = table.groupby("SOURCE")
    more, n = of_source["MORE"].median(), of_source.size()
    sigma = np.sqrt(of_source["VARIANCE"].sum()) / n
    extended = more.index[(more > _EXTENDED) & (more > _EXTENDED_SIGMA * sigma)]
    return found["SOURCE_NUMBER"].isin(extended).to_numpy(bool)
