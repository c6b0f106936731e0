"""How deep an exposure goes, from its own catalogue: 5 sigma and 50 %."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import expit

_STEP = 0.25  # mag, width of the bins of the counts
_FIT_MAG = 3.5  # range of brightness below the turn-over in which the counts are taken for a line
_LEAST = 200  # detections for a statement from their counts: of fewer, too large a share is false
_MAX_SLOPE = 0.8  # of log10 N per mag; 0.6 is uniform space
_WIDTH = (0.1, 0.5)  # mag, of the fall; magnitudes' own errors widen it
_WORST_ERROR = 0.25  # mag, of an answer


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


def half_complete(mag: ArrayLike) -> float:
    """Magnitude at which half of what is there is detected, by the counts of the frame itself.

    The logarithm of the counts rises linearly with magnitude as far as they are complete, and the fraction
    that is detected falls as 1 / (1 + exp((m - m50) / width)). Both are fitted together to all bins: a few
    counts more or less in one of them do not decide.

    Parameters
    ----------
    mag : array_like, shape (n,)
        Calibrated magnitudes of all detections.

    Returns
    -------
    float
        NaN when there are too few detections, or their counts leave it open by more than a quarter of a mag.
    """
    m = np.asarray(mag, dtype=np.float64)
    m = m[np.isfinite(m)]
    if len(m) < _LEAST:
        return np.nan
    low, high = np.floor(np.quantile(m, 0.01)), np.ceil(m.max()) + 1.0  # some empty bins show the end
    edges = np.arange(low, high + _STEP, _STEP)
    counts = np.histogram(m, edges)[0].astype(np.float64)
    middle = edges[:-1] + _STEP / 2.0
    peak = middle[int(np.argmax(np.convolve(counts, np.ones(3) / 3.0, mode="same")))]
    used = middle > peak - _FIT_MAG
    x, seen = middle[used] - peak, _steadied(counts[used])

    def residuals(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        level, slope, half, width = vector
        complete = np.exp(level + np.log(10.0) * slope * x)
        return _steadied(complete * expit((half - x) / width)) - seen

    fit = least_squares(
        residuals,
        [np.log(counts.max()), 0.3, 0.5, 0.2],
        bounds=([-np.inf, 0.0, -1.0, _WIDTH[0]], [np.inf, _MAX_SLOPE, x[-1], _WIDTH[1]]),
        loss="soft_l1",
    )
    slopes = np.asarray(fit.jac)
    error = float(np.sqrt(np.linalg.pinv(slopes.T @ slopes)[2, 2]))
    return float(peak + fit.x[2]) if error < _WORST_ERROR else np.nan


def _steadied(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of Poisson counts, large or small, numbers with an error of 1 (Anscombe 1948, Biometrika 35, 246)."""
    return 2.0 * np.sqrt(counts + 0.375)
