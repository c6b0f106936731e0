"""Time of the filter chain on 200,000 detections of 50,000 sources, with the share of each filter.

Run as ``python benchmarks/chain.py``. Two tables: a night like a real one, where most sources are stars at
rest and fall early, and the worst case, where every filter is on and no source is rejected.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.config import load_config
from ssosd.filters.chain import ChainSettings, run_chain

N_SOURCES = 50_000
N_EPOCHS = 4
REPEATS = 3

#: Every filter is on, all else as by default.
_ON = ("FILTER_DETEC", "FILTER_PM", "FILTER_PIXEL", "FILTER_MOTION", "FILTER_TRAIL", "FILTER_BRIGHT_SOURCES")
SETTINGS = ChainSettings.from_mapping(
    load_config(None, overrides=dict.fromkeys(_ON, "True"), cwd=Path.cwd(), files_must_exist=False)
)
#: No filter rejects a mover of these tables.
LENIENT = replace(SETTINGS, ratio=0.0, distance=1e-6, delta_pixel=1e-6)


def table(*, movers: float) -> pd.DataFrame:
    """Make a night of 15 min cadence; `movers` is the share of sources that move, the rest are stars."""
    rng = np.random.default_rng(20261101)
    n = N_SOURCES * N_EPOCHS
    source = np.repeat(np.arange(1, N_SOURCES + 1), N_EPOCHS)
    epoch = np.tile(np.arange(N_EPOCHS), N_SOURCES)
    hours = 0.25 * epoch
    moving = np.repeat(rng.random(N_SOURCES) < movers, N_EPOCHS)
    rate = np.where(moving, np.repeat(10 ** rng.uniform(1.2, 2.5, N_SOURCES), N_EPOCHS), 0.0)
    angle = np.repeat(rng.uniform(0.2, 1.3, N_SOURCES), N_EPOCHS)
    pm = np.where(moving, rate, np.repeat(rng.exponential(0.5, N_SOURCES), N_EPOCHS))
    x = rate * hours * np.cos(angle) + rng.normal(0.0, 0.05, n)
    y = rate * hours * np.sin(angle) + rng.normal(0.0, 0.05, n)
    size = rng.normal(2.0, 0.02, (2, n))
    return pd.DataFrame(
        {
            "SOURCE_NUMBER": source,
            "CATALOG_NUMBER": epoch + 1,
            "EXTENSION": 0,
            "RA": (np.repeat(rng.uniform(-0.3, 0.3, N_SOURCES), N_EPOCHS) + x / 3600.0 / 0.9) % 360.0,
            "DEC": np.repeat(rng.uniform(25.0, 25.6, N_SOURCES), N_EPOCHS) + y / 3600.0,
            "MID_EXPOSURE_MJD": 60000.0 + hours / 24.0,
            "EXPTIME": 120.0,
            "ERR_POSITION": 0.08,
            "PM": pm,
            "PMERR": 0.2,
            "XWIN_IMAGE": 1000.0 + x,
            "YWIN_IMAGE": 1000.0 + y,
            "AWIN_IMAGE": size[0],
            "ERRAWIN_IMAGE": 0.05,
            "BWIN_IMAGE": size[1],
            "ERRBWIN_IMAGE": 0.05,
            "ERRA_WORLD": 0.05 / 3600.0,
            "FLAGS_SCAMP": 0,
            "FLAGS_SSOS": 0,
        }
    )


def star_catalogue() -> pd.DataFrame:
    """Make 5,000 stars over the field."""
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(-0.3, 0.3, 5000) % 360.0, rng.uniform(25.0, 25.6, 5000)
    return pd.DataFrame({"RA": ra, "DEC": dec, "MAG": rng.uniform(9, 20, 5000)})


def once(
    detections: pd.DataFrame, settings: ChainSettings, stars: pd.DataFrame
) -> list[tuple[str, float, int]]:
    """Time of each step of one run in seconds, with the sources it left; last the making of the result."""
    marks: list[tuple[str, float, int]] = []

    def mark(step: str, left: int) -> None:
        marks.append((step, time.perf_counter(), left))

    start = time.perf_counter()
    result = run_chain(detections, settings=settings, stars=stars, progress=mark)
    mark("result and ledger", result.funnel[-1][1])
    begins = [start, *(end for _, end, _ in marks)]
    return [(name, end - begin, left) for (name, end, left), begin in zip(marks, begins, strict=False)]


def measure(detections: pd.DataFrame, settings: ChainSettings) -> list[tuple[str, float, int]]:
    """Steps of the fastest of some runs."""
    stars = star_catalogue()
    runs = [once(detections, settings, stars) for _ in range(REPEATS)]
    return min(runs, key=lambda rows: sum(seconds for _, seconds, _ in rows))


def show(title: str, rows: list[tuple[str, float, int]]) -> None:
    """Print one table."""
    total = sum(row[1] for row in rows)
    print(f"\n{title}\n{'step':<24}{'ms':>8}{'share':>8}{'sources left':>15}")
    for name, seconds, left in rows:
        label = "grouping" if name == "All Sources" else name
        print(f"{label:<24}{seconds * 1e3:>8.1f}{seconds / total:>8.0%}{left:>15,}")
    print(f"{'total':<24}{total * 1e3:>8.1f}{1:>8.0%}")


def main() -> None:
    print(f"filter chain: {N_SOURCES * N_EPOCHS:,} detections of {N_SOURCES:,} sources, best of {REPEATS}")
    show("2 % movers among stars", measure(table(movers=0.02), SETTINGS))
    show("worst case: nothing is rejected", measure(table(movers=1.0), LENIENT))
    shuffled = table(movers=1.0).sample(frac=1.0, random_state=1)
    show("worst case, rows in random order", measure(shuffled, LENIENT))


if __name__ == "__main__":
    main()
