"""Detections grouped by source in time order, once, so that all sources can be worked on at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssosd.days import DAY_S

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

SAME_INSTANT_S = 2.0  # exposures whose middles are closer in time show no motion against each other


def instants(mjd: FloatArray) -> IntArray:
    """Number the instants of some times (MJD) in their order, -1 for times that are not finite; shape (n,).

    An instant lasts 2 s from its first time on, so that a fast camera's frames are not all of one.

    >>> (instants(np.array([0.0, 1.5, 3.0, 4.5, np.nan, 0.0]) / 86400.0)).tolist()
    [0, 0, 1, 1, -1, 0]
    """
    result = np.full(mjd.size, -1, dtype=np.intp)
    finite = np.isfinite(mjd)
    moments, place = np.unique(mjd[finite], return_inverse=True)
    starts, at = [], 0
    while at < moments.size:
        starts.append(at)
        at = int(np.searchsorted(moments, moments[at] + SAME_INSTANT_S / DAY_S, side="right"))
    result[finite] = np.searchsorted(starts, place, side="right") - 1
    return result


def rows_of(label: IntArray, count: int) -> list[IntArray]:
    """Rows with each label from 0 to `count` - 1, in their order: one sort, where a mask each would be n^2.

    >>> [rows.tolist() for rows in rows_of(np.array([1, 0, 1]), 3)]
    [[1], [0, 2], []]
    """
    order = np.argsort(label, kind="stable")
    return np.split(order, np.searchsorted(label[order], np.arange(1, count)))[:count]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Which rows of a table belong to which source, in time order.

    "Sorted rows" below means the rows taken as ``column[grouping.order]``: group after group, each in time
    order. The methods, and the functions of `ssosd.motion`, work on arrays of sorted rows or of groups.

    Attributes
    ----------
    order : ndarray of int, shape (n_rows,)
        Row numbers of the table.
    starts : ndarray of int, shape (n_groups,)
        Where each group starts in `order`.
    counts : ndarray of int, shape (n_groups,)
        Rows of each group, 1 or more.
    keys : ndarray of int, shape (n_groups,)
        The source number of each group, ascending.
    labels : ndarray of int, shape (n_rows,)
        The group's index, 0 to n_groups - 1, of each sorted row.
    """

    order: IntArray
    starts: IntArray
    counts: IntArray
    keys: NDArray[np.int64]
    labels: IntArray

    @classmethod
    def of(cls, keys: ArrayLike, times: ArrayLike, *ties: ArrayLike) -> Grouping:
        """Group rows by `keys`, each group ordered by `times`; rows of the same instant by `ties`.

        Parameters
        ----------
        keys : array_like of int, shape (n,)
            Source numbers.
        times : array_like of float, shape (n,)
            Times; NaN comes last in its group.
        *ties : array_like, shape (n,)
            Further columns that make the order of equal times independent of the order of the rows.

        Examples
        --------
        >>> groups = Grouping.of([7, 3, 7], [2.0, 0.0, 1.0])
        >>> groups.keys.tolist(), groups.order.tolist(), groups.counts.tolist()
        ([3, 7], [1, 2, 0], [1, 2])
        """
        key = np.asarray(keys, dtype=np.int64)
        time = np.asarray(times, dtype=np.float64)
        order: IntArray = np.arange(key.size, dtype=np.intp)
        if not _ascending(key, time):
            order = np.lexsort((time, key))
            if ties and not _ascending(key[order], time[order]):
                order = np.lexsort((*(np.asarray(tie) for tie in reversed(ties)), time, key))
        return cls._from_sorted(order, key[order])

    @classmethod
    def _from_sorted(cls, order: IntArray, key: NDArray[np.int64]) -> Grouping:
        new = np.ones(key.size, dtype=bool)
        np.not_equal(key[1:], key[:-1], out=new[1:])
        return cls._from_breaks(order, new, key)

    @classmethod
    def _from_breaks(cls, order: IntArray, new: BoolArray, key: NDArray[np.int64]) -> Grouping:
        starts = np.flatnonzero(new)
        counts = np.diff(starts, append=order.size)
        labels = np.repeat(np.arange(starts.size), counts)
        return cls(order=order, starts=starts, counts=counts, keys=key[starts], labels=labels)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.starts.size)

    @property
    def ranks(self) -> IntArray:
        """Place of each sorted row in its group, from 0; shape (n_rows,)."""
        return np.arange(self.order.size) - self.starts[self.labels]

    def select(self, keep: BoolArray) -> Grouping:
        """Only the groups where `keep`, shape (n_groups,), is true."""
        order = self.order[np.repeat(keep, self.counts)]
        counts, keys = self.counts[keep], self.keys[keep]
        starts = np.cumsum(counts) - counts
        labels = np.repeat(np.arange(starts.size), counts)
        return Grouping(order=order, starts=starts, counts=counts, keys=keys, labels=labels)

    def split(self, new: BoolArray) -> tuple[Grouping, IntArray]:
        """Subgroups: a further group starts at each sorted row where `new`, shape (n_rows,), is true.

        Returns
        -------
        subgroups : Grouping
            The same rows in the same order, cut more finely; `keys` still are the source numbers.
        parents : ndarray of int, shape (n_subgroups,)
            The index in this grouping of the group that each subgroup is part of.
        """
        cut = new.copy()
        cut[self.starts] = True
        subgroups = Grouping._from_breaks(self.order, cut, self.keys[self.labels])
        return subgroups, self.labels[subgroups.starts]

    def restrict(self, rows: BoolArray) -> tuple[Grouping, IntArray]:
        """Only the sorted rows where `rows`, shape (n_rows,), is true; groups without any vanish.

        Returns
        -------
        grouping : Grouping
        parents : ndarray of int, shape (n_groups_left,)
            The index in this grouping of each group that is left.
        """
        labels = self.labels[rows]
        new = np.ones(labels.size, dtype=bool)
        np.not_equal(labels[1:], labels[:-1], out=new[1:])
        left = Grouping._from_breaks(self.order[rows], new, self.keys[labels])
        return left, labels[left.starts]

    def sum(self, values: ArrayLike) -> FloatArray:
        """Sum of sorted-row `values`, shape (n_rows,), over each group: shape (n_groups,)."""
        weights = np.asarray(values, dtype=np.float64)
        sums = np.bincount(self.labels, weights=weights, minlength=self.n_groups)
        return np.asarray(sums, dtype=np.float64)

    def max(self, values: FloatArray) -> FloatArray:
        """Largest of sorted-row `values` in each group; NaN is passed over (all NaN gives NaN)."""
        return np.fmax.reduceat(values, self.starts) if self.n_groups else np.empty(0)

    def min(self, values: FloatArray) -> FloatArray:
        """Smallest of sorted-row `values` in each group; NaN is passed over (all NaN gives NaN)."""
        return np.fmin.reduceat(values, self.starts) if self.n_groups else np.empty(0)

    def median_of_sorted(self, values: FloatArray) -> FloatArray:
        """Median of values that already ascend within each group (without NaN): shape (n_groups,)."""
        low = self.starts + (self.counts - 1) // 2
        high = self.starts + self.counts // 2
        return 0.5 * (values[low] + values[high])

    def median(self, values: FloatArray) -> FloatArray:
        """Median of sorted-row `values` (without NaN) in each group: shape (n_groups,)."""
        return self.median_of_sorted(values[np.lexsort((values, self.labels))])


def _ascending(key: NDArray[np.int64], time: FloatArray) -> bool:
    """Whether rows ascend by key and, within a key, strictly by time."""
    same = key[1:] == key[:-1]
    return bool(np.all((key[1:] > key[:-1]) | (same & (time[1:] > time[:-1]))))
