"""FILTER_BRIGHT_SOURCES: sources near a bright star, where spikes and ghosts live."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ssosd import sphere
from ssosd.filters.outcome import Criterion, Outcome, sorted_column
from ssosd.grouping import Grouping

COLUMNS = ("RA", "DEC")
STAR_COLUMNS = ("RA", "DEC", "MAG")


def filter_bright_sources(
    detections: pd.DataFrame,
    grouping: Grouping,
    *,
    stars: pd.DataFrame,
    distance: float,
    mag_limits: tuple[float, float],
) -> Outcome:
    """Reject the sources of which any detection is closer than DISTANCE to a bright star.

    Bright are the stars with ``MAG_LIMITS[0] <= MAG <= MAG_LIMITS[1]``; a star without magnitude or position
    is left out. Distances are great-circle distances. Measured is the smallest distance of any detection
    of the source to any bright star, the limit is `distance`; a source exactly at the limit is kept.

    Parameters
    ----------
    detections : DataFrame
        Columns RA, DEC in degrees ICRS; non-finite positions are passed over.
    grouping : Grouping
    stars : DataFrame
        Columns RA, DEC (degrees ICRS) and MAG; may be empty.
    distance : float
        DISTANCE, arcsec.
    mag_limits : tuple of float
        MAG_LIMITS, magnitudes, inclusive.

    Returns
    -------
    Outcome
    """
    nearest = np.full(grouping.order.size, np.inf)
    star_ra, star_dec, mag = (stars[name].to_numpy(dtype=np.float64) for name in STAR_COLUMNS)
    bright = np.isfinite(star_ra) & np.isfinite(star_dec) & (mag >= mag_limits[0]) & (mag <= mag_limits[1])
    star_ra, star_dec = star_ra[bright], star_dec[bright]
    ra = sorted_column(detections, "RA", grouping)
    dec = sorted_column(detections, "DEC", grouping)
    rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if star_ra.size and rows.size and distance > 0.0:
        tree = cKDTree(sphere.unit_vectors(star_ra, star_dec))
        angle = min(np.radians(distance / sphere.ARCSEC_PER_DEG), np.pi)
        reach = 2.0 * np.sin(angle / 2.0) * (1.0 + 1e-9) + 1e-12  # a hair wider; the separation decides
        chord, star = tree.query(sphere.unit_vectors(ra[rows], dec[rows]), distance_upper_bound=reach)
        found = np.isfinite(chord)
        rows, star = rows[found], np.asarray(star)[found]
        nearest[rows] = sphere.separation_arcsec(ra[rows], dec[rows], star_ra[star], star_dec[star])
    closest = grouping.min(nearest)
    return Outcome.of(
        grouping.n_groups,
        [
            Criterion(
                reason="closer to a bright star than DISTANCE",
                rejects=closest < distance,
                measured=closest,
                limit=distance,
            )
        ],
    )
