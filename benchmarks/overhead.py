"""A night's time over the bare SExtractor and SCAMP processes that it runs.

    python benchmarks/overhead.py [--night FOLDER] [--rounds 3] [--workers 2] [flags of ssosd replay]

A night of 12 fields of 5 exposures of 2048 x 2048 px is painted, unless a folder with one is given. One run is
recorded: programs of the same names stand before the real ones in PATH and keep what each process was given.
Then, in turn, ssosd replays the night into an empty target, and the kept processes are run again bare, as many
at a time: all of SExtractor, then all of SCAMP.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd import astromatic
from ssosd.analysis.painter.night import paint_night
from ssosd.analysis.painter.options import SkyOptions

PROGRAMS = ("sextractor", "scamp")
_RECORDER = """#!/bin/sh
# keeps the working folder (without links to files to be written) and the arguments, then becomes the real program
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
        commands = record(night, room, given.workers, flags)
        whole, bare = [], {program: [] for program in PROGRAMS}
        for _ in range(given.rounds):
            whole.append(replay(night, room / "out", given.workers, flags))
            shutil.rmtree(room / "out")
            for program in PROGRAMS:
                bare[program].append(rerun(commands[program], room / "again", given.workers))
    floor = [sum(parts) for parts in zip(*bare.values(), strict=True)]
    print(f"{'':28}{'median s':>10}{'least s':>10}")
    for program in PROGRAMS:
        n = len(commands[program])
        print(f"{f'{n} x {program}, bare':28}{statistics.median(bare[program]):10.1f}{min(bare[program]):10.1f}")
    print(f"{'the night by ssosd':28}{statistics.median(whole):10.1f}{min(whole):10.1f}")
    ratios = [100.0 * (w / f - 1.0) for w, f in zip(whole, floor, strict=True)]
    print("overhead of each round: " + ", ".join(f"{r:.1f} %" for r in ratios))
    print(f"overhead: {statistics.median(ratios):.1f} % (median)")
    print(f"largest child: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")
    return 0


def paint(folder: Path) -> Path:
    """60 exposures of 12 fields."""
    centers = tuple((40.0 + k, 14.0) for k in range(12))
    paint_night(folder, SkyOptions(seed=60, centers_deg=centers, size_px=(2048, 2048)))
    return folder


def replay(night: Path, target: Path, workers: int, flags: list[str], path: str | None = None) -> float:
    """Seconds of `ssosd replay` in a process of its own."""
    command = [sys.executable, "-m", "ssosd.cli", "replay", night, "-t", target, "--WORKERS", workers]
    command += ["--ASTREF_CATALOG", night / "refcat.cat", *flags]
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    start = time.perf_counter()
    done = subprocess.run(
        [str(c) for c in command], env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return seconds


def record(night: Path, room: Path, workers: int, flags: list[str]) -> dict[str, list[tuple[Path, list[str]]]]:
    """Working folder and command of each process that a replay starts."""
    front = room / "bin"
    front.mkdir()
    for program in PROGRAMS:
        real = astromatic.find(program).path
        (room / program).mkdir()
        script = front / Path(real).name
        script.write_text(_RECORDER.format(real=real, folder=room / program), encoding="utf-8")
        script.chmod(0o755)
    replay(night, room / "recorded", workers, flags, path=f"{front}{os.pathsep}{os.environ['PATH']}")
    shutil.rmtree(room / "recorded")
    commands = {}
    for program in PROGRAMS:
        real = astromatic.find(program).path
        commands[program] = [
            (kept / "in", [real, *(kept / "argv").read_text(encoding="utf-8").split("\0")[:-1]])
            for kept in sorted((room / program).iterdir())
        ]
    return commands


def rerun(commands: list[tuple[Path, list[str]]], scratch: Path, workers: int) -> float:
    """Seconds of the bare processes, so many at a time, each in a fresh copy of its working folder."""
    for k, (folder, _) in enumerate(commands):
        shutil.copytree(folder, scratch / str(k), symlinks=True)
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        codes = list(pool.map(lambda k: _bare(scratch / str(k), commands[k][1]), range(len(commands))))
    seconds = time.perf_counter() - start
    shutil.rmtree(scratch)
    if any(codes):
        sys.exit(f"{sum(map(bool, codes))} of {len(codes)} bare processes failed")
    return seconds


def _bare(folder: Path, command: list[str]) -> int:
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
