"""What the daemon costs while nothing happens: `ssosd run` watching a folder with 10,000 old files.

    python benchmarks/idle.py [--files 10000] [--seconds 60]

The files are known to the store; every one is an exposure of some night of the past year.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd.config import load_config
from ssosd.ingest.exposure import read_exposure
from ssosd.model import Catalogue
from ssosd.site import night_of
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store
from tests.sky import small_sky

_SETTINGS = {"OBSERVATORY_CODE": "493", "CROSSMATCH_SKYBOT": "False", "MIN_FREE_DISK": "0"}
_PER_NIGHT = 40


def main() -> int:
    """Measure; exit code 1 when it is more than 1 % of a core or 200 MB."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssosd-idle-") as folder:
        base = Path(folder)
        make_archive(base, given.files)
        flags = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        child = subprocess.Popen(
            [sys.executable, "-m", "ssosd.cli", "run", base / "raw", "-t", base / "out", *flags],
            cwd=base, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process = psutil.Process(child.pid)
            wait_until_it_rests(process, base / "out" / STORE_NAME)
            before, began = process.cpu_times(), time.monotonic()
            time.sleep(given.seconds)
            after, took = process.cpu_times(), time.monotonic() - began
            memory_mb = process.memory_info().rss / 1e6
        finally:
            child.terminate()
            child.wait()
        busy = (after.user + after.system - before.user - before.system) / took
        with Store(base / "out" / STORE_NAME) as store:
            states = store.rows("SELECT state, count(*) AS n FROM exposures GROUP BY state")
    print(
        f"idle over {given.files} old files: {100 * busy:.2f} % of one core over {took:.0f} s,"
        f" {memory_mb:.0f} MB resident; exposures {states}"
    )
    return 1 if busy > 0.01 or memory_mb > 200.0 else 0


def wait_until_it_rests(process: psutil.Process, path: Path) -> None:
    """Return when it has given signs of life and its processor time stands still."""
    while True:
        spent = sum(process.cpu_times()[:2])
        time.sleep(3.0)
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            beats = connection.execute("SELECT count(*) FROM heartbeats").fetchone()[0]
        connection.close()
        if beats and sum(process.cpu_times()[:2]) - spent < 0.1:
            return


def make_archive(base: Path, n_files: int) -> None:
    """Make files and the store that a daemon would have left which worked on them, night after night."""
    painted = small_sky(base / "sky", exposures=1, size_px=(64, 64), stars=5, galaxies=0, placed=())
    content = painted.paths[0].read_bytes()
    station = Station.open(load_config(None, overrides=_SETTINGS, cwd=base), base / "out")
    first = read_exposure(painted.paths[0], keywords=station.keywords, extensions=None)
    with Store(station.target / STORE_NAME) as store:
        store.db.execute("PRAGMA synchronous = OFF")
        groups: dict[str, list[str]] = {}
        with store.db.atomic():
            for n in range(n_files):
                night_number, number = divmod(n, _PER_NIGHT)
                mjd = first.mjd_mid - 2.0 - night_number + 0.002 * number
                night = night_of(mjd, station.site.lon_deg)
                path = base / "raw" / night / f"{n:06d}.fits"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                stat = path.stat()
                exposure = replace(
                    first, path=str(path), digest=f"{n:032x}", mjd_mid=mjd, ra_deg=50.0 + number % 8
                )
                store.record_exposure(
                    exposure, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns,
                    read_with=station.read_with, night=night,
                )  # fmt: skip
                made = Catalogue(path=f"{path}.cat", key=f"k{n}", n_detections=9, fwhm_px=2.0, background=1.0)
                store.record_catalogue(exposure.digest, made)
                groups.setdefault(night, []).append(exposure.digest)
            for night, digests in groups.items():
                store.regroup(night, {"F01": (50.0, 18.0, digests)})
            store.db.execute("UPDATE sequences SET state = 'done'")
            store.db.execute("UPDATE nights SET written = 1, reported = 1")


if __name__ == "__main__":
    sys.exit(main())
