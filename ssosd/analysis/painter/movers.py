"""Moving objects of a painted field: who they are, where they go, and their trails on a chip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ssosd.analysis.painter.options import MoverClass, SkyOptions
from ssosd.analysis.painter.psf import TRAIL_STEP_PX, Psf, Sources, stamps
from ssosd.analysis.painter.sources import power_law_mags, stream
from ssosd.analysis.painter.wcs import from_offsets, tangent_frame
from ssosd.motion import ecliptic_angle
from ssosd.sphere import ARCSEC_PER_DEG, separation_arcsec, to_radec

FloatArray = NDArray[np.float64]

#: The population of a field without movers: keeps the table's columns and types.
_NOBODY = MoverClass(name="none", count=0, rate_arcsec_h=(1.0, 1.0), mag=(20.0, 20.0))


def mover_list(options: SkyOptions, field: int, *, first_number: int) -> pd.DataFrame:
    """Movers of one field, placed at the middle of the night.

    Returns
    -------
    DataFrame
        id, cls, ra, dec (deg, at the middle of the night), rate ("/h), pa (deg), mag (mean), acc_east,
        acc_north ("/h^2), amplitude (mag), period (h), phase (rad), known, extent (FWHM without seeing,
        arcsec).
    """
    parts = []
    for number, population in enumerate(options.movers):
        rng = stream(options.seed, "movers", field, number)
        parts.append(_population(rng, population, options, field))
    chosen = [mover for mover in options.placed if mover.field == field]
    if chosen:
        table = pd.DataFrame(
            [
                (m.name, m.cls, m.rate_arcsec_h, m.pa_deg % 360.0, m.mag, float(m.extent_arcsec))
                for m in chosen
            ]
        )
        table.columns = pd.Index(["id", "cls", "rate", "pa", "mag", "extent"])
        table["ra"], table["dec"] = from_offsets(
            [m.east_arcsec for m in chosen], [m.north_arcsec for m in chosen], *options.centers_deg[field - 1]
        )
        still = ["acc_east", "acc_north", "amplitude", "phase"]
        parts.append(table.assign(**dict.fromkeys(still, 0.0), period=1.0, known=False))
    if not parts:
        parts.append(_population(np.random.default_rng(0), _NOBODY, options, field))
    movers = pd.concat(parts, ignore_index=True)
    unnamed = movers["id"] == ""
    numbers = first_number + np.arange(int(unnamed.sum()))
    movers.loc[unnamed, "id"] = [f"M{n:05d}" for n in numbers]
    return movers


def _population(
    rng: np.random.Generator, population: MoverClass, options: SkyOptions, field: int
) -> pd.DataFrame:
    """Draw the movers of one class."""
    n = population.count
    width, height = (side * options.scale_arcsec / 2.0 for side in options.focal_plane_px)
    ra, dec = from_offsets(
        rng.uniform(-width, width, n), rng.uniform(-height, height, n), *options.centers_deg[field - 1]
    )
    low, high = np.log(population.rate_arcsec_h)
    rate = np.exp(rng.uniform(low, high, n))
    pa = rng.uniform(*population.pa_deg, n)
    if population.along_ecliptic:
        pa = pa + np.degrees(ecliptic_angle(ra, dec)) - 90.0
    # the parallax of a rotating Earth bends a path in no particular direction: 0 to 2 times the mean
    acceleration = rate * options.curvature_per_h * rng.uniform(0.0, 2.0, n)
    direction = rng.uniform(0.0, 2.0 * np.pi, n)
    if population.acceleration_arcsec_h2 is not None:
        least, most = np.log(population.acceleration_arcsec_h2)
        acceleration = np.exp(rng.uniform(least, most, n))
    return pd.DataFrame(
        {
            "id": np.full(n, "", dtype=object),
            "cls": population.name,
            "ra": ra,
            "dec": dec,
            "rate": rate,
            "pa": pa % 360.0,
            "mag": power_law_mags(rng, n, limits=population.mag, slope=population.mag_slope),
            "acc_east": acceleration * np.sin(direction),
            "acc_north": acceleration * np.cos(direction),
            "amplitude": rng.uniform(0.0, options.lightcurve_mag, n),
            "period": rng.uniform(2.0, 12.0, n),
            "phase": rng.uniform(0.0, 2.0 * np.pi, n),
            "known": rng.random(n) < options.known_fraction,
            "extent": float(population.extent_arcsec),
        }
    )


def positions(movers: pd.DataFrame, hours: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Where movers are, `hours` after the middle of the night: on great circles, bent by their acceleration.

    Parameters
    ----------
    movers : DataFrame
        From `mover_list`, n rows.
    hours : array_like, broadcast against (n,)

    Returns
    -------
    ra, dec : ndarray
        Degrees ICRS.
    """
    t = np.asarray(hours, dtype=np.float64)
    axis, east, north = tangent_frame(movers["ra"], movers["dec"])
    pa, rate = np.radians(movers["pa"].to_numpy()), movers["rate"].to_numpy()
    to_rad = np.radians(1.0 / ARCSEC_PER_DEG)
    de = (rate * np.sin(pa) * t + 0.5 * movers["acc_east"].to_numpy() * t**2) * to_rad
    dn = (rate * np.cos(pa) * t + 0.5 * movers["acc_north"].to_numpy() * t**2) * to_rad
    # the exponential map: walk the angle |d| along the great circle in the direction d
    angle = np.hypot(de, dn)
    ratio = np.sinc(angle / np.pi)  # sin(angle) / angle
    return to_radec(
        np.cos(angle)[..., None] * axis + (ratio * de)[..., None] * east + (ratio * dn)[..., None] * north
    )


def ephemeris(movers: pd.DataFrame, *, hours: float, exptime_s: float, colour_mag: float) -> pd.DataFrame:
    """State of each mover in one exposure whose middle is `hours` after the middle of the night.

    Returns
    -------
    DataFrame
        ra, dec (deg), rate ("/h), pa (deg) at mid-exposure, mag; ra_start, dec_start, ra_end, dec_end (deg).
    """
    half = exptime_s / 7200.0
    ra, dec = positions(movers, hours)
    before, after = positions(movers, hours - half), positions(movers, hours + half)
    phase = 2.0 * np.pi * hours / movers["period"].to_numpy() + movers["phase"].to_numpy()
    _, east, north = tangent_frame(ra, dec)
    ahead = tangent_frame(*after)[0]
    pa = np.degrees(np.arctan2((ahead * east).sum(axis=-1), (ahead * north).sum(axis=-1))) % 360.0
    return pd.DataFrame(
        {
            "ra": ra,
            "dec": dec,
            "rate": separation_arcsec(*before, *after) / (2.0 * half),
            "pa": pa,
            "mag": movers["mag"].to_numpy() + colour_mag + movers["amplitude"].to_numpy() * np.sin(phase),
            "ra_start": before[0],
            "dec_start": before[1],
            "ra_end": after[0],
            "dec_end": after[1],
        }
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trails:
    """Charge of movers on the pixels of a chip; arrays of shape (m,), one entry per mover and pixel."""

    owner: NDArray[np.intp]  # row of the mover
    pixel: NDArray[np.intp]  # flat index of the pixel
    charge_e: FloatArray
    n_movers: int

    def snr(self, variance_e2: FloatArray) -> FloatArray:
        """Optimal signal to noise ratio of each mover; NaN where it has no pixel on the chip.

        Parameters
        ----------
        variance_e2 : ndarray, shape (ny, nx)
            Of sky and read noise; the mover's own shot noise is added (Horne 1986, PASP 98, 609, eq. 8).
        """
        variance = variance_e2.reshape(-1)[self.pixel] + self.charge_e
        return np.sqrt(self._sum(self.charge_e**2 / variance))

    def contamination(self, other_e: FloatArray) -> FloatArray:
        """Light of all else in the profile-weighted aperture of each mover over its own; NaN off the chip.

        Parameters
        ----------
        other_e : ndarray, shape (ny, nx)
            Charge above the sky with all movers and flaws in it.
        """
        strange = np.abs(other_e.reshape(-1)[self.pixel] - self.charge_e)
        return self._sum(self.charge_e * strange) / self._sum(self.charge_e**2)

    def _sum(self, weights: FloatArray) -> FloatArray:
        total = np.bincount(self.owner, weights=weights, minlength=self.n_movers)
        return np.where(np.bincount(self.owner, minlength=self.n_movers) > 0, total, np.nan)


def trails(
    x: FloatArray,
    y: FloatArray,
    flux_e: FloatArray,
    *,
    shape: tuple[int, int],
    psf: Psf,
    floor_e: float,
    extent_px: FloatArray | float = 0.0,
    axis_ratio: float = 1.0,
    theta_deg: float = 0.0,
) -> Trails:
    """Trailed images of movers: the PSF summed along the path in steps of `TRAIL_STEP_PX`.

    Parameters
    ----------
    x, y : ndarray, shape (3, n)
        FITS pixels at the start, middle and end of the exposure.
    flux_e : ndarray, shape (n,)
        Total charge.
    shape : (ny, nx)
    psf : Psf
    floor_e : float
        Charge per pixel below which a trail's wing ends, e-.
    extent_px : ndarray, shape (n,), or float
        FWHM of each mover without seeing.
    axis_ratio, theta_deg : float
        Of an elliptical PSF: minor over major axis, and the major axis' angle from x to y.
    """
    length = np.hypot(x[2] - x[0], y[2] - y[0])
    # a mover that never comes near the chip would only cost time
    near = (np.abs(x[1] - shape[1] / 2.0) < shape[1] / 2.0 + length / 2.0 + 100.0) & (
        np.abs(y[1] - shape[0] / 2.0) < shape[0] / 2.0 + length / 2.0 + 100.0
    )
    points = np.where(near, np.ceil(length / TRAIL_STEP_PX).astype(np.intp) + 1, 0)
    owner = np.repeat(np.arange(len(points)), points)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(points) - points, points)
    s = (rank + 0.5) / points[owner] - 0.5  # time from mid-exposure in exposure times
    # parabola through the three known points
    weight = np.stack([2.0 * s**2 - s, 1.0 - 4.0 * s**2, 2.0 * s**2 + s])
    sources = Sources(
        (weight * x[:, owner]).sum(axis=0),
        (weight * y[:, owner]).sum(axis=0),
        (flux_e / points.clip(1))[owner],
        extent_px=np.broadcast_to(extent_px, points.shape)[owner],
        axis_ratio=axis_ratio,
        theta_deg=theta_deg,
    )
    n_pixels = shape[0] * shape[1]
    keys, values = [np.zeros(0, dtype=np.intp)], [np.zeros(0)]
    for point, pixel, value in stamps(sources, shape=shape, psf=psf, floor_e=floor_e / points[owner]):
        keys.append(owner[point] * n_pixels + pixel)
        values.append(value)
    key, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    return Trails(
        owner=key // n_pixels,
        pixel=key % n_pixels,
        charge_e=np.bincount(inverse, weights=np.concatenate(values), minlength=len(key)).astype(np.float64),
        n_movers=len(points),
    )
