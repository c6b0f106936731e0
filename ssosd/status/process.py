"""Is the daemon alive? What its lock and its last heartbeat say."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from ssosd.plumbing.lock import holder, is_held
from ssosd.status.snapshot import Snapshot

#: A daemon that lives and has not said so for this long is stalled, seconds (six of its heartbeats).
STALLED_AFTER_S = 60.0
#: States in which the daemon is at work.
RUNNING = ("starting", "watching", "waiting")


def lock_path(target: Path) -> Path:
    """Where the one who works on a target holds its lock."""
    return target / ".ssosd" / "lock"


def read_lock(target: Path) -> dict[str, Any] | None:
    """Who works on the target at this moment: the lock's note, or None when nobody does."""
    path = lock_path(target)
    if not is_held(path):
        return None
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        since_s = datetime.fromisoformat(note["since"]).timestamp()
        named = {key: note[key] for key in ("pid", "purpose", "since")}
        return {**named, "since_s": since_s, "phrase": holder(path)}
    except (OSError, ValueError, KeyError, TypeError):  # it is just being written
        return {"pid": None, "purpose": "run", "since": None, "since_s": 0.0, "phrase": holder(path)}


def last_heartbeat(store: Snapshot, lock: dict[str, Any] | None) -> dict[str, Any] | None:
    """The row of the daemon that holds the lock, else the latest one's; None when there never was one.

    A daemon that ran while the clock was ahead has left a row from times to come.
    """
    pid, since_s = (lock["pid"], lock["since_s"]) if lock is not None else (None, 0.0)
    found = store.rows(
        "SELECT * FROM heartbeats ORDER BY (pid IS ? AND started_s >= ?) DESC, beat_s DESC, started_s DESC"
        " LIMIT 1",
        [pid, since_s],
    )
    return found[0] if found else None


def daemon_state(
    lock: dict[str, Any] | None, beat: dict[str, Any] | None, *, now_s: float, iso: Any
) -> dict[str, Any]:
    """How the daemon is.

    Parameters
    ----------
    lock : dict or None
        From `read_lock`.
    beat : dict or None
        From `last_heartbeat`.
    now_s : float
        Present time, Unix seconds.
    iso : callable
        Unix seconds to text.

    Returns
    -------
    dict
        ``state`` is one of `RUNNING` as the daemon has it, or ``stalled`` (it lives and gives no sign),
        ``stopped`` (by a person), ``dead`` (it ended without saying so), ``never`` (it never ran here).
    """
    age = max(0.0, now_s - beat["beat_s"]) if beat else None
    by_daemon = lock is not None and lock["purpose"] == "run"
    if by_daemon and beat is not None and lock is not None and lock["pid"] in (None, beat["pid"]):
        state = beat["state"] if beat["state"] in RUNNING else "starting"
        if age is not None and age > STALLED_AFTER_S:
            state = "stalled"
    elif by_daemon:
        state, beat, age = "starting", None, None
    elif beat is None:
        state = "never"
    else:
        state = "stopped" if beat["state"] == "stopped" else "dead"
    return {
        "state": state,
        "detail": beat["detail"] if beat else "",
        "pid": beat["pid"] if beat else (lock or {}).get("pid"),
        "folder": beat["folder"] if beat else None,
        "since": iso(beat["started_s"]) if beat else (lock or {}).get("since"),
        "last_beat": iso(beat["beat_s"]) if beat else None,
        "beat_age_s": None if age is None else round(age, 1),
        "held_by": lock["phrase"] if lock else None,
    }


def clock(iso: str | None) -> str:
    """An ISO time to the second, as ``2026-11-15 02:14:07 UTC``."""
    return "?" if iso is None else f"{iso[:10]} {iso[11:19]} UTC"
