"""The jobs of many nights in an order that keeps few nights open; what follows from each outcome."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ssosd.crew import Extract, Identify, Job, Link
from ssosd.ingest.sequence import FieldSequence
from ssosd.inquiry import IdentifyJob
from ssosd.model import Catalogue
from ssosd.pipeline import Corridor, Linked, LinkJob
from ssosd.replay.outcome import Replayed


@dataclass(kw_only=True, eq=False)
class _Night:
    """A night that is worked on."""

    name: str
    catalogues: dict[str, Catalogue]  # by the exposure's digest
    n_open: int  # sequences that have not ended


@dataclass(kw_only=True, eq=False)
class _Open:
    """A sequence that waits for catalogues of its exposures."""

    sequence: FieldSequence
    night: _Night
    missing: set[str] = field(default_factory=set)  # digests


class Nights:
    """Hands out the jobs of nights, one night after the other, and records their outcomes.

    A sequence is linked as soon as its exposures have their catalogues, before others are begun, and the last
    ones of a night side by side, so that nobody is idle while the very last is linked. A night's files are
    written as soon as its last sequence has ended. What is kept in memory does not grow with the number of
    nights.

    Parameters
    ----------
    corridor : Corridor
    nights : iterable of str
        In the order in which they are worked on.
    field_name : str, optional
        Only this field.
    at_once : int
        Jobs that are done at the same time.
    done : Replayed
        Where everything is counted.
    on_extracted : callable
        Called for each exposure that has a catalogue or a reason why not; with how many.
    on_sequence, on_night : callable
        Told of each sequence as it ends, and of each night with its candidates.
    """

    def __init__(
        self,
        *,
        corridor: Corridor,
        nights: Iterable[str],
        field_name: str | None,
        at_once: int,
        done: Replayed,
        on_extracted: Callable[[int], None],
        on_sequence: Callable[[Linked], None],
        on_night: Callable[[str, pd.DataFrame], None],
    ) -> None:
        self._corridor = corridor
        self._nights = iter(nights)
        self._field = field_name
        self._at_once = at_once
        self._done = done
        self._on_extracted = on_extracted
        self._on_sequence = on_sequence
        self._on_night = on_night
        self._to_link: deque[Link | Identify] = deque()
        self._to_extract: deque[Extract] = deque()
        self._waiting: dict[str, _Open] = {}  # by the digest of an exposure that is being extracted
        self._plans: dict[str, tuple[LinkJob | IdentifyJob, _Night]] = {}  # by the job's subject

    def next(self) -> Job | None:
        """The next job; None when there is none until an outcome is recorded, or none at all."""
        while not (self._to_link or self._to_extract):
            night = next(self._nights, None)
            if night is None:
                return None
            self._open(night)
        if self._to_extract and (not self._to_link or self._can_all_be_linked_at_once()):
            return self._to_extract.popleft()
        return self._to_link.popleft()

    def _can_all_be_linked_at_once(self) -> bool:
        return len(self._to_link) + len(set(self._waiting.values())) <= self._at_once

    def record(self, job: Job, outcome: Any) -> None:
        """Record what came of a job, and find out what follows.

        Raises
        ------
        Misconfigured
            As given: it concerns every exposure or sequence.
        """
        if isinstance(job, Extract):
            self._extracted(job, outcome)
        elif isinstance(job, Link | Identify):
            plan, night = self._plans.pop(job.subject)
            self._ended(self._corridor.record(plan, outcome), night)

    def _open(self, name: str) -> None:
        sequences = [s for s in self._corridor.group(name) if self._field in (None, s.field)]
        exposures = {e.digest: e for s in sequences for e in s.exposures}
        catalogues, wanted = self._corridor.catalogues(exposures)
        refused = self._corridor.store.why_parked(exposures.keys() - catalogues.keys() - wanted.keys())
        self._done.parked_exposures += sorted((exposures[d].name, reason) for d, reason in refused.items())
        self._done.n_reused += len(catalogues)
        self._on_extracted(len(exposures) - len(wanted))
        night = _Night(name=name, catalogues=catalogues, n_open=len(sequences))
        for sequence in sequences:
            missing = {e.digest for e in sequence.exposures} & wanted.keys()
            opened = _Open(sequence=sequence, night=night, missing=missing)
            for exposure in sequence.exposures:
                if exposure.digest in missing:
                    self._waiting[exposure.digest] = opened
                    self._to_extract.append(
                        Extract(exposure=exposure, night=name, key=wanted[exposure.digest])
                    )
            if not missing:
                self._plan(opened)
        if not sequences:
            self._write(night)

    def _extracted(self, job: Extract, outcome: Any) -> None:
        digest = job.exposure.digest
        opened = self._waiting.pop(digest)
        self._corridor.record_extracted(job.exposure, outcome, key=job.key)
        if isinstance(outcome, Catalogue):
            opened.night.catalogues[digest] = outcome
            self._done.n_extracted += 1
        else:
            self._done.parked_exposures.append((job.exposure.name, str(outcome)))
        self._on_extracted(1)
        opened.missing.discard(digest)
        if not opened.missing:
            self._plan(opened)

    def _plan(self, opened: _Open) -> None:
        plan = self._corridor.plan(opened.sequence, opened.night.catalogues)
        if isinstance(plan, Linked):
            self._ended(plan, opened.night)
            return
        job = (
            Identify(inquiry=plan)
            if isinstance(plan, IdentifyJob)
            else Link(sequence=plan.sequence, catalogues=plan.catalogues, access=plan.access)
        )
        self._plans[job.subject] = plan, opened.night
        self._to_link.append(job)

    def _ended(self, linked: Linked, night: _Night) -> None:
        self._done.count(linked)
        self._on_sequence(linked)
        night.n_open -= 1
        if not night.n_open:
            self._write(night)

    def _write(self, night: _Night) -> None:
        candidates = self._corridor.finish(night.name)
        self._done.nights.append(night.name)
        self._done.n_candidates += int(candidates["CANDIDATE"].nunique()) if len(candidates) else 0
        self._on_night(night.name, candidates)
