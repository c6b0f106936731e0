"""FILTER_PM: sources outside the range of proper motion, or whose motion is not significant."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.filters.outcome import Criterion, Outcome
from ssosd.grouping import Grouping

COLUMNS = ("PM", "PMERR")


def filter_pm(
    detections: pd.DataFrame, grouping: Grouping, *, pm_low: float, pm_up: float, pm_snr: float
) -> Outcome:
    """Keep the sources with ``PM_LOW <= PM <= PM_UP`` and ``PM / PMERR >= PM_SNR``.

    PM and PMERR belong to the source, so they are read from its earliest detection. A PM that is NaN was not
    measured and is rejected. A PMERR that is NaN, zero or negative is not an error of zero but an unknown
    one: the significance cannot be shown and the source is rejected, unless PM_SNR is 0 or less (no
    significance asked for). An infinite PMERR is a significance of zero.

    Parameters
    ----------
    detections : DataFrame
        Columns PM and PMERR in "/h.
    grouping : Grouping
    pm_low, pm_up : float
        Limits on PM, "/h, inclusive.
    pm_snr : float
        Smallest PM / PMERR, inclusive.

    Returns
    -------
    Outcome
    """
    first = grouping.order[grouping.starts]
    pm = detections["PM"].to_numpy(dtype=np.float64)[first]
    pm_err = detections["PMERR"].to_numpy(dtype=np.float64)[first]
    known = pm_err > 0.0
    snr = np.where(known, 0.0, np.nan)
    with np.errstate(over="ignore"):  # a vanishing error is an infinite significance
        np.divide(pm, pm_err, out=snr, where=known & np.isfinite(pm_err))
    asked = pm_snr > 0.0
    return Outcome.of(
        grouping.n_groups,
        [
            Criterion(reason="PM not measured", rejects=np.isnan(pm), measured=pm, limit=pm_low),
            Criterion(reason="PM below PM_LOW", rejects=pm < pm_low, measured=pm, limit=pm_low),
            Criterion(reason="PM above PM_UP", rejects=pm > pm_up, measured=pm, limit=pm_up),
            Criterion(
                reason="PMERR not measured, PM/PMERR unknown",
                rejects=~known & asked,
                measured=np.nan,
                limit=pm_snr,
            ),
            Criterion(reason="PM/PMERR below PM_SNR", rejects=snr < pm_snr, measured=snr, limit=pm_snr),
        ],
    )
