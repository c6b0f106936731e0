"""A daemon that a test drives by hand: no threads, no clock but the test's own, real binaries."""

from __future__ import annotations

import copy
import shutil
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ssosd.config import load_config
from ssosd.daemon.loop import Daemon
from ssosd.plumbing.notify import Notifier
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store
from tests.replaying import QUICK, run

#: What the rigs below work with, over `QUICK`.
LIVE = {"SETTLE_TIME": "5", "MIN_FREE_DISK": "0", "RETRY_DELAY": "60", "TRIES": "3", "SEQUENCE_TIMEOUT": "60"}
_OF_MAIL = ("MAIL_TO", "SMTP_SERVER")  # a replay sends none
_REPLAYED: dict[object, dict[str, object]] = {}
_STEP_S = 5
_LONG_STEP_S = 30  # when much time passes


class ByHand(Executor):
    """Work waits until the test has it done."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn, /, *args, **kwargs):
        future: Future[Any] = Future()
        self.jobs.append((future, lambda: fn(*args, **kwargs)))
        return future

    def step(self) -> bool:
        """Do the next piece of work; False when there is none."""
        if not self.jobs:
            return False
        future, call = self.jobs.popleft()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - as executors do
                future.set_exception(error)
        return True


class Clock:
    """The present time, as the test sets it."""

    def __init__(self, at: str) -> None:
        self.now = datetime.fromisoformat(at).replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Rig:
    """A daemon, its store and its clock over one data folder and one target.

    Parameters given are those of the configuration (a dash is written as two underscores).
    """

    def __init__(
        self,
        folder: Path,
        *,
        reference: Path,
        at: str = "2026-11-14T23:50:00",
        search_path: str | None = None,
        notifier: Notifier | None = None,
        target: Path | None = None,
        **parameters: object,
    ) -> None:
        self.root = folder / "raw"
        self.target = target or folder / "out"
        self.clock = Clock(at)
        self.parameters = {
            **QUICK, **LIVE, "ASTREF_CATALOG": str(reference),
            **{name.replace("__", "-"): str(value) for name, value in parameters.items()},
        }  # fmt: skip
        self.search_path = search_path
        self.notifier = notifier or Notifier({})
        self.root.mkdir(parents=True, exist_ok=True)
        self.start()

    def station(self, **changes: object) -> Station:
        overrides = {**self.parameters, **{name: str(value) for name, value in changes.items()}}
        config = load_config(None, overrides=overrides, cwd=self.root)
        return Station.open(config, self.target, search_path=self.search_path)

    def start(self) -> None:
        """A new process, as it were: all memory is gone, the store is opened anew."""
        self.readers, self.extractors, self.linkers = ByHand(), ByHand(), ByHand()
        station = self.station()
        self.store = Store(station.target / STORE_NAME, clock=self.clock)
        self.daemon = Daemon(
            root=self.root, station=station, store=self.store, clock=self.clock, notifier=self.notifier,
            readers=self.readers, extractors=self.extractors, linkers=self.linkers,
        )  # fmt: skip
        self.daemon.inbox.put(self.daemon.begin)

    def die(self) -> None:
        """As kill -9: what is in memory and under way is lost."""
        self.store.close()

    def restart(self) -> None:
        self.die()
        self.start()

    # ---- the world outside ------------------------------------------------------------------------------

    def come(self, *paths: Path) -> None:
        """Files arrive, whole, and the watcher notices."""
        for path in paths:
            arrived = self.root / path.name
            shutil.copy2(path, arrived.with_name(f".{path.name}.part"))
            arrived.with_name(f".{path.name}.part").rename(arrived)
            self.daemon.hint(arrived)

    def rounds(self, *, linking: bool = True) -> None:
        """Go round at this moment until there is nothing more to do."""
        for _ in range(10_000):
            self.daemon.turn()
            worked = self.readers.step() or self.extractors.step() or (linking and self.linkers.step())
            if not worked and self.daemon.inbox.empty():
                self.daemon.turn()
                if self.daemon.inbox.empty() and not (self.readers.jobs or self.extractors.jobs):
                    return
        raise AssertionError("the daemon never comes to rest")

    def go(self, seconds: float = 15.0, *, linking: bool = True) -> None:
        """Let time pass, with the clockwork's calls."""
        length = _STEP_S if seconds <= 120 else _LONG_STEP_S
        for step in range(int(seconds) // length):
            self.clock.advance(length)
            for every, call in (
                (10, self.daemon.beat), (30, self.daemon.look_at_the_time), (60, self.daemon.scan)
            ):  # fmt: skip
                if (step * length) % every == 0:
                    self.daemon.inbox.put(call)
            self.rounds(linking=linking)

    def until(self, at: str) -> None:
        """Let time pass, in one leap."""
        self.clock.now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        self.go(60)

    # ---- what came of it --------------------------------------------------------------------------------

    @property
    def sequences(self) -> dict[str, dict[str, Any]]:
        return {row["field"]: row for row in self.store.rows("SELECT * FROM sequences ORDER BY night, field")}

    @property
    def states(self) -> dict[str, str]:
        return {field: row["state"] for field, row in self.sequences.items()}

    @property
    def exposures(self) -> dict[str, dict[str, Any]]:
        return {Path(row["path"]).name: row for row in self.store.rows("SELECT * FROM exposures")}

    @property
    def night(self) -> Path:
        return self.target / "2026-11-14"

    def events(self, subject: str = "") -> list[str]:
        found = self.store.rows("SELECT subject, message FROM events ORDER BY id")
        return [row["message"] for row in found if subject in row["subject"]]

    @property
    def beat(self) -> dict[str, Any]:
        return self.store.rows("SELECT * FROM heartbeats ORDER BY beat_s DESC LIMIT 1")[0]

    def results(self) -> dict[str, object]:
        return results(self.target)

    def in_the_morning(self) -> dict[str, object]:
        """Results when the night is over."""
        self.until("2026-11-15T07:00:00")
        return self.results()

    def replayed(self, reference: Path) -> dict[str, object]:
        """Results of a replay of the same folder into another target; of the same files only one is made."""
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        asked = (
            tuple((str(path.relative_to(self.root)), path.read_bytes()) for path in files),
            tuple(sorted((name, value) for name, value in self.parameters.items() if name not in _OF_MAIL)),
            reference,
        )
        if asked not in _REPLAYED:
            other = self.target.parent / "replayed"
            shutil.rmtree(other, ignore_errors=True)
            given = {name.replace("-", "__"): value for name, value in self.parameters.items()}
            run(other, self.root, reference=reference, **given)
            _REPLAYED[asked] = results(other)
        return copy.deepcopy(_REPLAYED[asked])


def results(target: Path) -> dict[str, object]:
    """All that a person takes from a target: every file of its nights, the ledger, the candidates, the states."""
    found: dict[str, object] = {}
    for path in sorted(target.glob("20*/**/*")):
        name = str(path.relative_to(target))
        timed = path.suffix in (".cat", ".xml", ".head")  # SExtractor and SCAMP write the time into them
        found[name] = "" if timed or path.is_dir() else path.read_bytes()
    with Store(target / STORE_NAME) as store:
        for table, columns in {
            "rejections": "source_number, filter, reason, measured, limit_value, n_detections",
            "candidates": "candidate, source_number, n_detections, mjd_first, ra_deg, dec_deg, pm, mag, match_state",
            "known_objects": "catalog_number, number, name, ra_deg, dec_deg",
        }.items():
            found[table] = store.rows(
                f"SELECT s.night AS n, s.field AS f, t.* FROM (SELECT sequence, {columns} FROM {table}) t"
                f" JOIN sequences s ON s.id = t.sequence ORDER BY 1, 2, {columns.replace(', ', ', t.')}"
            )
            for row in found[table]:
                row.pop("sequence")
        found["states"] = store.rows(
            "SELECT night, field, state, n_exposures, n_sources, n_candidates, partial, reason, fingerprint"
            " FROM sequences ORDER BY 1, 2"
        )
        found["exposures"] = store.rows("SELECT digest, state, night, catalogue FROM exposures ORDER BY 1")
        found["drafts"] = store.rows("SELECT night, kind, n_observations, digest FROM drafts ORDER BY 1, 2")
        found["sound"] = store.rows("PRAGMA integrity_check")
    return found
