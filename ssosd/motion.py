"""Lines fitted to all groups of detections at once: rates, errors and R^2, right anywhere on the sphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssosd import sphere
from ssosd.grouping import FloatArray, Grouping, IntArray

HOURS_PER_DAY = 24.0

# Mean obliquity of the ecliptic at J2000, arcsec: 84381.406 (IAU 2006, Capitaine et al. 2003, A&A 412, 567).
OBLIQUITY_RAD = float(np.radians(84381.406 / 3600.0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LineFit:
    """Weighted straight lines ``y = value + slope * (t - t_mean)``, one per group: shape (n_groups,) each.

    All but `n` are NaN for a group with fewer than two different usable times.
    """

    slope: FloatArray  # unit of y per unit of t
    value: FloatArray  # y at t_mean; not correlated with the slope
    t_mean: FloatArray  # weighted mean of t
    slope_err: FloatArray  # formal 1-sigma error from the sigmas given
    value_err: FloatArray  # formal 1-sigma error
    chi2: FloatArray  # sum of ((y - line) / sigma)^2, of n - 2 degrees of freedom
    r2: FloatArray  # weighted R^2, 0 to 1; 0 where y is exactly constant
    n: IntArray  # usable points


def usable_errors(grouping: Grouping, sigma: FloatArray) -> FloatArray:
    """Errors with which a weighted fit can work.

    A missing, zero, negative or infinite error is replaced by the largest good one of its group (a point of
    unknown error counts no more than the worst of its companions), or by 1 if the group has none.
    """
    good = np.isfinite(sigma) & (sigma > 0.0)
    if good.all():
        return sigma
    worst = grouping.max(np.where(good, sigma, np.nan))
    return np.where(good, sigma, np.nan_to_num(worst, nan=1.0)[grouping.labels])


def weighted_line_fit(grouping: Grouping, *, t: FloatArray, y: FloatArray, sigma: FloatArray) -> LineFit:
    """Fit a line to each group by weighted least squares (weights ``1 / sigma^2``).

    The weighted R^2 is ``1 - sum(w (y - line)^2) / sum(w (y - ybar)^2)`` with ``ybar`` the weighted mean: the
    share of the weighted variance that the line explains; for equal sigmas Pearson's correlation squared.
    Where y is exactly constant there is nothing to explain: R^2 is 0 by definition here.

    Parameters
    ----------
    grouping : Grouping
    t, y, sigma : ndarray of float, shape (n_rows,)
        Sorted rows. Rows with a non-finite t or y are left out; for bad sigmas see `usable_errors`.

    Returns
    -------
    LineFit

    Notes
    -----
    Formulae: Press et al., Numerical Recipes (3rd ed. 2007), eqs. 15.2.4 to 15.2.9, in centred form.

    Examples
    --------
    >>> groups = Grouping.of([1, 1, 1], [0.0, 1.0, 2.0])
    >>> fit = weighted_line_fit(groups, t=np.array([0.0, 1, 2]), y=np.array([1.0, 3, 5]), sigma=np.ones(3))
    >>> float(fit.slope[0]), float(fit.value[0]), float(fit.r2[0])
    (2.0, 3.0, 1.0)
    """
    labels = grouping.labels
    usable = np.isfinite(t) & np.isfinite(y)
    n = np.bincount(labels[usable], minlength=grouping.n_groups)
    errors = usable_errors(grouping, np.where(usable, sigma, np.nan))
    smallest = grouping.min(errors)
    w = np.where(
        usable, (smallest[labels] / errors) ** 2, 0.0
    )  # largest weight 1: no overflow, no underflow of all

    with np.errstate(divide="ignore", invalid="ignore"):
        sum_w = grouping.sum(w)
        first_t = grouping.min(np.where(usable, t, np.nan))
        first_y = grouping.min(np.where(usable, y, np.nan))
        t_rel = np.where(usable, t - first_t[labels], 0.0)
        y_rel = np.where(usable, y - first_y[labels], 0.0)
        t_mean = grouping.sum(w * t_rel) / sum_w
        y_mean = grouping.sum(w * y_rel) / sum_w
        dt = np.where(usable, t_rel - t_mean[labels], 0.0)
        dy = np.where(usable, y_rel - y_mean[labels], 0.0)
        sxx = grouping.sum(w * dt * dt)
        syy = grouping.sum(w * dy * dy)
        sxx = np.where((grouping.max(t_rel) > 0.0) & (sxx > 0.0), sxx, np.nan)
        slope = grouping.sum(w * dt * dy) / sxx
        ssr = grouping.sum(w * (dy - slope[labels] * dt) ** 2)
        constant = grouping.max(y_rel) <= 0.0
        r2 = np.where(constant, 0.0, np.clip(1.0 - ssr / syy, 0.0, 1.0))
        undefined = np.isnan(slope)
        return LineFit(
            slope=slope,
            value=np.where(undefined, np.nan, first_y + y_mean),
            t_mean=np.where(undefined, np.nan, first_t + t_mean),
            slope_err=smallest / np.sqrt(sxx),
            value_err=np.where(undefined, np.nan, smallest / np.sqrt(sum_w)),
            chi2=ssr / smallest**2,
            r2=np.where(undefined, np.nan, r2),
            n=n,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TangentPlane:
    """Positions as standard coordinates about each group's own centre."""

    xi: FloatArray  # arcsec to the east, shape (n_rows,), sorted rows
    eta: FloatArray  # arcsec to the north, shape (n_rows,)
    ra0: FloatArray  # deg ICRS, tangent point, shape (n_groups,)
    dec0: FloatArray  # deg ICRS, tangent point, shape (n_groups,)


def tangent_plane(grouping: Grouping, *, ra: FloatArray, dec: FloatArray) -> TangentPlane:
    """Project each group on the tangent plane at its mean position.

    Motion on a great circle is a straight line there, at any declination and across RA 0, and the rates
    are arcsec on the sky (cos Dec is in xi). Non-finite positions give NaN and do not move the centre.

    Parameters
    ----------
    grouping : Grouping
    ra, dec : ndarray of float, shape (n_rows,)
        Degrees ICRS, sorted rows.

    Examples
    --------
    >>> groups = Grouping.of([1, 1], [0.0, 1.0])
    >>> plane = tangent_plane(groups, ra=np.array([359.9999, 0.0001]), dec=np.array([60.0, 60.0]))
    >>> plane.xi.round(4).tolist()
    [-0.18, 0.18]
    """
    finite = np.isfinite(ra) & np.isfinite(dec)
    vectors = sphere.unit_vectors(np.where(finite, ra, 0.0), np.where(finite, dec, 0.0))
    centre = np.stack([grouping.sum(np.where(finite, vectors[:, i], 0.0)) for i in range(3)], axis=-1)
    ra0, dec0 = sphere.to_radec(centre)
    labels = grouping.labels
    xi, eta = sphere.offsets_arcsec(
        np.where(finite, ra, np.nan), np.where(finite, dec, np.nan), ra0[labels], dec0[labels]
    )
    return TangentPlane(xi=xi, eta=eta, ra0=ra0, dec0=dec0)


def ecliptic_angle(ra0: FloatArray, dec0: FloatArray) -> FloatArray:
    """Position angle (radians, north through east) of the ecliptic's north at positions in degrees ICRS.

    The ecliptic is that of J2000, its pole taken as (0, -sin eps, cos eps) in ICRS axes; the frame bias of
    ICRS (0.02") is left out.

    Examples
    --------
    >>> float(np.degrees(ecliptic_angle(np.array([0.0]), np.array([0.0])))[0].round(4))  # RA 0: the obliquity
    -23.4393
    """
    ra, dec = np.radians(ra0), np.radians(dec0)
    sin_eps, cos_eps = np.sin(OBLIQUITY_RAD), np.cos(OBLIQUITY_RAD)
    east = -np.cos(ra) * sin_eps
    north = np.sin(ra) * np.sin(dec) * sin_eps + np.cos(dec) * cos_eps
    return np.arctan2(east, north)


def rotate(xi: FloatArray, eta: FloatArray, angle: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Tangent-plane coordinates along axes whose north points to position angle `angle` (radians).

    >>> [float(v.round(12)) for v in rotate(np.array(1.0), np.array(0.0), np.array(np.pi / 2))]
    [0.0, 1.0]
    """
    cos, sin = np.cos(angle), np.sin(angle)
    return xi * cos - eta * sin, xi * sin + eta * cos


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rates:
    """Uniform motion of each group on its tangent plane; arrays of shape (n_groups,)."""

    pm: FloatArray  # arcsec/h, total
    pm_err: FloatArray  # arcsec/h
    pmra: FloatArray  # arcsec/h, with cos Dec
    pmra_err: FloatArray  # arcsec/h
    pmdec: FloatArray  # arcsec/h
    pmdec_err: FloatArray  # arcsec/h
    position_angle: FloatArray  # deg, north through east, [0, 360)
    chi2: FloatArray  # of both coordinates together, 2 n - 4 degrees of freedom
    n: IntArray  # usable detections


def rates(
    grouping: Grouping, *, t_mjd: FloatArray, ra: FloatArray, dec: FloatArray, sigma_arcsec: FloatArray
) -> Rates:
    """Apparent rates of all groups from their positions.

    Parameters
    ----------
    grouping : Grouping
    t_mjd : ndarray of float, shape (n_rows,)
        UTC MJD of mid-exposure, sorted rows.
    ra, dec : ndarray of float, shape (n_rows,)
        Degrees ICRS.
    sigma_arcsec : ndarray of float, shape (n_rows,)
        1-sigma error of a position in each coordinate, arcsec.

    Returns
    -------
    Rates
        NaN for a group with fewer than two different usable times. The error of `pm` is that of the
        component along the motion, ``hypot(pmra pmra_err, pmdec pmdec_err) / pm``.
    """
    plane = tangent_plane(grouping, ra=ra, dec=dec)
    finite = np.isfinite(plane.xi) & np.isfinite(plane.eta)
    time = np.where(finite, t_mjd, np.nan)
    east = weighted_line_fit(grouping, t=time, y=plane.xi, sigma=sigma_arcsec)
    north = weighted_line_fit(grouping, t=time, y=plane.eta, sigma=sigma_arcsec)
    pmra, pmra_err = east.slope / HOURS_PER_DAY, east.slope_err / HOURS_PER_DAY
    pmdec, pmdec_err = north.slope / HOURS_PER_DAY, north.slope_err / HOURS_PER_DAY
    pm = np.hypot(pmra, pmdec)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.hypot(pmra * pmra_err, pmdec * pmdec_err) / pm
    return Rates(
        pm=pm,
        pm_err=np.where(pm > 0.0, along, np.hypot(pmra_err, pmdec_err) / np.sqrt(2.0)),
        pmra=pmra,
        pmra_err=pmra_err,
        pmdec=pmdec,
        pmdec_err=pmdec_err,
        position_angle=np.degrees(np.arctan2(pmra, pmdec)) % 360.0,
        chi2=east.chi2 + north.chi2,
        n=east.n,
    )
