"""FILTER_DETEC: sources with an unwanted number of detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssosd.filters.outcome import Criterion, Outcome
from ssosd.grouping import Grouping

COLUMNS: tuple[str, ...] = ()


def filter_detections(grouping: Grouping, *, numbers: Sequence[int]) -> Outcome:
    """Reject the sources whose number of detections is one of `numbers` (DETECTIONS).

    The ledger's limit is the smallest number above the measured one that is not rejected: what the source
    would have needed. (With DETECTIONS 1,2,3 it is 4; with 1,5 it is 2 for one detection and 6 for five.)

    Parameters
    ----------
    grouping : Grouping
    numbers : sequence of int
        Unwanted numbers of detections; empty rejects nothing.

    Returns
    -------
    Outcome
    """
    unwanted = np.unique(np.asarray(numbers, dtype=np.int64))
    counts = grouping.counts
    rejects = np.isin(counts, unwanted)
    last_of_run = np.flatnonzero(np.diff(unwanted, append=unwanted[-1:] + 2) != 1)
    needed = np.zeros(grouping.n_groups)
    at = np.searchsorted(unwanted, counts[rejects])
    needed[rejects] = unwanted[last_of_run[np.searchsorted(last_of_run, at)]] + 1
    return Outcome.of(
        grouping.n_groups,
        [
            Criterion(
                reason="number of detections is one of DETECTIONS",
                rejects=rejects,
                measured=counts,
                limit=needed,
            )
        ],
    )
