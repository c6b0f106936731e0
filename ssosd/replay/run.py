"""A replay from its first file to its last night."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from ssosd.crew import Crew, Job, TakeIn, do_all, gather
from ssosd.errors import BadInput
from ssosd.ingest.watcher import Sieve, nameless
from ssosd.intake import TakenIn
from ssosd.pipeline import Corridor, Linked
from ssosd.plumbing.text import counted
from ssosd.replay.absent import no_field, no_night
from ssosd.replay.bars import progress
from ssosd.replay.finding import Archive, find_files
from ssosd.replay.nights import Nights
from ssosd.replay.outcome import Replayed
from ssosd.replay.strays import account_for
from ssosd.station import Station
from ssosd.store import FileRow, Store


def replay(
    paths: Sequence[Path],
    *,
    station: Station,
    store: Store,
    console: Console,
    night: str | None = None,
    field_name: str | None = None,
    crew: Callable[[int], Crew] | None = None,
    on_sequence: Callable[[Linked], None] = lambda _: None,
    on_night: Callable[[str, pd.DataFrame], None] = lambda _night, _candidates: None,
) -> Replayed:
    """Take in, extract, group, link and draft all nights found under `paths`.

    What has been done before with the same inputs is not done again, so a replay that was stopped or killed,
    or whose files have become more, is simply run again. The results do not depend on who does the work, or
    on how many.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders; folders are searched in depth, files under the target are left out.
    night, field_name : str, optional
        Only this night, only this field.
    crew : callable, optional
        Given the number of files, gathers those who do the work; by default `ssosd.crew.gather` on this
        machine.
    on_sequence, on_night : callable
        Told of each sequence as it ends, and of each night with its candidates (one row per detection).

    Raises
    ------
    BadInput
        There is nothing to replay.
    Misconfigured
        The set-up cannot work for any exposure.
    """
    config = station.config
    known = store.files()
    archive = find_files(
        paths, include=config["INCLUDE"], exclude=config["EXCLUDE"], target=station.target, known=known
    )
    done = Replayed(n_files=len(archive.files))
    names = {str(path) for path in archive.files}
    gone = sorted(_vanished(known, archive, include=config["INCLUDE"], exclude=config["EXCLUDE"]))
    before = store.file_nights()
    store.forget_files(gone)
    corridor = Corridor(
        station=station, store=store, folders=archive.folders, changed_between=archive.changed_between
    )
    corridor.clean_up()
    gathered = gather(done.n_files, station=station) if crew is None else crew(done.n_files)
    with gathered as workers, progress(console) as bars:
        _take_in(corridor, workers, archive, done, bars)
        done.n_ignored = sum(1 for f, row in store.files().items() if row.outcome == "ignored" and f in names)
        after = store.file_nights()
        touched = {before[f] for f in (*names, *gone) if f in before} | {after[f] for f in names & set(after)}
        nights = sorted(n for n in touched if night in (None, n))
        if not nights and night is not None and touched:
            raise no_night(night, touched)
        if not nights:
            raise BadInput(f"no usable exposure in {counted(done.n_files, 'file')}: {done.why_nothing()}")
        if field_name is not None:
            nights = _nights_of_field(corridor, nights, field_name)
        extracting = bars.add_task("exposures", total=store.count_exposures(nights))
        work = Nights(
            corridor=corridor,
            nights=nights,
            field_name=field_name,
            at_once=workers.at_once,
            done=done,
            on_extracted=lambda count: bars.advance(extracting, count),
            on_sequence=on_sequence,
            on_night=on_night,
        )
        do_all(workers, next_job=work.next, record=work.record)
    if night is None and field_name is None:
        for other in set(store.unwritten_nights()) - set(nights):  # of files that are no exposures
            corridor.finish(other)
    corridor.clean_up()
    return done


def _take_in(corridor: Corridor, crew: Crew, archive: Archive, done: Replayed, bars: Progress) -> None:
    fresh = corridor.unread(archive.files)
    task = bars.add_task("headers", total=len(fresh))

    strays: list[TakenIn] = []

    def record(_: Job, taken: TakenIn) -> None:
        if taken.exposure is not None:
            corridor.record_taken(taken)
        else:
            strays.append(taken)
        bars.advance(task)

    jobs = (TakeIn(path=path) for path in fresh)
    do_all(crew, next_job=lambda: next(jobs, None), record=record)
    unnamed = [TakenIn(path=Path(p), size_bytes=0, mtime_ns=0, error=nameless(p)) for p in archive.nameless]
    done.parked_files = sorted((s for s in (*strays, *unnamed) if s.error is not None), key=lambda s: s.path)
    names = set(archive.files)
    account_for(
        strays, corridor, {p: n for f, n in corridor.store.file_nights().items() if (p := Path(f)) in names}
    )


def _nights_of_field(corridor: Corridor, nights: Sequence[str], field_name: str) -> list[str]:
    fields = {night: {s.field for s in corridor.group(night)} for night in nights}
    chosen = [night for night in nights if field_name in fields[night]]
    known = set().union(*fields.values())
    if known and not chosen:
        raise no_field(field_name, known)
    return chosen or list(nights)  # nights without any exposure by now are written all the same


def _vanished(
    known: Mapping[str, FileRow], archive: Archive, *, include: Sequence[str], exclude: Sequence[str]
) -> set[str]:
    """Known files below what was given that are no more, or that INCLUDE and EXCLUDE keep out by now."""
    taken = {str(path) for path in archive.files}
    # without the target: a folder may be given that is around it, and what lies there came from elsewhere
    sieves = [Sieve(folder, include=include, exclude=exclude) for folder in archive.folders]

    def kept_out(name: str) -> bool:
        return any(not sieve(name) for sieve in sieves if Path(name).is_relative_to(sieve.root))

    return {
        name
        for name, row in known.items()
        if row.outcome != "gone"
        and name not in taken
        and any(Path(name).is_relative_to(root) for root in archive.roots)
        and (not Path(name).exists() or kept_out(name))
    }
