"""What the record of the last run says: who ran, with which versions and which of its parameters."""

from __future__ import annotations

import json
from typing import Any

from ssosd.errors import Misconfigured
from ssosd.status.snapshot import Snapshot


def last_run(store: Snapshot) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The latest run, and its parameters as texts by name."""
    found = store.rows(
        "SELECT command, started_at, finished_at, versions, parameters FROM runs ORDER BY id DESC LIMIT 1"
    )
    if not found:
        return None, {}
    run = found[0]
    parameters = read_parameters(run.pop("parameters"))
    return {**run, "versions": json.loads(run["versions"])}, parameters


def read_parameters(text: str) -> dict[str, str]:
    r"""Names and values of a recorded configuration (`Config.as_text`).

    >>> read_parameters('PM_UP      300\nSITE_LON -111.5\nTARGET "a b"\n')
    {'PM_UP': '300', 'SITE_LON': '-111.5', 'TARGET': 'a b'}
    """
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        value = value.strip()
        quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
        found[name] = value[1:-1] if quoted else value
    return found


def site_longitude_deg(parameters: dict[str, str]) -> float:
    """East longitude that nights are counted by; 0 when no place is known."""
    from ssosd.site import site_from_code

    try:
        return float(parameters.get("SITE_LON", ""))
    except ValueError:  # CODE: the observatory's own
        pass
    try:
        return site_from_code(parameters.get("OBSERVATORY_CODE", "500")).lon_deg
    except Misconfigured:
        return 0.0
