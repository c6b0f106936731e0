"""What is usual for an instrument's files: how many HDUs they have, and what they lack without being cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ssosd.ingest.settle import Missing, fewer_hdus
from ssosd.model import Exposure

_ALTHOUGH = "taken although "  # how a warning begins that tells of a habit


class Kind(NamedTuple):
    """Files that are like each other; another window or binning of an instrument is another kind.

    So is a tile-compressed file: it has an empty primary HDU before what was one HDU.
    """

    telescope: str
    instrument: str
    width_px: int  # of the first science image
    height_px: int
    compressed: bool  # in tiles, by its name

    @classmethod
    def of(cls, exposure: Exposure) -> Kind:
        """The kind of an exposure's file."""
        chip = exposure.chips[0]
        compressed = exposure.path.lower().endswith(".fz")
        return cls(exposure.telescope, exposure.instrument, chip.width_px, chip.height_px, compressed)


class Habits:
    """Learned from the files that were taken; after a restart from what the store tells of them.

    The usual number of HDUs is the larger one of the last two files': an odd file counts for as long, and a
    first one that was cut is not believed for long.
    """

    def __init__(self) -> None:
        self._hdus: dict[Kind, tuple[int, int]] = {}
        self._usual: set[tuple[Kind, str]] = set()
        self._once: dict[tuple[Kind, str], str] = {}  # to the path of the one file that came to rest so

    def usual_hdus(self, kind: Kind) -> int:
        """Number of HDUs that files of this kind have; 0 when none is known."""
        return max(self._hdus.get(kind, (0, 0)))

    def learn(self, exposure: Exposure) -> None:
        """An exposure of this instrument has been taken."""
        kind = Kind.of(exposure)
        self._hdus[kind] = (self._hdus.get(kind, (0, 0))[1], exposure.n_hdus)
        for warning in exposure.warnings:
            if warning.startswith(_ALTHOUGH):
                self._usual.add((kind, warning.removeprefix(_ALTHOUGH)))

    def relearn(self, exposures: Iterable[Exposure]) -> None:
        """What earlier exposures, oldest first, tell."""
        for exposure in exposures:
            self.learn(exposure)

    def sift(self, exposure: Exposure, missing: Iterable[Missing]) -> tuple[Exposure, tuple[Missing, ...]]:
        """What a file lacks beyond the habits of its instrument; the exposure with warnings of the rest."""
        kind = Kind.of(exposure)
        found = (*fewer_hdus(exposure.n_hdus, usual=self.usual_hdus(kind)), *missing)
        usual = [lack for lack in found if (kind, lack.text) in self._usual]
        return taken_although(exposure, usual), tuple(lack for lack in found if lack not in usual)

    def came_to_rest(self, exposure: Exposure, missing: Iterable[Missing]) -> bool:
        """Whether what a file has lacked for long is a habit, as another file has come to rest so too."""
        kind = Kind.of(exposure)
        habit = True
        for lack in missing:
            other = self._once.setdefault((kind, lack.text), exposure.path)
            if lack.kind != "end" and other == exposure.path:
                habit = False
        return habit


def taken_although(exposure: Exposure, missing: Iterable[Missing]) -> Exposure:
    """Return the exposure with a warning for each thing that its file lacks."""
    notes = (*exposure.warnings, *(_ALTHOUGH + lack.text for lack in missing))
    return replace(exposure, warnings=tuple(dict.fromkeys(notes)))
