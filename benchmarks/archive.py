"""An archive of thousands of small sequences: does the driver's memory stay flat, how large is the store?

    python benchmarks/archive.py [--sequences 2000] [--workers 2] [--folder FOLDER]

A few fields are painted once; every night has the same frames with another date. `ssosd replay` works through
them with the real binaries and its crew of processes. Printed are the driver's memory at 10 %, 50 % and 100 %
of the sequences, the store's size for each rejected source, how long `ssosd replay --dry-run` and
`ssosd status` take; the exit code is 1 when one is beyond its limit. An archive in FOLDER is gone on with.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd.analysis.painter.night import PlacedMover, SkyOptions, paint_night
from ssosd.store import STORE_NAME, read_only

FIELDS = 8
EXPOSURES = 4
START = "2026-01-10T23:00:00"
SKY = SkyOptions(
    centers_deg=tuple((40.0 + 2.0 * n, 15.0) for n in range(FIELDS)),
    exposures=EXPOSURES,
    start=START,
    cadence_min=8.0,
    size_px=(256, 256),
    stars=60,
    star_mags=(13.5, 20.5),
    galaxies=10,
    galaxy_mags=(17.0, 20.0),
    movers=(),
    placed=tuple(
        PlacedMover(name=f"M{n}", field=n, east_arcsec=40.0, rate_arcsec_h=35.0, pa_deg=250.0, mag=17.5)
        for n in range(1, FIELDS + 1)
    ),
    hot_pixels=10,
    bad_columns=0,
    cosmics=2.0,
    satellites=0.0,
)
SETTINGS = {
    "OBSERVATORY_CODE": "493", "CROSSMATCH_SKYBOT": "False", "EXTRACT_CUTOUTS": "False",
    "CHECKPLOTS": "False", "CROSSID_RADIUS": "10", "FILTER_BRIGHT_SOURCES": "False",
}  # fmt: skip
SHARES = (0.1, 0.5, 1.0)
LARGEST_GROWTH = 1.15  # of the driver's memory between 10 % and the end
LARGEST_BYTES = 2000.0  # of the store for each rejected source
SLOWEST_STATUS_S = 0.35


def main() -> int:
    """Make the archive, replay it, measure; exit code 1 when a figure is beyond its limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssosd-archive-") as scratch:
        base = (given.folder or Path(scratch)).absolute()
        reference = make_archive(base, nights=-(-given.sequences // FIELDS))
        began = time.monotonic()
        memory = replay(base, reference=reference, sequences=given.sequences, workers=given.workers)
        took = time.monotonic() - began
        with read_only(base / "out" / STORE_NAME) as db:
            states = dict(db.execute("SELECT state, count(*) FROM sequences GROUP BY state").fetchall())
            rejected = db.execute("SELECT count(*) FROM rejections").fetchone()[0]
            candidates = db.execute("SELECT count(*) FROM candidates").fetchone()[0]
        size = (base / "out" / STORE_NAME).stat().st_size
        walls = [wall_s("status", "-t", base / "out", "--json") for _ in range(7)]
        dry_s = wall_s("replay", base / "raw", "-t", base / "none", "--dry-run")
    load = os.getloadavg()[0]
    print(
        f"sequences {states}, {candidates} candidates, {rejected} rejected sources;"
        f" {took:.0f} s, load {load:.1f}"
    )
    print("driver's memory " + ", ".join(f"{mb:.0f} MB at {share:.0%}" for share, mb in memory.items()))
    print(f"store {size / 1e6:.1f} MB, {size / max(rejected, 1):.0f} bytes for each rejected source")
    print(f"`ssosd replay --dry-run` of {given.sequences * EXPOSURES} files: {dry_s:.1f} s")
    print(f"`ssosd status`: median {statistics.median(walls):.2f} s, longest {max(walls):.2f} s")
    good = (
        memory[SHARES[-1]] <= LARGEST_GROWTH * memory[SHARES[0]]
        and size <= LARGEST_BYTES * rejected
        and statistics.median(walls) <= SLOWEST_STATUS_S
    )
    return 0 if good else 1


def make_archive(base: Path, *, nights: int) -> Path:
    """Write the files of all nights under ``base/raw``; returns the reference catalogue."""
    painted = paint_night(base / "painted", SKY)
    first = datetime.fromisoformat(START)
    for path in painted.paths:
        data = path.read_bytes()
        at = data.index(b"DATE-OBS= '") + len(b"DATE-OBS= '")
        for night in range(nights):
            folder = base / "raw" / f"{first + timedelta(days=night):%Y/%m/%d}"
            target = folder / path.name
            if target.exists():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            stamp = datetime.fromisoformat(data[at : at + 23].decode()) + timedelta(days=night)
            written = stamp.isoformat(timespec="milliseconds").encode()
            target.write_bytes(data[:at] + written + data[at + 23 :])
    return painted.refcat


def replay(base: Path, *, reference: Path, sequences: int, workers: int) -> dict[float, float]:
    """Replay the archive; the driver's resident memory in MB when each of SHARES of it has ended."""
    flags = [f"--{name}={value}" for name, value in SETTINGS.items()]
    command = [sys.executable, "-m", "ssosd.cli", "replay", base / "raw", "-t", base / "out", "-q"]
    driver = subprocess.Popen(
        [*command, "--jobs", str(workers), f"--ASTREF_CATALOG={reference}", *flags], cwd=base
    )
    memory: dict[float, float] = {}
    last = 0.0
    while driver.poll() is None:
        last = resident_mb(driver.pid) or last
        ended = n_ended(base / "out" / STORE_NAME)
        for share in SHARES:
            if share not in memory and ended >= share * sequences:
                memory[share] = last
        time.sleep(1.0)
    if driver.returncode:
        raise SystemExit(f"ssosd replay ended with {driver.returncode}")
    memory[SHARES[-1]] = last
    return {share: memory.get(share, last) for share in SHARES}


def resident_mb(pid: int) -> float:
    """Resident memory of a process, 0 when it is no more."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS:")), 0.0)


def n_ended(store: Path) -> int:
    """Sequences that are done or parked."""
    if not store.is_file():
        return 0
    with read_only(store) as db:
        try:
            return int(
                db.execute("SELECT count(*) FROM sequences WHERE state IN ('done', 'parked')").fetchone()[0]
            )
        except sqlite3.OperationalError:  # the tables are not there yet
            return 0


def wall_s(*arguments: object) -> float:
    """Wall seconds of one call of ssosd."""
    began = time.monotonic()
    command = [sys.executable, "-m", "ssosd.cli", *(str(argument) for argument in arguments)]
    subprocess.run(command, capture_output=True, check=False)
    return time.monotonic() - began


if __name__ == "__main__":
    raise SystemExit(main())
