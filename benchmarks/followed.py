"""Nights on which the telescope follows fast objects: stars are trails, what is followed is a point.

    python benchmarks/followed.py [--seeds 1 2 3] [--stars 250 700 2000] [--trails 5 15 30 60]

Each night is one field of 900 x 900 px with three followed objects (SNR 35 to 130) and 30 other movers
(20-60 "/h), five exposures of it, painted and replayed. Distances are from the truth, of all detections of
the candidates.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.populations import _BASE, _EAST, _NORTH, _RATE, _TARGET
from ssosd.analysis.truth import compare_with_truth
from ssosd.sphere import separation_arcsec
from tests.replaying import run
from tests.sky import small_sky

_FASTEST = 6.0 * _RATE  # arcsec/h: what has longer trails is exposed for longer
_SAME_ARCSEC = 3.0


def main() -> int:
    """Paint, replay, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--stars", type=int, nargs="+", default=[250, 700, 2000])
    parser.add_argument("--trails", type=float, nargs="+", default=[5.0, 15.0, 30.0, 60.0])
    given = parser.parse_args()
    print(
        '| trails | stars | followed found | off, 90 % (") | others found | off, 90 % (") | false | CPU s |'
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for length in given.trails:
        for stars in given.stars:
            nights = [night(seed, length, stars) for seed in given.seeds]
            cells: list[str] = []
            for kind in ("followed", "others"):
                eligible, found = (sum(part[kind][k] for part in nights) for k in range(2))
                off = np.concatenate([part[kind][2] for part in nights])
                cells += [f"{found} of {eligible}"]
                cells += ["{:.3f}, {:.2f}".format(*np.percentile(off, [50, 90])) if off.size else "-"]
            false = sum(part["false"] for part in nights)
            cpu = np.mean([part["cpu"] for part in nights])
            print(
                f'| {length:.0f}" | {stars} | {" | ".join(cells)} | {false} | {cpu:.1f} |',
                flush=True,
            )
    return 0


def night(seed: int, length_arcsec: float, stars: int) -> dict[str, Any]:
    """Eligible, found, distances (arcsec) of what is followed and of others; false candidates; CPU time."""
    rate = min(60.0 * length_arcsec, _FASTEST)
    exptime = 3600.0 * length_arcsec / rate if length_arcsec else 60.0
    factor = rate / _RATE
    placed = tuple(replace(mover, rate_arcsec_h=rate) for mover in _TARGET["placed"]) if length_arcsec else ()
    options = {
        **_BASE, **_TARGET, "placed": placed, "follow_arcsec_h": (_EAST * factor, _NORTH * factor),
        "exptimes_s": (exptime,), "stars": stars, "galaxies": stars * 2 // 7,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="ssosd-followed-") as room:
        sky = small_sky(Path(room) / "raw", **options, seed=seed)
        before = _cpu()
        outcome = run(Path(room) / "out", sky.directory, reference=sky.refcat)
        result: dict[str, Any] = {"cpu": _cpu() - before}
        candidates = outcome.candidates
    compared = compare_with_truth(candidates, sky.truth)
    movers, truth = compared.movers, sky.truth[sky.truth["on_detector"]]
    followed = movers["id"].str.startswith("T")
    for kind, rows in (("followed", followed), ("others", ~followed)):
        own = truth[truth["id"].isin(movers["id"][rows])]
        pairs = candidates.merge(own, left_on="IMAGE_FILENAME", right_on="image")
        off = np.asarray(separation_arcsec(pairs["RA"], pairs["DEC"], pairs["ra"], pairs["dec"]))
        eligible = rows & movers["eligible"]
        result[kind] = (
            int(eligible.sum()),
            int((eligible & movers["found"]).sum()),
            off[off < _SAME_ARCSEC],
        )
    return result | {"false": compared.n_false}


def _cpu() -> float:
    """Processor seconds of this process and of all it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    sys.exit(main())
