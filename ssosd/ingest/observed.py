"""When, how long, through what and of what an exposure was taken: keywords and their stand-ins.

A stand-in for a keyword that is absent is always said in the warnings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ssosd.days import DAY_S
from ssosd.errors import BadInput
from ssosd.headermap import HeaderRule
from ssosd.headermap.rule import matches
from ssosd.ingest.headers import Found, HeaderStack, normalised, number
from ssosd.ingest.mapped import SECONDS, mapped_start
from ssosd.ingest.starttime import read_start
from ssosd.ingest.times import Stamp
from ssosd.model import HeaderKeywords

EXPTIME_KEYWORDS = (
    "EXPTIME",
    "EXPOSURE",
    "XPOSURE",
    "EXP_TIME",
    "EXP-TIME",
    "TEXP",
    "ITIME",
    "EXPOS",
    "TELAPSE",
)
_SECOND_WORD = "EXPOSURE"  # believed where the wanted keyword says 0 and it does not
FILTER_KEYWORDS = ("FILTER", "FILTNAM", "FILTNAME", "FILTERS", "FILTERID", "FILT", "FILTER01")
OBJECT_KEYWORDS = ("OBJECT", "OBJNAME", "TARGNAME", "TARGET")

#: Units in comments with their seconds, surest first; µ is no ASCII and arrives as one or two question marks.
_UNITS = tuple(
    (re.compile(pattern, re.IGNORECASE), unit, seconds)
    for pattern, unit, seconds in (
        (r"\bmilli[- ]?sec|\bmsec|[\[(]ms[\])]", "milliseconds", 1e-3),
        (r"\bmicro[- ]?sec|\busec|[\[(]us[\])]|(?<!\w)\?\??s(?:ec)?\b", "microseconds", 1e-6),
        (r"\bsec|\bs\b", "seconds", 1.0),
        (r"\bminutes?\b|[\[(]min[\])]|\bin min\b|(?<![\d/])(?<!\d )\bmin\.?\s*$", "minutes", 60.0),
        (r"\bhours?\b|[\[(]h(?:r|rs)?[\])]", "hours", 3600.0),
        (r"(?<!\d)(?<!\d )\bms\b", "milliseconds", 1e-3),  # but not "to 1 ms"
        (r"(?<!\d)(?<!\d )\b(?-i:us)\b", "microseconds", 1e-6),
    )
)
_OPEN_FILTER = re.compile(r"^(?:open\S*|clear\S*|air|none|blank|empty|notpresent|n/?a)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What a header says of the observation."""

    start: Stamp  # of the exposure, UTC, with seconds
    exptime_s: float  # exposure time, seconds
    filter: str  # "" when there is none
    object: str  # target, "" when there is none
    notes: tuple[str, ...]


def read_observed(
    stack: HeaderStack, *, keywords: HeaderKeywords, rule: HeaderRule | None, name: str
) -> Observed:
    """Read time, exposure time, filter and target, as the instrument's rule says, else as configured.

    Raises
    ------
    BadInput
        There is no time or no exposure time.
    """
    exptime_s, notes = read_exptime(
        stack,
        keyword=(rule.exptime if rule is not None else "") or keywords.exptime,
        unit=rule.exptime_unit if rule is not None else "",
        name=name,
    )
    if rule is not None and rule.time:
        start, start_notes = mapped_start(stack, rule, exptime_s=exptime_s, name=name)
    else:
        start, start_notes = read_start(stack, keyword=keywords.date_obs, exptime_s=exptime_s, name=name)
    band, filter_notes = read_filter(
        stack, keyword=(rule.filter if rule is not None else "") or keywords.filter
    )
    if rule is not None:
        band = next((called for glob, called in rule.bands if matches(band, (glob,))), band)
    return Observed(
        start=start,
        exptime_s=exptime_s,
        filter=band,
        object=read_object(stack, keyword=(rule.object if rule is not None else "") or keywords.object),
        notes=(*notes, *start_notes, *filter_notes),
    )


def read_exptime(
    stack: HeaderStack, *, keyword: str, name: str, unit: str = ""
) -> tuple[float, tuple[str, ...]]:
    """Exposure time in seconds.

    Parameters
    ----------
    stack : HeaderStack
    keyword : str
        As configured.
    name : str
        Of the file, for messages.
    unit : str
        "s", "ms", "min" or "h"; "": as the card's comment says, else seconds.

    Raises
    ------
    BadInput
        Absent, no number, NaN, zero, negative, or a day or more, as of a wrong unit.
    """
    notes: list[str] = []
    found = _first(stack, keyword, EXPTIME_KEYWORDS, notes)
    if found is None:
        raise BadInput(
            f"{name}: no exposure time: {keyword} is absent",
            next_step="set EXPTIME in the configuration to the keyword that holds it",
        )
    if _is_zero(found) and (other := stack.find(_SECOND_WORD)) is not None and not _is_zero(other):
        notes.append(f"{found.keyword} is 0; used {other.keyword} instead")
        found = other
    text = found.text
    number_found = number(re.sub(r"\s*s(?:ec(?:onds?)?)?$", "", text, flags=re.IGNORECASE))
    stated, factor = (unit, SECONDS[unit]) if unit else _unit(found.comment)
    seconds = 0.0 if number_found is None or isinstance(found.value, bool) else number_found * factor
    if not 0.0 < seconds < DAY_S:
        raise BadInput(
            f"{name}: {found.keyword}={text} is no exposure time (more than 0 seconds, less than a day)",
            next_step="a calibration frame? else set EXPTIME in the configuration to the right keyword",
        )
    if not unit and factor != 1.0:
        notes.append(f"{found.keyword} is in {stated} by its comment: {number_found:g} read as {seconds:g} s")
    return seconds, tuple(notes)


def read_filter(stack: HeaderStack, *, keyword: str) -> tuple[str, tuple[str, ...]]:
    """Filter name as the header writes it, "" when there is none."""
    notes: list[str] = []
    found = _first(stack, keyword, FILTER_KEYWORDS, notes)
    if found is not None:
        return found.text, tuple(notes)
    wheels = [found for n in range(1, 5) if (found := stack.find(f"FILTER{n}")) is not None]
    if not wheels:
        return "", ()
    used = [w for w in wheels if not _OPEN_FILTER.match(w.text)] or wheels[:1]
    return "+".join(w.text for w in used), (
        f"{keyword} is absent; used {'+'.join(w.keyword for w in used)} instead",
    )


def read_object(stack: HeaderStack, *, keyword: str) -> str:
    """Target name, "" when there is none."""
    found = _first(stack, keyword, OBJECT_KEYWORDS, [])
    return "" if found is None else found.text


def _first(stack: HeaderStack, keyword: str, others: tuple[str, ...], notes: list[str]) -> Found | None:
    found = stack.find(keyword)
    if found is not None:
        return found
    for other in others:
        found = stack.find(other)
        if found is not None:
            notes.append(f"{normalised(keyword)} is absent; used {found.keyword} instead")
            return found
    return None


def _is_zero(found: Found) -> bool:
    return not isinstance(found.value, bool) and number(found.value) == 0.0


def _unit(comment: str) -> tuple[str, float]:
    for pattern, unit, seconds in _UNITS:
        if pattern.search(comment):
            return unit, seconds
    return "seconds", 1.0
