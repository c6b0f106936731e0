"""The daemon: a mouth of the corridor fed by the file system, all night, whatever happens.

One thread owns the store and all state in memory; everybody else (file events, workers, the scheduler,
signals) puts calls into its inbox. State in memory is a cache of the store and of the folder: after any
failure, and after kill -9, a scan and a look at the store rebuild it, because every step is recorded only
when it is done.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from ssosd import work
from ssosd.arrivals import Arrivals
from ssosd.errors import Misconfigured, SsosdError
from ssosd.files import free_bytes
from ssosd.ingest.sequence import FieldSequence, completeness
from ssosd.model import Catalogue, Exposure
from ssosd.notify import Notifier
from ssosd.pipeline import Corridor, Linked, LinkJob
from ssosd.site import night_of
from ssosd.station import Station
from ssosd.store import Store
from ssosd.sun import sun_altitude_deg
from ssosd.work import SequenceResult, TakenIn

Call = Callable[[], None]
log = logging.getLogger("ssosd.daemon")
_GB = 1e9
_BEAT_S = 0.5  # longest wait for the inbox; each round is progress for the watchdog
_PAUSE_AFTER_STORE_ERROR_S = 5.0
_LOOK_AGAIN_S = 5.0  # at a night with unfinished work


class Daemon:
    """Watches one folder for one station.

    Parameters
    ----------
    root : Path
        The data folder.
    station : Station
    store : Store
    clock : callable
        Present time, UTC.
    extractors, linkers : Executor
        Where files are read and SExtractor runs; where sequences are linked, so that a complete sequence
        never waits behind a backlog of exposures.
    notifier : Notifier
    """

    def __init__(
        self,
        *,
        root: Path,
        station: Station,
        store: Store,
        clock: Callable[[], datetime],
        extractors: Executor,
        linkers: Executor,
        notifier: Notifier,
    ) -> None:
        self.root = root
        self.store = store
        self.corridor = Corridor(station=station, store=store)
        self.inbox: SimpleQueue[Call] = SimpleQueue()
        self.stopping = False
        self._clock = clock
        self._extractors = extractors
        self._linkers = linkers
        self._notifier = notifier
        self._arrivals = Arrivals(root=root)
        self._extracting: set[str] = set()  # digests
        self._linking: set[tuple[str, str]] = set()  # (night, field)
        self._live: set[str] = set()  # nights that may still change
        self._due: dict[str, float] = {}  # night to the time (s) at which it is looked at again
        self._resume_s = 0.0  # no work before this time, after a failure of the store
        self._short_of_disk = False
        self._started_s = self.now_s

    @property
    def station(self) -> Station:
        """Present set-up."""
        return self.corridor.station

    @property
    def now(self) -> datetime:
        """Present time, UTC."""
        return self._clock()

    @property
    def now_s(self) -> float:
        """Present time, seconds."""
        return self._clock().timestamp()

    @property
    def now_mjd(self) -> float:
        """Present time, UTC MJD."""
        return self.now_s / 86400.0 + 40587.0

    # ---- the loop ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take up what an earlier run left, and look at everything that is in the folder."""
        self.store.release_claims()
        self._live = set(self.store.unfinished_nights()) | {self.tonight()}
        self.scan()
        for night in self._live:
            self.touch(night)

    def run(self) -> None:
        """Go round until told to stop."""
        while not self.stopping:
            self.turn(wait_s=_BEAT_S)

    def turn(self, *, wait_s: float = 0.0) -> None:
        """One round: all that is in the inbox, then what the time asks for."""
        try:
            call: Call | None = self.inbox.get(timeout=wait_s) if wait_s > 0 else self.inbox.get_nowait()
        except Empty:
            call = None
        while call is not None:
            self._guarded(call)
            try:
                call = self.inbox.get_nowait()
            except Empty:
                call = None
            self._notifier.progress()
        if self.now_s >= self._resume_s:
            self._guarded(self._what_the_time_asks)
        self._notifier.progress()

    def _guarded(self, call: Call) -> None:
        """Run a call; a store that cannot be written pauses the work, and everything is looked at anew."""
        try:
            call()
        except sqlite3.OperationalError as error:
            log.warning("the store cannot be written: %s; work waits", error)
            self._start_anew(f"the store cannot be written: {error}")
        except OSError as error:
            log.warning("the target cannot be written: %s; work waits", error)
            self._start_anew(f"the target cannot be written: {error}")
        except Misconfigured as error:
            log.warning("%s; work waits", error)
            self._start_anew(str(error))

    def _start_anew(self, reason: str) -> None:
        self._notifier.status(reason)
        self._resume_s = self.now_s + _PAUSE_AFTER_STORE_ERROR_S
        self._arrivals.forget()
        self._extracting.clear()
        self._linking.clear()
        self.inbox.put(self.begin)

    def _what_the_time_asks(self) -> None:
        self._look_at_arrivals()
        if self._has_room():
            for night in sorted(night for night, due in self._due.items() if due <= self.now_s):
                self._work_on(night)

    def _has_room(self) -> bool:
        """Whether there is disk space to work; says so once when that changes."""
        least = self.station.config["MIN_FREE_DISK"] * _GB
        short = free_bytes(self.station.target) < least
        if short != self._short_of_disk:
            self._short_of_disk = short
            text = f"less than {least / _GB:g} GB free in {self.station.target}: work waits"
            self.say("warning", "disk", text if short else "there is room again: work goes on")
            if short:
                self._notifier.status(text)
        return not short

    # ---- files ---------------------------------------------------------------------------------------

    def hint(self, path: Path) -> None:
        """A file may have come or changed (called from any thread)."""
        self.inbox.put(partial(self._on_hint, path))

    def _on_hint(self, path: Path) -> None:
        self._arrivals.notice(path, now_s=self.now_s, config=self.station.config)

    def scan(self) -> None:
        """Compare the folder with the store; what differs is looked at."""
        fresh = self._arrivals.scan(self.store.files(), station=self.station, now_s=self.now_s)
        if fresh:
            log.info("scan: %d files to look at", fresh)

    def _look_at_arrivals(self) -> None:
        looked = self._arrivals.look(now_s=self.now_s, config=self.station.config)
        for path in looked.quiet:
            future = self._extractors.submit(
                work.admit, path, station=self.station, n_hdus=self._arrivals.n_hdus
            )
            future.add_done_callback(partial(self._later, self._on_admitted, path))
        for taken in looked.given_up:
            self._record_taken(taken)

    def _later(self, handler: Callable[..., None], subject: object, future: Future[object]) -> None:
        self.inbox.put(partial(handler, subject, future))

    def _on_admitted(self, path: Path, future: Future[TakenIn]) -> None:
        if future.cancelled():
            return
        taken = self._arrivals.judge(path, future.result(), now_s=self.now_s, config=self.station.config)
        if taken is not None:
            self._record_taken(taken)

    def _record_taken(self, taken: TakenIn) -> None:
        night = self.corridor.record_taken(taken)
        self._arrivals.recorded(taken)
        if taken.error is not None:
            log.warning("parked %s", taken.error)
        if night is not None:
            self._live.add(night)
            self.touch(night)

    # ---- nights --------------------------------------------------------------------------------------

    def tonight(self) -> str:
        """The night that it is now."""
        return night_of(self.now_mjd, self.station.site.lon_deg)

    def touch(self, night: str, *, after_s: float = 0.0) -> None:
        """Something of this night has changed: look at it, soon."""
        due = self.now_s + after_s
        self._due[night] = min(due, self._due.get(night, due))

    def _work_on(self, night: str) -> None:
        """Start whatever a night needs now: extraction of its exposures, linking of complete sequences."""
        started = self.now_s
        self._due.pop(night, None)
        states = self.store.states(night, now_s=started)
        exposures = self.store.exposures(night=night)
        ready, wanted = self.corridor.catalogues(
            {d: e for d, e in exposures.items() if states.get(d) != "waiting"}
        )
        for digest in [d for d in wanted if d not in self._extracting]:  # in order of time
            self._extract(exposures[digest], night, wanted[digest])
        arrivals = self.store.last_arrivals(night)
        for sequence in self.corridor.group(night):
            self._link_if_complete(sequence, ready, wanted, arrivals)
        if night in self.store.unfinished_nights():
            self.touch(night, after_s=max(_LOOK_AGAIN_S, 10.0 * (self.now_s - started)))

    def _extract(self, exposure: Exposure, night: str, key: str) -> None:
        self._extracting.add(exposure.digest)
        self.store.claim_exposure(exposure.digest)
        future = self._extractors.submit(
            work.extract_exposure, exposure, night=night, key=key, station=self.station
        )
        future.add_done_callback(partial(self._later, self._on_extracted, (exposure, night)))

    def _on_extracted(self, subject: tuple[Exposure, str], future: Future[Catalogue | SsosdError]) -> None:
        exposure, night = subject
        self._extracting.discard(exposure.digest)
        if future.cancelled():
            return
        outcome = future.result()
        self.corridor.record_extracted(exposure, outcome)
        if isinstance(outcome, SsosdError):
            log.warning("parked %s", outcome)
        else:
            log.info("extracted %s: %d detections", exposure.name, outcome.n_detections)
        self.touch(night)

    def _link_if_complete(
        self,
        sequence: FieldSequence,
        ready: dict[str, Catalogue],
        wanted: dict[str, str],
        arrivals: dict[str, float],
    ) -> None:
        name = (sequence.night, sequence.field)
        if name in self._linking or any(e.digest in wanted for e in sequence.exposures):
            return
        config = self.station.config
        because = completeness(
            sequence,
            expected=config["EXPOSURES_PER_FIELD"],
            last_arrival_s=max(arrivals.get(e.digest, 0.0) for e in sequence.exposures),
            now_s=self.now_s,
            timeout_s=60.0 * config["SEQUENCE_TIMEOUT"],
            night_over=self._is_over(sequence.night),
        )
        if not because or not self.store.may_try(self.store.sequence(*name).id, now_s=self.now_s):
            return
        plan = self.corridor.plan(sequence, ready)
        if isinstance(plan, Linked):
            if plan.error is not None:
                log.warning("parked %s/%s: %s", *name, plan.error)
            return
        log.info("linking %s/%s: %s", *name, because)
        self._linking.add(name)
        self.store.claim_sequence(plan.number, because=because)
        future = self._linkers.submit(self.corridor.run, plan)
        future.add_done_callback(partial(self._later, self._on_linked, plan))

    def _is_over(self, night: str) -> bool:
        """Whether a night has ended: another one has begun, or the Sun is up at the site."""
        if night != self.tonight():
            return True
        site = self.station.site
        if site.geocentric:
            return False
        after_midnight = (self.now_mjd + site.lon_deg / 360.0) % 1.0 < 0.5
        high = sun_altitude_deg(self.now_mjd, site) > self.station.config["DAWN_ALTITUDE"]
        return after_midnight and high

    def _on_linked(self, plan: LinkJob, future: Future[SequenceResult | SsosdError]) -> None:
        night, field = plan.sequence.night, plan.sequence.field
        self._linking.discard((night, field))
        if future.cancelled():
            return
        linked = self.corridor.record_linked(plan, future.result())
        if linked.error is not None:
            log.error("parked %s/%s: %s", night, field, linked.error)
        elif linked.result is not None:
            count = linked.result.candidates["CANDIDATE"].nunique()
            log.info("linked %s/%s: %d candidates", night, field, count)
        self.corridor.finish(night)
        self.touch(night)

    # ---- orders from outside ----------------------------------------------------------------------------

    def use(self, station: Station) -> None:
        """Go on with another set-up; what it changes is done again."""
        self.corridor.station = station
        self.say("info", "configuration", "read again")
        for night in self._live:
            self.touch(night)
        self.scan()

    def look_at_the_time(self) -> None:
        """Every live night may have become complete."""
        self._live.add(self.tonight())
        for night in self._live:
            self.touch(night)

    def beat(self, state: str = "") -> None:
        """Record a sign of life and how much there is to do."""
        waits = self._short_of_disk or self.now_s < self._resume_s
        self.store.beat(
            pid=os.getpid(),
            started_s=self._started_s,
            state=state or ("waiting" if waits else "watching"),
            detail="",
            settling=len(self._arrivals),
            queued=len(self._extracting),
            linking=len(self._linking),
            folder=str(self.root),
        )
        self._notifier.status(
            f"{len(self._arrivals)} files settling, {len(self._extracting)} exposures in SExtractor, "
            f"{len(self._linking)} sequences linking"
        )

    def report(self) -> None:
        """Write the summary of the night that is ending, whatever is still open."""
        self.corridor.finish(self.tonight())

    def keep_house(self) -> None:
        """Remove cached catalogues of old nights, and what nobody will take up again."""
        days = self.station.config["KEEP_DAYS"]
        removed = self.corridor.keep_house(now_mjd=self.now_mjd, days=days) if days else 0
        if removed:
            log.info("house-keeping: %d cached catalogues removed", removed)

    def stop(self) -> None:
        """End after this round; work in progress is abandoned and taken up at the next start."""
        self.stopping = True

    def say(self, level: str, subject: str, message: str) -> None:
        """Log something and record it as an event."""
        log.log(logging.getLevelName(level.upper()), "%s: %s", subject, message)
        self.store.event(level, subject, message)
