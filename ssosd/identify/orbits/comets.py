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
_RUNOFF = 10.0  # arcsec/year from the epoch: outgassing is not modelled


def read_comets(path: Path) -> Orbits | None:
    """Read a file in the format of the MPC's CometEls.txt; None when it holds no comet.

    Raises
    ------
    Misconfigured
        There is no such file, or it cannot be read.
    BadInput
        A line is not in that format.
    """
    rows = []
    for number, line in enumerate(b"".join(chunks(path)).splitlines(), start=1):
        if line.strip():
            try:
                rows.append(_comet(line.decode("latin-1")))
            except ValueError as error:
                raise BadInput(
                    f"COMETS {path}, line {number}: not in the format of CometEls.txt: {error}"
                ) from error
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


def _comet(line: str) -> tuple[float | bytes, ...]:
    year, month, day = float(line[14:18]), float(line[19:21]), float(line[22:29])
    perihelion = float(mjd(np.array(year), month, 0.0)) + day
    stamp = line[81:89].strip()
    epoch = (
        float(mjd(np.array(float(stamp[:4])), float(stamp[4:6]), float(stamp[6:8]))) if stamp else perihelion
    )
    h, slope = line[91:95].strip(), line[96:100].strip()
    q, e, peri, node, incl = (float(line[at]) for at in _ELEMENTS)
    packed = (line[0:5] if line[0:4].strip() else line[4:12]).strip().encode("latin-1")
    name = line[_NAME].strip().encode("latin-1")  # as it was read: numpy takes no letters beyond ASCII
    return (
        *(q, e, peri, node, incl, perihelion, epoch),
        *(float(h) if h else np.nan, float(slope) if slope else 4.0, packed, name),
    )
