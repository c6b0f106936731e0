"""What a replay tells a person: on the console, and in the log of the run."""

from __future__ import annotations

import logging
import math
from datetime import datetime
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from ssosd.errors import without_subject
from ssosd.pipeline import Linked
from ssosd.plumbing.text import counted
from ssosd.replay import Replayed
from ssosd.reports.tables import render_funnel
from ssosd.work import Identified

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_NIGHTS_NAMED = 3  # at the end of a replay
_ANY_WIDTH = 10_000  # columns


def start_log(target: Path, *, level: str, started: datetime) -> Path:
    """Begin the log file of this run under ``TARGET/logs``; returns its path."""
    folder = target / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"ssosd_{started:%Y%m%d%H%M%S}.log"
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("ssosd")
    for former in list(root.handlers):
        root.removeHandler(former)
        former.close()
    root.addHandler(handler)
    root.setLevel(level if level in _LEVELS else "INFO")
    return path


def show_sequence(linked: Linked, console: Console) -> None:
    """One sequence as it ends: the seed's funnel and what is to be known of it, or why it is parked."""
    log = logging.getLogger("ssosd")
    subject = f"{linked.sequence.night} {linked.sequence.field}"
    if linked.error is not None:
        why = without_subject(str(linked.error), f"{linked.sequence.night}/{linked.sequence.field}")
        console.print(f"[bold]{subject}[/bold]  [red]parked:[/red] {escape(why)}", highlight=False)
        log.error("%s parked: %s", subject, why)
        return
    if linked.identified is not None:
        console.print(f"[bold]{subject}[/bold]  compared with the known objects again", highlight=False)
        _show_known(linked.identified, console)
        log.info("%s compared with the known objects again", subject)
        return
    if linked.skipped or linked.result is None:
        console.print(
            f"[bold]{subject}[/bold]  [dim]done before with the same settings[/dim]", highlight=False
        )
        log.info("%s done before with the same settings", subject)
        return
    result = linked.result
    candidates = counted(result.candidates["CANDIDATE"].nunique(), "candidate")
    console.print(
        f"[bold]{subject}[/bold]  {counted(len(result.catalog_numbers), 'exposure')}, "
        f"{counted(result.n_sources, 'source')}, [bold]{candidates}[/bold]",
        highlight=False,
    )
    funnel = render_funnel({"sources left": result.funnel})
    funnel.title, funnel.box = None, None
    console.print(Padding(funnel, (0, 0, 0, 4), expand=False))
    for name, count in result.funnel:
        log.info("%s %s %d", subject, name, count)
    for note in result.notes:
        log.warning("%s %s", subject, note)
    for note in result.notes_of_the_field(linked.sequence.exposures):
        console.print(f"    [yellow]note[/yellow] {escape(note)}", highlight=False)
    _show_known(result.identified, console)


def _show_known(identified: Identified, console: Console) -> None:
    """The known objects by magnitude, those that were not recovered, and why nobody was asked."""
    if identified.rows.unchecked_because:
        console.print(
            f"    [yellow]unchecked:[/yellow] {escape(identified.rows.unchecked_because)}", highlight=False
        )
    if no_comets := identified.answers.failures.get("COMETS"):
        console.print(f"    [yellow]asteroids alone:[/yellow] {escape(no_comets)}", highlight=False)
    if not len(identified.expected):
        return
    for line in identified.histogram.splitlines():
        console.print(f"    {line}", highlight=False, markup=False)
    for collision in identified.collisions:
        console.print(f"    [yellow]near[/yellow] {escape(collision)}", highlight=False)


def show_night(night: str, candidates: pd.DataFrame, console: Console) -> None:
    """Print the candidates of a night that has ended."""
    if len(candidates):
        table = candidate_table(night, candidates)
        # a narrow terminal folds a line; the table would cut digits off instead
        table.width = console.measure(table, options=console.options.update(width=_ANY_WIDTH)).maximum
        console.print(table, soft_wrap=True)
    else:
        console.print(f"{night}: no candidates", highlight=False)


def show_replay(done: Replayed, *, target: Path, console: Console) -> None:
    """End of a replay: what was parked, what there is, and where the files are."""
    for taken in done.parked_files:
        console.print(f"[yellow]parked[/yellow] {taken.error}", highlight=False)
    for _, reason in done.parked_exposures:
        console.print(f"[yellow]parked[/yellow] {reason}", highlight=False)
    ignored = f" ({done.n_ignored} of them left out)" if done.n_ignored else ""
    console.print(
        f"{counted(done.n_files, 'file')}{ignored}, {done.n_extracted} extracted, "
        f"{counted(done.n_reused, 'catalogue')} reused, {done.n_done} of {done.n_sequences} sequences done, "
        f"{counted(done.n_candidates, 'candidate')}",
        highlight=False,
        soft_wrap=True,
    )
    written = (("candidates", "candidates.csv"), ("drafts", "drafts/README.txt"), ("report", "report.html"))
    for night in done.nights[-_NIGHTS_NAMED:]:
        for what, name in written:
            if (path := target / night / name).exists():
                console.print(f"{what:<12}{path}", highlight=False, soft_wrap=True)
    if len(done.nights) > _NIGHTS_NAMED:
        console.print(
            f"            and those of {len(done.nights) - _NIGHTS_NAMED} more nights", highlight=False
        )
    console.print(f"store       {target / 'ssosd.db'}", highlight=False, soft_wrap=True)


def candidate_table(night: str, candidates: pd.DataFrame) -> Table:
    """The night's candidates, one line each; magnitudes with the letter of a band are calibrated."""
    table = Table(
        title=f"candidates of the night {night}",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("candidate")
    for name in ("n", "RA", "Dec", '"/h', "PA", "mag", "score"):
        table.add_column(name, justify="right")
    table.add_column("known as")
    grouped = candidates.sort_values(["CANDIDATE", "MID_EXPOSURE_MJD"]).groupby("CANDIDATE", sort=True)
    mags = grouped[["MAG", "MAG_CALIB"]].median()
    first = grouped.first().assign(N=grouped.size(), **mags)
    for candidate, row in first.iterrows():
        known = " ".join(str(x) for x in (row["SKYBOT_NUMBER"], row["SKYBOT_NAME"]) if pd.notna(x) and str(x))
        known += "?" if known and row["MATCH_STATE"] == "possible" else ""
        angle = position_angle(float(row["PMRA"]), float(row["PMDEC"]))
        table.add_row(
            escape(str(candidate)),
            str(row["N"]),
            f"{row['RA']:.5f}",
            f"{row['DEC']:+.5f}",
            f"{row['PM']:.2f}",
            f"{angle:.0f}",
            f"{row['MAG']:.2f}" if pd.isna(row["MAG_CALIB"]) else f"{row['MAG_CALIB']:.2f}{row['BAND']}",
            "" if pd.isna(row["SCORE"]) else f"{row['SCORE']:.1f}",
            escape(known) or str(row["MATCH_STATE"]),
        )
    return table


def position_angle(pm_ra: float, pm_dec: float) -> float:
    """Direction of motion, degrees from north through east, in [0, 360).

    >>> position_angle(1.0, 0.0), position_angle(0.0, -1.0)
    (90.0, 180.0)
    """
    return math.degrees(math.atan2(pm_ra, pm_dec)) % 360.0
