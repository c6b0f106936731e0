"""Figures as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from numbers import Real

from ssosd.days import DAY_S
from ssosd.plumbing.text import counted

MISSING = "–"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def number(value: object, digits: int, *, sign: bool = False, exponent: bool = False) -> str:
    """A number with so many decimals; `MISSING` for None, NaN and what is no number.

    >>> number(3.14159, 2), number(-0.001, 2, sign=True), number(None, 1), number(7.9e-08, 1, exponent=True)
    ('3.14', '+0.00', '–', '8 · 10⁻⁸')
    """
    if not isinstance(value, Real) or not math.isfinite(value):
        return MISSING
    value = float(value)
    if exponent and 0.0 < abs(value) < 0.01:
        power = math.floor(math.log10(abs(value)))
        return f"{value / 10.0**power:.0f} · 10⁻{str(-power).translate(_RAISED)}"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", "+" if sign else "") if not float(text) else text.replace("-", "−")


def became(outcome: str, count: int) -> str:
    """How many files came to what.

    >>> became("exposure", 1), became("duplicate", 2), became("parked", 2)
    ('1 exposure', '2 duplicates', '2 parked')
    """
    return counted(count, outcome) if outcome in ("exposure", "duplicate") else f"{count} {outcome}"


def sexagesimal(ra_deg: float, dec_deg: float) -> tuple[str, str]:
    """Right ascension in hours and declination in degrees.

    >>> sexagesimal(359.99999999, -0.5)
    ('00 00 00.00', '−00 30 00.0')
    """
    centis = round(ra_deg % 360.0 / 15.0 * 360000.0) % 8640000
    tenths = round(abs(dec_deg) * 36000.0)
    sign = "−" if dec_deg < 0 else "+"
    return (
        f"{centis // 360000:02d} {centis // 6000 % 60:02d} {centis % 6000 / 100.0:05.2f}",
        f"{sign}{tenths // 36000:02d} {tenths // 600 % 60:02d} {tenths % 600 / 10.0:04.1f}",
    )


def utc(mjd: float) -> str:
    """A Modified Julian Date as date and time to the second.

    >>> utc(61358.95907431713)
    '2026-11-14 23:01:04'
    """
    return f"{_MJD_ZERO + timedelta(seconds=round(mjd * DAY_S)):%Y-%m-%d %H:%M:%S}"
