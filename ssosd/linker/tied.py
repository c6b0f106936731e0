"""Positions of a sequence tied to the reference stars: what its joint solution leaves over the field goes.

SCAMP's polynomial follows the detector; what is left of it varies slowly over the field and is the same in
all exposures, one or two hundredths of an arcsecond: as much as the error of a bright mover's position.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.plane import SATURATED
from ssosd.patterns import clipped_fit, polynomials
from ssosd.sphere import from_offsets_arcsec, mean_position, offsets_arcsec

NEAR = 1.0  # arcsec: a detection so near is of the star
BRIGHT_SNR = 30.0  # its error is then below that of the reference position
PER_TERM = 30  # stars that each coefficient needs: a reference position is as uncertain as a detection
HIGHEST = 3  # degree; higher ones find nothing more on painted nights


def tied_to_reference(detections: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Take out of RA and DEC what bright stars show in common against their reference positions.

    A polynomial of the place on the sky, of degree 3 or as far as there are thirty stars for each
    coefficient, is fitted to the offsets of all exposures together: what is at rest stays at its place from
    exposure to exposure.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        At positions that are consistent (`ssosd.linker.consistency`): RA, DEC (deg ICRS), SNR_WIN,
        FLAGS_EXTRACTION. Never modified.
    reference : DataFrame
        RA, DEC (deg ICRS) of the reference stars at the epoch of the sequence.

    Returns
    -------
    DataFrame
        RA and DEC changed; as they were where fewer than thirty stars tell.
    """
    ra, dec = (detections[name].to_numpy(np.float64) for name in ("RA", "DEC"))
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any() or reference.empty:
        return detections
    centre = mean_position(ra[known], dec[known])
    x, y = offsets_arcsec(ra, dec, *centre)
    bright = known & (detections["SNR_WIN"].to_numpy(np.float64) > BRIGHT_SNR)
    bright &= (detections["FLAGS_EXTRACTION"].to_numpy(np.int64) & SATURATED) == 0
    row, star, offset = _matches(x, y, bright, reference, centre)
    terms = _terms(x, y, known, int(np.unique(star).size))
    if terms is None:
        return detections
    weight = np.ones(row.size)
    new_x, new_y = (
        v - terms @ clipped_fit(terms[row], o, weight) for v, o in zip((x, y), offset, strict=True)
    )
    tied = from_offsets_arcsec(new_x, new_y, *centre)
    return detections.assign(
        **{name: np.where(known, t, v) for name, t, v in zip(("RA", "DEC"), tied, (ra, dec), strict=True)}
    )


def _matches(
    x: FloatArray, y: FloatArray, bright: BoolArray, reference: pd.DataFrame, centre: tuple[float, float]
) -> tuple[IntArray, IntArray, tuple[FloatArray, FloatArray]]:
    """Rows of bright detections with a reference star, the star, and the offsets from it, arcsec."""
    star_x, star_y = offsets_arcsec(reference["RA"], reference["DEC"], *centre)
    there = np.flatnonzero(np.isfinite(star_x))
    row = np.flatnonzero(bright)
    tree = cKDTree(np.column_stack([star_x[there], star_y[there]]))
    distance, nearest = map(
        np.asarray, tree.query(np.column_stack([x[row], y[row]]), distance_upper_bound=NEAR)
    )
    found = np.isfinite(distance)
    row, star = row[found].astype(np.intp), there[nearest[found]]
    return row, star, (x[row] - star_x[star], y[row] - star_y[star])


def _terms(x: FloatArray, y: FloatArray, known: BoolArray, n_stars: int) -> FloatArray | None:
    """Polynomials of the place, of a degree that the stars bear; None with too few. Shape (n, n_terms)."""
    half = max(float(np.abs(v[known]).max()) for v in (x, y))
    for degree in range(HIGHEST, -1, -1):
        if n_stars >= PER_TERM * (degree + 1) * (degree + 2) // 2:
            return polynomials(x / half, y / half, degree)
    return None
