"""Detections that swallowed a star: what passes close by one is detected with it, in the middle of both.

The other exposures show the star alone. Taken out by its place and its light, it leaves those of what passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.brightness import zero_points
from ssosd.linker.tracklets.plane import ERR_POSITION, LARGEST_ERROR, Plane, project, to_sky
from ssosd.linker.tracklets.stars import FWHM_PER_SIGMA, ROUND, Stars
from ssosd.linker.tracklets.stationary import places_on_sky, solid_places
from ssosd.model import SWALLOWED_FLAG
from ssosd.sphere import ARCSEC_PER_DEG

NEAR_FWHM = 1.5  # from a detection to the star in it
FAR_FWHM = 2.5  # from the star to what is left: farther away two are detected
LEAST, MOST = 0.02, 0.8  # of the light: a star below changes nothing, one above may leave its own noise
DOUBT = 0.5  # of the shift, for the error: on painted nights as far off, as windows favour the brighter one


def without_swallowed_stars(detections: pd.DataFrame) -> pd.DataFrame:
    """Take stars at rest out of detections that lie beside the place of one, while it is not detected itself.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        With the columns of `ssosd.linker.tracklets.plane.NEEDED`, ERR_POSITION (arcsec), FLUX, MAGERR and
        FLAGS_SSOS. Never modified.

    Returns
    -------
    DataFrame
        Where a star was taken out, RA, DEC, MAG and FLUX are those of what is left, their errors raised, and
        FLAGS_SSOS has `ssosd.model.SWALLOWED_FLAG`.

    Raises
    ------
    Misconfigured
        A column is missing.
    """
    plane = project(detections)
    places = places_on_sky(plane)
    solid = solid_places(plane, places)
    light = 10.0 ** (-0.4 * (plane.mag - zero_points(plane, plane.mag, places.label, solid)[plane.epoch]))
    stars = _stars(plane, places.label, light, solid & ~plane.saturated)
    size = float(np.median(plane.size[solid])) if solid.any() else 0.0
    fwhm = FWHM_PER_SIGMA * size * plane.scale
    apart = ~solid & ~plane.saturated
    if Stars.of(plane, ~solid, solid).whole:
        apart &= plane.elongation >= ROUND  # points among trails are catalogued without the light of these
    loose, star = _beside(plane, stars, apart, NEAR_FWHM * fwhm)
    share = stars.light[star] / light[loose]
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = (
            (own[loose] - share * of_star[star]) / (1.0 - share)
            for own, of_star in ((plane.x, stars.x), (plane.y, stars.y))
        )
        near = np.hypot(x - stars.x[star], y - stars.y[star]) < FAR_FWHM * fwhm
    good = near & (share > LEAST) & (share < MOST)
    loose, x, y, left = loose[good], x[good], y[good], 1.0 - share[good]
    shift = np.hypot(x - plane.x[loose], y - plane.y[loose])
    error = np.minimum(np.hypot(plane.sigma[loose] / left, DOUBT * shift), LARGEST_ERROR * plane.coarse)
    row = plane.rows[loose]
    old = detections.iloc[row]
    ra, dec = to_sky(plane, x, y)
    new = {
        "RA": ra,
        "DEC": dec,
        ERR_POSITION: error,
        **dict.fromkeys(("ERRA_WORLD", "ERRB_WORLD"), error / ARCSEC_PER_DEG),
        "MAG": old["MAG"] - 2.5 * np.log10(left),
        "MAGERR": old["MAGERR"] / left,
        "FLUX": old["FLUX"] * left,
        "FLAGS_SSOS": old["FLAGS_SSOS"] | SWALLOWED_FLAG,
    }
    return _with_rows(detections, row, new)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Stars:
    """What is at rest, one at each place, shape (n_stars,)."""

    x: FloatArray  # arcsec
    y: FloatArray
    light: FloatArray  # of magnitude 0 on the scale of all epochs
    at: IntArray  # star at the place of each detection, -1 for none, shape (n,)


def _stars(plane: Plane, label: IntArray, light: FloatArray, own: BoolArray) -> _Stars:
    """Means over some detections of each place."""
    n = int(label.max(initial=-1)) + 1
    count = np.bincount(label[own], minlength=n)
    there = count > 0
    x, y, mean = (np.bincount(label[own], v[own], n)[there] / count[there] for v in (plane.x, plane.y, light))
    return _Stars(x=x, y=y, light=mean, at=np.where(there, np.cumsum(there) - 1, -1)[label])


def _beside(plane: Plane, stars: _Stars, loose: BoolArray, reach: float) -> tuple[IntArray, IntArray]:
    """Loose detections with a star within reach that is not detected in their epoch, and the nearest such."""
    pairs = [np.empty((2, 0), dtype=np.intp)]
    order = np.argsort(plane.epoch, kind="stable")
    for here in np.split(order, np.searchsorted(plane.epoch[order], np.arange(1, plane.n_epochs))):
        missing = np.ones(stars.x.size, dtype=bool)
        missing[stars.at[here[stars.at[here] >= 0]]] = False
        asked, known = here[loose[here]], np.flatnonzero(missing)
        tree = cKDTree(np.column_stack([stars.x[known], stars.y[known]]))
        where = np.column_stack([plane.x[asked], plane.y[asked]])
        distance, nearest = map(np.asarray, tree.query(where, distance_upper_bound=reach))
        found = np.isfinite(distance)
        pairs.append(np.stack([asked[found], known[nearest[found]]]))
    detection, star = np.concatenate(pairs, axis=1)
    return detection, star


def _with_rows(table: pd.DataFrame, row: IntArray, values: dict[str, object]) -> pd.DataFrame:
    """The table with other values in some rows."""
    changed = {}
    for name, new in values.items():
        changed[name] = table[name].to_numpy(copy=True)
        changed[name][row] = np.asarray(new)
    return table.assign(**changed)
