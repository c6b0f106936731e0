"""Bring every orbit to the local midnight, and keep what the next night can start from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssosd.errors import Retriable
from ssosd.identify.orbits import cache as kept
from ssosd.identify.orbits.comets import read_comets
from ssosd.identify.orbits.elements import Orbits, joined
from ssosd.identify.orbits.integrate import FAST_BELOW_Q, GRID_DAYS, Almanac, advance
from ssosd.identify.orbits.mpcorb import read_mpcorb
from ssosd.identify.orbits.observe import tt_of_utc
from ssosd.identify.orbits.overview import overview
from ssosd.identify.orbits.planets import Ephemeris, best_ephemeris
from ssosd.identify.orbits.uncertainty import heliocentric_error_arcsec
from ssosd.site import Site, night_bounds, night_of

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

#: Orbits known worse than this (heliocentric, arcsec) are not carried along: they cannot name anything.
HOPELESS_ARCSEC = 3600.0
TIGHT = float(np.radians(0.1))  # radians: orbits of no more slack are told apart by one limit for all
_FORMAT = 4  # of the files; counts up when what they mean changes
_FIELDS = tuple(f.name for f in fields(Orbits))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Night:
    """All orbits that can be told at all, ready for one night at one place. Arrays have m rows' elements."""

    site: Site
    midnight_utc: float  # MJD
    midnight_tt: float
    orbits: Orbits  # all of the file, without their states
    rows: NDArray[np.intp]  # which of these are carried
    grid_tt: float  # TT MJD of `state`
    state: Array  # (6, m)
    fast: NDArray[np.bool_]
    error: Floats  # heliocentric, arcsec, one sigma
    sky: Floats  # (6, m) geocentric unit vectors at midnight, and their change per day
    slack: Floats  # how far an object may be from where these say, at any time of the night, radians
    mag: Floats  # V at midnight, NaN when not known
    loose: NDArray[np.intp]  # those with a slack of more than `TIGHT`
    almanac: Almanac
    ephemeris: Ephemeris


def midnight_of(mjd_utc: float, site: Site) -> float:
    """UTC MJD of the local midnight of the night a moment belongs to."""
    return sum(night_bounds(night_of(mjd_utc, site.lon_deg), site.lon_deg)) / 2.0


def prepare_night(
    *,
    orbits: Path,
    comets: Path | None = None,
    cache: Path,
    site: Site,
    midnight_utc: float,
    ephemeris: Ephemeris | None = None,
) -> Night:
    """Ready all orbits for one night, from whatever of it is already in the cache.

    Parameters
    ----------
    orbits : Path
        ORBITS: in the format of MPCORB.DAT.
    comets : Path, optional
        COMETS: in the format of CometEls.txt.
    cache : Path
        A folder for the kept arrays: some 300 MB for 1.4 million orbits.
    site : Site
    midnight_utc : float
        As of `midnight_of`.
    ephemeris : Ephemeris, optional
        Else the best that is installed.

    Raises
    ------
    Misconfigured
        A file is not there, or the cache cannot be written to.
    BadInput
        A file holds no orbits, or not in its format.
    Retriable
        The disk is full.
    """
    ephemeris = best_ephemeris() if ephemeris is None else ephemeris
    tt = tt_of_utc(midnight_utc)
    with kept.locked(cache):
        digests = [kept.digest(orbits, cache, parameter="ORBITS")]
        if comets is not None:
            digests.append(kept.digest(comets, cache, parameter="COMETS"))
        key = hashlib.blake2b(f"{_FORMAT} {digests}".encode(), digest_size=8).hexdigest()
        at_epoch = cache / f"orbits-{key}.npz"
        book = _book(at_epoch, orbits, comets)
        almanac = Almanac(ephemeris)
        grid_tt = GRID_DAYS * math.floor(tt / GRID_DAYS)
        rows, state = _at_grid(cache, key, at_epoch, book, grid_tt, almanac)
        fast = book.q[rows] < FAST_BELOW_Q
        path = cache / f"night-{key}-{ephemeris.name}-{midnight_utc:.5f}.npz"
        arrays = kept.load(path)
        if arrays is None or arrays.get("mag", np.empty(0)).shape != rows.shape:
            arrays = overview(book, rows, state, fast, grid_tt, midnight_utc, almanac)
            kept.save(path, arrays)
    return Night(
        site=site,
        midnight_utc=midnight_utc,
        midnight_tt=tt,
        orbits=book,
        rows=rows,
        grid_tt=grid_tt,
        state=state,
        fast=fast,
        almanac=Almanac(ephemeris),  # the one above holds all the way from the epochs
        ephemeris=ephemeris,
        loose=np.flatnonzero(arrays["slack"] > TIGHT),
        **arrays,
    )


def _book(path: Path, orbits: Path, comets: Path | None) -> Orbits:
    """All orbits without their states, which only `_at_epoch` reads."""
    arrays = kept.load(path, leave="state")
    if arrays is None or set(arrays) != set(_FIELDS) - {"state"}:
        book = read_mpcorb(orbits)
        with_tails = read_comets(comets) if comets is not None else None
        if with_tails is not None:
            book = joined([book, with_tails])
        arrays = {name: getattr(book, name) for name in _FIELDS}
        kept.save(path, arrays)
        del arrays["state"]
    return Orbits(state=np.empty((6, 0)), **arrays)


def _at_grid(
    cache: Path, key: str, at_epoch: Path, book: Orbits, grid_tt: float, almanac: Almanac
) -> tuple[NDArray[np.intp], Array]:
    """Which orbits are carried, and their states at a time of the grid, from kept ones when near."""
    stem = f"grid-{key}-{almanac.ephemeris.name}-"
    path = cache / f"{stem}{grid_tt:.0f}.npz"
    times = {float(p.stem.rpartition("-")[2]): p for p in cache.glob(f"{stem}*.npz")}
    usual = float(np.median(book.epoch))
    error = heliocentric_error_arcsec(
        runoff=book.runoff, first=book.first, last=book.last, epoch=book.epoch, mjd=grid_tt, drift=0.0
    )
    rows = np.flatnonzero(error < HOPELESS_ARCSEC)
    for time in sorted(times, key=lambda t: abs(t - grid_tt)):
        if abs(time - grid_tt) > abs(usual - grid_tt):
            break
        arrays = kept.load(times[time])
        # those carried then and not now lie idle; one newly carried means to start anew
        if arrays is None or not {"rows", "state"} <= set(arrays) or not np.isin(rows, arrays["rows"]).all():
            continue
        state = np.ascontiguousarray(arrays["state"][:, np.searchsorted(arrays["rows"], rows)])
        start = np.full(len(rows), time)
        break
    else:
        time, state, start = np.nan, _at_epoch(at_epoch)[:, rows], book.epoch[rows]
    advance(state, start, grid_tt, fast=book.q[rows] < FAST_BELOW_Q, almanac=almanac)
    if time != grid_tt:
        kept.save(path, {"rows": rows, "state": state})
    return rows, state


def _at_epoch(path: Path) -> Array:
    """States of all orbits at their own epochs, as `_book` has just kept or found them."""
    arrays = kept.load(path, only="state")
    if arrays is None or "state" not in arrays:
        path.unlink(missing_ok=True)
        raise Retriable(f"{path}: damaged, and deleted", next_step="the next attempt computes it again")
    return arrays["state"]
