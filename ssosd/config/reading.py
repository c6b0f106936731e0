"""Reading the text of a configuration: which name has which value in which line."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLANK = " \t\f\v"
_COMMENT = re.compile(rf"(^|[{_BLANK}])#.*", re.DOTALL)
_COMMA = re.compile(rf"[{_BLANK}]*,[{_BLANK}]*")
_WORDS = re.compile(rf"[{_BLANK}]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter as found."""

    name: str
    text: str  # the value as written, without quotes and comment; "" when there is none
    origin: str  # where it was found, e.g. "/data/default.ssos, line 12" or "--PM_UP"
    ignored: str = ""  # what followed the value without being a comment


def read_entries(data: bytes, *, file: str) -> tuple[list[Entry], list[str]]:
    """Entries of a configuration in their order, and what could not be read.

    One parameter a line: name, tabs or spaces, value, and ``#`` with a comment. A value with spaces, or that
    begins with ``#``, is put in quotes. Like in the seed, the value is one word (spaces after commas are
    forgiven) and anything behind it is not read; `Entry.ignored` has it.

    Parameters
    ----------
    data : bytes
        The whole file. Bytes that are not ASCII may stand in comments and, as UTF-8, in values of paths.
    file : str
        Name for messages.

    Returns
    -------
    entries : list of Entry
    problems : list of str
        One sentence each, with file and line.
    """
    entries: list[Entry] = []
    problems: list[str] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        line = raw.decode("utf-8", errors="surrogateescape").strip(_BLANK)
        if not line or line.startswith("#"):
            continue
        origin = f"{file}, line {number}"
        name, *rest = _WORDS.split(line, maxsplit=1)
        try:
            text, ignored = _value(rest[0] if rest else "")
        except ValueError as error:
            problems.append(f"{origin}: {name}: {error}")
            continue
        entries.append(Entry(name, text, origin, ignored))
    return entries, problems


def _value(rest: str) -> tuple[str, str]:
    """Split what follows the name into the value and what is not read."""
    if rest[:1] in ('"', "'"):
        value, closing, behind = rest[1:].partition(rest[0])
        if not closing:
            raise ValueError(f"found {printable(rest)}, allowed is a value with the quote closed")
        return value, _COMMENT.sub("", behind).strip(_BLANK)
    words = _WORDS.split(_COMMA.sub(",", _COMMENT.sub("", rest).strip(_BLANK)), maxsplit=1)
    return words[0], words[1] if len(words) > 1 else ""


def quoted(text: str) -> str:
    """A value as it is written in a configuration: in quotes where it would not be read back without.

    >>> quoted("300"), quoted("/data/my set-up/ssos.sex")
    ('300', '"/data/my set-up/ssos.sex"')
    """
    if text and not re.search(rf"[{_BLANK}]", text) and text[0] not in "\"'#":
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'


def printable(text: str) -> str:
    r"""Text for a message, in quotes on one line: what is not ASCII as escapes, cut at 80 characters.

    >>> printable("caf\u00e9")
    '"caf\\xe9"'
    """
    shown = "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text)
    return f'"{shown}"' if len(shown) <= 80 else f'"{shown[:77]}..."'
