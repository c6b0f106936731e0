"""Tiles of the sky, about a degree on each side: bands of Dec, cut by RA."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssosd.model import Exposure
from ssosd.sphere import ARCSEC_PER_DEG, separation_arcsec

_BANDS = 180  # of one degree of Dec
_EDGE_POINTS = 33  # on each edge of a tile, for its circle
_SPARE_DEG = 0.002  # around what is computed, for the curvature between these points


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Tile:
    """Dec from `band` - 90 deg, one degree high; the `number`-th of the equal parts of its circle of RA."""

    band: int  # 0 at the south pole to 179
    number: int

    def __str__(self) -> str:
        return f"{self.band:03d}-{self.number:03d}"

    @property
    def dec_deg(self) -> tuple[float, float]:
        """From and to."""
        return self.band - 90.0, self.band - 89.0

    @property
    def ra_deg(self) -> tuple[float, float]:
        """From and to, 0 to 360."""
        width = 360.0 / parts_of(self.band)
        return self.number * width, (self.number + 1) * width

    @property
    def circle_deg(self) -> tuple[float, float, float]:
        """RA, Dec and radius of a circle around it."""
        (west, east), (south, north) = self.ra_deg, self.dec_deg
        ra, dec = (west + east) / 2.0, (south + north) / 2.0
        x, y = np.linspace(west, east, _EDGE_POINTS), np.linspace(south, north, _EDGE_POINTS)
        edges = np.concatenate([x, x, np.full_like(y, west), np.full_like(y, east)])
        decs = np.concatenate([np.full_like(x, south), np.full_like(x, north), y, y])
        radius = float(separation_arcsec(ra, dec, edges, decs).max()) / ARCSEC_PER_DEG
        return ra, dec, radius + _SPARE_DEG

    def holds(self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which positions lie in it: each place of the sky is in one tile."""
        bands = np.clip(np.floor(dec_deg + 90.0), 0, _BANDS - 1)
        parts = parts_of(self.band)
        numbers = np.floor(ra_deg % 360.0 / 360.0 * parts) % parts
        return np.asarray((bands == self.band) & (numbers == self.number))


def parts_of(band: int) -> int:
    """How many tiles there are in a band.

    >>> parts_of(90), parts_of(150), parts_of(179)
    (360, 177, 3)
    """
    return max(1, round(360.0 * math.cos(math.radians(band - 89.5))))


def tiles_over(ra_deg: float, dec_deg: float, radius_deg: float) -> list[Tile]:
    """The tiles that a circle touches, and perhaps one that it does not quite.

    >>> [str(tile) for tile in tiles_over(0.1, 0.5, 0.3)]
    ['090-000', '090-359']
    """
    low, high = dec_deg - radius_deg, dec_deg + radius_deg
    bands = range(max(0, math.floor(low + 90.0)), min(_BANDS - 1, math.floor(high + 90.0)) + 1)
    ratio = math.sin(math.radians(radius_deg)) / max(math.cos(math.radians(dec_deg)), 1e-12)
    around_pole = low <= -90.0 or high >= 90.0 or ratio >= 1.0
    half_deg = 180.0 if around_pole else math.degrees(math.asin(ratio))
    found = []
    for band in bands:
        parts = parts_of(band)
        first, last = (math.floor((ra_deg + side) / 360.0 * parts) for side in (-half_deg, half_deg))
        numbers = {k % parts for k in range(first, min(last, first + parts - 1) + 1)}
        found += [Tile(band=band, number=number) for number in sorted(numbers)]
    return found


def tiles_of(exposures: Sequence[Exposure], *, margin_deg: float) -> list[Tile]:
    """The tiles over some exposures, with room for an error of their pointing."""
    found: set[Tile] = set()
    for e in exposures:
        corners = np.array([corner for chip in e.chips for corner in chip.corners_deg])
        reach = float(separation_arcsec(e.ra_deg, e.dec_deg, corners[:, 0], corners[:, 1]).max())
        found |= set(tiles_over(e.ra_deg, e.dec_deg, reach / ARCSEC_PER_DEG + margin_deg))
    return sorted(found)
