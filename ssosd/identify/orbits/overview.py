"""Where every carried orbit is at midnight, in single precision, and how far off that may be in the night."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssosd.identify.orbits import cache as kept
from ssosd.identify.orbits.elements import Orbits
from ssosd.identify.orbits.integrate import BLOCK, Almanac, cross
from ssosd.identify.orbits.kepler import drift
from ssosd.identify.orbits.observe import LIGHT_AU_PER_DAY, magnitude_comet, magnitude_hg, tt_of_utc
from ssosd.identify.orbits.planets import EarthSun
from ssosd.identify.orbits.uncertainty import heliocentric_error_arcsec
from ssosd.site import EARTH_RADIUS_M

Array = NDArray[np.float64]

_HALF_NIGHT = 0.5  # days
_PARALLAX = EARTH_RADIUS_M / 149_597_870_700.0  # radians at 1 AU
_ERROR_REACH = np.radians(900.0 / 3600.0)  # three sigma of an object's uncertainty, but no more than this
_TOO_CLOSE_AU = 0.02  # straight motion over half a night says nothing of these


def overview(
    book: Orbits,
    rows: NDArray[np.intp],
    state: Array,
    fast: NDArray[np.bool_],
    grid_tt: float,
    midnight_utc: float,
    almanac: Almanac,
) -> kept.Arrays:
    """Directions, motions and magnitudes at midnight, as an observer at the Earth's centre sees them."""
    ephemeris, tt = almanac.ephemeris, tt_of_utc(midnight_utc)
    error = heliocentric_error_arcsec(
        runoff=book.runoff[rows],
        first=book.first[rows],
        last=book.last[rows],
        epoch=book.epoch[rows],
        mjd=tt,
        drift=ephemeris.drift_arcsec_per_year,
    )
    n = len(rows)
    sky = np.empty((6, n), dtype=np.float32)
    slack, mag = np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)
    earths = [ephemeris.earth_sun(np.array(tt + days)) for days in (-_HALF_NIGHT, 0.0, _HALF_NIGHT)]
    for kind in (True, False):
        of_kind = np.flatnonzero(fast == kind)
        all_at = state[:, of_kind]
        cross(all_at, grid_tt, tt, almanac, kind)
        for first in range(0, len(of_kind), BLOCK):
            part = of_kind[first : first + BLOCK]
            at = np.ascontiguousarray(all_at[:, first : first + BLOCK])
            before, line, after = (
                _line(drift(at, days), earth)
                for days, earth in zip((-_HALF_NIGHT, 0.0, _HALF_NIGHT), earths, strict=True)
            )
            distance, from_sun = _length(line), _length(at[:3])
            before, now, after = before / _length(before), line / distance, after / _length(after)
            sky[:3, part], sky[3:, part] = now, (after - before) / (2.0 * _HALF_NIGHT)
            bend = 0.65 * _length(after + before - 2.0 * now)  # half is the parabola's, some for the rest
            wide = np.minimum(3.0 * np.radians(error[part] / 3600.0) * from_sun / distance, _ERROR_REACH)
            slack[part] = np.where(distance < _TOO_CLOSE_AU, np.pi, bend + _PARALLAX / distance + wide)
            cosine = np.sum(at[:3] * line, axis=0) / (from_sun * distance)
            of = rows[part]
            seen = {"from_sun": from_sun, "distance": distance}
            mag[part] = np.where(
                book.comet[of],
                magnitude_comet(h=book.h[of], slope=book.g[of], **seen),
                magnitude_hg(h=book.h[of], g=book.g[of], phase=np.degrees(np.arccos(cosine)), **seen),
            )
    return {
        "sky": sky,
        "slack": slack,
        "mag": mag,
        "error": error.astype(np.float32),
    }


def _line(state: Array, at: EarthSun) -> Array:
    """Vector from the Earth's centre to where the object was when its light left, good to an arcsecond."""
    line = state[:3] + (at.sun - at.earth)[:, None]
    return np.asarray(line - state[3:] * (_length(line) / LIGHT_AU_PER_DAY))


def _length(v: Array) -> Array:
    return np.asarray(np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]))
