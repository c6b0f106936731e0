"""What the commands share: how their errors are shown, and options that several have."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ssosd.errors import Misconfigured, SsosdError

if TYPE_CHECKING:
    from ssosd.web.serve import Served

_F = TypeVar("_F", bound=Callable[..., Any])

of_results = click.option(
    "-t",
    "--target",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder of the results.  [default: the working directory]",
)


#: Verbs that write no path down.
_READING_ALONE = ("lint",)


def _refuse_unwritable(text: str) -> None:
    """Paths are kept in the store and in tables, which are of UTF-8: one of other bytes cannot be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode("utf-8", "backslashreplace").decode()
        raise Misconfigured(
            f"{shown}: not UTF-8, as all is that ssosd writes down", next_step="give the folder another name"
        ) from None


def say_error(error: SsosdError) -> None:
    """Print an error as one clear line, and its next step."""
    click.echo(f"ssosd: {error.message}", err=True)
    if error.next_step:
        click.echo(f"       {error.next_step}", err=True)


class ErrorsInOneLine(click.Group):
    """Prints an error of ours as one clear line and its next step, never as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Group.invoke`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("ssosd: stopped; the same command goes on from here", err=True)
            ctx.exit(130)
        except SsosdError as error:
            say_error(error)
            ctx.exit(2 if isinstance(error, Misconfigured) else 1)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Group.parse_args`; a verb that is given as an option, as the seed's were, is named."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            verb = error.option_name.removeprefix("--")
            if verb not in self.commands:
                raise
            said = f"No such option '{error.option_name}'. Did you mean 'ssosd {verb}'?"
            raise click.UsageError(said, ctx=ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group.resolve_command`; whoever gives a path alone, as to the seed, is told the verb."""
        if args[0] not in self.commands and Path(args[0]).exists():
            said = f"No such command '{args[0]}'. Did you mean 'ssosd replay {shlex.quote(args[0])}'?"
            raise click.UsageError(said, ctx=ctx)
        if args[0] not in _READING_ALONE:
            for text in (*args, os.getcwd()):  # noqa: PTH109
                _refuse_unwritable(text)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs with the whole first sentence of each, which click would cut to one line."""
        whole = 10 * formatter.width
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(whole)) for name in self.list_commands(ctx)]
            )


def of_a_run(function: _F) -> _F:
    """Options that every working verb has, the seed's letters among them."""
    for decorator in (
        click.option("-q", "--quiet", is_flag=True, help="Print errors only."),
        click.option(
            "-l",
            "--log",
            default="INFO",
            show_default=True,
            type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
            help="Level of the run's log.",
        ),
        click.option(
            "-t",
            "--target",
            type=click.Path(path_type=Path),
            default=Path(),
            help="Folder for all results.  [default: the working directory]",
        ),
        click.option(
            "-c",
            "--config",
            "config_path",
            type=click.Path(path_type=Path),
            help="Configuration file.  [default: default.ssos here, else built-in values]",
        ),
    ):
        function = decorator(function)
    return function


def say_where(served: Served) -> None:
    """Print the address, and how to reach it from home."""
    from ssosd.web.opening import tunnel

    click.echo(served.url)
    command = tunnel(served)
    if command:
        click.echo(f"from home   {command}   and open the same address there", err=True)
    click.echo("Ctrl-C ends it", err=True)
