"""What stands at one place of the detector: the light of a hot pixel, or of an object that was followed.

A telescope that follows an object, or is pointed anew at it for each exposure, has it at one place of the
detector; a detector that drifts moves its hot pixels evenly over the sky. The light of a star lies on several
pixels, that of a hot pixel on one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ssosd.analysis.forced.chips import Chips
from ssosd.analysis.forced.fit import Trails
from ssosd.analysis.forced.pixels import Patches
from ssosd.analysis.forced.profile import FloatArray, Shape, point_profile, round_shape, trail_profile
from ssosd.analysis.forced.tracks import Tracks
from ssosd.errors import BadInput

EVIDENCE_COLUMNS = ("NOTHING", "STAR", "PIXEL", "LIKE_STAR")
_REACH_PX = 4.0  # pixels so far from the place, or trail, tell
_FWHM_PX = (1.8, 2.5, 3.5, 5.0)  # that a point may have where stars are trails: these do not tell it
_NEAR_PX = 1.5  # from the place to the middle of the pixel that may be hot
_SHAPE_ERROR = 0.05  # of a pixel's light: no shape is exact


def star_evidence(found: pd.DataFrame, tracks: Tracks, *, chips: Chips) -> pd.DataFrame:
    """How well the light of candidates, where they were detected, is a star's, and how well a hot pixel's.

    Parameters
    ----------
    found : DataFrame
        One row per detection: SOURCE_NUMBER, CATALOG_NUMBER, EXTENSION, XWIN_IMAGE, YWIN_IMAGE (pixels).
    tracks : Tracks
        Of them. What has no trail is a point while stars are trails, of a width that these do not tell.
    chips : Chips

    Returns
    -------
    DataFrame
        By SOURCE_NUMBER: NOTHING, the chi-square of the light itself, and STAR and PIXEL, what is left of it
        by either, summed over the exposures; and LIKE_STAR, the share of the exposures in which a star leaves
        less. All 0 where no pixel could be read.
    """
    m = tracks.find(found["SOURCE_NUMBER"])
    number, extension = (found[name].to_numpy(np.int64) for name in ("CATALOG_NUMBER", "EXTENSION"))
    x, y = (found[name].to_numpy(np.float64) for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
    total = np.zeros((tracks.numbers.size, 3))
    exposures, like_star = np.zeros(tracks.numbers.size), np.zeros(tracks.numbers.size)
    for key in chips.facts:
        rows = np.flatnonzero((number == key[0]) & (extension == key[1]) & (m >= 0))
        if not rows.size:
            continue
        try:
            with chips.open(*key) as chip:
                trails = chip.lay(tracks, m[rows], number[rows] - 1)
                trails = replace(trails, x=x[rows], y=y[rows])
                there = np.flatnonzero(chip.holds(trails))
                if there.size:
                    trails = trails.take(there)
                    own, chi2 = m[rows[there]], _chi2(chip.read(trails), trails, chip.shape)
                    total[own] += chi2
                    exposures[own] += 1.0
                    like_star[own] += chi2[:, 1] < chi2[:, 2]
        except BadInput:
            continue
    columns = [*total.T, like_star / np.maximum(exposures, 1.0)]
    return pd.DataFrame(dict(zip(EVIDENCE_COLUMNS, columns, strict=True)), index=tracks.numbers)


def _chi2(patches: Patches, trails: Trails, shape: Shape) -> FloatArray:
    """Chi-squares of each place, shape (n, 3): NOTHING, STAR, PIXEL."""
    own = patches.owner
    dx, dy, length = patches.x - trails.x[own], patches.y - trails.y[own], trails.length[own]
    noise = np.where(np.isfinite(patches.noise) & (patches.noise > 0.0), patches.noise, np.inf)[own]
    light = np.maximum(patches.value, 0.0)
    use = patches.valid & (np.hypot(dx, dy) < _REACH_PX + 0.5 * length)
    weight = np.where(use, 1.0, 0.0) / (noise**2 + (_SHAPE_ERROR * light) ** 2)

    def explained(profile: FloatArray) -> FloatArray:
        top = np.maximum(patches.sums(weight * profile * patches.value), 0.0) ** 2
        return np.asarray(top / np.maximum(patches.sums(weight * profile**2), 1e-30))

    star = explained(trail_profile(dx, dy, shape=shape, length=length, angle=trails.angle[own])[0])
    points = [explained(point_profile(dx, dy, round_shape(fwhm))) for fwhm in _FWHM_PX]
    star = np.where(trails.length == 0.0, np.max(points, axis=0), star)
    nothing, pixel = patches.sums(weight * patches.value**2), np.zeros(patches.n)
    np.maximum.at(pixel, own, np.where(np.hypot(dx, dy) < _NEAR_PX, weight * light**2, 0.0))
    return np.stack([nothing, nothing - star, nothing - pixel], axis=-1)
