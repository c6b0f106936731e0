"""The rule of linear motion: R^2 against epoch in RA and Dec, or in ecliptic axes when Dec alone fails."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssosd import motion
from ssosd.grouping import FloatArray, Grouping

COORDINATES = ("RA", "Dec", "ecliptic longitude", "ecliptic latitude")
PASSED = -1  # code of a group that moves linearly
TOO_FEW = len(COORDINATES)  # code of a group that has no two different epochs


def worst_r_squared(
    grouping: Grouping, *, t: FloatArray, ra: FloatArray, dec: FloatArray, sigma: FloatArray, r_squ_m: float
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Judge the linearity of each group's motion.

    R^2 of the weighted linear fit (`motion.weighted_line_fit`) must be at least `r_squ_m` in RA and in Dec.
    Where it is in RA but not in Dec, as for an object whose Dec hardly changes, R^2 in ecliptic longitude and
    in ecliptic latitude must both be at least `r_squ_m` instead. (The seed's documentation says "constant
    apparent motion in declination" without a measure of it; run on painted movers it falls back whenever RA
    passes and Dec does not, and never the other way round.)

    The fits are done on the tangent plane at the group's mean position, where a great circle is straight at
    any declination: RA is the coordinate to the east with cos Dec, longitude and latitude are the same
    plane turned to the ecliptic's north. Weights are ``1 / sigma^2``.

    Parameters
    ----------
    grouping : Grouping
    t : ndarray of float, shape (n_rows,)
        Epochs in any unit; all arrays are sorted rows of finite values.
    ra, dec : ndarray of float, shape (n_rows,)
        Degrees ICRS.
    sigma : ndarray of float, shape (n_rows,)
        Position errors, arcsec, positive.
    r_squ_m : float
        Smallest R^2 allowed.

    Returns
    -------
    r2 : ndarray of float, shape (n_groups,)
        The smaller R^2 of the pair of coordinates that decided; NaN without two different epochs.
    code : ndarray of int, shape (n_groups,)
        The coordinate of that R^2 (index into `COORDINATES`) if it is too small, `PASSED` or `TOO_FEW`.
    """
    plane = motion.tangent_plane(grouping, ra=ra, dec=dec)
    r2 = np.full((len(COORDINATES), grouping.n_groups), np.inf)
    r2[0] = motion.weighted_line_fit(grouping, t=t, y=plane.xi, sigma=sigma).r2
    r2[1] = motion.weighted_line_fit(grouping, t=t, y=plane.eta, sigma=sigma).r2

    turned = (r2[0] >= r_squ_m) & (r2[1] < r_squ_m)
    rows = np.repeat(turned, grouping.counts)
    group = grouping.select(turned)
    angle = motion.ecliptic_angle(plane.ra0[turned], plane.dec0[turned])[group.labels]
    longitude, latitude = motion.rotate(plane.xi[rows], plane.eta[rows], angle)
    r2[:2, turned] = np.inf
    r2[2, turned] = motion.weighted_line_fit(group, t=t[rows], y=longitude, sigma=sigma[rows]).r2
    r2[3, turned] = motion.weighted_line_fit(group, t=t[rows], y=latitude, sigma=sigma[rows]).r2

    code = np.argmin(r2, axis=0)  # NaN, no fit possible, comes first
    worst = r2[code, np.arange(grouping.n_groups)]
    code = np.where(worst >= r_squ_m, PASSED, code)
    return worst, np.where(np.isnan(worst), TOO_FEW, code)
