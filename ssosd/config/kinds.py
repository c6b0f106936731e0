"""The kinds of values a parameter may have: how each is read from text, written as text, and described.

A kind reads with `parse` (a `ValueError` says what is wrong beyond "not allowed", or nothing), writes with
`render`, and ``parse(render(value)) == value`` for every value it allows.
"""

from __future__ import annotations

import difflib
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Kind(ABC):
    """One kind of value."""

    #: One word for help pages.
    metavar: str = "VALUE"
    #: The Python type of the parsed value, for people who write code against it.
    type_name: str = "str"

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What is allowed, as it ends the sentence "allowed is ..."."""

    @abstractmethod
    def parse(self, text: str) -> Any:
        """Read a value.

        Raises
        ------
        ValueError
            The text is not one of the allowed values.
        """

    def render(self, value: Any) -> str:
        """Write a value as `parse` reads it."""
        return str(value)


def nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    """The known word most like the one found (case is ignored); "" when none is known.

    >>> nearest("pm_upp", ["PM_UP", "PM_LOW"])
    'PM_UP'
    """
    upper = {name.upper(): name for name in known}
    match = difflib.get_close_matches(word.upper(), list(upper), n=1, cutoff=0.0)
    return upper[match[0]] if match else ""


def read_number(text: str) -> float:
    """A finite decimal number written with ASCII digits; `ValueError` for anything else."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("too large")
    return value


def write_number(value: float) -> str:
    """The shortest text that reads back as the same number, whole numbers without a fraction.

    >>> write_number(300.0), write_number(0.25)
    ('300', '0.25')
    """
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


def _words(text: str) -> list[str]:
    """Comma-separated words, spaces around them removed, one trailing comma forgiven."""
    words = [word.strip() for word in text.split(",")]
    if len(words) > 1 and not words[-1]:
        words.pop()
    if not all(words):
        raise ValueError("an empty place between commas")
    return words


@dataclass(frozen=True)
class Switch(Kind):
    """True or False, in any case."""

    metavar = "True|False"
    type_name = "bool"

    @property
    def allowed(self) -> str:
        """See `Kind.allowed`."""
        return "True | False"

    def parse(self, text: str) -> bool:
        """See `Kind.parse`."""
        try:
            return {"TRUE": True, "FALSE": False}[text.upper()]
        except KeyError:
            raise ValueError from None


@dataclass(frozen=True, kw_only=True)
class Number(Kind):
    """A number within bounds; `unset` is the word (or a blank) that means None."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False  # the low bound itself is not allowed
    whole: bool = False
    unset: str = ""

    @property
    def metavar(self) -> str:  # type: ignore[override]
        """See `Kind`."""
        return "INTEGER" if self.whole else "NUMBER"

    @property
    def type_name(self) -> str:  # type: ignore[override]
        """See `Kind`."""
        return ("int" if self.whole else "float") + (" | None" if self.unset else "")

    @property
    def allowed(self) -> str:
        """See `Kind.allowed`."""
        bounds = []
        if self.low > -math.inf:
            bounds.append(f"{'>' if self.above else '>='} {write_number(self.low)}")
        if self.high < math.inf:
            bounds.append(f"<= {write_number(self.high)}")
        text = " ".join(["a whole number" if self.whole else "a number", " and ".join(bounds)]).strip()
        return f"{self.unset} | {text}" if self.unset else text

    def parse(self, text: str) -> float | int | None:
        """See `Kind.parse`."""
        if self.unset and text.upper() in ("", self.unset):
            return None
        value = read_number(text)
        if value < self.low or (self.above and value == self.low) or value > self.high:
            raise ValueError("out of bounds")
        if not self.whole:
            return value
        if value != int(value):
            raise ValueError("not whole")
        return int(value)

    def render(self, value: Any) -> str:
        """See `Kind.render`."""
        if value is None:
            return self.unset
        return str(value) if isinstance(value, int) else write_number(value)


@dataclass(frozen=True, kw_only=True)
class WholeNumbers(Kind):
    """A set of whole numbers, sorted; `everything` is the word that means None.

    With `digits_run` a run of ascending digits without a comma is the seed's older spelling of a list:
    ``123`` means 1,2,3. A trailing comma makes it one number: ``12,`` means 12.
    """

    metavar = "N,N,..."
    low: int = 0
    everything: str = ""
    digits_run: bool = False

    @property
    def type_name(self) -> str:  # type: ignore[override]
        """See `Kind`."""
        return "tuple[int, ...]" + (" | None" if self.everything else "")

    @property
    def allowed(self) -> str:
        """See `Kind.allowed`."""
        text = f"whole numbers >= {self.low} separated by commas"
        return f"{self.everything} | {text}" if self.everything else text

    def parse(self, text: str) -> tuple[int, ...] | None:
        """See `Kind.parse`."""
        if self.everything and text.upper() == self.everything.upper():
            return None
        if self.digits_run and self._is_run(text):
            return tuple(int(digit) for digit in text)
        numbers = []
        for word in _words(text):
            if re.fullmatch(r"\d{1,9}", word, re.ASCII) is None:
                raise ValueError
            numbers.append(int(word))
        if min(numbers) < self.low:
            raise ValueError("out of bounds")
        return tuple(sorted(set(numbers)))

    def render(self, value: Any) -> str:
        """See `Kind.render`."""
        if value is None:
            return self.everything
        text = ",".join(str(number) for number in value)
        return f"{text}," if self.digits_run and self._is_run(text) else text

    def _is_run(self, text: str) -> bool:
        digits = re.fullmatch(r"\d{2,9}", text, re.ASCII) is not None
        return digits and int(text[0]) >= self.low and list(text) == sorted(set(text))


@dataclass(frozen=True, kw_only=True)
class Pair(Kind):
    """Two numbers with a separator: an interval, or a size with both sides 0 or neither.

    `unset` is the word (or a blank) that means None.
    """

    separator: str
    low: float = -math.inf
    high: float = math.inf
    interval: bool = False
    unset: str = ""

    @property
    def type_name(self) -> str:  # type: ignore[override]
        """See `Kind`."""
        return "tuple[float, float]" + (" | None" if self.unset else "")

    @property
    def metavar(self) -> str:  # type: ignore[override]
        """See `Kind`."""
        return "LOW,HIGH" if self.interval else "YxZ"

    @property
    def allowed(self) -> str:
        """See `Kind.allowed`."""
        bounds = f"{write_number(self.low)} to {write_number(self.high)}"
        if self.interval:
            within = f" from {bounds}" if self.high < math.inf else ""
            text = f'two numbers "low{self.separator}high"{within} with low <= high'
            return f"{self.unset} | {text}" if self.unset else text
        return f'two numbers "Y{self.separator}Z" from {bounds}, both 0 or neither'

    def parse(self, text: str) -> tuple[float, float] | None:
        """See `Kind.parse`."""
        if self.unset and text.upper() in ("", self.unset):
            return None
        parts = [part.strip() for part in text.lower().split(self.separator)]
        if len(parts) != 2:
            raise ValueError
        first, second = (read_number(part) for part in parts)
        if not all(self.low <= value <= self.high for value in (first, second)):
            raise ValueError("out of bounds")
        if self.interval and first > second:
            raise ValueError("low is above high")
        if not self.interval and (first == 0.0) != (second == 0.0):
            raise ValueError("one side is 0")
        return first, second

    def render(self, value: Any) -> str:
        """See `Kind.render`."""
        return self.unset if value is None else self.separator.join(write_number(number) for number in value)


@dataclass(frozen=True, kw_only=True)
class Words(Kind):
    """A list of words in the order given, free or of `choices`; `nothing` is the word for an empty list."""

    metavar = "WORD,..."
    type_name = "tuple[str, ...]"
    choices: tuple[str, ...] = ()
    nothing: str = ""
    misspellings: tuple[tuple[str, str], ...] = ()  # (found in seed documentation, meant)

    @property
    def allowed(self) -> str:
        """See `Kind.allowed`."""
        text = ",".join(self.choices) if self.choices else "words"
        text = f"one or more of {text}" if self.choices else f"{text} separated by commas"
        return f"{self.nothing} | {text}" if self.nothing else text

    def parse(self, text: str) -> tuple[str, ...]:
        """See `Kind.parse`."""
        if self.nothing and text.upper() in ("", self.nothing.upper()):
            return ()
        words = _words(text)
        if self.choices:
            words = [dict(self.misspellings).get(word.upper(), word.upper()) for word in words]
            for word in words:
                if word not in self.choices:
                    raise ValueError(f"the nearest is {nearest(word, self.choices)}")
        elif self.nothing and self.nothing.upper() in (word.upper() for word in words):
            raise ValueError
        return tuple(dict.fromkeys(words))

    def render(self, value: Any) -> str:
        """See `Kind.render`."""
        return ",".join(value) if value else self.nothing


@dataclass(frozen=True, kw_only=True)
class Pattern(Kind):
    """Text of a given form."""

    expression: str
    description: str
    metavar: str = "TEXT"
    upper: bool = False  # the case does not matter: kept in capitals

    @property
    def allowed(self) -> str:
        """See `Kind.allowed`."""
        return self.description

    def parse(self, text: str) -> str:
        """See `Kind.parse`."""
        if re.fullmatch(self.expression, text, re.ASCII) is None:
            raise ValueError
        return text.upper() if self.upper else text


@dataclass(frozen=True, kw_only=True)
class Address(Pattern):
    """A web address, whose host and port are possible ones."""

    expression: str = r"https?://[!-~]+"
    description: str = "an address that begins with http:// or https://"
    metavar: str = "URL"

    def parse(self, text: str) -> str:
        """See `Kind.parse`."""
        address = super().parse(text)
        try:
            parts = urlsplit(address)
            possible = bool(parts.hostname) and parts.port != 0
        except ValueError:  # a bracket is open, or the port no number
            possible = False
        if not possible:
            raise ValueError("no such host or port")
        return address


@dataclass(frozen=True, kw_only=True)
class FileName(Kind):
    """A path of a file or a folder, or one of some words that mean something else.

    The word `unset` (or a blank) means None; `words` stay what they are. With `needs_mark` text without a
    slash or a full stop is a misspelt word rather than a path.
    """

    metavar = "PATH"
    folder: bool = False
    unset: str = ""
    words: tuple[str, ...] = ()
    needs_mark: bool = False
    description: str = ""

    @property
    def type_name(self) -> str:  # type: ignore[override]
        """See `Kind`."""
        return "Path" + (" | str" if self.words else "") + (" | None" if self.unset else "")

    @property
    def allowed(self) -> str:
        """See `Kind.allowed`."""
        path = f"a path of {'an existing folder' if self.folder else 'an existing file'}"
        return " | ".join([*([self.unset] if self.unset else []), *self.words, self.description or path])

    def parse(self, text: str) -> Path | str | None:
        """See `Kind.parse`; the path is as written, `ssosd.config.places` expands and finds it."""
        if self.unset and text.upper() in ("", self.unset.upper()):
            return None
        if text.upper() in self.words:
            return text.upper()
        if not text or "\0" in text:
            raise ValueError
        if self.needs_mark and not set(text) & {"/", ".", "~", "$"}:
            raise ValueError(f"the nearest is {nearest(text, self.words)}")
        return Path(text)

    def render(self, value: Any) -> str:
        """See `Kind.render`."""
        return self.unset if value is None else str(value)
