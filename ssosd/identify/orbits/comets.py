"""The Minor Planet Center's orbital elements of comets, CometEls.txt.

Format: https://minorplanetcenter.net/iau/info/CometOrbitFormat.html.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssosd.errors import BadInput
from ssosd.identify.orbits.columns import chunks, mjd
from ssosd.identify.orbits.elements import Orbits
from ssosd.identify.orbits.kepler import states_from_perihelion

_NAME = slice(102, 158)
_ELEMENTS = (slice(30, 39), slice(41, 49), slice(51, 59), slice(61, 69), slice(71, 79))
_EPOCH, _H, _SLOPE = slice(81, 89), slice(91, 95), slice(96, 100)
_RUNOFF = 10.0  # arcsec/year from the epoch: outgassing is not modelled


def read_comets(path: Path) -> Orbits | None:
    """Read a file in the format of the MPC's CometEls.txt; None when it is empty.

    A line that is none is passed over: one bad line costs no other comet, and no asteroid.

    Raises
    ------
    Misconfigured
        There is no such file, or it cannot be read.
    BadInput
        Not one line of it is a comet.
    """
    lines = [line.decode("latin-1") for line in b"".join(chunks(path)).splitlines() if line.strip()]
    rows = [row for line in lines if (row := _comet(line)) is not None]
    if lines and not rows:
        raise BadInput(
            f"COMETS {path}: no line is a comet in the format of CometEls.txt",
            next_step="download https://www.minorplanetcenter.net/iau/MPCORB/CometEls.txt",
        )
    if not rows:
        return None
    table = np.array([row[:-2] for row in rows], dtype=np.float64).T
    q, e, peri, node, incl, perihelion, epoch, h, slope = table
    with np.errstate(divide="ignore"):
        a = q / (1.0 - e)
    n = len(q)
    return Orbits(
        state=states_from_perihelion(q=q, e=e, incl=incl, node=node, peri=peri, days=epoch - perihelion),
        epoch=epoch,
        h=h.astype(np.float32),
        g=slope.astype(np.float32),
        a=a.astype(np.float32),
        e=e.astype(np.float32),
        q=q.astype(np.float32),
        runoff=np.full(n, _RUNOFF, dtype=np.float32),
        first=epoch.astype(np.float32),
        last=epoch.astype(np.float32),
        comet=np.ones(n, dtype=bool),
        packed=np.array([row[-2] for row in rows], dtype="S12"),
        readable=np.array([row[-1] for row in rows], dtype=f"S{_NAME.stop - _NAME.start}"),
    )


def _comet(line: str) -> tuple[float | bytes, ...] | None:
    """Numbers and names of a line; None for one that is no comet."""
    stamp, h, slope = (line[at].strip() for at in (_EPOCH, _H, _SLOPE))
    try:
        perihelion = _mjd(line[14:18], line[19:21], line[22:29])
        epoch = _mjd(stamp[:4], stamp[4:6], stamp[6:8]) if stamp else perihelion
        q, e, *angles = (float(line[at]) for at in _ELEMENTS)
        light = (float(h) if h else np.nan, float(slope) if slope else 4.0)
    except ValueError:
        return None
    if not (0.0 < q < np.inf and 0.0 <= e < np.inf and np.isfinite(angles).all()):
        return None
    packed = (line[0:5] if line[0:4].strip() else line[4:12]).strip().encode("latin-1")
    name = line[_NAME].strip().encode("latin-1")  # as it was read: numpy takes no letters beyond ASCII
    return (q, e, *angles, perihelion, epoch, *light, packed, name)


def _mjd(year: str, month: str, day: str) -> float:
    """MJD of a date with parts of a day; ValueError where it is none."""
    if not (1 <= int(month) <= 12 and 0.0 <= float(day) < 32.0):
        raise ValueError
    return float(mjd(np.array(float(int(year))), float(month), 0.0)) + float(day)
