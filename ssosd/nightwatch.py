"""Put the daemon to work: lock, store, pools, clockwork, signals, file events; and take them down again."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from ssosd import astromatic
from ssosd.daemon import Daemon
from ssosd.errors import BadInput, Misconfigured
from ssosd.ingest.watcher import Watcher
from ssosd.lock import TargetLock
from ssosd.notify import Notifier
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store, utc_now

log = logging.getLogger("ssosd.daemon")
_TIME_CHECK_S = 30  # how often the Sun and the time-outs are looked at
_HOUSEKEEPING_S = 3600
_BEAT_S = 10


def watch(root: Path, *, load_station: Callable[[], Station], command: str) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Parameters
    ----------
    root : Path
        The data folder.
    load_station : callable
        Reads the configuration and gives the set-up; called at start and at each SIGHUP.
    command : str
        For the record of the run.

    Raises
    ------
    BadInput
        The data folder does not exist.
    Misconfigured
        The set-up cannot work, or another process holds the target.
    """
    root = root.expanduser().absolute()
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder", next_step="create it or name the telescope's data folder")
    station = load_station()
    notifier = Notifier()
    with (
        TargetLock(station.target, purpose="run", now=utc_now()),
        Store(station.target / STORE_NAME) as store,
        _pools(station) as (extractors, linkers),
    ):
        run = store.begin_run(command=command, parameters=station.config.as_text(), versions=station.versions)
        daemon = Daemon(
            root=root,
            station=station,
            store=store,
            clock=utc_now,
            extractors=extractors,
            linkers=linkers,
            notifier=notifier,
        )
        watcher = Watcher(root, hint=daemon.hint, rescan=lambda: daemon.inbox.put(daemon.scan))
        blind = watcher.start()
        if blind:
            log.warning("%s", blind)
        daemon.inbox.put(daemon.begin)
        scheduler = _clockwork(daemon)
        with _signals(daemon, load_station):
            scheduler.start()
            notifier.ready(f"watching {root}")
            log.info("watching %s for %s", root, station.target)
            try:
                daemon.run()
            finally:
                notifier.stopping()
                scheduler.shutdown(wait=False)
                watcher.stop()
                astromatic.stop_all()
        daemon.beat("stopped")
        store.end_run(run)
        log.info("stopped")


@contextmanager
def _pools(station: Station) -> Iterator[tuple[ThreadPoolExecutor, ThreadPoolExecutor]]:
    """Workers for exposures, and one linker that never waits behind them."""
    extractors = ThreadPoolExecutor(max_workers=station.workers, thread_name_prefix="extract")
    linkers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="link")
    try:
        yield extractors, linkers
    finally:
        for pool in (extractors, linkers):
            pool.shutdown(wait=True, cancel_futures=True)


def _clockwork(daemon: Daemon) -> BackgroundScheduler:
    """Everything that happens by time alone; each job only puts a call into the inbox."""
    config = daemon.station.config
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})

    def every(seconds: float, call: Callable[[], None], name: str) -> None:
        scheduler.add_job(daemon.inbox.put, "interval", seconds=seconds, args=[call], id=name)

    every(config["SCAN_INTERVAL"], daemon.scan, "scan")
    every(_TIME_CHECK_S, daemon.look_at_the_time, "time-outs and dawn")
    every(_HOUSEKEEPING_S, daemon.keep_house, "house-keeping")
    every(_BEAT_S, daemon.beat, "heartbeat")
    if config["REPORT_TIME"] != "DAWN":
        hour, minute = config["REPORT_TIME"].split(":")
        scheduler.add_job(
            daemon.inbox.put,
            CronTrigger(hour=hour, minute=minute, timezone="UTC"),
            args=[daemon.report],
            id="report",
        )
    return scheduler


@contextmanager
def _signals(daemon: Daemon, load_station: Callable[[], Station]) -> Iterator[None]:
    """SIGTERM and SIGINT end the daemon, SIGHUP reads the configuration again."""

    def end(number: int, _: FrameType | None) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        daemon.inbox.put(daemon.stop)

    def reload(_number: int, _: FrameType | None) -> None:
        daemon.inbox.put(again)

    def again() -> None:
        Notifier().reloading(time.monotonic_ns() // 1000)
        try:
            station = load_station()
        except Misconfigured as error:
            log.error("SIGHUP: the new configuration is refused, the old one kept: %s", error)  # noqa: TRY400
            daemon.say("error", "configuration", f"refused, the old one kept: {error}")
        else:
            daemon.use(station)
        Notifier().ready(f"watching {daemon.root}")

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
