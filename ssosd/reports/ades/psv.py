"""Read PSV, the text form of ADES, into the tree that its XML form has, with the line of each element."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from ssosd.plumbing.text import counted
from ssosd.reports.lint.schema import OBSERVATIONS, VERSION, element_names
from ssosd.reports.problem import Problem

_NAME = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
_TYPES = {"optical": "OpticalType", "offset": "OffsetType", "occultation": "OccultationType"} | {
    "radar": "RadarType"
}
#: Elements that the MPC adds itself; submissions may leave them empty.
_NOT_SUBMITTED = frozenset({"obsID", "trkID", "trkMPC", "prog", "ref", "subFmt", "subFrm", "deprecated"}) | {
    *("precTime", "precRA", "precDec", "nucMag", "localUse")
}


#: How deep an element stands in the tree.
_BLOCK, _PART, _MEMBER, _VALUE = 1, 2, 3, 4


@dataclass
class _Reader:
    """Where in the file the reader is, and the XML so far: each element is in its line of the PSV."""

    version: str = ""  # "" until it is stated
    first: int = 1  # line of the root
    last: int = 1  # line of the element that was added last
    text: list[str] = field(default_factory=list)  # what is below the root
    open: list[str] = field(default_factory=lambda: ["ades"])  # elements that have no end yet
    problems: list[Problem] = field(default_factory=list)
    names: tuple[str, ...] = ()
    kind: str = ""

    def say(self, row: int, column: str, said: str) -> None:
        self.problems.append(Problem(row, column, "form", "error", said))

    def add(self, depth: int, name: str, text: str, row: int) -> None:
        """Begin an element; those as deep or deeper end before it.

        Its line ends are within its tag, and a blank is its text when it has none: lxml takes the line of an
        element beyond 65,535 from the text that it begins with.
        """
        self.close(depth)
        ends = "\n" * (row - self.last)
        self.text.append(f"<{name}{ends}>{escape(text) or ' '}")
        self.open.append(name)
        self.last = row

    def close(self, depth: int) -> None:
        """End the elements that are so deep or deeper."""
        self.text += [f"</{name}>" for name in reversed(self.open[depth:])]
        del self.open[depth:]


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
    reader = _Reader()
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
    if not reader.version:
        reader.say(1, "version", f"no line '# version={VERSION}' at the beginning")
    return _tree(reader), reader.problems


def _tree(reader: _Reader) -> Any:
    """Parse what was read: lxml lets nobody set the line of an element beyond 65,535, but finds it itself."""
    reader.close(0)
    root = f"<ades version={quoteattr(reader.version or VERSION)}> "
    text = "".join(["\n" * (reader.first - 1), root, *reader.text])
    return etree.fromstring(text.encode("utf-8"), etree.XMLParser(huge_tree=True))


def _is_names(line: str) -> bool:
    """Whether every field begins with a letter: then it names columns, as obsTime never does."""
    return all(_NAME.fullmatch(value.strip()) for value in line.split("|")) and "|" in line


def _top(reader: _Reader, row: int, text: str) -> None:
    version = re.match(r"version\s*=\s*(\S+)", text)
    if version:
        reader.version = version[1]
        if not reader.text:
            reader.first = reader.last = row
        return
    name, _, rest = text.partition(" ")
    if not _NAME.fullmatch(name):
        reader.say(row, "#", f"{name!r} is no name of an element")
        return
    if reader.open[_PART:_MEMBER] != ["obsContext"]:
        _block(reader, row)
        reader.names, reader.kind = (), ""
    reader.add(_MEMBER, name, rest.strip(), row)


def _block(reader: _Reader, row: int) -> None:
    reader.add(_BLOCK, "obsBlock", "", row)
    reader.add(_PART, "obsContext", "", row)


def _below(reader: _Reader, row: int, text: str) -> None:
    name, _, rest = text.partition(" ")
    if reader.open[_PART:_MEMBER] != ["obsContext"] or len(reader.open) == _MEMBER:
        reader.say(row, "!", "a line with ! must follow one with # that it belongs to")
    elif not _NAME.fullmatch(name):
        reader.say(row, "!", f"{name!r} is no name of an element")
    else:
        reader.add(_VALUE, name, rest.strip(), row)


def _columns(reader: _Reader, row: int, names: Sequence[str]) -> None:
    if len(reader.open) == _BLOCK:
        reader.say(row, "", "the header (# lines) is missing before the observations")
        _block(reader, row)
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
    if reader.open[_PART] != "obsData":
        reader.add(_PART, "obsData", "", row)


def _known(kind: str) -> list[str]:
    return [*element_names(_TYPES[kind]), *_NOT_SUBMITTED]


def _record(reader: _Reader, row: int, values: Sequence[str]) -> None:
    if not reader.names:
        reader.say(row, "", "a record before the line that names the columns")
        return
    if len(values) > len(reader.names):
        reader.say(row, "", f"{counted(len(values), 'field')} for {counted(len(reader.names), 'column')}")
        return
    given = {name: value for name, value in zip(reader.names, values, strict=False) if value}
    reader.add(_MEMBER, reader.kind, "", row)
    for name in (n for n in _order(reader.kind) if n in given):
        reader.add(_VALUE, name, given.pop(name), row)
    for name, value in given.items():  # not the schema's: it will say so
        reader.add(_VALUE, name, value, row)


def _order(kind: str) -> tuple[str, ...]:
    return element_names(_TYPES[kind]) if kind in OBSERVATIONS else ()
