"""How high the Sun stands: 0.01 deg from astropy between 1990 and 2025, without an ephemeris file."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssosd.days import DAY_S
from ssosd.errors import Misconfigured
from ssosd.site import Site, night_of

#: Altitudes of the Sun's centre, degrees: its upper limb on the horizon with 34' of refraction, and the ends
#: of the twilights (definitions of the U.S. Naval Observatory).
SUNRISE = -0.833
CIVIL, NAUTICAL, ASTRONOMICAL = -6.0, -12.0, -18.0

_J2000_MJD = 51544.5
_STEP_DAYS = 1.0 / 1440.0
_WINDOW_DAYS = 26.0 / 24.0
_TOLERANCE_DAYS = 0.1 / DAY_S


def sun_position(mjd_utc: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Apparent right ascension and declination of the Sun, degrees, equator and equinox of date.

    The low-precision formulae of the Astronomical Almanac (page C5): 0.01 deg between 1950 and 2050, a few
    hundredths for some decades more.

    Parameters
    ----------
    mjd_utc : array_like
        UTC MJD; the minute between UTC and TT moves the Sun by less than 0.001 deg.
    """
    n = np.asarray(mjd_utc, dtype=np.float64) - _J2000_MJD
    mean_longitude = 280.460 + 0.9856474 * n
    g = np.radians(357.528 + 0.9856003 * n)
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(g) + 0.020 * np.sin(2.0 * g))
    obliquity = np.radians(23.439 - 0.0000004 * n)
    ra = np.degrees(np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))) % 360.0
    dec = np.degrees(np.arcsin(np.sin(obliquity) * np.sin(ecliptic)))
    return ra, dec


def sidereal_time(mjd_utc: ArrayLike, lon_deg: float) -> NDArray[np.float64]:
    """Local mean sidereal time in degrees, [0, 360), with UT1 taken as UTC (0.004 deg).

    Meeus, Astronomical Algorithms (1998), eq. 12.4 without its secular terms.
    """
    days = np.asarray(mjd_utc, dtype=np.float64) - _J2000_MJD
    return np.asarray((280.46061837 + 360.98564736629 * days + lon_deg) % 360.0)


def sun_altitude_deg(mjd_utc: ArrayLike, site: Site) -> NDArray[np.float64]:
    """Altitude of the Sun's centre above the horizon, degrees, without refraction.

    Parameters
    ----------
    mjd_utc : array_like
        UTC MJD, any shape.
    site : Site
        A place on the ground.

    Returns
    -------
    ndarray
        Of the shape of `mjd_utc`.

    Raises
    ------
    Misconfigured
        The site is geocentric: it has no horizon.
    """
    if site.geocentric:
        raise Misconfigured(
            f"OBSERVATORY_CODE {site.code} has no horizon: the Sun's altitude is unknown",
            next_step="set the code of the observatory",
        )
    ra, dec = sun_position(mjd_utc)
    hour_angle = np.radians(sidereal_time(mjd_utc, site.lon_deg) - ra)
    lat, dec = math.radians(site.lat_deg), np.radians(dec)
    sine = math.sin(lat) * np.sin(dec) + math.cos(lat) * np.cos(dec) * np.cos(hour_angle)
    return np.asarray(np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))


def next_sunrise(mjd_utc: float, site: Site, *, altitude_deg: float = SUNRISE) -> float | None:
    """First moment after another at which the Sun climbs through an altitude, UTC MJD.

    Parameters
    ----------
    mjd_utc : float
        UTC MJD to start from.
    site : Site
        A place on the ground.
    altitude_deg : float
        `SUNRISE`, or the end of a twilight: `CIVIL`, `NAUTICAL`, `ASTRONOMICAL`.

    Returns
    -------
    float or None
        None when it does not happen within 26 hours: polar day or night, or white nights for a twilight.

    Raises
    ------
    Misconfigured
        The site is geocentric.
    """
    times = mjd_utc + np.arange(0.0, _WINDOW_DAYS + _STEP_DAYS, _STEP_DAYS)
    above = sun_altitude_deg(times, site) >= altitude_deg
    rises = np.flatnonzero(~above[:-1] & above[1:])
    if rises.size == 0:
        return None
    low, high = float(times[rises[0]]), float(times[rises[0] + 1])
    while high - low > _TOLERANCE_DAYS:
        middle = (low + high) / 2.0
        if float(sun_altitude_deg(middle, site)) >= altitude_deg:
            high = middle
        else:
            low = middle
    return high


def is_night_over(night: str, mjd_utc: float, site: Site, *, dawn_altitude_deg: float) -> bool:
    """Whether a night has ended: another one has begun, or after midnight the Sun is up.

    Parameters
    ----------
    night : str
        ISO date of the local evening, as `ssosd.site.night_of` gives it.
    mjd_utc : float
        Present time, UTC MJD.
    site : Site
        One without a horizon has nights that end at local noon.
    dawn_altitude_deg : float
        Altitude of the Sun above which the night is over.
    """
    if night != night_of(mjd_utc, site.lon_deg):
        return True
    if site.geocentric:
        return False
    after_midnight = (mjd_utc + site.lon_deg / 360.0) % 1.0 < 0.5
    return after_midnight and float(sun_altitude_deg(mjd_utc, site)) > dawn_altitude_deg
