"""Sources compared with known objects: who came near whom, and how well do positions and motions agree.

Sources and objects are numbered from 0 here; everything is done for all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd import sphere

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

UNCERTAIN_ARCSEC = 60.0  # an object known no better than this is at most "possible"
REACH_SIGMAS = 3.0  # how far from its prediction an uncertain object is looked for, in its errors
MOTION_SIGMAS = 5.0  # largest difference of motion, in its errors

_POSITION_FLOOR_ARCSEC = 1.0  # frame, clock and prediction together
_DETECTION_FLOOR_ARCSEC = 0.5  # one detection
_RATE_FLOOR = 1.5  # arcsec/h, tabulated rates: the diurnal parallax of a near main-belt object
_RATE_FRACTION = 0.01  # of the rate itself
_ERROR_HOURS = 24.0  # the time in which an ephemeris error may become another
_RADIANS = np.pi / 180.0 / sphere.ARCSEC_PER_DEG


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Observed:
    """Detections, shape (n,) each."""

    source: IntArray
    exposure: NDArray[np.int64]  # CATALOG_NUMBER
    ra: FloatArray  # deg ICRS
    dec: FloatArray
    hours: FloatArray  # since any moment
    pm_ra: FloatArray  # arcsec/h with cos Dec, of the source
    pm_dec: FloatArray
    checked: BoolArray  # the exposure was answered for


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predicted:
    """Known objects in exposures, shape (m,) each; an object comes once in an exposure at most."""

    object: IntArray
    exposure: NDArray[np.int64]
    ra: FloatArray
    dec: FloatArray
    pm_ra: FloatArray
    pm_dec: FloatArray
    error: FloatArray  # 1 sigma, arcsec; 0 where not told


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Encounters:
    """Detections and predictions of the same exposure that are near each other, shape (k,) each."""

    detection: IntArray  # index into `Observed`
    prediction: IntArray  # index into `Predicted`
    separation: FloatArray  # arcsec


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pairs:
    """Sources and objects that came near each other, shape (p,) each, and where they share exposures."""

    source: IntArray
    object: IntArray
    certain: BoolArray  # compatible, and it can be nothing but this
    compatible: BoolArray
    score: FloatArray  # minus twice the log likelihood: the lowest is the best
    shared_pair: IntArray  # of each shared exposure (q,): index of the pair
    shared_prediction: IntArray  # index into `Predicted`


def encounters(observed: Observed, predicted: Predicted, radius_arcsec: float) -> Encounters:
    """Find all detections within the reach of each prediction in its exposure.

    Parameters
    ----------
    observed : Observed
    predicted : Predicted
    radius_arcsec : float
        The reach of every object; of one with a larger uncertainty `REACH_SIGMAS` times that.

    Notes
    -----
    A k-d tree of unit vectors per exposure finds all within the chord 2 sin(angle / 2), the great-circle
    distance decides: right at the poles and at RA 0 as anywhere.
    """
    reach = _reach(predicted.error, radius_arcsec)
    chord = 2.0 * np.sin(0.5 * np.minimum(reach, 180.0 * sphere.ARCSEC_PER_DEG) * _RADIANS) + 1e-12
    at = sphere.unit_vectors(observed.ra, observed.dec)
    towards = sphere.unit_vectors(predicted.ra, predicted.dec)
    by_exposure = pd.Series(observed.exposure).groupby(observed.exposure).indices
    detections: list[IntArray] = []
    predictions: list[IntArray] = []
    for exposure, known in pd.Series(predicted.exposure).groupby(predicted.exposure).indices.items():
        seen = by_exposure.get(exposure)
        if seen is None:
            continue
        hits = cKDTree(at[seen]).query_ball_point(towards[known], chord[known])
        counts = np.fromiter(map(len, hits), dtype=np.intp, count=len(hits))
        if counts.any():
            detections.append(np.asarray(seen)[np.concatenate(hits).astype(np.intp)])
            predictions.append(np.repeat(np.asarray(known), counts))
    nothing = np.empty(0, dtype=np.intp)
    detection = np.concatenate(detections) if detections else nothing
    prediction = np.concatenate(predictions) if predictions else nothing
    separation = sphere.separation_arcsec(
        observed.ra[detection], observed.dec[detection], predicted.ra[prediction], predicted.dec[prediction]
    )
    inside = separation <= reach[prediction]
    return Encounters(
        detection=detection[inside], prediction=prediction[inside], separation=separation[inside]
    )


def compare(observed: Observed, predicted: Predicted, near: Encounters, radius_arcsec: float) -> Pairs:
    """Compare each source with each object that came near it, over all exposures they share.

    Parameters
    ----------
    observed : Observed
    predicted : Predicted
    near : Encounters
        From `encounters`.
    radius_arcsec : float
        CROSSMATCH_RADIUS.

    Notes
    -----
    Of the observed minus the predicted positions (arcsec, on a tangent plane) the mean is
    the offset, and the least-squares slope over time the difference of the motions; its variance follows
    from the scatter about the line (Press et al., Numerical Recipes, 3rd ed. 2007, eq. 15.2.9). Where there
    is no slope, for want of a second time, the tabulated rates are compared. With sigma_p^2 = floor^2 +
    error^2 the score is offset^2 / sigma_p^2 + 2 ln(sigma_p^2) + (difference of motion)^2 / sigma_v^2.
    """
    couples = pd.DataFrame(
        {"source": observed.source[near.detection], "object": predicted.object[near.prediction]}
    )
    couples = couples.drop_duplicates().sort_values(["source", "object"], ignore_index=True)
    count = len(couples)
    seen = pd.DataFrame(
        {"source": observed.source, "exposure": observed.exposure, "detection": np.arange(observed.ra.size)}
    )
    told = pd.DataFrame(
        {"object": predicted.object, "exposure": predicted.exposure, "row": np.arange(predicted.ra.size)}
    )
    shared = (
        couples.assign(pair=np.arange(count)).merge(seen, on="source").merge(told, on=["object", "exposure"])
    )
    pair, d, k = (shared[name].to_numpy(dtype=np.intp) for name in ("pair", "detection", "row"))

    def total(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(pair, weights=values, minlength=count), dtype=np.float64)

    n = np.bincount(pair, minlength=count)
    error = total(predicted.error[k]) / n
    separation = sphere.separation_arcsec(observed.ra[d], observed.dec[d], predicted.ra[k], predicted.dec[k])
    first = np.zeros(count, dtype=np.intp)
    first[pair[::-1]] = k[::-1]  # one tangent plane for all of a pair: at a pole, east turns with the object
    plane = predicted.ra[first][pair], predicted.dec[first][pair]
    at = sphere.offsets_arcsec(observed.ra[d], observed.dec[d], *plane)
    expected = sphere.offsets_arcsec(predicted.ra[k], predicted.dec[k], *plane)
    offsets = at[0] - expected[0], at[1] - expected[1]
    mean = [total(axis) / n for axis in offsets]
    hours = observed.hours[d] - (total(observed.hours[d]) / n)[pair]
    sxx = total(hours**2)
    timed = sxx > 0.0
    sxx = np.where(timed, sxx, 1.0)
    slopes = [total(hours * axis) / sxx for axis in offsets]
    scatter2 = sum(
        total((axis - m[pair] - slope[pair] * hours) ** 2)
        for axis, m, slope in zip(offsets, mean, slopes, strict=True)
    )
    detection2 = np.maximum(_DETECTION_FLOOR_ARCSEC**2, scatter2 / np.maximum(2 * (n - 2), 1))
    rates = [observed.pm_ra[d] - predicted.pm_ra[k], observed.pm_dec[d] - predicted.pm_dec[k]]
    tabulated = [total(axis) / n for axis in rates]
    speed2 = total(predicted.pm_ra[k] ** 2 + predicted.pm_dec[k] ** 2) / n
    known_to = np.nan_to_num(_RATE_FRACTION**2 * speed2) + (error / _ERROR_HOURS) ** 2
    difference2 = np.where(
        timed, slopes[0] ** 2 + slopes[1] ** 2, np.nan_to_num(tabulated[0] ** 2 + tabulated[1] ** 2)
    )
    motion2 = difference2 / (known_to + np.where(timed, detection2 / sxx, _RATE_FLOOR**2))

    n_near = np.bincount(
        pair, weights=separation <= _reach(predicted.error[k], radius_arcsec), minlength=count
    )
    n_close = np.bincount(pair, weights=separation <= radius_arcsec, minlength=count)
    source = couples["source"].to_numpy(dtype=np.intp)
    n_checked = np.bincount(observed.source, weights=observed.checked, minlength=1)[source]
    compatible = (2 * n_near >= n) & (2 * n >= n_checked) & (motion2 <= MOTION_SIGMAS**2)
    position2 = _POSITION_FLOOR_ARCSEC**2 + error**2
    return Pairs(
        source=source,
        object=couples["object"].to_numpy(dtype=np.intp),
        certain=compatible & (error < UNCERTAIN_ARCSEC) & (2 * n_close >= n),
        compatible=compatible,
        score=(mean[0] ** 2 + mean[1] ** 2) / position2 + 2.0 * np.log(position2) + motion2,
        shared_pair=pair,
        shared_prediction=k,
    )


def assign(pairs: Pairs) -> IntArray:
    """Choose compatible pairs one to one: the indices of those chosen.

    A source gets one object; an object gets one source per exposure, so that the pieces of a track that lie
    in different exposures may share it. Pairs are taken in the order certain before possible, then best
    score, then source and object number: the same for any order of the rows. (All pairs that no better pair
    stands against are taken at a time, which comes to the same.)
    """
    order = np.lexsort((pairs.object, pairs.source, pairs.score, ~pairs.certain))
    rank = np.empty(order.size, dtype=np.intp)
    rank[order] = np.arange(order.size)
    waiting = pairs.compatible.copy()
    chosen = np.zeros(order.size, dtype=bool)
    last = order.size
    while waiting.any():
        best_of_source = np.full(int(pairs.source.max()) + 1, last)
        np.minimum.at(best_of_source, pairs.source[waiting], rank[waiting])
        shared = waiting[pairs.shared_pair]
        slot, of_pair = pairs.shared_prediction[shared], pairs.shared_pair[shared]
        best_of_slot = np.full(int(slot.max()) + 1, last)
        np.minimum.at(best_of_slot, slot, rank[of_pair])
        beaten = np.zeros(order.size, dtype=bool)
        beaten[of_pair[best_of_slot[slot] < rank[of_pair]]] = True
        taken = waiting & (best_of_source[pairs.source] == rank) & ~beaten
        chosen |= taken
        waiting &= ~np.isin(pairs.source, pairs.source[taken])
        used = np.isin(slot, slot[taken[of_pair]])
        waiting[of_pair[used]] = False
    return np.flatnonzero(chosen)


def _reach(error: FloatArray, radius_arcsec: float) -> FloatArray:
    return np.maximum(radius_arcsec, REACH_SIGMAS * error)
