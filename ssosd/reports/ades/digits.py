"""Numbers of an ADES record: decimal text that says the same as the 80 columns to their last digit.

Both are rounded from the same value, but to other digits: rounding the shorter one from the longer could
differ by one. Where it would, the neighbouring decimal is taken, which is less than a unit of its last digit
from the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date

from ssosd.errors import BadInput
from ssosd.reports.obs80 import Precision, format_date, format_dec, format_magnitude, format_ra

_MJD_EPOCH = date(1858, 11, 17).toordinal()
_DAY_SECONDS = 86_400


def _agreeing(value: float, decimals: int, shown: Callable[[int], str], wanted: str) -> int:
    """Count of 10**-decimals nearest to a value that is shown as wanted; the nearest if none is."""
    scaled = value * 10**decimals
    nearest = round(scaled)
    other = math.floor(scaled) if nearest > scaled else math.ceil(scaled)
    return next((units for units in (nearest, other) if shown(units) == wanted), nearest)


def _decimal(units: int, decimals: int, *, sign: str = "") -> str:
    whole, fraction = divmod(units, 10**decimals)
    return f"{sign}{whole}.{fraction:0{decimals}d}" if decimals else f"{sign}{whole}"


def time_text(mjd: float, decimals: int, precision: Precision) -> str:
    """UTC MJD as ADES' obsTime.

    Raises
    ------
    BadInput
        It is no date of four digits of the year.

    Examples
    --------
    >>> time_text(58848.99999999999, 2, Precision())
    '2020-01-01T00:00:00.00Z'
    """
    wanted = format_date(mjd, precision.day)
    day = math.floor(mjd)
    per_day = _DAY_SECONDS * 10**decimals

    def shown(units: int) -> str:
        return format_date(day + units / per_day, precision.day)

    units = _agreeing((mjd - day) * _DAY_SECONDS, decimals, shown, wanted)
    carry, units = divmod(units, per_day)
    try:
        calendar = date.fromordinal(_MJD_EPOCH + day + carry)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"obsTime: MJD {mjd} is no date that can be written") from error
    seconds, fraction = divmod(units, 10**decimals)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    point = f".{fraction:0{decimals}d}" if decimals else ""
    return f"{calendar.isoformat()}T{hours:02d}:{minutes:02d}:{seconds:02d}{point}Z"


def ra_text(ra_deg: float, decimals: int, precision: Precision) -> str:
    """Right ascension in degrees within [0, 360).

    >>> ra_text(359.99999999, 6, Precision()), ra_text(-10.0, 6, Precision())
    ('0.000000', '350.000000')
    """
    wanted = format_ra(ra_deg, precision.ra)
    scale = 10**decimals
    units = _agreeing(ra_deg % 360.0, decimals, lambda u: format_ra(u / scale, precision.ra), wanted)
    return _decimal(units % (360 * scale), decimals)


def dec_text(dec_deg: float, decimals: int, precision: Precision) -> str:
    """Declination in degrees with its sign.

    >>> dec_text(-0.508333333, 6, Precision()), dec_text(12.0, 6, Precision())
    ('-0.508333', '+12.000000')
    """
    wanted = format_dec(dec_deg, precision.dec)
    scale = 10**decimals
    sign = "-" if dec_deg < 0.0 else "+"
    turn = -1.0 if dec_deg < 0.0 else 1.0
    units = _agreeing(
        abs(dec_deg), decimals, lambda u: format_dec(turn * min(u / scale, 90.0), precision.dec), wanted
    )
    units = min(units, 90 * scale)
    return _decimal(units, decimals, sign=sign if units else "+")


def magnitude_text(mag: float, decimals: int, precision: Precision) -> str:
    """Magnitude, with no fewer digits than the 80 columns have.

    >>> magnitude_text(20.251, 2, Precision()), magnitude_text(20.251, 1, Precision())
    ('20.26', '20.3')
    """
    wanted = format_magnitude(mag, precision.mag)
    decimals = max(decimals, precision.mag)
    scale = 10**decimals
    sign = "-" if mag < 0.0 else ""
    turn = -1.0 if mag < 0.0 else 1.0
    units = _agreeing(abs(mag), decimals, lambda u: format_magnitude(turn * u / scale, precision.mag), wanted)
    return _decimal(units, decimals, sign=sign if units else "")


def positive_text(value: float, decimals: int, *, width: int) -> str:
    """A positive number in no more characters than allowed, "" where it is none.

    >>> positive_text(0.0001, 3, width=6), positive_text(1234.5678, 3, width=6)
    ('0.001', '1234.6')
    """
    if not math.isfinite(value) or value <= 0.0:
        return ""
    value = max(value, 10.0**-decimals)
    text = f"{value:.{decimals}f}"
    while len(text) > width and decimals:
        decimals -= 1
        text = f"{value:.{decimals}f}"
    return text if len(text) <= width else ""
