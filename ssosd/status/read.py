"""Put the status of a target together, and say what monitoring should think of it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ssosd.days import unix_s_of
from ssosd.errors import Misconfigured
from ssosd.status import night as figures
from ssosd.status.process import RUNNING, clock, daemon_state, last_heartbeat, read_lock
from ssosd.status.run import last_run, site_longitude_deg
from ssosd.status.services import services
from ssosd.status.snapshot import STORE_NAME, Snapshot, look

#: The keys of a status and their meaning are in docs/json.md; a test compares.
Status = dict[str, Any]
#: Raised when a key changes its meaning or goes.
SCHEMA = 1
EXIT_FINE = 0
EXIT_TROUBLE = 1  # something is parked, or an error stands
EXIT_NOT_RUNNING = 2  # no daemon works on a store that exists, or it gives no sign of life
EXIT_NO_STORE = 3
_VERDICTS = {
    EXIT_FINE: "fine",
    EXIT_TROUBLE: "trouble",
    EXIT_NOT_RUNNING: "not running",
    EXIT_NO_STORE: "no store",
}
_GB = 1e9
_FOREVER_S = 253402300799.0  # the end of the year 9999


def read_status(target: Path, *, night: str | None = None, now_s: float) -> Status:
    """How the daemon of a target is, and how a night goes.

    Parameters
    ----------
    target : Path
        The target folder.
    night : str, optional
        ISO date of the local evening; by default the latest night with exposures, and with it everything
        that was recorded since it began.
    now_s : float
        Present time, Unix seconds.

    Returns
    -------
    dict
        Only what JSON has; the keys are always the same, whatever the state. See docs/json.md.

    Raises
    ------
    Misconfigured
        `night` is no date.
    """
    if night is not None:
        _window(night, 0.0)
    target = target.expanduser().absolute()
    store = target / STORE_NAME
    lock = read_lock(target)
    try:
        found = look(store, lambda snapshot: _ask(snapshot, lock, night, now_s))
        problem = None
    except Misconfigured as error:
        found, problem = _nothing(lock, night, now_s), str(error)
    disk = _disk(target, least_gb=found.pop("least_gb"))
    troubles = found.pop("troubles")
    exit_code, because = _judge(found, disk, troubles, problem)
    return {
        "schema": SCHEMA,
        "at": _iso(now_s),
        "target": str(target),
        "store": str(store),
        "exit_code": exit_code,
        "verdict": _VERDICTS[exit_code],
        "because": because,
        **found,
        "last_error": troubles[0] if troubles else None,
        "disk": disk,
    }


def _ask(store: Snapshot, lock: dict[str, Any] | None, night: str | None, now_s: float) -> Status:
    """Everything that the store knows."""
    run, parameters = last_run(store)
    beat = last_heartbeat(store, lock)
    daemon = daemon_state(lock, beat, now_s=now_s, iso=_iso)
    nights = figures.latest_nights(store)
    latest = nights[0]["night"] if nights else None
    chosen = night or latest
    window = (0.0, _FOREVER_S)
    if chosen is not None:
        window = _window(chosen, site_longitude_deg(parameters))
        if chosen == latest:
            window = (window[0], _FOREVER_S)
    expected = int(parameters.get("EXPOSURES_PER_FIELD", "0"))
    sequences = figures.fields(store, chosen or "", expected=expected)
    states = [row["state"] for row in sequences]
    parked, parked_total, parked_elsewhere = figures.parked(store, chosen or "", window, now_s=now_s)
    return {
        "daemon": daemon,
        "night": chosen,
        "nights": nights,
        "files": figures.files(store, chosen or "", window),
        "exposures": figures.exposures(store, chosen or ""),
        "sequences": {
            "total": len(states),
            **{state: states.count(state) for state in figures.SEQUENCE_STATES},
            "partial": sum(row["partial"] for row in sequences),
        },
        "candidates": figures.candidates(store, chosen or ""),
        "queue": figures.queue(store, beat if daemon["state"] in RUNNING else None, now_s=now_s),
        "fields": sequences,
        "parked": parked,
        "parked_total": parked_total,
        "parked_elsewhere": parked_elsewhere,
        "drafts": figures.drafts(store, chosen or ""),
        "services": services(store, sequences, now_s=now_s),
        "run": run,
        "troubles": figures.troubles(store, (_iso(window[0]), _iso(window[1]))),
        "least_gb": float(parameters.get("MIN_FREE_DISK", "0")),
    }


def _nothing(lock: dict[str, Any] | None, night: str | None, now_s: float) -> Status:
    """The same keys without a store."""
    return {
        "daemon": daemon_state(lock, None, now_s=now_s, iso=_iso),
        "night": night,
        "nights": [],
        "files": dict.fromkeys(("seen", *figures.OUTCOMES), 0),
        "exposures": dict.fromkeys(("total", *figures.EXPOSURE_STATES), 0),
        "sequences": dict.fromkeys(("total", *figures.SEQUENCE_STATES, "partial"), 0),
        "candidates": dict.fromkeys(("total", *figures.MATCH_STATES), 0),
        "queue": {
            **dict.fromkeys(("settling", "exposures", "linking", "retries"), 0),
            **dict.fromkeys(("oldest_age_s", "next_retry_in_s")),
        },
        "fields": [],
        "parked": [],
        "parked_total": 0,
        "parked_elsewhere": 0,
        "drafts": [],
        "services": services(None, [], now_s=now_s),
        "run": None,
        "troubles": [],
        "least_gb": 0.0,
    }


def _judge(
    found: Status, disk: dict[str, Any], troubles: list[dict[str, Any]], problem: str | None
) -> tuple[int, list[str]]:
    """The exit code and the reasons for it, most important first."""
    if problem is not None:
        return EXIT_NO_STORE, [problem]
    because = []
    daemon = found["daemon"]
    if daemon["state"] not in RUNNING:
        because.append(_not_running(daemon))
    running = not because
    if disk["short"]:
        because.append(f"{disk['free_bytes'] / _GB:.1f} GB free, less than MIN_FREE_DISK: work waits")
    if daemon["state"] == "waiting":
        because.append(f"the daemon waits: {daemon['detail'] or 'see its log'}")
    if found["parked_total"]:
        because.append(f"{found['parked_total']} parked")
    standing = dict.fromkeys(
        t["subject"] for t in troubles if t["level"] == "error" and t["standing"] and t["subject"]
    )
    because += [f"an error of {subject} stands" for subject in standing]
    if not running:
        return EXIT_NOT_RUNNING, because
    return (EXIT_TROUBLE if because else EXIT_FINE), because


def _not_running(daemon: dict[str, Any]) -> str:
    """Why the daemon is not at work, as one phrase."""
    last = clock(daemon["last_beat"])
    if daemon["state"] == "stalled":
        return f"no sign of life since {last} of {daemon['held_by']}, which still lives"
    if daemon["held_by"]:
        return f"no daemon: the target is in use by {daemon['held_by']}"
    if daemon["state"] == "dead":
        return f"the daemon is dead: no sign of life since {last}, and no farewell"
    if daemon["state"] == "stopped":
        return f"the daemon was stopped at {last}"
    return "no daemon has ever run here"


def _window(night: str, lon_deg: float) -> tuple[float, float]:
    """First and last moment of a night, Unix seconds."""
    from ssosd.site import night_bounds

    first, end = night_bounds(night, lon_deg)
    return unix_s_of(first), unix_s_of(end)


def _disk(target: Path, *, least_gb: float) -> dict[str, Any]:
    """Space on the disk of the target; None where it cannot be asked."""
    least = round(least_gb * _GB)
    try:
        usage = shutil.disk_usage(target)
    except OSError:
        return {"free_bytes": None, "total_bytes": None, "least_bytes": least, "short": False}
    short = usage.free < least
    return {"free_bytes": usage.free, "total_bytes": usage.total, "least_bytes": least, "short": short}


def _iso(unix_s: float) -> str:
    """UTC, as the events table writes it: texts of it compare like their times."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
