"""The night's summary: every file accounted for, what each field gave, what was left out and why.

The same night gives the same bytes: nothing of when or where it was written, rows ordered by content, files
named relative to their folders, counts of tries and reasons of timing left out.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

Row = Mapping[str, Any]
Summary = dict[str, Any]
#: Raised when a key changes its meaning or goes; the keys are in docs/json.md.
SCHEMA = 1
OUTCOMES = ("exposure", "duplicate", "ignored", "parked", "gone")
MATCH_STATES = ("matched", "possible", "unknown", "unchecked")


def audit(folder_files: Iterable[PurePath | str], outcomes: Mapping[str, str]) -> list[str]:
    """Files of the folder that the store cannot account for.

    Parameters
    ----------
    folder_files : iterable of path
        The files that are there now.
    outcomes : mapping
        Path to outcome, as recorded. A file that is recorded as gone and is there is not accounted for.

    Returns
    -------
    list of str
        Sorted; empty when every file has a row and an outcome.

    Examples
    --------
    >>> audit(["/d/a.fits", "/d/b.fits"], {"/d/a.fits": "exposure", "/d/c.fits": "gone"})
    ['/d/b.fits']
    """
    there = {str(path) for path in folder_files}
    return sorted(path for path in there if outcomes.get(path, "gone") == "gone")


def night_summary(
    *,
    night: str,
    files: Iterable[Row],
    exposures: Iterable[Row],
    sequences: Iterable[Row],
    members: Iterable[Row],
    candidates: Iterable[Row],
    known: Iterable[Row] = (),
    rejections: Iterable[Row] = (),
    drafts: Iterable[Row] = (),
    calibrated: Mapping[str, tuple[float, str]] | None = None,
    completeness: Sequence[Summary] = (),
    unaccounted: Iterable[PurePath | str] = (),
    exposures_per_field: int = 0,
    data: PurePath | None = None,
    target: PurePath | None = None,
) -> Summary:
    """Put a night's summary together from rows of the store.

    Parameters
    ----------
    night : str
        ISO date of the local evening.
    files : iterable of mapping
        Columns ``path, outcome, reason, next_step``: all files of the night, those without an exposure too.
    exposures : iterable of mapping
        Columns ``digest, path, date_obs, mjd_mid, exptime_s, filter, object, state, reason, next_step`` and,
        of its catalogue, ``n_detections, fwhm_px`` (pixels); the last two None without one.
    sequences : iterable of mapping
        Columns ``id, field, state, n_sources, funnel, notes`` (JSON), ``unchecked_because, reason,
        next_step, known_limit, known_limit_by``.
    members : iterable of mapping
        Columns ``sequence, exposure, catalog_number, dropped_because``.
    candidates : iterable of mapping
        Columns ``candidate, sequence, n_detections, mjd_first, ra_deg, dec_deg, pm, pm_ra, pm_dec``
        (arcsec/h), ``mag, match_state, known_number, known_name``.
    known : iterable of mapping
        Columns ``sequence, outcome, n``: what became of the known objects, the most frequent first.
    rejections : iterable of mapping
        Columns ``sequence, reason, n``: how many sources each criterion rejected.
    drafts : iterable of mapping
        Columns ``kind, path, n_observations``.
    calibrated : mapping, optional
        Median calibrated magnitude and its band, by candidate, of those that have one.
    completeness : sequence of dict
        From `ssosd.analysis.inject.curve`, as it is written.
    unaccounted : iterable of path
        From `audit`.
    exposures_per_field : int
        Exposures of a complete sequence; one that was linked with fewer is partial. 0: unknown.
    data, target : path, optional
        Folders that the names of exposures and drafts are given relative to.

    Returns
    -------
    dict
        Only what JSON has; see docs/json.md for the keys.
    """
    exposure_rows = {row["digest"]: row for row in exposures}
    of_field: dict[int, list[Row]] = {}
    for member in members:
        of_field.setdefault(member["sequence"], []).append(member)
    in_field: dict[int, list[Row]] = {}
    for candidate in candidates:
        in_field.setdefault(candidate["sequence"], []).append(candidate)
    outcomes: dict[int, dict[str, int]] = {}
    for row in known:
        outcomes.setdefault(row["sequence"], {})[row["outcome"]] = row["n"]
    rejected: dict[int, dict[str, int]] = {}
    for row in rejections:
        rejected.setdefault(row["sequence"], {})[row["reason"]] = row["n"]
    ordered = sorted(sequences, key=lambda row: str(row["field"]))
    fields = [
        {
            **_field(row, of_field.get(row["id"], []), exposure_rows, data, expected=exposures_per_field),
            "rejected": dict(sorted(rejected.get(row["id"], {}).items())),
            "candidates": _by_match(in_field.get(row["id"], [])),
            "known": {
                "total": sum(outcomes.get(row["id"], {}).values()),
                "limit": _rounded(row["known_limit"], 2),
                "limit_by": row["known_limit_by"],
                "outcomes": outcomes.get(row["id"], {}),
            },
        }
        for row in ordered
    ]
    names = {row["id"]: row["field"] for row in ordered}
    listed = [
        _candidate(row, field=names.get(i, ""), calibrated=(calibrated or {}).get(row["candidate"]))
        for i, rows in in_field.items()
        for row in rows
    ]
    return {
        "schema": SCHEMA,
        "night": night,
        "audit": _audited(files, unaccounted, data),
        "exposures": _exposures(exposure_rows, of_field, names, data),
        "fields": fields,
        "candidates": {
            **_by_match([row for rows in in_field.values() for row in rows]),
            "listed": sorted(listed, key=lambda row: (row["field"], row["candidate"])),
        },
        "completeness": list(completeness),
        "drafts": sorted(
            (
                {
                    "kind": row["kind"],
                    "file": relative_name(row["path"], target),
                    "n_observations": row["n_observations"],
                }
                for row in drafts
            ),
            key=lambda row: (row["kind"], row["file"]),
        ),
    }


def summary_json(summary: Summary) -> str:
    """A summary as a JSON file's text."""
    return json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _audited(files: Iterable[Row], unaccounted: Iterable[PurePath | str], data: PurePath | None) -> Summary:
    rows = list(files)
    counted = Counter(row["outcome"] for row in rows)
    without = [
        {
            "file": relative_name(row["path"], data),
            "outcome": row["outcome"],
            "reason": row["reason"],
            "next_step": row["next_step"],
        }
        for row in rows
        if row["outcome"] in ("ignored", "parked")
    ]
    return {
        "files": len(rows),
        "outcomes": {outcome: counted.get(outcome, 0) for outcome in OUTCOMES},
        "without_exposure": sorted(without, key=lambda row: (row["outcome"], row["file"])),
        "unaccounted": sorted(relative_name(path, data) for path in unaccounted),
    }


def _exposures(
    rows: Mapping[str, Row],
    members: Mapping[int, Sequence[Row]],
    names: Mapping[int, str],
    data: PurePath | None,
) -> list[Summary]:
    """Each exposure: when, through which filter, how it turned out, and where it went."""
    place = {m["exposure"]: (names.get(i, ""), m["dropped_because"]) for i, ms in members.items() for m in ms}
    found = []
    for digest, row in rows.items():
        field, dropped = place.get(digest, ("", None))
        found.append(
            {
                "file": relative_name(row["path"], data),
                "start": row["date_obs"],
                "exptime_s": row["exptime_s"],
                "filter": row["filter"],
                "object": row["object"],
                "field": field,
                "state": row["state"],
                "n_detections": row["n_detections"],
                "fwhm_px": _rounded(row["fwhm_px"], 2),
                "left_out_because": dropped or row["reason"],
                "next_step": row["next_step"],
            }
        )
    return sorted(found, key=lambda row: (row["start"], row["file"]))


def _field(
    row: Row, members: Sequence[Row], exposures: Mapping[str, Row], data: PurePath | None, *, expected: int
) -> Summary:
    linked = sum(m["catalog_number"] is not None for m in members)
    left_out = [
        {"file": relative_name(exposures[m["exposure"]]["path"], data), "reason": m["dropped_because"]}
        for m in members
        if m["dropped_because"] and m["exposure"] in exposures
    ]
    funnel = row["funnel"]
    return {
        "field": row["field"],
        "state": row["state"],
        "n_exposures": len(members),
        "n_linked": linked,
        "partial": row["state"] == "done" and linked < expected,
        "n_sources": row["n_sources"],
        "funnel": json.loads(funnel) if isinstance(funnel, str) else funnel or [],
        "left_out": sorted(left_out, key=lambda drop: str(drop["file"])),
        "notes": json.loads(row["notes"] or "[]"),
        "unchecked_because": row["unchecked_because"],
        "reason": row["reason"],
        "next_step": row["next_step"],
    }


def _candidate(row: Row, *, field: str, calibrated: tuple[float, str] | None) -> Summary:
    known = " ".join(str(part) for part in (row["known_number"], row["known_name"]) if part)
    return {
        "candidate": row["candidate"],
        "field": field,
        "match_state": row["match_state"],
        "known": known or None,
        "n_detections": row["n_detections"],
        "mjd_first": _rounded(row["mjd_first"], 6),
        "ra_deg": _rounded(row["ra_deg"], 6),
        "dec_deg": _rounded(row["dec_deg"], 6),
        "pm": _rounded(row["pm"], 3),
        "pm_ra": _rounded(row["pm_ra"], 3),
        "pm_dec": _rounded(row["pm_dec"], 3),
        "extended": _rounded(row["extended"], 2),
        "mag": _rounded(row["mag"], 3),
        "mag_calib": _rounded(calibrated[0], 3) if calibrated else None,
        "band": calibrated[1] if calibrated else None,
    }


def _by_match(rows: Sequence[Row]) -> dict[str, int]:
    counted = Counter(row["match_state"] for row in rows)
    return {"total": len(rows), **{state: counted.get(state, 0) for state in MATCH_STATES}}


def relative_name(path: PurePath | str, folder: PurePath | None) -> str:
    """A path below a folder by its name there; any other as it is."""
    whole = PurePath(path)
    if folder is not None and whole.is_relative_to(folder):
        return str(whole.relative_to(folder))
    return str(whole)


def _rounded(value: float | None, digits: int) -> float | None:
    """A number with the digits that mean something, so that the last bit does not change the text."""
    return None if value is None or not math.isfinite(value) else round(value, digits)
