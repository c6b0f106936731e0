"""The magnitude at which half of the movers are found, from counts in bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

#: What is tried: share of bright movers that are found, and the width of the fall, mag.
_PLATEAUS = np.arange(0.55, 1.0001, 0.025)
_WIDTHS = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6])
_STEP = 0.02  # mag
_LEAST = 20  # movers for a statement


def half_magnitude(mag: ArrayLike, n_injected: ArrayLike, n_found: ArrayLike) -> float:
    """Magnitude at which a smooth efficiency crosses one half.

    The efficiency A / (1 + exp((m - m0) / w)) of survey work (e.g. Gladman et al. 2009, Icarus 202, 104,
    without the quadratic term) is fitted to the counts by maximum likelihood on a grid, each bin at its
    middle.

    Parameters
    ----------
    mag : array_like, shape (n,)
        Middles of the bins.
    n_injected, n_found : array_like, shape (n,)

    Returns
    -------
    float
        NaN with fewer than 20 movers, and when the counts do not bracket one half: more than that are found
        in the faintest bins, or fewer in the brightest.

    Examples
    --------
    >>> half_magnitude([18.25, 18.75, 19.25, 19.75], [40, 40, 40, 40], [40, 36, 4, 0])
    19.0
    >>> half_magnitude([18.25, 18.75], [40, 40], [40, 39])
    nan
    """
    middle, n, k = (np.asarray(values, dtype=np.float64) for values in (mag, n_injected, n_found))
    if n.sum() < _LEAST:
        return float("nan")
    low, high = middle.min() - 0.25, middle.max() + 0.25
    turns = np.arange(low, high + 2.0 * _STEP, _STEP)
    plateau, turn, width = (grid[..., None] for grid in np.meshgrid(_PLATEAUS, turns, _WIDTHS, indexing="ij"))
    chance = np.clip(plateau / (1.0 + np.exp((middle - turn) / width)), 1e-6, 1.0 - 1e-6)
    likelihood = (k * np.log(chance) + (n - k) * np.log(1.0 - chance)).sum(axis=-1)
    best = np.unravel_index(np.argmax(likelihood), likelihood.shape)
    a, m0, w = _PLATEAUS[best[0]], turns[best[1]], _WIDTHS[best[2]]
    half = float(m0 + w * np.log(2.0 * a - 1.0))
    return round(half, 2) if middle.min() <= half <= middle.max() else float("nan")
