"""The command line: one thin command per verb. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import atexit
import gc
from pathlib import Path

import click

from ssosd import __version__
from ssosd.cli import morning, night, setup
from ssosd.cli.options import ErrorsInOneLine
from ssosd.plumbing.text import counted

_FIRST_STEPS = (
    "To begin with: `ssosd demo` shows a night; `ssosd init`, `ssosd doctor` and `ssosd replay PATH -t OUT` "
    "are the first steps with exposures of your own. docs/guide.md leads through them, docs/questions.md has "
    "what to do when something is wrong."
)


@click.group(
    cls=ErrorsInOneLine,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_FIRST_STEPS,
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
    atexit.register(gc.freeze)  # at the end no one looks for garbage in all that was imported: half a second
    if copy_default:
        ctx.invoke(setup.init, folder=Path())
    elif table is not None:
        from ssosd.afterwards.seedcsv import draft_of_csv

        path, draft = draft_of_csv(table, code=code)
        for problem in draft.problems:
            click.echo(f"note  {problem}", err=True)
        click.echo(f"{counted(draft.n_observations, 'observation')}  {path}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _verb in (
    *(setup.init, setup.doctor, setup.demo, setup.install_service_),
    *(night.replay, night.run, night.status, night.retry),
    *(morning.inspect_, morning.report, morning.mpc, morning.send, morning.inject, morning.lint),
):
    main.add_command(_verb)
