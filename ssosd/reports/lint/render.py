"""What the linter found, for the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ssosd.plumbing.text import counted
from ssosd.reports.problem import Problem

MOST = 10  # problems of one rule that are shown
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
    return ", ".join(counted(n, s) for s, n in counts.items() if n)


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
    return [
        problem_lines(found[:1], name=name)[0]
        + (f", and in {counted(len(found) - 1, 'more line')}" if len(found) > 1 else "")
        for found in _alike(problems)
    ]


def _alike(problems: Sequence[Problem]) -> list[list[Problem]]:
    """Those that say the same of different rows, together."""
    alike: dict[Problem, list[Problem]] = {}
    for p in problems:
        alike.setdefault(replace(p, row=0), []).append(p)
    return list(alike.values())


def render_problems(problems: Sequence[Problem], *, name: str, every: bool = False) -> RenderableType:
    """A table for a terminal, the verdict under it.

    What is the same in many rows is said once, and of one rule the first `MOST`.

    Parameters
    ----------
    problems : sequence of Problem
        From `ssosd.reports.lint.draft.lint_file`.
    name : str
        Of the file.
    every : bool
        Say all of them, row by row.
    """
    summary = Text(f"{name}: {verdict(problems)}")
    if not problems:
        return summary
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("line", "right"), ("column", "left"), ("", "left"), ("rule", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("what", overflow="fold")
    shown: Counter[str] = Counter()
    for p, *others in ([p] for p in problems) if every else _alike(problems):
        shown[p.rule] += 1
        if shown[p.rule] > MOST and not every:
            continue
        said = p.message + (f" (and in {counted(len(others), 'more line')})" if others else "")
        row = str(p.row) if p.row else ""
        table.add_row(row, p.column, Text(p.severity, _STYLE[p.severity]), p.rule, Text(said))
    more = [f"{n - MOST} more of {rule}" for rule, n in shown.items() if n > MOST and not every]
    if more:
        summary.append(f"; not shown: {', '.join(more)} (--every)")
    return Group(table, summary)
