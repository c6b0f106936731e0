"""Work for a station on another machine, which must see the same files and have the same binaries."""

from __future__ import annotations

import pickle
import secrets
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from ssosd import __version__, astromatic
from ssosd.crew.jobs import Job, done
from ssosd.errors import Misconfigured
from ssosd.plumbing.files import atomic_write_text
from ssosd.station import Station

_SAME = "every worker needs the same ssosd, the same binaries and the same files under the same paths"


@dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """What a worker elsewhere must know once."""

    station: bytes  # the pickled Station
    settings: str  # digest of all that results depend on, as it is at home
    version: str  # of ssosd
    token: Path  # a file in the target that was written at home
    text: str  # what is in it

    @classmethod
    def of(cls, station: Station) -> Self:
        """Write the orders of a station, and a file into its target."""
        text = secrets.token_hex(8)
        token = station.scratch / f"crew-{text}"
        atomic_write_text(token, text)
        return cls(
            station=pickle.dumps(station),
            settings=station.link_settings,
            version=__version__,
            token=token,
            text=text,
        )


def do_there(job: Job, orders: Orders) -> Any:
    """Do a job where this function runs.

    Raises
    ------
    Misconfigured
        It cannot be done here as it would be at home.
    """
    return done(job, _station_here(orders))


@lru_cache(maxsize=4)
def _station_here(orders: Orders) -> Station:
    """Return the station as it is here, with the binaries of this machine."""
    if orders.version != __version__:
        raise Misconfigured(f"ssosd {__version__} here, {orders.version} at home", next_step=_SAME)
    given: Station = pickle.loads(orders.station)  # noqa: S301 - from the client that sends the functions
    if not _is_there(orders):
        raise Misconfigured(f"{given.target}: not the same folder here as at home", next_step=_SAME)
    binaries = {
        name: replace(astromatic.find(name), memory_limit_bytes=binary.memory_limit_bytes)
        for name, binary in given.binaries.items()
    }
    station = replace(given, binaries=binaries)
    if station.link_settings != orders.settings:
        raise Misconfigured("other binaries or set-up files here than at home", next_step=_SAME)
    return station


def _is_there(orders: Orders) -> bool:
    try:
        return orders.token.read_text(encoding="utf-8") == orders.text
    except OSError:
        return False
