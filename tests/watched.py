"""A watched folder for tests: the daemon's dealings with files, with a hand-driven clock and no threads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from astropy.io import fits

from ssosd.config import load_config
from ssosd.daemon.arrivals import Arrivals
from ssosd.intake import TakenIn, admit
from ssosd.pipeline import Corridor
from ssosd.site import site_from
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store
from tests.frames import TAN, header, pixels, write_mef

START_S = datetime(2026, 11, 14, 22, 0, tzinfo=UTC).timestamp()
QUIET = {"SETTLE_TIME": "5", "SETTLE_LIMIT": "900"}


def station_for(target: Path, **parameters: str) -> Station:
    """A station without binaries: enough for all that is done with files."""
    target.mkdir(parents=True, exist_ok=True)
    config = load_config(None, overrides={**QUIET, **parameters}, cwd=target, files_must_exist=False)
    return Station(
        config=config, target=target, site=site_from("493", lon_deg=None, lat_deg=None, alt_m=None)
    )


class Watched:
    """One folder, its store, and the files on their way from the one to the other."""

    def __init__(self, root: Path, target: Path, **parameters: str) -> None:
        self.root, self.target = root, target
        root.mkdir(parents=True, exist_ok=True)
        self.now_s = START_S
        self.station = station_for(target, **parameters)
        self.store = Store(target / STORE_NAME, clock=lambda: datetime.fromtimestamp(self.now_s, UTC))
        self.recorded: list[TakenIn] = []
        self.restart()

    def restart(self) -> None:
        """Forget everything but the store, as kill -9 does."""
        self.corridor = Corridor(station=self.station, store=self.store)
        self.arrivals = Arrivals(root=self.root)
        self.arrivals.habits.relearn(self.store.telling_exposures())

    def scan(self):
        scanned = self.arrivals.scan(
            self.store.files(), station=self.station, now_s=self.now_s, twins=self.store.twins
        )
        self.store.forget_files(scanned.moved)
        self.store.forget_parked(scanned.removed)
        return scanned

    def hint(self, path: Path) -> None:
        self.arrivals.notice(path, known=self.store.file, station=self.station, now_s=self.now_s)

    def tick(self, seconds: float = 0.5) -> None:
        """Let time pass, look once, read and record what is at rest."""
        self.now_s += seconds
        looked = self.arrivals.look(now_s=self.now_s, config=self.station.config)
        for path in looked.quiet:
            self.judge(path, admit(path, station=self.station, habits=self.arrivals.habits))
        for taken in looked.given_up:
            self.record(taken)

    def judge(self, path: Path, taken: TakenIn) -> None:
        verdict = self.arrivals.judge(path, taken, now_s=self.now_s, config=self.station.config)
        if verdict is not None:
            self.record(verdict)

    def record(self, taken: TakenIn) -> None:
        self.corridor.record_taken(taken)
        self.arrivals.recorded(taken)
        self.recorded.append(taken)

    def settle(self, seconds: float = 12.0) -> None:
        """Scan and let enough time pass for whole files to be taken."""
        self.scan()
        for _ in range(int(seconds / 0.5)):
            self.tick()

    def wait_long(self) -> None:
        """Scan and let SETTLE_LIMIT pass."""
        self.scan()
        for _ in range(200):
            self.tick(5.0)

    def outcomes(self) -> dict[str, str]:
        """What became of each file, by its path below the root."""
        rows = self.store.rows("SELECT path, outcome FROM files ORDER BY path")
        return {str(Path(row["path"]).relative_to(self.root)): row["outcome"] for row in rows}

    def reason(self, name: str) -> str:
        found = self.store.rows("SELECT reason FROM files WHERE path = ?", [str(self.root / name)])
        return found[0]["reason"] or ""

    def exposures(self) -> list[str]:
        """File names of the exposures."""
        return sorted(e.name for e in self.store.exposures().values())


def frame(path: Path, number: int = 0, **cards: object) -> Path:
    """One small frame, unlike those with other numbers, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    minute, second = divmod(number, 60)
    head = header(DATE__OBS=f"2026-11-14T20:{minute:02d}:{second:02d}.000", SEQNUM=number, **cards)
    fits.PrimaryHDU(pixels((40, 60), seed=number), head).writeto(path, overwrite=True)
    return path


def mef(
    path: Path, number: int = 0, *, chips: int = 4, nextend: bool = False, shape=(30, 41), **cards
) -> Path:
    """Several chips of a few blocks each after an empty primary HDU."""
    path.parent.mkdir(parents=True, exist_ok=True)
    primary = header(
        *({"SEQNUM": number, "TELESCOP": "Tel", "INSTRUME": "Cam", "EXPTIME": 60.0},),
        **{"DATE__OBS": f"2026-11-14T21:{number:02d}:00.000", "FILTER": "r", **cards},
    )
    if nextend:
        primary["NEXTEND"] = chips
    planes = [
        (header(TAN, CRVAL1=120.0 + k / 10.0), pixels(shape, seed=number * 10 + k)) for k in range(chips)
    ]
    return write_mef(path, planes, primary)
