"""Designations as the first twelve columns of an MPC record, packed by ``mpc-designation`` behind its gaps.

Packing: https://minorplanetcenter.org/iau/info/PackedDes.html and, for more than 619 cycles in a half-month,
the MPC's extended packed provisional scheme. What the package (1.1.0) does not do, or does wrong, and is done
here: it reads no ``433 Eros``, ``(433)``, ``C/2019 Y4 (ATLAS)`` nor ``1I``; drops the fragment of
``73P/Schwassmann-Wachmann 3-C``; takes ``2023 AA05`` for ``2023 AA5``; packs an extended designation of 1960
as one of 2060 and one beyond 62**4 as another object's; puts numbers into columns 8-12.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ssosd.errors import BadInput

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MAX_NUMBER = 620_000 + 62**4 - 1
_EXTENDED_FROM_CYCLE = 620
_EXTENDED_YEARS = range(2000, 2062)

_PROVISIONAL = re.compile(
    r"(?P<year>1[89]\d\d|2[01]\d\d) ?(?P<half>[A-HJ-Y])(?P<second>[A-HJ-Z])(?P<cycle>[1-9]\d*)?", re.ASCII
)
_OLD = re.compile(r"A[89]\d\d [A-HJ-Y][A-HJ-Z]", re.ASCII)
_SURVEY = re.compile(r"[1-9]\d{0,3} (?:P-L|T-[123])", re.ASCII)
#: ``(433) Eros`` or ``433 Eros``; two capitals would be the provisional designation ``2015 LA``.
_NUMBER_AND_NAME = re.compile(r"\(([1-9]\d*)\) ?.*|([1-9]\d*) [A-Z][^A-Z-].*", re.ASCII)
_NUMBERED_COMET = re.compile(
    r"(?P<number>[1-9]\d{0,3})(?P<kind>[PDI])(?:-(?P<fragment>[A-Z]{1,2}))?(?P<name>/.*)?", re.ASCII
)
_COMET = re.compile(
    r"(?P<kind>[PCDXAI])/"
    r"(?P<rest>(?:1\d{3}|2[01]\d\d) [A-HJ-Y](?:[1-9]\d*(?:-[A-Z])?|[A-HJ-Z](?:[1-9]\d*)?))(?: .*)?",
    re.ASCII,
)
_FRAGMENT_BEFORE_NAME = re.compile(
    r"\d{1,4}[PDI]-([A-Z]{1,2})(?=/|$)|[PD]/\d{4} [A-HJ-Y][A-Z]?\d*-([A-Z]{1,2})(?= |$)", re.ASCII
)
_FRAGMENT_AFTER_NAME = re.compile(r".*-([A-Z]{1,2})")

_TEMPORARY = re.compile(r"[A-Za-z][A-Za-z0-9]{0,6}", re.ASCII)
_LOOKS_PACKED = re.compile(
    r"[A-L]\d\d[A-HJ-Y][0-9A-Za-z]\d[0-9A-Za-z]|(?:PLS|T[123]S)\d{4}|[A-Za-z]\d{4}", re.ASCII
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Designation:
    """What columns 1-12 of an observation name the object by."""

    number: str = ""  # columns 1-5: packed number, or comet number and orbit type; blank for all others
    provisional: str = ""  # columns 6-12: packed provisional or temporary designation, left-justified

    @property
    def columns(self) -> str:
        """The twelve columns."""
        return f"{self.number:<5}{self.provisional:<7}"


def pack_number(number: int) -> str:
    """Five columns for the number of a minor planet.

    Raises
    ------
    BadInput
        Not within 1 and 15,396,335, the largest that five columns hold.

    Examples
    --------
    >>> [pack_number(n) for n in (1, 208785, 619999, 620000, 712345)]
    ['00001', 'K8785', 'z9999', '~0000', '~0O1R']
    """
    from mpc_designation import pack_permanent

    if not 1 <= number <= _MAX_NUMBER:
        raise BadInput(f"minor planet number {number}: not within 1 and {_MAX_NUMBER}")
    return str(pack_permanent(number))


def pack_provisional(text: str) -> str:
    """Seven columns for a provisional designation of a minor planet.

    Raises
    ------
    BadInput
        It is none, or cannot be packed.

    Examples
    --------
    >>> [pack_provisional(d) for d in ("2015 LA1", "2040 P-L", "A908 CJ", "2026 CZ6190")]
    ['K15L01A', 'PLS2040', 'J08C00J', '_QC0aEM']
    """
    from mpc_designation import pack_provisional as pack

    text = _tidy(text)
    if _SURVEY.fullmatch(text) or _OLD.fullmatch(text):
        return str(pack(text))
    match = _PROVISIONAL.fullmatch(text)
    if match is None:
        raise BadInput(f"{text!r} is no provisional designation of a minor planet (2015 LA1)")
    year, cycle = int(match["year"]), int(match["cycle"] or 0)
    if cycle >= _EXTENDED_FROM_CYCLE:
        letter = "ABCDEFGHJKLMNOPQRSTUVWXYZ".index(match["second"])
        if year not in _EXTENDED_YEARS or (cycle - _EXTENDED_FROM_CYCLE) * 25 + letter >= 62**4:
            raise BadInput(f"{text!r}: the extended packed form does not reach so far")
    return str(pack(f"{year} {match['half']}{match['second']}{cycle or ''}"))


def pack_comet(text: str) -> Designation:
    """Columns 1-12 for a comet or interstellar object, with its fragment, with or without its name.

    Raises
    ------
    BadInput
        Not a comet designation, or one that the record cannot hold.

    Examples
    --------
    >>> [pack_comet(d).columns for d in ("29P", "73P-C/Schwassmann-Wachmann", "C/2019 Y4 (ATLAS)", "1I")]
    ['0029P       ', '0073P      c', '    CK19Y040', '0001I       ']
    """
    from mpc_designation import MPCDesignationError, pack_comet_provisional

    text = _tidy(text)
    numbered = _NUMBERED_COMET.fullmatch(text)
    if numbered is not None:
        fragment = numbered["fragment"] or ""
        if not fragment and numbered["name"] and (after := _FRAGMENT_AFTER_NAME.fullmatch(numbered["name"])):
            fragment = after[1]
        number = f"{int(numbered['number']):04d}{numbered['kind']}"
        return Designation(number=number, provisional=f"{fragment.lower():>7}" if fragment else "")
    comet = _COMET.fullmatch(text)
    if comet is None:
        raise BadInput(f"{text!r} is no comet designation that fits the record (29P, C/2019 Y4)")
    try:
        if _PROVISIONAL.fullmatch(comet["rest"]):
            packed = pack_provisional(comet["rest"])
        else:
            packed = str(pack_comet_provisional(comet["rest"]))
    except MPCDesignationError as error:
        raise BadInput(f"{text!r} cannot be packed: {error}") from error
    return Designation(number=f"    {comet['kind']}", provisional=packed)


def known_designation(*, number: str, name: str) -> Designation:
    """Columns 1-12 for a known object as SkyBoT names it.

    Parameters
    ----------
    number : str
        ``5945``, ``29P``, or ``-`` / blank for an object without a number.
    name : str
        Proper name or provisional designation; used when there is no number.

    Raises
    ------
    BadInput
        Neither can be printed (a planet, a satellite, a bare name).

    Examples
    --------
    >>> known_designation(number="-", name="2015 LA1").columns  # columns 1-5 stay blank
    '     K15L01A'
    """
    number, name = _tidy(number).strip("()"), _tidy(name)
    if number.isascii() and number.isdigit() and int(number) > 0:
        return Designation(number=pack_number(int(number)))
    if comet := _NUMBERED_COMET.fullmatch(number):
        return pack_comet(number if comet["fragment"] else _with_fragment(number, name))
    for text in (number, name):
        if _NUMBERED_COMET.fullmatch(text) or re.match(r"[PCDXAI]/", text):
            return pack_comet(text)
    numbered = _NUMBER_AND_NAME.fullmatch(name)
    if numbered is not None:
        return Designation(number=pack_number(int(numbered[1] or numbered[2])))
    return Designation(provisional=pack_provisional(name))


def _with_fragment(number: str, name: str) -> str:
    """A numbered comet with the fragment that its name tells, wherever it stands there.

    >>> [_with_fragment("73P", name) for name in ("73P-B/Schwassmann-Wachmann 3", "Schwassmann-Wachmann 3-C")]
    ['73P-B', '73P/Schwassmann-Wachmann 3-C']
    >>> _with_fragment("141P", "P/1994 P1-A (Machholz)"), _with_fragment("332P", "P/2010 V1")
    ('141P-A', '332P/P/2010 V1')
    """
    told = _FRAGMENT_BEFORE_NAME.match(name)
    return f"{number}-{told[1] or told[2]}" if told else f"{number}/{name}"


def temporary_designation(text: str) -> Designation:
    """Columns 1-12 for an observer's own designation of an unknown object.

    Raises
    ------
    BadInput
        Not a letter and up to six letters or digits, or one that reads like a packed designation.

    Examples
    --------
    >>> temporary_designation("sFy9001").columns
    '     sFy9001'
    """
    if _TEMPORARY.fullmatch(text) is None:
        raise BadInput(f"temporary designation {text!r}: a letter, then up to six of A-Z, a-z, 0-9")
    if _LOOKS_PACKED.fullmatch(text):
        raise BadInput(f"temporary designation {text!r} reads like a packed designation")
    return Designation(provisional=text)


def base62(value: int, width: int) -> str:
    """Write a number with the MPC's 62 digits, zero-filled.

    >>> base62(92345, 4)
    '0O1R'
    """
    digits = ""
    for _ in range(width):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    if value:
        raise BadInput(f"a number too large for {width} base-62 digits")
    return digits


def _tidy(text: str) -> str:
    return re.sub(r"[_\s]+", " ", text).strip()
