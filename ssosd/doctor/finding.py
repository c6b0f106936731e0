"""What one check of the doctor found, and how findings are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ssosd.errors import SsosdError

State = Literal["ok", "warn", "fail"]
_STYLES: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The outcome of one check."""

    name: str  # what was looked at
    state: State  # "warn": a night can run, but not as well; "fail": it cannot run
    detail: str  # what was found
    next_step: str = ""  # what a person can do about it, "" when nothing is to be done


Check = Callable[[], Finding | Sequence[Finding]]


def guarded(name: str, check: Check) -> tuple[Finding, ...]:
    """Run one check by itself: what goes wrong in it is its finding and keeps no other check from running.

    Our own errors and those of the operating system become a failure with their message; anything else is a
    mistake in the doctor and is not hidden.
    """
    try:
        found = check()
    except SsosdError as error:
        return (Finding(name=name, state="fail", detail=error.message, next_step=error.next_step),)
    except OSError as error:
        detail = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return (Finding(name=name, state="fail", detail=detail, next_step="see the message of the system"),)
    return (found,) if isinstance(found, Finding) else tuple(found)


def exit_code(findings: Iterable[Finding]) -> int:
    """Exit code for scripts: 1 when a check failed, else 0; warnings do not count."""
    return 1 if any(finding.state == "fail" for finding in findings) else 0


def render_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print the findings, one line or more each, with what to do next and a summary."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(
            Text(finding.state, style=_STYLES[finding.state]), Text(finding.name), Text(finding.detail)
        )
        if finding.next_step:
            table.add_row("", "", Text(f"-> {finding.next_step}", style="bold"))
    console.print(table)
    counts = {state: sum(f.state == state for f in findings) for state in _STYLES}
    if counts["fail"]:
        summary = f"{counts['fail']} of {len(findings)} checks failed"
    else:
        summary = f"all {len(findings)} checks passed"
    if counts["warn"]:
        summary += f", {counts['warn']} with a warning"
    console.print(summary, highlight=False)
