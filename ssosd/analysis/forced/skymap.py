"""From the sky to a chip's pixels and back, in the system of the detections' positions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from astropy.wcs import WCS, NoConvergence
from scipy.spatial import cKDTree

from ssosd.analysis.forced.profile import FloatArray
from ssosd.sphere import ARCSEC_PER_DEG, offsets_arcsec

_NEAREST = 12  # detections whose offset from the solved WCS is taken for a place
_ENOUGH = 2000  # detections of a chip that are looked at
_ABSURD = 5.0  # arcsec: no offset of a solution


class SkyMap:
    """Places on the sky and on a chip.

    The detections' places differ from the solved WCS by what `ssosd.linker.consistency` took out; the mean
    difference of the nearest ones is taken here.

    Parameters
    ----------
    wcs : WCS
        Solved.
    detections : DataFrame
        On this chip: RA, DEC (deg ICRS), XWIN_IMAGE, YWIN_IMAGE.
    """

    def __init__(self, wcs: WCS, detections: pd.DataFrame) -> None:
        self._wcs = wcs
        x, y = (detections[name].to_numpy(np.float64) for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
        use = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        use = use[:: max(1, use.size // _ENOUGH)]
        places = np.column_stack([x[use], y[use]])
        ra, dec = (detections[name].to_numpy(np.float64)[use] for name in ("RA", "DEC"))
        self._tree = cKDTree(places) if len(places) else None
        solved = self._wcs.all_pix2world(places, 1) if len(places) else np.zeros((0, 2))
        offset = np.column_stack(offsets_arcsec(ra, dec, solved[:, 0], solved[:, 1]))
        self._offset = np.where(np.abs(offset) < _ABSURD, offset, np.nan)

    def pixels_of(self, ra: FloatArray, dec: FloatArray) -> FloatArray:
        """FITS pixels of sky positions (deg), shape (n, 2); NaN where there is none."""
        sky = np.column_stack([ra, dec])
        first = self._to_pixels(sky)
        return self._to_pixels(_moved(sky, -self._difference(first)))

    def sky_of(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """RA and Dec (deg) of FITS pixels."""
        pixels = np.column_stack([x, y])
        sky = _moved(np.asarray(self._wcs.all_pix2world(pixels, 1)), self._difference(pixels))
        return sky[:, 0] % 360.0, sky[:, 1]

    def _to_pixels(self, sky: FloatArray) -> FloatArray:
        try:
            return np.asarray(self._wcs.all_world2pix(sky, 1, quiet=True), dtype=np.float64)
        except NoConvergence:
            return np.full(sky.shape, np.nan)

    def _difference(self, pixels: FloatArray) -> FloatArray:
        """Detections minus solution around each place, arcsec to the east and north."""
        result = np.zeros(pixels.shape)
        finite = np.isfinite(pixels).all(axis=1)
        if self._tree is None or not finite.any():
            return result
        k = min(_NEAREST, self._tree.n)
        nearest = np.asarray(self._tree.query(pixels[finite], k=[*range(1, k + 1)])[1])
        around = self._offset[nearest]
        median = np.nanmedian if np.isnan(around).any() else np.median  # the first is slow
        result[finite] = np.nan_to_num(median(around, axis=1))
        return result


def _moved(sky: FloatArray, step: FloatArray) -> FloatArray:
    """Positions (deg) moved by arcsec to the east and north."""
    dec = sky[:, 1] + step[:, 1] / ARCSEC_PER_DEG
    ra = sky[:, 0] + step[:, 0] / ARCSEC_PER_DEG / np.maximum(np.cos(np.radians(sky[:, 1])), 1e-6)
    return np.column_stack([ra, dec])
