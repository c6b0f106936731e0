"""Temporary designations of a night: from what was detected first, the same for one object in two fields."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd.days import DAY_S
from ssosd.reports.designation import base62
from ssosd.site import night_bounds
from ssosd.sphere import separation_arcsec, to_radec, unit_vectors

SAME_PLACE = 5.0  # arcsec: two fields' candidates are one object when each is where the other would be
SAME_RATE = 0.1  # of the rate, or 1 arcsec/h where that is more
SENT_WITHIN, SENT_WITHIN_DAY = 1.0, 2.0 / DAY_S  # arcsec and days: the same position
_PLACES = 62**3
_READ = (
    *("CANDIDATE", "FIELD", "IMAGE_FILENAME", "EXTENSION", "NUMBER", "MID_EXPOSURE_MJD"),
    *("RA", "DEC", "PMRA", "PMDEC"),
)


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
    ordered = candidates[list(_READ)].sort_values(["MID_EXPOSURE_MJD", "RA", "DEC"], kind="stable")
    first, last = (
        ordered.drop_duplicates("CANDIDATE", keep=which).sort_values("CANDIDATE", ignore_index=True)
        for which in ("first", "last")
    )
    objects = _objects(first, last)
    said = dict(zip(first["CANDIDATE"].tolist(), first.to_dict("records"), strict=True))
    stem = "s" + base62(math.floor(night_bounds(night, 0.0)[0]), 3)
    used = set(names.values())
    for members in objects:
        name = next((names[member] for member in members if member in names), None)
        name = name or _new(stem, said[members[0]], used)
        used.add(name)
        names.update(dict.fromkeys(members, name))
    return names


def _new(stem: str, row: Mapping[Any, Any], used: Iterable[str]) -> str:
    """Name by the first detection; the next one that is free if two have the same."""
    said = f"{row['IMAGE_FILENAME']} {row['EXTENSION']} {row['NUMBER']} {row['MID_EXPOSURE_MJD']:.6f}"
    number = int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "big") % _PLACES
    while (name := stem + base62(number, 3)) in used:
        number = (number + 1) % _PLACES
    return name


def _objects(first: pd.DataFrame, last: pd.DataFrame) -> list[list[str]]:
    """Candidates that are one object, each group by its first detection, groups in that order too.

    Parameters
    ----------
    first, last : DataFrame
        First and last detection of each candidate, in the same order.
    """
    order = first.sort_values(["MID_EXPOSURE_MJD", "RA", "DEC"], kind="stable")["CANDIDATE"].tolist()
    rank = {name: k for k, name in enumerate(order)}
    names = first["CANDIDATE"].tolist()
    root = {name: name for name in order}
    for a, b in _same(first, last):
        low, high = sorted((root[names[a]], root[names[b]]), key=rank.__getitem__)
        root = {name: low if value == high else value for name, value in root.items()}
    groups: dict[str, list[str]] = {}
    for name in order:
        groups.setdefault(root[name], []).append(name)
    return list(groups.values())


def _same(first: pd.DataFrame, last: pd.DataFrame) -> Iterable[tuple[int, int]]:
    """Pairs of candidates of two fields whose motions lead from one to the other."""
    begin, end = _Places.of(first), _Places.of(last)
    rate = first[["PMRA", "PMDEC"]].to_numpy(np.float64)
    unlike = np.maximum(SAME_RATE * np.linalg.norm(rate, axis=-1), 1.0)  # arcsec/h
    # those that can be one object at all are near each other in the middle of the night
    hours = begin.hours - np.median(begin.hours)
    reach = 2.0 * SAME_PLACE + unlike * max(
        np.abs(hours).max(), np.abs(end.hours - begin.hours + hours).max()
    )
    there = unit_vectors(*begin.moved(np.nan_to_num(rate), -hours))
    near = cKDTree(there).query_ball_point(there, 2.0 * np.sin(np.radians(np.nan_to_num(reach) / 7200.0)))
    a = np.repeat(np.arange(len(first)), [len(found) for found in near])
    b = np.concatenate(near).astype(np.intp)
    field = np.unique(first["FIELD"], return_inverse=True)[1]
    a, b = a[field[a] < field[b]], b[field[a] < field[b]]
    alike = np.linalg.norm(rate[a] - rate[b], axis=-1) <= unlike[a]
    a, b = a[alike], b[alike]
    ahead, behind = (
        separation_arcsec(
            *end.take(x).moved(rate[x], begin.hours[y] - end.hours[x]), begin.ra[y], begin.dec[y]
        )
        for x, y in ((a, b), (b, a))
    )
    same = np.minimum(ahead, behind) <= SAME_PLACE
    return zip(a[same].tolist(), b[same].tolist(), strict=True)


@dataclass(frozen=True, slots=True)
class _Places:
    """One place of each of some candidates, shape (n,)."""

    hours: NDArray[np.float64]  # of MJD
    ra: NDArray[np.float64]  # deg ICRS
    dec: NDArray[np.float64]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Places:
        mjd, ra, dec = (rows[name].to_numpy(np.float64) for name in ("MID_EXPOSURE_MJD", "RA", "DEC"))
        return cls(mjd * 24.0, ra, dec)

    def take(self, rows: NDArray[np.intp]) -> _Places:
        """Those of some candidates."""
        return _Places(self.hours[rows], self.ra[rows], self.dec[rows])

    def moved(
        self, rate: NDArray[np.float64], hours: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """RA and Dec (deg) so many hours later, by rates (n, 2) in arcsec/h, cos Dec applied."""
        ra, dec = np.radians(self.ra), np.radians(self.dec)
        east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
        north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
        step = np.radians((rate[:, :1] * east + rate[:, 1:] * north) * hours[:, None] / 3600.0)
        return to_radec(unit_vectors(self.ra, self.dec) + step)


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
