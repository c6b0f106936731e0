"""The command line: one thin command per verb. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ssosd import __version__
from ssosd.config import ParameterCommand, add_parameter_flags, load_config
from ssosd.errors import Misconfigured
from ssosd.options import ErrorsInOneLine, of_a_run, of_results

if TYPE_CHECKING:
    from ssosd.web.serve import Served


@click.group(
    cls=ErrorsInOneLine, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-v", "--version", prog_name="ssosd")
@click.option("-d", "--default", "copy_default", is_flag=True, help="The same as `ssosd init`.")
@click.option(
    "--mpc",
    "table",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="Write an 80-column draft of a candidates table, the seed's too, beside it.",
)
@click.option("--code", default="500", metavar="CODE", help="Observatory code for --mpc.")
@click.pass_context
def main(ctx: click.Context, *, copy_default: bool, table: Path | None, code: str) -> None:
    """Find Solar System objects in telescope exposures."""
    if copy_default:
        ctx.invoke(init, folder=Path())
    elif table is not None:
        from ssosd.seedcsv import draft_of_csv

        path, draft = draft_of_csv(table, code=code)
        for problem in draft.problems:
            click.echo(f"note  {problem}", err=True)
        click.echo(f"{draft.n_observations} observations  {path}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Copy default.ssos and the set-up files of the binaries into FOLDER; never overwrites."""
    from ssosd import setup_files

    done = setup_files.init(folder)
    for verb, paths in (("copied", done.copied), ("kept", done.kept)):
        for path in paths:
            click.echo(f"{verb:<8}{path}")


@main.command(cls=ParameterCommand)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@of_a_run
@click.option("--night", metavar="YYYY-MM-DD", help="Only this night (date of the local evening).")
@click.option("--field", "field_name", metavar="FIELD", help="Only this field.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    help="Exposures and sequences worked on at once.  [default: WORKERS]",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Work on a Dask cluster: tcp://HOST:PORT, a scheduler file, or slurm:FILE. See docs/cluster.md.",
)
@add_parameter_flags
def replay(
    paths: tuple[Path, ...],
    *,
    config_path: Path | None,
    target: Path,
    log: str,
    quiet: bool,
    night: str | None,
    field_name: str | None,
    jobs: int | None,
    dask: str | None,
    overrides: Mapping[str, str],
) -> None:
    """Take archived exposures from PATHs to candidates and drafts, whole nights at a time.

    Interrupted or repeated, it does only what is missing or has changed.
    """
    from functools import partial

    from rich.console import Console

    from ssosd.console import show_night, show_replay, show_sequence, start_log
    from ssosd.crew import gather
    from ssosd.lock import TargetLock
    from ssosd.replay import data_folders, stoppable
    from ssosd.replay import replay as run_replay
    from ssosd.station import Station
    from ssosd.store import STORE_NAME, Store, utc_now

    config = load_config(config_path, overrides=overrides, cwd=Path.cwd())
    station = Station.open(config, target)
    console = Console(quiet=quiet)
    for note in config.notes:
        console.print(f"[yellow]note[/yellow] {note}", highlight=False)
    with (
        stoppable(),
        TargetLock(station.target, purpose="replay", now=utc_now()),
        Store(station.target / STORE_NAME) as store,
    ):
        start_log(station.target, level=log.upper(), started=utc_now())
        run = store.begin_run(
            command=" ".join(sys.argv[1:]),
            parameters=config.as_text(),
            versions=station.versions,
            folders=data_folders(paths),
        )
        done = run_replay(
            paths,
            station=station,
            store=store,
            console=console,
            night=night,
            field_name=field_name,
            crew=partial(gather, station=station, size=jobs, dask=dask),
            on_sequence=lambda linked: show_sequence(linked, console),
            on_night=lambda name, candidates: show_night(name, candidates, console),
        )
        store.end_run(run)
    show_replay(done, target=station.target, console=console)
    if done.n_done == 0:
        reasons = "; ".join(reason for reason, _ in done.why_parked.most_common(3))
        click.echo(f"ssosd: no sequence could be linked: {reasons}", err=True)
        sys.exit(1)


@main.command(cls=ParameterCommand)
@click.argument("folder", type=click.Path(path_type=Path))
@of_a_run
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the log on stderr is written.",
)
@add_parameter_flags
def run(
    folder: Path,
    *,
    config_path: Path | None,
    target: Path,
    log: str,
    quiet: bool,
    log_format: Literal["text", "json"],
    overrides: Mapping[str, str],
) -> None:
    """Watch FOLDER and work on what arrives, night after night, until stopped.

    SIGTERM and SIGINT stop it, SIGHUP reads the configuration again. However it ends, the next start goes on
    where it stopped.
    """
    from ssosd.logs import start_logging

    start_logging(level="ERROR" if quiet else log.upper(), format=log_format)
    from ssosd.nightwatch import watch
    from ssosd.station import Station

    folder, target = Path.cwd() / folder, Path.cwd() / target
    cwd = Path.cwd()

    def load_station() -> Station:
        config = load_config(config_path, overrides=overrides, cwd=cwd)
        for note in config.notes:
            logging.getLogger("ssosd").warning("%s", note)
        return Station.open(config, target)

    left = watch(folder, load_station=load_station, command=" ".join(sys.argv[1:]))
    if left:  # workers that are still busy would keep the process
        logging.shutdown()
        os._exit(0)


@main.command()
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@click.option("--reason", metavar="TEXT", help="Everything whose reason contains this text.")
@of_results
def retry(subjects: tuple[str, ...], *, everything: bool, reason: str | None, target: Path) -> None:
    """Take parked files, exposures and sequences up again, with all their tries.

    SUBJECT is a file's path or name, a sequence as NIGHT/FIELD, or a field. The daemon sees it at once when
    it runs, else at its next start; a replay tries everything again anyway.
    """
    from ssosd.errors import BadInput
    from ssosd.store import STORE_NAME, Store

    if not (subjects or everything or reason):
        raise click.UsageError("name what is to be tried again, or give --all or --reason TEXT")
    path = target / STORE_NAME
    if not path.is_file():
        raise Misconfigured(f"{path}: no store here", next_step="give the target folder with -t")
    with Store(path) as store:
        chosen, unknown = store.choose_parked(subjects, reason=reason, everything=everything)
        store.take_up_again(chosen)
    for row in chosen:
        click.echo(f"{row.kind:<10}{row.subject}")
    if unknown:
        raise BadInput(f"{', '.join(unknown)}: not parked", next_step="`ssosd status` lists what is")
    if not chosen:
        click.echo("nothing is parked" if everything else "nothing is parked for such a reason")


@main.command(cls=ParameterCommand)
@of_a_run
@add_parameter_flags
def doctor(
    *, config_path: Path | None, target: Path, log: str, quiet: bool, overrides: Mapping[str, str]
) -> None:
    """Check binaries, set-up files, folders, reference catalogue and services; exit code 1 when one fails."""
    from rich.console import Console

    from ssosd.doctor import examine, exit_code, render_findings

    del log
    config = load_config(config_path, overrides=overrides, cwd=Path.cwd(), files_must_exist=False)
    findings = examine(config=config, target=target)
    render_findings(findings, Console(quiet=quiet))
    sys.exit(exit_code(findings))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("demo-night"))
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another night.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def demo(folder: Path, *, seed: int, quiet: bool) -> None:
    """Paint a small night with asteroids of known truth into FOLDER, replay it, compare."""
    from rich.console import Console

    from ssosd.console import show_night, show_replay, show_sequence
    from ssosd.demo import run_demo

    console = Console(quiet=quiet)
    code = run_demo(
        folder,
        seed=seed,
        console=console,
        on_sequence=lambda linked: show_sequence(linked, console),
        on_night=lambda name, candidates: show_night(name, candidates, console),
        on_end=lambda done, target: show_replay(done, target=target, console=console),
    )
    sys.exit(code)


@main.command()
@of_results
@click.option(
    "--night",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Another night (date of its local evening).  [default: the latest with exposures]",
)
@click.option("--watch", is_flag=True, help="Redraw every two seconds until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; its keys are in docs/monitoring.md.")
@click.option("--web", is_flag=True, help="Serve a read-only page of it on this machine until Ctrl-C.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="With --web.  [default: 8731, or any when that is taken]"
)
def status(
    *, target: Path, night: datetime | None, watch: bool, as_json: bool, web: bool, port: int | None
) -> None:
    """Tonight at a glance, and whether the daemon is well; exit code 0 when all is fine.

    1: something is parked or an error stands, 2: the daemon does not run, 3: no store here.
    """
    import json
    import time

    from ssosd.status import Status, read_status, render_status, watch_status

    if web:
        from ssosd.web.opening import show_live

        show_live(target, host="127.0.0.1", port=port, say=_say_where)
        return

    def read() -> Status:
        return read_status(target, night=f"{night:%Y-%m-%d}" if night else None, now_s=time.time())

    def show(found: Status) -> str:
        return json.dumps(found, indent=1) + "\n" if as_json else render_status(found, colour=colour)

    colour = sys.stdout.isatty()
    if watch:
        sys.exit(watch_status(read, show=show, write=lambda text: click.echo(text, nl=False)))
    found = read()
    click.echo(show(found), nl=False)
    sys.exit(found["exit_code"])


@main.command("inspect")
@click.argument("what", required=False, metavar="[NIGHT|PATH]")
@of_results
@click.option("--person", metavar="NAME", help="Who gives the verdicts.  [default: your login name]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of this machine to serve at.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to serve at.  [default: 8731, or any when that is taken]",
)
def inspect_(*, what: str | None, target: Path, person: str | None, host: str, port: int | None) -> None:
    """Look at blinking cutouts in the browser and give verdicts by keys, until Ctrl-C.

    NIGHT|PATH is a night of the target, by default the latest with candidates; or a target, a night's folder,
    or any table of candidates with its cutouts beside it, the seed's too. Verdicts are kept at once; the
    night's candidates.csv and drafts follow. Only who has the printed address can open it; several may.
    """
    from ssosd.web.opening import find_meant, inspect

    inspect(find_meant(what, target), person=person, host=host, port=port, say=_say_where)


def _say_where(served: Served) -> None:
    """Print the address, and how to reach it from home."""
    from ssosd.web.opening import tunnel

    click.echo(served.url)
    command = tunnel(served)
    if command:
        click.echo(f"from home   {command}   and open the same address there", err=True)
    click.echo("Ctrl-C ends it", err=True)


@main.command()
@click.argument("night", required=False, type=click.DateTime(formats=["%Y-%m-%d"]), metavar="[NIGHT]")
@of_results
@click.option("--text", "as_text", is_flag=True, help="Print the night's summary as text, too.")
def report(night: datetime | None, *, target: Path, as_text: bool) -> None:
    """Write the files of NIGHT (date of its local evening; the latest without) again, its report too.

    While the daemon runs it writes them itself, within seconds.
    """
    from ssosd.rewrite import rewrite_night

    done = rewrite_night(target, night=f"{night:%Y-%m-%d}" if night else None)
    click.echo(f"{'report' if done.written else 'left to the daemon'}  {done.page}")
    if as_text and done.written:
        click.echo(done.page.with_name("summary.txt").read_text(encoding="utf-8"), nl=False)


@main.command()
@click.argument("night", type=click.DateTime(formats=["%Y-%m-%d"]), metavar="NIGHT")
@of_results
@click.option(
    "--sent",
    "draft",
    type=click.Choice(["neo", "unknown", "known", "unchecked"]),
    help="Record that this draft was sent: the linter then knows its positions.",
)
def mpc(night: datetime, *, target: Path, draft: str | None) -> None:
    """Write the drafts of NIGHT again, after new verdicts say, and print what is to be known of them.

    ssosd itself never sends a draft.
    """
    from ssosd.rewrite import rewrite_night
    from ssosd.sent import record_sent

    wanted = f"{night:%Y-%m-%d}"
    if draft:
        count = record_sent(target, night=wanted, draft=draft)
        click.echo(f"{count} positions of {wanted} {draft} recorded as sent")
        return
    done = rewrite_night(target, night=wanted)
    if not done.written:
        click.echo("left to the daemon, which writes them within seconds")
        return
    click.echo((done.page.parent / "drafts" / "README.txt").read_text(encoding="utf-8"), nl=False)


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@of_results
def send(files: tuple[Path, ...], *, target: Path) -> None:
    """Send each FILE (VOTable, FITS, DS9 regions) to the TOPCAT, Aladin and DS9 that run here, over SAMP.

    Without any, the candidates of the latest night.
    """
    from ssosd.send import latest_candidates, send_files

    for sent in send_files(files or [latest_candidates(target)]):
        click.echo(f"{sent.path.name}  to {', '.join(sent.to)}")


@main.command()
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON; its keys are in docs/monitoring.md.")
def inject(night: datetime, *, target: Path, count: int, mag: str, rate: str | None, as_json: bool) -> None:
    """Measure how complete NIGHT (date of its local evening) was, with synthetic movers in its exposures.

    They are painted into copies, which are extracted and linked with the parameters of the last run. Nothing
    in the target changes, and a daemon may be at work. INJECT puts the same into every night's summary.
    """
    import json

    from ssosd.injection import inject_night
    from ssosd.reports.summary_text import completeness_lines

    curves = inject_night(
        target,
        night=f"{night:%Y-%m-%d}",
        texts={"INJECT": str(count), "INJECT_MAG": mag} | ({} if rate is None else {"INJECT_RATE": rate}),
        say=lambda line: click.echo(line, err=as_json),
    )
    if as_json:
        click.echo(json.dumps(curves, indent=1))
    for curve in () if as_json else curves:
        click.echo("\n".join(["", *completeness_lines(curve)]))
    if not curves:
        sys.exit(1)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def lint(files: tuple[Path, ...], *, quiet: bool) -> None:
    """Check the draft in each FILE (80-column, ADES PSV or XML) by the MPC's rules; exit code 1 on errors.

    Each problem names its row, its column and the rule.
    """
    from rich.console import Console

    from ssosd.reports.lint import has_errors, lint_file
    from ssosd.reports.lint_render import render_problems

    console = Console(quiet=quiet)
    failed = False
    for path in files:
        problems = lint_file(path)
        console.print(render_problems(problems, name=path.name))
        failed = failed or has_errors(problems)
    sys.exit(1 if failed else 0)


@main.command("install-service")
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-t", "--target", type=click.Path(path_type=Path), required=True, help="Folder for all results."
)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file.  [default: default.ssos here, else that in the target]",
)
@click.option(
    "--user", default="ssosd", show_default=True, help="Who the service runs as; made when missing."
)
@click.option(
    "--executable",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The command ssosd.  [default: the one that is running]",
)
@click.option(
    "--root", type=click.Path(path_type=Path), default=Path("/"), help="Write below this folder instead of /."
)
@click.option("--dry-run", "dry", is_flag=True, help="Print the files instead of writing them.")
def install_service_(
    *,
    data: Path,
    target: Path,
    config_path: Path | None,
    user: str,
    executable: Path | None,
    root: Path,
    dry: bool,
) -> None:
    """Write the systemd service that watches DATA, for this machine's paths, and say what to type next."""
    from ssosd.config import DEFAULT_NAME
    from ssosd.service import (
        dry_run,
        find_executable,
        install_service,
        next_commands,
        service_files,
        software_folders,
    )

    if config_path is None and Path(DEFAULT_NAME).is_file():
        config_path = Path(DEFAULT_NAME)
    config = load_config(config_path, overrides={}, cwd=Path.cwd())
    files = service_files(
        target=target,
        data=data,
        config=config_path,
        user=user,
        executable=executable or find_executable(),
        readable=[*software_folders(), *(value for value in config.values() if isinstance(value, Path))],
        root=root,
    )
    if dry:
        click.echo(dry_run(files))
        return
    for path in install_service(files):
        click.echo(f"written  {path}")
    click.echo("Now, as root:")
    for command in next_commands(files):
        click.echo(f"  {command}")


if __name__ == "__main__":
    main()
