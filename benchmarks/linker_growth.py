"""How time and memory of the tracklet linker grow with the number of detections, on made-up tables."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd.linker.tracklets.link import link_tracklets
from tests.tracklets_sky import Night, ring

#: Detections in an exposure, exposures, hours between them.
SIZES = ((3_000, 5, 0.25), (10_000, 5, 0.25), (30_000, 5, 0.25), (100_000, 5, 0.25), (3_000, 100, 0.1))
MOVERS = 50


def growth() -> None:
    """Print seconds, peak memory and movers found for each of `SIZES`, each in a process of its own."""
    print(f"\n{'detections':>12}{'exposures':>11}{'seconds':>9}{'peak MB':>9}{'before MB':>11}{'found':>9}")
    for size in SIZES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, before, peak, found = pool.apply(_one, size)
        print(f"{size[0]:>12,}{size[1]:>11}{seconds:>9.2f}{peak:>9.0f}{before:>11.0f}", end="")
        print(f"{found:>6} /{MOVERS}", flush=True)


def _one(n: int, exposures: int, cadence: float) -> tuple[float, float, float, int]:
    """Seconds, MB before and at the peak, sources."""
    night = Night(
        size=2048.0, stars=int(0.85 * n), noise=int(0.15 * n), movers=ring(MOVERS, (3.0, 200.0), reach=900.0),
        hours=tuple(np.arange(exposures) * cadence),
    )  # fmt: skip
    detections = night.table()
    before = _peak_mb()
    start = time.perf_counter()
    linked = link_tracklets(detections=detections, pm_low=0.0, pm_up=2000.0, min_detections=4)
    seconds = time.perf_counter() - start
    return seconds, before, _peak_mb(), len(linked.sources)


def _peak_mb() -> float:
    """Largest memory that this process had; the rusage of a child counts its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    growth()
