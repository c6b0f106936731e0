"""What an instrument's headers mean, as values."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

Value = str | bool | int | float

#: Keywords, each with patterns (``*``, ``?``, ``[...]``, in any case) one of which its value must match.
Patterns = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointing:
    """Where a header says that the telescope points: a start for the astrometry where there is no WCS.

    A keyword's name stands for the number that it holds.
    """

    ra: str  # keyword of the right ascension of the image's centre
    dec: str  # keyword of its declination
    ra_unit: str = ""  # "hours" or "degrees"; "": hours when sexagesimal, else degrees
    equinox: str | float = 2000.0  # years of the mean equator (FK5), or "date": that of the exposure
    scale: str | float | None = None  # arcsec/pixel, without binning
    pixel_size: str | float | None = None  # micrometres, with `focal_length` instead of `scale`
    focal_length: str | float | None = None  # mm
    binning: str | float = 1.0  # pixels of the camera to a pixel of the image, along x and along y
    rotation: str | float = 0.0  # angle from which the position angle of the image's y axis follows, degrees
    rotation_sign: float = 1.0  # +1 or -1: position angle = rotation_sign * rotation + rotation_offset
    rotation_offset: float = 0.0  # degrees, from north through east
    mirrored: bool = False  # with north up, east is to the right


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderRule:
    """One instrument's rule; what it does not say is read as without a rule."""

    name: str  # for messages
    source: str  # file it is written in, for messages
    match: Patterns  # all must match
    time: str = ""  # keyword of the time of the exposure, or date and time keywords joined by +
    time_format: str = "ISO"  # "ISO", "MJD", "JD", "UNIX" or a format of strptime
    time_zone: str = "UTC"  # "UTC", an offset such as "-07:00", or a name such as "America/Phoenix"
    time_of: str = "start"  # "start", "middle" or "end" of the exposure
    exptime: str = ""  # keyword of the exposure time
    exptime_unit: str = ""  # "s", "ms", "min" or "h"; "": as the header's comment says, else seconds
    filter: str = ""  # keyword of the filter
    bands: tuple[tuple[str, str], ...] = ()  # names of filters as in the header, and as they are called here
    object: str = ""  # keyword of the target
    gain: str | float | None = None  # electrons/ADU, or its keyword
    saturation: str | float | None = None  # ADU, or its keyword
    hdu: tuple[int, ...] | None = None  # HDUs of the science images where SCI_EXTENSION is All
    calibration: Patterns = ()  # any of them tells a calibration frame
    ignore: Patterns = ()  # any of them tells what is no image of a field: spectra, rejected frames
    cards: tuple[tuple[str, Value], ...] = ()  # put into the science images' headers as they are
    pointing: Pointing | None = None

    def fits(self, text: Callable[[str], str]) -> bool:
        """Whether a header is of this instrument; `text` gives a keyword's value, "" when it has none."""
        return all(matches(text(keyword), globs) for keyword, globs in self.match)

    @property
    def title(self) -> str:
        """The rule for messages."""
        return f"header rule {self.name} of {self.source}"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderMap:
    """All rules of a run; the first that fits a header counts."""

    rules: tuple[HeaderRule, ...] = ()

    def rule_for(self, text: Callable[[str], str]) -> HeaderRule | None:
        """The rule for a header, None when none fits; `text` gives a keyword's value, "" when it has none."""
        return next((rule for rule in self.rules if rule.fits(text)), None)


def matches(value: str, globs: tuple[str, ...]) -> bool:
    """Whether a keyword has a value, and it matches one of the patterns.

    >>> matches("NEOSSat_Science", ("neossat*",)), matches("", ("*",))
    (True, False)
    """
    found = value.strip().casefold()
    return bool(found) and any(fnmatch.fnmatchcase(found, glob.casefold()) for glob in globs)
