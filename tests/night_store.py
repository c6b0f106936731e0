"""A store with a night of work in it, row by row, for tests of what reads stores."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime

from ssosd.store import STORE_NAME, Seen, Store

NIGHT = "2026-11-14"
#: 2026-11-15 02:00 UTC
NOW_S = datetime(2026, 11, 15, 2, 0, tzinfo=UTC).timestamp()
RAN = {"EXPOSURES_PER_FIELD": "4", "OBSERVATORY_CODE": "950", "MIN_FREE_DISK": "0"}


def insert(target, table, *rows):
    connection = sqlite3.connect(target / STORE_NAME)
    with connection:
        for row in rows:
            connection.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                [*row.values()],
            )
    connection.close()


def place_in(store: Store, night: str, candidate: str) -> Seen:
    """The place of a candidate as somebody sees it who looks now."""
    found = store.rows(
        "SELECT mjd_first AS mjd, ra_deg, dec_deg FROM candidates WHERE night = ? AND candidate = ?",
        [night, candidate],
    )
    return Seen(**found[0])


def beat(target, pid, **columns):
    row = {"pid": pid, "started_s": NOW_S - 3600, "beat_s": NOW_S - 3, "state": "watching", "detail": "",
           "settling": 2, "queued": 1, "linking": 1, "folder": "/data"}  # fmt: skip
    insert(target, "heartbeats", {**row, **columns})


def ran(target, **parameters):
    text = "".join(f"{name:<22} {value}\n" for name, value in {**RAN, **parameters}.items())
    insert(target, "runs", {
        "started_at": "2026-11-14T18:00:00.000+00:00", "command": "run /data", "parameters": text,
        "versions": json.dumps({"scamp": "2.10.0", "ssosd": "0.1.0"}),
    })  # fmt: skip


def exposure_row(digest, state="extracted", night=NIGHT, **columns):
    return {"digest": digest, "path": f"/data/{digest}.fits", "night": night, "date_obs": f"{night}T22:00:00.000",
            "mjd_mid": 61358.9, "exptime_s": 60.0, "filter": "r", "object": "A", "telescope": "", "instrument": "",
            "ra_deg": 10.0, "dec_deg": 5.0, "width_deg": 0.5, "height_deg": 0.5, "n_chips": 1, "warnings": "[]",
            "header": "{}", "state": state, **columns}  # fmt: skip


def file_row(name, outcome="exposure", exposure=None, seen_at_s=NOW_S - 1000, **columns):
    return {"path": f"/data/{name}", "size_bytes": 1, "mtime_ns": 1, "read_with": "k", "outcome": outcome,
            "exposure": exposure, "seen_at_s": seen_at_s, **columns}  # fmt: skip


def event(at, level, subject, message):
    return {"at": f"2026-11-{at}:00.000+00:00", "level": level, "subject": subject, "message": message}


BROKEN = {"error_class": "BadInput", "reason": "x.fits: no WCS", "next_step": "solve it", "tries": 2}


def night_of_work(target):
    """Five exposures in three sequences, a duplicate, a calibration frame, and things that went wrong."""
    ran(target)
    states = {"e1": "extracted", "e2": "extracted", "e3": "extracted", "e4": "parked", "e5": "extracting"}
    insert(target, "exposures", *(exposure_row(d, s) for d, s in states.items()))
    insert(target, "exposures", exposure_row("old", night="2026-11-13"))
    insert(
        target, "files",
        *(file_row(f"{d}.fits", exposure=d, seen_at_s=NOW_S - 100 * n) for n, d in enumerate(states, 1)),
        file_row("copy of e1.fits", "duplicate", "e1"),
        file_row("flat.fits", "ignored", night=NIGHT, reason="calibration frame: IMAGETYP is 'FLAT'"),
        file_row("x.fits", "parked", night=NIGHT, **BROKEN),
        file_row("y.fits", "parked", night=NIGHT, **BROKEN, next_try_s=NOW_S + 30),
        file_row("old.fits", exposure="old", seen_at_s=NOW_S - 90000),
        file_row("broken yesterday.fits", "parked", night="2026-11-13", seen_at_s=NOW_S - 90000, **BROKEN),
    )  # fmt: skip
    sequence = {"night": NIGHT, "ra_deg": 1.0, "dec_deg": 2.0}
    insert(
        target, "sequences",
        {**sequence, "id": 1, "field": "A", "state": "done", "n_exposures": 4, "n_sources": 900,
         "n_candidates": 3, "checked": 0, "unchecked_because": "SkyBoT does not answer",
         "complete_because": "all 4 exposures are here"},
    )  # fmt: skip
    insert(target, "sequences", {**sequence, "id": 2, "field": "B", "state": "open", "n_exposures": 1})
    insert(target, "sequences",
           {**sequence, "id": 3, "field": "C", "state": "parked", "n_exposures": 2, "error_class": "BadInput",
            "reason": "C: 2 usable exposures, 3 are needed", "next_step": "wait", "tries": 1})  # fmt: skip
    insert(
        target, "sequence_exposures",
        {"sequence": 1, "exposure": "e1", "catalog_number": 1},
        {"sequence": 1, "exposure": "e2", "catalog_number": 2},
        {"sequence": 1, "exposure": "e3", "catalog_number": 3},
    )  # fmt: skip
    insert(target, "sequence_exposures", {"sequence": 1, "exposure": "e4", "dropped_because": "clouds"})
    for name, state in (("A_1", "matched"), ("A_2", "unknown"), ("A_3", "unchecked")):
        insert(target, "candidates", {
            "night": NIGHT, "candidate": name, "sequence": 1, "source_number": 1, "n_detections": 3,
            "mjd_first": 61358.9, "ra_deg": 1.0, "dec_deg": 2.0, "match_state": state,
        })  # fmt: skip
    insert(target, "drafts", {"night": NIGHT, "kind": "mpc80", "path": "/r/mpc80.txt", "n_observations": 9,
                              "digest": "d"})  # fmt: skip
    insert(target, "events",
           event("14T22:00", "error", "disk", "full"), event("14T22:05", "info", "disk", "room again"),
           event("14T23:00", "error", f"{NIGHT}/C", "C: 2 usable exposures, 3 are needed (wait)"))  # fmt: skip


def key_paths(value, prefix=""):
    """Every key of a JSON value, as docs/json.md writes them; keys of `versions` are names, not keys."""
    found = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            found |= {path} | (key_paths(inner, path) if key != "versions" else set())
    elif isinstance(value, list):
        for inner in value:
            found |= key_paths(inner, f"{prefix}[]")
    return found
