"""Calibrated magnitudes of candidates from all pixels of their light, and what stars cover of it.

An aperture that SExtractor fits to a faint object has the noise of many pixels of sky, and its size follows
the noise. A profile of known shape at a place that the motion knows has the least noise there is (Naylor
1998, MNRAS 296, 339).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.analysis.forced.recover import BEHIND, LEAST_CLEAR, MEASURED, SHAPED
from ssosd.analysis.forced.tracks import followed_rows
from ssosd.analysis.forced.trails import trail_rows
from ssosd.grouping import BoolArray, FloatArray
from ssosd.model import COVERED_FLAG, PLACED_FLAG, SWALLOWED_FLAG
from ssosd.sphere import ARCSEC_PER_DEG
from ssosd.station import Station
from ssosd.work.recovering import SHAPE_ERROR, Pixels, light_there

SHAPE_FLAG = 256  # in FLAGS_SSOS: MAG_CALIB is of the stars' shape
# Of 438 painted asteroids two have so much more light, of 284 comets with a coma of 1.7 to 5 times the stars'
# FWHM 262.
_MORE, _MORE_SIGMA, _MEASURED = 0.1, 4.0, 3  # mag, its significance, detections
# Of 81 magnitudes of SExtractor's beside 1,504 of the stars' shape 26 were off by more than 0.3 mag.
_ENOUGH = 2  # magnitudes of a source, that those of light which is shared are left out
# By so much stars that cover it pull a place in each coordinate, 1 sigma, on painted nights.
_PULLED_FWHM = 0.15


def with_fitted_light(found: pd.DataFrame, pixels: Pixels, *, station: Station) -> pd.DataFrame:
    """Candidates with calibrated magnitudes of the stars' shape, drawn along their motion, where it fits.

    SExtractor's magnitude stays for all of a source that is brighter in its apertures: a comet's coma is in
    them. Trails that were fitted have theirs already. Where the light is not the object's alone, by its shape
    or by what is known to be there, there is no magnitude, unless the source would be left without any. Where
    stars cover more than half of the light, SExtractor's place is in part theirs. On chips that do not show
    the shape of their stars the magnitudes stay.

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
        cover the light it has `COVERED_FLAG`, and the errors of the place are larger. EXTENDED is by how
        much a source is brighter in its apertures, mag; NaN where that is not certain.
    """
    found = found.assign(EXTENDED=np.nan)
    if not station.config["FIT_MAGS"] or found.empty or not pixels.photometry.calibrations:
        return found
    keys = ["SOURCE_NUMBER", "CATALOG_NUMBER"]
    rows = light_there(found, pixels, station=station).set_index(keys)
    rows = rows.reindex(pd.MultiIndex.from_frame(found[keys]))
    chips = zip(found["CATALOG_NUMBER"].tolist(), found["EXTENSION"].tolist(), strict=True)
    followed = followed_rows(found)  # points, while the stars' shape is a trail's
    shown = np.array([pixels.chips.has_shape(*chip) for chip in chips]) & ~followed
    alike, light = (
        np.where(shown & rows["STATE"].isin(states), rows["MAG_CALIB"].to_numpy(np.float64), np.nan)
        for states in ((MEASURED,), (MEASURED, SHAPED))
    )
    err = np.hypot(rows["MAG_CALIB_ERR"].to_numpy(np.float64), SHAPE_ERROR)
    more = _extended(found, light, err)
    trailed = trail_rows(found)
    own = trailed | np.isfinite(more) | followed  # magnitudes that stay
    mag = np.where(own, np.nan, alike)
    new = np.isfinite(mag) & np.isfinite(err) & found["MAG_CALIB"].notna().to_numpy(bool)  # and has its band
    shared = shown & ~own & rows["STATE"].isin((BEHIND, SHAPED)).to_numpy(bool)
    shared &= pd.Series(new).groupby(found["SOURCE_NUMBER"].to_numpy()).transform("sum").to_numpy() >= _ENOUGH
    given = {"MAG_CALIB": mag, "MAG_CALIB_ERR": err}
    found = found.assign(
        EXTENDED=more,
        **{
            name: np.select([new, shared], [value, np.nan], found[name].to_numpy(np.float64))
            for name, value in given.items()
        },
        FLAGS_SSOS=found["FLAGS_SSOS"].to_numpy(np.int64) | np.where(new, SHAPE_FLAG, 0),
    )
    covered = (rows["STATE"] == BEHIND).to_numpy(bool) & (rows["CLEAR"].to_numpy(np.float64) < LEAST_CLEAR)
    return _covered(found, covered & ~trailed)


def _covered(found: pd.DataFrame, covered: BoolArray) -> pd.DataFrame:
    """Candidates with their flag and larger errors where stars cover their light."""
    flags = found["FLAGS_SSOS"].to_numpy(np.int64)
    pull = _PULLED_FWHM * found["SEEING"].fillna(0.0).to_numpy(np.float64)
    # the errors of some know of it already, or are the motion's
    pull = np.where(covered & ((flags & (SWALLOWED_FLAG | PLACED_FLAG)) == 0), pull, 0.0)
    units = {"ERR_POSITION": 1.0, "ERRA_WORLD": ARCSEC_PER_DEG, "ERRB_WORLD": ARCSEC_PER_DEG}
    errors = {name: np.hypot(found[name], pull / unit) for name, unit in units.items() if name in found}
    return found.assign(FLAGS_SSOS=flags | np.where(covered, COVERED_FLAG, 0), **errors)


def _extended(found: pd.DataFrame, mag: FloatArray, err: FloatArray) -> FloatArray:
    """By how much each row's source is brighter in SExtractor's apertures; NaN where it is like a star."""
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
    certain = (more > _MORE) & (more > _MORE_SIGMA * sigma) & (n >= _MEASURED)
    return found["SOURCE_NUMBER"].map(more[certain]).to_numpy(np.float64)
