"""Read PSV, the text form of ADES, into the tree that its XML form has, with the line of each element."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from ssosd.reports.lint.schema import OBSERVATIONS, VERSION, element_names
from ssosd.reports.problem import Problem

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_TYPES = {"optical": "OpticalType", "offset": "OffsetType", "occultation": "OccultationType"} | {
    "radar": "RadarType"
}
#: Elements that the MPC adds itself; submissions may leave them empty.
_NOT_SUBMITTED = frozenset({"obsID", "trkID", "trkMPC", "prog", "ref", "subFmt", "subFrm", "deprecated"}) | {
    *("precTime", "precRA", "precDec", "nucMag", "localUse")
}


@dataclass
class _Reader:
    """Where in the file the reader is."""

    root: Any
    problems: list[Problem] = field(default_factory=list)
    block: Any = None
    context: Any = None
    group: Any = None  # the # element that ! lines belong to
    data: Any = None
    names: tuple[str, ...] = ()
    kind: str = ""
    versioned: bool = False

    def say(self, row: int, column: str, said: str) -> None:
        self.problems.append(Problem(row, column, "form", "error", said))


def parse_psv(lines: Sequence[str]) -> tuple[Any, list[Problem]]:
    """Make the tree of a PSV file and say what is not well-formed in it.

    Parameters
    ----------
    lines : sequence of str
        Of the file, with or without their ends.

    Returns
    -------
    root : lxml element
        ``ades``, elements in the schema's order, `sourceline` the line in the file.
    problems : list of Problem
    """
    reader = _Reader(root=etree.Element("ades", version=VERSION))
    reader.root.sourceline = 1
    for row, raw in enumerate(lines, start=1):
        line = raw.strip().removeprefix("\ufeff")
        if not line:
            continue
        if any(not c.isprintable() and c != "\t" for c in line):
            reader.say(row, "", "a control character")
            line = "".join(c for c in line if c.isprintable())
        if line.startswith("#"):
            _top(reader, row, line[1:].strip())
        elif line.startswith("!"):
            _below(reader, row, line[1:].strip())
        elif _is_names(line):
            _columns(reader, row, [name.strip() for name in line.split("|")])
        else:
            _record(reader, row, [value.strip() for value in line.split("|")])
    if not reader.versioned:
        reader.say(1, "version", f"no line '# version={VERSION}' at the beginning")
    return reader.root, reader.problems


def _is_names(line: str) -> bool:
    """Whether every field begins with a letter: then it names columns, as obsTime never does."""
    return all(_NAME.fullmatch(value.strip()) for value in line.split("|")) and "|" in line


def _add(parent: Any, name: str, text: str, row: int) -> Any:
    element = etree.SubElement(parent, name)
    element.text = text or None
    element.sourceline = row
    return element


def _top(reader: _Reader, row: int, text: str) -> None:
    version = re.match(r"version\s*=\s*(\S+)", text)
    if version:
        reader.versioned = True
        reader.root.set("version", version[1])
        reader.root.sourceline = row
        return
    name, _, rest = text.partition(" ")
    if not _NAME.fullmatch(name):
        reader.say(row, "#", f"{name!r} is no name of an element")
        return
    if reader.block is None or reader.data is not None:
        reader.block, reader.data = _add(reader.root, "obsBlock", "", row), None
        reader.context = _add(reader.block, "obsContext", "", row)
        reader.names, reader.kind = (), ""
    reader.group = _add(reader.context, name, rest.strip(), row)


def _below(reader: _Reader, row: int, text: str) -> None:
    name, _, rest = text.partition(" ")
    if reader.group is None:
        reader.say(row, "!", "a line with ! must follow one with # that it belongs to")
    elif not _NAME.fullmatch(name):
        reader.say(row, "!", f"{name!r} is no name of an element")
    else:
        _add(reader.group, name, rest.strip(), row)


def _columns(reader: _Reader, row: int, names: Sequence[str]) -> None:
    if reader.block is None:
        reader.say(row, "", "the header (# lines) is missing before the observations")
        reader.block = _add(reader.root, "obsBlock", "", row)
        reader.context = _add(reader.block, "obsContext", "", row)
    reader.group = None
    kind = next((k for k in _TYPES if set(names) <= set(_known(k))), "")
    if not kind:
        kind = max(_TYPES, key=lambda k: len(set(names) & set(_known(k))))
        for name in names:
            if name not in _known(kind):
                reader.say(row, name, f"ADES has no element {name!r} for an {kind} observation")
    for name in sorted({n for n in names if names.count(n) > 1}):
        reader.say(row, name, f"column {name} is there twice")
    if reader.kind and kind != reader.kind:
        reader.say(row, "", f"{kind} observations after {reader.kind} ones need a header of their own")
    reader.names, reader.kind = tuple(names), kind
    if reader.data is None:
        reader.data = _add(reader.block, "obsData", "", row)


def _known(kind: str) -> list[str]:
    return [*element_names(_TYPES[kind]), *_NOT_SUBMITTED]


def _record(reader: _Reader, row: int, values: Sequence[str]) -> None:
    if not reader.names:
        reader.say(row, "", "a record before the line that names the columns")
        return
    if len(values) > len(reader.names):
        reader.say(row, "", f"{len(values)} fields for {len(reader.names)} columns")
        return
    given = {name: value for name, value in zip(reader.names, values, strict=False) if value}
    element = _add(reader.data, reader.kind, "", row)
    for name in (n for n in _order(reader.kind) if n in given):
        _add(element, name, given.pop(name), row)
    for name, value in given.items():  # not the schema's: it will say so
        _add(element, name, value, row)


def _order(kind: str) -> tuple[str, ...]:
    return element_names(_TYPES[kind]) if kind in OBSERVATIONS else ()
