"""What linking a sequence gave."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ssosd.model import Drop, Exposure
from ssosd.work.identifying import Identified

#: How a note on an exposure begins that a sequence was linked without.
LEFT_OUT = "left out "


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceResult:
    """All that linking a sequence gave; its files wait in `staged`."""

    staged: Path  # folder that becomes the field's folder
    identified: Identified  # its candidates, and what they were compared with
    ledger: pd.DataFrame  # one row per rejected source
    funnel: tuple[tuple[str, int], ...]
    n_sources: int
    n_false_expected: float | None  # chance tracks among the candidates, where that is known
    catalog_numbers: dict[str, int]  # digest to CATALOG_NUMBER
    quality: pd.DataFrame  # one row per linked exposure: the table exposure_quality
    completeness: pd.DataFrame  # injected movers found again: the table completeness, empty without INJECT
    dropped: tuple[Drop, ...]
    notes: tuple[str, ...]  # for a person: what was repaired, blank or left out
    blind: bool = False  # files of exposures were not there: what is seen on pixels may be missing

    @property
    def candidates(self) -> pd.DataFrame:
        """One row per detection."""
        return self.identified.candidates

    @property
    def unchecked_because(self) -> str:
        """Why exposures were not compared with the known objects; "" when all were."""
        return self.identified.rows.unchecked_because

    def notes_of_the_field(self, exposures: Iterable[Exposure]) -> list[str]:
        """The notes but for those on the headers of the sequence's exposures, one or more of each."""
        of_headers = tuple(f"{exposure.name}: " for exposure in exposures)
        return [note for note in self.notes if not note.startswith(of_headers)]


def summary_columns(
    result: SequenceResult, folder: Path, *, exposures: Iterable[Exposure]
) -> dict[str, object]:
    """A sequence's result as columns of its row in the store; what was left out has rows of its own."""
    notes = [note for note in result.notes_of_the_field(exposures) if not note.startswith(LEFT_OUT)]
    return {
        "n_sources": result.n_sources,
        "n_false_expected": result.n_false_expected,
        "n_candidates": int(result.candidates["CANDIDATE"].nunique()),
        "funnel": json.dumps(result.funnel),
        "notes": json.dumps(notes, ensure_ascii=False),
        "folder": str(folder),
    }
