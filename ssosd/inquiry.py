"""Who is asked about the known objects and when: services that rest, answers that come late, orbits anew.

Candidates that nobody could be asked about are unchecked, not unknown. Their sequence stays noted in the
store until the source of knowledge that comes first has answered, and is then compared again, without linking
it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd import work
from ssosd.errors import BadInput, Retriable, SsosdError
from ssosd.identify.limits import Limit, measured_limit
from ssosd.ingest.sequence import FieldSequence
from ssosd.model import Exposure
from ssosd.night.files import candidate_rows
from ssosd.plumbing.breaker import Breaker
from ssosd.plumbing.files import flush_folder, flush_tree
from ssosd.station import Station
from ssosd.store import Patience, SequenceRow, Store
from ssosd.work import Identified
from ssosd.work.asking import COMETS, ORBITS, SKYBOT
from ssosd.work.identifying import FILES, FOLDERS, REGIONS

log = logging.getLogger("ssosd.daemon")
SKYBOT_NAME = "SkyBoT"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class IdentifyJob:
    """A linked sequence that is to be compared with the known objects again."""

    row: SequenceRow  # as it is when the work begins
    sequence: FieldSequence  # the exposures it was linked with, in the order of CATALOG_NUMBER
    ledger: pd.DataFrame
    limit: Limit | None  # how faint the exposures reach
    access: work.Access


class Inquiry:
    """Asks about the known objects, for one store. Not thread-safe: one thread owns it.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._skybot = Breaker(clock=lambda: store.now_s)

    def clock_put_back(self, back_s: float) -> None:
        """A service that rests does so no longer than it would have."""
        self._skybot.clock_put_back(back_s)

    def access(self, exposures: Sequence[Exposure], station: Station) -> work.Access:
        """What a sequence may use of the services now."""
        return work.Access(
            skybot=station.uses_skybot and self._skybot.allows(),
            memory=self._store.answers(e.digest for e in exposures),
        )

    def plan(
        self, row: SequenceRow, exposures: Sequence[Exposure], station: Station, *, again: bool
    ) -> IdentifyJob | None:
        """What a linked sequence needs: a comparison with what is known now, or nothing.

        Parameters
        ----------
        row : SequenceRow
        exposures : sequence of Exposure
            Its exposures, in any order.
        station : Station
        again : bool
            Whether somebody is asked again although it is not time.
        """
        if row.identified_with == station.known_settings:
            waiting = [a for a in self._store.asking(night=row.night) if a.sequence == row.id]
            if not waiting or not (again or waiting[0].next_try_s <= self._store.now_s):
                return None
        return self._job(row, exposures, station)

    def due(self) -> list[SequenceRow]:
        """Sequences for which somebody is to be asked again now; one alone while a service is being tried."""
        if not self._skybot.is_due:
            return []
        now_s = self._store.now_s
        asking = (a for a in self._store.asking() if a.next_try_s <= now_s)
        rows = (self._store.sequence(a.night, a.field) for a in asking)
        able = (row for row in rows if row.state == "done" and row.folder is not None)
        return list(islice(able, 1 if self._skybot.next_try_s is not None else None))

    def again(self, row: SequenceRow, station: Station) -> IdentifyJob | None:
        """The job of a sequence for which somebody is to be asked again; None when it is not linked now."""
        if row.state != "done" or row.folder is None:
            return None
        return self._job(row, [*self._store.exposures(night=row.night).values()], station)

    def _job(self, row: SequenceRow, exposures: Sequence[Exposure], station: Station) -> IdentifyJob:
        by_digest = {e.digest: e for e in exposures}
        linked = tuple(by_digest[d] for d in self._store.linked_exposures(row.id) if d in by_digest)
        ledger = pd.DataFrame(self._store.rejections(row.id), columns=_LEDGER)
        quality = pd.DataFrame(self._store.quality(row.id))
        return IdentifyJob(
            row=row,
            sequence=FieldSequence(
                night=row.night,
                field=row.field,
                ra_deg=linked[0].ra_deg if linked else 0.0,
                dec_deg=linked[0].dec_deg if linked else 0.0,
                exposures=linked,
            ),
            ledger=ledger.astype({"MEASURED": np.float64, "LIMIT": np.float64}),  # None is NaN
            limit=measured_limit(quality) if len(quality) else None,
            access=self.access(linked, station),
        )

    def record(
        self, job: IdentifyJob, outcome: tuple[Path, Identified] | SsosdError, station: Station
    ) -> Identified | None:
        """Put the files in the place of the former ones and record them; None when nothing came of it.

        Where the evidence is missing the sequence is linked again. One that could not be compared is parked,
        as one that could not be linked, and keeps what it has.

        Raises
        ------
        Misconfigured
            As given: it concerns every sequence.
        """
        row = job.row
        if isinstance(outcome, BadInput):
            self._store.event("warning", f"{row.night}/{row.field}", f"linked again: {outcome.message}")
            self._store.reopen_sequence(row.id)
            return None
        now = self._as_planned(row)
        if isinstance(outcome, Retriable):
            if now is not None:
                self._park(now, outcome, station)
            return None
        if isinstance(outcome, SsosdError):
            raise outcome
        staged, identified = outcome
        self.heard(identified.answers, station)
        if now is None:
            shutil.rmtree(staged)
            return None
        delay_s = station.config["RETRY_DELAY"]
        folder = Path(row.folder or "")
        if now.identified_with == identified.rows.identified_with and _same(staged, folder):
            shutil.rmtree(staged)
            self._store.ask_again(row.id, identified.rows.wants, delay_s=delay_s)
            return None
        _install(staged, folder)
        self._store.record_identified(
            row.id,
            identified.rows,
            candidates=candidate_rows(row.night, identified.candidates),
            delay_s=delay_s,
        )
        return identified

    def _as_planned(self, row: SequenceRow) -> SequenceRow | None:
        """The row as it is now; None where the sequence has ended or been linked again since."""
        now = next((r for r in self._store.sequences(night=row.night) if r.id == row.id), None)
        planned = ("done", row.fingerprint, row.folder)
        return now if now is not None and (now.state, now.fingerprint, now.folder) == planned else None

    def _park(self, row: SequenceRow, error: Retriable, station: Station) -> None:
        patience = Patience.of(station.config)
        self._store.park_sequence(row.id, error, patience=patience, fingerprint=row.fingerprint, keeps=True)
        self._store.event("error", f"{row.night}/{row.field}", f"{error}; its former results stay")

    def heard(self, answers: work.Answers, station: Station) -> None:
        """Take in how the sources of knowledge answered: what they said is kept, their health recorded."""
        self._store.keep_answers(answers.replies)
        now_s = self._store.now_s
        before, failed = self._skybot.state, self._skybot.failures > 0
        if answers.replies:
            self._skybot.answered()
            self._store.record_service(
                SKYBOT_NAME, state="answering", detail="", failures=0, answered_s=now_s, next_try_s=None
            )
            if failed:
                self._store.ask_all_again()
        elif SKYBOT in answers.failures and answers.was_asked:
            self._skybot.failed()
            self._store.record_service(
                SKYBOT_NAME,
                state="failing" if self._skybot.next_try_s is None else "resting",
                detail=answers.failures[SKYBOT],
                failures=self._skybot.failures,
                failed_s=now_s,
                next_try_s=self._skybot.next_try_s,
            )
        if before != self._skybot.state:
            rests = self._skybot.next_try_s is not None
            said = (
                f"does not answer and rests: {answers.failures.get(SKYBOT, '')}" if rests else "answers again"
            )
            self._store.event("warning" if rests else "info", SKYBOT_NAME, said)
            log.log(logging.WARNING if rests else logging.INFO, "%s %s", SKYBOT_NAME, said)
        self._heard_of_orbits(answers, station)

    def _heard_of_orbits(self, answers: work.Answers, station: Station) -> None:
        path = station.orbit_file(ORBITS)
        if ORBITS in answers.failures:
            self._store.record_service(
                ORBITS, state="failing", detail=answers.failures[ORBITS], failed_s=self._store.now_s
            )
        elif ORBITS in answers.answered and path is not None and path.exists():
            self._store.record_service(
                ORBITS, state="answering", detail=str(path), failures=0, answered_s=path.stat().st_mtime
            )
            self.heard_of_comets(answers.failures.get(COMETS, ""))

    def heard_of_comets(self, why_not: str) -> None:
        """Take in whether the comets' file is of use, "" when nothing is wrong with it; news are told."""
        before = self._store.services().get(COMETS, {}).get("detail", "")
        if why_not == before:
            return
        state = "failing" if why_not else "answering"
        self._store.record_service(COMETS, state=state, detail=why_not, failed_s=self._store.now_s)
        said = f"asteroids alone are known: {why_not}" if why_not else "the comets are known again"
        self._store.event("warning" if why_not else "info", COMETS, said)
        log.log(logging.WARNING if why_not else logging.INFO, "%s", said)


def identify_again(job: IdentifyJob, *, station: Station) -> tuple[Path, Identified] | SsosdError:
    """Do a job's work; may run in any thread or process. The files wait in a staging folder."""
    row = job.row
    staged = station.staging_folder(row.night, row.field)
    try:
        identified = work.identify(
            Path(row.folder or ""),
            into=staged,
            exposures=job.sequence.exposures,
            ledger=job.ledger,
            limit=job.limit,
            title=f"{row.night} {row.field}",
            station=station,
            answers=work.ask_all(job.sequence.exposures, station, job.access),
        )
        flush_tree(staged)
    except (SsosdError, OSError) as error:
        shutil.rmtree(staged, ignore_errors=True)
        return error if isinstance(error, SsosdError) else work.failure(error, station=station)
    return staged, identified


_LEDGER = ("SOURCE_NUMBER", "FILTER", "REASON", "MEASURED", "LIMIT", "N_DETECTIONS")


def _same(staged: Path, folder: Path) -> bool:
    """Whether the files say what the former ones say."""
    return all(
        (folder / name).is_file() and (staged / name).read_bytes() == (folder / name).read_bytes()
        for name in (*FILES, *(str(path.relative_to(staged)) for path in staged.glob(f"{REGIONS}/*")))
    )


def _install(staged: Path, folder: Path) -> None:
    """Put the files that follow from the known objects over those of a field's folder, one by one.

    Whatever kills this half way, the store still says what is to be done, and it is done again.
    """
    for name in FILES:
        (staged / name).replace(folder / name)
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        (staged / name).mkdir(exist_ok=True)
        (staged / name).rename(folder / name)
    for changed in (folder, folder / "cats", folder / "logs"):
        flush_folder(changed)
    shutil.rmtree(staged)
