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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from ssosd import intake
from ssosd.daemon.arrivals import Arrivals
from ssosd.daemon.folders import Folders
from ssosd.daemon.nightwork import NightWork
from ssosd.daemon.orbitwork import OrbitWork
from ssosd.days import DAY_S
from ssosd.errands import Errands
from ssosd.errors import Misconfigured, Retriable, SsosdError
from ssosd.ingest.watcher import nameless
from ssosd.intake import TakenIn
from ssosd.pipeline import Corridor
from ssosd.plumbing.files import free_bytes, room_to_write
from ssosd.plumbing.notify import Notifier
from ssosd.plumbing.text import counted
from ssosd.station import Station
from ssosd.store import Store

Call = Callable[[], None]
log = logging.getLogger("ssosd.daemon")
_GB = 1e9
_BEAT_S = 0.5  # longest wait for the inbox; each round is progress for the watchdog
_BREATH_S = 0.1  # shortest: a file that is being written is not looked at more often
_FIRST_PAUSE_S = 5.0  # after a failure of the store or the target; doubled with each further one
_LONGEST_PAUSE_S = 60.0
_PUT_BACK_S = 1.0  # a clock that is back by less is not minded: nothing waits much longer for that


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
        Where SExtractor runs; where sequences are linked, so that a complete sequence never waits behind a
        backlog of exposures.
    notifier : Notifier
    readers : Executor, optional
        Where files are read; the extractors when not given.
    chores : Executor, optional
        Where files of orbits are fetched and prepared; the linkers when not given.
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
        readers: Executor | None = None,
        chores: Executor | None = None,
    ) -> None:
        self.root = root
        self.store = store
        self.corridor = Corridor(station=station, store=store, folders=[root], is_live=True)
        self.inbox: SimpleQueue[Call] = SimpleQueue()
        self.stopping = False
        self._ends_with: SsosdError | None = None
        self.errands = Errands(self.inbox)
        self._clock = clock
        self._readers = extractors if readers is None else readers
        self._notifier = notifier
        self._arrivals = Arrivals(root=root, breath=notifier.progress)
        self._folders = Folders(root)
        self.nights = NightWork(
            corridor=self.corridor,
            clock=clock,
            errands=self.errands,
            extractors=extractors,
            linkers=linkers,
            blame=self._blame,
            recorded=self._recorded,
            breath=notifier.progress,
        )
        self._orbits = OrbitWork(
            corridor=self.corridor, errands=self.errands, executor=linkers if chores is None else chores
        )
        self._waits_for = ""  # why no work is begun
        self._resume_s = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._short_of_disk = ""
        self._begun = False
        self._dawn_of = ""  # the night whose end has been seen
        self._version = 0  # of the store, as others change it
        self._started_s = self.now_s
        self._last_s = self.now_s
        #: Called when the clock has been put back, for what else waits for a time of it.
        self.on_clock_put_back: Call = lambda: None
        #: Called before each scan, for who watches the folder.
        self.on_scan: Call = lambda: None

    @property
    def station(self) -> Station:
        """Present set-up."""
        return self.corridor.station

    @property
    def now_s(self) -> float:
        """Present time, seconds."""
        return self._clock().timestamp()

    # ---- the loop ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take up what an earlier run, or a failure, left; look at everything that is in the folder."""
        if not self._begun:
            self.corridor.clean_up()
            self.nights.write_tonight_again()
            self.store.clock_put_back(0.0)  # as may have been done while no daemon ran
        self._arrivals.habits.relearn(self.store.telling_exposures())
        self._version = self.store.data_version
        self.nights.take_up()
        self.scan()
        self._begun = True
        self.beat()  # so that the status need not wait for the clock's first

    def run(self) -> None:
        """Go round until told to stop.

        Raises
        ------
        Misconfigured
            The store was deleted or replaced: what is done from here on would be lost.
        """
        while not self.stopping:
            until_look_s = self._arrivals.next_look_s - self.now_s
            self.turn(wait_s=min(_BEAT_S, max(_BREATH_S, until_look_s)))
        if self._ends_with is not None:
            raise self._ends_with

    def turn(self, *, wait_s: float = 0.0) -> None:
        """One round: all that is in the inbox, then what the time asks for."""
        self._mind_the_clock()
        try:
            call: Call | None = self.inbox.get(timeout=wait_s) if wait_s > 0 else self.inbox.get_nowait()
        except Empty:
            call = None
        while call is not None:
            self._guarded(call)
            self._notifier.progress()
            try:
                call = None if self.stopping else self.inbox.get_nowait()
            except Empty:
                call = None
        if self.now_s >= self._resume_s and not self.stopping:
            self._guarded(self._what_the_time_asks)
        self._notifier.progress()

    def _mind_the_clock(self) -> None:
        """When the clock has been put back, nobody waits until it is again what it was."""
        back_s, self._last_s = self._last_s - self.now_s, self.now_s
        if back_s < _PUT_BACK_S:
            return
        log.warning("the clock has been put back by %.0f s", back_s)
        self._resume_s = 0.0
        self.nights.clock_put_back(back_s)
        self._orbits.clock_put_back(back_s)
        self.corridor.inquiry.clock_put_back(back_s)
        self._guarded(partial(self.store.clock_put_back, back_s))
        self.on_clock_put_back()

    def _guarded(self, call: Call) -> None:
        """Run a call; where the store or the target fails, work pauses and then everything is looked at anew.

        A call that fails has recorded nothing, or all of it: what it was about is found again.
        """
        try:
            call()
        except sqlite3.OperationalError as error:
            self._pause(f"the store cannot be used: {error}")
        except OSError as error:
            self._pause(f"the target cannot be written: {error}")
        except (Misconfigured, Retriable) as error:
            self._pause(str(error))

    def _pause(self, reason: str) -> None:
        """Begin no work for a while; after a failure of the store or the target, or of the set-up."""
        if reason != self._waits_for:
            log.warning("work waits: %s", reason)
        self._waits_for = reason
        self._notifier.status(f"work waits: {reason}")
        self._resume_s = self.now_s + self._pause_s
        self._pause_s = min(2.0 * self._pause_s, _LONGEST_PAUSE_S)
        self._arrivals.forget()
        self.nights.forget_backlog()

    def _what_the_time_asks(self) -> None:
        if self._waits_for or not self._begun:
            self.begin()
            self._go_on()
        if self.store.data_version != self._version:  # `ssosd retry`, a verdict
            self._version = self.store.data_version
            self.look_at_the_time()
            if self.store.has_files_to_try():
                self.scan()
        self._look_at_arrivals()
        if self._has_room():
            while not self.stopping and (night := self.nights.next_due()) is not None:
                self.nights.work_on(night)
                self._notifier.progress()
                if not self.inbox.empty():
                    break  # what comes home goes first: a backlog of nights leaves no worker idle
            self.nights.extract_next()

    def _go_on(self) -> None:
        if self._waits_for:
            self.say("info", "daemon", f"work goes on; it waited: {self._waits_for}")
            self._waits_for = ""

    def _has_room(self) -> bool:
        """Whether there is disk space to work; says so once when that changes."""
        least = self.station.config["MIN_FREE_DISK"] * _GB
        short = free_bytes(self.station.target) < least
        if short != bool(self._short_of_disk):
            text = f"less than {least / _GB:g} GB free in {self.station.target}: work waits"
            self._short_of_disk = text if short else ""
            self.say("warning" if short else "info", "disk", text if short else "room again: work goes on")
            self._notifier.status(text if short else "work goes on")
            self.beat()
        return not short

    # ---- files ---------------------------------------------------------------------------------------

    def hint(self, path: Path) -> None:
        """A file may have come or changed (called from any thread)."""
        self.inbox.put(partial(self._on_hint, path))

    def _on_hint(self, path: Path) -> None:
        self._arrivals.notice(path, known=self.store.file, station=self.station, now_s=self.now_s)

    def scan(self) -> None:
        """Compare the folder with the store; what differs is looked at."""
        self.on_scan()
        readable = [row for row in self.store.refused_files() if os.access(row.key, os.R_OK)]
        if readable:
            self.store.take_up_again(readable)
        scanned = self._arrivals.scan(
            self.store.files(), station=self.station, now_s=self.now_s, twins=self.store.twins
        )
        if scanned.moved:
            self.store.forget_files(scanned.moved)
            self.look_at_the_time()
        if scanned.removed:
            self._forget_parked(scanned.removed)
        if scanned.back and self.store.take_up_returned(scanned.back):
            self.look_at_the_time()
        for path in scanned.nameless:
            self.say("warning", "files", str(nameless(path)))
        if scanned.fresh:
            log.info("scan: %s to look at", counted(scanned.fresh, "file"))
        self._tell_of_folders(scanned.unreadable)

    def _forget_parked(self, paths: Sequence[str]) -> None:
        """Parked files that a person has taken away trouble nobody any more; their nights are told anew."""
        for night in self.store.forget_parked(paths):
            self.store.spoil_night(night)
            self.nights.touch(night)
        for path in paths:
            log.info("%s was parked; it is excluded or not there now", path)

    def _tell_of_folders(self, unreadable: Mapping[str, str]) -> None:
        """Say which folders cannot be read and which are back; without the data folder nothing can come."""
        former = self._folders.away
        for news in self._folders.news(unreadable):
            self.say(*news)
        if self._folders.away != former:
            self._notifier.status(self._folders.away or "work goes on")
            self.beat()

    def _look_at_arrivals(self) -> None:
        looked = self._arrivals.look(now_s=self.now_s, config=self.station.config)
        for path in looked.quiet:
            self.errands.send(
                self._readers,
                partial(intake.admit, path, station=self.station, habits=self._arrivals.habits),
                station=self.station,
                then=partial(self._on_admitted, path, self.station.read_with),
            )
        for taken in looked.given_up:
            self._record_taken(taken)

    def _on_admitted(self, path: Path, read_with: str, outcome: TakenIn | SsosdError) -> None:
        if read_with != self.station.read_with:  # by what the configuration was before it was read again
            self._arrivals.read_again(path, now_s=self.now_s)
            return
        taken = intake.refused(path, outcome) if isinstance(outcome, SsosdError) else outcome
        judged = self._arrivals.judge(path, taken, now_s=self.now_s, config=self.station.config)
        if judged is not None:
            self._record_taken(judged)

    def _record_taken(self, taken: TakenIn) -> None:
        night = self.corridor.record_taken(taken)
        self._arrivals.recorded(taken)
        self.nights.touch(night)
        if taken.error is not None:
            log.warning("parked %s", taken.error)
        self._pause_s = _FIRST_PAUSE_S

    # ---- work --------------------------------------------------------------------------------------------

    def _blame(self, error: SsosdError) -> None:
        """Raise when an error is the disk's and not that of the exposure or sequence it came with."""
        if not self._has_room():
            raise Retriable(self._short_of_disk) from error
        room_to_write(self.station.scratch)

    def _recorded(self) -> None:
        """Work has come to something: the next failure is a first one, and the next exposure may begin."""
        self._pause_s = _FIRST_PAUSE_S
        if not (self._waits_for or self._short_of_disk or self.stopping):
            self.nights.extract_next()

    # ---- orders from outside ----------------------------------------------------------------------------

    def use(self, station: Station) -> None:
        """Go on with another set-up; what it changes is done again."""
        self.corridor.station = station
        self.say("info", "configuration", "read again")
        self.nights.forget_backlog()
        self.nights.write_tonight_again()
        self._resume_s, self._pause_s = 0.0, _FIRST_PAUSE_S
        self.look_at_the_time()
        self.scan()

    def look_at_the_time(self) -> None:
        """Nights with work to do may have become complete; the night may have ended."""
        tonight = self.nights.tonight()
        if self._dawn_of != tonight and self.nights.is_over(tonight):
            self._dawn_of = tonight
            log.info("the night %s is over", tonight)
            self.scan()
        self.nights.look_at_all()
        if not (self._waits_for or self._short_of_disk):
            self._orbits.look()
            self.nights.catch_up()

    def report(self) -> None:
        """REPORT_TIME: write the summaries of tonight and of all nights that have none yet."""
        for night in self.store.nights_without_summary():
            if night <= self.nights.tonight():
                self.store.report_night(night)
                self.nights.touch(night)

    def beat(self, state: str = "") -> None:
        """Record a sign of life and how much there is to do; end when the store is no more."""
        if not self.store.is_in_place:
            self._ends_with = Misconfigured(
                f"{self.store.path}: deleted or replaced while the daemon worked with it",
                next_step="the next start, which systemd sees to, goes on with what is there then",
            )
            self.stop()
            return
        waits_for = self._waits_for or self._short_of_disk or self._folders.away
        if not waits_for:
            self._notifier.status(
                f"{counted(len(self._arrivals), 'file')} settling, "
                f"{counted(self.nights.queued, 'exposure')} to extract, "
                f"{counted(self.nights.linking, 'sequence')} linking"
            )
        self.store.beat(
            pid=os.getpid(),
            started_s=self._started_s,
            state=state or ("waiting" if waits_for else "watching"),
            detail=waits_for,
            settling=len(self._arrivals),
            queued=self.nights.queued,
            linking=self.nights.linking,
            folder=str(self.root),
        )

    def keep_house(self) -> None:
        """Remove cached catalogues and answers of old nights, which nobody will take up again."""
        days = self.station.config["KEEP_DAYS"]
        if not days:
            return
        removed = self.corridor.keep_house(now_mjd=self.nights.now_mjd, days=days)
        self.store.forget_answers(before_s=self.now_s - DAY_S * days)
        if removed:
            log.info("house-keeping: %d cached catalogues removed", removed)

    def stop(self) -> None:
        """End after this round; work in progress is abandoned and taken up at the next start."""
        self.stopping = True

    def farewell(self) -> None:
        """Record that this daemon ends of its own will, if the store can be written."""
        self._guarded(partial(self.beat, "stopped"))

    def say(self, level: str, subject: str, message: str) -> None:
        """Log something and record it as an event."""
        log.log(logging.getLevelName(level.upper()), "%s: %s", subject, message)
        self.store.event(level, subject, message)
