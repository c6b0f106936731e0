"""What an observer sees: astrometric places, rates and magnitudes of bodies of known states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import erfa
import numpy as np
from numpy.typing import NDArray

from ssosd.days import DAY_S
from ssosd.identify.orbits.kepler import drift
from ssosd.identify.orbits.planets import EarthSun, Ephemeris
from ssosd.site import EARTH_RADIUS_M, Site
from ssosd.sphere import ARCSEC_PER_DEG, to_radec

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

LIGHT_AU_PER_DAY = 173.144632674  # c, with the AU of IAU 2012
_AU_M = 149_597_870_700.0
_MJD_OF_JD = 2_400_000.5
_TURN_PER_DAY = 2.0 * np.pi * 1.002_737_811_911_354_5  # Earth's rotation, radians (IERS Conventions 2010)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observer:
    """The observer and the Sun at one moment, barycentric, AU and AU/day on ICRS axes."""

    mjd_tt: float
    position: Array  # (3,)
    velocity: Array
    sun: Array
    sun_velocity: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """Astrometric places: with light time, without aberration and deflection. Arrays of shape (n,)."""

    ra: Array  # deg ICRS
    dec: Array
    pm_ra: Array  # arcsec/h, with cos Dec
    pm_dec: Array
    distance: Array  # from the observer, AU
    from_sun: Array  # AU
    phase: Array  # angle Sun - object - observer, deg


def tt_of_utc(mjd_utc: float) -> float:
    """TT MJD of a UTC MJD, by the leap seconds that come with pyerfa."""
    year, month, day, fraction = erfa.jd2cal(_MJD_OF_JD, mjd_utc)
    leap = float(erfa.dat(year, month, day, fraction))
    return mjd_utc + (leap + 32.184) / DAY_S


def observer_at(mjd_utc: float, *, site: Site, ephemeris: Ephemeris) -> Observer:
    """Where a site is.

    UT1 is taken as UTC: they keep within 0.9 s, which moves the observer by 0.42 km at most, 0.0006" at 1 AU
    and 0.06" at 0.01 AU. Polar motion is left out (10 m).

    Parameters
    ----------
    mjd_utc : float
    site : Site
        Its parallax constants are used; all zero for the geocentre.
    ephemeris : Ephemeris
    """
    tt = tt_of_utc(mjd_utc)
    earth_sun: EarthSun = ephemeris.earth_sun(np.array(tt))
    lon = np.radians(site.lon_deg)
    radius = EARTH_RADIUS_M / _AU_M
    fixed = radius * np.array(
        [site.rho_cos_phi * np.cos(lon), site.rho_cos_phi * np.sin(lon), site.rho_sin_phi]
    )
    turning = _TURN_PER_DAY * np.array([-fixed[1], fixed[0], 0.0])
    to_celestial = erfa.c2t06a(_MJD_OF_JD, tt, _MJD_OF_JD, mjd_utc, 0.0, 0.0).T
    return Observer(
        mjd_tt=tt,
        position=earth_sun.earth + to_celestial @ fixed,
        velocity=earth_sun.earth_velocity + to_celestial @ turning,
        sun=earth_sun.sun,
        sun_velocity=earth_sun.sun_velocity,
    )


def see(state: Array, observer: Observer) -> Seen:
    """Astrometric places of objects.

    Parameters
    ----------
    state : ndarray, shape (6, n)
        Heliocentric states at the observer's moment, see `ssosd.identify.orbits.kepler`.
    observer : Observer

    Returns
    -------
    Seen
    """
    here, moving = observer.position[:, None], observer.velocity[:, None]
    sun, sun_moving = observer.sun[:, None], observer.sun_velocity[:, None]
    then = state
    delay = np.zeros(state.shape[1])
    for _ in range(2):  # to 1e-8 of the light time
        line = then[:3] + sun - sun_moving * delay - here
        delay = np.sqrt(_dot(line, line)) / LIGHT_AU_PER_DAY
        then = drift(state, -delay)
    line = then[:3] + sun - sun_moving * delay - here
    distance = np.sqrt(_dot(line, line))
    towards = line / distance
    # d(line)/dt with the moment of emission running slower by the growth of the light time
    relative = then[3:] + sun_moving - moving
    growth = _dot(relative, towards) / LIGHT_AU_PER_DAY
    relative = relative - (then[3:] + sun_moving) * growth
    ra, dec = to_radec(line.T)
    cos_ra, sin_ra, cos_dec, sin_dec = (f(np.radians(x)) for x in (ra, dec) for f in (np.cos, np.sin))
    per_hour = np.degrees(1.0) * ARCSEC_PER_DEG / 24.0 / distance
    from_sun = np.sqrt(_dot(then[:3], then[:3]))
    cosine = _dot(then[:3], towards) / from_sun
    return Seen(
        ra=ra,
        dec=dec,
        pm_ra=(cos_ra * relative[1] - sin_ra * relative[0]) * per_hour,
        pm_dec=(cos_dec * relative[2] - sin_dec * (cos_ra * relative[0] + sin_ra * relative[1])) * per_hour,
        distance=distance,
        from_sun=from_sun,
        phase=np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))),
    )


def magnitude_hg(*, h: Floats, g: Floats, from_sun: Array, distance: Array, phase: Array) -> Array:
    """Visual magnitude of asteroids in the H, G system.

    Bowell et al. 1989, Asteroids II, 524, eqs. A4 and A5 (whose simple phase functions the MPC and JPL use).
    """
    half = np.tan(np.radians(np.minimum(phase, 179.0)) / 2.0)
    light = (1.0 - g) * np.exp(-3.33 * half**0.63) + g * np.exp(-1.87 * half**1.22)
    with np.errstate(divide="ignore"):
        return np.asarray(h + 5.0 * np.log10(from_sun * distance) - 2.5 * np.log10(light))


def magnitude_comet(*, h: Floats, slope: Floats, from_sun: Array, distance: Array) -> Array:
    """Total magnitude of comets: H + 5 log delta + 2.5 K log r (the MPC's convention)."""
    return np.asarray(h + 5.0 * np.log10(distance) + 2.5 * slope * np.log10(from_sun))


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
