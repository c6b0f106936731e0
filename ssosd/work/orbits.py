"""The files of orbits: fetched anew when they are old, and made ready for a night before it needs them."""

from __future__ import annotations

import os
from pathlib import Path

from ssosd.days import DAY_S
from ssosd.errors import BadInput, ServiceUnavailable, SsosdError
from ssosd.identify.orbits import count_orbits, midnight_of, prepare_night, read_comets
from ssosd.plumbing.fetch import download
from ssosd.plumbing.files import atomic_path
from ssosd.plumbing.text import counted
from ssosd.station import DOWNLOAD, ORBIT_FILES, Station
from ssosd.work.asking import ORBITS_IN_MEMORY, or_without_comets
from ssosd.work.failure import failure

TIME_LIMIT_S = 3600.0  # for some 100 MB over a slow line
_SHRINKING = 0.9  # a file with fewer than this part of the orbits of the one before is not believed


def old_files(station: Station, *, now_s: float) -> list[str]:
    """Which of ORBITS and COMETS are to be downloaded and are not there, or older than ORBITS_AGE.

    Parameters
    ----------
    station : Station
    now_s : float
        Present time, Unix seconds.
    """
    oldest_s = now_s - DAY_S * station.config["ORBITS_AGE"]
    return [
        name
        for name in ORBIT_FILES
        if station.uses_orbits
        and station.config[name] == DOWNLOAD
        and (
            (path := station.orbit_file(name)) is None or not path.exists() or path.stat().st_mtime < oldest_s
        )
    ]


def refresh(name: str, *, station: Station, now_s: float) -> Path | SsosdError:
    """Fetch a file of orbits into the place of the former one, if it is what it should be.

    Parameters
    ----------
    name : str
        ORBITS or COMETS.
    station : Station
    now_s : float
        Present time, Unix seconds: the file's age counts from it.

    Returns
    -------
    Path or SsosdError
        Where it is, or why the former one stays.
    """
    path = station.orbit_file(name)
    if path is None:
        return BadInput(f"{name} names no file")
    try:
        former = count_in(name, path) if path.exists() else 0
    except SsosdError:
        former = 0
    try:
        with atomic_path(path) as temporary:
            download(station.config[f"{name}_URL"], temporary, TIME_LIMIT_S)
            fresh = count_in(name, temporary)
            if fresh == 0 or fresh < _SHRINKING * former:
                orbits = counted(fresh, "orbit")
                raise ServiceUnavailable(
                    f"{station.config[f'{name}_URL']}: {orbits} in it, {former} before: not taken"
                )
            os.utime(temporary, (now_s, now_s))
    except SsosdError as error:
        return error
    except OSError as error:
        return failure(error, station=station)
    return path


def prepare(mjd: float, *, station: Station) -> tuple[Path, str] | None:
    """Make the orbits ready for the night that a moment (UTC MJD) belongs to; kept in the target's cache.

    Returns
    -------
    (Path, str) or None
        The file of orbits, and why there are no comets, "" for no reason; None when there is no file yet.

    Raises
    ------
    Misconfigured, BadInput, Retriable
        The file cannot be used.
    """
    orbits, comets = (station.orbit_file(name) for name in ORBIT_FILES)
    if orbits is None or not orbits.is_file():
        return None
    file = orbits

    def ready(comets: Path | None) -> None:
        prepare_night(
            orbits=file,
            comets=comets,
            cache=station.orbit_cache,
            site=station.site,
            midnight_utc=midnight_of(mjd, station.site),
        )

    with ORBITS_IN_MEMORY:
        _, why = or_without_comets(ready, comets)
    return orbits, why


def count_in(name: str, path: Path) -> int:
    """How many orbits a file of ORBITS or COMETS has.

    Raises
    ------
    Misconfigured
        It cannot be read, or is cut short.
    BadInput
        It is a file of COMETS and has none.
    """
    if name == "ORBITS":
        return count_orbits(path)
    comets = read_comets(path)
    return 0 if comets is None else len(comets)
