"""The linter's rules for files of 80-column records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ssosd.errors import BadInput, Misconfigured
from ssosd.plumbing.text import counted
from ssosd.reports.designation import Designation
from ssosd.reports.mpc80 import HEADER_KEYS
from ssosd.reports.mpc_values import LETTER_BANDS, NOTE2_LISTED, NOTE2_TODAY, REFUSED_BANDS, SECOND_LINES
from ssosd.reports.obs80 import Observation, parse_observation
from ssosd.reports.problem import Problem, Severity, Sighting
from ssosd.reports.unpack import Identity, unpack
from ssosd.site import moves, site_from_code

_COLUMNS = ("16-32", "33-44", "45-56")
_WIDTH = 80
_TRAILER = re.compile(r"-+ *end *-+", re.IGNORECASE)
#: Put in the place of a field that does not parse, so that the others are looked at too.
_GOOD = {
    "16-32": (15, "2020 01 01.000000"),
    "33-44": (32, "00 00 00.000"),
    "45-56": (44, "+00 00 00.00"),
    "66-70": (65, "     "),
}
_PLACEHOLDER = re.compile(
    r"\b(?:x{3,}|todo|fixme|lorem|placeholder|your[ _]?name|john doe|jane doe)\b|\?{3,}|<[^>@]*>",
    re.IGNORECASE,
)
#: Columns 6-12 begin as a packed provisional designation does.
_LIKE_PACKED = re.compile(r"[IJKL]\d\d[A-Z]\w{3}", re.ASCII)
_IN_TWO = frozenset(letter.upper() for letter in SECOND_LINES)
_EARLIEST_DIGITAL = 44239.0  # 1980-01-01


@dataclass
class _Batch:
    """Header records and the number of observations under them."""

    row: int
    records: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    observations: int = 0


def lint_mpc80(lines: Sequence[str]) -> tuple[list[Problem], list[Sighting]]:
    """Check each line by itself and the headers; give the positions for the rules of the sky."""
    problems: list[Problem] = []
    sightings: list[Sighting] = []
    batches: list[_Batch] = []
    for row, raw in enumerate(lines, start=1):
        line = raw.rstrip("\r\n")
        if not line.strip() or _TRAILER.fullmatch(line.strip()):
            continue
        if (key := _header_key(line)) is not None:
            if not batches or batches[-1].observations:
                batches.append(_Batch(row=row))
            batches[-1].records.setdefault(key, []).append((row, line[4:].strip()))
            problems += _header_line(row, line, key)
            continue
        if not batches:
            batches.append(_Batch(row=row))
        if len(line) == _WIDTH and line[14] in SECOND_LINES:
            continue
        batches[-1].observations += 1
        found, sighting = _observation(row, line)
        problems += [*found, *_place(row, line, lines[row : row + 1])]
        if sighting is not None:
            sightings.append(sighting)
            problems += _station(batches[-1], sighting)
    for batch in batches:
        problems += _batch(batch)
    if not sightings and not problems:
        problems.append(Problem(0, "", "empty", "error", "there is no observation in it"))
    return problems, sightings


def _header_key(line: str) -> str | None:
    """Its three letters, when the line is a header record: no observation has letters and a blank there."""
    key = line[:3]
    if line[3:4] in ("", " ") and key in HEADER_KEYS:
        return key
    looks = re.match(r"[A-Z][A-Z][A-Z0-9] \S", line) is not None and len(line) != _WIDTH
    return key if looks else None


def _header_line(row: int, line: str, key: str) -> Iterable[Problem]:
    if key not in HEADER_KEYS:
        said = f"{key} is no header record of the MPC's"
        yield Problem(row, "1-3", "header", "error", said)
    if len(line) > _WIDTH:
        yield Problem(row, "81-", "length", "warning", f"{counted(len(line), 'column')}; the MPC reads 80")
    if not line.isascii() or not line.replace("\t", " ").isprintable():
        yield Problem(row, "", "ascii", "error", "a character that is not plain ASCII")
    if _PLACEHOLDER.search(line[4:]):
        yield Problem(row, "5-80", "placeholder", "error", f"{key} still holds a placeholder: {line[4:]!r}")


def _batch(batch: _Batch) -> Iterable[Problem]:
    records = batch.records
    if "COD" not in records:
        yield Problem(batch.row, "", "header", "error", "no record COD: the observatory code")
    for key, what in (("OBS", "the observers"), ("MEA", "the measurers"), ("TEL", "the telescope")):
        if key not in records:
            yield Problem(batch.row, "", "header", "warning", f"no record {key}: {what}")
    for row, text in records.get("COD", ()):
        yield from _code(row, "5-7", text)
    for row, text in records.get("NUM", ()):
        if text != str(batch.observations):
            said = f"NUM says {text}, there are {counted(batch.observations, 'observation')}"
            yield Problem(row, "5-80", "count", "error", said)
    if not batch.observations:
        yield Problem(batch.row, "", "empty", "error", "a header without observations")


def _station(batch: _Batch, sighting: Sighting) -> Iterable[Problem]:
    codes = {text for _, text in batch.records.get("COD", ())}
    if codes and sighting.stn not in codes:
        said = f"observed at {sighting.stn}, but the header is of {', '.join(sorted(codes))}"
        yield Problem(sighting.row, "78-80", "station", "warning", said)


def _place(row: int, line: str, following: Sequence[str]) -> Iterable[Problem]:
    """Where it was observed, which a second line tells of who has no place of his own.

    https://minorplanetcenter.net/iau/info/RovingObs.html and SatelliteObs.html
    """
    kind, code = line[14:15], line[77:80]
    if kind and kind in _IN_TWO:
        second = next(iter(following), "").rstrip("\r\n")
        wanted = line[:12], line[15:32], kind.lower(), code
        if (second[:12], second[15:32], second[14:15], second[77:80]) != wanted:
            said = f"{kind} in column 15 without the second line of this record, of {kind.lower()}"
            yield Problem(row, "15", "location", "error", said)
    elif moves(code):
        said = f"{code} has no place of its own: a second line has to tell where this was observed from"
        yield Problem(row, "78-80", "location", "error", said)


def _code(row: int, columns: str, code: str) -> Iterable[Problem]:
    try:
        site_from_code(code)
    except Misconfigured:
        yield Problem(row, columns, "station", "error", f"{code!r} is no observatory code of the MPC's")


def _observation(row: int, line: str) -> tuple[list[Problem], Sighting | None]:
    if len(line) != _WIDTH:
        return [
            Problem(row, "", "length", "error", f"{counted(len(line), 'column')} instead of {_WIDTH}")
        ], None
    problems: list[Problem] = []
    if not line.isascii() or not line.isprintable():
        return [Problem(row, "", "ascii", "error", "a character that is not plain ASCII")], None
    parsed, problems = _parsed(row, line)
    identity = Identity()
    if not line[:12].strip():
        problems.append(Problem(row, "1-12", "designation", "error", "blank: the object has no name"))
    else:
        try:
            identity = unpack(Designation(number=line[:5].rstrip(), provisional=line[5:12].rstrip()))
        except BadInput as error:
            columns, said = _split(error.message, "1-12")
            problems.append(Problem(row, columns, "designation", "error", said))
    if _LIKE_PACKED.fullmatch(identity.trk_sub):
        said = f"{identity.trk_sub} looks like a packed designation but is none: taken as the observer's own"
        problems.append(Problem(row, "6-12", "designation", "warning", said))
    problems += _columns(row, line)
    problems += _code(row, "78-80", line[77:80])
    if parsed is None:
        return problems, None
    problems += _values(row, parsed)
    if any(p.column in _COLUMNS and p.rule == "form" for p in problems):
        return problems, None
    return problems, Sighting(
        row=row,
        key=identity.key or line[:12],
        stn=line[77:80],
        mjd=parsed.mjd_mid,
        ra_deg=parsed.ra_deg,
        dec_deg=parsed.dec_deg,
        rms_arcsec=float("nan"),
        columns=_COLUMNS,
        on_ground=line[14] not in "SVERsvr",
        stacked=line[13] == "K",
        asterisk="13" if line[12] == "*" else "",
    )


def _parsed(row: int, line: str) -> tuple[Observation | None, list[Problem]]:
    """Parse a line; what does not parse becomes a problem, and the rest is parsed all the same."""
    problems: list[Problem] = []
    for _ in range(len(_GOOD) + 1):
        try:
            return parse_observation(line), problems
        except BadInput as error:
            columns, said = _split(error.message, "")
            problems.append(Problem(row, columns, "form", "error", said))
            if columns not in _GOOD:
                return None, problems
            start, good = _GOOD[columns]
            line = line[:start] + good + line[start + len(good) :]
    return None, problems


def _split(message: str, default: str) -> tuple[str, str]:
    match = re.match(r"columns ([\d-]+): (.*)", message, re.DOTALL)
    return (match[1], match[2]) if match else (default, message)


def _columns(row: int, line: str) -> Iterable[Problem]:
    """What stands in the single columns, and nothing where nothing may stand."""

    def problem(columns: str, rule: str, said: str, severity: Severity = "error") -> Problem:
        return Problem(row, columns, rule, severity, said)

    if line[12] not in " *+":
        yield problem("13", "asterisk", f"{line[12]!r} in the place of the discovery asterisk")
    if line[14] not in NOTE2_LISTED:
        yield problem("15", "mode", f"{line[14]!r} is not in the MPC's list; C is CCD, B is CMOS")
    elif line[14] not in NOTE2_TODAY:
        said = f"{line[14]!r} is not for observations of today; C is CCD, B is CMOS"
        yield problem("15", "mode", said, "warning")
    if line[56:65].strip():
        yield problem("57-65", "blank", f"must be blank: {line[56:65]!r}")
    if line[71:77].strip():
        yield problem("72-77", "blank", f"must be blank in a submission: {line[71:77]!r}")
    band, mag = line[70], line[65:70].strip()
    if band in REFUSED_BANDS:
        yield problem("71", "band", f"the MPC refuses band {band}: it is of no photometric system")
    elif band != " " and band not in LETTER_BANDS:
        yield problem("71", "band", f"{band!r} is not in the MPC's list of bands")
    if mag and band == " ":
        yield problem("71", "band", "a magnitude without a band is taken as B", "warning")
    if band != " " and not mag:
        yield problem("66-70", "magnitude", "a band without a magnitude", "warning")
    if mag and line[67] != "." and "." in line[65:70]:
        yield problem("66-70", "magnitude", f"the point belongs in column 68: {line[65:70]!r}")


def _values(row: int, parsed: Observation) -> Iterable[Problem]:
    """Ranges and precision."""
    if parsed.precision.day < 5:
        said = f"{parsed.precision.day} decimals of the day; CCD observations need 5 or 6"
        yield Problem(row, "16-32", "precision", "warning", said)
    if parsed.precision.ra < 2:
        said = "right ascension to 0.1 s; CCD observations need 0.01 s"
        yield Problem(row, "33-44", "precision", "warning", said)
    if parsed.mag is not None and not 0.0 < parsed.mag < 28.0:
        yield Problem(row, "66-70", "range", "warning", f"magnitude {parsed.mag:g} is hardly of an asteroid")
    if parsed.mjd_mid < _EARLIEST_DIGITAL and parsed.note2 in "CB":
        yield Problem(row, "16-32", "range", "error", "before there were CCD observations of asteroids")
