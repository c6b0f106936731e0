"""How long `ssosd status` takes while the daemon's pool is busy: real SExtractor on every worker.

    python benchmarks/status.py [--files 60] [--workers 2]

Prints wall and processor seconds of each call, and what the machine was doing beside.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from astropy.io import fits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.sky import small_sky

_SETTINGS = {
    "OBSERVATORY_CODE": "493", "CROSSMATCH_SKYBOT": "False", "MIN_FREE_DISK": "0", "SETTLE_TIME": "0.5",
    "SCAN_INTERVAL": "2", "EXPOSURES_PER_FIELD": "1000",
}  # fmt: skip
_LIMIT_S = 0.35


def main() -> int:
    """Measure; exit code 1 when the median call takes longer than the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssosd-status-") as folder:
        base = Path(folder)
        make_exposures(base, given.files)
        flags = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        daemon = subprocess.Popen(
            [
                sys.executable, "-m", "ssosd.cli", "run", base / "raw", "-t", base / "out",
                f"--WORKERS={given.workers}", *flags,
            ],
            cwd=base, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            walls, cpus = measure(base / "out", n_files=given.files, workers=given.workers)
        finally:
            daemon.terminate()
            daemon.wait()
    load = os.getloadavg()[0]
    print(
        f"{len(walls)} calls of `ssosd status` beside {given.workers} busy workers on {os.cpu_count()} cores:"
        f" median {statistics.median(walls):.2f} s wall, longest {max(walls):.2f} s,"
        f" {statistics.median(cpus):.2f} s of processor time; load {load:.1f}"
    )
    return 1 if statistics.median(walls) > _LIMIT_S else 0


def measure(target: Path, *, n_files: int, workers: int) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of calls, as long as every worker has something to do."""
    walls, cpus = [], []
    while True:
        before, began = os.times(), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "ssosd.cli", "status", "-t", target, "--json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        took, after = time.monotonic() - began, os.times()
        exposures = json.loads(done.stdout)["exposures"]
        if exposures["extracting"] >= workers:
            walls.append(took)
            cpus.append(
                after.children_user + after.children_system - before.children_user - before.children_system
            )
        elif exposures["extracted"] + exposures["parked"] >= n_files - workers:
            return walls, cpus
        time.sleep(0.2)


def make_exposures(base: Path, n_files: int) -> None:
    """One painted frame under the sky's times of a whole night."""
    painted = small_sky(base / "sky", exposures=1, size_px=(2048, 2048), stars=8000, galaxies=1000, placed=())
    (base / "raw").mkdir()
    with fits.open(painted.paths[0]) as hdus:
        header = hdus[0].header
        began = datetime.fromisoformat(header["DATE-OBS"])
        for n in range(n_files):
            header["DATE-OBS"] = (began + timedelta(minutes=2 * n)).isoformat(timespec="milliseconds")
            hdus.writeto(base / "raw" / f"{n:04d}.fits")


if __name__ == "__main__":
    sys.exit(main())
