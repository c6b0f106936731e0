"""The linter's rules for the values of an ADES observation, beyond the schema's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ssosd.days import DAY_S
from ssosd.errors import BadInput, Misconfigured
from ssosd.reports.designation import temporary_designation
from ssosd.reports.lint.schema import OBSERVATIONS
from ssosd.reports.mpc_values import (
    ADES_BANDS,
    CATALOGUES,
    HISTORICAL_MODES,
    MODES,
    OLD_CATALOGUES,
    REFUSED_BANDS,
)
from ssosd.reports.problem import Problem, Severity, Sighting
from ssosd.site import moves, site_from_code

_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d(?:\.\d{1,6})?)Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d*\.?\d*", re.ASCII)
_EARLIEST_DIGITAL = 44239.0  # 1980-01-01
_PLACEHOLDER = re.compile(
    r"\b(?:x{3,}|todo|fixme|lorem|placeholder|your[ _]?name|john doe|jane doe)\b|\?{3,}", re.IGNORECASE
)
_DEG_ARCSEC = 3600.0
Row = Mapping[str, str]


def lint_document(root: Any) -> tuple[list[Problem], list[Sighting]]:
    """Check the values of all observations and of the headers; give the positions."""
    problems: list[Problem] = []
    sightings: list[Sighting] = []
    for block in root.iter("obsBlock"):
        codes = {(e.text or "").strip() for e in block.findall("obsContext/observatory/mpcCode")}
        problems += _header(block)
        for element in block.iterfind("obsData/*"):
            if element.tag not in OBSERVATIONS:
                continue
            row = int(element.sourceline or 0)
            values = {str(e.tag): (e.text or "").strip() for e in element if isinstance(e.tag, str)}
            lines = {str(e.tag): int(e.sourceline or row) for e in element if isinstance(e.tag, str)}
            problems += [_moved(p, lines) for p in lint_row(values, row)]
            stn = values.get("stn", "")
            if codes and stn and stn not in codes:
                said = f"observed at {stn}, but the header is of {', '.join(sorted(codes))}"
                problems.append(Problem(lines.get("stn", row), "stn", "station", "warning", said))
            sighting = _sighting(element.tag, values, row)
            if sighting is not None:
                sightings.append(sighting)
    return problems, sightings


def _moved(problem: Problem, lines: Mapping[str, int]) -> Problem:
    row = lines.get(problem.column, problem.row)
    return Problem(row, problem.column, problem.rule, problem.severity, problem.message)


def _header(block: Any) -> Iterable[Problem]:
    for element in block.iterfind("obsContext//*"):
        text = (element.text or "").strip() if isinstance(element.tag, str) else ""
        if not text:
            continue
        row, name = int(element.sourceline or 0), str(element.tag)
        if name == "mpcCode":
            yield from _code(row, name, text)
        elif _PLACEHOLDER.search(text):
            yield Problem(row, name, "placeholder", "error", f"still holds a placeholder: {text!r}")
        elif "@" in text:
            yield Problem(row, name, "private", "warning", "an address in a header that becomes public")


def _code(row: int, column: str, code: str) -> Iterable[Problem]:
    try:
        site_from_code(code)
    except Misconfigured:
        yield Problem(row, column, "station", "error", f"{code!r} is no observatory code of the MPC's")


def lint_row(values: Row, row: int) -> list[Problem]:
    """Check one observation.

    Parameters
    ----------
    values : mapping
        Element to text, without blanks at its ends.
    row : int
        Its line.
    """
    return [*_listed(values, row), *_named(values, row), *_precise(values, row), *_plausible(values, row)]


def _listed(values: Row, row: int) -> Iterable[Problem]:
    """The MPC's own lists."""

    def problem(column: str, rule: str, said: str, severity: Severity = "error") -> Problem:
        return Problem(row, column, rule, severity, said)

    if (stn := values.get("stn")) is not None:
        yield from _code(row, "stn", stn)
        if moves(stn) and not {"sys", "ctr", "pos1", "pos2", "pos3"} <= set(values):
            said = (
                f"{stn} has no place of its own: sys, ctr and pos1 to pos3 tell where this was observed from"
            )
            yield problem("stn", "location", said)
    mode = values.get("mode")
    if mode in HISTORICAL_MODES:
        yield problem("mode", "mode", f"{mode} is not for observations of today", "warning")
    elif mode is not None and mode not in MODES:
        yield problem("mode", "mode", f"{mode!r} is not in the MPC's list of modes")
    for column in ("astCat", "photCat"):
        name = values.get(column)
        if name in OLD_CATALOGUES:
            said = f"{name}: the MPC asks for a modern catalogue"
            yield problem(column, "catalogue", said, "warning")
        elif name is not None and name not in CATALOGUES:
            yield problem(column, "catalogue", f"{name!r} is not in the MPC's list of catalogues")
    band = values.get("band")
    if band in REFUSED_BANDS:
        yield problem("band", "band", f"the MPC refuses band {band}: it is of no photometric system")
    elif band == "UNK":
        yield problem("band", "band", "the band is not known", "warning")
    elif band is not None and band not in ADES_BANDS:
        yield problem("band", "band", f"{band!r} is not in the MPC's list of bands")


def _named(values: Row, row: int) -> Iterable[Problem]:
    name = values.get("trkSub")
    if name is None:
        return
    if "permID" in values or "provID" in values:
        return
    try:
        temporary_designation(name)
    except BadInput as error:
        if "packed" in error.message:
            said = f"{name} reads like a packed designation"
            yield Problem(row, "trkSub", "trksub", "warning", said)


def _precise(values: Row, row: int) -> Iterable[Problem]:
    """Digits that suit the stated errors."""
    dec = _number(values.get("dec"))
    shrink = math.cos(math.radians(dec)) if math.isfinite(dec) and abs(dec) <= 90.0 else 1.0
    for column, rms_name, factor in (("ra", "rmsRA", max(shrink, 0.01)), ("dec", "rmsDec", 1.0)):
        text = values.get(column)
        if text is None or not math.isfinite(_number(text)):
            continue
        decimals = len(text.partition(".")[2])
        step = _DEG_ARCSEC * factor * 10.0**-decimals
        rms = _number(values.get(rms_name))
        if decimals < 4:
            said = f'{decimals} decimals are {step:.2g}" coarse'
            yield Problem(row, column, "precision", "error", said)
        elif math.isfinite(rms) and step > rms:
            said = f'the last digit is {step:.2g}", the stated error {rms:g}"'
            yield Problem(row, column, "precision", "warning", said)
    if (time := values.get("obsTime")) and "." not in time:
        said = 'whole seconds: an object of 60"/min has moved 0.5" in half of one'
        yield Problem(row, "obsTime", "precision", "warning", said)
    if len(values.get("mag", "").partition(".")[2]) > 3:
        yield Problem(row, "mag", "precision", "warning", "more than three decimals of a magnitude")


def _plausible(values: Row, row: int) -> Iterable[Problem]:
    """Ranges narrower than the schema's."""

    def problem(column: str, said: str, severity: Severity = "warning") -> Problem:
        return Problem(row, column, "range", severity, said)

    both = ("rmsRA" in values) + ("rmsDec" in values)
    if both == 1:
        yield problem("rmsRA" if "rmsRA" in values else "rmsDec", "rmsRA and rmsDec belong together")
    if "rmsCorr" in values and both < 2:
        yield problem("rmsCorr", "a correlation of errors that are not stated")
    for column, low, high in (
        ("rmsRA", 1e-4, 10.0),
        ("rmsDec", 1e-4, 10.0),
        ("rmsMag", 1e-4, 2.0),
        ("mag", 0.0, 28.0),
        ("logSNR", 0.0, 5.0),
        ("seeing", 0.2, 30.0),
        ("exp", 1e-3, 36_000.0),
    ):
        value = _number(values.get(column))
        if math.isfinite(value) and not low <= value <= high:
            yield problem(column, f"{value:g} is not within {low:g} and {high:g}")
    if (text := values.get("obsTime")) is not None:
        mjd = mjd_of(text)
        if mjd is None:
            yield problem("obsTime", f"{text!r} is no time like 2026-11-14T20:01:00.13Z", "error")
        elif mjd < _EARLIEST_DIGITAL and values.get("mode") in ("CCD", "CMO"):
            yield problem("obsTime", "before there were CCD observations of asteroids", "error")


def mjd_of(text: str) -> float | None:
    """UTC MJD of an obsTime, None when it is none; a leap second counts as the next day's first.

    >>> mjd_of("2020-01-01T12:00:00.00Z"), mjd_of("2020-02-30T12:00:00Z")
    (58849.5, None)
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = (int(match[i]) for i in range(1, 6))
    second = float(match[6])
    if hour > 23 or minute > 59 or second >= 61.0:
        return None
    try:
        days = (datetime(year, month, day, tzinfo=UTC) - _MJD_EPOCH).days
    except ValueError:
        return None
    return days + (hour * 3600 + minute * 60 + second) / DAY_S


def _number(text: str | None) -> float:
    if not text or not _DECIMAL.fullmatch(text) or not any(c.isdigit() for c in text):
        return math.nan
    return float(text)


def _sighting(kind: str, values: Row, row: int) -> Sighting | None:
    """The position of an observation, None when it has none that can be read."""
    columns = ("obsTime", "ra", "dec") if kind == "optical" else ("obsTime", "raStar", "decStar")
    mjd = mjd_of(values.get("obsTime", ""))
    ra, dec = _number(values.get(columns[1])), _number(values.get(columns[2]))
    if mjd is None or not (math.isfinite(ra) and math.isfinite(dec)) or abs(dec) > 90.0:
        return None
    key = next((values[k] for k in ("permID", "provID", "artSat", "trkSub") if values.get(k)), "")
    errors = [_number(values.get(k)) for k in ("rmsRA", "rmsDec")]
    known = [e for e in errors if math.isfinite(e)]
    return Sighting(
        row=row,
        key=key,
        stn=values.get("stn", ""),
        mjd=mjd,
        ra_deg=ra % 360.0,
        dec_deg=dec,
        rms_arcsec=max(known) if known else math.nan,
        columns=columns,
        on_ground="pos1" not in values and values.get("mode") != "OCC",
        stacked="K" in values.get("notes", ""),
        asterisk="disc" if values.get("disc") == "*" else "",
    )
