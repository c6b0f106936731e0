"""FILTER_TRAIL: sources whose size varies more than its errors allow."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.filters.outcome import Criterion, Outcome, sorted_column
from ssosd.grouping import Grouping

COLUMNS = ("AWIN_IMAGE", "ERRAWIN_IMAGE", "BWIN_IMAGE", "ERRBWIN_IMAGE")


def size_ratio(
    grouping: Grouping, size: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Error of the weighted mean over the standard deviation of each source's sizes, shape (n_sources,).

    The error of the weighted mean is ``1 / sqrt(sum(1 / error^2))``, the standard deviation that of the
    sample (n - 1), not weighted. The documentation of the rule writes the weights as one over the square
    root of a variance and names the ERR columns; these hold standard deviations (SExtractor's "RMS error"),
    so the usual weights of a weighted mean, one over the error squared, make the ratio a pure number.

    Detections whose size is not finite, or whose error is not positive and finite, are left out. Fewer than
    two left give NaN; sizes that do not vary at all give infinity.
    """
    good = np.isfinite(size) & np.isfinite(error) & (error > 0.0)
    n = grouping.sum(good)
    first = grouping.min(np.where(good, size, np.nan))
    relative = np.where(good, size - first[grouping.labels], 0.0)
    smallest = grouping.min(np.where(good, error, np.nan))
    weight = np.where(good, (smallest[grouping.labels] / np.where(good, error, 1.0)) ** 2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = grouping.sum(relative) / n
        deviation = np.where(good, relative - mean[grouping.labels], 0.0)
        varies = grouping.max(relative) > 0.0
        scatter = np.where(varies, np.sqrt(grouping.sum(deviation**2) / (n - 1.0)), 0.0)
        ratio = smallest / np.sqrt(grouping.sum(weight)) / scatter
    return np.where(n >= 2, ratio, np.nan)


def filter_trail(detections: pd.DataFrame, grouping: Grouping, *, ratio: float) -> Outcome:
    """Reject the sources whose AWIN_IMAGE or BWIN_IMAGE has a `size_ratio` below RATIO.

    A source with fewer than two usable sizes cannot be judged and is kept.

    Parameters
    ----------
    detections : DataFrame
        Columns AWIN_IMAGE, BWIN_IMAGE and their errors ERRAWIN_IMAGE, ERRBWIN_IMAGE, pixels.
    grouping : Grouping
    ratio : float
        RATIO, the smallest ratio allowed.

    Returns
    -------
    Outcome
        Measured is the ratio; where both axes fail, the one of AWIN_IMAGE.
    """
    criteria = []
    for axis in ("A", "B"):
        size = sorted_column(detections, f"{axis}WIN_IMAGE", grouping)
        error = sorted_column(detections, f"ERR{axis}WIN_IMAGE", grouping)
        measured = size_ratio(grouping, size, error)
        criteria.append(
            Criterion(
                reason=f"{axis}WIN_IMAGE varies more than RATIO allows",
                rejects=measured < ratio,
                measured=measured,
                limit=ratio,
            )
        )
    return Outcome.of(grouping.n_groups, criteria)
