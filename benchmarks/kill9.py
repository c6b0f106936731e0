"""Kill `ssosd run` -9 at many random instants of painted nights and compare with an undisturbed run.

    python benchmarks/kill9.py [--kills 50] [--seed 1]

Each round is a night of two fields with the real binaries, whose files arrive in random order; it is killed
until it is finished in spite of that, then compared byte for byte. So are replays in three random orders.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.killing import SETTINGS, killed_run, odd_files, undisturbed_run
from tests.replaying import NIGHT, run
from tests.sky import small_sky
from tests.stepping import results


def main() -> int:
    """Run rounds until there were enough kills; exit code 1 when a result differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ssosd-kill9-") as folder:
        base = Path(folder)
        night = small_sky(base / "sky", **NIGHT)
        files = [*night.paths, *odd_files(base, night.paths[0])]
        _, stop_s = undisturbed_run(
            files, base / "quiet" / "raw", base / "quiet" / "out", reference=night.refcat
        )
        expected = results(base / "quiet" / "out")
        kills = rounds = differences = 0
        while kills < given.kills:
            place = base / f"round{rounds}"
            kills += killed_run(
                files, place / "raw", place / "out",
                reference=night.refcat, rng=rng, kills=given.kills - kills, longest_s=0.7,
            )  # fmt: skip
            differences += compare(results(place / "out"), expected, f"round {rounds}")
            rounds += 1
            shutil.rmtree(place)
        for order in range(3):
            place = base / f"order{order}"
            differences += compare(
                replayed_in_batches(files, place, night.refcat, rng), expected, f"order {order}"
            )
        print(
            f"{kills} kills in {rounds} nights, 3 orders of replay: {differences} results differ of"
            f" {len(expected)} each; SIGTERM takes {stop_s:.1f} s; {time.monotonic() - began:.0f} s in all"
        )
    return 1 if differences else 0


def replayed_in_batches(
    files: list[Path], place: Path, reference: Path, rng: random.Random
) -> dict[str, object]:
    """Results of replays of a folder that grows in random order."""
    order = list(files)
    rng.shuffle(order)
    raw = place / "raw"
    raw.mkdir(parents=True)
    edges = [0, rng.randint(3, 7), len(order)]
    for first, end in pairwise(edges):
        for path in order[first:end]:
            shutil.copy2(path, raw)
        run(place / "out", raw, reference=reference, **SETTINGS)
    return results(place / "out")


def compare(found: dict[str, object], expected: dict[str, object], what: str) -> int:
    """Number of results that differ; each is named."""
    differing = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    for name in differing:
        print(f"{what}: {name} differs:\n  {str(found.get(name))[:300]}\n  {str(expected.get(name))[:300]}")
    return len(differing)


if __name__ == "__main__":
    sys.exit(main())
