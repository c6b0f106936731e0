"""Nights that are not the linker's: comets, objects near a standstill, fast ones in quads, poor cameras.

    python benchmarks/populations.py [--seeds 1 2 3 4]

Each night is one field of 900 x 900 px, painted and replayed once a seed. Prints how many of the eligible
movers were found, how many candidates are none, and how far calibrated magnitudes are off.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd.analysis.painter.options import MoverClass, PlacedMover
from ssosd.analysis.truth import compare_with_truth
from ssosd.sphere import separation_arcsec
from tests.replaying import run
from tests.sky import small_sky

_FAR_OFF, _SAME_ARCSEC = 0.3, 3.0
_BASE: dict[str, Any] = {
    "size_px": (900, 900), "stars": 700, "star_mags": (12.0, 22.5), "galaxies": 200, "exposures": 5,
    "galaxy_mags": (17.0, 22.0), "cosmics": 5.0, "hot_pixels": 50, "bad_columns": 1, "placed": (),
    "curvature_per_h": 0.003,
}  # fmt: skip


def _movers(
    rates: tuple[float, float], mags: tuple[float, float] = (16.0, 20.0), **more: Any
) -> dict[str, Any]:
    return {"movers": (MoverClass(name="m", count=30, rate_arcsec_h=rates, mag=mags, **more),)}


_RATE, _EAST, _NORTH = 300.0, 280.0, 107.7  # arcsec/h
#: Of one that the telescope goes with, among asteroids.
_TARGET: dict[str, Any] = _movers((20.0, 60.0)) | {
    "placed": tuple(
        PlacedMover(
            name=f"T{k}", east_arcsec=30.0 + 5.0 * k, north_arcsec=-40.0 * k, rate_arcsec_h=_RATE,
            pa_deg=float(np.degrees(np.arctan2(_EAST, _NORTH))), mag=17.0 + 0.8 * k,
        )
        for k in range(3)
    ),
    "exptimes_s": (60.0,), "cadence_min": 3.0, "dither_arcsec": 1.0, "hot_pixels": 200,
}  # fmt: skip
_QUADS = (0.0, 1.0, 2.0, 3.0, 30.0, 31.0, 32.0, 33.0)
#: Name and what is unlike `_BASE`.
POPULATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ('asteroids, 20-60 "/h', _movers((20.0, 60.0))),
    ('comets, 3-8 "/h', _movers((3.0, 8.0), (15.5, 19.0), extent_arcsec=5.0)),
    ('comets, 8-25 "/h', _movers((8.0, 25.0), (15.5, 19.0), extent_arcsec=5.0)),
    (
        '0.3-4 AU away, 1-8 "/h, 8 exposures in 5.3 h',
        _movers((1.0, 8.0), acceleration_arcsec_h2=(0.12, 1.6)) | {"exposures": 8, "cadence_min": 45.0},
    ),
    (
        '600-2000 "/h, quads half an hour apart',
        _movers((600.0, 2000.0), (15.0, 17.5))
        | {"exposures": 8, "visit_offsets_min": _QUADS, "exptimes_s": (45.0,)},
    ),
    (
        "asteroids, a quad and one an hour later",
        _movers((20.0, 60.0))
        | {"visit_offsets_min": (0.0, 1.0, 2.0, 3.0, 60.0), "exptimes_s": (45.0,), "cosmics": 20.0},
    ),
    ("asteroids, stars 1.5 times as wide in the corners", _movers((20.0, 60.0)) | {"blur": 1.1}),
    (
        'asteroids, and three that the telescope follows, 300 "/h',
        _TARGET | {"follow_arcsec_h": (_EAST, _NORTH)},
    ),
    (
        "the same, pointed at anew for each exposure",
        _TARGET | {"drift_arcsec": (_EAST / 20.0, _NORTH / 20.0)},
    ),
    (
        "asteroids, a drifting detector with more hot pixels than stars",
        _movers((20.0, 60.0)) | {"hot_pixels": 1500, "drift_arcsec": (4.0, 1.2), "dither_arcsec": 0.0},
    ),
)


def main() -> int:
    """Paint, replay, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    given = parser.parse_args()
    print("| night | found of the eligible | false | EXTENDED | magnitudes | median off | off by > 0.3 mag |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, options in POPULATIONS:
        nights = [night(seed, options) for seed in given.seeds]
        eligible, found, false, extended = (sum(part[k] for part in nights) for k in range(4))
        off = np.concatenate([part[4] for part in nights])
        print(
            f"| {name} | {found} of {eligible} | {false} | {extended} | {off.size} | {np.median(off):+.2f} |"
            f" {(np.abs(off) > _FAR_OFF).sum()} |",
            flush=True,
        )
    return 0


def night(seed: int, options: dict[str, Any]) -> tuple[int, int, int, int, np.ndarray]:
    """Eligible movers, those found, false candidates, extended ones; by how much each magnitude is off."""
    with tempfile.TemporaryDirectory(prefix="ssosd-populations-") as room:
        sky = small_sky(Path(room) / "raw", **_BASE | options, seed=seed)
        outcome = run(Path(room) / "out", sky.directory, reference=sky.refcat)
        candidates = outcome.candidates
        compared = compare_with_truth(candidates, sky.truth)
        extended = candidates.loc[candidates["EXTENDED"].notna(), "CANDIDATE"].nunique()
        return compared.n_eligible, compared.n_found, compared.n_false, extended, off(candidates, sky.truth)


def off(candidates: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Calibrated minus true magnitude of each detection of a mover that has one."""
    pairs = candidates[candidates["MAG_CALIB"].notna()].merge(
        truth[truth["on_detector"]], left_on="IMAGE_FILENAME", right_on="image"
    )
    near = separation_arcsec(pairs["RA"], pairs["DEC"], pairs["ra"], pairs["dec"]) < _SAME_ARCSEC
    return (pairs["MAG_CALIB"] - pairs["mag"]).to_numpy(np.float64)[near]


if __name__ == "__main__":
    sys.exit(main())
