"""Motion of all tracks at once: position, rate and a bounded acceleration, with errors along the trail."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ssosd.grouping import BoolArray, FloatArray, IntArray

TRAIL_ERROR = 0.2  # 1-sigma error along a trail, of its length: detections may be pieces of it
TRAIL_WIDTH = 0.03  # the same across it
# Acceleration that objects show, 1 sigma, arcsec/h^2 and per hour of the rate. The Earth's rotation moves the
# observer: 8.794" (solar parallax) x (2 pi / 23.93 h)^2 = 0.61 arcsec/h^2 at 1 AU on the equator, whatever
# the rate. What moves fast is nearer; what hardly moves is far, or a star: few are near a standstill.
PARALLAX, SLOW_SHARE, FAST_SHARE = 0.4, 0.15, 0.012
# What is left of the diurnal parallax (cubic in time) after a quadratic: error added, arcsec, at 4 h.
CUBIC_AT_4H, LARGEST_CUBIC = 0.03, 0.6


def acceleration_sigma(rate: FloatArray) -> FloatArray:
    """Largest usual acceleration, arcsec/h^2, at a rate in arcsec/h."""
    return np.minimum(PARALLAX, SLOW_SHARE * rate) + FAST_SHARE * rate


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Motion:
    """Fitted motion of m tracks; axes u along the motion, w across it, arcsec and hours."""

    angle: FloatArray  # of u, radians from x to y, shape (m,)
    x0: FloatArray  # origin, shape (m,)
    y0: FloatArray
    t0: FloatArray  # shape (m,)
    u: FloatArray  # position, rate, acceleration along, shape (m, 3)
    w: FloatArray  # the same across
    cov_u: FloatArray  # shape (m, 3, 3)
    cov_w: FloatArray
    rate: FloatArray  # arcsec/h, shape (m,)
    chi2: FloatArray  # of all detections, both axes, and the accelerations' priors, shape (m,)
    point_chi2: FloatArray  # of each detection, shape (m, n_epochs); 0 where there is none
    square: FloatArray  # sum of the squared residuals of both axes, arcsec^2, shape (m,)
    log_volume: FloatArray  # natural log of the volume, arcsec^(2 n - 4), see `fit_motion`, shape (m,)

    def take(self, rows: IntArray) -> Motion:
        """Only some of the tracks."""
        return Motion(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def rates(self) -> dict[str, FloatArray]:
        """Rates and their errors, arcsec/h, by the names that tables have for them."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        vu, vw = self.u[:, 1], self.w[:, 1]
        eu, ew = self.cov_u[:, 1, 1], self.cov_w[:, 1, 1]
        east, north = vu * cos - vw * sin, vu * sin + vw * cos
        square = np.maximum(vu**2 + vw**2, 1e-30)
        return {
            "PM": np.hypot(east, north),
            "PMERR": np.sqrt((vu**2 * eu + vw**2 * ew) / square),
            "PMRA": east,
            "PMRA_ERR": np.sqrt(cos**2 * eu + sin**2 * ew),
            "PMDEC": north,
            "PMDEC_ERR": np.sqrt(sin**2 * eu + cos**2 * ew),
        }

    def at(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Predicted x, y and their errors along and across at hours t, shape (n_epochs,): (m, n_epochs)."""
        dt = t - self.t0[:, None]
        u, w = (_value(state, dt) for state in (self.u, self.w))
        su, sw = (np.sqrt(np.maximum(_variance(cov, dt), 0.0)) for cov in (self.cov_u, self.cov_w))
        cos, sin = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        return self.x0[:, None] + u * cos - w * sin, self.y0[:, None] + u * sin + w * cos, su, sw


def fit_motion(
    *, x: FloatArray, y: FloatArray, sigma: FloatArray, seen: BoolArray, t: FloatArray, exptime: FloatArray
) -> Motion:
    """Fit all tracks.

    The acceleration in each axis has a prior of mean 0 and `acceleration_sigma`, so that it is free where the
    arc is long enough to show it and harmless where it is not.

    Parameters
    ----------
    x, y, sigma : ndarray, shape (m, n_epochs)
        Positions and errors, arcsec; anything where not seen.
    seen : ndarray of bool, shape (m, n_epochs)
        Two detections or more in each row.
    t, exptime : ndarray, shape (n_epochs,)
        Hours.

    Notes
    -----
    `log_volume`: with the first and the last detection held, chi-square is a quadratic form Q of the other
    positions. Those with a chi-square up to c fill an ellipsoid whose volume is that of a ball of radius
    sqrt(c), times det(Q)^(-1/2). With W the weights, T the arc, s the prior's sigma and N the normal matrix
    (with the prior) det Q = det(W) T^2 / (s^2 det(N)) for each axis, by Jacobi's complementary minors.
    """
    m = x.shape[0]
    rows = np.arange(m)
    first = np.argmax(seen, axis=1)
    last = seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    arc = t[last] - t[first]
    mean = seen.sum(axis=1)
    x0, y0 = x[rows, first], y[rows, first]
    t0 = np.where(seen, t, 0.0).sum(axis=1) / mean
    dx, dy = np.where(seen, x - x0[:, None], 0.0), np.where(seen, y - y0[:, None], 0.0)
    angle = np.arctan2(dy[rows, last], dx[rows, last])
    rate = np.hypot(dx[rows, last], dy[rows, last]) / arc
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    trail = rate[:, None] * exptime
    cubic = np.minimum(CUBIC_AT_4H * (arc / 4.0) ** 3, LARGEST_CUBIC)[:, None]
    variance = np.where(seen, sigma, 1.0) ** 2 + cubic**2
    dt = np.where(seen, t - t0[:, None], 0.0)
    prior = 1.0 / np.maximum(acceleration_sigma(rate), 1e-3) ** 2
    solved, chi2, square, log_volume = [], np.zeros(m), np.zeros(m), np.zeros(m)
    point = np.zeros_like(dt)
    for value, share in ((dx * cos + dy * sin, TRAIL_ERROR), (dy * cos - dx * sin, TRAIL_WIDTH)):
        var = variance + (share * trail) ** 2
        weight = np.where(seen, 1.0 / var, 0.0)
        state, covariance = _least_squares(dt, value, weight, prior)
        residual = value - _value(state, dt)
        point += weight * residual**2
        chi2 += (weight * residual**2).sum(axis=1) + prior * state[:, 2] ** 2
        square += np.where(seen, residual**2, 0.0).sum(axis=1)
        log_det = np.log(prior) + np.linalg.slogdet(covariance)[1] + 2.0 * np.log(arc)
        log_volume -= 0.5 * (log_det - np.where(seen, np.log(var), 0.0).sum(axis=1))
        solved.append((state, covariance))
    (u, cov_u), (w, cov_w) = solved
    return Motion(
        angle=angle,
        x0=x0,
        y0=y0,
        t0=t0,
        u=u,
        w=w,
        cov_u=cov_u,
        cov_w=cov_w,
        rate=np.hypot(u[:, 1], w[:, 1]),
        chi2=chi2,
        point_chi2=point,
        square=square,
        log_volume=log_volume,
    )


def _least_squares(
    dt: FloatArray, value: FloatArray, weight: FloatArray, prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Position, rate and acceleration (m, 3) with covariance (m, 3, 3), by the normal equations."""
    normal, right = np.empty((len(dt), 3, 3)), np.empty((len(dt), 3))
    power, total = weight, []
    for order in range(5):
        total.append(power.sum(axis=1))
        if order < 3:
            right[:, order] = (power * value).sum(axis=1) * (0.5 if order == 2 else 1.0)
        power = power * dt
    normal[:, 0, 0], normal[:, 1, 1], normal[:, 2, 2] = total[0], total[2], 0.25 * total[4] + prior
    normal[:, 0, 1] = normal[:, 1, 0] = total[1]
    normal[:, 0, 2] = normal[:, 2, 0] = 0.5 * total[2]
    normal[:, 1, 2] = normal[:, 2, 1] = 0.5 * total[3]
    covariance: FloatArray = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    return (covariance @ right[:, :, None])[:, :, 0], covariance


def _value(state: FloatArray, dt: FloatArray) -> FloatArray:
    """Position at times `dt`, shape (m, n_epochs)."""
    return state[:, 0, None] + dt * (state[:, 1, None] + 0.5 * dt * state[:, 2, None])


def _variance(cov: FloatArray, dt: FloatArray) -> FloatArray:
    """Variance of the position at times `dt`, shape (m, n_epochs)."""
    c = [cov[:, i, j, None] for i, j in ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))]
    return c[0] + dt * (2.0 * c[1] + dt * (c[2] + c[3] + dt * (c[4] + 0.25 * dt * c[5])))


def spread(track: IntArray, values: FloatArray) -> FloatArray:
    """Values of the detections of tracks, shape (m, n_epochs), 0 where there is none (-1)."""
    return np.where(track >= 0, values[track], 0.0)


def arc_hours(seen: BoolArray, times: FloatArray) -> FloatArray:
    """Time from the first to the last detection of each track, 0 for fewer than two."""
    last = np.where(seen, times, -np.inf).max(axis=1, initial=-np.inf)
    first = np.where(seen, times, np.inf).min(axis=1, initial=np.inf)
    some = seen.any(axis=1)
    return np.where(some, last, 0.0) - np.where(some, first, 0.0)
