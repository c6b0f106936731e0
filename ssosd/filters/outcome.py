"""What a filter answers: which sources stay, and for each other the criterion, the value and the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ssosd.grouping import Grouping

LEDGER_COLUMNS = ("SOURCE_NUMBER", "FILTER", "MEASURED", "LIMIT", "REASON", "N_DETECTIONS")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Criterion:
    """One rule of a filter, applied to all sources."""

    reason: str  # one short sentence, without numbers of the data
    rejects: NDArray[np.bool_]  # shape (n_sources,)
    measured: ArrayLike  # shape (n_sources,) or scalar
    limit: ArrayLike  # shape (n_sources,) or scalar, same unit as measured


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """Result of one filter over all sources of a grouping; arrays of shape (n_sources,) unless said."""

    keep: NDArray[np.bool_]
    measured: NDArray[np.float64]  # of the criterion that rejected; NaN for sources that are kept
    limit: NDArray[np.float64]  # of the criterion that rejected; NaN for sources that are kept
    reason: NDArray[np.intp]  # index into `reasons`; -1 for sources that are kept
    reasons: tuple[str, ...]
    flagged: NDArray[np.bool_] | None = None  # shape (n_rows,), sorted rows that get FLAGS_SSOS 1

    @classmethod
    def of(
        cls, n_sources: int, criteria: Sequence[Criterion], *, flagged: NDArray[np.bool_] | None = None
    ) -> Outcome:
        """Combine criteria: the first that rejects a source is the one recorded.

        Examples
        --------
        >>> low = Criterion(reason="too low", rejects=np.array([True, False]), measured=[1.0, 5.0], limit=2.0)
        >>> outcome = Outcome.of(2, [low])
        >>> outcome.keep.tolist(), outcome.measured.tolist()
        ([False, True], [1.0, nan])
        """
        reason = np.full(n_sources, -1, dtype=np.intp)
        measured = np.full(n_sources, np.nan)
        limit = np.full(n_sources, np.nan)
        for i, criterion in enumerate(criteria):
            fresh = criterion.rejects & (reason < 0)
            reason[fresh] = i
            measured[fresh] = np.broadcast_to(np.asarray(criterion.measured, dtype=np.float64), n_sources)[
                fresh
            ]
            limit[fresh] = np.broadcast_to(np.asarray(criterion.limit, dtype=np.float64), n_sources)[fresh]
        return cls(
            keep=reason < 0,
            measured=measured,
            limit=limit,
            reason=reason,
            reasons=tuple(criterion.reason for criterion in criteria),
            flagged=flagged,
        )

    def ledger(self, name: str, grouping: Grouping) -> pd.DataFrame:
        """List the rejected sources as ledger rows, by source number; `name` is the FILTER."""
        rejected = np.flatnonzero(~self.keep)
        reasons = np.array(self.reasons, dtype=object)
        return pd.DataFrame(
            {
                "SOURCE_NUMBER": grouping.keys[rejected],
                "FILTER": pd.Series(np.full(rejected.size, name, dtype=object), dtype="str"),
                "MEASURED": self.measured[rejected],
                "LIMIT": self.limit[rejected],
                "REASON": pd.Series(reasons[self.reason[rejected]], dtype="str"),
                "N_DETECTIONS": grouping.counts[rejected].astype(np.int64),
            },
            columns=list(LEDGER_COLUMNS),
        )


def sorted_column(detections: pd.DataFrame, name: str, grouping: Grouping) -> NDArray[np.float64]:
    """Take column `name` as floats in the order of the grouping's rows, shape (n_rows,)."""
    return detections[name].to_numpy(dtype=np.float64)[grouping.order]


def by_tracklets(detections: pd.DataFrame, grouping: Grouping) -> NDArray[np.bool_]:
    """Sources of the tracklet linker, shape (n_sources,); none without LINKED_BY.

    That linker has told them, by the whole field's detections, from what is fixed on the detector and from
    centroids that wander.
    """
    if "LINKED_BY" not in detections:
        return np.zeros(grouping.n_groups, dtype=bool)
    linked_by = detections["LINKED_BY"].to_numpy()[grouping.order[grouping.starts]]
    return np.asarray(linked_by == "TRACKLET", dtype=bool)
