"""The corridor: what follows what, what is skipped, what is parked. The one writer of the store.

Whoever feeds the corridor (`ssosd.replay` from an archive) runs the work of `ssosd.work` where it likes and
hands the outcomes back here, where each is recorded in one short transaction. Every step is idempotent: what
is done with the same inputs is skipped, what is not is done again, so a run that was killed is simply run
again. Results depend on the set of exposures alone, never on their order of arrival: exposures are ordered by
time and names by alphabet before anything is computed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ssosd import work
from ssosd.errors import BadInput, Misconfigured, SsosdError
from ssosd.files import atomic_write_text
from ssosd.ingest.sequence import FieldSequence, group_exposures
from ssosd.model import Catalogue, Exposure
from ssosd.reports.mpc80 import render_draft
from ssosd.reports.tables import read_candidates_csv, write_candidates_csv
from ssosd.site import night_of
from ssosd.station import Station
from ssosd.store import FileRow, Patience, Store
from ssosd.work import SequenceResult, TakenIn

_SERVICE_PATIENCE = 2  # fields in a row without an answer after which a run stops asking


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkJob:
    """A sequence that is to be linked, with all that its result depends on."""

    number: int  # of its row in the store
    sequence: FieldSequence  # the exposures that have a catalogue
    catalogues: Mapping[str, Catalogue]  # by the exposure's digest
    fingerprint: str
    ask_skybot: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Linked:
    """What became of one sequence in this run."""

    sequence: FieldSequence
    result: SequenceResult | None  # None when it was parked or was done before
    error: SsosdError | None
    skipped: bool  # done before with the same inputs


class Corridor:
    """From files to drafts, for one station and its store. Not thread-safe: one thread owns it.

    Methods that decide and record live here; the work itself is in `ssosd.work` and runs wherever the caller
    likes. Parameters: a `Station` and its `Store`.
    """

    def __init__(self, *, station: Station, store: Store) -> None:
        self.station = station
        self.store = store
        self._service_misses = 0

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
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (row.size_bytes, row.mtime_ns)

    @property
    def patience(self) -> Patience:
        """How often what may succeed later is tried again."""
        return Patience(tries=self.station.config["TRIES"], delay_s=self.station.config["RETRY_DELAY"])

    def record_taken(self, taken: TakenIn) -> str | None:
        """Record a file as an exposure of its night, as ignored, or as parked with its reason.

        Returns
        -------
        str or None
            The exposure's night.
        """
        stamp: dict[str, Any] = {
            "size_bytes": taken.size_bytes,
            "mtime_ns": taken.mtime_ns,
            "read_with": self.station.read_with,
        }
        if taken.exposure is not None:
            night = night_of(taken.exposure.mjd_mid, self.station.site.lon_deg)
            self.store.record_exposure(taken.exposure, night=night, **stamp)
            return night
        if taken.ignored:
            self.store.ignore_file(taken.path, reason=taken.ignored, **stamp)
        elif taken.error is not None:
            self.store.park_file(taken.path, error=taken.error, patience=self.patience, **stamp)
            self.store.event("warning", taken.path.name, str(taken.error))
        return None

    # ---- exposures -----------------------------------------------------------------------------------

    def catalogues(self, exposures: Mapping[str, Exposure]) -> tuple[dict[str, Catalogue], dict[str, str]]:
        """Split exposures into those with a valid catalogue and those to extract, with their keys."""
        ready: dict[str, Catalogue] = {}
        wanted: dict[str, str] = {}
        for digest, exposure in exposures.items():
            try:
                key = work.key_of(exposure, station=self.station)
            except BadInput as error:  # its weight map is missing
                self.record_extracted(exposure, error)
                continue
            catalogue = self.store.catalogue(key)
            if catalogue is None:
                wanted[digest] = key
            else:
                ready[digest] = catalogue
        return ready, wanted

    def record_extracted(self, exposure: Exposure, outcome: Catalogue | SsosdError) -> None:
        """Record an exposure's catalogue, or the reason there is none.

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
            self.store.park_exposure(exposure.digest, outcome, patience=self.patience)
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

    def plan(self, sequence: FieldSequence, catalogues: Mapping[str, Catalogue]) -> LinkJob | Linked:
        """Decide what a sequence needs: a job to run, or nothing because it is done or cannot be linked."""
        row = self.store.sequence(sequence.night, sequence.field)
        usable = replace(sequence, exposures=tuple(e for e in sequence.exposures if e.digest in catalogues))
        job = LinkJob(
            number=row.id,
            sequence=usable,
            catalogues={e.digest: catalogues[e.digest] for e in usable.exposures},
            fingerprint=work.fingerprint(usable, catalogues, station=self.station),
            ask_skybot=self._service_misses < _SERVICE_PATIENCE,
        )
        try:
            work.require_exposures(usable, minimum=self.station.config["MIN_EXPOSURES"])
        except BadInput as error:
            return self.record_linked(job, error)
        if (
            row.state == "done"
            and row.fingerprint == job.fingerprint
            and row.folder
            and Path(row.folder).is_dir()
        ):
            return Linked(sequence=usable, result=None, error=None, skipped=True)
        return job

    def run(self, job: LinkJob) -> SequenceResult | SsosdError:
        """Do a job's work; may run in any thread."""
        try:
            return work.link_sequence(
                job.sequence, job.catalogues, station=self.station, ask_skybot=job.ask_skybot
            )
        except SsosdError as error:
            return error

    def record_linked(self, job: LinkJob, outcome: SequenceResult | SsosdError) -> Linked:
        """Put a sequence's results in the place of its former ones, or park it with the reason.

        Raises
        ------
        Misconfigured
            As given: it concerns every sequence.
        """
        sequence = job.sequence
        if isinstance(outcome, Misconfigured):
            raise outcome
        final = self.station.field_folder(sequence.night, sequence.field)
        if isinstance(outcome, SsosdError):
            self.store.park_sequence(job.number, outcome, patience=self.patience)
            self.store.event("error", f"{sequence.night}/{sequence.field}", str(outcome))
            self._remove_folder(final)
            return Linked(sequence=sequence, result=None, error=outcome, skipped=False)
        self._count_service(outcome)
        folder = self._install(outcome.staged, final)
        self.store.record_sequence(
            job.number,
            fingerprint=job.fingerprint,
            columns=work.summary_columns(outcome, folder),
            catalog_numbers=outcome.catalog_numbers,
            dropped={d.digest: d.reason for d in outcome.dropped},
            ledger=outcome.ledger,
            candidates=_candidate_rows(sequence.night, outcome.candidates),
            known=outcome.known,
        )
        return Linked(sequence=sequence, result=outcome, error=None, skipped=False)

    def _count_service(self, result: SequenceResult) -> None:
        if self.station.config["CROSSMATCH_SKYBOT"]:
            self._service_misses = self._service_misses + 1 if result.unchecked_because else 0

    @staticmethod
    def _install(staged: Path, final: Path) -> Path:
        """Put a finished staging folder in the place of the former results."""
        former = final.with_name(f".{final.name}.old")
        if former.exists():
            shutil.rmtree(former)
        if final.exists():
            final.rename(former)
        staged.rename(final)
        if former.exists():
            shutil.rmtree(former)
        return final

    @staticmethod
    def _remove_folder(folder: Path) -> None:
        for path in (folder, folder.with_name(f".{folder.name}.new")):
            if path.exists():
                shutil.rmtree(path)

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

    def finish(self, night: str) -> pd.DataFrame:
        """Write the night's candidates.csv and its draft from the results of all its sequences."""
        tables = [
            read_candidates_csv(Path(row.folder) / "cats" / "candidates.csv")
            for row in self.store.sequences(night=night)
            if row.state == "done" and row.folder is not None
        ]
        filled = [table for table in tables if len(table)] or tables[:1]
        candidates = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
        folder = self.station.target / night
        (folder / "drafts").mkdir(parents=True, exist_ok=True)
        write_candidates_csv(folder / "candidates.csv", candidates)
        draft = render_draft(candidates=candidates, code=self.station.config["OBSERVATORY_CODE"], night=night)
        path = folder / "drafts" / "mpc80.txt"
        atomic_write_text(path, draft.text)
        self.store.record_draft(
            night=night,
            kind="mpc80",
            path=path,
            n_observations=draft.n_observations,
            digest=hashlib.blake2b(draft.text.encode(), digest_size=16).hexdigest(),
        )
        for problem in draft.problems:
            self.store.event("warning", night, problem)
        return candidates


def _candidate_rows(night: str, candidates: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per candidate for the store, from the table of detections."""
    if candidates.empty:
        return []
    ordered = candidates.sort_values(["CANDIDATE", "MID_EXPOSURE_MJD"], kind="stable")
    grouped = ordered.groupby("CANDIDATE", sort=True)
    first = grouped.first()
    table = pd.DataFrame(
        {
            "source_number": first["SOURCE_NUMBER"],
            "n_detections": grouped.size(),
            "mjd_first": first["MID_EXPOSURE_MJD"],
            "ra_deg": first["RA"],
            "dec_deg": first["DEC"],
            "pm": first["PM"],
            "pm_ra": first["PMRA"],
            "pm_dec": first["PMDEC"],
            "mag": grouped["MAG"].median(),
            "match_state": first["MATCH_STATE"],
            "known_number": first["SKYBOT_NUMBER"],
            "known_name": first["SKYBOT_NAME"],
        }
    )
    table = table.astype(object).where(table.notna(), None)
    return [
        {"night": night, "candidate": candidate, **{str(name): value for name, value in row.items()}}
        for candidate, row in zip(table.index, table.to_dict("records"), strict=True)
    ]
