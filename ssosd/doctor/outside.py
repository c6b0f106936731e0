"""What lies outside the machine: the observatory's code, the known objects and who is asked about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ssosd.days import DAY_S
from ssosd.doctor.finding import Finding, State
from ssosd.errors import ServiceUnavailable, SsosdError
from ssosd.plumbing.fetch import fetch
from ssosd.plumbing.text import counted
from ssosd.site import site_from
from ssosd.station import DOWNLOAD, ORBIT_FILES, orbit_file
from ssosd.work.orbits import count_in

#: A cone of 1" at a fixed moment (2000-01-01 12:00): the smallest question SkyBoT takes.
_QUESTION = {"-ep": "2451545.0", "-ra": "0", "-dec": "0", "-rs": "1", "-mime": "text", "-from": "ssosd"}
_OF_SKYBOT = re.compile(rb"#\s*Flag:|<(\w+:)?VOTABLE")  # as text, or as it answers in the night
_OLD_DAYS = 60.0  # then places of objects found since are missing, and those of the newest are off


def check_observatory(config: Mapping[str, Any]) -> Finding:
    """Look the observatory's code up."""
    site = site_from(
        config["OBSERVATORY_CODE"],
        lon_deg=config["SITE_LON"],
        lat_deg=config["SITE_LAT"],
        alt_m=config["SITE_ALT"],
    )
    if site.geocentric:
        return Finding(
            name="OBSERVATORY_CODE",
            state="warn",
            detail=f"{site.note}, and near objects are predicted for the centre of the Earth",
            next_step="set OBSERVATORY_CODE to your own, or SITE_LON, SITE_LAT and SITE_ALT",
        )
    detail = f"{site.code} {site.name}, {site.lon_deg:+.4f} {site.lat_deg:+.4f} deg, {site.alt_m:.0f} m"
    return Finding(name="OBSERVATORY_CODE", state="ok", detail=detail)


def check_skybot(config: Mapping[str, Any], *, time_limit_s: float) -> Finding:
    """Ask SkyBoT for as little as possible; no answer is a warning, since a night goes on without it."""
    if not config["CROSSMATCH_SKYBOT"]:
        return Finding(name="SkyBoT", state="ok", detail="not wanted: CROSSMATCH_SKYBOT is False")
    url = config["SKYBOT_URL"]
    try:
        body = fetch(f"{url}{'&' if '?' in url else '?'}{urlencode(_QUESTION)}", time_limit_s)
    except ServiceUnavailable as error:
        return Finding(
            name="SkyBoT",
            state="warn",
            detail=f"no answer: {error.message}",
            next_step="check the network; until it answers, candidates stay unchecked",
        )
    if not _OF_SKYBOT.search(body):
        shown = " ".join(body[:60].decode("utf-8", errors="replace").split())
        return Finding(
            name="SkyBoT",
            state="warn",
            detail=f"{url} answers, but not as SkyBoT does: {shown!r}",
            next_step="look at SKYBOT_URL, and whether the network wants a login",
        )
    return Finding(name="SkyBoT", state="ok", detail=f"{url} answers")


def check_orbits(config: Mapping[str, Any], target: Path, *, now: datetime | None = None) -> Finding:
    """Read the files of orbits and look at their age; a warning at most, since a night goes on as it can."""
    if config["ORBITS"] is None or "ORBITS" not in config["KNOWN_SOURCES"]:
        return Finding(name="orbits", state="ok", detail="not wanted: ORBITS is False")
    now_s = (datetime.now(UTC) if now is None else now).timestamp()
    said, steps = [], []
    for name in ORBIT_FILES:
        path = orbit_file(config, target, name)
        if path is None:
            continue
        fetched = config[name] == DOWNLOAD
        if not path.is_file():
            said.append(f"{name} {path} is not there")
            steps.append("the daemon fetches it when the network is there" if fetched else f"mend {name}")
            continue
        what, use = _contents(name, path)
        days = (now_s - path.stat().st_mtime) / DAY_S
        said.append(f"{what}, {days:.1f} days old")
        if not use:
            steps.append("delete it: the daemon fetches another" if fetched else f"fetch {name} anew")
        elif days > (2.0 * config["ORBITS_AGE"] if fetched else _OLD_DAYS):
            steps.append("check the network and ORBITS_URL" if fetched else f"fetch {name} anew")
    state: State = "warn" if steps else "ok"
    return Finding(name="orbits", state=state, detail="; ".join(said), next_step=", ".join(steps))


def _contents(name: str, path: Path) -> tuple[str, bool]:
    """What is in a file of orbits, and whether it is of any use."""
    try:
        n = count_in(name, path)
    except SsosdError as error:
        return error.message, False
    return f"{name} {path}, {counted(n, 'orbit')}", n > 0
