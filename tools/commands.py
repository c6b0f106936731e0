"""Write docs/commands.md from the command line itself: `python tools/commands.py`. A test compares."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from ssosd.cli import main
from ssosd.config.flags import ParameterOption

DOCS = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
_HEAD = """# Commands

<!-- written by `python tools/commands.py` from the command line itself; a test compares -->

`ssosd COMMAND --help` prints the same. A command that works takes every parameter as a flag of its name
(`--PM_UP 150`); parameters are described in [parameters.md](parameters.md). A problem is one line on stderr,
with its next step, and an exit code that is not 0: 2 for a mistake in the set-up or the command line, 1
otherwise. `ssosd status` has [exit codes of its own](monitoring.md#exit-code). The order in which they are
used is in [guide.md](guide.md).
"""


def reference() -> str:
    """Every command with its arguments and options, in alphabetical order."""
    context = click.Context(
        main, info_name="ssosd", **main.context_settings
    )  # a command keeps its help option
    parts = [_HEAD, _options(main)]
    for name in sorted(main.list_commands(context)):
        command = main.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(piece for piece in command.collect_usage_pieces(inner) if piece != "[OPTIONS]")
        text = inspect.cleandoc(command.help or "")
        parts.append(
            f"## ssosd {name}\n\n```\nssosd {name} [OPTIONS] {usage}".rstrip() + f"\n```\n\n{text}\n"
        )
        parts.append(_options(command))
    return "\n".join(part for part in parts if part)


def _options(command: click.Command) -> str:
    """A table of a command's own options, and a word on the parameters if it takes them."""
    own = [p for p in command.params if isinstance(p, click.Option) and not isinstance(p, ParameterOption)]
    rows = [
        f"| {', '.join(f'`{flag}`' for flag in option.opts)}{_metavar(option)} | {_meaning(option)} |"
        for option in own
        if not option.hidden
    ]
    table = "\n".join(["| option | meaning |", "|---|---|", *rows, ""]) if rows else ""
    if any(isinstance(p, ParameterOption) for p in command.params):
        table += "\nAnd a flag for every parameter.\n"
    return table


def _metavar(option: click.Option) -> str:
    if option.is_flag:
        return ""
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    listed = " \\| ".join(choices)
    return f" {option.metavar or listed or option.type.name.upper()}"


def _meaning(option: click.Option) -> str:
    text = " ".join((option.help or "").split())
    shown = option.show_default and option.default is not None and not option.is_flag
    return f"{text}  [default: {option.default}]" if shown else text


if __name__ == "__main__":
    DOCS.write_text(reference(), encoding="utf-8")
