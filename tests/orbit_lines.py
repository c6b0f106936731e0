"""Lines of MPCORB.DAT and CometEls.txt for tests, also of objects that are seen where a test wants them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np

from ssosd.identify.orbits.kepler import GM_SUN, OBLIQUITY
from ssosd.identify.orbits.observe import observer_at
from ssosd.identify.orbits.planets import ErfaEphemeris
from ssosd.site import Site
from ssosd.sphere import unit_vectors

CODE = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_LIGHT_AU_PER_DAY = 173.1446327
_HOUR_PER_ARCSEC = np.radians(1.0 / 3600.0) * 24.0  # arcsec/h to radians/d


def line(i, a, e, incl, node, peri, mean, *, h=15.0, grade="1", epoch="K25BL", name=""):
    motion = 0.9856076686 / a**1.5
    return (
        f"K10A{i // 62 % 10}{i // 620}{(CODE + 'WXYZabcdefghijklmnopqrstuvwxyz')[i % 62]} {h:5.2f}  0.15 {epoch} "
        f"{mean:9.5f}  {peri:9.5f}  {node:9.5f}  {incl:9.5f}  {e:9.7f} {motion:11.8f} {a:11.7f}  {grade} "
        f"MPO286777    50   3 2001-2025 0.50 M-v 30h MPCLINUX   0000 {name:28s}20251001"
    )


def comet_line(name, a, e, incl, node, peri, mean, *, mjd):
    """An elliptic comet whose mean anomaly is `mean` at a time (TT MJD)."""
    passage = mjd - ((mean + 180.0) % 360.0 - 180.0) / (0.9856076686 / a**1.5)
    day = np.datetime64("1858-11-17") + int(passage // 1)
    year, month, first = str(day).split("-")
    date = f"{int(year):4d} {month} {int(first) + passage % 1.0:07.4f}"
    epoch = str(np.datetime64("1858-11-17") + int(mjd)).replace("-", "")
    return (
        f"0001P         {date} {a * (1.0 - e):9.6f}  {e:8.6f}  {peri:8.4f}  {node:8.4f}  {incl:8.4f}  {epoch}"
        f"   8.0  4.0  {name:56s} MPC1\n"
    )


def elements_of(state):
    """Keplerian elements of an equatorial heliocentric state, for `line` (textbook formulae)."""
    turn = np.array(
        [[1, 0, 0], [0, np.cos(OBLIQUITY), np.sin(OBLIQUITY)], [0, -np.sin(OBLIQUITY), np.cos(OBLIQUITY)]]
    )
    pos, vel = turn @ state[:3], turn @ state[3:]
    r = np.linalg.norm(pos)
    area = np.cross(pos, vel)
    to_perihelion = np.cross(vel, area) / GM_SUN - pos / r
    e, a = np.linalg.norm(to_perihelion), 1.0 / (2.0 / r - vel @ vel / GM_SUN)
    node = np.arctan2(area[0], -area[1])
    ascending = np.array([np.cos(node), np.sin(node), 0.0])
    normal = area / np.linalg.norm(area)
    peri = np.arctan2(np.cross(ascending, to_perihelion) @ normal, ascending @ to_perihelion)
    anomaly = np.arctan2(pos @ vel / np.sqrt(GM_SUN * a), 1.0 - r / a)
    angles = {"node": node, "peri": peri, "mean": anomaly - e * np.sin(anomaly), "incl": np.arccos(normal[2])}
    return {"a": a, "e": e, **{name: float(np.degrees(angle)) % 360.0 for name, angle in angles.items()}}


def orbit_seen_at(*, ra, dec, pm_ra, pm_dec, mjd, site: Site, distance=0.3):
    """Elements, with the mean anomaly of a time, of an object that a site sees there with these rates.

    Parameters
    ----------
    ra, dec, pm_ra, pm_dec : float
        Astrometric, degrees and arcsec/h.
    mjd : float
        UTC.
    site : Site
    distance : float
        From the observer, AU.

    Returns
    -------
    dict, float
        For `line`; TT MJD of the mean anomaly.
    """
    observer = observer_at(mjd, site=site, ephemeris=ErfaEphemeris())
    towards = unit_vectors(ra, dec)
    east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
    across = _HOUR_PER_ARCSEC * (pm_ra * east + pm_dec * np.cross(towards, east))
    velocity = observer.velocity - observer.sun_velocity + distance * across
    place = observer.position - observer.sun + distance * towards
    seen_from = distance / _LIGHT_AU_PER_DAY
    return elements_of(np.concatenate([place, velocity])), observer.mjd_tt - seen_from


def line_seen_at(i, *, epoch_mjd, name="", h=15.0, grade="0", **where):
    """A line of MPCORB.DAT of an object seen as `orbit_seen_at` says, its epoch a whole TT MJD nearby."""
    orbit, mjd = orbit_seen_at(**where)
    orbit["mean"] = (orbit["mean"] + (epoch_mjd - mjd) * 0.9856076686 / orbit["a"] ** 1.5) % 360.0
    year, month, day = str(np.datetime64("1858-11-17") + int(epoch_mjd)).split("-")
    epoch = f"K{year[2:]}{CODE[int(month)]}{CODE[int(day)]}"
    return line(i, **orbit, epoch=epoch, name=name, h=h, grade=grade)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of a loopback server of a folder's files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing on the console."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
