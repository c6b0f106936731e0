"""Which orbits are in a circle on the sky: all by one product with kept directions, the few left exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssosd import sphere
from ssosd.identify.orbits.integrate import cross
from ssosd.identify.orbits.observe import Observer, Seen, magnitude_comet, magnitude_hg, observer_at, see
from ssosd.identify.orbits.prepare import TIGHT, Night

Array = NDArray[np.float64]

_ROUNDING = 1e-6  # of the product of two unit vectors in single precision, and some more
_MAG_CHANGE = 1.0  # over half a night, even for what passes close
_SIGMAS = 3.0
_MAX_REACH_ARCSEC = 900.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """Objects in a circle; arrays of shape (n,)."""

    rows: NDArray[np.intp]  # of `Night.orbits`
    seen: Seen
    mag: Array  # predicted V
    error: Array  # one sigma, arcsec


def objects_in_circle(
    night: Night,
    *,
    ra_deg: float,
    dec_deg: float,
    radius_arcsec: float,
    mjd_utc: float,
    limit_mag: float | None = None,
    max_error_arcsec: float = 300.0,
) -> Found:
    """Look for the orbits in a circle at one moment of a night.

    Parameters
    ----------
    night : Night
    ra_deg, dec_deg : float
        Centre, degrees ICRS.
    radius_arcsec : float
        An object is in when it is within this, or within this and three sigma of its own (15' at most).
    mjd_utc : float
        Within half a day of the night's midnight.
    limit_mag : float, optional
        Objects predicted fainter are left out; those of unknown magnitude are not.
    max_error_arcsec : float
        Objects known worse are left out.

    Returns
    -------
    Found
    """
    days = mjd_utc - night.midnight_utc
    few = _candidates(night, ra_deg, dec_deg, np.radians(radius_arcsec / 3600.0), days)
    if limit_mag is not None:
        few = few[~(night.mag[few] > limit_mag + _MAG_CHANGE) | (night.slack[few] >= np.float32(np.pi))]
    observer = observer_at(mjd_utc, site=night.site, ephemeris=night.ephemeris)
    found = exactly(night, few, observer)
    reach = radius_arcsec + np.minimum(_SIGMAS * found.error, _MAX_REACH_ARCSEC)
    inside = sphere.separation_arcsec(ra_deg, dec_deg, found.seen.ra, found.seen.dec) <= reach
    inside &= found.error <= max_error_arcsec
    if limit_mag is not None:
        inside &= ~(found.mag > limit_mag)
    seen = Seen(**{name: getattr(found.seen, name)[inside] for name in Seen.__slots__})
    return Found(rows=found.rows[inside], seen=seen, mag=found.mag[inside], error=found.error[inside])


def exactly(night: Night, few: NDArray[np.intp], observer: Observer) -> Found:
    """Integrate and observe the chosen of the carried orbits."""
    state = np.empty((6, len(few)))
    for kind in (True, False):
        part = np.flatnonzero(night.fast[few] == kind)
        if len(part):
            chosen = night.state[:, few[part]]
            cross(chosen, night.grid_tt, night.midnight_tt, night.almanac, kind)
            cross(chosen, night.midnight_tt, observer.mjd_tt, night.almanac, kind)
            state[:, part] = chosen
    seen = see(state, observer)
    rows = night.rows[few]
    h, g = (np.asarray(x[rows], dtype=np.float64) for x in (night.orbits.h, night.orbits.g))
    mag = np.where(
        night.orbits.comet[rows],
        magnitude_comet(h=h, slope=g, from_sun=seen.from_sun, distance=seen.distance),
        magnitude_hg(h=h, g=g, from_sun=seen.from_sun, distance=seen.distance, phase=seen.phase),
    )
    return Found(rows=rows, seen=seen, mag=mag, error=night.error[few] * seen.from_sun / seen.distance)


def _candidates(night: Night, ra_deg: float, dec_deg: float, radius: float, days: float) -> NDArray[np.intp]:
    """Indices of the carried orbits that may be within `radius` (radians)."""
    centre = sphere.unit_vectors(ra_deg, dec_deg)
    both = np.concatenate([centre, days * centre]).astype(np.float32)
    cosine = np.einsum("i,ij->j", both, night.sky)  # several times faster here than a BLAS of any kind
    near = cosine > np.float32(np.cos(min(radius + TIGHT, np.pi)) - _ROUNDING)
    loose = night.loose
    near[loose] = cosine[loose] > np.cos(np.minimum(radius + night.slack[loose], np.pi)) - _ROUNDING
    return np.flatnonzero(near)
