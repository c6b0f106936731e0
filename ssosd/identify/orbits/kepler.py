"""Two-body motion about the Sun, vectorised: elements to states, and states drifted along their conics.

States are arrays of shape (6, n): heliocentric position (AU) and velocity (AU/day), equatorial axes of J2000
(ICRS to 0.02"). The universal variable formulation of Danby, Fundamentals of Celestial Mechanics (1988),
sections 6.9 and 6.6 (Laguerre-Conway), covers ellipses, parabolas and hyperbolas alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Sun's gravitational parameter, AU^3/day^2: the square of the Gaussian constant, which MPC and JPL use for
#: elements (DE440's own differs by 5e-12).
GM_SUN = 0.01720209895**2
#: Obliquity of the ecliptic of J2000 of the MPC's and JPL's elements (IAU 1976), radians.
OBLIQUITY = np.radians(84381.448 / 3600.0)

_SERIES_LIMIT = 0.5  # |beta s^2| up to which the series below are exact to the last bit
_MAX_FAST = 6


def states_from_mean_anomaly(
    *, a: ArrayLike, e: ArrayLike, incl: ArrayLike, node: ArrayLike, peri: ArrayLike, mean_anomaly: ArrayLike
) -> Array:
    """States of elliptic orbits at the epoch of their elements.

    Parameters
    ----------
    a : array_like, shape (n,)
        Semi-major axes, AU.
    e : array_like, shape (n,)
        Eccentricities, [0, 1).
    incl, node, peri, mean_anomaly : array_like, shape (n,)
        Inclination, longitude of the node, argument of perihelion, mean anomaly; degrees, ecliptic of J2000.

    Returns
    -------
    ndarray, shape (6, n)
    """
    a, e = np.asarray(a, dtype=np.float64), np.asarray(e, dtype=np.float64)
    anomaly = _eccentric_anomaly(np.radians(np.asarray(mean_anomaly, dtype=np.float64)), e)
    cos_e, sin_e = np.cos(anomaly), np.sin(anomaly)
    root = np.sqrt((1.0 - e) * (1.0 + e))
    speed = np.sqrt(GM_SUN / a) / (1.0 - e * cos_e)
    x, y = a * (cos_e - e), a * root * sin_e
    return _in_space(x, y, -speed * sin_e, speed * root * cos_e, incl=incl, node=node, peri=peri)


def states_from_perihelion(
    *, q: ArrayLike, e: ArrayLike, incl: ArrayLike, node: ArrayLike, peri: ArrayLike, days: ArrayLike
) -> Array:
    """States `days` after the perihelion of orbits of any eccentricity, as comets' elements need it.

    Parameters
    ----------
    q : array_like, shape (n,)
        Perihelion distances, AU; the rest as for `states_from_mean_anomaly`.

    Returns
    -------
    ndarray, shape (6, n)
    """
    q, e = np.asarray(q, dtype=np.float64), np.asarray(e, dtype=np.float64)
    nought = np.zeros_like(q)
    start = _in_space(q, nought, nought, np.sqrt(GM_SUN * (1.0 + e) / q), incl=incl, node=node, peri=peri)
    return _drift_any(start, np.broadcast_to(np.asarray(days, dtype=np.float64), q.shape))


def drift(state: Array, days: ArrayLike) -> Array:
    """Move states along their conics.

    Parameters
    ----------
    state : ndarray, shape (6, n)
    days : array_like
        A scalar or of shape (n,), of either sign.

    Returns
    -------
    ndarray, shape (6, n)
        A new array.
    """
    dt = np.asarray(days, dtype=np.float64)
    pos, vel = state[:3], state[3:]
    r0 = np.sqrt(_dot(pos, pos))
    eta = _dot(pos, vel)
    inverse = 1.0 / r0
    beta = 2.0 * GM_SUN * inverse - _dot(vel, vel)
    zeta = GM_SUN - beta * r0
    s = dt * inverse  # the third-order series of s in dt, then Halley's iteration
    slope = 0.5 * eta * inverse * s
    s = s * (1.0 - slope + 2.0 * slope * slope - zeta * inverse * s * s / 6.0)
    good = np.ones(1, dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # what fails goes to _drift_any
        for _ in range(_MAX_FAST):
            g0, g1, g2, g3 = _stumpff_series(beta, s)
            miss = r0 * g1 + eta * g2 + GM_SUN * g3 - dt
            r = r0 * g0 + eta * g1 + GM_SUN * g2
            step = miss / (r - 0.5 * miss * (zeta * g1 + eta * g0) / r)
            s = s - step
            good = np.abs(step) <= 1e-5 * np.abs(s) + 1e-300
            if good.all():
                break
        good = good & (np.abs(beta * s * s) < _SERIES_LIMIT)
        _, g1, g2, g3 = _stumpff_series(beta, s)
        moved = _moved(state, r0, eta, beta, dt, g1, g2, g3)
    if not good.all():
        odd = np.flatnonzero(~np.broadcast_to(good, r0.shape))
        moved[:, odd] = _drift_any(state[:, odd], np.broadcast_to(dt, r0.shape)[odd])
    return moved


def _drift_any(state: Array, dt: Array) -> Array:
    """`drift` for steps of any length: Laguerre-Conway with closed forms; slow, for the few."""
    pos, vel = state[:3], state[3:]
    r0 = np.sqrt(_dot(pos, pos))
    eta = _dot(pos, vel)
    beta = 2.0 * GM_SUN / r0 - _dot(vel, vel)
    bound = beta > 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        period = 2.0 * np.pi * GM_SUN / np.abs(beta) ** 1.5
        dt = np.where(bound, dt - period * np.round(dt / period), dt)
        # bound: s of the mean motion; open: the lesser of s far from and at the perihelion of a parabola
        open_orbit = np.minimum(np.abs(dt) / r0, np.cbrt(6.0 * np.abs(dt) / GM_SUN))
        s = np.where(bound, dt * beta / GM_SUN, np.copysign(open_orbit, dt))
    zeta = GM_SUN - beta * r0
    for _ in range(60):
        g0, g1, g2, g3 = _stumpff(beta, s)
        miss = r0 * g1 + eta * g2 + GM_SUN * g3 - dt
        r = r0 * g0 + eta * g1 + GM_SUN * g2
        bend = zeta * g1 + eta * g0
        root = np.sqrt(np.abs(16.0 * r * r - 20.0 * miss * bend))
        step = -5.0 * miss / (r + np.copysign(root, r))
        s = s + step
        if np.all(np.abs(step) <= 1e-13 * np.abs(s) + 1e-300):
            break
    _, g1, g2, g3 = _stumpff(beta, s)
    return _moved(state, r0, eta, beta, dt, g1, g2, g3)


def _moved(
    state: Array, r0: Array, eta: Array, beta: Array, dt: Array, g1: Array, g2: Array, g3: Array
) -> Array:
    """Apply Gauss's f and g functions."""
    pos, vel = state[:3], state[3:]
    r = r0 + eta * g1 + (GM_SUN - beta * r0) * g2
    f_less_one, g = -GM_SUN * g2 / r0, dt - GM_SUN * g3
    df, dg_less_one = -GM_SUN * g1 / (r0 * r), -GM_SUN * g2 / r
    out = np.empty_like(state)
    out[:3] = pos + (f_less_one * pos + g * vel)
    out[3:] = vel + (df * pos + dg_less_one * vel)
    return out


def _stumpff_series(beta: Array, s: Array) -> tuple[Array, Array, Array, Array]:
    """G0 to G3 of Danby's universal functions for small arguments."""
    x = beta * (s * s)
    c2 = 0.5 + x * (-1 / 24 + x * (1 / 720 + x * (-1 / 40320 + x * (1 / 3628800 - x / 479001600))))
    c3 = 1 / 6 + x * (-1 / 120 + x * (1 / 5040 + x * (-1 / 362880 + x * (1 / 39916800 - x / 6227020800))))
    s2 = s * s
    return 1.0 - x * c2, s * (1.0 - x * c3), s2 * c2, s2 * (s * c3)


def _stumpff(beta: Array, s: Array) -> tuple[Array, Array, Array, Array]:
    """G0 to G3 for any argument."""
    g0, g1, g2, g3 = _stumpff_series(beta, s)
    x = beta * s * s
    far = np.abs(x) >= _SERIES_LIMIT
    if far.any():
        b, t = beta[far], s[far]
        root = np.sqrt(np.abs(b))
        angle = np.clip(root * t, -600.0, 600.0)
        bound = b > 0.0
        turn = np.where(bound, angle, 0.0)
        g0[far] = np.where(bound, np.cos(turn), np.cosh(np.where(bound, 0.0, angle)))
        g1[far] = np.where(bound, np.sin(turn), np.sinh(np.where(bound, 0.0, angle))) / root
        g2[far] = (1.0 - g0[far]) / b
        g3[far] = (t - g1[far]) / b
    return g0, g1, g2, g3


def _eccentric_anomaly(mean: Array, e: Array) -> Array:
    """Solve Kepler's equation with Danby's starter and his quartic iteration (section 6.6)."""
    mean = np.remainder(mean + np.pi, 2.0 * np.pi) - np.pi
    anomaly = mean + 0.85 * e * np.copysign(1.0, np.sin(mean))
    for _ in range(30):
        sin_e, cos_e = e * np.sin(anomaly), e * np.cos(anomaly)
        f, f1 = anomaly - sin_e - mean, 1.0 - cos_e
        d1 = -f / f1
        d2 = -f / (f1 + 0.5 * d1 * sin_e)
        d3 = -f / (f1 + 0.5 * d2 * sin_e + d2 * d2 * cos_e / 6.0)
        anomaly = anomaly + d3
        if np.all(np.abs(d3) < 1e-12):
            break
    return anomaly


def _in_space(
    x: Array, y: Array, vx: Array, vy: Array, *, incl: ArrayLike, node: ArrayLike, peri: ArrayLike
) -> Array:
    """Turn orbital-plane coordinates (x to the perihelion) to the equatorial axes of J2000."""
    i, o, w = (np.radians(np.asarray(angle, dtype=np.float64)) for angle in (incl, node, peri))
    cos_i, cos_o, cos_w = np.cos(i), np.cos(o), np.cos(w)
    sin_i, sin_o, sin_w = np.sin(i), np.sin(o), np.sin(w)
    to_perihelion = (
        cos_o * cos_w - sin_o * sin_w * cos_i,
        sin_o * cos_w + cos_o * sin_w * cos_i,
        sin_w * sin_i,
    )
    ahead = (-cos_o * sin_w - sin_o * cos_w * cos_i, -sin_o * sin_w + cos_o * cos_w * cos_i, cos_w * sin_i)
    out = np.empty((6, *np.shape(x)))
    cos_eps, sin_eps = np.cos(OBLIQUITY), np.sin(OBLIQUITY)
    for first, along, across in ((0, x, y), (3, vx, vy)):
        ex, ey, ez = (p * along + q * across for p, q in zip(to_perihelion, ahead, strict=True))
        out[first], out[first + 1] = ex, ey * cos_eps - ez * sin_eps
        out[first + 2] = ey * sin_eps + ez * cos_eps
    return out


def _dot(a: Array, b: Array) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
