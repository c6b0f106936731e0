"""A flag for every parameter, for the commands of the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import click

from ssosd.config.parameter import Parameter
from ssosd.config.table import PARAMETERS, WITHOUT_EFFECT, sections
from ssosd.config.values import BadConfiguration

_PREFIX = "parameter_"
#: Short names of flags that are often given.
_SHORT = {"HEADER_MAP": "--map"}


class ParameterOption(click.Option):
    """The flag of one parameter: ``--PM_UP 300``, or ``-PM_UP 300`` as in the seed."""

    def __init__(self, name: str, parameter: Parameter | None) -> None:
        super().__init__(
            [_PREFIX + name.replace("-", "_").lower(), f"--{name}", f"-{name}", *self._short(name)],
            multiple=True,  # so that a flag given twice is seen
            hidden=parameter is None,
            metavar=parameter.kind.metavar if parameter else "TEXT",
            help=f"{parameter.comment} (default {parameter.default})" if parameter else "",
        )
        self.parameter_name = name
        self.section = parameter.section if parameter else ""

    @staticmethod
    def _short(name: str) -> list[str]:
        return [_SHORT[name]] if name in _SHORT else []

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:  # noqa: ARG002 - click's
        """The flag once, with two dashes, and its short name."""
        if self.hidden:
            return None
        also = "".join(f" or {short}" for short in self._short(self.parameter_name))
        return f"--{self.parameter_name} {self.metavar}{also}", self.help or ""


class ParameterCommand(click.Command):
    """A command whose help shows the flags of the parameters under their sections, after its own options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`; what is meant by a wrong flag is looked for without case."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flags = {f.lower(): f for option in self.get_params(ctx) for f in option.opts if f[:2] == "--"}
            given = error.option_name.lower()
            meant = [flags[f] for f in ([given] if given in flags else get_close_matches(given, flags))]
            if not meant:
                raise
            said = f"No such option '{error.option_name}'. Did you mean {' or '.join(map(repr, meant))}?"
            raise click.UsageError(said, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then a block for each section of the table."""
        own: list[tuple[str, str]] = []
        grouped: dict[str, list[tuple[str, str]]] = {section: [] for section in sections()}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                (grouped[option.section] if isinstance(option, ParameterOption) else own).append(record)
        for title, records in {"Options": own, **grouped}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def add_parameter_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command a flag for every parameter; those given arrive as the dict ``overrides``.

    Put it nearest to the function, and ``cls=ParameterCommand`` in the command's decorator for a help in
    sections::

        @cli.command(cls=ParameterCommand)
        @add_parameter_flags
        def replay(overrides: dict[str, str]) -> None: ...

    Raises
    ------
    BadConfiguration
        When the command runs: a flag was given more than once.
    """

    @functools.wraps(command)
    def with_overrides(*args: Any, **kwargs: Any) -> Any:
        given = {option.parameter_name: kwargs.pop(option.name or "") for option in options}
        repeated = [name for name, texts in given.items() if len(texts) > 1]
        if repeated:
            raise BadConfiguration(
                f"--{name}: found {len(given[name])} times, allowed is once" for name in repeated
            )
        overrides = {name: texts[0] for name, texts in given.items() if texts}
        return command(*args, overrides=overrides, **kwargs)

    options = [ParameterOption(name, parameter) for name, parameter in PARAMETERS.items()]
    options += [ParameterOption(name, None) for name in WITHOUT_EFFECT]
    # click collects parameters in reverse, as decorators apply
    inherited: list[click.Parameter] = getattr(command, "__click_params__", [])
    with_overrides.__click_params__ = [*inherited, *reversed(options)]  # type: ignore[attr-defined]
    return with_overrides
