"""Does injection tell the truth? Its curve beside the completeness of movers that are in the exposures.

    python benchmarks/inject.py [--movers 300] [--seeds 1 2]

Each night is painted twice: with movers of all magnitudes about the limit, which are made otherwise than
injected ones (into electrons, before noise and digits, with the painter's own PSF), and without any, to be
measured with as many injected ones. Prints both curves by magnitude and by rate, and what injection costs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd.analysis.inject.limit import half_magnitude
from ssosd.analysis.inject.score import completeness_table
from ssosd.analysis.painter.options import MoverClass
from ssosd.store import STORE_NAME, Store
from tests.replaying import run
from tests.sky import small_sky

_MAG, _RATE = (18.5, 22.0), (5.0, 1000.0)
_FEWEST, _RADIUS = 4, 2.0  # detections and arcsec, as injection asks for
_COUNTS = ["n_injected", "n_found"]


def main() -> int:
    """Paint, replay, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--movers", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    nights = [night(seed, given.movers) for seed in given.seeds]
    own, told = (pd.concat([night[k] for night in nights]) for k in (0, 1))
    for keys in (["mag_low"], ["rate_low", "rate_high"]):
        print(beside(own, told, keys).to_string(), "\n")
    for name, table in (("the painted movers'", own), ("injection's", told)):
        counts = table.groupby("mag_low")[_COUNTS].sum()
        half = half_magnitude(counts.index.to_numpy() + 0.25, counts["n_injected"], counts["n_found"])
        print(f"50 % magnitude, {name}: {half:.2f}")
    before, after = (np.mean([night[k] for night in nights]) for k in (2, 3))
    print(f"replay of 5 x 2048 x 2048: {before:.1f} s, with INJECT {given.movers}: {after:.1f} s")
    return 0


def night(seed: int, movers: int) -> tuple[pd.DataFrame, pd.DataFrame, float, float]:
    """Counts of the painted movers and of injected ones; seconds without and with injection."""
    with tempfile.TemporaryDirectory(prefix="ssosd-inject-") as room:
        folder = Path(room)
        many = MoverClass(name="many", count=movers, rate_arcsec_h=_RATE, mag=_MAG, mag_slope=0.0)
        nights, seconds, targets = [], [], []
        for inject, there in ((0, (many,)), (movers, ())):
            painted = small_sky(
                folder / f"sky{inject}", seed=seed, exposures=5, cadence_min=15.0, size_px=(2048, 2048),
                stars=2500, galaxies=400, placed=(), movers=there,
            )  # fmt: skip
            began = time.monotonic()
            done = run(
                folder / f"out{inject}", painted.directory, reference=painted.refcat, INJECT=inject,
                INJECT_MAG="{:g},{:g}".format(*_MAG), INJECT_RATE="{:g},{:g}".format(*_RATE),
            )  # fmt: skip
            seconds.append(time.monotonic() - began)
            nights.append(painted)
            targets.append(done)
        own = completeness_table(
            targets[0].candidates, nights[0].truth, fewest=_FEWEST, radius_arcsec=_RADIUS
        )
        with Store(targets[1].target / STORE_NAME) as store:
            told = pd.DataFrame(store.rows("SELECT * FROM completeness"))
    return own, told, seconds[0], seconds[1]


def beside(own: pd.DataFrame, told: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Both counts and shares in bins."""
    sums = [table.groupby(keys)[_COUNTS].sum() for table in (own, told)]
    table = pd.concat(sums, axis=1, keys=["painted", "injected"]).fillna(0).astype(int)
    for name in ("painted", "injected"):
        table[name, "share"] = (table[name, "n_found"] / table[name, "n_injected"]).round(2)
    return table[["painted", "injected"]]


if __name__ == "__main__":
    sys.exit(main())
