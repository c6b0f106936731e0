"""How long, through what and of what an exposure was taken: keywords and their stand-ins.

A stand-in for a keyword that is absent is always said in the warnings.
"""

from __future__ import annotations

import re

from ssosd.errors import BadInput
from ssosd.ingest.headers import Found, HeaderStack, normalised, number

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
FILTER_KEYWORDS = ("FILTER", "FILTNAM", "FILTNAME", "FILTERS", "FILTERID", "FILT", "FILTER01")
OBJECT_KEYWORDS = ("OBJECT", "OBJNAME", "TARGNAME", "TARGET")

_OPEN_FILTER = re.compile(r"^(?:open\S*|clear\S*|air|none|blank|empty|notpresent|n/?a)$", re.IGNORECASE)


def read_exptime(stack: HeaderStack, *, keyword: str, name: str) -> tuple[float, tuple[str, ...]]:
    """Exposure time in seconds.

    Raises
    ------
    BadInput
        Absent, no number, NaN, zero or negative.
    """
    notes: list[str] = []
    found = _first(stack, keyword, EXPTIME_KEYWORDS, notes)
    if found is None:
        raise BadInput(
            f"{name}: no exposure time: {keyword} is absent",
            next_step="set EXPTIME in the configuration to the keyword that holds it",
        )
    text = found.text
    seconds = number(re.sub(r"\s*s(?:ec(?:onds?)?)?$", "", text, flags=re.IGNORECASE))
    if isinstance(found.value, bool) or seconds is None or not 0.0 < seconds < float("inf"):
        raise BadInput(
            f"{name}: {found.keyword}={text} is no exposure time (more than 0 seconds)",
            next_step="a calibration frame? else set EXPTIME in the configuration to the right keyword",
        )
    unit, factor = _unit(found.comment)
    if factor != 1.0:
        notes.append(
            f"{found.keyword} is in {unit} by its comment: {seconds:g} read as {seconds * factor:g} s"
        )
    return seconds * factor, tuple(notes)


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


def _unit(comment: str) -> tuple[str, float]:
    if re.search(r"\bmillisec|\bmsec|[\[(]ms[\])]", comment, re.IGNORECASE):
        return "milliseconds", 1e-3
    if re.search(r"\bsec|\bs\b", comment, re.IGNORECASE):
        return "seconds", 1.0
    if re.search(r"\bminutes?\b|[\[(]min[\])]", comment, re.IGNORECASE):
        return "minutes", 60.0
    if re.search(r"\bhours?\b|[\[(]h(?:r|rs)?[\])]", comment, re.IGNORECASE):
        return "hours", 3600.0
    return "seconds", 1.0
