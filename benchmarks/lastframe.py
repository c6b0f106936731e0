"""From the last exposure of a field to the draft: a real daemon, warm, stage by stage.

Run as ``python benchmarks/lastframe.py [--seed PATH/TO/ssos]``. Two fields of five 2048 x 2048 exposures
arrive one by one in the folder that a daemon in a process of its own watches: first one field, so that the
daemon is warm, then the other. The clock starts when the last file is closed. Beside it stand a replay of the
same five exposures from nothing and, with ``--seed``, the seed pipeline on them. The exposures are those of
``sim2`` where that lies beside the checkout, else painted. No service is asked; with ``--answers-after
SECONDS`` a stand-in of SkyBoT, which needs ``sim2``, takes so long for each answer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from astropy.io import fits

from ssosd import astromatic
from ssosd.days import unix_s_of
from ssosd.ingest.exposure import read_exposure
from ssosd.model import HeaderKeywords
from tests.skybot_service import SkybotService, propagate

SIM2 = Path(__file__).resolve().parents[2] / "shared" / "data" / "sim2"
FIELDS = ("F02", "F01")  # the one that warms up, the one that is measured
PARAMETERS = {
    "OBSERVATORY_CODE": "493",
    "CROSSMATCH_SKYBOT": "False",
    "EXPOSURES_PER_FIELD": "5",
    "DRAFT_POLICY": "ALL",
    "AST_CAT": "Gaia3",
}
PAUSE_S = 3.0  # before the last exposure: a camera's take longer, and the daemon is at rest when they come
#: The stages, each with what begins it and what ends it.
STAGES = (
    ("until the file is at rest, SETTLE_TIME excepted", "closed", "admit"),
    ("headers, digest, is it whole", "admit", "extract"),
    ("SExtractor", "extract", "extracted"),
    ("its astrometry", "extracted", "solved"),
    ("handing over", "solved", "linking"),
    ("SCAMP, both linkers", "linking", "filtering"),
    ("filter chain", "filtering", "calibrating"),
    ("photometry", "calibrating", "measuring"),
    ("trails", "measuring", "identifying, looking"),
    ("known objects, NEO scores; recovery, cutouts beside them", "identifying, looking", "linked"),
    ("store, draft", "linked", "draft"),
)


# ---- the daemon's side ----------------------------------------------------------------------------------


def drive(root: Path, target: Path, stamps: Path, parameters: dict[str, str], ago_s: float) -> int:
    """Watch a folder as `ssosd run` does, some time ago, and note when what begins and ends."""
    from ssosd import intake, work
    from ssosd.config import load_config
    from ssosd.daemon import nightwatch
    from ssosd.station import Station
    from ssosd.work import exposure as on_exposure
    from ssosd.work.sequence import link_sequence

    file = stamps.open("a", buffering=1)

    def stamp(name: str, subject: str) -> None:
        file.write(json.dumps([name, subject, time.time()]) + "\n")

    def timed(module: Any, function: str, before: str, after: str, subject: Callable[[Any], str]) -> None:
        real = getattr(module, function)

        @wraps(real)
        def call(first: Any, *arguments: Any, **named: Any) -> Any:
            stamp(before, subject(first))
            try:
                return real(first, *arguments, **named)
            finally:
                stamp(after, subject(first))

        setattr(module, function, call)

    def link(sequence: Any, catalogues: Any, *, station: Any, access: Any) -> Any:
        name = sequence.exposures[-1].name
        result = link_sequence(
            sequence, catalogues, station=station, access=access, progress=lambda said: stamp(said, name)
        )
        stamp("linked", name)
        return result

    def then() -> datetime:
        return datetime.now(tz=UTC) - timedelta(seconds=ago_s)

    nightwatch.utc_now = then
    nightwatch.Store = partial(nightwatch.Store, clock=then)  # type: ignore[misc, assignment]
    timed(intake, "admit", "admit", "admitted", lambda path: path.name)
    timed(on_exposure, "_extract", "extract", "extracted", lambda e: e.name)
    timed(on_exposure, "solve_ahead", "solve", "solved", lambda e: e.name)
    work.try_to_link = link

    def station() -> Station:
        return Station.open(load_config(None, overrides=parameters, cwd=target), target)

    return nightwatch.watch(root, load_station=station, command="lastframe")


@contextmanager
def daemon(folder: Path, parameters: dict[str, str], ago_s: float) -> Iterator[tuple[Path, Path, Path]]:
    """A daemon in a process and a time of its own: its data folder, its target, its stamps."""
    data, target, stamps = folder / "data", folder / "target", folder / "stamps"
    data.mkdir(parents=True)
    target.mkdir()
    stamps.touch()
    words = [sys.executable, __file__, "--drive", data, target, stamps, json.dumps(parameters), f"{ago_s}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            yield data, target, stamps
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


# ---- the sky's side -------------------------------------------------------------------------------------


def exposures(folder: Path) -> tuple[dict[str, list[Path]], Path]:
    """Five exposures of each field, and the reference stars of both."""
    if SIM2.is_dir():
        return {f: sorted(SIM2.glob(f"*_{f}_*.fits.fz")) for f in FIELDS}, SIM2 / "refcat.cat"
    from linker_nights import options

    from ssosd.analysis.painter.night import paint_night

    night = paint_night(folder / "painted", options(31, centers_deg=((34.5, 13.6), (95.0, 38.0))))
    of = {f: night.exposures[night.exposures["field"] == f]["path"] for f in FIELDS}
    return {f: [night.directory / str(path) for path in paths] for f, paths in of.items()}, night.refcat


def slow_service(answers_after_s: float) -> SkybotService:
    """A stand-in of SkyBoT that thinks before it answers."""
    known = pd.read_csv(SIM2 / "known.csv")

    def think(mjd: float) -> pd.DataFrame:
        time.sleep(answers_after_s)
        return propagate(known, mjd)

    return SkybotService(think)


def arrive(path: Path, data: Path) -> float:
    """Write a copy as a camera does, under its own name; the time at which it is closed."""
    shutil.copyfile(path, data / path.name)
    return time.time()


def wait_for(what: Callable[[], Any], *, limit_s: float = 120.0) -> Any:
    """Look until there is something."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit("the daemon does not come to an end; its log is in the folder given by --keep")


def stamped(stamps: Path, subject: str) -> dict[str, float]:
    """When what happened to an exposure first."""
    times: dict[str, float] = {}
    for line in stamps.read_text().splitlines():
        name, about, at = json.loads(line)
        if about == subject:
            times.setdefault(name, at)
    return times


def newest_draft(target: Path) -> float:
    """When a draft was written last, 0 for never."""
    drafts = [p for p in target.glob("*/drafts/*.txt") if p.name != "README.txt"]
    return max((path.stat().st_mtime for path in drafts), default=0.0)


def measure(folder: Path, fields: dict[str, list[Path]], parameters: dict[str, str]) -> dict[str, float]:
    """Times of the stages of the last exposure, s after it was closed."""
    last = read_exposure(fields[FIELDS[1]][-1], keywords=HeaderKeywords(), extensions=None)
    ago_s = time.time() - unix_s_of(last.mjd_mid) - 60.0
    with daemon(folder, parameters, ago_s) as (data, target, stamps):
        for name in FIELDS:
            *first, final = fields[name]
            for path in first:
                arrive(path, data)
                wait_for(lambda path=path: "solved" in stamped(stamps, path.name))
            time.sleep(PAUSE_S)
            closed = arrive(final, data)
            wait_for(lambda final=final: "linked" in stamped(stamps, final.name))
            linked = stamped(stamps, final.name)["linked"]
            draft = wait_for(lambda linked=linked: max(newest_draft(target) - linked, 0.0))
    return {"closed": 0.0, "draft": linked + draft - closed} | {
        k: v - closed for k, v in stamped(stamps, final.name).items()
    }


def replayed(folder: Path, paths: list[Path], parameters: dict[str, str]) -> float:
    """Wall seconds of `ssosd replay` of the exposures into an empty target."""
    words = [Path(sys.executable).with_name("ssosd"), "replay", *paths, "-t", folder / "replay"]
    words += [word for name, value in parameters.items() for word in (f"--{name}", value)]
    started = time.monotonic()
    subprocess.run(words, check=True, capture_output=True)
    return time.monotonic() - started


def seed(folder: Path, paths: list[Path], reference: Path, program: Path) -> float:
    """Wall seconds of the seed's program on the exposures, as it must be called to come to its end."""
    room = folder / "seed"
    data, shims = room / "data", room / "bin"
    for made in (data, shims):
        made.mkdir(parents=True)
    for path in paths:
        image = max(fits.open(path), key=lambda hdu: hdu.header.get("NAXIS", 0))
        header = fits.Header([card for card in image.header.cards if card.keyword != "XTENSION"])
        fits.PrimaryHDU(image.data, header).writeto(data / path.name.removesuffix(".fz"))
    for name, program_here in (("sex", "sextractor"), ("scamp", "scamp"), ("swarp", "swarp")):
        (shims / name).symlink_to(astromatic.find(program_here).path)
    environment = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}"}
    subprocess.run([program, "-d"], cwd=room, env=environment, check=True, capture_output=True)
    with (room / "semp" / "ssos.scamp").open("a") as setup:
        setup.write(f"\nASTREF_CATALOG FILE\nASTREFCAT_NAME {reference}\n")
    words = [program, data, "-t", room / "out", "--ASTREF_CATALOG", "FILE", "--CHECKPLOTS", "False"]
    words += ["--FILTER_BRIGHT_SOURCES", "False", "--CROSSMATCH_SKYBOT", "False", "--EXTRACT_CUTOUTS", "True"]
    started = time.monotonic()
    with (room / "log").open("wb") as log:
        subprocess.run(words, cwd=room, env=environment, check=True, stdout=log, stderr=log)
    return time.monotonic() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=Path, help="the seed's program ssos")
    parser.add_argument("--settle", default="0", help="SETTLE_TIME, seconds")
    parser.add_argument("--keep", type=Path, help="a new folder for all files")
    parser.add_argument("--answers-after", type=float, help="what SkyBoT takes to answer, seconds")
    given = parser.parse_args()
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        folder = given.keep or Path(scratch)
        fields, reference = exposures(folder)
        parameters = {**PARAMETERS, "ASTREF_CATALOG": str(reference)}
        if given.answers_after is not None:
            service = stack.enter_context(slow_service(given.answers_after))
            parameters |= {"CROSSMATCH_SKYBOT": "True", "SKYBOT_URL": service.url}
        times = measure(folder, fields, parameters | {"SETTLE_TIME": given.settle})
        own_s = replayed(folder, fields[FIELDS[1]], parameters)
        seed_s = seed(folder, fields[FIELDS[1]], reference, given.seed) if given.seed else None
    print(f"last of 5: {fields[FIELDS[1]][-1].name}; load {os.getloadavg()[0]:.1f}\n")
    print("| stage | s |\n|---|---|")
    for name, begin, end in STAGES:
        print(f"| {name} | {times[end] - times[begin]:.2f} |")
    print(f"| **last file closed to draft on disk** | **{times['draft']:.2f}** |")
    print(f"| replay of the five from nothing | {own_s:.1f} |")
    if seed_s is not None:
        print(f"| the seed on the five | {seed_s:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        data, target, stamps = map(Path, sys.argv[2:5])
        os._exit(drive(data, target, stamps, json.loads(sys.argv[5]), float(sys.argv[6])))
    main()
