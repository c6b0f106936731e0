"""Orbits as arrays, whatever file they came from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bytes = NDArray[np.bytes_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Orbits:
    """Many orbits, each array of one element per orbit; angles are gone, states stand for them."""

    state: Array  # (6, n) at the epoch, AU and AU/day, see `ssosd.identify.orbits.kepler`
    epoch: Array  # TT MJD
    h: NDArray[np.float32]  # absolute magnitude, NaN when not known
    g: NDArray[np.float32]  # slope parameter; for comets the factor K of 2.5 K log r
    a: NDArray[np.float32]  # semi-major axis, AU; infinite or negative for open orbits
    e: NDArray[np.float32]
    q: NDArray[np.float32]  # perihelion distance, AU; of a parabola a and e do not tell it
    runoff: NDArray[np.float32]  # growth of the error in heliocentric longitude, arcsec/year
    first: NDArray[np.float32]  # MJD between which it was observed: no growth there
    last: NDArray[np.float32]
    comet: NDArray[np.bool_]
    packed: Bytes  # MPC packed designation
    readable: Bytes  # as the file has it: "(1) Ceres", "Ceres", "1995 XA", "1P/Halley"

    def __len__(self) -> int:
        return len(self.epoch)


def joined(parts: list[Orbits]) -> Orbits:
    """One set of orbits from several."""
    return Orbits(
        **{f.name: np.concatenate([getattr(part, f.name) for part in parts], axis=-1) for f in fields(Orbits)}
    )


def chosen(orbits: Orbits, which: NDArray[np.bool_]) -> Orbits:
    """Those of the orbits for which it is true."""
    return Orbits(**{f.name: getattr(orbits, f.name)[..., which] for f in fields(Orbits)})
