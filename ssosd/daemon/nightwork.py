"""What each night needs: its exposures extracted, its complete sequences linked, its files written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import date, datetime, timedelta
from functools import partial

from ssosd import work
from ssosd.daemon.backlog import Backlog, Waiting
from ssosd.days import mjd_of
from ssosd.errands import Errands
from ssosd.errors import SsosdError, without_subject
from ssosd.ingest.sequence import FieldSequence, completeness
from ssosd.inquiry import IdentifyJob
from ssosd.model import Catalogue
from ssosd.night.mail import NightMails
from ssosd.pipeline import Corridor, Linked, LinkJob, Outcome
from ssosd.plumbing.text import counted
from ssosd.site import night_of
from ssosd.sun import is_night_over
from ssosd.work import Identified

log = logging.getLogger("ssosd.daemon")
_WRITE_AGAIN_S = 30.0  # a night that is still being extracted has its files written this often at most
_NEWS = timedelta(days=2)  # what is older is nobody told of any more
_SHARE = 10.0  # a night is not looked at again before this many times what looking at it took,
_WRITING_SHARE = 2.0  # nor are its files written again before this many times what writing them took,
_LONGEST_REST_S = 60.0  # but not longer: the clock may have been put forward meanwhile


class NightWork:
    """The nights with work to do, and the work that is under way; all of it can be rebuilt from the store.

    Parameters
    ----------
    corridor : Corridor
    clock : callable
        Present time, UTC.
    errands : Errands
    extractors, linkers : Executor
        Where SExtractor runs; where sequences are linked.
    blame : callable
        Given the error of an exposure or a sequence before it is recorded; raises when it is the disk's.
    recorded : callable
        Called when an outcome has been recorded.
    breath : callable, optional
        Called again and again while a night's files are written.
    """

    def __init__(
        self,
        *,
        corridor: Corridor,
        clock: Callable[[], datetime],
        errands: Errands,
        extractors: Executor,
        linkers: Executor,
        blame: Callable[[SsosdError], None],
        recorded: Callable[[], None],
        breath: Callable[[], None] = lambda: None,
    ) -> None:
        self._corridor = corridor
        self._store = corridor.store
        self._clock = clock
        self._errands = errands
        self._extractors = extractors
        self._linkers = linkers
        self._blame = blame
        self._recorded = recorded
        self._breath = breath
        self._backlog = Backlog()
        self._extracting: dict[str, str] = {}  # digest to night
        self._linking: set[tuple[str, str]] = set()  # (night, field)
        self._due: dict[str, float] = {}  # night to the time (s) at which it is looked at again
        self._rest: dict[str, float] = {}  # night to the time before which it is not
        self._mails = NightMails(errands, store=corridor.store)
        self._write_due: dict[str, float] = {}  # night to the time before which its files are not written
        self._written_rest: dict[str, float] = {}  # and to the one before which they never are

    @property
    def now_s(self) -> float:
        """Present time, seconds."""
        return self._clock().timestamp()

    @property
    def now_mjd(self) -> float:
        """Present time, UTC MJD."""
        return mjd_of(self.now_s)

    @property
    def queued(self) -> int:
        """Exposures that wait for SExtractor or are in it."""
        return len(self._extracting) + len(self._backlog)

    @property
    def linking(self) -> int:
        """Sequences handed to the linker."""
        return len(self._linking)

    # ---- which night, and when ---------------------------------------------------------------------------

    def tonight(self) -> str:
        """The night that it is now."""
        return night_of(self.now_mjd, self._corridor.station.site.lon_deg)

    def is_over(self, night: str) -> bool:
        """Whether a night has ended: another one has begun, or the Sun is up at the site."""
        station = self._corridor.station
        dawn = station.config["DAWN_ALTITUDE"]
        return is_night_over(night, self.now_mjd, station.site, dawn_altitude_deg=dawn)

    def wants_summary(self, night: str) -> bool:
        """Whether a night's summary is due without REPORT_TIME having come."""
        at_dawn = self._corridor.station.config["REPORT_TIME"] == "DAWN"
        return night != self.tonight() or (at_dawn and self.is_over(night))

    def take_up(self) -> None:
        """Look at every night with something to do; give back what nobody works on any more."""
        self._store.release_claims(extracting=self._extracting, linking=self._linking)
        for night in {*self._store.unfinished_nights(strays=True), self.tonight()}:
            self.touch(night)

    def look_at_all(self) -> None:
        """Sequences of any night with something to do may have become complete by time alone."""
        for night in self._store.nights_without_summary():
            if self.wants_summary(night):
                self._store.spoil_night(night)
        for night in {*self._store.unfinished_nights(), self.tonight()}:
            self.touch(night)

    def write_tonight_again(self) -> None:
        """The set-up may be another one: who sends the drafts, what goes into them."""
        tonight = self.tonight()
        if self._store.count_exposures([tonight]):
            self._store.spoil_night(tonight)

    def touch(self, night: str, *, after_s: float = 0.0) -> None:
        """Something of this night has changed: look at it, soon."""
        due = max(self.now_s + after_s, self._rest.get(night, 0.0))
        self._due[night] = min(due, self._due.get(night, due))

    def clock_put_back(self, back_s: float) -> None:
        """Whatever waited for a time of the clock as it was is looked at now."""
        self._mails.clock_put_back(back_s)
        self._rest.clear()
        self._write_due.clear()
        self._written_rest.clear()
        self._due = dict.fromkeys(self._due, self.now_s)

    def next_due(self) -> str | None:
        """The latest night that is to be looked at now."""
        now_s = self.now_s
        return max((night for night, due in self._due.items() if due <= now_s), default=None)

    def forget_backlog(self) -> None:
        """Nothing waits any more: what is wanted is found again when its night is looked at."""
        self._backlog.clear()

    # ---- the work ----------------------------------------------------------------------------------------

    def work_on(self, night: str) -> None:
        """Start whatever a night needs now: extraction of its exposures, linking of complete sequences."""
        started = self.now_s
        self._due.pop(night, None)
        corridor, store = self._corridor, self._store
        sequences = corridor.group(night)
        states = store.states(e.digest for s in sequences for e in s.exposures)
        rows = {row.field: row for row in store.sequences(night=night)}
        to_do = [s for s in sequences if not corridor.is_settled(s, rows[s.field], states)]
        exposures = {e.digest: e for s in to_do for e in s.exposures}
        ready, wanted = corridor.catalogues(exposures, again=False)
        self._backlog.add(
            Waiting(exposure=exposures[digest], night=night, key=key)
            for digest, key in wanted.items()
            if digest not in self._extracting
        )
        arrivals = store.last_arrivals(night)
        for sequence in to_do:
            if not any(e.digest in wanted or e.digest in self._extracting for e in sequence.exposures):
                last_s = max(arrivals.get(e.digest, 0.0) for e in sequence.exposures)
                self._link_if_complete(sequence, ready, last_s)
        now_s = self.now_s
        self._rest[night] = now_s + min(_SHARE * (now_s - started), _LONGEST_REST_S)
        self._write_if_due(night)
        self._mail_if_due(night)
        again_s = store.next_try_s(night)
        if again_s is not None and again_s > self.now_s:
            self.touch(night, after_s=again_s - self.now_s)

    def extract_next(self) -> None:
        """Hand out as many exposures as there are workers, those of the latest night first."""
        station = self._corridor.station
        while len(self._extracting) < station.workers and (waiting := self._backlog.next()):
            exposure, night = waiting.exposure, waiting.night
            self._store.claim_exposure(exposure.digest)
            self._extracting[exposure.digest] = night
            self._errands.send(
                self._extractors,
                partial(work.extract_exposure, exposure, night=night, key=waiting.key, station=station),
                station=station,
                then=partial(self._on_extracted, waiting),
            )

    def _on_extracted(self, subject: Waiting, outcome: Catalogue | SsosdError) -> None:
        exposure, night = subject.exposure, subject.night
        self._extracting.pop(exposure.digest, None)
        self.touch(night)
        if isinstance(outcome, SsosdError):
            self._blame(outcome)
        self._corridor.record_extracted(exposure, outcome, key=subject.key)
        about = {"exposure": exposure.name}
        if isinstance(outcome, SsosdError):
            log.warning("parked %s", outcome, extra=about)
        else:
            found = counted(outcome.n_detections, "detection")
            log.info("extracted %s: %s", exposure.name, found, extra=about)
        self._recorded()

    def _link_if_complete(
        self, sequence: FieldSequence, ready: dict[str, Catalogue], last_arrival_s: float
    ) -> None:
        name = (sequence.night, sequence.field)
        if name in self._linking:
            return
        station = self._corridor.station
        because = completeness(
            sequence,
            expected=station.config["EXPOSURES_PER_FIELD"],
            last_arrival_s=last_arrival_s,
            now_s=self.now_s,
            timeout_s=60.0 * station.config["SEQUENCE_TIMEOUT"],
            night_over=self.is_over(sequence.night),
        )
        if not because:
            return
        plan = self._corridor.plan(sequence, ready, again=False)
        subject = "/".join(name)
        about = {"sequence": subject}
        if isinstance(plan, Linked):
            if plan.error is not None:
                log.warning("parked %s: %s", subject, without_subject(str(plan.error), subject), extra=about)
            return
        if isinstance(plan, LinkJob):
            log.info("linking %s: %s", subject, because, extra=about)
            self._store.claim_sequence(plan.number, because=because)
        self._send(plan)

    def catch_up(self) -> None:
        """Compare sequences with the known objects again for which somebody is to be asked again now."""
        for row in self._corridor.inquiry.due():
            if len(self._linking) >= self._corridor.station.workers:
                return
            if (row.night, row.field) not in self._linking:
                job = self._corridor.inquiry.again(row, self._corridor.station)
                if job is not None:
                    self._send(job)

    def _send(self, plan: LinkJob | IdentifyJob) -> None:
        station = self._corridor.station
        self._linking.add((plan.sequence.night, plan.sequence.field))
        self._errands.send(
            self._linkers,
            partial(self._corridor.run, plan, station=station),
            station=station,
            then=partial(self._on_linked, plan),
        )

    def _on_linked(self, plan: LinkJob | IdentifyJob, outcome: Outcome) -> None:
        night, field = plan.sequence.night, plan.sequence.field
        self._linking.discard((night, field))
        self.touch(night)
        if isinstance(outcome, SsosdError):
            self._blame(outcome)
        linked = self._corridor.record(plan, outcome)
        self._write_due.pop(night, None)
        subject = f"{night}/{field}"
        about = {"sequence": subject}
        if linked.stale:
            log.info("%s has changed while it was linked: once more", subject, extra=about)
        elif linked.error is not None:
            log.error("parked %s: %s", subject, without_subject(str(linked.error), subject), extra=about)
        elif linked.identified is not None:
            count = linked.identified.candidates["CANDIDATE"].nunique() - _unchecked(linked.identified)
            log.info("compared %s again: %s checked", subject, counted(count, "candidate"), extra=about)
            self.catch_up()
        elif linked.result is not None:
            count = linked.result.candidates["CANDIDATE"].nunique()
            log.info("linked %s: %s", subject, counted(count, "candidate"), extra=about)
            for note in linked.result.notes_of_the_field(plan.sequence.exposures):
                log.info("%s: %s", subject, note, extra=about)
        self._recorded()

    def _write_if_due(self, night: str) -> None:
        """Write a night's files when they are old, not while its sequences are being linked."""
        if self._store.is_written(night) or any(name[0] == night for name in self._linking):
            return
        busy = night in self._extracting.values() or self._backlog.has(night)
        not_before_s = max(
            self._written_rest.get(night, 0.0), self._write_due.get(night, 0.0) if busy else 0.0
        )
        wait_s = not_before_s - self.now_s
        if wait_s > 0.0:
            self.touch(night, after_s=wait_s)
            return
        started = self.now_s
        self._write_due[night] = started + _WRITE_AGAIN_S
        summary = self._store.is_reported(night) or self.wants_summary(night)
        self._corridor.finish(night, summary=summary, breath=self._breath)
        ended = self.now_s
        self._written_rest[night] = ended + min(_WRITING_SHARE * (ended - started), _LONGEST_REST_S)

    def _mail_if_due(self, night: str) -> None:
        """Tell people of a night whose report is written, once."""
        if not self._store.is_reported(night) or not self._store.is_written(night):
            return
        if date.fromisoformat(self.tonight()) - date.fromisoformat(night) <= _NEWS:
            self._mails.send_if_due(
                night,
                now_s=self.now_s,
                station=self._corridor.station,
                executor=self._linkers,
                again=lambda after_s: self.touch(night, after_s=after_s),
            )


def _unchecked(identified: Identified) -> int:
    found = identified.candidates
    return int(found.loc[found["MATCH_STATE"] == "unchecked", "CANDIDATE"].nunique()) if len(found) else 0
