"""The figures of one night, each from one query."""

from __future__ import annotations

import re
from typing import Any

from ssosd.model import is_fits_name
from ssosd.status.snapshot import Snapshot

OUTCOMES = ("exposure", "duplicate", "ignored", "parked", "gone")
EXPOSURE_STATES = ("read", "extracting", "extracted", "parked")
SEQUENCE_STATES = ("open", "linking", "done", "parked")
MATCH_STATES = ("matched", "possible", "unknown", "unchecked")
#: How many parked things are listed; `parked_total` has them all.
LISTED = 200
_TROUBLES_LOOKED_AT = 200
_PARKED = """FROM (
    SELECT 'sequence' AS kind, night || '/' || field AS subject,
           error_class, reason, next_step, tries, next_try_s
      FROM sequences WHERE state = 'parked' AND night = :night
    UNION ALL SELECT 'exposure', path, error_class, reason, next_step, tries, next_try_s
      FROM exposures WHERE state = 'parked' AND night = :night
    UNION ALL SELECT 'file', path, error_class, reason, next_step, tries, next_try_s
      FROM files WHERE outcome = 'parked' AND seen_at_s >= :first AND seen_at_s < :end)"""
_SEQUENCE = re.compile(r"\d{4}-\d\d-\d\d/")


def latest_nights(store: Snapshot, count: int = 5) -> list[dict[str, Any]]:
    """The latest nights that have exposures, latest first."""
    nights: list[dict[str, Any]] = []
    before = "~"  # sorts behind every date
    while len(nights) < count:  # one step in the index each; a GROUP BY would walk through all exposures
        night = store.value("SELECT max(night) FROM exposures WHERE night < ?", [before])
        if night is None:
            break
        before = night
        nights += store.rows(
            "SELECT :night AS night, (SELECT count(*) FROM exposures WHERE night = :night) AS n_exposures,"
            " count(*) AS n_sequences, coalesce(sum(state = 'done'), 0) AS n_done,"
            " (SELECT count(*) FROM candidates WHERE night = :night) AS n_candidates"
            " FROM sequences WHERE night = :night",
            {"night": night},
        )
    return nights


def files(store: Snapshot, night: str, window: tuple[float, float]) -> dict[str, int]:
    """Files by outcome: those of the night's exposures, and those without one recorded in the window."""
    held = store.rows(  # each exposure has one file that is called so; the others are its duplicates
        "SELECT (SELECT count(*) FROM exposures WHERE night = :night) AS n, count(*) AS n_files"
        " FROM exposures e JOIN files f ON f.exposure = e.digest WHERE e.night = :night",
        {"night": night},
    )[0]
    others = store.counts(
        OUTCOMES,
        "SELECT outcome, count(*) FROM files WHERE exposure IS NULL AND seen_at_s >= ? AND seen_at_s < ?"
        " GROUP BY outcome",
        window,
    )
    counted = {**others, "exposure": held["n"], "duplicate": held["n_files"] - held["n"]}
    return {"seen": sum(counted.values()), **counted}


def exposures(store: Snapshot, night: str) -> dict[str, int]:
    """Exposures by state."""
    counted = store.counts(
        EXPOSURE_STATES, "SELECT state, count(*) FROM exposures WHERE night = ? GROUP BY state", [night]
    )
    return {"total": sum(counted.values()), **counted}


def fields(store: Snapshot, night: str, *, expected: int) -> list[dict[str, Any]]:
    """The night's sequences; `partial` when done with fewer exposures than `expected` (0: unknown)."""
    found = store.rows(
        "SELECT s.field AS field, s.state AS state, s.n_exposures AS n_exposures,"
        " sum(m.catalog_number IS NOT NULL) AS n_linked, sum(m.dropped_because IS NOT NULL) AS n_dropped,"
        " s.n_sources AS n_sources, s.n_candidates AS n_candidates, s.checked AS checked,"
        " s.unchecked_because AS unchecked_because, s.complete_because AS complete_because,"
        " s.reason AS reason"
        " FROM sequences s LEFT JOIN sequence_exposures m ON m.sequence = s.id"
        " WHERE s.night = ? GROUP BY s.id ORDER BY s.field",
        [night],
    )
    for row in found:
        row["n_linked"], row["n_dropped"] = row["n_linked"] or 0, row["n_dropped"] or 0
        row["checked"] = None if row["checked"] is None else bool(row["checked"])
        row["partial"] = row["state"] == "done" and row["n_linked"] < expected
    return found


def candidates(store: Snapshot, night: str) -> dict[str, int]:
    """Candidates by what is known of them."""
    counted = store.counts(
        MATCH_STATES,
        "SELECT match_state, count(*) FROM candidates WHERE night = ? GROUP BY match_state",
        [night],
    )
    return {"total": sum(counted.values()), **counted}


def queue(store: Snapshot, beat: dict[str, Any] | None, *, now_s: float) -> dict[str, Any]:
    """What waits, whatever its night, and how long the longest-waiting exposure has."""
    waiting = store.rows(
        "SELECT (SELECT count(*) FROM exposures WHERE state IN ('read', 'extracting')) AS n,"
        " min(f.seen_at_s) AS since FROM exposures e JOIN files f ON f.exposure = e.digest"
        " WHERE e.state IN ('read', 'extracting')"
    )[0]
    linking = store.value("SELECT count(*) FROM sequences WHERE state = 'linking'")
    retries = store.rows(
        "SELECT count(*) AS n, min(next_try_s) AS next FROM ("
        " SELECT next_try_s FROM files WHERE outcome = 'parked' AND next_try_s IS NOT NULL"
        " UNION ALL SELECT next_try_s FROM exposures WHERE state = 'parked' AND next_try_s IS NOT NULL"
        " UNION ALL SELECT next_try_s FROM sequences WHERE state = 'parked' AND next_try_s IS NOT NULL)"
    )[0]
    return {
        "settling": beat["settling"] if beat else 0,
        "exposures": waiting["n"],
        "oldest_age_s": None if waiting["since"] is None else round(max(0.0, now_s - waiting["since"]), 1),
        "linking": linking,
        "retries": retries["n"],
        "next_retry_in_s": None if retries["next"] is None else round(max(0.0, retries["next"] - now_s), 1),
    }


def parked(
    store: Snapshot, night: str, window: tuple[float, float], *, now_s: float
) -> tuple[list[dict[str, Any]], int, int]:
    """What is parked: the night's first `LISTED`, their number, and the number of all others."""
    arguments = {"night": night, "first": window[0], "end": window[1], "listed": LISTED}
    total = store.value("SELECT count(*) " + _PARKED, arguments)
    listed = store.rows(
        "SELECT * " + _PARKED + " ORDER BY kind = 'file', kind = 'exposure', subject LIMIT :listed", arguments
    )
    for row in listed:
        next_try_s = row.pop("next_try_s")
        row["next_try_in_s"] = None if next_try_s is None else round(max(0.0, next_try_s - now_s), 1)
    return listed, total, store.value("SELECT count(*) FROM parked") - total


def troubles(store: Snapshot, window: tuple[str, str]) -> list[dict[str, Any]]:
    """Errors and warnings of the window, latest first; `standing` while nothing has put them right.

    What concerns a sequence or an exposure stands as long as that is parked; anything else (the disk, the
    configuration) until a later event of level info has the same subject.
    """
    found = store.rows(
        "SELECT * FROM events WHERE level IN ('error', 'warning') AND at >= ? AND at < ?"
        " ORDER BY id DESC LIMIT ?",
        [*window, _TROUBLES_LOOKED_AT],
    )
    if not found:
        return []
    mended: dict[str, int] = {}
    if not all(_names_work(row["subject"]) for row in found):
        mended = dict(
            store.pairs(
                "SELECT subject, max(id) FROM events WHERE level = 'info' AND id > ? GROUP BY subject",
                [found[-1]["id"]],
            )
        )
    names = _parked_names(store)
    return [
        {
            **{key: row[key] for key in ("at", "level", "subject", "message")},
            "standing": _stands(row, mended, names),
        }
        for row in found
    ]


def _stands(row: dict[str, Any], mended: dict[str, int], parked_names: set[str]) -> bool:
    subject = row["subject"]
    if _names_work(subject):
        return subject in parked_names
    return mended.get(subject, 0) < row["id"]


def _names_work(subject: str) -> bool:
    """Whether an event is about a file or a sequence, not about the house."""
    return is_fits_name(subject) or _SEQUENCE.match(subject) is not None


def _parked_names(store: Snapshot) -> set[str]:
    """Names that events use for what is parked: file names, and night/field."""
    return {
        subject if kind == "sequence" else subject.rpartition("/")[2]
        for kind, subject in store.pairs("SELECT kind, subject FROM parked")
    }


def drafts(store: Snapshot, night: str) -> list[dict[str, Any]]:
    """The night's drafts."""
    return store.rows("SELECT kind, path, n_observations FROM drafts WHERE night = ? ORDER BY kind", [night])
