"""What the linter found, for the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ssosd.reports.problem import Problem

_STYLE = {"error": "bold red", "warning": "yellow"}


def verdict(problems: Sequence[Problem]) -> str:
    """The linter's verdict as one sentence.

    >>> verdict([])
    'no problem found'
    >>> verdict([Problem(3, "band", "band", "error", "no"), Problem(4, "", "few", "warning", "two")])
    '1 error, 1 warning'
    """
    if not problems:
        return "no problem found"
    counts = {s: sum(p.severity == s for p in problems) for s in ("error", "warning")}
    return ", ".join(f"{n} {s}{'s' if n > 1 else ''}" for s, n in counts.items() if n)


def problem_lines(problems: Sequence[Problem], *, name: str) -> list[str]:
    """One line each, as compilers write them: for pipes and logs.

    >>> problem_lines([Problem(3, "71", "band", "error", "the MPC refuses band C")], name="mpc80.txt")
    ['mpc80.txt:3:71: error: the MPC refuses band C [band]']
    """
    return [
        f"{name}:{p.row}:{p.column + ':' if p.column else ''} {p.severity}: {p.message} [{p.rule}]"
        for p in problems
    ]


def gathered_lines(problems: Sequence[Problem], *, name: str) -> list[str]:
    """As `problem_lines`, but what is the same in many rows is said once, with the first of them.

    >>> same = [Problem(row, "astCat", "catalogue", "warning", "UNK") for row in (10, 11, 12)]
    >>> gathered_lines(same, name="neo.psv")
    ['neo.psv:10:astCat: warning: UNK [catalogue], and in 2 more lines']
    """
    alike: dict[Problem, list[Problem]] = {}
    for p in problems:
        alike.setdefault(replace(p, row=0), []).append(p)
    return [
        problem_lines(found[:1], name=name)[0]
        + (f", and in {more} more lines" if (more := len(found) - 1) else "")
        for found in alike.values()
    ]


def render_problems(problems: Sequence[Problem], *, name: str) -> RenderableType:
    """A table for a terminal, the verdict under it.

    Parameters
    ----------
    problems : sequence of Problem
        From `ssosd.reports.lint.draft.lint_file`.
    name : str
        Of the file.
    """
    summary = Text(f"{name}: {verdict(problems)}")
    if not problems:
        return summary
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("line", "right"), ("column", "left"), ("", "left"), ("rule", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("what", overflow="fold")
    for p in problems:
        row = str(p.row) if p.row else ""
        table.add_row(row, p.column, Text(p.severity, _STYLE[p.severity]), p.rule, Text(p.message))
    return Group(table, summary)
