"""How those who know of known objects are: the service, and the files of orbits."""

from __future__ import annotations

from typing import Any

from ssosd.days import DAY_S
from ssosd.status.snapshot import Snapshot


def services(store: Snapshot | None, sequences: list[dict[str, Any]], *, now_s: float) -> dict[str, Any]:
    """Health of the sources of knowledge, and how the night's comparison with known objects went."""
    rows = {row["name"]: row for row in store.rows("SELECT * FROM services")} if store is not None else {}
    return {"skybot": _skybot(rows, sequences, now_s), "orbits": _orbits(rows, now_s)}


def _skybot(rows: dict[str, dict[str, Any]], sequences: list[dict[str, Any]], now_s: float) -> dict[str, Any]:
    """How the comparison went: answering, unchecked (and why), or not asked yet."""
    asked = [row for row in sequences if row["checked"] is not None and row["state"] == "done"]
    unchecked = [row for row in asked if not row["checked"]]
    state = "unchecked" if unchecked else "answering" if asked else "not asked"
    because = dict.fromkeys(row["unchecked_because"] for row in unchecked if row["unchecked_because"])
    row = rows.get("SkyBoT", {})
    return {
        "state": state,
        "unchecked": len(unchecked),
        "because": list(because)[:3],
        "health": row.get("state", "not asked"),
        "detail": row.get("detail", ""),
        "answered_ago_s": _ago(row.get("answered_s"), now_s),
        "next_try_in_s": _until(row.get("next_try_s"), now_s),
    }


def _orbits(rows: dict[str, dict[str, Any]], now_s: float) -> dict[str, Any]:
    row = rows.get("ORBITS", {})
    fetched = [rows[name] for name in ("ORBITS_URL", "COMETS_URL") if name in rows]
    failing = [r for r in fetched if r["state"] == "failing"]
    age_s = _ago(row.get("answered_s"), now_s)
    return {
        "state": row.get("state", "not used"),
        "detail": row.get("detail", ""),
        "age_d": None if age_s is None else age_s / DAY_S,
        "download": "failing" if failing else "answering" if fetched else "not wanted",
        "download_detail": failing[0]["detail"] if failing else "",
        "next_try_in_s": _until(failing[0]["next_try_s"], now_s) if failing else None,
        "no_comets": rows.get("COMETS", {}).get("detail", ""),
    }


def _ago(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else max(now_s - at_s, 0.0)


def _until(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else max(at_s - now_s, 0.0)
