"""Known objects at any time between three epochs for which a service gave places and rates.

Per object the places on a tangent plane are joined by cubics that also have the rates (Hermite), one for each
half. How well that does is measured, not supposed: the cubic over the whole span, from its ends alone, is
compared with what the service said for the middle. Halving the step divides the error of such a cubic by 16
(de Boor, A Practical Guide to Splines, 1978, chapter IV). Rates that are all wrong by d leave the place there
as it is, and change the slope by 1.5 d; they cost the halves, of length h, d h max|s (1 - s) (1 - 2 s)|.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd import sphere
from ssosd.identify.known import KnownObjects, object_keys

Array = NDArray[np.float64]

TOLERANCE_ARCSEC = 0.1  # of an interpolated place
_HALVING = 16.0
_OF_RATES = np.sqrt(3.0) / 18.0 / 1.5  # that maximum, by the change of the slope
_ARCSEC = np.radians(1.0 / 3600.0)


def interpolate(
    nodes: Sequence[tuple[float, pd.DataFrame]],
    *,
    mjd: Sequence[float],
    ra_deg: Sequence[float],
    dec_deg: Sequence[float],
    radius_arcsec: Sequence[float],
) -> KnownObjects | None:
    """Known objects in exposures from those at three epochs, within 0.1"; None when that cannot be held.

    Parameters
    ----------
    nodes : three of (float, DataFrame)
        UTC MJD, and what is known then in a field around all exposures (`KNOWN_COLUMNS`).
    mjd : sequence of float
        Of the exposures, in the order of CATALOG_NUMBER, from 1; between the first and the last epoch.
    ra_deg, dec_deg, radius_arcsec : sequence of float
        Circle about each exposure in which objects are wanted.

    Returns
    -------
    KnownObjects or None
        None when an object that may be in an exposure moves too unsteadily, or was not told of at all three
        epochs.
    """
    times = np.array([time for time, _ in nodes])
    tables = [
        table.assign(KEY=object_keys(table["NUMBER"], table["NAME"])).drop_duplicates("KEY").set_index("KEY")
        for _, table in nodes
    ]
    everywhere = tables[0].index.intersection(tables[1].index).intersection(tables[2].index)
    wanted = [np.asarray(v, dtype=np.float64) for v in (mjd, ra_deg, dec_deg, radius_arcsec)]
    for time, table in zip(times, tables, strict=True):
        if _may_be_inside(table.loc[~table.index.isin(everywhere)], time, *wanted).any():
            return None
    tables = [table.loc[everywhere] for table in tables]
    curves = _Curves(times, tables)
    steady = curves.error_arcsec() <= TOLERANCE_ARCSEC
    if _may_be_inside(tables[1].loc[~steady], times[1], *wanted).any():
        return None
    found = []
    for number, (at, ra, dec, radius) in enumerate(zip(*wanted, strict=True), start=1):
        told = curves.at(at).assign(CATALOG_NUMBER=number)
        away = sphere.separation_arcsec(ra, dec, told["RA"], told["DEC"])
        found.append(told[steady & (away <= radius)])
    filled = [table for table in found if len(table)]
    return KnownObjects(
        table=pd.concat(filled, ignore_index=True) if filled else found[0].reset_index(drop=True),
        checked=tuple(range(1, len(wanted[0]) + 1)),
    )


def _may_be_inside(
    table: pd.DataFrame, time: float, mjd: Array, ra: Array, dec: Array, radius: Array
) -> NDArray[np.bool_]:
    """Whether each object, wherever its rate takes it, comes into one of the circles at its time."""
    away = sphere.separation_arcsec(
        ra[None, :], dec[None, :], table["RA"].to_numpy()[:, None], table["DEC"].to_numpy()[:, None]
    )
    rate = np.hypot(table["PMRA"].to_numpy(), table["PMDEC"].to_numpy())
    reach = 2.0 * rate[:, None] * 24.0 * np.abs(mjd - time)[None, :]
    return np.asarray((away <= radius[None, :] + reach).any(axis=1))


class _Curves:
    """Paths of n objects, each on the tangent plane at its place at the middle epoch."""

    def __init__(self, times: Array, tables: Sequence[pd.DataFrame]) -> None:
        self._times = times
        self._middle = tables[1]
        self._mags = np.array([table["MAG"].to_numpy() for table in tables])
        towards = sphere.unit_vectors(self._middle["RA"], self._middle["DEC"]).reshape(-1, 3)
        self._axes = _axes(towards)
        states = [self._on_plane(table) for table in tables]
        self._place = np.array([place for place, _ in states])  # (3, n, 2), tangents
        self._rate = np.array([rate for _, rate in states])  # per day

    def _on_plane(self, table: pd.DataFrame) -> tuple[Array, Array]:
        at = sphere.unit_vectors(table["RA"], table["DEC"]).reshape(-1, 3)
        east, north = _axes(at)[:2]
        per_day = 24.0 * _ARCSEC
        motion = per_day * (
            table["PMRA"].to_numpy()[:, None] * east + table["PMDEC"].to_numpy()[:, None] * north
        )
        x, y, depth = (np.sum(at * axis, axis=1) for axis in self._axes)
        dx, dy, dz = (np.sum(motion * axis, axis=1) for axis in self._axes)
        place = np.stack([x / depth, y / depth], axis=1)
        rate = np.stack([(dx - place[:, 0] * dz) / depth, (dy - place[:, 1] * dz) / depth], axis=1)
        return place, rate

    def error_arcsec(self) -> Array:
        """Largest error of the places between the epochs, shape (n,)."""
        ends = [0, 2]
        place, rate = _hermite(self._times[ends], self._place[ends], self._rate[ends], self._times[1])
        half = float(np.diff(self._times).max())
        of_place = np.linalg.norm(place - self._place[1], axis=1) / _HALVING
        of_rate = np.linalg.norm(rate - self._rate[1], axis=1) * half * _OF_RATES
        return np.asarray((of_place + of_rate) / _ARCSEC)

    def at(self, mjd: float) -> pd.DataFrame:
        """Places, rates and magnitudes at a time; all else as at the middle epoch."""
        half = [0, 1] if mjd <= self._times[1] else [1, 2]
        times = self._times[half]
        (x, y), (dx, dy) = (
            part.T for part in _hermite(times, self._place[half], self._rate[half], mjd)
        )  # tangents
        east, north, out = self._axes
        vector = out + x[:, None] * east + y[:, None] * north
        length = np.linalg.norm(vector, axis=1)[:, None]
        ra, dec = sphere.to_radec(vector / length)
        motion = (dx[:, None] * east + dy[:, None] * north) / length
        east_there, north_there, _ = _axes(vector / length)
        share = (mjd - times[0]) / (times[1] - times[0])
        mag = (1.0 - share) * self._mags[half[0]] + share * self._mags[half[1]]
        per_hour = 1.0 / 24.0 / _ARCSEC
        return self._middle.assign(
            RA=ra,
            DEC=dec,
            PMRA=np.sum(motion * east_there, axis=1) * per_hour,
            PMDEC=np.sum(motion * north_there, axis=1) * per_hour,
            MAG=mag,
        )


def _axes(towards: Array) -> tuple[Array, Array, Array]:
    """East, north and outward unit vectors at directions, each of shape (n, 3)."""
    east = np.cross([0.0, 0.0, 1.0], towards)
    east /= np.maximum(np.linalg.norm(east, axis=1), 1e-300)[:, None]
    return east, np.cross(towards, east), towards


def _hermite(times: Array, place: Array, rate: Array, at: float) -> tuple[Array, Array]:
    """Value and slope at a time of the cubics through two places with their rates."""
    step = times[1] - times[0]
    s = (at - times[0]) / step
    value = (
        (1.0 + 2.0 * s) * (1.0 - s) ** 2 * place[0]
        + s * (1.0 - s) ** 2 * step * rate[0]
        + s**2 * (3.0 - 2.0 * s) * place[1]
        + s**2 * (s - 1.0) * step * rate[1]
    )
    slope = (
        6.0 * s * (s - 1.0) / step * (place[0] - place[1])
        + (1.0 - s) * (1.0 - 3.0 * s) * rate[0]
        + s * (3.0 * s - 2.0) * rate[1]
    )
    return value, slope
