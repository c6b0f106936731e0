"""The demo: a small night painted with its truth, carried through the corridor, and what was found of it.

``python -m ssosd.demo FOLDER`` only paints.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ssosd.analysis.painter.night import FAST, MAIN_BELT, NEO, SLOW, PaintedNight, SkyOptions, paint_night
from ssosd.analysis.painter.options import PlacedMover
from ssosd.analysis.truth import Comparison, compare_with_truth
from ssosd.config import load_config
from ssosd.errors import SsosdError
from ssosd.pipeline import Linked
from ssosd.plumbing.files import atomic_write_text
from ssosd.plumbing.lock import TargetLock
from ssosd.replay import Replayed, replay
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store, utc_now

__all__ = [
    "Comparison",
    "DemoNight",
    "compare_with_truth",
    "demo_options",
    "paint_demo_night",
    "render_comparison",
    "run_demo",
]

#: The painted telescope stands at Calar Alto, where 23 h UTC is the middle of a November night.
OBSERVATORY_CODE = "493"
#: One with a coma of twice the seeing, as far away as Saturn, in the first field.
COMET = PlacedMover(
    name="COMET",
    cls="comet",
    east_arcsec=-180.0,
    north_arcsec=140.0,
    rate_arcsec_h=8.0,
    pa_deg=255.0,
    mag=17.0,
    extent_arcsec=5.0,
)
_CONFIGURATION = """\
# Configuration of the painted night. Every parameter that is not here has its default.
ASTREF_CATALOG         "{refcat}"   # reference stars, FITS-LDAC
AST_CAT                Gaia3         # as what the painted stars count
CROSSID_RADIUS         {radius:g}            # arcsec: what a mover of 160 "/h does between two exposures
OBSERVATORY_CODE       {code}           # Calar Alto
CROSSMATCH_SKYBOT      False         # the painted asteroids are in no list, and there may be no network
CHECKPLOTS             False
"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DemoNight:
    """The painted night and where its parts are."""

    directory: Path  # all of it
    raw: Path  # folder of the exposures
    config: Path  # default.ssos of this night
    truth_path: Path  # truth.csv
    painted: PaintedNight

    @property
    def truth(self) -> pd.DataFrame:
        """One row per mover and exposure."""
        return self.painted.truth


def demo_options(*, seed: int) -> SkyOptions:
    """Describe the demo night: two interleaved fields, five exposures each, habits of real telescopes.

    OBJECT is misspelled on some exposures and missing on others, every third file is compressed. One of the
    movers is a slow comet.
    """
    return SkyOptions(
        seed=seed,
        detector_seed=seed,
        centers_deg=((50.0, 18.0), (52.5, 19.5)),
        exposures=5,
        start="2026-11-14T23:00:00",
        cadence_min=9.0,
        size_px=(1024, 1024),
        stars=1200,
        galaxies=400,
        movers=(
            replace(MAIN_BELT, count=11, mag=(16.5, 20.3)),
            replace(SLOW, count=2, rate_arcsec_h=(2.0, 5.0), mag=(17.0, 19.5)),
            replace(NEO, count=2, rate_arcsec_h=(60.0, 110.0), mag=(16.5, 19.0)),
            replace(FAST, count=1, rate_arcsec_h=(300.0, 600.0), mag=(15.5, 17.5)),
        ),
        placed=(COMET,),
        satellites=0.3,
        rotation_error_deg=0.05,
        distortion_px=1.0,
        formats=(".fits", ".fits.fz", ".fits"),
        objects=((1, 2, "f-01"), (1, 4, ""), (2, 3, "F02 "), (2, 5, "Field 2")),
    )


def paint_demo_night(directory: Path, *, seed: int = 1) -> DemoNight:
    """Paint the demo night and write its configuration.

    Parameters
    ----------
    directory : Path
        The exposures go to its folder ``raw``, the configuration to ``default.ssos``.
    seed : int
        Another seed is another night.

    Raises
    ------
    Retriable
        The disk is full.
    Misconfigured
        The directory cannot be written to.
    """
    directory = directory.expanduser().absolute()
    painted = paint_night(directory / "raw", demo_options(seed=seed))
    config = directory / "default.ssos"
    text = _CONFIGURATION.format(refcat="raw/refcat.cat", radius=25.0, code=OBSERVATORY_CODE)
    atomic_write_text(config, text)
    return DemoNight(
        directory=directory,
        raw=painted.directory,
        config=config,
        truth_path=painted.directory / "truth.csv",
        painted=painted,
    )


def run_demo(
    folder: Path,
    *,
    seed: int,
    console: Console,
    on_sequence: Callable[[Linked], None] = lambda _: None,
    on_night: Callable[[str, pd.DataFrame], None] = lambda _night, _candidates: None,
    on_end: Callable[[Replayed, Path], None] = lambda _done, _target: None,
) -> int:
    """Paint the demo night, replay it, and print what was found against the truth and where the files are.

    Parameters
    ----------
    folder : Path
        Gets the exposures (``raw``), the configuration and, as the target of the replay, all results.
    seed : int
        Another seed is another night.
    console : Console
        What a person reads.
    on_sequence, on_night, on_end : callable
        Told of each sequence as it ends, of the night with its candidates, and of the replay and its target
        at the end.

    Returns
    -------
    int
        Exit code: 0 when more than half of the eligible movers were found, 1 when not.
    """
    night = paint_demo_night(folder, seed=seed)
    console.print(
        f"painted {len(night.painted.paths)} exposures in {night.raw}", highlight=False, soft_wrap=True
    )
    config = load_config(night.config, overrides={}, cwd=night.directory)
    station = Station.open(config, night.directory)
    with (
        TargetLock(station.target, purpose="demo", now=utc_now()),
        Store(station.target / STORE_NAME) as store,
    ):
        tables: list[pd.DataFrame] = []

        def keep(name: str, table: pd.DataFrame) -> None:
            tables.append(table)
            on_night(name, table)

        run = store.begin_run(
            command="demo", parameters=config.as_text(), versions=station.versions, folders=[night.raw]
        )
        done = replay(
            [night.raw],
            station=station,
            store=store,
            console=console,
            on_sequence=on_sequence,
            on_night=keep,
        )
        store.end_run(run)
    on_end(done, station.target)
    found = pd.concat([pd.DataFrame(), *tables], ignore_index=True)
    comparison = compare_with_truth(found, night.truth)
    render_comparison(comparison, console=console)
    console.print(f"truth       {night.truth_path}", highlight=False, soft_wrap=True)
    console.print(f"settings    {night.config}", highlight=False, soft_wrap=True)
    console.print(f"look at it  ssosd inspect -t {shlex.quote(str(folder))}", highlight=False, soft_wrap=True)
    return 0 if 2 * comparison.n_found > comparison.n_eligible else 1


def render_comparison(comparison: Comparison, *, console: Console | None = None) -> None:
    """Print what was found of a truth: by population, signal to noise ratio and rate, and what is false."""
    console = console or Console()
    table = Table(title="found of the painted movers", title_justify="left")
    table.add_column("")
    for name in ("eligible", "found", "share"):
        table.add_column(name, justify="right")
    for part, prefix in (
        (comparison.by_class, ""),
        (comparison.by_snr, "SNR "),
        (comparison.by_rate, '"/h '),
    ):
        for key, eligible, found in zip(part.index, part["eligible"], part["found"], strict=True):
            table.add_row(f"{prefix}{key}", f"{eligible}", f"{found}", _share(found, eligible))
        table.add_section()
    n_eligible, n_found = comparison.n_eligible, comparison.n_found
    table.add_row("all", f"{n_eligible}", f"{n_found}", _share(n_found, n_eligible), style="bold")
    console.print(table)
    console.print(
        f"{comparison.n_beyond} more found that are blended, fainter or seldom on the detector; "
        f"{comparison.n_false} of {len(comparison.candidates)} candidates are no mover",
        highlight=False,
    )


def _share(found: int, eligible: int) -> str:
    return f"{found / eligible:.2f}" if eligible else "-"


def main(arguments: list[str] | None = None) -> int:
    """Paint the demo night from the command line."""
    parser = argparse.ArgumentParser(prog="python -m ssosd.demo", description="Paint the demo night.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1, help="another seed is another night (default: 1)")
    given = parser.parse_args(arguments)
    try:
        night = paint_demo_night(given.folder, seed=given.seed)
    except SsosdError as error:
        print(f"ssosd: {error}", file=sys.stderr)
        return 1
    print(f"{len(night.painted.paths)} exposures in {night.raw}")
    print(f"ssosd replay {night.raw} -c {night.config} -t {night.directory / 'out'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
