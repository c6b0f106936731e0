"""Carry many orbits through time: a vectorised symplectic integrator of the Wisdom-Holman kind.

Drifts on the conic about the Sun alternate with kicks by the planets and the Sun's relativistic term (Wisdom
& Holman 1991, AJ 102, 1528; heliocentric test particles). A step has two kicks, at the nodes of Gauss and
Legendre: scheme SABA2 of Laskar & Robutel (2001, Celest. Mech. 80, 39), whose error is of the fourth order in
the step where one kick per step has the second (0.3" in 400 days in the inner main belt with 8 days). Most
orbits take 8 days a step with Earth and Moon as one; those with perihelia within 1.4 AU, and any near a
planet, a kick each half day with Earth and Moon apart; within five Hill radii of a planet 16 times as many.
Full steps lie on a grid of times that are multiples of 8 days in MJD, so that going on from kept states gives
what a fresh run gives.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ssosd.identify.orbits.kepler import GM_SUN, drift
from ssosd.identify.orbits.planets import MASSES, MASSES_APART, Ephemeris, apart, together

Array = NDArray[np.float64]

GRID_DAYS = 8.0
FAST_DAYS = 1.0  # with two kicks
FAST_BELOW_Q = 1.4  # perihelion, AU
BLOCK = 8192  # orbits at a time: their arrays stay in a core's cache
_CLOSE_PARTS = 16  # of a fast step
_OUTER = 0.5 - math.sqrt(3.0) / 6.0  # of a step: where its first kick is
_PER_C2 = 1.0 / 173.144632674**2  # day^2/AU^2; c from IAU 2012 AU and CODATA

#: Within so many AU of Mars to Neptune a slow orbit takes fast steps (Mars: 8 days at 15 km/s and some more).
_NEAR = np.array([0.0, 0.0, 0.0, 0.15, 1.0, 0.7, 0.5, 0.5])
#: Distances of the planets from the Sun times the cube root of a third of their masses: Hill radii, AU.
_HILL = np.array([0.0012, 0.0067, 0.0066, 0.338, 0.43, 0.46, 0.77, 0.0100, 0.0023])
_CLOSE = 5.0 * np.where(_HILL < 0.1, _HILL, 0.02)  # near the giants fast steps are fine enough


class Almanac:
    """Perturbers' positions at the kicks of steps, kept once computed."""

    def __init__(self, ephemeris: Ephemeris) -> None:
        self.ephemeris = ephemeris
        self._kept: dict[tuple[float, float, int], Array] = {}

    def kicks(self, start: float, end: float, steps: int) -> Array:
        """Positions at the two kicks of each of `steps` equal parts of a span: shape (steps, 2, 10, 3)."""
        key = (start, end, steps)
        if key not in self._kept:
            nodes = np.arange(steps)[:, None] + np.array([_OUTER, 1.0 - _OUTER])
            at = self.ephemeris.heliocentric((start + (end - start) / steps * nodes).ravel())
            self._kept[key] = at.reshape(steps, 2, 10, 3)
        return self._kept[key]


def cross(state: Array, start: float, end: float, almanac: Almanac, fast: bool) -> None:
    """Carry orbits over at most one grid cell, in place.

    Parameters
    ----------
    state : ndarray, shape (6, n)
        AU and AU/day, see `ssosd.identify.orbits.kepler`.
    start, end : float
        TT MJD, in either order, at most `GRID_DAYS` apart.
    almanac : Almanac
    fast : bool
        All orbits are of the fast kind.
    """
    if start == end or state.shape[1] == 0:
        return
    if not fast:
        (kicks,) = together(almanac.kicks(start, end, 1))
        near, before = _step_all(state, end - start, kicks, MASSES, _NEAR)
        if len(near):
            cross(before, start, end, almanac, True)
            state[:, near] = before
        return
    steps = max(1, math.ceil(abs(end - start) / FAST_DAYS - 1e-9))
    dt = (end - start) / steps
    for i, kicks in enumerate(apart(almanac.kicks(start, end, steps))):
        near, before = _step_all(state, dt, kicks, MASSES_APART, _CLOSE)
        if len(near):
            fine = apart(almanac.kicks(start, end, steps * _CLOSE_PARTS))
            for kick in fine[i * _CLOSE_PARTS : (i + 1) * _CLOSE_PARTS]:
                before = _step(before, dt / _CLOSE_PARTS, kick, MASSES_APART)
            state[:, near] = before


def _step_all(
    state: Array, dt: float, kicks: Array, masses: Array, limits: Array
) -> tuple[NDArray[np.intp], Array]:
    """One step of all in place; which were within `limits` (AU) of a planet, and their states before."""
    near, before = [], []
    for first in range(0, state.shape[1], BLOCK):
        block = np.ascontiguousarray(state[:, first : first + BLOCK])
        here = np.zeros(block.shape[1], dtype=bool)
        for body, limit in zip(kicks[0], limits, strict=True):
            if limit > 0.0:
                here |= _square(block[:3] - body[:, None]) < limit * limit
        if here.any():
            near.append(first + np.flatnonzero(here))
            before.append(block[:, here])
        state[:, first : first + BLOCK] = _step(block, dt, kicks, masses)
    if not near:
        return np.empty(0, dtype=np.intp), np.empty((6, 0))
    return np.concatenate(near), np.concatenate(before, axis=1)


def _step(state: Array, dt: float, kicks: Array, masses: Array) -> Array:
    """One step of SABA2 with the bodies at its two kicks."""
    state = drift(state, _OUTER * dt)
    state[3:] += (0.5 * dt) * perturbation(state, kicks[0], masses)
    state = drift(state, (1.0 - 2.0 * _OUTER) * dt)
    state[3:] += (0.5 * dt) * perturbation(state, kicks[1], masses)
    return drift(state, _OUTER * dt)


def perturbation(state: Array, bodies: Array, masses: Array) -> Array:
    """Acceleration by all but the Sun's Newtonian pull, AU/day^2, of shape (3, n).

    Direct and indirect terms of the planets at `bodies` (b, 3), and the first post-Newtonian term of the Sun
    (Moyer 2003, Formulation for Observed and Computed Values, eq. 4-61).
    """
    pos, vel = state[:3], state[3:]
    gms = GM_SUN * masses
    indirect = -(gms / np.sum(bodies * bodies, axis=1) ** 1.5) @ bodies
    r2 = _square(pos)
    inverse = 1.0 / np.sqrt(r2)
    scale = (GM_SUN * _PER_C2) * inverse * inverse * inverse
    away = scale * (4.0 * GM_SUN * inverse - _square(vel))
    along = (4.0 * scale) * (pos[0] * vel[0] + pos[1] * vel[1] + pos[2] * vel[2])
    acc: Array = away * pos
    acc += along * vel
    acc += indirect[:, None]
    for body, gm in zip(bodies, gms, strict=True):
        apart_by = body[:, None] - pos
        d2 = _square(apart_by)
        apart_by *= gm / (d2 * np.sqrt(d2))
        acc += apart_by
    return acc


def _square(v: Array) -> Array:
    return v[0] * v[0] + v[1] * v[1] + v[2] * v[2]


def advance(state: Array, start: Array, end: float, *, fast: NDArray[np.bool_], almanac: Almanac) -> None:
    """Carry orbits, each from its own time, to one common time, in place.

    One thread: two gain nothing on arrays that fit a core's cache.

    Parameters
    ----------
    state : ndarray, shape (6, n)
        Overwritten by the states at `end`.
    start : ndarray, shape (n,)
        TT MJD of each.
    end : float
        TT MJD.
    fast : ndarray of bool, shape (n,)
        Which orbits take fast steps throughout.
    almanac : Almanac
    """
    for kind in (True, False):
        for ahead in (True, False):
            chosen = np.flatnonzero((fast == kind) & ((start <= end) if ahead else (start > end)))
            chosen = chosen[np.argsort(-np.abs(start[chosen] - end), kind="stable")]  # the farthest first
            if len(chosen):
                part = state[:, chosen]
                _march(part, start[chosen], end, almanac, kind)
                state[:, chosen] = part


def _march(state: Array, start: Array, end: float, almanac: Almanac, fast: bool) -> None:
    """Carry orbits in place whose times are sorted, the farthest from `end` first.

    Each orbit first goes alone to the next time of the grid, and joins the others there.
    """
    sign = 1.0 if end >= start[0] else -1.0
    joins = sign * np.minimum(GRID_DAYS * np.ceil(sign * start / GRID_DAYS), sign * end)
    alone = start != joins
    for moment in np.unique(start[alone]):
        rows = slice(*np.searchsorted(sign * start, [sign * moment, np.nextafter(sign * moment, np.inf)]))
        cross(state[:, rows], float(moment), float(joins[rows.start]), almanac, fast)
    now = float(joins[0])
    while now != end:
        here = int(np.searchsorted(sign * joins, sign * now, side="right"))
        until = sign * min(GRID_DAYS * (math.floor(sign * now / GRID_DAYS) + 1), sign * end)
        cross(state[:, :here], now, until, almanac, fast)
        now = until
