"""Verbs that set up: files, a first look, the machine, the service."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssosd.cli.options import of_a_run
from ssosd.config import ParameterCommand, add_parameter_flags, load_config

if TYPE_CHECKING:
    pass


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Copy default.ssos and the set-up files of the binaries into FOLDER; never overwrites."""
    from ssosd.setup import semp_files

    done = semp_files.init(folder)
    for verb, paths in (("copied", done.copied), ("kept", done.kept)):
        for path in paths:
            click.echo(f"{verb:<8}{path}")
    click.echo("Now set OBSERVATORY_CODE and the header keywords in default.ssos, and see what is missing:")
    here = folder.absolute() == Path.cwd()
    click.echo("  ssosd doctor" + ("" if here else f" -c {shlex.quote(str(folder / 'default.ssos'))}"))


@click.command(cls=ParameterCommand)
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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("demo-night"))
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another night.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def demo(folder: Path, *, seed: int, quiet: bool) -> None:
    """Paint a small night with asteroids of known truth into FOLDER, replay it, compare."""
    from rich.console import Console

    from ssosd.cli.console import show_night, show_replay, show_sequence
    from ssosd.demo import run_demo

    logging.getLogger("ssosd").addHandler(logging.NullHandler())  # all of it is on the console
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


@click.command("install-service")
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
    from ssosd.setup.service import (
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
        writable=[config["REFCAT"]] if config["REFCAT"] else [],
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
