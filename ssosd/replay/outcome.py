"""What a replay did, in numbers: it does not grow with the sequences that go well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ssosd.intake import TakenIn
from ssosd.pipeline import Linked


@dataclass(kw_only=True)
class Replayed:
    """What a replay did."""

    n_files: int = 0
    parked_files: list[TakenIn] = field(default_factory=list)
    parked_exposures: list[tuple[str, str]] = field(default_factory=list)  # (file name, reason)
    n_extracted: int = 0  # SExtractor runs
    n_reused: int = 0  # catalogues taken from an earlier run
    n_ignored: int = 0  # calibration frames
    n_sequences: int = 0
    n_done: int = 0  # sequences that are linked, now or before
    n_candidates: int = 0
    nights: list[str] = field(default_factory=list)  # those whose files have been written
    why_parked: Counter[str] = field(default_factory=Counter)  # reasons of sequences

    def count(self, linked: Linked) -> None:
        """Count a sequence that has ended."""
        self.n_sequences += 1
        if linked.error is None:
            self.n_done += 1
        else:
            self.why_parked[str(linked.error)] += 1
