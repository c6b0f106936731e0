"""What a replay did, in numbers: it does not grow with the sequences that go well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ssosd.intake import TakenIn
from ssosd.pipeline import Linked
from ssosd.plumbing.text import counted

_TOLD = 3  # reasons of each kind


@dataclass(kw_only=True)
class Replayed:
    """What a replay did."""

    n_files: int = 0
    parked_files: list[TakenIn] = field(default_factory=list)
    parked_exposures: list[tuple[str, str]] = field(default_factory=list)  # (file name, reason)
    n_extracted: int = 0  # SExtractor runs
    n_reused: int = 0  # catalogues taken from an earlier run
    n_ignored: int = 0  # files left out: calibration frames, or no image of a field
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

    def why_nothing(self) -> str:
        """Why no sequence is linked: what became of them or, where there are none, of the files."""
        if self.why_parked:
            return "; ".join(reason for reason, _ in self.why_parked.most_common(_TOLD))
        reasons = [str(taken.error) for taken in self.parked_files[:_TOLD]]
        if len(self.parked_files) > _TOLD:
            reasons.append(f"and {len(self.parked_files) - _TOLD} more")
        if self.n_ignored:
            reasons.append(f"{counted(self.n_ignored, 'file')} left out by CALIBRATION or a header map")
        return "; ".join(reasons) or "no exposures are left"
