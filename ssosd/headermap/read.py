"""Header maps from their TOML files; a misspelt key or an impossible value is said, never passed over."""

from __future__ import annotations

import datetime
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ssosd.config.kinds import nearest
from ssosd.config.values import BadConfiguration
from ssosd.headermap.rule import HeaderMap, HeaderRule, Patterns, Pointing
from ssosd.headermap.zones import zone
from ssosd.plumbing.resources import shipped

#: Value of HEADER_MAP: the maps that come with ssosd, `semp/maps`.
SHIPPED = "SHIPPED"

_TABLE = "instrument"
_CHOICES = {
    "time_of": ("start", "middle", "end"),
    "exptime_unit": ("s", "ms", "min", "h"),
    "ra_unit": ("hours", "degrees"),
}
_NUMBERS = ("MJD", "JD", "UNIX")  # formats of time that are UTC
_TIME_FORMATS = ("ISO", *_NUMBERS)
#: Written and read again by a format: an afternoon, and neither the first of a month nor a full hour.
_PROBE = datetime.datetime(2026, 11, 14, 16, 47, tzinfo=datetime.timezone(datetime.timedelta(hours=-7)))
_NEXT_STEP = "docs/maps.md describes every key"


def load_map(value: Path | str | None) -> HeaderMap:
    """Rules that HEADER_MAP asks for: a file's own before the shipped ones, the shipped ones, or none.

    Raises
    ------
    Misconfigured
        A file cannot be read, is no TOML, or has a key or value that is not allowed; all problems are listed.
    """
    if value is None:
        return HeaderMap()
    own = read_rules(value) if isinstance(value, Path) else ()
    files = sorted(shipped("semp/maps").glob("*.toml"))
    return HeaderMap(rules=(*own, *(rule for file in files for rule in read_rules(file))))


def read_rules(path: Path) -> tuple[HeaderRule, ...]:
    """All rules of one file, in their order.

    Raises
    ------
    Misconfigured
        See `load_map`.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration([f"HEADER_MAP {path}: {error.strerror}"]) from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise BadConfiguration([f"HEADER_MAP {path}: no TOML: {error}"], next_step=_NEXT_STEP) from error
    problems = [
        f"{path.name}: {key}: unknown, a map holds [[{_TABLE}]] tables" for key in document if key != _TABLE
    ]
    tables = document.get(_TABLE, [])
    if not isinstance(tables, list) or not tables or not all(isinstance(t, Mapping) for t in tables):
        problems.append(f"{path.name}: no [[{_TABLE}]] table")
        tables = []
    rules = []
    for number, table in enumerate(tables, start=1):
        name = str(table.get("name", number))
        reader = _Reader(table, where=f"{path.name}: {_TABLE} {name}")
        values = reader.rule()
        problems += reader.problems
        if not reader.problems:
            rules.append(HeaderRule(**{**values, "name": name, "source": path.name}))
    if problems:
        raise BadConfiguration(problems, next_step=_NEXT_STEP)
    return tuple(rules)


class _Reader:
    """One table: its values checked, and what is wrong with them."""

    def __init__(self, table: Mapping[str, Any], *, where: str) -> None:
        self.table = table
        self.where = where
        self.problems: list[str] = []

    def rule(self) -> dict[str, Any]:
        """Values of a `HeaderRule`."""
        values = dict(self._values(HeaderRule, self.table, skip=("source",), inside=""))
        if "match" not in self.table:
            self._wrong("match", "missing, the keywords and patterns that tell the instrument")
        if isinstance(self.table.get("pointing"), Mapping):
            values["pointing"] = self._pointing(self.table["pointing"])
        if values.get("time_zone", "UTC") != "UTC" and values.get("time_format") in _NUMBERS:
            self._wrong("time_zone", f"has no meaning with time_format {values['time_format']}")
        if "time" not in values and any(key in values for key in ("time_format", "time_zone", "time_of")):
            self._wrong("time", "missing, the keyword that time_format, time_zone and time_of are about")
        return values

    def _pointing(self, table: Mapping[str, Any]) -> Pointing | None:
        values = dict(self._values(Pointing, table, skip=(), inside="pointing."))
        by_optics = "pixel_size" in values and "focal_length" in values
        if ("scale" in values) == by_optics:
            self._wrong("pointing.scale", "give either scale, or pixel_size and focal_length")
        if any(f.default is MISSING and f.name not in values for f in fields(Pointing)):
            self._wrong("pointing", "needs ra and dec, the keywords of the image's centre")
            return None
        return Pointing(**values)

    def _values(
        self, kind: type, table: Mapping[str, Any], *, skip: tuple[str, ...], inside: str
    ) -> Iterator[tuple[str, Any]]:
        known = {f.name: str(f.type) for f in fields(kind) if f.name not in skip}
        for key, value in table.items():
            if key not in known:
                self._wrong(inside + key, f"unknown key, the nearest is {nearest(key, list(known))}")
                continue
            try:
                yield key, _checked(key, value, known[key])
            except ValueError as error:
                self._wrong(inside + key, f"found {value!r}, allowed is {error}")

    def _wrong(self, key: str, said: str) -> None:
        self.problems.append(f"{self.where}: {key}: {said}")


def _checked(key: str, value: Any, kind: str) -> Any:
    """One value as its field has it; ValueError says what is allowed."""
    if key in _CHOICES and value not in _CHOICES[key]:
        raise ValueError(" | ".join(_CHOICES[key]))
    if key == "time_format" and not (value in _TIME_FORMATS or _tells_all(str(value))):
        raise ValueError(
            f"{' | '.join(_TIME_FORMATS)} | a format of date and time of day such as %d.%m.%Y %H:%M:%S, "
            "without %Z"
        )
    if key == "time_zone":
        zone(str(value))
    if kind.startswith("Patterns"):
        return _patterns(value)
    if key in {"bands", "cards"}:
        return _pairs(value, texts=key == "bands")
    if key == "hdu":
        return _numbers(value)
    if key == "pointing":
        if not isinstance(value, Mapping):
            raise ValueError(f"a table [{_TABLE}.pointing]")
        return None
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError("true | false")
        return value
    return _scalar(value, text="str" in kind, number="float" in kind, sign=key == "rotation_sign")


def _tells_all(form: str) -> bool:
    """Whether a format of strptime gives back both date and time of day.

    Not with %Z: the names that it reads are those of this machine's zone, and the offset is lost.
    """
    try:
        read = datetime.datetime.strptime(_PROBE.strftime(form), form)
    except (ValueError, re.error):
        return False
    return read.replace(tzinfo=None) == _PROBE.replace(tzinfo=None) and "%Z" not in form.replace("%%", "")


def _scalar(value: Any, *, text: bool, number: bool, sign: bool) -> str | float:
    allowed = " or ".join(["a keyword or text in quotes"] * text + ["a number"] * number)
    if isinstance(value, str) and text and value.strip():
        return value.strip()
    if number and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        if sign and abs(value) != 1:
            raise ValueError("1 or -1")
        return float(value)
    raise ValueError(allowed)


def _patterns(value: Any) -> Patterns:
    if not isinstance(value, Mapping) or not value:
        raise ValueError('keywords with patterns, { IMAGETYP = "Dark*", OBJECT = ["focus", "test*"] }')
    found = []
    for keyword, globs in value.items():
        several = globs if isinstance(globs, list) else [globs]
        if not several or not all(isinstance(glob, str) and glob for glob in several):
            raise ValueError(f"for {keyword} a pattern in quotes, or a list of patterns")
        found.append((keyword.upper(), tuple(several)))
    return tuple(found)


def _pairs(value: Any, *, texts: bool) -> tuple[tuple[str, Any], ...]:
    wanted = str if texts else (str, bool, int, float)
    if not isinstance(value, Mapping) or not all(isinstance(v, wanted) for v in value.values()):
        raise ValueError('names with names, { "rp" = "r" }' if texts else "keywords with values")
    if not texts and any(len(keyword) > 8 or not keyword.isascii() for keyword in value):
        raise ValueError("keywords of at most eight letters")
    return tuple((key if texts else key.upper(), v) for key, v in value.items())


def _numbers(value: Any) -> tuple[int, ...]:
    several = value if isinstance(value, list) else [value]
    if not several or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in several):
        raise ValueError("the number of an HDU (0 is the primary), or a list of them")
    return tuple(several)
