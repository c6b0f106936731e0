"""World coordinate cards made sane: strings to numbers, one matrix, degrees, names as the standard has them.

Papers: FITS WCS I and II (Greisen and Calabretta 2002; Calabretta and Greisen 2002), SIP (Shupe et al. 2005),
TPV (registered convention), SCAMP's PV polynomial under CTYPE TAN (same formula as TPV).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ssosd.errors import BadInput
from ssosd.ingest.headers import Cards, number

_CTYPE = re.compile(r"([A-Z]+?)-*(?:-([A-Z]{3})(-SIP)?)$")
_LONGITUDES = {"RA": "DEC", "GLON": "GLAT", "ELON": "ELAT"}
_DEGREES = {
    "": 1.0, "DEG": 1.0, "DEGREE": 1.0, "DEGREES": 1.0, "DEGS": 1.0,
    "ARCMIN": 1.0 / 60.0, "ARCSEC": 1.0 / 3600.0, "MAS": 1.0 / 3.6e6, "RAD": math.degrees(1.0),
}  # fmt: skip
_SIP = re.compile(r"([AB])_(\d)_(\d)$")
_PV = re.compile(r"PV([12])_(\d{1,2})$")
_WAT_LENGTH = 68
_MAX_PV = 39  # of the TPV convention: polynomials of degree 7
_KNOWN_FRAMES = {"ICRS", "FK5", "FK4", "FK4-NO-E"}
_FIX = "correct the card, or solve the astrometry of the frame again"


@dataclass(frozen=True, kw_only=True, slots=True)
class WcsCards:
    """What astropy is given, longitude first, and what was done to get there."""

    values: Mapping[str, str | float | int]
    axes: str  # "RA", "GLON" or "ELON"
    projection: str  # three letters; TPV also for TAN with SCAMP's PV polynomial
    radesys: str  # "ICRS", "FK5", "FK4" or "FK4-NO-E"
    equinox: float | None  # years, Besselian for FK4
    pv: Mapping[tuple[int, int], float]  # (1 longitude or 2 latitude, index)
    plain: bool  # SExtractor and SCAMP read the original cards the same way
    description: str
    notes: tuple[str, ...]


@dataclass
class _Work:
    """Notes and doubts gathered on the way."""

    cards: Cards
    label: str
    strings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plain: bool = True

    def number(self, keyword: str) -> float | None:
        """Finite value or None; a string is noted, garbage is said."""
        value = self.cards.get(keyword)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        result = number(value)
        if result is None or not math.isfinite(result):
            self.note(f"{keyword}={self.cards.text(keyword)!r} is no number and was ignored")
            return None
        if isinstance(value, str):
            self.strings.append(keyword)
        return result

    def note(self, text: str) -> None:
        """Record something that makes the original cards unfit to be read as they are."""
        self.plain = False
        self.notes.append(text)

    def needed(self, keyword: str) -> float:
        """Value that a WCS cannot be without."""
        before = len(self.notes)
        value = self.number(keyword)
        if value is not None:
            return value
        said = self.cards.text(keyword)
        self.notes = self.notes[:before]
        reason = f"{keyword}={said!r} is no number" if said else f"{keyword} is absent"
        raise BadInput(f"{self.label}: WCS incomplete: {reason}", next_step=_FIX)


def has_wcs(cards: Cards) -> bool:
    """Whether CTYPE1 and CTYPE2 name a pair of celestial axes (with or without a known projection)."""
    names = {cards.text(f"CTYPE{n}").upper().split("-")[0] for n in (1, 2)}
    return any(names == {lon, lat} for lon, lat in _LONGITUDES.items())


def sanitise(cards: Cards, *, label: str) -> WcsCards:
    """Read the WCS cards of axes 1 and 2 and bring them to one form.

    Parameters
    ----------
    cards : Cards
        With celestial axes (`has_wcs`).
    label : str
        File and HDU, for messages.

    Raises
    ------
    BadInput
        A necessary card is absent or no number, or the matrix is singular.
    """
    work = _Work(cards, label)
    names, projection, sip = _types(work)
    swapped = names[0] not in _LONGITUDES
    order = (2, 1) if swapped else (1, 2)  # the header's axes, longitude first
    matrix = _matrix(work, latitude_axis=order[1])
    pv, projection = _pv(work, projection, sip=sip, order=order)
    polynomial = _sip(work, sip=sip, has_pv=projection == "TPV")
    values: dict[str, str | float | int] = {}
    for axis, old in enumerate(order, start=1):
        factor = _unit_factor(work, old)
        values[f"CTYPE{axis}"] = f"{names[old - 1]:-<4}-{projection}{'-SIP' if polynomial else ''}"
        values[f"CUNIT{axis}"] = "deg"
        values[f"CRVAL{axis}"] = work.needed(f"CRVAL{old}") * factor
        values[f"CRPIX{axis}"] = work.needed(f"CRPIX{axis}")
        for column in (1, 2):
            values[f"CD{axis}_{column}"] = matrix[old - 1][column - 1] * factor
        if projection in {"TNX", "ZPX"}:
            values |= {f"WAT{axis}_{number:03d}": text for number, text in _wat(cards, old)}
    if any(re.fullmatch(r"PROJP\d+", keyword) for keyword in cards):
        work.plain = False  # an old name of PV that only SExtractor and SCAMP know
    pole = _pole(work, values)
    values |= polynomial
    values |= {f"PV{axis}_{index}": value for (axis, index), value in pv.items()}
    radesys, equinox = _frame(work)
    if work.strings:
        names_said = ", ".join(work.strings[:3])
        work.note(f"{len(work.strings)} WCS numbers were stored as strings ({names_said}, ...)")
    axes = names[order[0] - 1]
    framed = "" if axes == "RA" and radesys == "ICRS" else f" in {axes if axes != 'RA' else radesys}"
    late = "" if equinox in (None, 2000.0) or axes == "GLON" else f" {equinox:g}"
    return WcsCards(
        values=values,
        axes=axes,
        projection=projection,
        radesys=radesys,
        equinox=equinox,
        pv=pv,
        plain=work.plain and not pole and not swapped and axes == "RA" and not polynomial,
        description=f"{projection}{'-SIP' if polynomial else ''}{framed}{late}",
        notes=tuple(work.notes),
    )


def _types(work: _Work) -> tuple[tuple[str, str], str, bool]:
    found = []
    for axis in (1, 2):
        text = work.cards.text(f"CTYPE{axis}").upper()
        match = _CTYPE.match(text)
        if match is None:
            raise BadInput(f"{work.label}: CTYPE{axis}={text!r} names no projection", next_step=_FIX)
        name, projection, sip = match.groups()
        standard = f"{name:-<4}-{projection}{sip or ''}"
        if standard != work.cards.text(f"CTYPE{axis}"):
            work.note(f"CTYPE{axis}={work.cards.text(f'CTYPE{axis}')!r} read as {standard!r}")
        found.append((name, projection, bool(sip)))
    (first, one, sip1), (second, two, sip2) = found
    if one != two:
        raise BadInput(
            f"{work.label}: CTYPE1 and CTYPE2 name different projections ({one}, {two})", next_step=_FIX
        )
    return (first, second), one, sip1 or sip2


def _unit_factor(work: _Work, axis: int) -> float:
    text = work.cards.text(f"CUNIT{axis}")
    factor = _DEGREES.get(text.upper())
    if factor is None:
        work.note(f"CUNIT{axis}={text!r} is unknown and was taken as degrees")
        return 1.0
    if factor != 1.0:
        work.plain = False
    return factor


def _matrix(work: _Work, *, latitude_axis: int) -> list[list[float]]:
    """Degrees per pixel: CDi_j, else CDELTi with PCi_j, PC00i00j or CROTA (WCS I, sections 2.1 and 6.1)."""
    pairs = [(i, j) for i in (1, 2) for j in (1, 2)]
    cd = {(i, j): work.number(f"CD{i}_{j}") for i, j in pairs}
    steps = [work.number(f"CDELT{axis}") for axis in (1, 2)]
    pc = {(i, j): work.number(f"PC{i}_{j}") for i, j in pairs}
    old = {(i, j): work.number(f"PC00{i}00{j}") for i, j in pairs}
    for source in (cd, pc, old):
        if all(value is None for value in source.values()):
            continue
        if source is cd:
            full = [[cd[i, j] or 0.0 for j in (1, 2)] for i in (1, 2)]
            if cd[1, 1] is None or cd[2, 2] is None:
                work.plain = False  # SExtractor's default for a missing diagonal element is 1
        else:
            full = [[_scaled(source[i, j], i == j, steps[i - 1]) for j in (1, 2)] for i in (1, 2)]
        if _determinant(full) != 0.0:
            return full
        work.note("the CD or PC matrix is singular; CDELT was tried instead")
    if steps[0] is None or steps[1] is None:
        raise BadInput(
            f"{work.label}: no WCS scale: no regular CDi_j, PCi_j, no CDELT{1 if steps[0] is None else 2}",
            next_step=_FIX,
        )
    angle = math.radians(work.number(f"CROTA{latitude_axis}") or 0.0)
    cos, sin = math.cos(angle), math.sin(angle)
    full = [[steps[0] * cos, -steps[1] * sin], [steps[0] * sin, steps[1] * cos]]
    if latitude_axis == 1:
        full = [[steps[0] * cos, steps[1] * sin], [-steps[0] * sin, steps[1] * cos]]
    if _determinant(full) == 0.0:
        raise BadInput(
            f"{work.label}: WCS singular: CDELT1={steps[0]:g}, CDELT2={steps[1]:g}", next_step=_FIX
        )
    return full


def _scaled(element: float | None, diagonal: bool, step: float | None) -> float:
    """One element of CDELTi * PCi_j with the defaults of the standard."""
    return (1.0 if step is None else step) * (float(diagonal) if element is None else element)


def _determinant(matrix: list[list[float]]) -> float:
    return matrix[0][0] * matrix[1][1] - matrix[0][1] * matrix[1][0]


def _pole(work: _Work, values: dict[str, str | float | int]) -> bool:
    """Native pole cards; True when they are not the default of a zenithal projection."""
    longitude = work.number("LONPOLE")
    if longitude is None:
        longitude = work.number("LONGPOLE")
    latitude = work.number("LATPOLE")
    if longitude is not None:
        values["LONPOLE"] = longitude
    if latitude is not None and abs(latitude) <= 90.0:
        values["LATPOLE"] = latitude
    return longitude not in (None, 180.0)


def _sip(work: _Work, *, sip: bool, has_pv: bool) -> dict[str, str | float | int]:
    """SIP polynomial; used also where CTYPE does not say -SIP (many headers), which is said."""
    terms: dict[str, str | float | int] = {}
    for keyword in work.cards:
        match = _SIP.match(keyword)
        if match is not None:
            value = work.number(keyword)
            if value:
                terms[keyword] = value
    orders = [work.number(f"{letter}_ORDER") for letter in "AB"]
    if orders == [None, None] or not terms:
        if terms:
            work.note("SIP coefficients without A_ORDER and B_ORDER were ignored")
        elif sip and orders == [None, None]:
            work.note("CTYPE says -SIP, but there are no SIP coefficients")
        return {}
    order = int(max(value or 0.0 for value in orders))
    if order < 1 or order > 9:
        work.note(f"A_ORDER={order} is no SIP order; its coefficients were ignored")
        return {}
    if has_pv:
        work.note("SIP coefficients were ignored because a TPV polynomial is present")
        return {}
    if not sip:
        work.note("SIP coefficients were used although CTYPE does not end in -SIP")
    kept = {k: v for k, v in terms.items() if int(k[2]) + int(k[4]) <= order}
    return {"A_ORDER": order, "B_ORDER": order, **kept}


def _wat(cards: Cards, axis: int) -> list[tuple[int, str]]:
    """IRAF's distortion string of an axis; blanks are added so that no piece ends in one: wcslib loses it."""
    pattern = re.compile(rf"WAT{axis}_(\d{{3}})\s*=\s*'(.*)'")
    found = [match for raw in cards.raw if (match := pattern.match(raw)) is not None]
    joined = "".join(match.group(2) for match in sorted(found, key=lambda match: match.group(1)))
    for blanks in range(1, _WAT_LENGTH):
        text = joined.replace(" ", " " * blanks, 1)
        pieces = [text[at : at + _WAT_LENGTH] for at in range(0, len(text), _WAT_LENGTH)]
        if not any(piece.endswith(" ") for piece in pieces[:-1]):
            break
    return list(enumerate(pieces, start=1))


def _pv(
    work: _Work, projection: str, *, sip: bool, order: tuple[int, int]
) -> tuple[dict[tuple[int, int], float], str]:
    """PV cards that count, longitude first, and TPV for a TAN whose PV cards are SCAMP's polynomial."""
    pv: dict[tuple[int, int], float] = {}
    for keyword in work.cards:
        match = _PV.match(keyword)
        value = None if match is None else work.number(keyword)
        if match is not None and value is not None:
            pv[order.index(int(match.group(1))) + 1, int(match.group(2))] = value
    if projection not in {"TAN", "TPV"}:
        return pv, projection
    pv = {key: value for key, value in pv.items() if key[1] <= _MAX_PV}
    if not any(pv.values()):
        if pv:
            work.notes.append("all PV cards are zero and were ignored")
        return {}, "TAN"
    if sip and projection == "TAN":
        work.note("PV cards were ignored because the CTYPE asks for SIP")
        return {}, projection
    first = pv.get((1, 1), 0.0)
    scamp = any(axis != 1 or index > 4 for axis, index in pv) or 0.5 < first < 1.5
    if projection == "TAN" and not scamp:
        # Native reference point and pole (WCS II, section 2.5), where SCAMP would see a polynomial.
        work.plain = False
        return pv, "TAN"
    for axis in (1, 2):
        if (axis, 1) not in pv:
            work.note(f"PV{order[axis - 1]}_1 is absent and was taken as 1")
            pv[axis, 1] = 1.0
    return pv, "TPV"


def _frame(work: _Work) -> tuple[str, float | None]:
    """RADESYS and equinox with the standard's defaults (WCS II, section 3.1); old names too."""
    radesys = (work.cards.text("RADESYS") or work.cards.text("RADECSYS")).upper()
    equinox = None
    for keyword in ("EQUINOX", "EPOCH"):
        text = work.cards.text(keyword).upper().lstrip("JB")
        value = number(text)
        usable = value is not None and 1800.0 <= value <= 2200.0
        if text and (isinstance(work.cards.get(keyword), str) or not usable):
            work.plain = False  # SExtractor would precess by whatever it makes of the text
        if equinox is None and usable:
            equinox = value
    if radesys and radesys not in _KNOWN_FRAMES:
        work.note(f"RADESYS={radesys!r} is unknown and was taken as ICRS")
        return "ICRS", None
    if not radesys:
        radesys = "FK4" if equinox is not None and equinox < 1984.0 else "FK5"
        if equinox in (None, 2000.0):
            radesys = "ICRS"
    if equinox not in (None, 2000.0) or radesys.startswith("FK4"):
        work.plain = False
        if radesys == "ICRS":
            work.note(f"EQUINOX={equinox:g} has no meaning in ICRS and was ignored")
            return radesys, None
    return radesys, equinox
