"""Positions of a sequence made consistent: what is at rest stays at its place from exposure to exposure.

An astrometric solution leaves a small pattern in each exposure (distortion near the edges, refraction, a
tilted chip) that differs from the next one's when the field moves on the detector. Stars then seem to move,
slowly and all alike. Here the pattern is fitted to the stars of each exposure, relative to their mean places,
and taken out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.grouping import BoolArray, FloatArray, IntArray, rows_of
from ssosd.linker.tracklets.plane import Plane, project, to_sky
from ssosd.linker.tracklets.stationary import places_on_sky
from ssosd.patterns import clipped_fit, polynomials

WIDE = 3.0  # places are looked for within so many times the usual reach
OFTEN = 0.6  # of the exposures that see a star
PER_TERM = 10  # stars that each coefficient of a pattern needs
DEGREES = (5, 4, 3, 2, 1, 0)  # of the polynomial in the position on the chip, the highest that the stars bear


def made_consistent(detections: pd.DataFrame) -> pd.DataFrame:
    """Take out of RA and DEC what the stars of each exposure and chip show in common.

    For each exposure and chip a polynomial of the pixel position, of degree 5 or as far as there are ten
    stars for each coefficient, is fitted to the offsets of the stars from their mean places, with outliers
    clipped. The mean places themselves, and so the tie to the reference catalogue, stay.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        All detections of a sequence at their solved positions, with the columns of
        `ssosd.linker.tracklets.plane.NEEDED`. Never modified.

    Returns
    -------
    DataFrame
        RA and DEC (deg ICRS) changed; rows without a finite position and time, and chips with fewer than ten
        stars, as they were.

    Raises
    ------
    Misconfigured
        A column is missing.
    """
    plane = project(detections)
    if plane.n_epochs < 2:
        return detections
    dx, dy, stars = _offsets(plane)
    frames = plane.frame * (int(plane.chip.max(initial=0)) + 1) + plane.chip
    found, label = np.unique(frames, return_inverse=True)
    x, y = plane.x.copy(), plane.y.copy()
    for here in rows_of(label, found.size):
        terms = _terms(plane, here, int(stars[here].sum()))
        if terms is None:
            continue
        used = stars[here]
        sigma = plane.sigma[here][used]
        weight = 1.0 / np.hypot(sigma, np.median(sigma))  # the brightest few shall not decide alone
        for place, offset in ((x, dx), (y, dy)):
            place[here] -= terms @ clipped_fit(terms[used], offset[here][used], weight)
    ra, dec = detections["RA"].to_numpy(np.float64).copy(), detections["DEC"].to_numpy(np.float64).copy()
    ra[plane.rows], dec[plane.rows] = to_sky(plane, x, y)
    return detections.assign(RA=ra, DEC=dec)


def _offsets(plane: Plane) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Offset of each detection from the mean of its place, arcsec, and which are of stars often seen."""
    places = places_on_sky(plane, factor=WIDE)
    label = places.label
    stars = (places.shared >= max(2.0, OFTEN * plane.n_epochs)) & ~plane.saturated
    weight = 1.0 / plane.sigma**2
    total = np.bincount(label, weight)
    dx, dy = (v - (np.bincount(label, weight * v) / total)[label] for v in (plane.x, plane.y))
    return dx, dy, stars


def _terms(plane: Plane, here: IntArray, n_stars: int) -> FloatArray | None:
    """Chebyshev polynomials of the position on the chip; None with too few stars. Shape (n_here, n_terms)."""
    px, py = plane.pixel_x[here], plane.pixel_y[here]
    u, v = ((p - p.mean()) / max(float(np.ptp(p)) / 2.0, 1.0) for p in (px, py))
    for degree in DEGREES:
        if n_stars >= PER_TERM * (degree + 1) * (degree + 2) // 2:
            return polynomials(u, v, degree)
    return None
