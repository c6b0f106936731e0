"""What a replay would find and do, from headers alone: nothing is written, no pixel is read."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ssosd.crew import Crew, Look, do_all
from ssosd.ingest.exposure import file_digest
from ssosd.ingest.sequence import FieldSequence, group_exposures
from ssosd.intake import TakenIn
from ssosd.model import Exposure
from ssosd.replay.absent import no_field, no_night
from ssosd.replay.bars import progress
from ssosd.replay.finding import find_files
from ssosd.site import night_of
from ssosd.station import Station

_PIXELS = 1e6
_AT_ONCE = 25  # files that are read as one job: sending one takes longer than reading one


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One sequence of a replay to come."""

    sequence: FieldSequence
    size_bytes: int  # of its files
    too_few: bool  # fewer exposures than MIN_EXPOSURES: it would be parked

    @property
    def megapixels(self) -> float:
        """Of all its exposures."""
        return sum(megapixels(exposure) for exposure in self.sequence.exposures)


@dataclass(kw_only=True)
class Survey:
    """What was found under the paths of a replay."""

    n_files: int
    size_bytes: int  # of all of them
    planned: list[Planned] = field(default_factory=list)  # by night, then by first exposure
    duplicates: list[tuple[Path, Path]] = field(default_factory=list)  # (a file, one of the same bytes)
    ignored: Counter[str] = field(default_factory=Counter)  # files by reason
    parked: Counter[str] = field(default_factory=Counter)  # files by reason
    examples: dict[str, str] = field(default_factory=dict)  # name of a file for each reason

    @property
    def linked(self) -> list[Planned]:
        """Sequences with enough exposures."""
        return [plan for plan in self.planned if not plan.too_few]


def survey(
    paths: Sequence[Path],
    *,
    station: Station,
    console: Console,
    crew: Callable[[int], Crew],
    night: str | None = None,
    field_name: str | None = None,
) -> Survey:
    """Read the headers of all files, and group what they hold as a replay would.

    Files of which a replay would find out only from their bytes that they are the same are compared by their
    bytes; of all others the headers are read, nothing else.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders, as for `ssosd.replay.replay`.
    station : Station
        One that need not be open.
    console : Console
        For the progress.
    crew : callable
        Given the number of files, gathers those who read.
    night, field_name : str, optional
        Only this night, only this field.

    Raises
    ------
    BadInput
        There are no FITS files, or no exposures of the night or the field.
    """
    config = station.config
    archive = find_files(paths, include=config["INCLUDE"], exclude=config["EXCLUDE"], target=station.target)
    found = Survey(n_files=len(archive.files), size_bytes=archive.size_bytes)
    exposures: list[Exposure] = []
    sizes: dict[str, int] = {}
    with crew(found.n_files) as readers, progress(console) as bars:
        task = bars.add_task("headers", total=len(archive.files))

        def record(_: object, outcome: tuple[TakenIn, ...]) -> None:
            bars.advance(task, len(outcome))
            for taken in outcome:
                note(taken)

        def note(taken: TakenIn) -> None:
            if taken.exposure is not None:
                exposures.append(taken.exposure)
                sizes[taken.exposure.path] = taken.size_bytes
                return
            reason = taken.ignored or _without_name(str(taken.error), taken.path.name)
            (found.ignored if taken.ignored else found.parked)[reason] += 1
            name = min(found.examples.get(reason, taken.path.name), taken.path.name)
            found.examples[reason] = name

        jobs = (Look(paths=paths) for paths in _batches(archive.files))
        do_all(readers, next_job=lambda: next(jobs, None), record=record)
    single, found.duplicates = _without_duplicates(exposures, sizes)
    nights: dict[str, list[Exposure]] = defaultdict(list)
    for exposure in single:
        nights[night_of(exposure.mjd_mid, station.site.lon_deg)].append(exposure)
    if night is not None and nights and night not in nights:
        raise no_night(night, nights)
    fields: set[str] = set()
    for name in sorted(n for n in nights if night in (None, n)):
        sequences = group_exposures(
            nights[name],
            night=name,
            radius_fraction=config["FIELD_RADIUS"],
            gap_hours=config["SEQUENCE_GAP"],
        )
        fields |= {sequence.field for sequence in sequences}
        found.planned += [
            Planned(
                sequence=sequence,
                size_bytes=sum(sizes[e.path] for e in sequence.exposures),
                too_few=len({e.frame for e in sequence.exposures}) < config["MIN_EXPOSURES"],
            )
            for sequence in sequences
            if field_name in (None, sequence.field)
        ]
    if field_name is not None and fields and not found.planned:
        raise no_field(field_name, fields)
    return found


def megapixels(exposure: Exposure) -> float:
    """Pixels of all chips, in millions."""
    return sum(chip.width_px * chip.height_px for chip in exposure.chips) / _PIXELS


def _batches(files: tuple[Path, ...]) -> Iterator[tuple[Path, ...]]:
    for start in range(0, len(files), _AT_ONCE):
        yield files[start : start + _AT_ONCE]


def _without_duplicates(
    exposures: Iterable[Exposure], sizes: dict[str, int]
) -> tuple[list[Exposure], list[tuple[Path, Path]]]:
    """Each exposure once, under the first of its files' names; and the files with the bytes of another."""
    alike: dict[tuple[object, ...], list[Exposure]] = defaultdict(list)
    for exposure in sorted(exposures, key=lambda e: e.path):
        key = (sizes[exposure.path], exposure.date_obs, exposure.ra_deg, exposure.dec_deg)
        alike[key].append(exposure)
    single: list[Exposure] = []
    duplicates: list[tuple[Path, Path]] = []
    for group in alike.values():
        first: dict[str, Exposure] = {}
        for exposure in group:
            digest = exposure.path if len(group) == 1 else file_digest(Path(exposure.path))
            if digest in first:
                duplicates.append((Path(exposure.path), Path(first[digest].path)))
            else:
                first[digest] = exposure
        single += first.values()
    return single, duplicates


def _without_name(text: str, name: str) -> str:
    """A reason without the name of its file, to be counted with those of other files."""
    return re.sub(rf"(?:\S*/)?{re.escape(name)}(?:\[\d+\])?: ", "", text)
