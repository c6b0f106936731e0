"""All figures that stand in docs/benchmarks.md, from one run on one machine: `make bench`.

    python benchmarks/run.py [--compare] [--quick] [--rooms FOLDER] [--only PART ...]

Writes docs/benchmarks.json and the tables of docs/benchmarks.md. With ``--compare`` (`make bench-compare`) it
writes nothing: it shows the ratios beside those of docs/benchmarks.json, and ends with exit code 1 when one
of them has become worse by more than 15 %.

Painted nights, and the seed's program in an environment of its own, are kept in a folder for the next run.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import chain
import cutouts
import lastframe
import overhead
from figures import Figures, Table, comparison, worse
from measured import FLAGS, NOTHING, Replay, Took, Watch, replay
from stages import EXPOSURE, NIGHT, stages

from ssosd import astromatic
from ssosd.analysis.painter.night import paint_night
from ssosd.analysis.painter.options import SkyOptions

ROOT = Path(__file__).resolve().parents[1]
PAGE, KEPT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.json"
SEED = ("numpy<2", "pandas<3", "astropy<8", "ssos", "sbpy")
EXPOSURE_MB = 2048 * 2048 * 2 / 1e6
STARS = (8_000, 24_000)  # of the denser fields; a field of the night has 2,000
WHOLE = "60 exposures, 2 workers"
TOLD = "the same, SkyBoT answers"


class Run:
    """The rooms of a run, and its figures as they come in."""

    def __init__(self, figures: Figures, *, rooms: Path, scratch: Path, quick: bool = False) -> None:
        self.figures = figures
        self.rooms = rooms
        self.scratch = scratch
        self.quick = quick  # without the largest cases
        self._commands: dict[Path, dict[str, overhead.Commands]] = {}  # by night

    def table(self, title: str, note: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """Keep a table, and print it."""
        self.figures.tables.append(Table(title=title, note=note, columns=columns, rows=tuple(rows)))
        print(f"\n{title}", *("  ".join(f"{cell:<28}" for cell in row) for row in rows), sep="\n", flush=True)

    def night(self) -> Path:
        """12 fields of 5 exposures of 2048 x 2048 px."""
        return self._painted("night", overhead.paint)

    def fields(self, count: int) -> Path:
        """The first fields of the night, as a folder of their own."""
        night, part = self.night(), self.scratch / f"fields{count}"
        if not part.is_dir():
            part.mkdir()
            names = [f"*_F{field:02}_*.fits" for field in range(1, count + 1)]
            for path in (night / "refcat.cat", *(path for name in names for path in night.glob(name))):
                shutil.copyfile(path, part / path.name)
        return part

    def dense(self, stars: int) -> Path:
        """One field of 5 exposures with so many stars."""
        options = SkyOptions(seed=61, size_px=(2048, 2048), stars=stars)
        return self._painted(f"stars{stars}", lambda folder: paint_night(folder, options).directory)

    def _painted(self, name: str, paint: Callable[[Path], Path]) -> Path:
        folder = self.rooms / name
        if not folder.is_dir():
            half = folder.with_name(f"{name}.half")
            shutil.rmtree(half, ignore_errors=True)
            paint(half).rename(folder)
        return folder

    def replay(self, night: Path, *, workers: int, flags: tuple[str, ...] = FLAGS) -> Replay:
        """Replay a night into an empty target."""
        room = Path(tempfile.mkdtemp(dir=self.scratch))
        done = replay(night, room / "out", workers=workers, flags=flags)
        shutil.rmtree(room)
        return done

    def bare(self, night: Path, *, workers: int) -> dict[str, Took]:
        """Times of the bare processes of a night, by program."""
        if night not in self._commands:
            room = Path(tempfile.mkdtemp(dir=self.scratch))
            self._commands[night] = overhead.record(night, room, workers, FLAGS)
        taken = {}
        for program, commands in self._commands[night].items():
            again = Path(tempfile.mkdtemp(dir=self.scratch))
            watch = Watch()
            wall = overhead.rerun(commands, again / program, workers)
            taken[program] = replace(watch.read(), wall=wall)
            shutil.rmtree(again)
        return taken


def by_stage(run: Run) -> None:
    """Stages against the bare processes on the same files."""
    night = run.fields(2)
    bare = run.bare(night, workers=1)
    taken = stages(night, run.scratch / "stages")
    floor, total = sum(bare.values(), NOTHING), sum(taken.values(), NOTHING)
    n_exposures, n_sequences = len(list(night.glob("*.fits"))), 2
    rows = []
    for name, took in taken.items():
        of, count = ("night", 1) if name in NIGHT else ("sequence", n_sequences)
        if name in EXPOSURE:
            of, count = "exposure", n_exposures
        times = (f"{took.wall / count:.3f} s", f"{took.cpu / count:.3f} s")
        ratio = run.figures.ratios[f"stage: {name}"] = took.cpu / floor.cpu
        rows.append((name, of, *times, f"{ratio:.3f}"))
        program = {"SExtractor": "sextractor", "linking": "scamp"}.get(name)
        if program:
            its = bare[program]
            times = (f"{its.wall / count:.3f} s", f"{its.cpu / count:.3f} s")
            rows.append((f"- {program}, bare", of, *times, f"{its.cpu / floor.cpu:.3f}"))
    for name, took in (("**all stages**", total), ("**all bare processes**", floor)):
        times = (f"{took.wall:.2f} s", f"{took.cpu:.2f} s")
        rows.append((name, f"{n_exposures} exposures", *times, f"{took.cpu / floor.cpu:.3f}"))
    run.figures.ratios["stage: all"] = total.cpu / floor.cpu
    run.table(
        "Stages",
        f"{n_exposures} exposures of 2048 x 2048 px in {n_sequences} fields, one after the other in one "
        "process; the bare processes are those that `ssosd replay` ran on the same files, run again alone.",
        ("stage", "of one", "wall", "processor", "over all bare processes"),
        rows,
    )


def growth(run: Run) -> None:
    """Time and memory with exposures, workers and sources, against the bare processes."""
    cases = [
        ("5 exposures, 2 workers", run.fields(1), 2),
        ("10 exposures, 1 worker", run.fields(2), 1),
        ("10 exposures, 2 workers", run.fields(2), 2),
    ]
    stars = STARS[:1] if run.quick else STARS
    cases += [(f"5 exposures, {count:,} stars, 2 workers", run.dense(count), 2) for count in stars]
    if not run.quick:
        cases += [(WHOLE, run.night(), 2), (TOLD, run.night(), 2)]
    rows, done, ratios = [], {}, run.figures.ratios
    for name, night, workers in cases:
        bare = sum(run.bare(night, workers=workers).values(), NOTHING)
        with overhead.answering(night) if name == TOLD else nullcontext(FLAGS) as flags:
            result = done[name] = run.replay(night, workers=workers, flags=flags)
        took = result.took
        ratios[f"over bare: {name}"] = took.cpu / bare.cpu
        times = (f"{took.wall:.1f} s", f"{bare.wall:.1f} s", f"{took.wall / bare.wall:.2f}")
        memory = (f"{result.driver_mb:.0f} MB", f"{result.largest_mb:.0f} MB")
        rows.append((name, *times, f"{took.cpu / bare.cpu:.2f}", *memory))
    few, one, two = (done[name] for name, _, _ in cases[:3])
    ratios["wall: 2 workers over 1, 10 exposures"] = two.took.wall / one.took.wall
    ratios["processor: an exposure of 10 over one of 5"] = two.took.cpu / few.took.cpu / 2.0
    ratios["memory: driver over an exposure's pixels"] = two.driver_mb / EXPOSURE_MB
    ratios["memory: largest process over an exposure's pixels"] = two.largest_mb / EXPOSURE_MB
    if (whole := done.get(WHOLE)) is not None:
        ratios["processor: an exposure of 60 over one of 10"] = whole.took.cpu / two.took.cpu / 6.0
        ratios["memory: driver, 60 over 10 exposures"] = whole.driver_mb / two.driver_mb
    run.table(
        "Growth with exposures, workers and sources",
        "`ssosd replay` into an empty target, beside the very processes of SExtractor and SCAMP that it ran, "
        "run again bare, as many at a time. Fields have 5 exposures of 2048 x 2048 px and 2,000 stars where "
        "nothing else is said. No service is asked but in the last row: a stand-in of SkyBoT knows 9 of "
        "10 movers there. Memory is the peak of the driver, and of the largest process of all.",
        ("", "replay", "bare processes", "ratio", "ratio of processor times", "driver", "largest process"),
        rows,
    )


def beside_the_seed(run: Run) -> None:
    """From the last exposure to the draft, from nothing, and the seed on the same files."""
    room = run.scratch / "lastframe"
    fields, reference = lastframe.exposures(run.rooms)
    parameters = {**lastframe.PARAMETERS, "ASTREF_CATALOG": str(reference)}
    five = fields[lastframe.FIELDS[1]]
    times = lastframe.measure(room, fields, parameters | {"SETTLE_TIME": "0"})
    own = lastframe.replayed(room, five, parameters)
    program = seed(run.rooms)
    rows = [(name, f"{times[end] - times[begin]:.2f} s") for name, begin, end in lastframe.STAGES]
    rows.append(("**last file closed to draft on disk**", f"**{times['draft']:.2f} s**"))
    rows.append(("`ssosd replay` of the five from nothing", f"{own:.1f} s"))
    run.figures.ratios["last exposure to draft over replay"] = times["draft"] / own
    if program is not None:
        its = lastframe.seed(room, five, reference, program)
        rows.append(("the seed (ssos) on the five", f"{its:.1f} s"))
        run.figures.ratios["over the seed: replay of 5 exposures"] = own / its
        run.figures.ratios["over the seed: last exposure to draft"] = times["draft"] / its
    run.table(
        "End to end, beside the seed",
        "Five exposures; a warm daemon gets the last of them. SETTLE_TIME (5 s by default) is not counted.",
        ("stage of the last exposure", "time"),
        rows,
    )


def seed(rooms: Path) -> Path | None:
    """The seed's program, installed where it is not yet; None, with a word, where that cannot be done."""
    room = rooms / "seed"
    program = room / "bin" / "ssos"
    if not program.is_file():
        installed = (
            [sys.executable, "-m", "venv", room],
            [room / "bin" / "python", "-m", "pip", "install", "--quiet", *SEED],
        )
        for words in installed:
            done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False)
            if done.returncode != 0:
                print(f"without the seed, it cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
                return None
    return program


def pieces(run: Run) -> None:
    """What is measured alone on tables and pictures that are made up."""
    usual = sum(seconds for _, seconds, _ in chain.measure(chain.table(movers=0.02), chain.SETTINGS))
    worst = sum(seconds for _, seconds, _ in chain.measure(chain.table(movers=1.0), chain.LENIENT))
    ways = cutouts.ways(run.scratch / "cutouts", candidates=100, frames=5, side=2048, sample=10)
    rows = [
        ("filter chain, 200,000 detections, 2 % movers", f"{1e3 * usual:.0f} ms", ""),
        ("filter chain, 200,000 detections, nothing is rejected", f"{1e3 * worst:.0f} ms", ""),
    ]
    rows += [(f"500 cutouts: {w}", f"{s:.1f} s", f"{s / ways[cutouts.SEEDS]:.3f}") for w, s in ways.items()]
    run.figures.ratios["chain: nothing rejected over usual"] = worst / usual
    for way in cutouts.OURS:
        run.figures.ratios[f"cutouts over the seed's way: {way}"] = ways[way] / ways[cutouts.SEEDS]
    run.table(
        "Filter chain and cutouts alone",
        "Best of 3 of the chain (`benchmarks/chain.py` shows its steps); cutouts of 256 px from five frames "
        "of 2048 x 2048 px, the ways of SWarp from a sample of 10 (`benchmarks/cutouts.py`: larger frames).",
        ("", "time", "of the seed's way"),
        rows,
    )


PARTS = {"stages": by_stage, "growth": growth, "seed": beside_the_seed, "pieces": pieces}


def machine() -> str:
    """Cores, memory, versions."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = [astromatic.find(program) for program in astromatic.PROGRAMS]
    programs = ", ".join(f"{binary.program} {binary.version}" for binary in versions)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {gigabytes:.0f} GB, "
        f"Python {platform.python_version()}, {programs}"
    )


def main() -> int:
    """Measure, then write or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compare", action="store_true", help="with docs/benchmarks.json; writes nothing")
    parser.add_argument("--rooms", type=Path, default=ROOT / ".bench", help="folder of what is kept")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts; writes nothing")
    parser.add_argument("--quick", action="store_true", help="without 60 exposures and 24,000 stars")
    given = parser.parse_args()
    given.rooms.mkdir(exist_ok=True)
    begun, load = time.monotonic(), os.getloadavg()[0]
    figures = Figures(
        date=f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC",
        command="benchmarks/run.py --quick" if given.quick else "make bench",
        machine=machine(),
        load="",
    )
    with tempfile.TemporaryDirectory(prefix="ssosd-bench-") as scratch:
        run = Run(figures, rooms=given.rooms.absolute(), scratch=Path(scratch), quick=given.quick)
        for part in given.only:
            PARTS[part](run)
    figures.load = f"{load:.1f} to {os.getloadavg()[0]:.1f}"
    figures.minutes = (time.monotonic() - begun) / 60.0
    if given.compare:
        then = Figures.load_from(KEPT)
        print(f"\nthen: {then.date}, load {then.load}\n{comparison(figures.ratios, then.ratios)}")
        return 1 if worse(figures.ratios, then.ratios) else 0
    if set(given.only) == set(PARTS):
        figures.save(KEPT)
        figures.put_into(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
