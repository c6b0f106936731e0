"""Numbers, names and dynamical classes of objects, as a person expects them."""

from __future__ import annotations

import re

import mpc_designation
import numpy as np
from numpy.typing import NDArray

_NUMBERED = re.compile(r"\((\d+)\)\s*(.*)")
_PERIODIC = re.compile(r"(\d+[PDI])/(.+)")
_PACKED_NUMBER = re.compile(r"[0-9A-Za-z]\d{4}|~[0-9A-Za-z]{4}")


def number_and_name(packed: str, readable: str) -> tuple[str, str]:
    """Permanent number (empty when there is none) and name or designation.

    Examples
    --------
    >>> number_and_name("00001", "(1) Ceres"), number_and_name("A0345", "")
    (('1', 'Ceres'), ('100345', '(100345)'))
    >>> number_and_name("K10A01B", "2010 AB1"), number_and_name("0001P", "1P/Halley")
    (('', '2010 AB1'), ('1P', 'Halley'))
    """
    if match := _NUMBERED.fullmatch(readable):
        return match[1], match[2] or f"({match[1]})"
    if match := _PERIODIC.fullmatch(readable):
        return match[1], match[2]
    try:
        full = mpc_designation.unpack(packed)
    except mpc_designation.MPCDesignationError:
        return "", readable or packed
    if _PACKED_NUMBER.fullmatch(packed):
        number = full.strip("()")
        return number, readable or f"({number})"
    return "", readable or full


def classes(a: NDArray[np.float32], e: NDArray[np.float32], comet: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Dynamical classes by axis and eccentricity, in SkyBoT's words.

    The limits are those of https://ssp.imcce.fr/webservices/skybot/ (classes of asteroids).

    Parameters
    ----------
    a, e : ndarray, shape (n,)
        Semi-major axis (AU) and eccentricity.
    comet : ndarray of bool, shape (n,)
    """
    q, far = a * (1.0 - e), a * (1.0 + e)
    bound = (e < 1.0) & (a > 0.0)
    return np.select(
        [
            comet | ~bound,
            (a < 1.0) & (far < 0.983),
            (a < 1.0) & (q < 1.3),
            (q < 1.017),
            (q < 1.3),
            (q < 1.666) & (a < 3.2),
            (a < 2.0),
            (a < 2.5),
            (a < 2.82),
            (a < 3.27),
            (a < 3.7),
            (a < 4.6),
            (a < 5.5),
            (a < 30.1),
        ],
        [
            *("Comet", "NEA>Atira", "NEA>Aten", "NEA>Apollo", "NEA>Amor", "Mars-Crosser", "Hungaria"),
            *("MB>Inner", "MB>Middle", "MB>Outer", "MB>Cybele", "MB>Hilda", "Trojan", "Centaur"),
        ],
        default="KBO",
    ).astype(object)
