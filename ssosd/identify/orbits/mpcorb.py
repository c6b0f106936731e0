"""The Minor Planet Center's MPCORB.DAT, read as fixed columns.

Format: https://minorplanetcenter.net/iau/info/MPOrbitFormat.html. Lines that lack the computer's name, with
flags and readable name moved to the left, are known by their hexadecimal flags.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssosd.errors import BadInput
from ssosd.identify.orbits.columns import (
    chunks,
    decimal,
    digits,
    is_packed_date,
    magnitudes,
    mjd,
    mjd_packed,
    text,
)
from ssosd.identify.orbits.elements import Orbits, chosen, joined
from ssosd.identify.orbits.kepler import GM_SUN, states_from_mean_anomaly
from ssosd.identify.orbits.uncertainty import runoff_arcsec_per_year

Array = NDArray[np.float64]

_LINE = 202
_FARTHEST_DAYS = 200 * 365.25  # of an epoch from the others': they are some decades apart
#: Where a line of MPCORB has its decimal points: M, peri, node, incl, e, n, a.
_POINTS = (29, 40, 51, 62, 71, 82, 95)


def read_mpcorb(path: Path) -> Orbits:
    """Read a file in the format of MPCORB.DAT, also compressed as ``.gz``.

    Parameters
    ----------
    path : Path
        Its header and any line that holds no orbit are passed over.

    Returns
    -------
    Orbits

    Raises
    ------
    Misconfigured
        There is no such file, or it cannot be read.
    BadInput
        Not one line of it is an orbit.
    """
    parts = [part for lines in chunks(path) if (part := _parsed(lines)) is not None]
    if not parts:
        raise BadInput(
            f"ORBITS {path}: no line is an orbit in the format of MPCORB.DAT",
            next_step="download https://www.minorplanetcenter.net/iau/MPCORB/MPCORB.DAT.gz",
        )
    book = joined(parts)
    usual = np.sort(book.epoch)[len(book) // 2]
    near = np.abs(book.epoch - usual) <= _FARTHEST_DAYS  # one of another age is a misprint, and costs minutes
    return book if near.all() else chosen(book, near)


def count_orbits(path: Path) -> int:
    """How many lines of a file are orbits in the format of MPCORB.DAT, read to its end.

    Raises
    ------
    Misconfigured
        It cannot be read, or is compressed and cut short.
    """
    return sum(len(_orbit_lines(lines)) for lines in chunks(path))


def _orbit_lines(whole: bytes) -> NDArray[np.uint8]:
    """Lines that hold an orbit, shape (n, 202), as characters."""
    lines = [line[:_LINE].ljust(_LINE) for line in whole.split(b"\n") if len(line) > _POINTS[-1] + 7]
    grid = np.frombuffer(b"".join(lines), dtype=np.uint8).reshape(-1, _LINE)
    return grid[(grid[:, _POINTS] == ord(".")).all(axis=1) & is_packed_date(grid[:, 20:25])]


def _parsed(whole: bytes) -> Orbits | None:
    grid = _orbit_lines(whole)
    if not len(grid):
        return None
    mean, peri, node, incl = (decimal(grid[:, point - 3 : point + 6]) for point in _POINTS[:4])
    e = np.minimum(decimal(grid[:, 70:79]), 0.9999999)
    motion, a = decimal(grid[:, 80:91]), decimal(grid[:, 92:103])
    # both are rounded: of the mean motion 5e-9 deg/d, of the axis 5e-8 AU; take the one that says more
    with np.errstate(divide="ignore"):
        from_motion = np.cbrt(GM_SUN / np.radians(motion) ** 2)
    a = np.where((motion > 0.0) & (5e-9 * a < 7.5e-8 * motion), from_motion, a)
    epoch = mjd_packed(grid[:, 20:25])
    first, last, arc_days = _observed(grid, epoch)
    short = (grid[:, 150:154] != ord(" ")).all(axis=1) & (grid[:, 154] == ord(" ")) & _hexadecimal(grid)
    shifted = np.where(short[:, None], grid[:, 155:183], grid[:, 166:194])
    packed = np.char.strip(text(grid[:, 0:7]))
    return Orbits(
        state=states_from_mean_anomaly(a=a, e=e, incl=incl, node=node, peri=peri, mean_anomaly=mean),
        epoch=epoch,
        h=magnitudes(grid[:, 8:13], np.nan),
        g=magnitudes(grid[:, 14:19], 0.15),
        a=a.astype(np.float32),
        e=e.astype(np.float32),
        q=(a * (1.0 - e)).astype(np.float32),
        runoff=runoff_arcsec_per_year(uncertainty=grid[:, 105], arc_days=arc_days),
        first=first.astype(np.float32),
        last=last.astype(np.float32),
        comet=np.zeros(len(a), dtype=bool),
        packed=packed.astype("S12"),
        readable=np.char.strip(text(shifted)),
    )


def _hexadecimal(grid: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the four flags stand where the computer's name would."""
    flags = grid[:, 150:154]
    digit = (flags >= ord("0")) & (flags <= ord("9"))
    return np.asarray((digit | ((flags >= ord("A")) & (flags <= ord("F")))).all(axis=1))


def _observed(grid: NDArray[np.uint8], epoch: Array) -> tuple[Array, Array, Array]:
    """First and last observation (MJD) and length of the arc in days."""
    years = grid[:, 131] == ord("-")  # "1802-2014", else a number of days
    first_year, last_year = digits(grid[:, 127:131]), digits(grid[:, 132:136])
    day = digits(grid[:, 194:202])
    dated = day > 17_000_000
    # the year alone: its middle, but not later than the epoch
    last = np.where(years, np.minimum(mjd(last_year, 7.0, 1.0), epoch), epoch)
    last = np.where(dated, mjd(day // 10_000, day // 100 % 100, day % 100), last)
    arc = np.where(years, last - mjd(first_year, 7.0, 1.0), digits(grid[:, 127:131]))
    return last - np.maximum(arc, 0.0), last, np.maximum(arc, 0.0)
