"""Predicted places compared with detections: on which chip, next to what, and is that a star."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd import sphere
from ssosd.identify.evidence import Evidence

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

STAR_ARCSEC = 1.5  # detections of one star in several exposures lie within this
BLEND_ARCSEC = 3.0  # a star this near to the predicted place may hide the object
NEAR_ARCSEC = (
    2.0  # a detection this near to the predicted place is the object's; more if it is known less well
)
_SIGMAS = 3.0
_RADIANS = np.pi / 180.0 / sphere.ARCSEC_PER_DEG


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Places:
    """What is at each predicted place, arrays of shape (m,)."""

    on_chip: BoolArray
    detected: BoolArray  # a detection that is no star
    sources: NDArray[np.int64]  # (m, 2): SOURCE_NUMBER of that detection by each linker; -1 without one
    mag: FloatArray  # its instrumental magnitude; NaN without one
    blended: BoolArray  # not detected, and a star so near that it may hide the object


def look(
    *,
    object_: NDArray[np.intp],
    ra: FloatArray,
    dec: FloatArray,
    exposure: NDArray[np.int64],
    reach: FloatArray,
    evidence: Evidence,
) -> Places:
    """Look at what is where known objects were predicted.

    A star is what is detected at the same place in half or more of the other exposures, or is in the
    reference catalogue. Exposures in which the object itself is that near to the place do not count.

    Parameters
    ----------
    object_ : ndarray, shape (m,)
        Which object it is, counted from 0; an object comes once in an exposure at most.
    ra, dec : ndarray, shape (m,)
        Predicted places, degrees ICRS.
    exposure : ndarray, shape (m,)
        CATALOG_NUMBER.
    reach : ndarray, shape (m,)
        Within how many arcsec of the predicted place a detection is the object's, see `reach_arcsec`.
    evidence : Evidence
    """
    m = ra.size
    detected, blended = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
    sources, mag = np.full((m, 2), -1, dtype=np.int64), np.full(m, np.nan)
    towards = sphere.unit_vectors(ra, dec).reshape(-1, 3)
    at = sphere.unit_vectors(evidence.ra, evidence.dec).reshape(-1, 3)
    rows = _rows_of(evidence.exposure)
    trees = {number: cKDTree(at[of]) for number, of in rows.items()}
    on_chip = chips_hold(ra=ra, dec=dec, exposure=exposure, evidence=evidence)
    known = _rows_of(exposure)
    numbers, exposures = np.unique(evidence.exposure, return_inverse=True)
    sky = _Sky(
        stars=cKDTree(sphere.unit_vectors(evidence.star_ra, evidence.star_dec).reshape(-1, 3)),
        detections=cKDTree(at),
        exposure=exposures,
        numbers=numbers,
        objects=_by_exposure(object_, towards, known, numbers),
    )
    for number, of in known.items():
        blended[of] = sky.has_star(towards[of], object_[of], number, BLEND_ARCSEC)
        if number not in trees:
            continue
        hits = trees[number].query_ball_point(towards[of], _chord(reach[of]))
        counts = np.fromiter(map(len, hits), dtype=np.intp, count=len(hits))
        if not counts.any():
            continue
        detection = rows[number][np.concatenate(hits).astype(np.intp)]
        prediction = np.repeat(of, counts)
        there = ~sky.has_star(at[detection], object_[prediction], number, STAR_ARCSEC)
        detection, prediction = detection[there], prediction[there]
        away = np.sum((at[detection] - towards[prediction]) ** 2, axis=1)
        order = np.lexsort((detection, away, prediction))
        first = order[np.unique(prediction[order], return_index=True)[1]]
        chosen, of_chosen = detection[first], prediction[first]
        detected[of_chosen] = True
        sources[of_chosen], mag[of_chosen] = evidence.sources[chosen], evidence.mag[chosen]
    return Places(
        on_chip=on_chip,
        detected=detected,
        sources=sources,
        mag=mag,
        blended=blended & ~detected,
    )


def reach_arcsec(error: FloatArray, radius_arcsec: float) -> FloatArray:
    """Within how many arcsec of the predicted place a detection is the object's.

    Parameters
    ----------
    error : ndarray
        One sigma of the prediction, arcsec.
    radius_arcsec : float
        CROSSMATCH_RADIUS: the most.
    """
    return np.minimum(np.hypot(NEAR_ARCSEC, _SIGMAS * np.nan_to_num(error)), radius_arcsec)


def chips_hold(
    *, ra: FloatArray, dec: FloatArray, exposure: NDArray[np.int64], evidence: Evidence
) -> BoolArray:
    """Whether each place is within a chip of its exposure: on the inner side of all four great circles."""
    inside = np.zeros(ra.size, dtype=bool)
    towards = sphere.unit_vectors(ra, dec).reshape(-1, 3)
    corners = sphere.unit_vectors(evidence.corners[:, :, 0], evidence.corners[:, :, 1])
    for number, corner in zip(evidence.chip_exposure.tolist(), corners, strict=True):
        of = np.flatnonzero(exposure == number)
        sides = towards[of] @ np.cross(corner, np.roll(corner, -1, axis=0)).T
        one_way = (sides >= 0.0).all(axis=1) | (sides <= 0.0).all(axis=1)
        inside[of] |= one_way & (towards[of] @ corner.mean(axis=0) > 0.0)
    return inside


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Sky:
    """Everything at rest: reference stars, and the detections of all exposures, which are numbered from 0."""

    stars: cKDTree
    detections: cKDTree
    exposure: NDArray[np.intp]  # of each detection
    numbers: NDArray[np.integer[Any]]  # CATALOG_NUMBER of each exposure with detections, ascending
    objects: FloatArray  # unit vector of each object in each exposure, NaN where it is not predicted

    def has_star(
        self, at: FloatArray, object_: NDArray[np.intp], exposure: int, radius_arcsec: float
    ) -> BoolArray:
        """Whether a star is at each place, which belongs to an object and is of an exposure."""
        chord = float(_chord(np.array(radius_arcsec)))
        own = float(_chord(np.array(radius_arcsec + NEAR_ARCSEC)))
        asked = ~(np.linalg.norm(self.objects[:, object_] - at, axis=2) < own).T  # place, exposure
        asked &= self.numbers != exposure
        hits: Any = self.detections.query_ball_point(at, chord)
        place = np.repeat(np.arange(len(at)), [len(found) for found in hits])
        seen = np.zeros_like(asked)
        if place.size:
            seen[place, self.exposure[np.concatenate(hits).astype(np.intp)]] = True
        n_seen, n_asked = (seen & asked).sum(axis=1), asked.sum(axis=1)
        at_rest = (n_seen > 0) & (2 * n_seen >= n_asked)
        if self.stars.n:
            at_rest |= np.isfinite(self.stars.query(at, distance_upper_bound=chord)[0])
        return np.asarray(at_rest)


def _rows_of(numbers: NDArray[np.integer[Any]]) -> dict[int, NDArray[np.intp]]:
    """Indices of the rows with each number."""
    order = np.argsort(numbers, kind="stable")
    values, first = np.unique(numbers[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, first[1:]), strict=True)) if order.size else {}


def _by_exposure(
    object_: NDArray[np.intp],
    towards: FloatArray,
    known: dict[int, NDArray[np.intp]],
    numbers: NDArray[np.integer[Any]],
) -> FloatArray:
    """Unit vectors of the objects, shape (n_exposures, n_objects, 3)."""
    n = int(object_.max()) + 1 if object_.size else 0
    places = np.full((numbers.size, n, 3), np.nan)
    for slot, number in enumerate(numbers.tolist()):
        of = known.get(number)
        if of is not None:
            places[slot, object_[of]] = towards[of]
    return places


def _chord(arcsec: FloatArray) -> FloatArray:
    return np.asarray(2.0 * np.sin(0.5 * arcsec * _RADIANS) + 1e-12)
