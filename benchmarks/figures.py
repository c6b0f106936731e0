"""The figures of one run of the benchmarks: kept as JSON, shown as Markdown, compared with those of another.

Machines differ and are shared, so that what is compared are ratios: a time over that of the bare processes,
or of the seed, on the same files in the same run; of processor times where that can be had, which other work
on the machine changes least. More is worse in each.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass, field
from pathlib import Path

BEGIN, END = "<!-- figures of make bench -->", "<!-- end of the figures -->"
_WIDTH = 118  # of the page's prose


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A part of the figures as people read it."""

    title: str
    note: str  # what was done, one paragraph
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(kw_only=True, slots=True)
class Figures:
    """All that one run measured."""

    date: str  # UTC, to the minute
    command: str
    machine: str
    load: str  # of one minute, before and after
    minutes: float = 0.0  # that the run took
    tables: list[Table] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        kept = asdict(self)
        kept["ratios"] = {name: round(ratio, 4) for name, ratio in self.ratios.items()}
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load_from(cls, path: Path) -> Figures:
        """Read what `save` wrote."""
        kept = json.loads(path.read_text(encoding="utf-8"))
        tables = [
            Table(
                title=t["title"],
                note=t["note"],
                columns=tuple(t["columns"]),
                rows=tuple(tuple(row) for row in t["rows"]),
            )
            for t in kept.pop("tables")
        ]
        return cls(**kept, tables=tables)

    def markdown(self) -> str:
        """All tables, with date and machine."""
        lines = [
            f"{self.date}: `{self.command}`, {self.minutes:.0f} min, load {self.load}.",
            f"{self.machine}.",
        ]
        for table in self.tables:
            lines += ["", f"### {table.title}", "", *textwrap.wrap(table.note, _WIDTH), ""]
            lines += [_row(table.columns), _row(["---"] * len(table.columns)), *map(_row, table.rows)]
        return "\n".join(lines)

    def put_into(self, page: Path) -> None:
        """Replace the figures between the marks of a page."""
        text = page.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n{self.markdown()}\n{END}{after}", encoding="utf-8")


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def worse(
    now: dict[str, float], then: dict[str, float], *, by: float = 0.15, least: float = 0.01
) -> list[str]:
    """Names of ratios that grew by more than a share of themselves, and by no mere trifle."""
    return [
        name for name in now if name in then and now[name] > max(then[name] * (1.0 + by), then[name] + least)
    ]


def comparison(now: dict[str, float], then: dict[str, float]) -> str:
    """Both runs side by side, for a person."""
    marked = set(worse(now, then))
    lines = [f"{'ratio':76}{'then':>9}{'now':>9}{'change':>9}"]
    for name in sorted(now.keys() | then.keys()):
        old, new = then.get(name), now.get(name)
        change = f"{new / old - 1.0:+9.0%}" if old and new is not None else f"{'':9}"
        cells = "".join(f"{'-':>9}" if value is None else f"{value:9.3f}" for value in (old, new))
        lines.append(f"{name:76}{cells}{change}{'  worse' if name in marked else ''}")
    return "\n".join(lines)
