"""Replay: whole archived nights through the corridor, from a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ssosd import intake, work
from ssosd.errors import BadInput, SsosdError
from ssosd.ingest.sequence import FieldSequence
from ssosd.ingest.watcher import Sieve
from ssosd.model import Catalogue, Exposure, is_fits_name
from ssosd.pipeline import Corridor, Linked
from ssosd.station import Station
from ssosd.store import FileRow, Store

_I = TypeVar("_I")
_O = TypeVar("_O")


@dataclass(kw_only=True)
class Replayed:
    """What a replay did."""

    n_files: int = 0
    parked_files: list[intake.TakenIn] = field(default_factory=list)
    parked_exposures: list[tuple[str, str]] = field(default_factory=list)  # (file name, reason)
    n_extracted: int = 0  # SExtractor runs
    n_reused: int = 0  # catalogues taken from an earlier run
    n_ignored: int = 0  # calibration frames
    sequences: list[Linked] = field(default_factory=list)
    candidates: dict[str, pd.DataFrame] = field(default_factory=dict)  # by night

    @property
    def n_done(self) -> int:
        """Sequences that are linked, now or before."""
        return sum(1 for s in self.sequences if s.error is None)

    @property
    def n_candidates(self) -> int:
        """Candidates in all nights."""
        return sum(int(t["CANDIDATE"].nunique()) for t in self.candidates.values() if len(t))


def find_files(
    paths: Sequence[Path],
    *,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (".*",),
    target: Path | None = None,
) -> list[Path]:
    """All FITS files under the given files and folders, absolute, sorted, each once.

    Parameters
    ----------
    paths : sequence of Path
        Files are taken whatever their name's pattern; folders are searched in depth, links followed.
    include, exclude : sequence of str
        Patterns of names that are taken from folders, and left, as INCLUDE and EXCLUDE.
    target : Path, optional
        Where our own pictures are, which are none of the exposures.

    Raises
    ------
    BadInput
        A path does not exist, a file named explicitly is no FITS file, or nothing was found.
    """
    found: set[Path] = set()
    for given in paths:
        path = given.expanduser().absolute()
        if path.is_dir():
            sieve = Sieve(path, include=include, exclude=exclude, target=target)
            found.update(Path(name) for name, _ in sieve.scan())
        elif not path.exists():
            raise BadInput(f"{given}: no such file or folder")
        elif is_fits_name(path.name):
            found.add(path)
        else:
            raise BadInput(
                f"{given}: not named like a FITS file",
                next_step="use .fits, .fit, .fts, .fits.gz or .fits.fz",
            )
    if not found:
        names = ", ".join(str(p) for p in paths)
        raise BadInput(
            f"{names}: no FITS files here",
            next_step="looked for .fits, .fit, .fts and these with .gz or .fz, in all subfolders",
        )
    return sorted(found)


def replay(
    paths: Sequence[Path],
    *,
    station: Station,
    store: Store,
    console: Console,
    night: str | None = None,
    field_name: str | None = None,
    jobs: int | None = None,
    on_sequence: Callable[[Linked], None] = lambda _: None,
) -> Replayed:
    """Take in, extract, group, link and draft all nights found under `paths`.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders; folders are searched in depth, files under the target are left out.
    night, field_name : str, optional
        Only this night, only this field.
    jobs : int, optional
        Exposures worked on at once; the configuration's WORKERS when not given.
    on_sequence : callable
        Told of each sequence as it ends.

    Raises
    ------
    BadInput
        There is nothing to replay.
    Misconfigured
        The set-up cannot work for any exposure.
    """
    config = station.config
    files = find_files(paths, include=config["INCLUDE"], exclude=config["EXCLUDE"], target=station.target)
    done = Replayed(n_files=len(files))
    names = {str(path) for path in files}
    gone = sorted(_vanished(store.files(), paths))
    before = store.file_nights()
    store.forget_files(gone)
    with ThreadPoolExecutor(max_workers=jobs or station.workers) as executor, _progress(console) as bars:
        corridor = Corridor(station=station, store=store, folders=data_folders(paths))
        corridor.clean_up()
        fresh = corridor.unread(files)
        task = bars.add_task("headers", total=len(fresh))
        strays: list[intake.TakenIn] = []
        for taken in _spread(executor, lambda path: intake.take_in(path, station=station), fresh):
            if taken.exposure is not None:
                corridor.record_taken(taken)
            else:
                strays.append(taken)
            bars.advance(task)
        done.parked_files = [taken for taken in strays if taken.error is not None]
        account_for(strays, corridor, {Path(f): n for f, n in store.file_nights().items() if f in names})
        done.n_ignored = sum(1 for f, row in store.files().items() if row.outcome == "ignored" and f in names)
        after = store.file_nights()
        touched = {before[f] for f in (*names, *gone) if f in before} | {after[f] for f in names & set(after)}
        nights = sorted(n for n in touched if night in (None, n))
        if not nights:
            raise BadInput(_nothing(done, night, touched))
        chosen = {n: [s for s in corridor.group(n) if field_name in (None, s.field)] for n in nights}
        if field_name is not None and not any(chosen.values()):
            fields = sorted({s.field for s in store.sequences() if s.night in nights})
            raise BadInput(f"no field {field_name!r}", next_step=f"the fields are {', '.join(fields)}")
        _work_nights(corridor, executor, chosen, done, bars, on_sequence)
        if night is None and field_name is None:
            for other in set(store.unwritten_nights()) - chosen.keys():  # of files that are no exposures
                corridor.finish(other)
    return done


def account_for(strays: Iterable[intake.TakenIn], corridor: Corridor, nights: Mapping[Path, str]) -> None:
    """Record files that are no exposures, each in the summary of a night that is replayed.

    One whose header does not say when it was taken was perhaps only copied in the night of its time of
    change: where that night has no exposures, the nearest one accounts for it that has exposures in the same
    folder, or else anywhere.

    Parameters
    ----------
    strays : iterable of TakenIn
    corridor : Corridor
    nights : mapping
        Night of each file that holds an exposure, by path.
    """
    everywhere = set(nights.values())
    beside: dict[Path, set[str]] = {}
    for path, night in nights.items():
        beside.setdefault(path.parent, set()).add(night)
    for taken in strays:
        own = corridor.night_of_stray(taken)
        if taken.taken_mjd is None and everywhere and own not in everywhere:
            near = sorted(beside.get(taken.path.parent, everywhere))
            own = min(near, key=partial(_days_between, own))
        corridor.record_taken(taken, night=own)


def _days_between(night: str, other: str) -> int:
    return abs((date.fromisoformat(night) - date.fromisoformat(other)).days)


def _work_nights(
    corridor: Corridor,
    executor: Executor,
    chosen: dict[str, list[FieldSequence]],
    done: Replayed,
    bars: Progress,
    on_sequence: Callable[[Linked], None],
) -> None:
    extracting = bars.add_task(
        "SExtractor", total=sum(len(s.exposures) for ss in chosen.values() for s in ss)
    )
    linking = bars.add_task("SCAMP, filters", total=sum(len(ss) for ss in chosen.values()))
    for night, sequences in chosen.items():
        exposures = {e.digest: e for s in sequences for e in s.exposures}
        catalogues, wanted = corridor.catalogues(exposures)
        done.n_reused += len(catalogues)
        refused = corridor.store.why_parked(exposures.keys() - catalogues.keys() - wanted.keys())
        done.parked_exposures += sorted((exposures[d].name, reason) for d, reason in refused.items())
        bars.advance(extracting, len(exposures) - len(wanted))
        for exposure, outcome in _spread(
            executor, _extraction(corridor.station, exposures, wanted, night), wanted
        ):
            corridor.record_extracted(exposure, outcome, key=wanted[exposure.digest])
            if isinstance(outcome, Catalogue):
                catalogues[exposure.digest] = outcome
                done.n_extracted += 1
            else:
                done.parked_exposures.append((exposure.name, str(outcome)))
            bars.advance(extracting)
        for sequence in sequences:  # one after the other: SCAMP fills the cores by itself
            plan = corridor.plan(sequence, catalogues)
            linked = plan if isinstance(plan, Linked) else corridor.record(plan, corridor.run(plan))
            done.sequences.append(linked)
            on_sequence(linked)
            bars.advance(linking)
        done.candidates[night] = corridor.finish(night)


def _extraction(
    station: Station, exposures: Mapping[str, Exposure], wanted: Mapping[str, str], night: str
) -> Callable[[str], tuple[Exposure, Catalogue | SsosdError]]:
    def extract(digest: str) -> tuple[Exposure, Catalogue | SsosdError]:
        exposure = exposures[digest]
        return exposure, work.extract_exposure(exposure, night=night, key=wanted[digest], station=station)

    return extract


def _spread(executor: Executor, function: Callable[[_I], _O], items: Iterable[_I]) -> Iterator[_O]:
    """Run `function` over items on the executor; outcomes as they come."""
    futures: list[Future[_O]] = [executor.submit(function, item) for item in items]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def data_folders(paths: Sequence[Path]) -> list[Path]:
    """The folders among the paths given, whose files are all to be accounted for."""
    return [path for path in (p.expanduser().absolute() for p in paths) if path.is_dir()]


def _vanished(known: Mapping[str, FileRow], paths: Sequence[Path]) -> set[str]:
    roots = [p.expanduser().absolute() for p in paths]
    return {
        name
        for name, row in known.items()
        if row.outcome != "gone"
        and any(Path(name).is_relative_to(root) for root in roots)
        and not Path(name).exists()
    }


def _nothing(done: Replayed, night: str | None, nights: Iterable[str]) -> str:
    """Why there is nothing to work on."""
    if night is not None and nights:
        return f"no exposures of the night {night}; there are {', '.join(sorted(nights))}"
    reasons = [str(t.error) for t in done.parked_files[:3]]
    if len(done.parked_files) > len(reasons):
        reasons.append(f"and {len(done.parked_files) - len(reasons)} more")
    if done.n_ignored:
        reasons.append(f"{done.n_ignored} calibration frames")
    return f"none of {done.n_files} files is a usable exposure: {'; '.join(reasons)}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
