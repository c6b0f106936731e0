"""Which detections of an exposure are good reference stars: single, point-like, not saturated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd.sphere import ARCSEC_PER_DEG, unit_vectors

#: SExtractor writes 99 for a magnitude it could not measure.
NO_MAGNITUDE = 50.0
MAG_PER_RELATIVE = 2.5 / np.log(10.0)  # error of a magnitude over the relative error of its flux
_FAINTEST_ERROR = 0.2  # mag: fainter stars say nothing of the zero point
_SATURATED = 4  # SExtractor's flag; smaller ones are for crowding and blends
_BIN = 30  # stars in a bin along brightness
_MADS = 4.0  # median absolute deviations, scaled to sigmas, that a star may differ from its likes
_MIN_SHAPE = 0.05  # least relative half-width of the stellar locus


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Reference stars found in one exposure, in the order of the detections."""

    rows: NDArray[np.intp]  # of the exposure's detections
    stars: NDArray[np.intp]  # of the reference, one per row
    single: NDArray[np.bool_]  # whether the star has no neighbour in the reference


class ReferenceSky:
    """Reference stars in a tree, with those marked that have no neighbour.

    Parameters
    ----------
    reference : DataFrame
        RA, DEC (deg ICRS).
    radius_arcsec : float
        How far a detection may be from its star.
    clear_arcsec : float
        A star with another one nearer than this is not used.
    """

    def __init__(self, reference: pd.DataFrame, *, radius_arcsec: float, clear_arcsec: float) -> None:
        vectors = unit_vectors(reference["RA"], reference["DEC"])
        self._tree = cKDTree(vectors)
        self._chord = 2.0 * np.sin(np.radians(radius_arcsec / ARCSEC_PER_DEG) / 2.0)
        clear = 2.0 * np.sin(np.radians(clear_arcsec / ARCSEC_PER_DEG) / 2.0)
        if len(reference) > 1:
            self._single = np.asarray(self._tree.query(vectors, k=2)[0])[:, 1] > clear
        else:
            self._single = np.ones(len(reference), dtype=bool)

    def match(self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> Matched:
        """Pair each star with its nearest detection, where that is nearest to it too."""
        if not len(ra_deg) or not len(self._single):
            nothing = np.zeros(0, dtype=np.intp)
            return Matched(rows=nothing, stars=nothing, single=nothing.astype(bool))
        vectors = unit_vectors(ra_deg, dec_deg)
        nearest = self._tree.query(vectors, distance_upper_bound=self._chord)
        distance, star = (np.asarray(values) for values in nearest)
        near = np.flatnonzero(np.isfinite(distance))
        order = near[np.lexsort((distance[near], star[near]))]
        first = np.ones(len(order), dtype=bool)
        first[1:] = star[order[1:]] != star[order[:-1]]
        rows = np.sort(order[first])
        return Matched(rows=rows, stars=star[rows], single=self._single[star[rows]])


def measured(detections: pd.DataFrame) -> NDArray[np.bool_]:
    """Detections with a magnitude good enough to compare, not saturated nor at an edge.

    Parameters
    ----------
    detections : DataFrame
        MAG, MAGERR, FLAGS_EXTRACTION.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    mag, error = detections["MAG"].to_numpy(np.float64), detections["MAGERR"].to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        known = (np.abs(mag) < NO_MAGNITUDE) & (error > 0.0) & (error < _FAINTEST_ERROR)
    return np.asarray(known & (detections["FLAGS_EXTRACTION"].to_numpy() < _SATURATED))


def bins_of(error: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number the bins, of about as many stars each, that magnitude errors fall into; brightest first."""
    n_bins = max(1, len(error) // _BIN)
    rank = np.empty(len(error), dtype=np.intp)
    rank[np.argsort(error, kind="stable")] = np.arange(len(error))
    return np.minimum(rank * n_bins // max(len(error), 1), n_bins - 1)


def binned(values: NDArray[np.float64], bins: NDArray[np.intp]) -> tuple[pd.Series, pd.Series]:
    """Median and scatter (1.4826 times the median absolute deviation) of each bin, by its number."""
    series = pd.Series(values)
    median = series.groupby(bins).median()
    scatter = (series - median.take(bins).to_numpy()).abs().groupby(bins).median() * 1.4826
    return median, scatter


def pointlike(size: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Those of the usual size among detections as bright as they: no galaxy, no cosmic ray.

    Parameters
    ----------
    size, error : ndarray, shape (n,)
        Windowed rms size (AWIN_IMAGE, pixels) and error of the magnitude.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    bins = bins_of(error)
    median, scatter = (column.take(bins).to_numpy() for column in binned(size, bins))
    return np.asarray(np.abs(size - median) <= np.maximum(_MADS * scatter, _MIN_SHAPE * median))


def saturated_above(
    mag: NDArray[np.float64], difference: NDArray[np.float64], error: NDArray[np.float64]
) -> float:
    """Instrumental magnitude at which the detector stops counting right, -inf when nowhere.

    Bins of stars are looked at from the bright end: as long as a bin's median of (catalogue minus
    instrumental) is below that of all well-measured bins by more than its error and 0.06 mag, its stars are
    left out. A star whose flag the wrong saturation level did not set shows here.
    """
    if len(mag) < 2 * _BIN:
        return -np.inf
    n_bins = min(len(mag) // (_BIN // 3), 30)
    order = np.argsort(mag, kind="stable")
    bins = np.empty(len(mag), dtype=np.intp)
    bins[order] = np.arange(len(mag)) * n_bins // len(mag)
    median, scatter = (column.to_numpy() for column in binned(difference, bins))
    count = np.bincount(bins)
    faint_end = pd.Series(mag).groupby(bins).max().to_numpy()
    good = pd.Series(error).groupby(bins).median().to_numpy() < _FAINTEST_ERROR / 4.0
    level = float(np.median(median[good])) if good.any() else float(np.median(median))
    tolerance = np.maximum(0.06, 3.0 * scatter / np.sqrt(count))
    right = np.flatnonzero(median >= level - tolerance)
    return float(faint_end[right[0] - 1]) if right.size and right[0] > 0 else -np.inf


def mag_of_one_count(detections: pd.DataFrame) -> float:
    """Magnitude that MAG gives to a FLUX of one count: MAG_ZEROPOINT of the set-up; NaN where none tells."""
    flux, mag = detections["FLUX"].to_numpy(np.float64), detections["MAG"].to_numpy(np.float64)
    good = (flux > 0.0) & (np.abs(mag) < NO_MAGNITUDE)
    return float(np.median(mag[good] + 2.5 * np.log10(flux[good]))) if good.any() else np.nan
