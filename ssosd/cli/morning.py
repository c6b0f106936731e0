"""Verbs of the morning: what a person does with a night's results."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ssosd.cli.options import of_results, say_error, say_where
from ssosd.plumbing.text import counted

_GROUP = click.Choice(["neo", "unknown", "known", "unchecked"])  # of drafts


@click.command("inspect")
@click.argument("what", required=False, metavar="[NIGHT|PATH]")
@of_results
@click.option("--person", metavar="NAME", help="Who gives the verdicts.  [default: your login name]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of this machine to serve at.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to serve at.  [default: 8731, or any when that is taken]",
)
@click.option("--terminal", is_flag=True, help="In this terminal, without a browser.")
def inspect_(
    *, what: str | None, target: Path, person: str | None, host: str, port: int | None, terminal: bool
) -> None:
    """Look at blinking cutouts in the browser and give verdicts by keys, until Ctrl-C.

    NIGHT|PATH is a night of the target, by default the latest with candidates; or a target, a night's folder,
    or any table of candidates with its cutouts beside it, the seed's too. Verdicts are kept at once; the
    night's candidates.csv and drafts follow. Only who has the printed address can open it; several may.
    """
    from ssosd.web.opening import find_meant, inspect, inspect_here

    meant = find_meant(what, target)
    if terminal:
        left = inspect_here(meant, person=person)
        waiting = f"{counted(left, 'candidate', 'have')} no verdict yet"
        click.echo(waiting if left else "every candidate has a verdict")
        return
    inspect(meant, person=person, host=host, port=port, say=say_where)


@click.command()
@click.argument("night", required=False, type=click.DateTime(formats=["%Y-%m-%d"]), metavar="[NIGHT]")
@of_results
@click.option("--text", "as_text", is_flag=True, help="Print the night's summary as text, too.")
def report(night: datetime | None, *, target: Path, as_text: bool) -> None:
    """Write report, tables and drafts of NIGHT again (date of its local evening; default: the latest).

    Nothing is measured or linked anew, and the parameters are those of the last run. While the daemon runs it
    writes them itself, within seconds.
    """
    from ssosd.afterwards.rewrite import rewrite_night

    done = rewrite_night(target, night=f"{night:%Y-%m-%d}" if night else None)
    click.echo(f"{'report' if done.written else 'left to the daemon'}  {done.page}")
    if as_text and done.written:
        click.echo(done.page.with_name("summary.txt").read_text(encoding="utf-8"), nl=False)


@click.command()
@click.argument("night", type=click.DateTime(formats=["%Y-%m-%d"]), metavar="NIGHT")
@of_results
@click.option(
    "--sent",
    "draft",
    type=_GROUP,
    help="Record that this draft was sent: the drafts are written again without its positions.",
)
@click.option(
    "--not-sent",
    "not_sent",
    type=_GROUP,
    help="Take back what was last recorded as sent of this draft.",
)
def mpc(night: datetime, *, target: Path, draft: str | None, not_sent: str | None) -> None:
    """Write the drafts of NIGHT again, as after new verdicts, and print their README.txt.

    It says what is in each draft, what is missing, and the command that test-submits it. The parameters are
    those of the last run. ssosd itself never sends a draft: send it yourself, then record that with --sent.
    """
    from ssosd.afterwards.rewrite import follow_ledger, rewrite_night
    from ssosd.afterwards.sent import record_sent, take_back_sent
    from ssosd.night.typed import typed_here

    wanted = f"{night:%Y-%m-%d}"
    if draft and not_sent:
        raise click.UsageError("either --sent or --not-sent")
    if not_sent:
        count, at = take_back_sent(target, night=wanted, draft=not_sent)
        taken = counted(count, "position")
        click.echo(f"{taken} of {wanted} {not_sent}, recorded as sent at {at}, taken back")
        follow_ledger(target, night=wanted)
        return
    if draft:
        count = record_sent(target, night=wanted, draft=draft)
        click.echo(f"{counted(count, 'position')} of {wanted} {draft} recorded as sent")
        follow_ledger(target, night=wanted)
        return
    done = rewrite_night(target, night=wanted)
    if not done.written:
        click.echo("left to the daemon, which writes them within seconds")
        return
    readme = (done.page.parent / "drafts" / "README.txt").read_text(encoding="utf-8")
    click.echo(typed_here(readme, target=target, night=wanted), nl=False)


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@of_results
def send(files: tuple[Path, ...], *, target: Path) -> None:
    """Send each FILE (VOTable, FITS, DS9 regions) to the TOPCAT, Aladin and DS9 that run here, over SAMP.

    Without a FILE it sends the candidates of the latest night.
    """
    from ssosd.afterwards.send import latest_candidates, send_files

    for sent in send_files(files or [latest_candidates(target)]):
        click.echo(f"{sent.path.name}  to {', '.join(sent.to)}")


@click.command()
@click.argument("night", type=click.DateTime(formats=["%Y-%m-%d"]), metavar="NIGHT")
@of_results
@click.option(
    "--count",
    type=click.IntRange(min=1, max=10000),
    default=100,
    show_default=True,
    help="Synthetic movers in each field.",
)
@click.option("--mag", default="AUTO", metavar="LOW,HIGH", help="Their magnitudes, as INJECT_MAG.")
@click.option("--rate", metavar="LOW,HIGH", help="Their rates, arcsec/h.  [default: INJECT_RATE]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; its keys are in docs/json.md.")
def inject(night: datetime, *, target: Path, count: int, mag: str, rate: str | None, as_json: bool) -> None:
    """Measure how complete NIGHT (date of its local evening) was, with synthetic movers in its exposures.

    They are painted into copies, which are extracted and linked with the parameters of the last run. Nothing
    in the target changes, and a daemon may be at work. INJECT puts the same into every night's summary.
    """
    import json

    from rich.console import Console

    from ssosd.afterwards.injection import inject_night
    from ssosd.reports.summary_text import completeness_lines

    with Console(stderr=True).status(f"{night:%Y-%m-%d}: starting") as status:
        curves = inject_night(
            target,
            night=f"{night:%Y-%m-%d}",
            texts={"INJECT": str(count), "INJECT_MAG": mag} | ({} if rate is None else {"INJECT_RATE": rate}),
            say=lambda line: click.echo(line, err=as_json),
            doing=status.update,
        )
    if as_json:
        click.echo(json.dumps(curves, indent=1))
    for curve in () if as_json else curves:
        click.echo("\n".join(["", *completeness_lines(curve)]))
    if not curves:
        sys.exit(1)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("--every", is_flag=True, help="Print each problem of each line, however many there are.")
def lint(files: tuple[Path, ...], *, quiet: bool, every: bool) -> None:
    """Check the draft in each FILE (80-column, ADES PSV or XML) by the MPC's rules; exit code 1 on errors.

    Each problem names its row, its column and the rule. What is the same in many lines is printed once.
    """
    from rich.console import Console

    from ssosd.errors import BadInput
    from ssosd.reports.lint.draft import has_errors, lint_file
    from ssosd.reports.lint.render import render_problems

    console = Console()
    failed = False
    for path in files:
        try:
            problems = lint_file(path, now=datetime.now(UTC))
        except BadInput as error:
            say_error(error)
            failed = True
            continue
        if quiet:
            problems = tuple(p for p in problems if p.severity == "error")
        if problems or not quiet:
            console.print(render_problems(problems, name=path.name, every=every), highlight=False)
        failed = failed or has_errors(problems)
    sys.exit(1 if failed else 0)
