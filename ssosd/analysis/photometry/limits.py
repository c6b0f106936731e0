"""How deep an exposure goes: 5 sigma and 50 %."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

#: What is tried: share of bright ones that are detected, significance in magnitudes, width of the fall.
_SHARES = np.arange(0.7, 1.0001, 0.02)
_TURNS = np.arange(-3.0, 0.0, 0.02)
_WIDTHS = np.array([0.05, 0.1, 0.15, 0.2, 0.3])
_EDGES = np.arange(-4.0, 0.6, 0.1)  # of the bins, magnitudes
_STRAY = 0.01  # of detections of something else, and of those that something hides
_LEAST, _NEAR = 10, 1.0  # things on either side, so near in magnitudes
_TWO_SIGMA, _WORST_ERROR = 2.0, 0.1  # of the logarithm of the likelihood; mag, of an answer


def five_sigma(mag: ArrayLike, snr: ArrayLike) -> float:
    """Magnitude whose flux is five times its error, from detections with ratios between 4 and 15.

    Near the limit the noise is that of the sky: the ratio falls as the flux, so each detection tells where
    5 would be; the median of all is taken.

    Parameters
    ----------
    mag, snr : array_like, shape (n,)
        Calibrated magnitude and flux over its error.

    Returns
    -------
    float
        NaN with fewer than five such detections.

    Examples
    --------
    >>> mag = np.linspace(18, 21, 50)
    >>> round(five_sigma(mag, 5 * 10 ** (-0.4 * (mag - 20.5))), 3)
    20.5
    """
    m, ratio = np.asarray(mag, dtype=np.float64), np.asarray(snr, dtype=np.float64)
    use = np.isfinite(m) & (ratio > 4.0) & (ratio < 15.0)
    if use.sum() < 5:
        return np.nan
    return float(np.median(m[use] + 2.5 * np.log10(ratio[use] / 5.0)))


def half_detected(significance: ArrayLike, detected: ArrayLike) -> float:
    """Significance at which half of what is there was detected.

    The share A / (1 + exp((m - m0) / w)), of m in magnitudes, is fitted by maximum likelihood on a grid. The
    light is that of the exposure itself: what its noise has added to it has made the detection as well, so
    that it does not matter how those that are there were chosen.

    Parameters
    ----------
    significance : array_like, shape (n,)
        Light over the noise of the sky, of things that are there; of any sign.
    detected : array_like of bool, shape (n,)

    Returns
    -------
    float
        NaN where few are near it on either side, or these leave it open by more than a tenth of a magnitude.

    Examples
    --------
    >>> light = np.linspace(0.5, 12.0, 400)
    >>> round(half_detected(light, light > 4.0), 1)
    4.0
    >>> half_detected(light, light > 0.0)
    nan
    """
    light, seen = np.asarray(significance, dtype=np.float64), np.asarray(detected, dtype=bool)
    x = -2.5 * np.log10(np.maximum(light, 10.0 ** (-0.4 * _EDGES[-1])))
    bins = np.clip(np.digitize(x, _EDGES), 1, len(_EDGES) - 1) - 1
    n, k = np.bincount(bins, minlength=len(_EDGES) - 1), np.bincount(bins, seen, minlength=len(_EDGES) - 1)
    share, turn, width = (grid[..., None] for grid in np.meshgrid(_SHARES, _TURNS, _WIDTHS, indexing="ij"))
    middle = 0.5 * (_EDGES[1:] + _EDGES[:-1])
    chance = np.clip(share * expit((turn - middle) / width), _STRAY, 1.0 - _STRAY)
    likelihood = (k * np.log(chance) + (n - k) * np.log(1.0 - chance)).sum(axis=-1).max(axis=(0, 2))
    best = int(np.argmax(likelihood))
    open_mag = np.ptp(_TURNS[likelihood > likelihood[best] - _TWO_SIGMA]) / 4.0
    near = np.abs(x - _TURNS[best]) < _NEAR
    if min((near & seen).sum(), (near & ~seen).sum()) < _LEAST or open_mag > _WORST_ERROR:
        return float("nan")
    return float(10.0 ** (-0.4 * _TURNS[best]))
