"""When an exposure was taken: the keywords of its start, their stand-ins, and what is never guessed.

A stand-in for a keyword that is absent or unreadable is always said in the warnings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from astropy.time import Time

from ssosd.days import DAY_S
from ssosd.errors import BadInput
from ssosd.ingest.headers import Found, HeaderStack, normalised, number
from ssosd.ingest.times import Stamp, UnreadableTime, at, parse_clock, parse_stamp

#: Keywords of the start of an exposure, in the order in which they stand in for each other.
START_KEYWORDS = (
    "DATE-OBS",
    "DATE-BEG",
    "DATE_OBS",
    "MJD-OBS",
    "MJD-BEG",
    "MJD-STR",
    "MJDSTART",
    "EXPSTART",
    "UTSHUT",
    "OBSMJD",
    "MJD",
    "JD-OBS",
    "JD",
    "DATE-AVG",
    "MJD-AVG",
    "MJD-MID",
)
#: Keywords of the time of day that belongs to a bare date.
CLOCK_KEYWORDS = (
    "UTC-OBS",
    "UTCSTART",
    "UTSTART",
    "UTC-STR",
    "UT-STR",
    "TIME-OBS",
    "TIME-BEG",
    "UTIME",
    "UT",
    "UTC",
    "STARTUT",
    "UT-START",
    "TIME_OBS",
)
#: Keywords of a full time stamp that is believed for a bare date when it falls on that day.
DAY_CHECKED_KEYWORDS = (
    "MJD-OBS",
    "MJD-STR",
    "MJD-BEG",
    "MJDATE",
    "MJD",
    "JD-OBS",
    "JD",
    "DATE-BEG",
    "UTSHUT",
)

_MIDDLE_COMMENT = re.compile(
    r"\bmid(?!night)[- ]?(?:point|dle|exp|time|of|obs|int|\b)|\bcent(?:er|re) of (?:the )?(?:exp|obs|int)"
    r"|(?<!greenwich )\b(?:mean|average) (?:time|date|epoch|utc?|mjd|jd)\b",
    re.IGNORECASE,
)
_MIDDLE_KEYWORD = re.compile(r"MID(?!NIGHT)|AVG")
_START = re.compile(r"\b(?:start|begin|beginning|began|open)", re.IGNORECASE)
#: Not DATE-END, which a comment may point to.
_END = re.compile(r"(?<![\w-])(?:end(?:s|ed)?|stop(?:s|ped)?)\b|\bend of|\bclose|\bfinish", re.IGNORECASE)
_END_KEYWORD = re.compile(r"(?:END|STOP|STP)$")
_LOCAL = re.compile(r"\blocal\b|\blocaltime\b", re.IGNORECASE)
_UTC = re.compile(r"\bUTC?\b|\bGMT\b|\buniversal\b", re.IGNORECASE)
#: Time scales of TIMESYS by their names in astropy; IAT is TAI, TDT, ET are TT (FITS Standard 4.0, table 30).
_SCALES = {
    "TAI": "tai", "IAT": "tai", "TT": "tt", "TDT": "tt", "ET": "tt",
    "TDB": "tdb", "TCG": "tcg", "TCB": "tcb", "GPS": "gps",
}  # fmt: skip
_GPS_TO_TAI_S = 19.0  # IS-GPS-200: GPS time is TAI - 19 s


class _BareDate(UnreadableTime):
    """A day without time of day; what stands in for it must be of that night."""

    def __init__(self, text: str, day: int) -> None:
        super().__init__(text)
        self.day = day


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    stamp: Stamp
    clock: Found  # the card that told the time of day
    middle: bool
    notes: tuple[str, ...]


def read_start(
    stack: HeaderStack, *, keyword: str, exptime_s: float, name: str
) -> tuple[Stamp, tuple[str, ...]]:
    """Start of the exposure in UTC.

    Parameters
    ----------
    stack : HeaderStack
    keyword : str
        As configured: one keyword, or a date and a time keyword joined with ``+``.
    exptime_s : float
        Seconds; used only when the header says that its time is the middle of the exposure.
    name : str
        Of the file, for messages.

    Returns
    -------
    stamp : Stamp
        With seconds, UTC.
    warnings : tuple of str

    Raises
    ------
    BadInput
        No keyword gives a full time; a bare date is never taken as midnight.
    """
    failures: list[str] = []
    day: int | None = None
    wanted = "+".join(normalised(part) for part in keyword.split("+"))
    for candidate in (wanted, *(k for k in START_KEYWORDS if k != wanted)):
        try:
            reading = _read_pair(stack, candidate) if "+" in candidate else _read_single(stack, candidate)
        except UnreadableTime as error:
            failures.append(f"{candidate}: {error}")
            day = error.day if day is None and isinstance(error, _BareDate) else day
            continue
        if reading is None:
            if candidate == wanted:
                failures.append(f"{candidate} is absent")
            continue
        if day is not None and abs(reading.stamp.day - day) > 1:
            failures.append(f"{candidate} is {abs(reading.stamp.day - day)} days from that date")
            continue
        notes = list(reading.notes)
        if candidate != wanted:
            notes.insert(0, f"{failures[0]}; used {candidate} instead")
        stamp, scale_notes = to_utc(stack, reading.stamp, reading.clock)
        notes.extend(scale_notes)
        assert stamp.seconds is not None
        if reading.middle:
            stamp = at(stamp.day, stamp.seconds - exptime_s / 2.0)
            notes.append(
                f"{reading.clock.keyword} is the middle of the exposure by its header: "
                "the start is half the exposure time earlier"
            )
        else:
            notes.extend(_contradiction(stack, stamp, candidate, exptime_s))
        return stamp, tuple(notes)
    raise BadInput(
        f"{name}: no time of observation: {'; '.join(failures[:2])}",
        next_step="set DATE-OBS in the configuration to the keyword of the start of the exposure, "
        "or to two joined with +, such as DATE-OBS+UTC-OBS; a time of the end needs time_of in a header map",
    )


def _read_single(stack: HeaderStack, keyword: str) -> _Reading | None:
    found = stack.find(keyword)
    if found is None:
        return None
    stamp = parse_stamp(_usable(found))
    if stamp.seconds is not None and (stamp.seconds > 0.0 or not isinstance(found.value, str)):
        return _Reading(stamp=stamp, clock=found, middle=_is_middle(found), notes=())
    companion = _companion(stack, stamp.day)
    if companion is not None:
        clock, seconds = companion
        if stamp.seconds is None or seconds != 0.0:
            note = f"{keyword} holds only the date {found.text}; the time of day is from {clock.keyword}"
            return _Reading(
                stamp=Stamp(day=stamp.day, seconds=seconds),
                clock=clock,
                middle=_is_middle(clock),
                notes=(note,),
            )
    if stamp.seconds is None:
        raise _BareDate(
            f"{found.text!r} is a date without time of day, no companion keyword has it", stamp.day
        )
    return _Reading(stamp=stamp, clock=found, middle=_is_middle(found), notes=())


def _read_pair(stack: HeaderStack, keywords: str) -> _Reading | None:
    first, _, second = keywords.partition("+")
    date, clock = stack.find(first), stack.find(second)
    if date is None:
        return None
    if clock is None:
        raise UnreadableTime(f"{second} is absent")
    stamp = Stamp(day=parse_stamp(_usable(date)).day, seconds=parse_clock(_usable(clock)))
    return _Reading(
        stamp=at(stamp.day, stamp.seconds or 0.0), clock=clock, middle=_is_middle(clock), notes=()
    )


def _companion(stack: HeaderStack, day: int) -> tuple[Found, float] | None:
    """Find the card that has the time of day of a bare date, and the seconds."""
    for keyword in CLOCK_KEYWORDS:
        found = stack.find(keyword)
        if found is None:
            continue
        try:
            value = _usable(found)
            dated = isinstance(value, str) and "-" in value.strip()[1:]
            if dated and parse_stamp(value).day != day:
                continue
            return found, parse_clock(value)
        except UnreadableTime:
            continue
    for keyword in DAY_CHECKED_KEYWORDS:
        found = stack.find(keyword)
        if found is None:
            continue
        try:
            stamp = parse_stamp(_usable(found))
        except UnreadableTime:
            continue
        if stamp.day == day and stamp.seconds is not None:
            return found, stamp.seconds
    return None


def _usable(found: Found) -> str | float:
    if isinstance(found.value, bool):
        raise UnreadableTime(f"{found.value} is no time")
    if _LOCAL.search(found.comment) and not _UTC.search(found.comment):
        raise UnreadableTime(f"{found.text!r} is local time by its comment ({found.comment})")
    ends = _END.search(found.comment) and not _START.search(found.comment)
    if ends or _END_KEYWORD.search(found.keyword):
        raise UnreadableTime(f"{found.text!r} is the end of the exposure by its header")
    return found.value


def _is_middle(found: Found) -> bool:
    if _MIDDLE_KEYWORD.search(found.keyword):
        return True
    return bool(_MIDDLE_COMMENT.search(found.comment)) and not _START.search(found.comment)


def to_utc(stack: HeaderStack, stamp: Stamp, clock: Found) -> tuple[Stamp, tuple[str, ...]]:
    """Apply TIMESYS (FITS Standard 4.0, section 9.2.1); UTC - TAI is erfa's own table, nothing is fetched.

    Parameters
    ----------
    stack : HeaderStack
    stamp : Stamp
        With seconds.
    clock : Found
        The card that told the time of day.

    Returns
    -------
    stamp : Stamp
        In UTC.
    warnings : tuple of str
    """
    system = stack.text("TIMESYS").upper()
    scale = _SCALES.get(system.split("(")[0].strip())
    if scale is None:
        if not system or re.match(r"UTC?\b|GMT\b|UT1\b|Z\b|ZULU\b", system):
            return stamp, ()
        return stamp, (f"TIMESYS={system} is unknown; {clock.keyword} was taken as UTC",)
    if clock.keyword.startswith("UT") or _UTC.search(clock.comment):
        return stamp, (f"TIMESYS={system}, but {clock.keyword} is UTC by its name or comment",)
    seconds = stamp.seconds or 0.0
    if scale == "gps":
        scale, seconds = "tai", seconds + _GPS_TO_TAI_S
    utc = Time(stamp.day, seconds / DAY_S, format="mjd", scale=scale).utc
    whole = Time(stamp.day, 0.0, format="mjd", scale="utc")
    shifted = (utc.jd1 - whole.jd1) + (utc.jd2 - whole.jd2)
    offset = shifted * DAY_S - (stamp.seconds or 0.0)
    return at(stamp.day, (stamp.seconds or 0.0) + offset), (
        f"{clock.keyword} is in {system} (TIMESYS): {-offset:.3f} s subtracted to get UTC",
    )


def _contradiction(stack: HeaderStack, start: Stamp, used: str, exptime_s: float) -> tuple[str, ...]:
    """Say when MJD-OBS tells another time than the keyword that was used."""
    other = stack.find("MJD-OBS")
    mjd = None if other is None or used == "MJD-OBS" else number(other.value)
    if mjd is None or not mjd > 0.0:
        return ()
    seconds = (mjd - start.mjd) * DAY_S
    if abs(seconds) <= exptime_s + 70.0:  # a middle or end of exposure, or another time scale
        return ()
    return (f"MJD-OBS={mjd:.5f} differs by {seconds:.0f} s from {used}, which was used",)
