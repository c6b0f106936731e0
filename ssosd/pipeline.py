"""The corridor: what follows what, what is skipped, what is parked. The one writer of the store.

Whoever feeds the corridor (`ssosd.replay` from an archive) runs the work of `ssosd.work` where it likes and
hands the outcomes back here, where each is recorded in one short transaction. Every step is idempotent: what
is done with the same inputs is skipped, what is not is done again, so a run that was killed is simply run
again. Results depend on the set of exposures alone, never on their order of arrival: exposures are ordered by
time and names by alphabet before anything is computed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ssosd import work
from ssosd.days import mjd_of
from ssosd.errors import BadInput, Misconfigured, Retriable, SsosdError, Unforeseen
from ssosd.ingest.sequence import FieldSequence, group_exposures
from ssosd.ingest.watcher import regular_stat
from ssosd.inquiry import IdentifyJob, Inquiry, identify_again
from ssosd.intake import TakenIn
from ssosd.model import Catalogue, Exposure
from ssosd.night.files import candidate_rows, write_night
from ssosd.plumbing.files import TEMPORARY_PREFIX, flush_folder, mtime_ns
from ssosd.site import night_of
from ssosd.standing import Standing, has_its_files
from ssosd.station import STAGING_PREFIX, Station
from ssosd.store import BLIND, ExposureState, FileRow, Patience, SequenceRow, Store
from ssosd.work import Identified, SequenceResult

#: What a job's work gives: results whose files wait in a staging folder, or why there are none.
Outcome = SequenceResult | tuple[Path, Identified] | SsosdError


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkJob:
    """A sequence that is to be linked, with all that its result depends on."""

    number: int  # of its row in the store
    sequence: FieldSequence  # the exposures that have a catalogue
    members: tuple[str, ...]  # digests of all its exposures
    catalogues: Mapping[str, Catalogue]  # by the exposure's digest
    fingerprint: str
    access: work.Access  # what it may use of the services


@dataclass(frozen=True, kw_only=True, slots=True)
class Linked:
    """What became of one sequence in this run."""

    sequence: FieldSequence
    result: SequenceResult | None  # None when it was parked or was done before
    error: SsosdError | None
    skipped: bool  # done before with the same inputs, or parked before and nothing has changed
    identified: Identified | None = None  # compared with the known objects again, without linking
    stale: bool = False  # thrown away: the sequence is not what it was when the work began


class Corridor:
    """From files to drafts, for one station and its store. Not thread-safe: one thread owns it.

    Methods that decide and record live here; the work itself is in `ssosd.work` and runs wherever the caller
    likes.

    Parameters
    ----------
    station : Station
    store : Store
    folders : sequence of Path
        Data folders whose files the summary of a night accounts for.
    changed_between : callable, optional
        The files in these folders that were changed last between two times (Unix seconds), for one who has
        looked already; they are looked for when it is not given.
    is_live : bool
        Whether results outlive the files they are of: a telescope's disk is emptied, and cameras use names
        again. Those of a replay are of the files that are there.
    """

    def __init__(
        self,
        *,
        station: Station,
        store: Store,
        folders: Sequence[Path] = (),
        changed_between: Callable[[float, float], list[str]] | None = None,
        is_live: bool = False,
    ) -> None:
        self._station = station
        self.store = store
        self._folders = tuple(folders)
        self.inquiry = Inquiry(store)
        self._changed_between = changed_between
        self._is_live = is_live
        self._standing = Standing(station=station, store=store)

    @property
    def station(self) -> Station:
        """What the work is done with; another one is what results are compared with from then on."""
        return self._station

    @station.setter
    def station(self, station: Station) -> None:
        self._station = self._standing.station = station

    def clean_up(self) -> None:
        """Remove what a process left behind that was killed; only for one that holds the target alone."""
        station = self.station
        half = [
            *station.catalogue_folder("").glob(f"*/{TEMPORARY_PREFIX}*"),
            *station.orbit_cache.glob(f"{TEMPORARY_PREFIX}*"),  # a download of 100 MB
            *station.own_tiles.glob(f"*/{TEMPORARY_PREFIX}*"),
        ]
        staged = station.target.glob(f"*/{STAGING_PREFIX}*")
        for path in (*station.scratch.iterdir(), *half, *staged):
            _remove(path)

    # ---- files ---------------------------------------------------------------------------------------

    def unread(self, paths: Iterable[Path]) -> list[Path]:
        """Those files that are new, have changed, or were read with other settings or without success."""
        known = self.store.files()
        return [path for path in paths if not self._is_read(path, known.get(str(path)))]

    def _is_read(self, path: Path, row: FileRow | None) -> bool:
        if (
            row is None
            or row.outcome not in ("exposure", "duplicate", "ignored")
            or row.read_with != self.station.read_with
        ):
            return False
        stat = regular_stat(str(path))
        return stat is not None and (stat.st_size, mtime_ns(stat)) == (row.size_bytes, row.mtime_ns)

    @property
    def patience(self) -> Patience:
        """How often what may succeed later is tried again."""
        return Patience.of(self.station.config)

    def record_taken(self, taken: TakenIn, *, night: str | None = None) -> str:
        """Record a file as an exposure of its night, as ignored, or as parked with its reason.

        Parameters
        ----------
        taken : TakenIn
        night : str, optional
            The night that accounts for it where it is no exposure; `night_of_stray` when not given.

        Returns
        -------
        str
            The night whose files are to be written again.
        """
        stamp: dict[str, Any] = {
            "size_bytes": taken.size_bytes,
            "mtime_ns": taken.mtime_ns,
            "read_with": self.station.read_with,
        }
        if taken.exposure is not None:
            own = night_of(taken.exposure.mjd_mid, self.station.site.lon_deg)
            self._set_aside(taken, night=own)
            self.store.record_exposure(taken.exposure, night=own, **stamp)
            return own
        if night is None:
            night = self.night_of_stray(taken)
        if taken.taken_mjd is not None:  # by its header, not by when a file was changed
            self._set_aside(taken, night=night)
        self.store.spoil_night(night)
        if taken.ignored:
            self.store.ignore_file(taken.path, reason=taken.ignored, night=night, **stamp)
        elif taken.error is not None:
            self.store.park_file(taken.path, error=taken.error, patience=self.patience, night=night, **stamp)
            self.store.event("warning", taken.path.name, str(taken.error))
        return night

    def _set_aside(self, taken: TakenIn, *, night: str) -> None:
        """Keep what was in a file, with its results, when another night's frame has been written over it."""
        if self._is_live and self.store.set_aside(
            str(taken.path),
            night=night,
            stamp=(taken.size_bytes, taken.mtime_ns),
            digest=None if taken.exposure is None else taken.exposure.digest,
        ):
            said = "another night's frame has been written over an exposure"
            self.store.event("warning", taken.path.name, said)

    def night_of_stray(self, taken: TakenIn) -> str:
        """The night of a file that is no exposure: by its header, else by its time of change."""
        changed_mjd = mjd_of(taken.mtime_ns / 1e9)
        mjd = changed_mjd if taken.taken_mjd is None else taken.taken_mjd
        return night_of(mjd, self.station.site.lon_deg)

    # ---- exposures -----------------------------------------------------------------------------------

    def catalogues(
        self, exposures: Mapping[str, Exposure], *, again: bool = True
    ) -> tuple[dict[str, Catalogue], dict[str, str]]:
        """Split exposures into those with a valid catalogue and those to extract, with their keys.

        Parameters
        ----------
        exposures : mapping
            By digest.
        again : bool
            Whether parked ones are tried again although nothing has changed and no try is due.
        """
        ready: dict[str, Catalogue] = {}
        wanted: dict[str, str] = {}
        states = self.store.states(exposures)
        found = self.store.catalogues(exposures)
        now_s = self.store.now_s
        for digest, exposure in exposures.items():
            state = states[digest]
            key, error = self._standing.key_of(exposure)
            if error is not None:
                if again or not state.rests(None, now_s=now_s):
                    self.record_extracted(exposure, error)
            elif key is not None and key in found:
                ready[digest] = found[key]
                if (state.state, state.catalogue) != ("extracted", key):
                    self.store.record_catalogue(digest, found[key])
            elif key is not None and (again or not state.rests(key, now_s=now_s)):
                wanted[digest] = key
        return ready, wanted

    def record_extracted(
        self, exposure: Exposure, outcome: Catalogue | SsosdError, *, key: str | None = None
    ) -> None:
        """Record an exposure's catalogue, or the reason there is none for this key.

        Raises
        ------
        Misconfigured
            As given: it concerns every exposure, none is parked for it.
        """
        if isinstance(outcome, Misconfigured):
            raise outcome
        if isinstance(outcome, Catalogue):
            self.store.record_catalogue(exposure.digest, outcome)
        else:
            self.store.park_exposure(exposure.digest, outcome, patience=self.patience, tried_with=key)
            self.store.event("warning", exposure.name, str(outcome))

    # ---- sequences -----------------------------------------------------------------------------------

    def group(self, night: str) -> tuple[FieldSequence, ...]:
        """Find the night's sequences and make the store's rows follow; folders of ended ones are removed."""
        config = self.station.config
        sequences = group_exposures(
            self.store.exposures(night=night).values(),
            night=night,
            radius_fraction=config["FIELD_RADIUS"],
            gap_hours=config["SEQUENCE_GAP"],
        )
        ended = self.store.regroup(
            night, {s.field: (s.ra_deg, s.dec_deg, [e.digest for e in s.exposures]) for s in sequences}
        )
        for row in ended:
            if row.folder is not None:
                shutil.rmtree(row.folder, ignore_errors=True)
        return sequences

    def is_settled(
        self, sequence: FieldSequence, row: SequenceRow, states: Mapping[str, ExposureState]
    ) -> bool:
        """Whether nothing is to be done for a sequence; see `Standing.is_settled`."""
        return self._standing.is_settled(sequence, row, states)

    def plan(
        self, sequence: FieldSequence, catalogues: Mapping[str, Catalogue], *, again: bool = True
    ) -> LinkJob | IdentifyJob | Linked:
        """Decide what a sequence needs: a job to run, or nothing because it is done or cannot be linked.

        One that is linked may still have to be compared with the known objects again.

        Parameters
        ----------
        sequence : FieldSequence
        catalogues : mapping
            By the exposures' digests; exposures without one are left out.
        again : bool
            Whether a parked one is tried again, one that was linked without its files linked again, and a
            service asked again, although it is not time.
        """
        row = self.store.sequence(sequence.night, sequence.field)
        usable = replace(sequence, exposures=tuple(e for e in sequence.exposures if e.digest in catalogues))
        keys = {e.digest: catalogues[e.digest].key for e in usable.exposures}
        fingerprint = work.fingerprint(usable, keys, station=self.station)
        as_wanted = row.is_of(fingerprint)
        if not as_wanted and self._standing.waits_for_files(sequence, row):
            return Linked(sequence=usable, result=None, error=None, skipped=True)
        if as_wanted and not (again and row.is_blind):
            due = row.next_try_s is not None and row.next_try_s <= self.store.now_s
            if row.state == "parked" and not again and not due:
                return Linked(sequence=usable, result=None, error=None, skipped=True)
            if row.state in ("done", "open") and row.folder is not None and has_its_files(row):
                if row.state == "open":
                    self.store.confirm_sequence(row.id)
                known = self.inquiry.plan(
                    replace(row, state="done"), usable.exposures, self.station, again=again
                )
                return known or Linked(sequence=usable, result=None, error=None, skipped=True)
        job = LinkJob(
            number=row.id,
            sequence=usable,
            members=tuple(e.digest for e in sequence.exposures),
            catalogues={e.digest: catalogues[e.digest] for e in usable.exposures},
            fingerprint=fingerprint,
            access=work.Access(),
        )
        try:
            work.require_exposures(usable, minimum=self.station.config["MIN_EXPOSURES"])
        except BadInput as error:
            return self.record_linked(job, error)
        return replace(job, access=self.inquiry.access(usable.exposures, self.station))

    @staticmethod
    def run(job: LinkJob | IdentifyJob, *, station: Station) -> Outcome:
        """Do a job's work for the station that it was planned for; may run in any thread."""
        if isinstance(job, IdentifyJob):
            return identify_again(job, station=station)
        return work.try_to_link(job.sequence, job.catalogues, station=station, access=job.access)

    def record(self, job: LinkJob | IdentifyJob, outcome: Outcome) -> Linked:
        """Record what came of a job; see `record_linked` and `Inquiry.record`."""
        if isinstance(job, LinkJob) and not isinstance(outcome, tuple):
            return self.record_linked(job, outcome)
        if isinstance(job, IdentifyJob) and not isinstance(outcome, SequenceResult):
            known = self.inquiry.record(job, outcome, self.station)
            error = outcome if isinstance(outcome, Retriable) else None
            return Linked(
                sequence=job.sequence,
                result=None,
                error=error,
                skipped=known is None and error is None,
                identified=known,
            )
        raise TypeError(outcome)

    def record_linked(self, job: LinkJob, outcome: SequenceResult | SsosdError) -> Linked:
        """Put a sequence's results in the place of its former ones, or park it with the reason.

        Former results stay when it could not be linked for a while, or by a fault of ours: a service that
        does not answer takes nothing away.

        When the sequence has ended or has other exposures than those it was linked with, the results are
        thrown away.

        Raises
        ------
        Misconfigured
            As given: it concerns every sequence.
        """
        sequence = job.sequence
        if isinstance(outcome, Misconfigured):
            raise outcome
        if not self.store.holds(job.number, job.members):
            if isinstance(outcome, SequenceResult):
                shutil.rmtree(outcome.staged)
            return Linked(sequence=sequence, result=None, error=None, skipped=True, stale=True)
        final = self.station.field_folder(sequence.night, sequence.field)
        if isinstance(outcome, SsosdError):
            row = self.store.sequence(sequence.night, sequence.field)
            keeps = isinstance(outcome, Retriable | Unforeseen) and row.folder is not None and final.is_dir()
            self.store.park_sequence(
                job.number, outcome, patience=self.patience, fingerprint=job.fingerprint, keeps=keeps
            )
            former = "; its former results stay" if keeps else ""
            self.store.event("error", f"{sequence.night}/{sequence.field}", f"{outcome}{former}")
            if final.exists() and not keeps:
                shutil.rmtree(final)
            return Linked(sequence=sequence, result=None, error=outcome, skipped=False)
        self.inquiry.heard(outcome.identified.answers, self.station)
        folder = self._install(outcome.staged, final)
        n_linked, expected = len(outcome.catalog_numbers), self.station.config["EXPOSURES_PER_FIELD"]
        self.store.record_sequence(
            job.number,
            fingerprint=f"{job.fingerprint}{BLIND if outcome.blind else ''}",
            columns={
                **work.summary_columns(outcome, folder, exposures=sequence.exposures),
                "partial": int(n_linked < expected),
            },
            catalog_numbers=outcome.catalog_numbers,
            dropped={d.digest: d.reason for d in outcome.dropped},
            quality=outcome.quality,
            completeness=outcome.completeness,
            ledger=outcome.ledger,
            candidates=candidate_rows(sequence.night, outcome.candidates),
            known=outcome.identified.rows,
            delay_s=self.station.config["RETRY_DELAY"],
        )
        return Linked(sequence=sequence, result=outcome, error=None, skipped=False)

    @staticmethod
    def _install(staged: Path, final: Path) -> Path:
        """Put a finished staging folder in the place of the former results."""
        former = staged.with_name(f"{staged.name}.former")
        if final.exists():
            final.rename(former)
        staged.rename(final)
        flush_folder(final.parent)
        shutil.rmtree(former, ignore_errors=True)  # what another user owns is not worth the night
        return final

    def keep_house(self, *, now_mjd: float, days: float) -> int:
        """Remove cached catalogues of nights older than `days` whose work is done; returns how many.

        The field's own folder keeps its copies; a replay that needs a catalogue again makes it again.
        """
        oldest = night_of(now_mjd - days, self.station.site.lon_deg)
        unfinished = set(self.store.unfinished_nights())
        removed = 0
        for night in self.store.nights():
            folder = self.station.catalogue_folder(night)
            if night < oldest and night not in unfinished and folder.is_dir():
                removed += sum(1 for _ in folder.glob("*.cat"))
                shutil.rmtree(folder)
        return removed

    # ---- the night -----------------------------------------------------------------------------------

    def finish(
        self, night: str, *, summary: bool = True, breath: Callable[[], None] = lambda: None
    ) -> pd.DataFrame:
        """Write the night's candidates.csv, its draft and, when due, its summary; returns the candidates.

        Parameters
        ----------
        night : str
        summary : bool
            Whether it is due.
        breath : callable
            Called again and again meanwhile: a night of thousands of candidates takes a minute.
        """
        return write_night(
            night,
            station=self.station,
            store=self.store,
            folders=self._folders,
            changed_between=self._changed_between,
            summary=summary,
            breath=breath,
        )


def _remove(path: Path) -> None:
    """Remove what nobody needs; a process that lives on without its parent may still write into a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
