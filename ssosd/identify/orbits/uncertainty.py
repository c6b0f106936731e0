"""How well an orbit tells where its object is, from the MPC's parameter U and the observed arc."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

#: U counts the logarithm of the runoff in longitude, arcsec per decade, in ninths of that of half a turn
#: (https://minorplanetcenter.net/iau/info/UValue.html); the middle of each class is taken.
_HALF_TURN = 648_000.0
#: Classes that stand for a missing U, by the length of the observed arc in days.
_ARCS = np.array([3.0, 10.0, 30.0, 60.0, 180.0, 1000.0, 3000.0])
_CLASS_OF_ARC = np.array([9.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0])

_ARCSEC_FLOOR = 0.1
_DAYS_PER_YEAR = 365.25


def runoff_arcsec_per_year(*, uncertainty: NDArray[np.uint8], arc_days: Array) -> NDArray[np.float32]:
    """Growth of the error of the heliocentric longitude.

    Parameters
    ----------
    uncertainty : ndarray of uint8, shape (n,)
        The character U of MPCORB: a digit; letters and blanks say that there is none, and the arc has to.
    arc_days : ndarray, shape (n,)
        Length of the observed arc.

    Examples
    --------
    >>> runoff_arcsec_per_year(
    ...     uncertainty=np.frombuffer(b"05 ", "u1"), arc_days=np.array([9e3, 900, 5])
    ... ).astype(int).tolist()
    [0, 80, 30811]
    """
    told = (uncertainty >= ord("0")) & (uncertainty <= ord("9"))
    grade = np.where(
        told, uncertainty - np.float64(ord("0")), _CLASS_OF_ARC[np.searchsorted(_ARCS, arc_days)]
    )
    return (_HALF_TURN ** ((grade - 0.5) / 9.0) / 10.0).astype(np.float32)


def heliocentric_error_arcsec(
    *, runoff: Floats, first: Floats, last: Floats, epoch: Floats, mjd: float, drift: float
) -> Array:
    """One-sigma error of the heliocentric longitude, arcsec.

    The runoff grows outside the observed arc, the ephemeris' own error away from the elements' epoch.

    Parameters
    ----------
    runoff : ndarray, shape (n,)
        Arcsec/year.
    first, last, epoch : ndarray, shape (n,)
        MJD of the arc's ends and of the elements.
    mjd : float
        The moment.
    drift : float
        Of the ephemeris of the planets, arcsec/year.
    """
    outside = np.maximum(np.maximum(mjd - last, first - mjd), 0.0) / _DAYS_PER_YEAR
    away = np.abs(mjd - epoch) / _DAYS_PER_YEAR
    return np.asarray(np.sqrt(_ARCSEC_FLOOR**2 + (runoff * outside) ** 2 + (drift * away) ** 2))
