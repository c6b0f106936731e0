"""Brightness of what is at rest: the epochs on one scale, and stars that something passes in front of."""

from __future__ import annotations

import numpy as np

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.plane import Plane

# A place at rest outshone in one epoch: brighter than its median by so many magnitudes, in SNR and in MAG.
# On painted nights a quarter of one percent of the stars are, by their neighbours' light.
BRIGHTER_SNR, BRIGHTER_MAG = 0.4, 0.5
ROUNDS, ENOUGH = 4, 10


def outshone(plane: Plane, place: IntArray, solid: BoolArray) -> BoolArray:
    """Which detections at rest are far brighter than their place usually is: of a mover in front of a star.

    Parameters
    ----------
    plane : Plane
    place : ndarray of int, shape (n,)
        Label of the place of each detection.
    solid : ndarray of bool, shape (n,)
        Detections at rest.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    result = solid.copy()
    for values, step in ((-2.5 * np.log10(plane.snr), BRIGHTER_SNR), (plane.mag, BRIGHTER_MAG)):
        level = values - zero_points(plane, values, place, solid)[plane.epoch]
        result[solid] &= _medians(level[solid], place[solid]) - level[solid] > step
    return result


def _medians(values: FloatArray, label: IntArray) -> FloatArray:
    """Median of the values of each label, for each value; NaN where one of them is."""
    order = np.lexsort((values, label))
    start = np.flatnonzero(np.diff(label[order], prepend=-1))
    count = np.diff(start, append=order.size)
    ordered = values[order]
    middle = 0.5 * (ordered[start + (count - 1) // 2] + ordered[start + count // 2])
    result = np.empty(values.size)
    result[order] = np.repeat(middle, count)
    return result


def zero_points(plane: Plane, values: FloatArray, place: IntArray, solid: BoolArray) -> FloatArray:
    """Median difference of each epoch's magnitudes to the mean of their places; 0 where unknown."""
    zero = np.zeros(plane.n_epochs)
    good = np.flatnonzero(solid & np.isfinite(values) & (np.abs(values) < 90.0))
    if not good.size:
        return zero
    epoch, own, value = plane.epoch[good], place[good], values[good]
    count = np.bincount(own)
    of_epoch = np.split(
        np.argsort(epoch, kind="stable"), np.cumsum(np.bincount(epoch, minlength=plane.n_epochs))[:-1]
    )
    for _ in range(ROUNDS):  # places that a cloud hides in one epoch have another mean
        level = value - zero[epoch]
        difference = level - np.bincount(own, level)[own] / count[own]
        for number, members in enumerate(of_epoch):
            if members.size >= ENOUGH:
                middle = members.size // 2
                zero[number] += np.partition(difference[members], middle)[middle]
    return zero
