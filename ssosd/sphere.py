"""Geometry on the celestial sphere: degrees in, degrees or arcseconds out, ICRS, vectorised, RA wrap safe."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ARCSEC_PER_DEG = 3600.0


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Unit vectors of sky positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        Positions in degrees.

    Returns
    -------
    ndarray, shape (n, 3)

    Examples
    --------
    >>> unit_vectors([0.0, 90.0], [0.0, 0.0]).round(12)
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    ra = np.radians(np.asarray(ra_deg, dtype=np.float64))
    dec = np.radians(np.asarray(dec_deg, dtype=np.float64))
    cos_dec = np.cos(dec)
    return np.stack([cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec)], axis=-1)


def to_radec(vectors: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sky positions in degrees, RA in [0, 360), of vectors of shape (..., 3) of any length."""
    v = np.asarray(vectors, dtype=np.float64)
    ra = np.degrees(np.arctan2(v[..., 1], v[..., 0])) % 360.0
    ra = np.where(ra < 360.0, ra, 0.0)  # a hair below 0 is 360 by its remainder
    dec = np.degrees(np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1])))
    return ra, dec


def separation_arcsec(
    ra1_deg: ArrayLike, dec1_deg: ArrayLike, ra2_deg: ArrayLike, dec2_deg: ArrayLike
) -> NDArray[np.float64]:
    """Great-circle distance in arcseconds (haversine: exact for small angles too); broadcasts.

    Examples
    --------
    >>> float(separation_arcsec(359.9999, 80.0, 0.0001, 80.0).round(4))
    0.125
    """
    ra1, dec1, ra2, dec2 = (
        np.radians(np.asarray(x, dtype=np.float64)) for x in (ra1_deg, dec1_deg, ra2_deg, dec2_deg)
    )
    h = np.sin((dec2 - dec1) / 2.0) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2.0) ** 2
    return np.degrees(2.0 * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0)))) * ARCSEC_PER_DEG


def wrap_deg(angle_deg: ArrayLike) -> NDArray[np.float64]:
    """Angles brought to [-180, 180): the right difference of two right ascensions.

    >>> float(wrap_deg(0.1 - 359.9).round(6))
    0.2
    """
    return (np.asarray(angle_deg, dtype=np.float64) + 180.0) % 360.0 - 180.0


def offsets_arcsec(
    ra_deg: ArrayLike, dec_deg: ArrayLike, ra0_deg: ArrayLike, dec0_deg: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gnomonic (TAN) standard coordinates in arcseconds, xi to the east, eta to the north; broadcasts.

    Straight lines on the tangent plane are great circles, so an object on a great circle at uniform
    speed moves along a straight line here (Smart, Textbook on Spherical Astronomy, 1977, ch. XII).
    Positions 90 deg or more from the tangent point give NaN.
    """
    ra, dec, ra0, dec0 = (
        np.radians(np.asarray(x, dtype=np.float64)) for x in (ra_deg, dec_deg, ra0_deg, dec0_deg)
    )
    d_ra = ra - ra0
    cos_c = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(d_ra)
    cos_c = np.where(cos_c > 0.0, cos_c, np.nan)
    xi = np.cos(dec) * np.sin(d_ra) / cos_c
    # cos(a) written as 1 - 2 sin^2(a/2): small fields near the pole keep their last digits
    eta = (np.sin(dec - dec0) + 2.0 * np.sin(dec0) * np.cos(dec) * np.sin(d_ra / 2.0) ** 2) / cos_c
    factor = np.degrees(1.0) * ARCSEC_PER_DEG
    return xi * factor, eta * factor


def from_offsets_arcsec(
    xi: ArrayLike, eta: ArrayLike, ra0_deg: float, dec0_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RA and Dec in degrees of places on the tangent plane, arcsec: the inverse of `offsets_arcsec`.

    >>> xi, eta = offsets_arcsec(0.1, 89.5, 359.0, 89.0)
    >>> [round(float(x), 9) for x in from_offsets_arcsec(xi, eta, 359.0, 89.0)]
    [0.1, 89.5]
    """
    factor = np.radians(1.0 / ARCSEC_PER_DEG)
    x, y = (np.asarray(v, dtype=np.float64)[..., None] * factor for v in (xi, eta))
    ra, dec = np.radians(ra0_deg), np.radians(dec0_deg)
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    return to_radec(unit_vectors(ra0_deg, dec0_deg) + x * east + y * north)


def mean_position(ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[float, float]:
    """Centre of positions (normalised mean of unit vectors) in degrees, safe at RA 0 and the poles."""
    ra, dec = to_radec(unit_vectors(ra_deg, dec_deg).reshape(-1, 3).mean(axis=0))
    return float(ra), float(dec)
