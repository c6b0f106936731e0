"""How deep an exposure goes, from its own catalogue: 5 sigma and 50 %."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STEP = 0.25  # mag, width of the bins of the counts
_FIT_MAG = 2.5  # range of brightness below the turn-over in which the counts are taken as complete
_SHY_OF_PEAK = 1.0  # mag, not used for that: incompleteness begins before the peak
_LEAST = 60  # detections for a statement from their counts
_MAX_SLOPE = 0.8  # of log10 N per mag; 0.6 is uniform space


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

    The logarithm of the counts rises linearly with magnitude as far as they are complete; that line is
    fitted below the turn-over, and the answer is where the counts have fallen to half of it.

    Parameters
    ----------
    mag : array_like, shape (n,)
        Calibrated magnitudes of all detections.

    Returns
    -------
    float
        NaN when there are too few detections or the counts do not turn over.
    """
    m = np.asarray(mag, dtype=np.float64)
    m = m[np.isfinite(m)]
    if len(m) < _LEAST:
        return np.nan
    low, high = np.floor(np.quantile(m, 0.01)), np.ceil(m.max()) + _STEP
    edges = np.arange(low, high + _STEP, _STEP)
    counts = np.histogram(m, edges)[0].astype(np.float64)
    middle = edges[:-1] + _STEP / 2.0
    peak = int(np.argmax(np.convolve(counts, np.ones(3) / 3.0, mode="same")))
    complete = (middle <= middle[peak] - _SHY_OF_PEAK) & (middle > middle[peak] - _SHY_OF_PEAK - _FIT_MAG)
    complete &= counts > 0
    if complete.sum() < 4 or counts[complete].sum() < _LEAST / 3:
        return np.nan
    slope, level = _line(middle[complete], counts[complete])
    expected = 10.0 ** (level + slope * middle)
    fraction = counts / expected
    below = np.flatnonzero((fraction < 0.5) & (np.arange(len(counts)) >= peak))
    if not below.size:
        return np.nan
    last = int(below[0])
    before = max(fraction[last - 1], 0.5) if last else 0.5
    within = (before - 0.5) / max(before - fraction[last], 1e-9)
    return float(middle[last] - _STEP + _STEP * within)


def _line(x: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and level of log10 counts, weighted by Poisson statistics; the slope within its bounds."""
    weight = counts
    y = np.log10(counts)
    mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = np.average((x - mean_x) ** 2, weights=weight)
    slope = float(np.average((x - mean_x) * (y - mean_y), weights=weight) / spread) if spread > 0 else 0.0
    slope = float(np.clip(slope, 0.0, _MAX_SLOPE))
    return slope, float(mean_y - slope * mean_x)
