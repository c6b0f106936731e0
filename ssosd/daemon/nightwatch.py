"""Put the daemon to work: lock, store, pools, clockwork, signals, file events; and take them down again."""

from __future__ import annotations

import logging
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from ssosd import astromatic
from ssosd.daemon.loop import Daemon
from ssosd.errors import BadInput, SsosdError
from ssosd.ingest.watcher import Watcher
from ssosd.plumbing.lock import TargetLock
from ssosd.plumbing.notify import Notifier
from ssosd.plumbing.spelling import straight
from ssosd.plumbing.text import counted
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store, utc_now

log = logging.getLogger("ssosd.daemon")
_TIME_CHECK_S = 30  # how often the Sun and the time-outs are looked at
_HOUSEKEEPING_S = 3600
_BEAT_S = 10
_MOST_WORKERS = 1024  # threads are made as they are needed: the daemon keeps to WORKERS, which may change
_READERS = 4  # threads that read files; they mostly wait for the disk
_GRACE_S = 3.0  # for workers whose programs have just been killed


def watch(root: Path, *, load_station: Callable[[], Station], command: str) -> int:
    """Run the daemon until SIGTERM or SIGINT.

    Parameters
    ----------
    root : Path
        The data folder.
    load_station : callable
        Reads the configuration and gives the set-up; called at start and at each SIGHUP.
    command : str
        For the record of the run.

    Returns
    -------
    int
        Workers that did not end in time. They hold nothing that is recorded; the process should not wait for
        them.

    Raises
    ------
    BadInput
        The data folder does not exist.
    Misconfigured
        The set-up cannot work, or another process holds the target.
    """
    root = straight(root)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder", next_step="create it or name the telescope's data folder")
    station = load_station()
    notifier = Notifier()
    with (
        TargetLock(station.target, purpose="run", now=utc_now()),
        Store(station.target / STORE_NAME) as store,
        _pools(max(1, station.workers // 2)) as pools,
    ):
        daemon = Daemon(
            root=root,
            station=station,
            store=store,
            clock=utc_now,
            extractors=pools.extractors,
            linkers=pools.linkers,
            readers=pools.readers,
            chores=pools.chores,
            notifier=notifier,
        )
        watcher = Watcher(root, hint=daemon.hint)
        _warn(watcher.start())
        daemon.on_scan = lambda: _warn(watcher.renew())
        runs = _Runs(store, command, root)
        daemon.inbox.put(lambda: runs.begin(daemon.station))
        daemon.inbox.put(daemon.begin)
        scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 3600}
        )
        wind_up(scheduler, daemon)
        daemon.on_clock_put_back = lambda: wind_up(scheduler, daemon)
        with _signals(daemon, load_station, lambda: _reloaded(daemon, scheduler, runs)):
            scheduler.start()
            notifier.ready(f"watching {root}")
            log.info("watching %s for %s", root, station.target)
            try:
                daemon.run()
            finally:
                notifier.stopping()
                scheduler.shutdown(wait=False)
                astromatic.stop_all()
                left = daemon.errands.wait(_GRACE_S)
                watcher.stop()
        daemon.farewell()
        runs.end()
        log.info("stopped%s", f"; {counted(left, 'worker')} left behind" if left else "")
        return left


def _warn(text: str) -> None:
    if text:
        log.warning("%s", text)


@dataclass(frozen=True, kw_only=True)
class _Pools:
    extractors: ThreadPoolExecutor
    linkers: ThreadPoolExecutor  # of their own, so that a complete sequence never waits behind exposures
    readers: ThreadPoolExecutor
    chores: ThreadPoolExecutor


@contextmanager
def _pools(linkers: int) -> Iterator[_Pools]:
    """Workers; at the end those that are still busy are left alone."""
    pools = _Pools(
        extractors=ThreadPoolExecutor(max_workers=_MOST_WORKERS, thread_name_prefix="extract"),
        linkers=ThreadPoolExecutor(max_workers=linkers, thread_name_prefix="link"),
        readers=ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="read"),
        chores=ThreadPoolExecutor(max_workers=1, thread_name_prefix="chores"),
    )
    try:
        yield pools
    finally:
        for pool in (pools.extractors, pools.linkers, pools.readers, pools.chores):
            pool.shutdown(wait=False, cancel_futures=True)


class _Runs:
    """The record of this run; after a reload another one, with the new parameters."""

    def __init__(self, store: Store, command: str, root: Path) -> None:
        self._store = store
        self._command = command
        self._root = root
        self._number: int | None = None

    def begin(self, station: Station) -> None:
        self.end()
        self._number = self._store.begin_run(
            command=self._command,
            parameters=station.config.as_text(),
            versions=station.versions,
            folders=[self._root],
        )

    def end(self) -> None:
        if self._number is not None:
            with suppress(sqlite3.OperationalError):  # the disk is full: the record stays without its end
                self._store.end_run(self._number)
            self._number = None


def wind_up(scheduler: BackgroundScheduler, daemon: Daemon) -> None:
    """Give the clockwork all that happens by time alone; each job only puts a call into the inbox.

    Parameters
    ----------
    scheduler : BackgroundScheduler
        Its jobs are replaced.
    daemon : Daemon
    """
    config = daemon.station.config
    scheduler.remove_all_jobs()

    def every(seconds: float, call: Callable[[], None], name: str) -> None:
        scheduler.add_job(daemon.inbox.put, "interval", seconds=seconds, args=[call], id=name)

    every(config["SCAN_INTERVAL"], daemon.scan, "scan")
    every(_TIME_CHECK_S, daemon.look_at_the_time, "time-outs and dawn")
    every(_HOUSEKEEPING_S, daemon.keep_house, "house-keeping")
    every(_BEAT_S, daemon.beat, "heartbeat")
    if config["REPORT_TIME"] != "DAWN":
        hour, minute = config["REPORT_TIME"].split(":")
        at = CronTrigger(hour=hour, minute=minute, timezone="UTC")
        scheduler.add_job(daemon.inbox.put, at, args=[daemon.report], id="report")


def _reloaded(daemon: Daemon, scheduler: BackgroundScheduler, runs: _Runs) -> None:
    wind_up(scheduler, daemon)
    runs.begin(daemon.station)


@contextmanager
def _signals(
    daemon: Daemon, load_station: Callable[[], Station], reloaded: Callable[[], None]
) -> Iterator[None]:
    """SIGTERM and SIGINT end the daemon, SIGHUP reads the configuration again."""

    def end(number: int, _: FrameType | None) -> None:
        daemon.stop()  # first: the log may be what the signal has interrupted
        daemon.inbox.put(partial(log.info, "%s: stopping", signal.Signals(number).name))  # and wakes the loop

    def reload(_number: int, _: FrameType | None) -> None:
        daemon.inbox.put(again)

    def again() -> None:
        notifier = Notifier()
        notifier.reloading(time.monotonic_ns() // 1000)
        try:
            reload_station(daemon, load_station, reloaded)
        finally:
            notifier.ready(f"watching {daemon.root}")

    former = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, end),
        signal.SIGINT: signal.signal(signal.SIGINT, end),
        signal.SIGHUP: signal.signal(signal.SIGHUP, reload),
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def reload_station(daemon: Daemon, load_station: Callable[[], Station], reloaded: Callable[[], None]) -> None:
    """Read the configuration again; one that cannot work is refused and the old one kept.

    Parameters
    ----------
    daemon : Daemon
    load_station : callable
        Reads the configuration; raises `SsosdError`, as when the target cannot be written now.
    reloaded : callable
        Called when the new one is in use.
    """
    try:
        station = load_station()
    except SsosdError as error:
        daemon.say("error", "configuration", f"refused, the old one kept: {error}")
    else:
        daemon.use(station)
        reloaded()
