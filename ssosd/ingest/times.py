"""Time stamps as FITS headers write them, read into a day (MJD) and the seconds of that day."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from ssosd.days import DAY_S

MJD_OF_ORDINAL_0 = -678576  # MJD = proleptic Gregorian ordinal - 678576 (1858-11-17 is MJD 0)
_FIRST_MJD, _LAST_MJD = 2400.0, 88069.0  # 1865 (first photographs of stars) to 2099
_JD_MINUS_MJD = 2400000.5

_ISO = re.compile(r"([+-]?\d{4,5})[-/.](\d{1,2})[-/.](\d{1,2})(?:(?:[Tt_]|\s+)(\S.*))?$")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})(?:(?:[Tt_]|\s+)(\S.*))?$")
_OFFSET = r"(Z|UTC?|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})"
_CLOCK = re.compile(rf"(\d{{1,2}}):(\d{{1,2}})(?::(\d{{1,2}}(?:\.\d*)?))?\s*{_OFFSET}?$", re.IGNORECASE)
_ZONED = re.compile(rf":\d{{1,2}}(?:\.\d*)?\s*{_OFFSET}$", re.IGNORECASE)


class UnreadableTime(ValueError):  # noqa: N818 - a reason, turned into BadInput where the file is known
    """A value is no date or time, or could be read in more than one way; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """A point in time, or only a day."""

    day: int  # MJD of the day
    seconds: float | None  # since its midnight, 0 <= seconds < 86400; None when only the day is known

    @property
    def mjd(self) -> float:
        """MJD; midnight when only the day is known."""
        return self.day + (self.seconds or 0.0) / DAY_S


def at(day: int, seconds: float) -> Stamp:
    """Stamp with seconds brought into 0 to 86400."""
    carry, rest = divmod(seconds, DAY_S)
    return Stamp(day=day + int(carry), seconds=rest)


def parse_stamp(value: str | float) -> Stamp:
    """Read a date with or without time: ISO 8601, old FITS dates, MJD or JD as number or string.

    Parameters
    ----------
    value : str or float
        As in the header. Old FITS dates (``dd/mm/yy``, before 1999) are read when they can only mean one day.

    Raises
    ------
    UnreadableTime

    Examples
    --------
    >>> parse_stamp("2019-03-26T02:27:31.13Z")
    Stamp(day=58568, seconds=8851.13)
    >>> parse_stamp("2458568.5"), parse_stamp("15/04/88")
    (Stamp(day=58568, seconds=0.0), Stamp(day=47266, seconds=None))
    """
    if isinstance(value, (int, float)):
        return _from_number(float(value))
    text = value.strip().strip("'").strip()
    if re.fullmatch(r"[+-]?\d+\.?\d*(?:[EeDd][+-]?\d+)?", text):
        return _from_number(float(text.upper().replace("D", "E")))
    match = _ISO.match(text)
    if match is not None:
        year, month, day = (int(part) for part in match.groups()[:3])
        return _with_clock(_day(year, month, day, text), match.group(4), text)
    match = _SLASHED.match(text)
    if match is not None:
        first, second, year = (int(part) for part in match.groups()[:3])
        return _with_clock(_old_day(first, second, year, text), match.group(4), text)
    raise UnreadableTime(f"{value!r} is neither an ISO date nor MJD or JD")


def parse_clock(value: str | float) -> float:
    """Seconds since midnight: of ``hh:mm[:ss[.s]]``, of an ISO stamp's time, or a number of seconds.

    Raises
    ------
    UnreadableTime
        Also for a bare number below 24, which may be hours or seconds.

    Examples
    --------
    >>> parse_clock("02:27:31.13"), parse_clock("2019-03-26T02:27:31")
    (8851.13, 8851.0)
    """
    if isinstance(value, (int, float)) or re.fullmatch(r"\d+\.?\d*", value.strip()):
        seconds = float(value)
        if not 24.0 <= seconds < DAY_S + 1.0:
            raise UnreadableTime(f"{value} may be hours, seconds or days")
        return seconds
    text = value.strip()
    if _ISO.match(text):
        stamp = parse_stamp(text)
        if stamp.seconds is None:
            raise UnreadableTime(f"{value!r} is a date without time")
        return stamp.seconds
    seconds, offset = _clock(text, text)
    return seconds - offset


def is_zoned(text: str) -> bool:
    """Whether a time of day says its offset from UTC, which `parse_stamp` and `parse_clock` then subtract.

    >>> is_zoned("2019-03-26T02:27:31-07:00"), is_zoned("02:27:31Z"), is_zoned("2019-03-26T02:27:31")
    (True, True, False)
    """
    return _ZONED.search(text.strip()) is not None


def possible_day(mjd: float, text: str) -> int:
    """Day of an MJD that an exposure can be of; `text` is what it was read from.

    Raises
    ------
    UnreadableTime
        It is not of the years 1865 to 2099, or no number.
    """
    if not _FIRST_MJD <= mjd <= _LAST_MJD:
        raise UnreadableTime(f"{text!r} is not a date of the years 1865 to 2099")
    return int(mjd // 1)


def format_stamp(stamp: Stamp) -> str:
    """ISO 8601 with milliseconds, or with microseconds when they are not zero.

    >>> format_stamp(Stamp(day=58568, seconds=8851.13))
    '2019-03-26T02:27:31.130'
    >>> format_stamp(Stamp(day=58568, seconds=86399.9999999))
    '2019-03-27T00:00:00.000'
    """
    microseconds = round((stamp.seconds or 0.0) * 1e6)
    moment = datetime.datetime.fromordinal(stamp.day - MJD_OF_ORDINAL_0)
    moment += datetime.timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds" if microseconds % 1000 else "milliseconds")


def _from_number(number: float) -> Stamp:
    for mjd in (number, number - _JD_MINUS_MJD):
        if _FIRST_MJD <= mjd <= _LAST_MJD:
            day = int(mjd // 1)
            return at(day, (mjd - day) * DAY_S)
    raise UnreadableTime(f"{number:g} is neither an MJD nor a JD of the years 1865 to 2099")


def _day(year: int, month: int, day: int, text: str) -> int:
    try:
        mjd = datetime.date(year, month, day).toordinal() + MJD_OF_ORDINAL_0
    except ValueError as error:
        raise UnreadableTime(f"{text!r} is not a date: {error}") from error
    return possible_day(mjd, text)


def _old_day(first: int, second: int, year: int, text: str) -> int:
    """Day of ``dd/mm/yy`` or ``dd/mm/yyyy``; two-digit years ended with 1999 (FITS Standard 4.0, 4.4.2.1)."""
    if year < 100:
        if year < 70:
            raise UnreadableTime(f"{text!r} does not say its century")
        year += 1900
        if second <= 12:
            return _day(year, second, first, text)
    elif first <= 12 and second <= 12 and first != second:
        raise UnreadableTime(f"{text!r} may be day/month or month/day")
    month, day = (second, first) if second <= 12 else (first, second)
    return _day(year, month, day, text)


def _with_clock(day: int, clock: str | None, text: str) -> Stamp:
    if clock is None:
        return Stamp(day=day, seconds=None)
    seconds, offset = _clock(clock, text)
    return at(day, seconds - offset)


def _clock(clock: str, text: str) -> tuple[float, float]:
    """Seconds since midnight and the zone's offset in seconds."""
    match = _CLOCK.match(clock.strip())
    if match is None:
        raise UnreadableTime(f"{text!r} has no readable time of day")
    hours, minutes, seconds = int(match.group(1)), int(match.group(2)), float(match.group(3) or 0.0)
    if hours > 24 or minutes > 59 or seconds >= 61.0 or (hours == 24 and minutes + seconds > 0):
        raise UnreadableTime(f"{text!r} has no possible time of day")
    zone = match.group(4) or "Z"
    offset = 0.0
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = (int(digits[:2]) * 3600.0 + int(digits[2:]) * 60.0) * (-1.0 if zone[0] == "-" else 1.0)
    return hours * 3600.0 + minutes * 60.0 + seconds, offset
