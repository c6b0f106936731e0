"""What a header means by the rule of its instrument: its time, its cards, and what it is not."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace

from ssosd.days import UNIX_EPOCH, mjd_of
from ssosd.errors import BadInput
from ssosd.headermap import HeaderMap, HeaderRule, Patterns
from ssosd.headermap.rule import matches
from ssosd.headermap.zones import zone
from ssosd.ingest.cardtext import overlaid
from ssosd.ingest.fitsblocks import FitsLayout, Hdu
from ssosd.ingest.headers import Found, HeaderStack, number
from ssosd.ingest.pointing import pointing_cards
from ssosd.ingest.starttime import to_utc
from ssosd.ingest.times import (
    MJD_OF_ORDINAL_0,
    Stamp,
    UnreadableTime,
    at,
    is_zoned,
    parse_clock,
    parse_stamp,
    possible_day,
)
from ssosd.ingest.tpv import pixel_scale_arcsec
from ssosd.ingest.wcs import read_sky

#: Seconds in the units of `HeaderRule.exptime_unit`.
SECONDS = {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}

MappedCards = tuple[tuple[str, str | bool | float | int | None], ...]


def rule_for(layout: FitsLayout, header_map: HeaderMap) -> HeaderRule | None:
    """The rule that fits a file's headers, None when none does."""
    stack = HeaderStack([(hdu.index, hdu.cards) for hdu in layout.hdus])
    return header_map.rule_for(stack.text)


def set_aside(layout: FitsLayout, rule: HeaderRule) -> str:
    """Why a rule takes a file for no science exposure, "" when it does not."""
    stack = HeaderStack([(hdu.index, hdu.cards) for hdu in layout.hdus])
    kinds: tuple[tuple[str, Patterns], ...] = (
        ("calibration frame", rule.calibration),
        ("no image of a field", rule.ignore),
    )
    for kind, patterns in kinds:
        for keyword, globs in patterns:
            value = stack.text(keyword)
            if matches(value, globs):
                return f"{kind}: {keyword} is {value!r} ({rule.title})"
    return ""


def mapped_start(
    stack: HeaderStack, rule: HeaderRule, *, exptime_s: float, name: str
) -> tuple[Stamp, tuple[str, ...]]:
    """Start of the exposure in UTC, as the rule's time keys say.

    Raises
    ------
    BadInput
        A keyword is absent, or its value has not the format that the rule says.
    """
    try:
        stamp, clock, zoned = _stamp(stack, rule)
    except UnreadableTime as error:
        raise BadInput(
            f"{name}: no time of observation: {rule.time}: {error} ({rule.title})",
            next_step=f"correct time or time_format (now {rule.time_format}) of the rule",
        ) from error
    notes: tuple[str, ...] = ()
    if rule.time_zone.upper() == "UTC":
        if rule.time_format != "UNIX":
            stamp, notes = to_utc(stack, stamp, clock)
    elif zoned:
        notes = (f"{clock.text} says its own offset from UTC; time_zone {rule.time_zone} was not used",)
    else:
        stamp, notes = _from_zone(stamp, rule.time_zone)
    back = {"start": 0.0, "middle": exptime_s / 2.0, "end": exptime_s}[rule.time_of]
    return at(stamp.day, (stamp.seconds or 0.0) - back), notes


def _stamp(stack: HeaderStack, rule: HeaderRule) -> tuple[Stamp, Found, bool]:
    """Time of the rule's keywords, the card of the time of day, and whether that told its offset from UTC."""
    cards = []
    for keyword in rule.time.split("+"):
        found = stack.find(keyword)
        if found is None:
            raise UnreadableTime(f"{keyword.strip()} is absent")
        cards.append(found)
    stamp, zoned = _formatted(cards, rule.time_format)
    if stamp.seconds is None:
        raise UnreadableTime(f"{cards[0].text!r} is a date without time of day")
    return stamp, cards[-1], zoned


def _formatted(cards: Sequence[Found], form: str) -> tuple[Stamp, bool]:
    if form in {"MJD", "JD", "UNIX"}:
        value = number(cards[0].value)
        if value is None:
            raise UnreadableTime(f"{cards[0].text!r} is no number")
        return _from_unix(value, cards[0].text) if form == "UNIX" else parse_stamp(value), False
    if form == "ISO":
        values = [card.text if isinstance(card.value, bool) else card.value for card in cards]
        stamp = parse_stamp(values[0])
        if len(values) > 1:
            stamp = at(stamp.day, parse_clock(values[1]))
        return stamp, is_zoned(cards[-1].text)
    return _strptime(" ".join(card.text for card in cards), form)


def _from_unix(seconds: float, text: str) -> Stamp:
    possible_day(mjd_of(seconds), text)
    return at(UNIX_EPOCH, seconds)


def _strptime(text: str, form: str) -> tuple[Stamp, bool]:
    try:
        moment = datetime.datetime.strptime(text, form)
    except ValueError as error:
        raise UnreadableTime(f"{text!r} has not the format {form}") from error
    day = possible_day(moment.toordinal() + MJD_OF_ORDINAL_0, text)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    offset = moment.utcoffset() or datetime.timedelta()
    return at(day, (moment - midnight - offset).total_seconds()), moment.tzinfo is not None


def _from_zone(stamp: Stamp, name: str) -> tuple[Stamp, tuple[str, ...]]:
    """Local time to UTC; an hour that a change of clocks repeats is taken as its first pass."""
    clock = datetime.datetime.fromordinal(stamp.day - MJD_OF_ORDINAL_0)
    clock += datetime.timedelta(seconds=stamp.seconds or 0.0)
    first, second = (clock.replace(tzinfo=zone(name), fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    seconds = first.total_seconds()
    notes = [f"local time of {name}: {seconds / 3600.0:+g} h subtracted to get UTC"]
    if first != second:
        notes.append("the clocks were changed in this hour, the time may be an hour off")
    return at(stamp.day, (stamp.seconds or 0.0) - seconds), tuple(notes)


def mapped_cards(
    layout: FitsLayout, hdu: Hdu, rule: HeaderRule, *, mjd: float, label: str
) -> tuple[MappedCards, tuple[str, ...]]:
    """Cards that a rule puts over those of a science image: gain, saturation, a start for the astrometry.

    Parameters
    ----------
    layout : FitsLayout
    hdu : Hdu
        One of its science images.
    rule : HeaderRule
    mjd : float
        Of the exposure, UTC.
    label : str
        File and HDU, for messages.

    Returns
    -------
    cards : tuple of (str, value or None)
        None for a card that has to go.
    notes : tuple of str

    Raises
    ------
    BadInput
        A keyword that the rule names is absent or holds no number.
    """
    stack = HeaderStack(
        [(h.index, h.cards) for h in sorted(layout.hdus, key=lambda h: (h.index != hdu.index, h.index))]
    )
    hdu = replace(hdu, cards=overlaid(hdu.cards, rule.cards))
    cards: dict[str, str | bool | float | int | None] = {}
    notes = [f"{keyword}={value} by {rule.title}" for keyword, value in rule.cards]
    if rule.pointing is not None and hdu.plane is not None and not _has_usable_wcs(hdu):
        width, height = hdu.plane
        made, note = pointing_cards(stack, rule.pointing, width=width, height=height, mjd=mjd, label=label)
        cards |= dict(made)
        notes.append(f"{note} ({rule.title})")
    for keyword, value in (("GAIN", rule.gain), ("SATURATE", rule.saturation)):
        if value is not None:
            level = _level(stack, value, rule=rule, label=label)
            cards[keyword] = level
            notes.append(f"{keyword}={level:g} by {rule.title}")
    return tuple({**cards, **dict(rule.cards)}.items()), tuple(notes)


def _has_usable_wcs(hdu: Hdu) -> bool:
    assert hdu.plane is not None
    try:
        sky = read_sky(hdu.cards, width=hdu.plane[0], height=hdu.plane[1], label="")
        pixel_scale_arcsec(sky, label="")
    except BadInput:
        return False
    return True


def _level(stack: HeaderStack, value: str | float, *, rule: HeaderRule, label: str) -> float:
    if not isinstance(value, str):
        return value
    found = stack.find(value)
    level = None if found is None else number(found.value)
    if level is None or not level > 0.0:
        said = "is absent" if found is None else f"={found.text} is no number above 0"
        raise BadInput(
            f"{label}: {value} {said} ({rule.title})", next_step="correct gain or saturation there"
        )
    return level
