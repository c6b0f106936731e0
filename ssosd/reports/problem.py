"""What the linter says: one problem, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that is wrong, or that a person should look at, in a draft."""

    row: int  # line of the file, from 1; 0 for the file as a whole
    column: str  # columns of the record (16-32) or the element's name (obsTime), "" for the whole line
    rule: str  # short name of the rule
    severity: Severity  # error: the MPC would refuse it, or it cannot be true
    message: str  # one sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """One position, whatever the form it was written in."""

    row: int  # line of the file
    key: str  # designation of the object
    stn: str  # observatory code
    mjd: float  # UTC MJD
    ra_deg: float  # ICRS
    dec_deg: float  # ICRS
    rms_arcsec: float  # the larger one of the stated errors, NaN when none is stated
    columns: tuple[str, str, str]  # where time, RA and Dec stand
    on_ground: bool = True  # False for occultations, spacecraft, roving observers
    stacked: bool = False  # from several images added up (note K)
    asterisk: str = ""  # where the discovery asterisk stands, "" when it has none


def has_errors(problems: tuple[Problem, ...]) -> bool:
    """Whether any of them is an error."""
    return any(p.severity == "error" for p in problems)
