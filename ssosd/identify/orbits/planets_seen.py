"""The major planets as known objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssosd.identify.orbits.observe import Observer, Seen, see
from ssosd.identify.orbits.planets import NAMES, Ephemeris

Array = NDArray[np.float64]

PLANETS = tuple(name for name in NAMES if name != "Earth-Moon")
_INDEX = [NAMES.index(name) for name in PLANETS]

#: V at 1 AU from Sun and observer and its polynomial in the phase angle, degrees (Meeus, Astronomical
#: Algorithms, 1998, ch. 41, after the Astronomical Almanac of 1984; Saturn without its rings).
_MAGNITUDES = (
    (-0.42, 0.0380, -0.000273, 0.000002),
    (-4.40, 0.0009, 0.000239, -0.00000065),
    (-1.52, 0.016),
    (-9.40, 0.005),
    (-8.88,),
    (-7.19,),
    (-6.87,),
)
_STEP = 0.01  # days, for velocities


def planets_seen(observer: Observer, ephemeris: Ephemeris) -> tuple[Seen, Array, Array]:
    """Places, V and one-sigma errors (arcsec) of `PLANETS`, arrays of shape (7,)."""
    t = observer.mjd_tt
    before, now, after = ephemeris.heliocentric(np.array([t - _STEP, t, t + _STEP]))[:, _INDEX]
    seen = see(np.concatenate([now.T, (after - before).T / (2.0 * _STEP)]), observer)
    phase = [np.polynomial.polynomial.polyval(x, c) for x, c in zip(seen.phase, _MAGNITUDES, strict=True)]
    mag = np.array(phase) + 5.0 * np.log10(seen.from_sun * seen.distance)
    error = np.array([ephemeris.planet_errors_arcsec[i] for i in _INDEX]) * seen.from_sun / seen.distance
    return seen, mag, error
