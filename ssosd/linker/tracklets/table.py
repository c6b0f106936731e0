"""The linker's result as the detections table that the filter chain takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.plane import to_sky
from ssosd.linker.tracklets.pool import Pool
from ssosd.linker.tracklets.trails import middles
from ssosd.model import FOLLOWED_FLAG, PIECES_FLAG, PLACED_FLAG, STANDING_FLAG
from ssosd.sphere import offsets_arcsec, to_radec, unit_vectors
from ssosd.trackfit import Motion, fit_motion

BAD_MOTION = 64  # bit of FLAGS_SCAMP that speaks of SCAMP's own linking
LONGEST_HALF_FWHM = 6.0  # of a piece
_MAG_PER_RELATIVE = 2.5 / np.log(10.0)  # error of a magnitude over the relative error of its flux
SOURCE_COLUMNS = (
    *("SOURCE_NUMBER", "N_DETECTIONS", "N_PIECES", "PM", "PMERR", "PMRA", "PMRA_ERR", "PMDEC", "PMDEC_ERR"),
    *("ACCELERATION", "ARC_HOURS", "CHI2", "DOF", "CHI2_DOF", "RMS", "MAG", "MAG_SCATTER"),
    *("N_CHANCE", "SCORE"),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kind:
    """What is particular about tracks, shape (m,)."""

    standing: BoolArray  # at one place of the detector while the sky moves
    followed: BoolArray  # and followed by the telescope: a point among stars that are trails

    @property
    def flags(self) -> IntArray:
        """Bits of FLAGS_SSOS."""
        return (self.standing * STANDING_FLAG + self.followed * FOLLOWED_FLAG).astype(np.intp)


def source_rows(
    detections: pd.DataFrame,
    pool: Pool,
    track: IntArray,
    motion: Motion,
    pieces: tuple[IntArray, IntArray],
    *,
    kind: Kind,
) -> tuple[pd.DataFrame, IntArray]:
    """Rows of the table for tracks, with the pieces of a trail joined to one row.

    Parameters
    ----------
    detections : DataFrame
        The table given to the linker.
    pool : Pool
    track : ndarray of int, shape (m, n_epochs)
    motion : Motion
        Of the tracks.
    pieces : tuple of two ndarray of int
        Track and detection of further pieces.
    kind : Kind
        Of the tracks.

    Returns
    -------
    table : DataFrame
        One row per track and epoch, by track and time; SOURCE_NUMBER from 1.
    n_pieces : ndarray of int, shape (m,)
    """
    m, f = np.nonzero(track >= 0)
    own = track[m, f]
    table = detections.iloc[pool.plane.rows[pool.members[own]]].reset_index(drop=True).copy()
    table["SOURCE_NUMBER"] = (m + 1).astype(np.int64)
    slot = np.full(track.shape, -1, dtype=np.intp)
    slot[m, f] = np.arange(m.size)
    target = slot[pieces[0], pool.epoch[pieces[1]]]
    used = target >= 0
    target, extra = target[used], pieces[1][used]
    row = np.concatenate([np.arange(m.size), target])
    index = np.concatenate([own, extra])
    joined = _join_fluxes(table, detections, row, pool.plane.rows[pool.members[index]])
    rate = np.where(kind.followed, 0.0, motion.rate)
    trail = rate[m] * pool.plane.exptimes[f]
    placed = _place(table, pool, row, index, m, trail=trail, angle=motion.angle[m])
    if "FLAGS_SSOS" in table:
        flags = table["FLAGS_SSOS"].to_numpy(np.int64)
        flags = flags | np.where(joined, PIECES_FLAG, 0) | np.where(placed, PLACED_FLAG, 0)
        table["FLAGS_SSOS"] = flags | kind.flags[m]
    return table, np.bincount(m[target], minlength=len(track))


def _place(
    table: pd.DataFrame,
    pool: Pool,
    row: IntArray,
    index: IntArray,
    m: IntArray,
    *,
    trail: FloatArray,
    angle: FloatArray,
) -> NDArray[np.bool_]:
    """Move rows to the middle of their trail: between the ends of their pieces, or where the track has it.

    Returns
    -------
    ndarray of bool, shape (n_rows,)
        Rows whose place along the trail is the track's, as only a part of the trail was detected.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    along = pool.x[index] * cos[row] + pool.y[index] * sin[row]
    # of a uniform bar of length l, A^2 - B^2 is l^2 / 12
    half = 0.5 * np.sqrt(12.0 * np.abs(pool.stretch[index]))
    half = np.minimum(half, LONGEST_HALF_FWHM * pool.fwhm)
    order = np.argsort(row, kind="stable")
    start = np.flatnonzero(np.diff(row[order], prepend=-1))
    low = np.minimum.reduceat((along - half)[order], start)
    high = np.maximum.reduceat((along + half)[order], start)
    several = np.bincount(row, minlength=m.size) > 1
    epoch, own = pool.epoch[index[: m.size]], along[: m.size]
    tracked = middles(low, high, pool.times[epoch], m, trail, pool.fwhm)
    placed = np.isfinite(tracked)
    step = np.where(placed, tracked, np.where(several, 0.5 * (low + high), own)) - own
    moved = step != 0.0
    plane, detection = pool.plane, pool.members[index[: m.size]]
    shift = np.stack([step * cos, step * sin], axis=-1)
    ra, dec = to_sky(plane, plane.x[detection] + shift[:, 0], plane.y[detection] + shift[:, 1])
    pixels = np.linalg.solve(plane.jacobian[detection], shift[:, :, None])[:, :, 0] / plane.scale
    for name, values in (
        ("RA", ra),
        ("DEC", dec),
        ("XWIN_IMAGE", plane.pixel_x[detection] + pixels[:, 0]),
        ("YWIN_IMAGE", plane.pixel_y[detection] + pixels[:, 1]),
    ):
        table[name] = np.where(moved, values, table[name].to_numpy(np.float64))
    return placed


def _join_fluxes(
    table: pd.DataFrame, detections: pd.DataFrame, row: IntArray, source: IntArray
) -> NDArray[np.bool_]:
    """Give rows of several pieces the summed flux; return which these are."""
    n = len(table)
    several = np.bincount(row, minlength=n) > 1
    light = 10.0 ** (-0.4 * detections["MAG"].to_numpy(np.float64)[source])
    with np.errstate(divide="ignore"):
        new: dict[str, FloatArray] = {
            "MAG": -2.5 * np.log10(np.bincount(row, np.nan_to_num(light), minlength=n))
        }
    if "FLUX" in table:
        flux = detections["FLUX"].to_numpy(np.float64)[source]
        new["FLUX"] = np.bincount(row, flux, minlength=n).astype(np.float64)
    if "FLUXERR" in table:
        square = detections["FLUXERR"].to_numpy(np.float64)[source] ** 2
        new["FLUXERR"] = np.sqrt(np.bincount(row, square, minlength=n))
    if {"FLUX", "FLUXERR"} <= new.keys() and "MAGERR" in table:
        with np.errstate(divide="ignore", invalid="ignore"):
            new["MAGERR"] = _MAG_PER_RELATIVE * new["FLUXERR"] / np.where(new["FLUX"] > 0.0, new["FLUX"], 0.0)
    for name, values in new.items():
        table[name] = np.where(several & np.isfinite(values), values, table[name].to_numpy(np.float64))
    return several


def local_motion(table: pd.DataFrame, pool: Pool, track: IntArray, *, points: BoolArray) -> Motion:
    """Motion of tracks, each on the tangent plane at its own middle: right anywhere on the sphere.

    Tracks that are `points`, shape (m,), leave no trail whatever their rate.
    """
    m, f = np.nonzero(track >= 0)
    vectors = unit_vectors(table["RA"], table["DEC"])
    centre = np.stack([np.bincount(m, vectors[:, i], minlength=len(track)) for i in range(3)], axis=-1)
    ra0, dec0 = to_radec(centre)
    xi, eta = offsets_arcsec(table["RA"], table["DEC"], ra0[m], dec0[m])
    x, y, sigma = np.zeros(track.shape), np.zeros(track.shape), np.ones(track.shape)
    x[m, f], y[m, f], sigma[m, f] = xi, eta, pool.sigma[track[m, f]]
    exptime = np.where(points[:, None], 0.0, pool.plane.exptimes)
    return fit_motion(x=x, y=y, sigma=sigma, seen=track >= 0, t=pool.times, exptime=exptime)


def add_motion(
    table: pd.DataFrame, motion: Motion, n_pieces: IntArray, log_expected: FloatArray
) -> pd.DataFrame:
    """Write the rates into the detections' table and return the table of sources."""
    m = table["SOURCE_NUMBER"].to_numpy() - 1
    n = np.bincount(m, minlength=len(n_pieces))
    rates = motion.rates()
    time = table["MID_EXPOSURE_MJD"].to_numpy(np.float64)
    last, first = np.full(n.size, -np.inf), np.full(n.size, np.inf)
    np.maximum.at(last, m, time)
    np.minimum.at(first, m, time)
    mag = table["MAG"].to_numpy(np.float64)
    measured = np.isfinite(mag) & (np.abs(mag) < 90.0)
    count = np.maximum(np.bincount(m, measured, minlength=n.size), 1.0)
    mean = np.bincount(m, np.where(measured, mag, 0.0), minlength=n.size) / count
    square = np.bincount(m, np.where(measured, mag - mean[m], 0.0) ** 2, minlength=n.size)
    dof = 2 * n - 4
    sources = pd.DataFrame(
        {
            "SOURCE_NUMBER": np.arange(1, n.size + 1, dtype=np.int64),
            "N_DETECTIONS": n.astype(np.int64),
            "N_PIECES": n_pieces.astype(np.int64),
            **rates,
            "ACCELERATION": np.hypot(motion.u[:, 2], motion.w[:, 2]),
            "ARC_HOURS": (last - first) * 24.0,
            "CHI2": motion.chi2,
            "DOF": dof.astype(np.int64),
            "CHI2_DOF": motion.chi2 / np.maximum(dof, 1),
            "RMS": np.sqrt(motion.square / (2.0 * n)),
            "MAG": mean,
            "MAG_SCATTER": np.sqrt(square / np.maximum(count - 1.0, 1.0)),
            "N_CHANCE": np.exp(np.clip(log_expected, -700.0, 700.0)),
            "SCORE": -log_expected / np.log(10.0),
        }
    )[list(SOURCE_COLUMNS)]
    for name in rates:
        table[name] = sources[name].to_numpy()[m]
    if "FLAGS_SCAMP" in table:
        table["FLAGS_SCAMP"] = table["FLAGS_SCAMP"].to_numpy(np.int64) & ~BAD_MOTION
    return sources
