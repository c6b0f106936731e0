"""The 80-column draft of a night: what a person may send to the MPC after reading it. Nothing is sent."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ssosd.errors import BadInput
from ssosd.reports.designation import Designation, base62, known_designation, temporary_designation
from ssosd.reports.mpc_values import note_of
from ssosd.reports.obs80 import Precision, format_observation
from ssosd.site import night_bounds

#: Header records in the order the MPC lists them: https://minorplanetcenter.net/iau/info/ObsDetails.html
HEADER_KEYS = ("COD", "CON", "OBS", "MEA", "TEL", "NET", "BND", "COM", "NUM", "ACK", "AC2")
_NAMES = ("OBS", "MEA")
_WIDTH = 80
#: Where the records with names and free words come from.
_PARAMETERS = {
    "CON": "SUBMITTER and CONTACT",
    "OBS": "OBSERVERS",
    "MEA": "MEASURERS",
    "TEL": "TELESCOPE_DESIGN",
    "COM": "COMMENT",
    "AC2": "AC2",
}
#: Letters and signs that are no plain one with an accent.
_PLAIN = str.maketrans("øØłŁđĐðÐı’‘“”–—", "oOlLdDdDi''\"\"--") | str.maketrans(
    {"þ": "th", "Þ": "Th", "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
)
#: SExtractor writes 99 for a magnitude it could not measure.
_NO_MAGNITUDE = 50.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A draft and what a person must know before sending it."""

    text: str  # header and observations, "" when there is no observation
    n_observations: int  # lines of observations in it
    problems: tuple[str, ...]  # what was left out or could not be filled in, one sentence each


def assign_designations(
    candidates: Iterable[str], *, night: str, taken: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give every candidate a temporary designation that no other night of ours uses.

    It is ``s``, three base-62 digits of the night's day number and three of a running number, so it never
    looks like a packed designation. Candidates that have one keep it; new ones are numbered behind them in
    the order of their identifiers.

    Parameters
    ----------
    candidates : iterable of str
        CANDIDATE identifiers of one night.
    night : str
        ISO date of the evening.
    taken : mapping, optional
        What an earlier call gave, candidate to designation, for this night.

    Raises
    ------
    BadInput
        More than 238,328 in one night.
    Misconfigured
        `night` is no date.

    Examples
    --------
    >>> assign_designations(["F01-0002", "F01-0001"], night="2026-11-14")
    {'F01-0001': 'sFxe000', 'F01-0002': 'sFxe001'}
    """
    given = dict(taken or {})
    stem = "s" + base62(math.floor(night_bounds(night, 0.0)[0]), 3)
    used = set(given.values())
    number = 0
    for candidate in sorted(set(candidates) - given.keys()):
        while (designation := stem + base62(number, 3)) in used:
            number += 1
        used.add(designation)
        given[candidate] = designation
    return given


def render_draft(
    *,
    candidates: pd.DataFrame,
    code: str,
    night: str,
    designations: Mapping[str, str] | None = None,
    header: Mapping[str, str | Sequence[str]] | None = None,
    note2: str = "C",
    precision: Precision | None = None,
) -> Draft:
    """Write the draft of a night's candidates, by candidate and time.

    Parameters
    ----------
    candidates : DataFrame
        Detections with CANDIDATE, MID_EXPOSURE_MJD, RA, DEC; with MATCHED, MATCH_STATE, SKYBOT_NUMBER,
        SKYBOT_NAME where they were compared with known objects; with MAG_CALIB and BAND where they are
        calibrated; FLAGS_SSOS where it is there.
    code : str
        Observatory code.
    night : str
        ISO date of the evening, for the temporary designations.
    designations : mapping, optional
        CANDIDATE to temporary designation where they are given already; the others are assigned, see
        `assign_designations`.
    header : mapping, optional
        More header records by their three-letter key; a sequence gives several lines. Nothing is made up for
        records that are missing.
    note2 : str
        Column 15: ``C`` CCD, ``B`` CMOS.
    precision : Precision, optional
        Digits to print.

    Returns
    -------
    Draft
        One candidate that cannot be written is a problem, and the others are there.
    """
    problems: list[str] = []
    lines: list[str] = []
    if not candidates.empty:
        ordered = candidates.sort_values(
            ["CANDIDATE", "MID_EXPOSURE_MJD", "RA", "DEC"], kind="stable", ignore_index=True
        )
        names = assign_designations(ordered["CANDIDATE"], night=night, taken=designations)
        for candidate, rows in ordered.groupby("CANDIDATE", sort=True):
            try:
                designation, doubts = designate(str(candidate), rows, names)
                lines += _lines(rows, designation, code=code, note2=note2, precision=precision)
                problems += doubts
            except BadInput as error:
                problems.append(f"candidate {candidate} is not in the draft: {error}")
        problems += _whole_night(ordered)
    if code == "500":
        problems.append("OBSERVATORY_CODE is 500, the geocentre: set the code of the observatory")
    if not lines:
        return Draft(text="", n_observations=0, problems=tuple(problems))
    head, doubts = _header(code, header or {}, len(lines))
    text = "".join(f"{line}\n" for line in head + lines)
    return Draft(text=text, n_observations=len(lines), problems=tuple(problems + doubts))


def designate(
    candidate: str, rows: pd.DataFrame, designations: Mapping[str, str]
) -> tuple[Designation, list[str]]:
    """Name one candidate: a known object if any of its detections matched one, most often named first."""
    if "MATCHED" in rows:
        is_matched = rows["MATCHED"].astype("boolean").fillna(value=False).astype(bool)
        if is_matched.any():
            matched = rows.loc[is_matched, ["SKYBOT_NUMBER", "SKYBOT_NAME"]]
            names = [
                (_text(number), _text(name))
                for number, name in zip(matched["SKYBOT_NUMBER"], matched["SKYBOT_NAME"], strict=True)
            ]
            number, name = max(dict.fromkeys(names), key=names.count)
            doubts = []
            if len(set(names)) > 1:
                doubts = [
                    f"candidate {candidate} matched {len(set(names))} known objects; {name or number} is used"
                ]
            return known_designation(number=number, name=name), doubts
    return temporary_designation(designations[candidate]), []


def _lines(
    rows: pd.DataFrame, designation: Designation, *, code: str, note2: str, precision: Precision | None
) -> list[str]:
    count = len(rows)
    magnitudes = rows["MAG_CALIB"].astype(float).tolist() if "MAG_CALIB" in rows else [math.nan] * count
    bands = [_text(band) for band in rows["BAND"]] if "BAND" in rows else [""] * count
    flags = rows["FLAGS_SSOS"].tolist() if "FLAGS_SSOS" in rows else [0] * count
    return [
        format_observation(
            designation=designation,
            mjd_mid=mjd,
            ra_deg=ra,
            dec_deg=dec,
            mag=mag if band and math.isfinite(mag) and mag < _NO_MAGNITUDE else None,
            band=band,
            code=code,
            note1=note_of(flag),
            note2=note2,
            precision=precision,
        )
        for mjd, ra, dec, mag, band, flag in zip(
            rows["MID_EXPOSURE_MJD"].tolist(),
            rows["RA"].tolist(),
            rows["DEC"].tolist(),
            magnitudes,
            bands,
            flags,
            strict=True,
        )
    ]


def _whole_night(rows: pd.DataFrame) -> list[str]:
    """Say what is missing for all candidates alike, once."""
    said = []
    unchecked = "MATCHED" not in rows or bool(rows["MATCHED"].isna().any())
    if unchecked or ("MATCH_STATE" in rows and bool((rows["MATCH_STATE"] == "unchecked").any())):
        said.append("not every candidate was compared with the known objects: an unknown one may be known")
    if "MATCH_STATE" in rows and (
        possible := rows.loc[rows["MATCH_STATE"] == "possible", "CANDIDATE"].nunique()
    ):
        said.append(
            f"candidates that may be known objects (MATCH_STATE possible), look before sending: {possible}"
        )
    if "MAG_CALIB" not in rows:
        said.append("no calibrated magnitudes (MAG_CALIB): columns 66-71 are blank")
    elif bool(((rows["MAG_CALIB"].astype(float) < _NO_MAGNITUDE) & ~_banded(rows)).any()):
        said.append("magnitudes without a band (BAND) are left out: the MPC takes a blank one for B")
    return said


def _banded(rows: pd.DataFrame) -> pd.Series:
    """Rows with a band."""
    if "BAND" not in rows:
        return pd.Series(data=False, index=rows.index)
    return rows["BAND"].map(_text) != ""


def _header(
    code: str, header: Mapping[str, str | Sequence[str]], n_observations: int
) -> tuple[list[str], list[str]]:
    """Header records from what is known, plain ASCII, and what was wrong with them."""
    known = {**header, "COD": code, "NUM": str(n_observations)}
    lines, doubts = (
        [],
        [f"header record {key} is none of the MPC's" for key in sorted(set(header) - set(HEADER_KEYS))],
    )
    for key in HEADER_KEYS:
        value = known.get(key, "")
        for text in [value] if isinstance(value, str) else value:
            plain, lost = _ascii(text)
            line = f"{key} {plain}"
            if not plain:
                continue
            if lost:
                change = f" or change {_PARAMETERS[key]}" if key in _PARAMETERS else ""
                doubts.append(
                    f"header record {key} has letters that 80 columns cannot hold: {lost}; send ADES{change}"
                )
            wrapped = _wrapped(line) if key in _NAMES else [line]
            if any(len(part) > _WIDTH for part in wrapped):
                doubts.append(f"header record {key} is longer than {_WIDTH} columns and was cut")
            lines += [part[:_WIDTH] for part in wrapped]
    return lines, doubts


def _wrapped(line: str) -> list[str]:
    """A record of names in as many lines as they need, broken at commas.

    >>> [len(line) for line in _wrapped("OBS " + ", ".join(["A. Nobody"] * 10))]
    [79, 35]
    """
    lines: list[str] = []
    for name in (name for part in line[4:].split(",") if (name := part.strip())):
        if lines and len(lines[-1]) + len(name) + 2 <= _WIDTH:
            lines[-1] += f", {name}"
        else:
            lines.append(line[:4] + name)
    return lines


def _ascii(text: str) -> tuple[str, str]:
    """Plain ASCII on one line, accents dropped, and the letters that are question marks in it.

    >>> _ascii("Renée  Weiß 王")
    ('Renee Weiss ?', '王')
    """
    taken_apart = unicodedata.normalize("NFKD", " ".join(text.split()))
    bare = "".join(c for c in taken_apart if not unicodedata.combining(c)).translate(_PLAIN)
    return bare.encode("ascii", "replace").decode("ascii"), "".join(c for c in bare if not c.isascii())


def _text(value: Any) -> str:
    """Text of a table cell: blank for a missing one, no ``.0`` behind a number that became a float."""
    if pd.isna(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
