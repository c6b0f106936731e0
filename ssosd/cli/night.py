"""Verbs of the night: what works through exposures, and what tells how it goes."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import click

from ssosd.cli.options import of_a_run, of_results, say_where
from ssosd.config import ParameterCommand, add_parameter_flags, load_config
from ssosd.plumbing.forkserver import start_fork_server
from ssosd.plumbing.text import there


@click.command(cls=ParameterCommand)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@of_a_run
@click.option(
    "--night",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Only this night (date of its local evening).",
)
@click.option("--field", "field_name", metavar="FIELD", help="Only this field.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    help="Exposures and sequences worked on at once.  [default: WORKERS, else one per core]",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Work on a Dask cluster: tcp://HOST:PORT, a scheduler file, or slurm:FILE. See docs/cluster.md.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, from headers alone; write nothing.")
@add_parameter_flags
def replay(
    paths: tuple[Path, ...],
    *,
    config_path: Path | None,
    target: Path,
    log: str,
    quiet: bool,
    night: datetime | None,
    field_name: str | None,
    jobs: int | None,
    dask: str | None,
    dry_run: bool,
    overrides: Mapping[str, str],
) -> None:
    """Take archived exposures from PATHs to candidates and drafts, whole nights at a time.

    Interrupted or repeated, it does only what is missing or has changed.
    """
    config = load_config(config_path, overrides=overrides, cwd=Path.cwd())
    jobs = jobs or config["WORKERS"] or os.cpu_count() or 1
    if dask is None and jobs > 1:
        start_fork_server("ssosd.crew.worker")  # which imports while this process does

    gc.disable()  # imports leave no garbage: they take a tenth less time
    from rich.console import Console

    from ssosd.cli.console import show_night, show_replay, show_sequence, start_log
    from ssosd.crew import gather
    from ssosd.plumbing.lock import TargetLock
    from ssosd.plumbing.memory import keep_freed_memory
    from ssosd.replay import data_folders, stoppable
    from ssosd.replay import replay as run_replay
    from ssosd.station import Station
    from ssosd.store import STORE_NAME, Store, utc_now

    gc.freeze()
    gc.enable()
    keep_freed_memory()
    console = Console(quiet=quiet)
    wanted = f"{night:%Y-%m-%d}" if night else None
    for note in config.notes:
        console.print(f"[yellow]note[/yellow] {note}", highlight=False)
    if dry_run:
        from ssosd.cli.dryrun import plan_replay

        plan_replay(
            paths,
            station=Station.to_look(config, target),
            console=console,
            jobs=jobs,
            night=wanted,
            field_name=field_name,
        )
        return
    station = Station.open(config, target)
    with (
        _gone_once_stopped(),
        stoppable(),
        TargetLock(station.target, purpose="replay", now=utc_now()),
        Store(station.target / STORE_NAME) as store,
    ):
        start_log(station.target, level=log.upper(), started=utc_now())
        run = store.begin_run(
            command=shlex.join(sys.argv[1:]),
            parameters=config.as_text(),
            versions=station.versions,
            folders=data_folders(paths, known=store.files()),
        )
        done = run_replay(
            paths,
            station=station,
            store=store,
            console=console,
            night=wanted,
            field_name=field_name,
            crew=partial(gather, station=station, size=jobs, dask=dask),
            on_sequence=lambda linked: show_sequence(linked, console),
            on_night=lambda name, candidates: show_night(name, candidates, console),
        )
        store.end_run(run)
    show_replay(done, target=station.target, console=console)
    if done.n_done == 0:
        click.echo(f"ssosd: no sequence could be linked: {done.why_nothing()}", err=True)
        sys.exit(1)


@contextmanager
def _gone_once_stopped() -> Iterator[None]:
    """Have the process end with its last word when it is stopped: threads that are at work would keep it."""
    try:
        yield
    except KeyboardInterrupt:
        click.get_current_context().find_root().call_on_close(partial(os._exit, 130))
        raise


@click.command(cls=ParameterCommand)
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
    from ssosd.plumbing.logs import start_logging

    start_logging(level="ERROR" if quiet else log.upper(), format=log_format)
    from ssosd.daemon.nightwatch import watch
    from ssosd.plumbing.memory import keep_freed_memory
    from ssosd.station import Station

    gc.freeze()
    keep_freed_memory()
    folder, target = Path.cwd() / folder, Path.cwd() / target
    cwd = Path.cwd()

    def load_station() -> Station:
        config = load_config(config_path, overrides=overrides, cwd=cwd)
        for note in config.notes:
            logging.getLogger("ssosd").warning("%s", note)
        return Station.open(config, target)

    left = watch(folder, load_station=load_station, command=shlex.join(sys.argv[1:]))
    if left:  # workers that are still busy would keep the process
        logging.shutdown()
        os._exit(0)


@click.command()
@of_results
@click.option(
    "--night",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Another night (date of its local evening).  [default: the latest with exposures]",
)
@click.option("--watch", is_flag=True, help="Redraw every two seconds until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; its keys are in docs/json.md.")
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

        show_live(target, host="127.0.0.1", port=port, say=say_where)
        return

    def read() -> Status:
        return read_status(target, night=f"{night:%Y-%m-%d}" if night else None, now_s=time.time())

    def show(found: Status) -> str:
        return json.dumps(found, indent=1) + "\n" if as_json else render_status(found, colour=colour)

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if watch:
        sys.exit(watch_status(read, show=show, write=lambda text: click.echo(text, nl=False)))
    found = read()
    click.echo(show(found), nl=False)
    sys.exit(found["exit_code"])


@click.command()
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@click.option("--reason", metavar="TEXT", help="Everything whose reason contains this text.")
@of_results
def retry(subjects: tuple[str, ...], *, everything: bool, reason: str | None, target: Path) -> None:
    """Try parked files, exposures and sequences again, as if for the first time.

    SUBJECT is a file's path or name, a sequence as NIGHT/FIELD, or a field. The daemon sees it at once when
    it runs, else at its next start; a replay tries everything again anyway. Exit code 1 when a SUBJECT is not
    parked, or nothing for such a reason.
    """
    from ssosd.errors import BadInput
    from ssosd.store import STORE_NAME, Store, existing_store

    if not (subjects or everything or reason):
        raise click.UsageError("name what is to be tried again, or give --all or --reason TEXT")
    path = existing_store(target / STORE_NAME)
    with Store(path) as store:
        chosen, unknown = store.choose_parked(subjects, reason=reason, everything=everything)
        store.take_up_again(chosen)
    for row in chosen:
        click.echo(f"{row.kind:<10}{row.subject}")
    listed = f"`ssosd status{there(target)}` lists what is"
    if unknown:
        raise BadInput(f"{', '.join(unknown)}: not parked", next_step=listed)
    if chosen:
        return
    if not everything:
        raise BadInput("nothing is parked for such a reason", next_step=listed)
    click.echo("nothing is parked")
