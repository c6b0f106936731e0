"""Where fast movers are, and how bright: SExtractor's measures beside those of the whole trail.

    python benchmarks/trails.py [--seeds 1 2] [--movers 150]

Paints nights of movers at 100 to 2000 arcsec/h, replays each with FIT_TRAILS and FIT_MAGS FALSE and as
shipped, and prints medians by rate against the truth; then what recovered.csv says of the places without a
detection.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd.analysis.painter.options import MoverClass
from ssosd.reports.recovered import read_recovered_csv
from ssosd.sphere import offsets_arcsec
from tests.replaying import run
from tests.sky import small_sky

_RATES = (100.0, 200.0, 300.0, 600.0, 1000.0, 2000.0)


def main() -> int:
    """Paint, replay twice, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--movers", type=int, default=150)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    plain, fitted, missed = (
        pd.concat(tables) for tables in zip(*(night(s, given.movers) for s in given.seeds), strict=True)
    )
    rows = []
    for low, high in pairwise(_RATES):
        row: dict[str, object] = {"rate": f"{low:.0f}-{high:.0f}"}
        for name, table in (("before", plain), ("after", fitted)):
            row |= {f"{name} {k}": v for k, v in figures(table[table["rate"].between(low, high)]).items()}
        rows.append(row)
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print("\nwithout a detection:\n", missed["STATE"].value_counts().to_string())
    light = missed[missed["STATE"] == "measured"]
    pull = (light["MAG_CALIB"] - light["mag"]) / light["MAG_CALIB_ERR"]
    print(f"\nmagnitudes measured there: {len(pull)}, within two errors {(pull.abs() < 2).mean():.2f}")
    return 0


def night(seed: int, movers: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Detections that are movers, without and with fitted trails, and the places without a detection."""
    with tempfile.TemporaryDirectory(prefix="ssosd-trails-") as room:
        folder = Path(room)
        fast = MoverClass(name="fast", count=movers, rate_arcsec_h=(100.0, 2000.0), mag=(15.5, 20.0))
        painted = small_sky(
            folder / "raw", seed=seed, placed=(), movers=(fast,), size_px=(2048, 2048), stars=3000,
            star_mags=(10.0, 22.0), galaxies=800, cosmics=30.0, exposures=5, cadence_min=5.0,
        )  # fmt: skip
        tables = []
        for more in ({"FIT_TRAILS": "False", "FIT_MAGS": False}, {}):
            out = run(folder / "out", painted.directory, reference=painted.refcat, PM_UP=2200, **more)
            tables.append(beside(out.candidates, painted.truth, "RA", "DEC"))
        missed = read_recovered_csv(out.target / out.night / "recovered.csv")
        return tables[0], tables[1], beside(missed, painted.truth, "RA_PREDICTED", "DEC_PREDICTED")


def beside(table: pd.DataFrame, truth: pd.DataFrame, ra: str, dec: str) -> pd.DataFrame:
    """Rows with the mover on whose trail they are, whole and on no star: ALONG and ACROSS it, arcsec."""
    pairs = table.merge(truth, left_on="IMAGE_FILENAME", right_on="image")
    east, north = offsets_arcsec(pairs[ra], pairs[dec], pairs["ra"], pairs["dec"])
    pa = np.radians(pairs["pa"])
    along, across = east * np.sin(pa) + north * np.cos(pa), east * np.cos(pa) - north * np.sin(pa)
    near = (along.abs() < pairs["trail_px"] / 2.0 + 3.0) & (across.abs() < 3.0)
    return pairs.assign(ALONG=along, ACROSS=across)[near & pairs["whole"] & pairs["unblended"]]


def figures(table: pd.DataFrame) -> dict[str, float]:
    """Number; median and 90 % distance, arcsec; magnitudes: median offset, share within two errors."""
    distance = np.hypot(table["ALONG"], table["ACROSS"])
    off = table["MAG_CALIB"] - table["mag"]
    return {
        "n": len(table),
        "median": float(distance.median()),
        "90 %": float(distance.quantile(0.9)),
        "mag": float(off.median()),
        "in 2 err": float(((off / table["MAG_CALIB_ERR"]).abs() < 2.0).mean()),
    }


if __name__ == "__main__":
    sys.exit(main())
