"""FITS header cards as they are found in the wild, and keywords looked up over all HDUs of a file.

Cards are read leniently: a card that breaks the standard costs that card, never the exposure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CARD_LENGTH = 80
Value = str | bool | int | float | None

_PRINTABLE = bytes(c if 32 <= c < 127 else ord("?") for c in range(256))
_STRING = re.compile(r"\s*'((?:[^']|'')*)'\s*(?:/(.*))?")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?$")
_HIERARCH = re.compile(r"HIERARCH\s+([^=]+?)\s*=(.*)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One keyword with a value."""

    keyword: str  # as found
    value: str | bool | int | float  # stripped when a string, never blank
    comment: str  # "" when there is none
    hdu: int  # index of the HDU it was found in

    @property
    def text(self) -> str:
        """The value as a string."""
        return str(self.value).strip()


class Cards:
    """The cards of one header: raw, and by keyword.

    Parameters
    ----------
    block : bytes
        Header block up to and including END, a multiple of 80 bytes; what is not printable ASCII
        becomes ``?``.
    """

    def __init__(self, block: bytes) -> None:
        text = block.translate(_PRINTABLE).decode("ascii")
        self.raw: list[str] = []
        self._values: dict[str, tuple[Value, str]] = {}
        last = ""
        for start in range(0, len(text), CARD_LENGTH):
            card = text[start : start + CARD_LENGTH].ljust(CARD_LENGTH)
            if card.rstrip() == "END":
                break
            self.raw.append(card)
            parsed = parse_card(card)
            if parsed is None:
                continue
            keyword, value, comment = parsed
            if keyword == "CONTINUE":
                self._continue(last, value, comment)
                continue
            last = keyword
            self._values.setdefault(keyword, (value, comment))

    def _continue(self, keyword: str, value: Value, comment: str) -> None:
        before, said = self._values.get(keyword, (None, ""))
        if isinstance(before, str) and before.endswith("&") and isinstance(value, str):
            self._values[keyword] = (before[:-1] + value, said or comment)

    def __contains__(self, keyword: str) -> bool:
        return normalised(keyword) in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, keyword: str, default: Value = None) -> Value:
        """Value of a keyword (the first card wins when it is repeated)."""
        return self._values.get(normalised(keyword), (default, ""))[0]

    def comment(self, keyword: str) -> str:
        """Comment of a keyword, "" when there is none."""
        return self._values.get(normalised(keyword), (None, ""))[1]

    def integer(self, keyword: str, default: int) -> int:
        """Integer value of a structural keyword, `default` when it is absent or not a number."""
        value = number(self.get(keyword))
        return default if value is None or value != value or abs(value) > 1e15 else int(value)

    def text(self, keyword: str) -> str:
        """Return the string value without surrounding blanks, "" when absent."""
        value = self.get(keyword)
        return "" if value is None else str(value).strip()


class HeaderStack:
    """The headers of one file in the order in which a keyword is looked for.

    Parameters
    ----------
    headers : sequence of (int, Cards)
        HDU index and cards: the science HDU first, then the primary, then the others.
    """

    def __init__(self, headers: Sequence[tuple[int, Cards]]) -> None:
        self.headers = tuple(headers)

    def find(self, keyword: str) -> Found | None:
        """First HDU that gives the keyword a value; blank strings do not count, HIERARCH need not be said."""
        name = normalised(keyword)
        for hdu, cards in self.headers:
            value = cards.get(name)
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            if isinstance(value, str):
                value = value.strip()
            return Found(keyword=name, value=value, comment=cards.comment(name), hdu=hdu)
        return None

    def text(self, keyword: str) -> str:
        """Return the string value of a keyword, "" when no HDU has it."""
        found = self.find(keyword)
        return "" if found is None else found.text


def normalised(keyword: str) -> str:
    """Keyword in capitals without HIERARCH and surrounding blanks.

    >>> normalised(" hierarch ESO DET DIT ")
    'ESO DET DIT'
    """
    name = keyword.strip().upper()
    return name[9:].strip() if name.startswith("HIERARCH ") else name


def number(value: Value) -> float | None:
    """Numeric value of a card, also when it was written as a string; None when it is no number.

    >>> number("-5.19D-05"), number(" 716.0 "), number("12:30"), number(True)
    (-5.19e-05, 716.0, None, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    text = value.strip()
    if _NUMBER.match(text):
        return float(text.replace("D", "E").replace("d", "e"))
    return float("nan") if text.lower() in {"nan", "inf", "-inf", "+inf", "infinity"} else None


def parse_card(card: str) -> tuple[str, Value, str] | None:
    """Keyword, value and comment of one 80-character card; None for commentary and for what is no card.

    >>> parse_card("CD1_2   =                  0.0 / zero is a value")
    ('CD1_2', 0.0, 'zero is a value')
    >>> parse_card("HIERARCH ESO DET DIT = 2.5")
    ('ESO DET DIT', 2.5, '')
    """
    if card.startswith("HIERARCH"):
        match = _HIERARCH.match(card)
        if match is None:
            return None
        return (match.group(1).upper(), *_parse_value(match.group(2)))
    keyword = card[:8].strip().upper()
    if keyword == "CONTINUE":
        return (keyword, *_parse_value(card[8:]))
    if card[8:9] != "=" or not keyword or " " in keyword:
        return None
    return (keyword, *_parse_value(card[9:]))


def _parse_value(text: str) -> tuple[Value, str]:
    match = _STRING.match(text)
    if match is not None:
        return match.group(1).replace("''", "'").rstrip(), (match.group(2) or "").strip()
    body, _, comment = text.partition("/")
    body, comment = body.strip(), comment.strip()
    if not body:
        return None, comment
    if body in {"T", "F"}:
        return body == "T", comment
    if _NUMBER.match(body):
        if re.fullmatch(r"[+-]?\d+", body):
            return int(body), comment
        return float(body.replace("D", "E").replace("d", "e")), comment
    if body.startswith("'"):  # a string without its closing quote
        return body[1:].rstrip(), comment
    return body, comment
