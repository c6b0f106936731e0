"""Lint a draft, or any file of observations for the MPC: 80 columns, PSV or XML.

Every problem names its line, its column or element, and its rule; `docs` lists the rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from ssosd.errors import BadInput
from ssosd.reports.ades.psv import parse_psv
from ssosd.reports.lint.fields import lint_document
from ssosd.reports.lint.mpc80 import lint_mpc80
from ssosd.reports.lint.schema import lint_schema, parse_xml
from ssosd.reports.lint.sky import Sent, lint_sky
from ssosd.reports.mpc80 import HEADER_KEYS
from ssosd.reports.problem import Problem, Sighting, has_errors

__all__ = ["Problem", "Sent", "has_errors", "kind_of", "lint_file", "lint_text"]

Kind = Literal["mpc80", "psv", "xml"]
_LARGEST = 50_000_000  # bytes
#: What no draft of 80 columns is without: a header record, or a date in its place or near it.
_RECORD = re.compile(rf"^(?:{'|'.join(HEADER_KEYS)}) |^.{{10,20}}\d{{4}} [ \d]\d [ \d]\d\.\d", re.MULTILINE)
_HTML = re.compile(r"\s*<(?:!doctype html|html)\b", re.IGNORECASE)


def kind_of(text: str) -> Kind:
    """Tell the form of a file by its contents.

    >>> kind_of("# version=2022"), kind_of("<ades/>"), kind_of("COD 493")
    ('psv', 'xml', 'mpc80')
    """
    first = next((line.strip() for line in _lines(text.removeprefix("\ufeff")) if line.strip()), "")
    if first.startswith("<"):
        return "xml"
    return "psv" if first.startswith(("#", "!")) or first.count("|") > 1 else "mpc80"


def lint_file(
    source: Path | str,
    *,
    exposures: Sequence[tuple[float, float]] | None = None,
    sent: Sequence[Sent] = (),
    now: datetime | None = None,
) -> tuple[Problem, ...]:
    """Lint a file.

    Parameters
    ----------
    source : Path or str
        A file, or the text of one: a `str` is always text.
    exposures, sent, now
        As for `lint_text`.

    Returns
    -------
    tuple of Problem
        As `lint_text` gives them.

    Raises
    ------
    BadInput
        The file cannot be read at all, or is none of these forms: an image, a table, a page. A draft that
        is not UTF-8 is a problem, not an error.
    """
    if isinstance(source, str):
        return lint_text(source, exposures=exposures, sent=sent, now=now)
    try:
        if source.stat().st_size > _LARGEST:
            raise BadInput(f"{source}: larger than {_LARGEST // 1_000_000} MB: no draft is")
        data = source.read_bytes()
    except OSError as error:
        raise BadInput(f"{source}: cannot be read: {error.strerror or error}") from error
    if what := _what_else(data):
        raise BadInput(
            f"{source}: this is {what}, no draft",
            next_step="80 columns, ADES PSV and ADES XML can be checked, such as NIGHT/drafts/*.psv",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        said = f"byte {data[error.start]:#04x} is not UTF-8"
        rest = lint_text(data.decode("latin-1"), exposures=exposures, sent=sent, now=now)
        return tuple(sorted({Problem(row, "", "encoding", "error", said), *rest}))
    return lint_text(text, exposures=exposures, sent=sent, now=now)


def _what_else(data: bytes) -> str:
    """What a file is that is no draft; "" for one that is, or is empty.

    >>> _what_else(b"SIMPLE  =                    T"), _what_else(b"SOURCE_NUMBER,RA"), _what_else(b"COD 493")
    ('a FITS file', 'a table of comma-separated values', '')
    """
    if data.startswith(b"SIMPLE  ="):
        return "a FITS file"
    if b"\0" in data:
        return "a file of binary data"
    text = data.decode("latin-1").removeprefix("\xef\xbb\xbf")
    if _HTML.match(text):
        return "a page in HTML"
    if not text.strip() or kind_of(text) != "mpc80" or _RECORD.search(text):
        return ""
    first = _lines(text.lstrip())[0]
    is_table = "," in first and ", " not in first  # as prose has it
    return "a table of comma-separated values" if is_table else "text of another kind"


def lint_text(
    text: str,
    *,
    exposures: Sequence[tuple[float, float]] | None = None,
    sent: Sequence[Sent] = (),
    now: datetime | None = None,
) -> tuple[Problem, ...]:
    """Lint the text of a file.

    Parameters
    ----------
    text : str
        80-column records, PSV or XML.
    exposures : sequence of (start, seconds), optional
        The night's exposures, UTC MJD of the start and length: every position's time must be within one.
    sent : sequence of Sent
        Positions that the submission ledger holds already.
    now : datetime, optional
        The present time, UTC: nothing was observed later. Not looked at without.

    Returns
    -------
    tuple of Problem
        By line; empty when there is nothing to say. Warnings are for a person to judge, errors the MPC would
        refuse or cannot be true.

    Raises
    ------
    Misconfigured
        The schema of ADES is not installed.
    """
    problems, sightings = _by_kind(text)
    problems += lint_sky(sightings, exposures=exposures, sent=sent, now=now)
    return tuple(sorted(set(problems)))


def sightings_of(text: str) -> list[Sighting]:
    """The positions of a draft of any form, those that can be read."""
    return _by_kind(text)[1]


def _by_kind(text: str) -> tuple[list[Problem], list[Sighting]]:
    kind = kind_of(text)
    if kind == "mpc80":
        return lint_mpc80(_lines(text.removeprefix("\ufeff")))
    problems: list[Problem] = []
    if kind == "psv":
        root, problems = parse_psv(_lines(text))
    else:
        try:
            root = parse_xml(text.encode("utf-8"))
        except BadInput as error:
            line, _, said = error.message.removeprefix("line ").partition(": ")
            return [Problem(int(line), "", "well-formed", "error", said)], []
    problems += lint_schema(root)
    more, sightings = lint_document(root)
    problems += more
    if not sightings and not any(p.severity == "error" for p in problems):
        problems.append(Problem(0, "", "empty", "error", "there is no observation in it"))
    return problems, sightings


def _lines(text: str) -> list[str]:
    r"""Lines as editors count them: to `str.splitlines` a form feed ends one too.

    >>> _lines("COD 493\r\nOBS A.\fNobody\n")
    ['COD 493', 'OBS A.\x0cNobody', '']
    """
    return re.split(r"\r\n|\r|\n", text)
