"""What stands still near predicted places: stars and galaxies that may hide a mover."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ssosd.analysis.forced.profile import FloatArray
from ssosd.analysis.forced.tracks import Tracks
from ssosd.grouping import BoolArray, IntArray
from ssosd.sphere import ARCSEC_PER_DEG, separation_arcsec, unit_vectors

_SAME = 1.0  # arcsec: detections of exposures, and reference stars, that are one thing at rest
_SAME_CHORD = 2.0 * math.sin(math.radians(_SAME / ARCSEC_PER_DEG) / 2.0)  # of unit vectors
_OTHERS = 4  # nearest detections among which one of another exposure is looked for


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Resting:
    """Things at rest near n places; each may be there several times."""

    owner: IntArray  # the place, ascending, shape (k,)
    ra: FloatArray  # deg ICRS
    dec: FloatArray
    flux: FloatArray  # FLUX of the catalogues, counts

    def of(self, places: IntArray) -> Resting:
        """Those near some of the places, which are counted anew."""
        slot = np.full(int(max(self.owner.max(initial=-1), places.max(initial=-1))) + 1, -1, dtype=np.intp)
        slot[places] = np.arange(places.size)
        rows = np.flatnonzero(slot[self.owner] >= 0)
        rows = rows[np.argsort(slot[self.owner[rows]], kind="stable")]
        return Resting(
            owner=slot[self.owner[rows]], ra=self.ra[rows], dec=self.dec[rows], flux=self.flux[rows]
        )


class FixedSky:
    """All detections of a sequence and its reference stars, to be asked what stands still.

    Parameters
    ----------
    detections : DataFrame
        CATALOG_NUMBER, RA, DEC (deg ICRS), FLUX.
    stars : DataFrame
        Reference stars: RA, DEC; FLUX in counts, or 0.
    """

    def __init__(self, detections: pd.DataFrame, stars: pd.DataFrame) -> None:
        use = np.isfinite(detections["RA"].to_numpy()) & np.isfinite(detections["DEC"].to_numpy())
        table = pd.concat(
            [
                detections.loc[use, ["CATALOG_NUMBER", "RA", "DEC", "FLUX"]],
                stars[["RA", "DEC", "FLUX"]].assign(CATALOG_NUMBER=0),
            ],
            ignore_index=True,
        )
        self._number = table["CATALOG_NUMBER"].to_numpy(np.intp)
        self._ra, self._dec, flux = (table[name].to_numpy(np.float64) for name in ("RA", "DEC", "FLUX"))
        self._flux = np.nan_to_num(np.maximum(flux, 0.0))
        self._vectors = unit_vectors(self._ra, self._dec)
        self._tree = cKDTree(self._vectors)
        self._stars = cKDTree(self._vectors[self._number == 0])

    def near(self, tracks: Tracks, m: IntArray, f: IntArray, *, beside_arcsec: float) -> Resting:
        """What stands still where candidates are predicted.

        A detection of another exposure stands still when an exposure but its own has a detection at the same
        place, or a reference star is there. What lies on the candidate's own place in its exposure is the
        candidate.

        Parameters
        ----------
        tracks : Tracks
        m, f : ndarray of int, shape (n,)
            Candidate and exposure, as `tracks` counts them.
        beside_arcsec : float
            How far from the trail's ends it is looked for.
        """
        reach = 0.5 * tracks.trail[m, f] + 3.0 * tracks.err_along[m, f] + beside_arcsec
        chord = 2.0 * np.sin(np.radians(reach / ARCSEC_PER_DEG) / 2.0)
        lists = self._tree.query_ball_point(unit_vectors(tracks.ra[m, f], tracks.dec[m, f]), chord)
        owner = np.repeat(np.arange(m.size), [len(found) for found in lists]).astype(np.intp)
        row = np.fromiter((k for found in lists for k in sorted(found)), dtype=np.intp, count=owner.size)
        number = self._number[row]
        keep = number != f[owner] + 1
        other = np.maximum(number - 1, 0)
        track = m[owner]
        distance = separation_arcsec(
            self._ra[row], self._dec[row], tracks.ra[track, other], tracks.dec[track, other]
        )
        itself = _SAME + 3.0 * tracks.err_along[track, other] + 0.5 * tracks.trail[track, other]
        keep &= (number == 0) | (distance > itself)
        left = row[keep]
        keep[keep] = (self._number[left] == 0) | self._others_at(self._vectors[left], self._number[left])
        owner, row = owner[keep], row[keep]
        return Resting(owner=owner, ra=self._ra[row], dec=self._dec[row], flux=self._flux[row])

    def still(self, detections: pd.DataFrame) -> BoolArray:
        """Which detections stand still: a reference star or one of another exposure is at their place.

        Parameters
        ----------
        detections : DataFrame, shape (n, ...)
            CATALOG_NUMBER, RA, DEC (deg ICRS).

        Returns
        -------
        ndarray of bool, shape (n,)
            False for what has no position.
        """
        result = detections["RA"].notna().to_numpy(bool) & detections["DEC"].notna().to_numpy(bool)
        there = detections[result]
        vectors = unit_vectors(there["RA"], there["DEC"])
        result[result] = self._others_at(vectors, there["CATALOG_NUMBER"].to_numpy(np.intp))
        return result

    def catalogued(self, detections: pd.DataFrame) -> BoolArray:
        """Which detections have a reference star at their place, shape (n,); positions must be finite."""
        vectors = unit_vectors(detections["RA"], detections["DEC"])
        found = np.asarray(self._stars.query(vectors, distance_upper_bound=_SAME_CHORD)[0])
        return np.asarray(np.isfinite(found))

    def _others_at(self, vectors: FloatArray, number: IntArray) -> BoolArray:
        """Whether a reference star or a detection that is not of exposure `number` is at a place."""
        ranks = [*range(1, min(_OTHERS, self._tree.n) + 1)]
        found = np.asarray(self._tree.query(vectors, k=ranks, distance_upper_bound=_SAME_CHORD)[1])
        there = found < self._tree.n
        other = self._number[np.minimum(found, self._tree.n - 1)] != number[:, None]
        return np.asarray((there & other).any(axis=1))
