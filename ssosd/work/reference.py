"""The reference stars of some exposures: what ASTREF_CATALOG names, or our own tiles of Gaia over them."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ssosd.errors import ServiceUnavailable
from ssosd.linker.gaia.store import (
    fetch_tile,
    has_motions,
    julian_year,
    tile_path,
    write_at_epoch,
    write_moved,
)
from ssosd.linker.gaia.tiles import Tile, tiles_of
from ssosd.linker.gaia.vizier import ask_for_stars
from ssosd.linker.refcat import POSITION_KEYS
from ssosd.linker.scamp.setup import Reference, read_setup
from ssosd.model import Exposure
from ssosd.plumbing.breaker import Breaker
from ssosd.plumbing.files import shortened
from ssosd.site import night_bounds, night_of
from ssosd.station import Station

REFCAT = "REFCAT"  # value of ASTREF_CATALOG: our own tiles
_ONE_AT_A_TIME = threading.Lock()  # two exposures of a new field need the same tiles
_BREAKERS: dict[str, Breaker] = {}  # by address: a server that does not answer holds up no exposure


def reference_for(
    exposures: Sequence[Exposure], *, station: Station, insist: bool = True
) -> Reference | Path | str | None:
    """Name the reference stars of exposures of one night; what is missing of the tiles is fetched.

    Parameters
    ----------
    exposures : sequence of Exposure
    station : Station
    insist : bool
        Whether a server is asked that did not answer a moment ago.

    Returns
    -------
    Reference, Path, str or None
        As `ssosd.linker.scamp.setup.choose_reference` takes it.

    Raises
    ------
    ServiceUnavailable
        A tile is not there, and nobody gives it.
    BadInput, Retriable, Misconfigured
        As `fetch_tile` and `write_moved`.
    """
    config = station.config
    named = config["ASTREF_CATALOG"]
    night = night_of(exposures[0].mjd_mid, station.site.lon_deg)
    epoch = julian_year(sum(night_bounds(night, station.site.lon_deg)) / 2.0)
    setup = read_setup(config["SCAMP_CONFIG"])
    if isinstance(named, Path) and setup.words("ASTREFCENT_KEYS") == list(POSITION_KEYS):
        return _of_a_person(named, night, epoch, station=station)
    if named != REFCAT:
        return named
    margin = setup.number("POSITION_MAXERR") / 60.0
    files = []
    for tile in tiles_of(exposures, margin_deg=margin):
        target = station.catalogue_folder(night) / f"gaia-{tile}-g{config['REFCAT_MAG']:g}.ldac"
        if not target.is_file():
            source = tile_path(station.reference_tiles, tile, faintest_mag=config["REFCAT_MAG"])
            _fetch(source, tile, station=station, insist=insist)
            write_moved(source, target, epoch=epoch)
        files.append(target)
    return Reference(name="FILE", files=tuple(files), ours=True)


def _of_a_person(path: Path, night: str, epoch: float, *, station: Station) -> Reference | Path:
    """The file itself or, where it tells the motions of its stars, a copy with them at the night's epoch.

    SCAMP takes positions as they are, whatever their OBSDATE.
    """
    if not has_motions(path):
        return path
    stat = path.stat()
    said = f"{path} {stat.st_size} {stat.st_mtime_ns}"
    name = hashlib.blake2b(os.fsencode(said), digest_size=6).hexdigest()
    target = station.catalogue_folder(night) / f"{shortened(path.stem)}-{name}.ldac"
    if not target.is_file():
        write_at_epoch(path, target, epoch=epoch)
    return Reference(name="FILE", files=(target,), ours=True)


def _fetch(source: Path, tile: Tile, *, station: Station, insist: bool) -> None:
    config = station.config
    url = config["REFCAT_URL"]
    with _ONE_AT_A_TIME:
        breaker = _BREAKERS.setdefault(url, Breaker(clock=time.monotonic, patience=1))
        if source.is_file():
            return
        if not (breaker.allows() or insist):
            raise ServiceUnavailable(f"{url} did not answer a moment ago")
        ask = partial(
            ask_for_stars,
            faintest_mag=config["REFCAT_MAG"],
            url=url,
            time_limit_s=config["REFCAT_TIME_LIMIT"],
        )
        try:
            fetch_tile(source, tile, ask=ask)
        except ServiceUnavailable:
            breaker.failed()
            raise
        breaker.answered()
