"""A night's time over the bare SExtractor and SCAMP processes that it runs.

    python benchmarks/overhead.py [--night FOLDER] [--rounds 3] [--workers 2] [flags of ssosd replay]

A night of 12 fields of 5 exposures of 2048 x 2048 px is painted, unless a folder with one is given. One run
is recorded: programs of the same names stand before the real ones in PATH and keep what each process was
given. Then, in turn, ssosd replays the night into an empty target, and the kept processes are run again bare,
as many at a time: all of SExtractor, then all of SCAMP. ssosd gives SCAMP only what it needs, solved already;
so SCAMP runs as one would run it by hand as well, on SExtractor's whole catalogues with the same set-up.

The night is replayed without a service, so that all candidates are unknown and get their NEO scores, and with
a stand-in of SkyBoT on this machine that knows nine of ten movers, so that these are compared and drawn.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from measured import FLAGS, replay

from ssosd import astromatic
from ssosd.analysis.painter.night import paint_night
from ssosd.analysis.painter.options import SkyOptions
from tests.skybot_service import SkybotService, listed

PROGRAMS = ("sextractor", "scamp")
BY_HAND = "scamp by hand"
NIGHTS = ("no service is asked", "SkyBoT answers")
Commands = list[tuple[Path, list[str]]]  # working folder and argument list of each process
_RECORDER = """#!/bin/sh
# keeps the arguments and the working folder, without links to files to be written; becomes the real program
case "$1" in -v|--version) exec {real} "$@";; esac
kept=$(mktemp -d {folder}/XXXXXXXX) || exit 1
cp -a . "$kept/in" && find "$kept/in" -xtype l -delete && printf '%s\\0' "$@" > "$kept/argv" || exit 1
exec {real} "$@"
"""


def main() -> int:
    """Paint, record, run in turn, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--night", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="ssosd-overhead-") as name:
        room = Path(name)
        night = given.night or paint(room / "night")
        commands = record(night, room, given.workers, [*FLAGS, *flags])
        whole: dict[str, list[float]] = {name: [] for name in NIGHTS}
        bare: dict[str, list[float]] = {name: [] for name in (*PROGRAMS, BY_HAND)}
        for _ in range(given.rounds):
            with answering(night) as answers:
                for name, service in zip(NIGHTS, (FLAGS, answers), strict=True):
                    done = replay(night, room / "out", workers=given.workers, flags=[*service, *flags])
                    whole[name].append(done.took.wall)
                    shutil.rmtree(room / "out")
            bare["sextractor"].append(rerun(commands["sextractor"], room / "cats", given.workers))
            bare["scamp"].append(rerun(commands["scamp"], room / "again", given.workers))
            commands[BY_HAND] = by_hand(commands, room / "cats")
            bare[BY_HAND].append(rerun(commands[BY_HAND], room / "hand", given.workers))
            for name in ("cats", "again", "hand"):
                shutil.rmtree(room / name)
    print(f"{'':28}{'median s':>10}{'least s':>10}")
    for program, seconds in bare.items():
        n = len(commands[program])
        print(f"{f'{n} x {program}, bare':28}{statistics.median(seconds):10.1f}{min(seconds):10.1f}")
    for name, walls in whole.items():
        print(f"{name:28}{statistics.median(walls):10.1f}{min(walls):10.1f}")
        for scamp in ("scamp", BY_HAND):
            ratios = [w / (e + s) for w, e, s in zip(walls, bare["sextractor"], bare[scamp], strict=True)]
            each = ", ".join(f"{r:.2f}" for r in ratios)
            print(f"- over sextractor + {scamp}: {statistics.median(ratios):.2f} (rounds: {each})")
    print(f"largest child: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")
    return 0


def paint(folder: Path) -> Path:
    """60 exposures of 12 fields."""
    centers = tuple((40.0 + k, 14.0) for k in range(12))
    paint_night(folder, SkyOptions(seed=60, centers_deg=centers, size_px=(2048, 2048)))
    return folder


@contextmanager
def answering(night: Path) -> Iterator[tuple[str, str]]:
    """A stand-in of SkyBoT that knows nine of ten of a painted night's movers; the flags that lead to it."""
    truth = pd.read_csv(night / "truth.csv")
    truth = truth[truth["id"].rank(method="dense") % 10 != 0]
    with SkybotService(listed(truth)) as service:
        yield ("--SKYBOT_URL", service.url)


def record(night: Path, room: Path, workers: int, flags: Sequence[str]) -> dict[str, Commands]:
    """Working folder and command of each process that a replay starts."""
    front = room / "bin"
    front.mkdir()
    for program in PROGRAMS:
        real = astromatic.find(program).path
        (room / program).mkdir()
        script = front / Path(real).name
        script.write_text(_RECORDER.format(real=real, folder=room / program), encoding="utf-8")
        script.chmod(0o755)
    path = f"{front}{os.pathsep}{os.environ['PATH']}"
    replay(night, room / "recorded", workers=workers, flags=flags, path=path)
    shutil.rmtree(room / "recorded")
    commands = {}
    for program in PROGRAMS:
        real = astromatic.find(program).path
        commands[program] = [
            (kept / "in", [real, *(kept / "argv").read_text(encoding="utf-8").split("\0")[:-1]])
            for kept in sorted((room / program).iterdir())
        ]
    return commands


def by_hand(commands: dict[str, Commands], catalogues: Path) -> Commands:
    """SCAMP on the whole catalogues that SExtractor has just written, with its own matching."""
    written = {
        (folder / "image.fits").resolve().stem: catalogues / str(k) / "out.cat"
        for k, (folder, _) in enumerate(commands["sextractor"])
    }
    made = []
    for folder, command in commands["scamp"]:
        names = [str(written.get(Path(word).stem, word)) for word in command]
        names = [word for word in names if word not in {"-MATCH", "N"}]
        made.append((folder, names))
    return made


def rerun(commands: Commands, scratch: Path, workers: int) -> float:
    """Seconds of the bare processes, so many at a time, each in a fresh copy of its working folder."""
    for k, (folder, _) in enumerate(commands):
        shutil.copytree(folder, scratch / str(k), symlinks=True)
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        codes = list(pool.map(lambda k: _bare(scratch / str(k), commands[k][1]), range(len(commands))))
    seconds = time.perf_counter() - start
    if any(codes):
        sys.exit(f"{sum(map(bool, codes))} of {len(codes)} bare processes failed")
    return seconds


def _bare(folder: Path, command: list[str]) -> int:
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
