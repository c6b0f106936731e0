"""Designations of an 80-column record as ADES writes them: permID, provID or trkSub.

The inverse of `ssosd.reports.designation`, for the same forms:
https://minorplanetcenter.org/iau/info/PackedDes.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ssosd.errors import BadInput
from ssosd.reports.designation import Designation

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECOND_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
_CENTURIES = {"I": 1800, "J": 1900, "K": 2000, "L": 2100}

_NUMBER = re.compile(r"[0-9A-Za-z]\d{4}", re.ASCII)
_LARGE_NUMBER = re.compile(r"~[0-9A-Za-z]{4}", re.ASCII)
_COMET_NUMBER = re.compile(r"(\d{4})([PDI])", re.ASCII)
_SATELLITE = re.compile(r"[JSUNM]\d{3}S", re.ASCII)
_NEW_SATELLITE = re.compile(r"([IJKL])(\d\d)([MJSUN])([0-9A-Za-z]\d)0", re.ASCII)
_PROVISIONAL = re.compile(r"([IJKL])(\d\d)([A-HJ-Y])([0-9A-Za-z]\d)([A-HJ-Z])", re.ASCII)
_EXTENDED = re.compile(r"_([0-9A-Za-z])([A-HJ-Y])([0-9A-Za-z]{4})", re.ASCII)
_SURVEY = re.compile(r"(?:PLS|T([123])S)(\d{4})", re.ASCII)
_COMET = re.compile(r"([IJKL])(\d\d)([A-HJ-Y])([0-9A-Za-z]\d)([0a-z])", re.ASCII)
_TEMPORARY = re.compile(r"[-A-Za-z0-9_]{1,7}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What ADES names an object by; one of them at least."""

    perm_id: str = ""  # number: 5945, 29P, 73P-C
    prov_id: str = ""  # provisional designation: 2015 LA1, C/2019 Y4
    trk_sub: str = ""  # the observer's own

    @property
    def key(self) -> str:
        """One text for the object."""
        return self.perm_id or self.prov_id or self.trk_sub


def unpack(designation: Designation) -> Identity:
    """Read columns 1-12.

    Raises
    ------
    BadInput
        They are of no known form.

    Examples
    --------
    >>> [unpack(Designation(number=n, provisional=p)).key for n, p in
    ...  (("~0O1R", ""), ("", "K15L01A"), ("", "_QC0aEM"), ("    C", "K19Y040"), ("0073P", "      c"))]
    ['712345', '2015 LA1', '2026 CZ6190', 'C/2019 Y4', '73P-C']
    """
    number, provisional = designation.number, designation.provisional
    if not number.strip():
        return _unnumbered(provisional)
    if len(number.strip()) == 1 and number.strip() in "CPDXAI":
        return Identity(prov_id=f"{number.strip()}/{_comet(provisional)}")
    trailing = provisional.strip()
    if number.strip() == "S" and (moon := _NEW_SATELLITE.fullmatch(trailing)) is not None:
        order = _BASE62.index(moon[4][0]) * 10 + int(moon[4][1])
        return Identity(prov_id=f"S/{_year(moon)} {moon[3]} {order}")
    if (comet := _COMET_NUMBER.fullmatch(number)) is not None:
        if trailing and not re.fullmatch(r"[a-z]{1,2}", trailing, re.ASCII):
            return Identity(perm_id=f"{int(comet[1])}{comet[2]}", prov_id=f"{comet[2]}/{_comet(trailing)}")
        fragment = f"-{trailing.upper()}" if trailing else ""
        return Identity(perm_id=f"{int(comet[1])}{comet[2]}{fragment}")
    if _SATELLITE.fullmatch(number):
        planet = {"M": "Mars", "J": "Jupiter", "S": "Saturn", "U": "Uranus", "N": "Neptune"}[number[0]]
        return Identity(perm_id=f"{planet} {int(number[1:4])}")
    if _LARGE_NUMBER.fullmatch(number):
        value = 620_000 + from_base62(number[1:])
    elif _NUMBER.fullmatch(number):
        value = _BASE62.index(number[0]) * 10_000 + int(number[1:])
    else:
        raise BadInput(f"columns 1-5: {number!r} is no packed number")
    if value < 1:
        raise BadInput(f"columns 1-5: {number!r} is number 0, which no object has: leave them blank")
    also = ""
    if trailing:
        also = _unnumbered(trailing).prov_id
        if not also:
            return Identity(perm_id=str(value), trk_sub=trailing)
    return Identity(perm_id=str(value), prov_id=also)


def from_base62(text: str) -> int:
    """Value of a number in the MPC's 62 digits.

    >>> from_base62("0O1R")
    92345
    """
    value = 0
    for letter in text:
        value = value * 62 + _BASE62.index(letter)
    return value


def _unnumbered(text: str) -> Identity:
    """Columns 6-12 alone: a provisional designation if they read as one, else the observer's own."""
    text = text.strip()
    if (match := _PROVISIONAL.fullmatch(text)) is not None:
        cycle = _BASE62.index(match[4][0]) * 10 + int(match[4][1])
        return Identity(prov_id=f"{_year(match)} {match[3]}{match[5]}{cycle or ''}")
    if (match := _EXTENDED.fullmatch(text)) is not None:
        cycle, letter = divmod(from_base62(match[3]), 25)
        year = 2000 + _BASE62.index(match[1])
        return Identity(prov_id=f"{year} {match[2]}{_SECOND_LETTERS[letter]}{cycle + 620}")
    if (match := _SURVEY.fullmatch(text)) is not None:
        return Identity(prov_id=f"{int(match[2])} {'T-' + match[1] if match[1] else 'P-L'}")
    if _TEMPORARY.fullmatch(text):
        return Identity(trk_sub=text)
    raise BadInput(f"columns 6-12: {text!r} is neither a packed nor a temporary designation")


def _comet(text: str) -> str:
    """Columns 6-12 of a comet: its provisional designation without the letter before the slash."""
    if (match := _COMET.fullmatch(text.strip())) is not None:
        number = _BASE62.index(match[4][0]) * 10 + int(match[4][1])
        fragment = f"-{match[5].upper()}" if match[5] != "0" else ""
        return f"{_year(match)} {match[3]}{number or ''}{fragment}"
    identity = _unnumbered(text)
    if not identity.prov_id:
        raise BadInput(f"columns 6-12: {text!r} is no packed comet designation")
    return identity.prov_id


def _year(match: re.Match[str]) -> int:
    return _CENTURIES[match[1]] + int(match[2])
