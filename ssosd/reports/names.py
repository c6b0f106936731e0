"""Temporary designations of a night: from what was detected first, the same for one object in two fields."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.reports.designation import base62
from ssosd.site import night_bounds
from ssosd.sphere import separation_arcsec, to_radec, unit_vectors

SAME_PLACE = 5.0  # arcsec: two fields' candidates are one object when each is where the other would be
SAME_RATE = 0.1  # of the rate, or 1 arcsec/h where that is more
SENT_WITHIN, SENT_WITHIN_DAY = 1.0, 2.0 / 86400.0  # arcsec and days: the same position
_PLACES = 62**3


def temporary_names(
    candidates: pd.DataFrame, *, night: str, taken: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give each candidate of a night a trkSub.

    It is ``s``, three base-62 digits of the night's day number and three that follow from the first detection
    of the object (its file, chip and number there), so that it depends neither on what else was found nor on
    the order of arrival, is used in no other night, and looks like no designation. Candidates of different
    fields that move from one to the other have one name.

    Parameters
    ----------
    candidates : DataFrame
        CANDIDATE, FIELD, IMAGE_FILENAME, EXTENSION, NUMBER, MID_EXPOSURE_MJD, RA, DEC (deg ICRS), PMRA, PMDEC
        (arcsec/h, cos Dec applied).
    night : str
        ISO date of the evening.
    taken : mapping, optional
        Names that candidates keep: those under which they were sent.

    Returns
    -------
    dict
        CANDIDATE to name.

    Examples
    --------
    >>> row = {"CANDIDATE": "F01-0001", "FIELD": "F01", "IMAGE_FILENAME": "a.fits", "EXTENSION": 0,
    ...        "NUMBER": 7, "MID_EXPOSURE_MJD": 61358.8, "RA": 10.0, "DEC": 5.0, "PMRA": 30.0, "PMDEC": 0.0}
    >>> len(temporary_names(pd.DataFrame([row]), night="2026-11-14")["F01-0001"])
    7
    """
    names = dict(taken or {})
    if candidates.empty:
        return names
    ordered = candidates.sort_values(["MID_EXPOSURE_MJD", "RA", "DEC"], kind="stable")
    first = ordered.groupby("CANDIDATE", sort=True).first()
    objects = _objects(ordered, first)
    stem = "s" + base62(math.floor(night_bounds(night, 0.0)[0]), 3)
    used = set(names.values())
    for members in objects:
        name = next((names[member] for member in members if member in names), None)
        name = name or _new(stem, first.loc[members[0]].to_dict(), used)
        used.add(name)
        names.update(dict.fromkeys(members, name))
    return names


def _new(stem: str, row: Mapping[Any, Any], used: Iterable[str]) -> str:
    """Name by the first detection; the next one that is free if two have the same."""
    said = f"{row['IMAGE_FILENAME']} {row['EXTENSION']} {row.get('NUMBER', 0)} {row['MID_EXPOSURE_MJD']:.6f}"
    number = int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "big") % _PLACES
    while (name := stem + base62(number, 3)) in used:
        number = (number + 1) % _PLACES
    return name


def _objects(ordered: pd.DataFrame, first: pd.DataFrame) -> list[list[str]]:
    """Candidates that are one object, each group by its first detection, groups in that order too."""
    last = ordered.groupby("CANDIDATE", sort=True).last()
    order = first.sort_values(["MID_EXPOSURE_MJD", "RA", "DEC"], kind="stable").index.tolist()
    root = {name: name for name in order}
    by_field = first.loc[order, "FIELD"]
    for field, other in combinations(sorted(set(by_field)), 2):
        mine, theirs = (by_field.index[by_field == f].tolist() for f in (field, other))
        for a, b in _same(first.loc[mine], last.loc[mine], first.loc[theirs], last.loc[theirs]):
            low, high = sorted((root[mine[a]], root[theirs[b]]), key=order.index)
            root = {name: low if value == high else value for name, value in root.items()}
    groups: dict[str, list[str]] = {}
    for name in order:
        groups.setdefault(root[name], []).append(name)
    return list(groups.values())


def _same(
    first_a: pd.DataFrame, last_a: pd.DataFrame, first_b: pd.DataFrame, last_b: pd.DataFrame
) -> Iterable[tuple[int, int]]:
    """Pairs of candidates of two fields whose motions lead from one to the other."""
    rate_a, rate_b = (f[["PMRA", "PMDEC"]].to_numpy(np.float64) for f in (first_a, first_b))
    apart = np.linalg.norm(rate_a[:, None] - rate_b[None], axis=-1)
    speed = np.linalg.norm(rate_a, axis=-1)[:, None]
    alike = apart <= np.maximum(SAME_RATE * speed, 1.0)
    ahead = _distance(last_a, rate_a, first_b)
    behind = _distance(last_b, rate_b, first_a).T
    return zip(*np.nonzero(alike & (np.minimum(ahead, behind) <= SAME_PLACE)), strict=True)


def _distance(start: pd.DataFrame, rate: np.ndarray, end: pd.DataFrame) -> np.ndarray:
    """Distance, arcsec, of each end from where each start is then; shape (n_start, n_end)."""
    hours = (end["MID_EXPOSURE_MJD"].to_numpy()[None] - start["MID_EXPOSURE_MJD"].to_numpy()[:, None]) * 24.0
    ra, dec = np.radians(start["RA"].to_numpy()), np.radians(start["DEC"].to_numpy())
    place = unit_vectors(start["RA"], start["DEC"])
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    step = np.radians((rate[:, 0, None] * east + rate[:, 1, None] * north) / 3600.0)
    there = to_radec(place[:, None] + step[:, None] * hours[:, :, None])
    return separation_arcsec(*there, end["RA"].to_numpy()[None], end["DEC"].to_numpy()[None])


def already_sent(
    candidates: pd.DataFrame, ledger: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Find what was sent of a night.

    Parameters
    ----------
    candidates : DataFrame
        CANDIDATE, MID_EXPOSURE_MJD (UTC), RA, DEC (deg ICRS).
    ledger : sequence of mapping
        Positions that were sent: key, mjd (UTC), ra_deg, dec_deg (ICRS).

    Returns
    -------
    sent : ndarray of bool, shape (n,)
        Rows of candidates within 2 s and 1 arcsec of a position that was sent.
    names : dict
        The temporary designation under which candidates were sent, by CANDIDATE.
    """
    sent = np.zeros(len(candidates), dtype=bool)
    names: dict[str, str] = {}
    if candidates.empty or not ledger:
        return sent, names
    times, labels = candidates["MID_EXPOSURE_MJD"].to_numpy(np.float64), candidates["CANDIDATE"].tolist()
    ra, dec = candidates["RA"].to_numpy(np.float64), candidates["DEC"].to_numpy(np.float64)
    for row in ledger:
        near = np.flatnonzero(np.abs(times - row["mjd"]) <= SENT_WITHIN_DAY)
        near = near[separation_arcsec(ra[near], dec[near], row["ra_deg"], row["dec_deg"]) <= SENT_WITHIN]
        sent[near] = True
        if str(row["key"]).startswith("s"):
            names.update({labels[i]: str(row["key"]) for i in near})
    return sent, names
