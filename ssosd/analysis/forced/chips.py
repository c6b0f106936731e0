"""One chip of an exposure, open to be measured: its pixels, its stars' shape, its map of the sky."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ssosd.analysis.forced.fit import Trails
from ssosd.analysis.forced.pixels import Patches, read_patches
from ssosd.analysis.forced.profile import Shape
from ssosd.analysis.forced.rest import FixedSky, Resting
from ssosd.analysis.forced.shape import measure_shape
from ssosd.analysis.forced.skymap import SkyMap
from ssosd.analysis.forced.tracks import Tracks
from ssosd.analysis.solved import OpenFiles, OpenImage, SolvedImage
from ssosd.grouping import BoolArray, IntArray
from ssosd.sphere import ARCSEC_PER_DEG

_BESIDE = 0.5  # arcsec to either side by which a direction on the chip is told
#: Light of something else counts where it is above this share of the sky's noise in a pixel.
_LEVEL = 0.25

_MOST_ELONGATED = 1.9  # shapes of stars that are trails of 2.5 FWHM are twice as long as wide


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChipFacts:
    """What is known of a chip before it is opened."""

    solved: SolvedImage
    detections: pd.DataFrame  # on it, at their final positions
    fwhm_px: float  # of its stars, a first guess
    gain: float  # e- per count, inf when not known
    saturation: float  # counts
    gain_key: str  # header keywords that know better
    saturation_key: str
    cards: Mapping[str, Any]  # that count before the header's own, as `ssosd.model.Chip.cards`


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OpenChip:
    """A chip that is open."""

    image: OpenImage
    sky: SkyMap
    shape: Shape
    gain: float
    saturation: float

    def lay(self, tracks: Tracks, m: IntArray, f: IntArray) -> Trails:
        """Lay predicted places on the chip; NaN where they are nowhere on it.

        Parameters
        ----------
        tracks : Tracks
        m, f : ndarray of int, shape (n,)
            Candidate and exposure.
        """
        ra, dec, angle = tracks.ra[m, f], tracks.dec[m, f], tracks.angle[m, f]
        step = np.maximum(0.5 * tracks.trail[m, f], _BESIDE) / ARCSEC_PER_DEG
        north, east = step * np.cos(angle), step * np.sin(angle) / np.cos(np.radians(dec))
        n = m.size
        places = self.sky.pixels_of(
            np.concatenate([ra, ra - east, ra + east]), np.concatenate([dec, dec - north, dec + north])
        )
        here, ends = places[:n], places[2 * n :] - places[n : 2 * n]
        scale = np.hypot(ends[:, 0], ends[:, 1]) / (2.0 * step * ARCSEC_PER_DEG)
        return Trails(
            x=here[:, 0],
            y=here[:, 1],
            length=tracks.trail[m, f] * scale,
            angle=np.arctan2(ends[:, 1], ends[:, 0]),
            err_along=tracks.err_along[m, f] * scale,
            err_across=tracks.err_across[m, f] * scale,
            scale=scale,
        )

    def read(self, trails: Trails) -> Patches:
        """The pixels about them, and about where they may be."""
        return read_patches(
            self.image,
            x=trails.x,
            y=trails.y,
            along=trails.length + 2.0 * np.minimum(2.0 * trails.err_along, 0.5 * trails.length),
            angle=trails.angle,
            fwhm_px=self.shape.fwhm_px,
            saturation=self.saturation,
        )

    def holds(self, trails: Trails) -> BoolArray:
        """Which of them have their middle on the chip."""
        inside = (trails.x >= 0.5) & (trails.x <= self.image.width + 0.5)
        return inside & (trails.y >= 0.5) & (trails.y <= self.image.height + 0.5)

    def masked(self, patches: Patches, near: Resting) -> BoolArray:
        """Pixels with the light of what is at rest near each place, shape (m,).

        The light is taken for a Moffat profile of exponent 3 (Moffat 1969, A&A 3, 455), wider than most.
        """
        masked = np.zeros(patches.owner.size, dtype=bool)
        places = self.sky.pixels_of(near.ra, near.dec)
        alpha = self.shape.fwhm_px / (2.0 * np.sqrt(2.0 ** (1.0 / 3.0) - 1.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            peak = 2.0 * near.flux * self.shape.per_catalogue / (np.pi * alpha**2)
            bright = peak / (_LEVEL * patches.noise[near.owner])
        radius = alpha * np.sqrt(np.maximum(np.cbrt(np.maximum(np.nan_to_num(bright), 1.0)) - 1.0, 0.25))
        first = np.searchsorted(patches.owner, np.arange(patches.n + 1))
        for owner, (x, y), reach in zip(near.owner.tolist(), places, radius, strict=True):
            own = slice(first[owner], first[owner + 1])
            masked[own] |= np.hypot(patches.x[own] - x, patches.y[own] - y) <= reach
        return masked


class Chips(AbstractContextManager["Chips"]):
    """The chips of a sequence, to be opened as often as one likes: their stars are measured once.

    Parameters
    ----------
    facts : mapping
        By CATALOG_NUMBER and HDU.
    rest : FixedSky
        Tells stars from hot pixels, of which there may be more.

    Attributes
    ----------
    files : OpenFiles
        Those of the chips; what is still open of them is closed at the end.
    """

    def __init__(self, facts: Mapping[tuple[int, int], ChipFacts], rest: FixedSky) -> None:
        self.facts = dict(sorted(facts.items()))
        self._rest = rest
        self._stars: dict[tuple[int, int], tuple[SkyMap, Shape]] = {}
        self.files = OpenFiles()

    def __exit__(self, *_: object) -> None:
        """Close what is still open."""
        self.files.close()

    def has_shape(self, number: int, hdu: int) -> bool:
        """Whether a chip that was opened showed the shape of its stars; else a round one was taken for it.

        That of long trails is even along them: no sum of Gaussians.
        """
        found = self._stars.get((number, hdu))
        return found is not None and found[1].n_stars > 0 and found[1].elongation < _MOST_ELONGATED

    @contextmanager
    def open(self, number: int, hdu: int) -> Iterator[OpenChip]:
        """Open a chip for reading.

        Raises
        ------
        BadInput
            The file or the chip cannot be read.
        """
        facts = self.facts[number, hdu]
        with self.files.image(facts.solved) as image:
            gain = _card(image, facts, facts.gain_key, facts.gain)
            saturation = _card(image, facts, facts.saturation_key, facts.saturation)
            gain = gain if gain > 0.0 else np.inf
            saturation = saturation if saturation > 0.0 else facts.saturation
            if (number, hdu) not in self._stars:
                shape = measure_shape(
                    image,
                    facts.detections,
                    fwhm_px=facts.fwhm_px,
                    gain=gain,
                    saturation=saturation,
                    still=self._rest.still,
                    catalogued=self._rest.catalogued,
                )
                self._stars[number, hdu] = SkyMap(facts.solved.wcs(), facts.detections), shape
            sky, shape = self._stars[number, hdu]
            yield OpenChip(image=image, sky=sky, shape=shape, gain=gain, saturation=saturation)


def _card(image: OpenImage, facts: ChipFacts, keyword: str, otherwise: float) -> float:
    card = image.card(keyword)
    value = facts.cards.get(keyword, None if card is None else card.value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return otherwise
    return float(value)
