"""One observation as the Minor Planet Center's 80 columns, and back.

Columns as in https://minorplanetcenter.net/iau/info/OpticalObs.html: 1-5 number, 6-12 provisional or
temporary designation, 13 discovery asterisk, 14 note 1, 15 note 2, 16-32 date, 33-44 right ascension,
45-56 declination, 57-65 blank, 66-70 magnitude, 71 band, 72-77 blank, 78-80 observatory code.

Each number is rounded once, to the last digit printed, as an integer that is then split: nothing is ever
printed as 60, and nothing is truncated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

from ssosd.errors import BadInput
from ssosd.reports.designation import Designation

_MJD_EPOCH = date(1858, 11, 17).toordinal()
_ARCSEC_PER_DEG = 3600
_SECONDS_PER_DEG = 240  # of right ascension
_TURN_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Precision:
    """Digits after the point; the columns have room for the largest of each."""

    day: int = 6  # 5 or 6
    ra: int = 3  # 2 or 3, seconds of time
    dec: int = 2  # 1 or 2, arcseconds
    mag: int = 1  # 1 or 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What an 80-column line says."""

    designation: Designation
    discovery: bool  # asterisk in column 13
    note1: str  # column 14
    note2: str  # column 15: C CCD, B CMOS
    mjd_mid: float  # UTC MJD of mid-exposure
    ra_deg: float  # ICRS
    dec_deg: float  # ICRS
    mag: float | None  # None when blank
    band: str  # column 71, "" when blank
    code: str  # observatory code
    precision: Precision  # digits printed


def format_date(mjd: float, decimals: int = 6) -> str:
    """Columns 16-32: UTC date with the fraction of the day, carried over days, months and years.

    Raises
    ------
    BadInput
        The date cannot be written with four digits of the year.

    Examples
    --------
    >>> format_date(58848.9999999)
    '2020 01 01.000000'
    """
    try:
        day = math.floor(mjd)
        units = round((mjd - day) * 10**decimals)
        carry, units = divmod(units, 10**decimals)
        calendar = date.fromordinal(_MJD_EPOCH + day + carry)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"columns 16-32: MJD {mjd} is no date that can be written") from error
    text = f"{calendar.year:04d} {calendar.month:02d} {calendar.day:02d}.{units:0{decimals}d}"
    return f"{text:<17}"


def format_ra(ra_deg: float, decimals: int = 3) -> str:
    """Columns 33-44: right ascension in hours, minutes and seconds, brought to [0 h, 24 h).

    >>> format_ra(359.9999999), format_ra(15.5, 2)
    ('00 00 00.000', '01 02 00.00 ')
    """
    if not math.isfinite(ra_deg):
        raise BadInput(f"columns 33-44: right ascension {ra_deg} is no angle")
    units = round(ra_deg % 360.0 * _SECONDS_PER_DEG * 10**decimals) % (_TURN_SECONDS * 10**decimals)
    return f"{_sexagesimal(units, decimals):<12}"


def format_dec(dec_deg: float, decimals: int = 2) -> str:
    """Columns 45-56: declination with its sign, also of -00.

    >>> format_dec(-0.5083333333), format_dec(45.99999999, 1)
    ('-00 30 30.00', '+46 00 00.0 ')
    """
    if not abs(dec_deg) <= 90.0:
        raise BadInput(f"columns 45-56: declination {dec_deg} is not within -90 and 90")
    units = round(abs(dec_deg) * _ARCSEC_PER_DEG * 10**decimals)
    sign = "-" if dec_deg < 0.0 and units else "+"
    return f"{sign + _sexagesimal(units, decimals):<12}"


def format_magnitude(mag: float | None, decimals: int = 1) -> str:
    """Columns 66-70: magnitude with the point in column 68, five blanks for none.

    >>> format_magnitude(20.25), format_magnitude(9.876, 2), format_magnitude(None)
    ('20.2 ', ' 9.88', '     ')
    """
    if mag is None:
        return " " * 5
    text = f"{mag:{3 + decimals}.{decimals}f}"
    if not math.isfinite(mag) or len(text) != 3 + decimals:
        raise BadInput(f"columns 66-70: magnitude {mag} does not fit")
    return f"{text:<5}"


def format_observation(
    *,
    designation: Designation,
    mjd_mid: float,
    ra_deg: float,
    dec_deg: float,
    code: str,
    mag: float | None = None,
    band: str = "",
    note2: str = "C",
    note1: str = " ",
    discovery: bool = False,
    precision: Precision | None = None,
) -> str:
    """One observation as exactly 80 columns, without a line end.

    Parameters
    ----------
    designation : Designation
        Columns 1-12.
    mjd_mid : float
        Mid-exposure, UTC MJD.
    ra_deg, dec_deg : float
        Astrometric position, ICRS degrees.
    code : str
        Observatory code.
    mag : float, optional
        Calibrated magnitude; without it the band is blank too.
    band : str
        One letter of the MPC's list, or blank.
    note2, note1 : str
        How it was observed (``C`` CCD, ``B`` CMOS) and the observer's note.
    discovery : bool
        Set the asterisk.
    precision : Precision, optional
        Digits to print.

    Raises
    ------
    BadInput
        A value does not fit its columns; the message names them.
    """
    digits = precision or Precision()
    for columns, value, width in (
        ("1-12", designation.columns, 12),
        ("14", note1 or " ", 1),
        ("15", note2 or " ", 1),
        ("71", band or " ", 1),
        ("78-80", code, 3),
    ):
        if len(value) != width or not value.isascii() or not value.isprintable():
            raise BadInput(f"columns {columns}: {value!r} is not {width} plain characters")
    line = (
        f"{designation.columns}{'*' if discovery else ' '}{note1 or ' '}{note2 or ' '}"
        f"{format_date(mjd_mid, digits.day)}{format_ra(ra_deg, digits.ra)}{format_dec(dec_deg, digits.dec)}"
        f"{'':9}{format_magnitude(mag, digits.mag)}{(band if mag is not None else '') or ' '}{'':6}{code}"
    )
    if len(line) != 80:
        raise BadInput(f"{len(line)} columns instead of 80: {line!r}")
    return line


def parse_observation(line: str) -> Observation:
    """Read one 80-column line of an optical observation made on the ground.

    Raises
    ------
    BadInput
        The line is not of this form; the message names the columns.
    """
    line = line.rstrip("\r\n")
    if len(line) != 80:
        raise BadInput(f"{len(line)} columns instead of 80: {line!r}")
    mjd, day_digits = _parse_date(line[15:32])
    ra_seconds, ra_digits = _parse_sexagesimal(line[32:44], "33-44", 23)
    if line[44] not in "+-":
        raise BadInput(f"columns 45-56: no sign in {line[44:56]!r}")
    arcsec, dec_digits = _parse_sexagesimal(line[45:56], "45-56", 90)
    dec = math.copysign(arcsec / _ARCSEC_PER_DEG, -1.0 if line[44] == "-" else 1.0)
    if abs(dec) > 90.0:
        raise BadInput(f"columns 45-56: {line[44:56]!r} is beyond the pole")
    mag_text = line[65:70].strip()
    if mag_text and not re.fullmatch(r"-?\d{1,2}(\.\d{1,2})?", mag_text, re.ASCII):
        raise BadInput(f"columns 66-70: {line[65:70]!r} is no magnitude")
    return Observation(
        designation=Designation(number=line[:5].rstrip(), provisional=line[5:12].rstrip()),
        discovery=line[12] == "*",
        note1=line[13],
        note2=line[14],
        mjd_mid=mjd,
        ra_deg=ra_seconds / _SECONDS_PER_DEG,
        dec_deg=dec,
        mag=float(mag_text) if mag_text else None,
        band=line[70].strip(),
        code=line[77:80],
        precision=Precision(
            day=day_digits, ra=ra_digits, dec=dec_digits, mag=len(mag_text.partition(".")[2]) or 1
        ),
    )


def _sexagesimal(units: int, decimals: int) -> str:
    """Write a count of 10**-decimals seconds as ``DD MM SS.s``."""
    seconds, fraction = divmod(units, 10**decimals)
    minutes, seconds = divmod(seconds, 60)
    whole, minutes = divmod(minutes, 60)
    return f"{whole:02d} {minutes:02d} {seconds:02d}.{fraction:0{decimals}d}"


def _parse_date(text: str) -> tuple[float, int]:
    match = re.fullmatch(r"(\d{4}) (\d\d) (\d\d)\.(\d{1,6}) *", text, re.ASCII)
    if match is None:
        raise BadInput(f"columns 16-32: {text!r} is no date like 2019 03 26.102083")
    try:
        day = date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _MJD_EPOCH
    except ValueError as error:
        raise BadInput(f"columns 16-32: {text!r}: {error}") from error
    return day + int(match[4]) / 10 ** len(match[4]), len(match[4])


def _parse_sexagesimal(text: str, columns: str, largest: int) -> tuple[float, int]:
    match = re.fullmatch(r"(\d\d) ([0-5]\d) ([0-5]\d)\.(\d{1,3}) *", text, re.ASCII)
    if match is None or int(match[1]) > largest:
        raise BadInput(f"columns {columns}: {text!r} is no sexagesimal angle")
    whole = (int(match[1]) * 60 + int(match[2])) * 60 + int(match[3])
    return whole + int(match[4]) / 10 ** len(match[4]), len(match[4])
