"""Where candidates are in every exposure of their sequence, by the motion of their detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ssosd.analysis.forced.profile import FloatArray
from ssosd.days import DAY_S
from ssosd.grouping import SAME_INSTANT_S, BoolArray, IntArray
from ssosd.model import FOLLOWED_FLAG, Exposure
from ssosd.sphere import ARCSEC_PER_DEG, offsets_arcsec, separation_arcsec, to_radec, unit_vectors
from ssosd.trackfit import Motion, fit_motion

_LEAST_ERROR = 0.02  # arcsec: no position is better


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tracks:
    """m candidates in n exposures: shape (m, n) unless said otherwise."""

    numbers: np.ndarray  # SOURCE_NUMBER, ascending, shape (m,)
    seen: BoolArray  # detected in the exposure
    ra: FloatArray  # predicted, deg ICRS
    dec: FloatArray
    err_along: FloatArray  # 1-sigma of the prediction along the motion, arcsec
    err_across: FloatArray
    angle: FloatArray  # position angle of the motion, radians, north through east
    trail: FloatArray  # rate times exposure time, arcsec
    motion: Motion  # on the tangent plane of each

    def find(self, numbers: ArrayLike) -> IntArray:
        """Place of candidates by their SOURCE_NUMBER, -1 where one has no track."""
        wanted = np.asarray(numbers, dtype=np.int64)
        place = np.searchsorted(self.numbers, wanted)
        known = np.append(self.numbers, -1)[place] == wanted
        return np.where(known, place, -1).astype(np.intp)


def track_candidates(
    candidates: pd.DataFrame, exposures: Sequence[Exposure], *, measured: BoolArray | None = None
) -> Tracks:
    """Fit the motion of all candidates and predict their places.

    Parameters
    ----------
    candidates : DataFrame
        One row per detection: SOURCE_NUMBER, CATALOG_NUMBER, RA, DEC (deg ICRS), ERRA_WORLD (deg), and
        ERR_POSITION (arcsec) and FLAGS_SSOS where there are some: what the telescope followed
        (`FOLLOWED_FLAG`) is a point whatever its rate. One with detections at a single instant has no track.
    exposures : sequence of Exposure
        In the order of CATALOG_NUMBER.
    measured : ndarray of bool, shape (n_rows,), optional
        Rows whose place along their trail was measured, and needs no allowance for it.
    """
    mjd = np.array([e.mjd_mid for e in exposures])
    use = _moves(candidates, mjd)
    candidates = candidates[use]
    numbers, m = np.unique(candidates["SOURCE_NUMBER"].to_numpy(np.int64), return_inverse=True)
    f = candidates["CATALOG_NUMBER"].to_numpy(np.intp) - 1
    ra, dec = candidates["RA"].to_numpy(np.float64), candidates["DEC"].to_numpy(np.float64)
    centre = np.zeros((numbers.size, 3))
    np.add.at(centre, m, unit_vectors(ra, dec))
    ra0, dec0 = to_radec(centre)
    shape = (numbers.size, len(exposures))
    seen, exact = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    x, y, sigma = np.zeros(shape), np.zeros(shape), np.ones(shape)
    seen[m, f] = True
    x[m, f], y[m, f] = offsets_arcsec(ra, dec, ra0[m], dec0[m])
    sigma[m, f] = position_errors(candidates)
    if measured is not None:
        exact[m, f] = measured[use]
    t = (mjd - 0.5 * (mjd.min() + mjd.max())) * 24.0
    point = np.zeros(numbers.size, dtype=bool)
    point[m] = followed_rows(candidates)
    exptime = np.where(point[:, None], 0.0, np.array([e.exptime_s for e in exposures]) / 3600.0)
    motion = fit_motion(x=x, y=y, sigma=sigma, seen=seen, t=t, exptime=np.where(exact, 0.0, exptime))
    px, py, err_along, err_across = motion.at(t)
    dt = t - motion.t0[:, None]
    along, across = (s[:, 1, None] + dt * s[:, 2, None] for s in (motion.u, motion.w))
    turn = motion.angle[:, None] + np.arctan2(across, along)  # from east to north
    predicted = _to_sky(px, py, ra0, dec0)
    return Tracks(
        numbers=numbers,
        seen=seen,
        ra=predicted[0],
        dec=predicted[1],
        err_along=err_along,
        err_across=err_across,
        angle=0.5 * np.pi - turn,
        trail=np.hypot(along, across) * exptime,
        motion=motion,
    )


def places_left(candidates: pd.DataFrame, tracks: Tracks, *, clear_arcsec: float) -> Tracks:
    """Each detection's place as a track at rest, not seen in the exposures in which its object is elsewhere.

    Parameters
    ----------
    candidates : DataFrame
        As for `track_candidates`.
    tracks : Tracks
        Of them.
    clear_arcsec : float
        So far from it, beyond half its trail and what its prediction may be off, an object has left a place.

    Returns
    -------
    Tracks
        `numbers` are rows of `candidates`, counted from 0; without those that no exposure finds left.
    """
    own = tracks.find(candidates["SOURCE_NUMBER"])
    rows = np.flatnonzero(own >= 0)
    own = own[rows]
    shape = (rows.size, tracks.ra.shape[1])
    ra, dec = (
        np.broadcast_to(candidates[name].to_numpy(np.float64)[rows, None], shape) for name in ("RA", "DEC")
    )
    reach = clear_arcsec + 3.0 * tracks.err_along[own] + 0.5 * tracks.trail[own]
    there = separation_arcsec(ra, dec, tracks.ra[own], tracks.dec[own]) <= reach
    left = ~there.all(axis=1)
    error = np.broadcast_to(position_errors(candidates)[rows, None], shape)[left]
    return Tracks(
        numbers=rows[left],
        seen=there[left],
        ra=ra[left],
        dec=dec[left],
        err_along=error,
        err_across=error,
        angle=np.zeros_like(error),
        trail=np.zeros_like(error),
        motion=tracks.motion.take(own[left]),
    )


def _moves(candidates: pd.DataFrame, mjd: FloatArray) -> BoolArray:
    """Rows of candidates that are detected at more than one instant."""
    time = pd.Series(mjd[candidates["CATALOG_NUMBER"].to_numpy(np.intp) - 1], index=candidates.index)
    of_source = time.groupby(candidates["SOURCE_NUMBER"])
    span = of_source.transform("max") - of_source.transform("min")
    return (span * DAY_S > SAME_INSTANT_S).to_numpy(bool)


def followed_rows(candidates: pd.DataFrame) -> BoolArray:
    """Rows of what the telescope followed."""
    if "FLAGS_SSOS" not in candidates:
        return np.zeros(len(candidates), dtype=bool)
    return np.asarray((candidates["FLAGS_SSOS"].to_numpy(np.int64) & FOLLOWED_FLAG) != 0)


def position_errors(candidates: pd.DataFrame) -> FloatArray:
    """One-sigma error of each position in each coordinate, arcsec: the field's, else SExtractor's."""
    error = candidates["ERRA_WORLD"].to_numpy(np.float64) * ARCSEC_PER_DEG
    if "ERR_POSITION" in candidates:
        ours = candidates["ERR_POSITION"].to_numpy(np.float64)
        error = np.where(np.isfinite(ours), ours, error)
    return np.where(np.isfinite(error), np.clip(error, _LEAST_ERROR, 1.0), 1.0)


def _to_sky(x: FloatArray, y: FloatArray, ra0: FloatArray, dec0: FloatArray) -> tuple[FloatArray, FloatArray]:
    """RA and Dec (deg) of places (arcsec, shape (m, n)) on the tangent planes at (ra0, dec0), shape (m,)."""
    ra, dec = np.radians(ra0)[:, None], np.radians(dec0)[:, None]
    zero = np.zeros_like(ra)
    east = np.stack([-np.sin(ra), np.cos(ra), zero], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    offset = (
        np.radians(x / ARCSEC_PER_DEG)[..., None] * east + np.radians(y / ARCSEC_PER_DEG)[..., None] * north
    )
    return to_radec(unit_vectors(ra0, dec0)[:, None, :] + offset)
