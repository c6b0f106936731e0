"""Rules of the sky: what a telescope at that place at that time can have seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd.days import DAY_S, mjd_of
from ssosd.errors import Misconfigured
from ssosd.reports.problem import Problem, Sighting
from ssosd.site import Site, night_of, site_from_code
from ssosd.sphere import mean_position, offsets_arcsec, separation_arcsec
from ssosd.sun import CIVIL, SUNRISE, sidereal_time, sun_altitude_deg

_LOW = 5.0  # deg of altitude below which hardly any telescope points
_BELOW = -1.0  # deg: refraction at the horizon and the precession left out together
_SAME_SECONDS = 1.0
_SAME_ARCSEC = 1.0
_SENT_SECONDS, _SENT_ARCSEC = 60.0, 5.0  # the MPC's near-duplicates
_RESIDUAL_ARCSEC = 2.0  # from a straight path
_RESIDUAL_SIGMAS = 5.0
_CURVED = 0.02  # of the path's length: parallax bends it
_BROKEN_ARCSEC, _BROKEN = 10.0, 0.1  # more than this and it is another object
_FASTEST = 36_000.0  # arcsec/h, 10 deg/h
_CLOCK_DAYS = 1.0  # that this computer's clock may be late
_ROUNDED_DAY = (
    0.51e-6  # half of the sixth decimal of the day, the last of the 80 columns, and the double's own
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A position that went to the MPC before."""

    stn: str
    mjd: float
    ra_deg: float
    dec_deg: float


def lint_sky(
    sightings: Sequence[Sighting],
    *,
    exposures: Sequence[tuple[float, float]] | None = None,
    sent: Sequence[Sent] = (),
    now: datetime | None = None,
) -> list[Problem]:
    """Judge the positions of a file.

    Parameters
    ----------
    sightings : sequence of Sighting
        Of the whole file.
    exposures : sequence of (start, seconds), optional
        Exposures of the night, UTC MJD of their start and their length: each position's time must be within
        one.
    sent : sequence of Sent
        What the submission ledger holds.
    now : datetime, optional
        The present time, UTC.
    """
    problems = [*_discovered_again(sightings)]
    if now is not None:
        problems += _future(sightings, now)
    by_station = sorted(sightings, key=lambda s: (s.stn, s.row))
    for stn, members in groupby(by_station, key=lambda s: s.stn):
        own = list(members)
        site = _site(stn)
        if site is not None and not site.geocentric:
            problems += _horizon([s for s in own if s.on_ground], site)
        problems += _twice(own)
        longitude = 0.0 if site is None else site.lon_deg
        for _, tracklets in groupby(sorted(own, key=lambda s: s.key), key=lambda s: s.key):
            problems += _object(list(tracklets), longitude)
    if exposures is not None:
        problems += _outside(sightings, exposures)
    return [*problems, *_sent_before(sightings, sent)]


def _site(stn: str) -> Site | None:
    try:
        return site_from_code(stn)
    except Misconfigured:
        return None  # said by the rule on codes


def _future(sightings: Sequence[Sighting], now: datetime) -> Iterable[Problem]:
    latest = mjd_of(now.timestamp()) + _CLOCK_DAYS
    for s in sightings:
        if s.mjd > latest:
            said = "this time has not come yet by the clock of this computer"
            yield Problem(s.row, s.columns[0], "future", "error", said)


def _discovered_again(sightings: Sequence[Sighting]) -> Iterable[Problem]:
    """An object is discovered once, whoever observed it."""
    marked: dict[str, list[Sighting]] = {}
    for s in sightings:
        if s.asterisk and s.key:
            marked.setdefault(s.key, []).append(s)
    for key, (first, *others) in marked.items():
        if others:
            said = f"{key} has its discovery asterisk in line {first.row} already"
            yield Problem(others[0].row, others[0].asterisk, "asterisk", "error", said)


def _horizon(sightings: Sequence[Sighting], site: Site) -> Iterable[Problem]:
    """Sun down, object up."""
    if not sightings:
        return
    mjd = np.array([s.mjd for s in sightings])
    ra, dec = (np.radians([s.ra_deg for s in sightings]), np.radians([s.dec_deg for s in sightings]))
    sun = sun_altitude_deg(mjd, site)
    hour_angle = np.radians(sidereal_time(mjd, site.lon_deg)) - ra
    lat = math.radians(site.lat_deg)
    sine = np.sin(dec) * math.sin(lat) + np.cos(dec) * math.cos(lat) * np.cos(hour_angle)
    up = np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
    for s, sun_deg, altitude in zip(sightings, sun, up, strict=True):
        if sun_deg > SUNRISE:
            said = f"the Sun is up at {site.code}, {sun_deg:.0f} deg high"
            yield Problem(s.row, s.columns[0], "sun-up", "error", said)
        elif sun_deg > CIVIL:
            said = f"civil twilight at {site.code}: the Sun is {-sun_deg:.1f} deg below the horizon"
            yield Problem(s.row, s.columns[0], "twilight", "warning", said)
        if altitude < _BELOW:
            said = f"the object is {-altitude:.0f} deg below the horizon of {site.code}"
            yield Problem(s.row, s.columns[2], "below-horizon", "error", said)
        elif altitude < _LOW:
            said = f"the object is only {altitude:.1f} deg above the horizon of {site.code}"
            yield Problem(s.row, s.columns[2], "low", "warning", said)


def _twice(sightings: Sequence[Sighting]) -> Iterable[Problem]:
    """One position written twice, under whatever name."""
    for i, j in _at_one_time(sightings):
        former, later = sorted((sightings[i], sightings[j]), key=lambda s: s.row)
        if abs(later.mjd - former.mjd) * DAY_S > _SAME_SECONDS:
            continue
        distance = float(separation_arcsec(later.ra_deg, later.dec_deg, former.ra_deg, former.dec_deg))
        if distance < _SAME_ARCSEC:
            said = f"this position is in line {former.row} already"
            yield Problem(later.row, later.columns[1], "duplicate", "error", said)
        elif later.key == former.key:
            said = f'{later.key} is {distance:.1f}" away at the same time in line {former.row}'
            yield Problem(later.row, later.columns[1], "two-places", "error", said)


def _at_one_time(sightings: Sequence[Sighting]) -> list[tuple[int, int]]:
    """Pairs at about one time that are of one object, or at about one declination."""
    if len(sightings) < 2:
        return []
    seconds = (np.array([s.mjd for s in sightings]) - sightings[0].mjd) * DAY_S
    north = 3600.0 * np.array([s.dec_deg for s in sightings])
    near = cKDTree(np.column_stack([seconds / _SAME_SECONDS, north / _SAME_ARCSEC]))
    pairs = {(i, j) for i, j in near.query_pairs(1.001, p=np.inf, output_type="ndarray").tolist()}
    _, key = np.unique([s.key for s in sightings], return_inverse=True)
    order = np.lexsort((seconds, key))
    for step in range(1, len(sightings)):
        i, j = order[:-step], order[step:]
        same = (key[i] == key[j]) & (seconds[j] - seconds[i] <= 1.001 * _SAME_SECONDS)
        if not same.any():
            break
        pairs |= {(min(a, b), max(a, b)) for a, b in zip(i[same].tolist(), j[same].tolist(), strict=True)}
    return sorted(pairs)


def _object(sightings: list[Sighting], lon_deg: float) -> Iterable[Problem]:
    """The positions of one object from one place."""
    nights: dict[str, list[Sighting]] = {}
    for s in sorted(sightings, key=lambda s: s.mjd):
        nights.setdefault(night_of(s.mjd, lon_deg), []).append(s)
    elsewhere = max(len(members) for members in nights.values()) > 1
    for night, members in nights.items():
        first = members[0]
        if not first.on_ground:
            continue
        if len(members) == 1:
            excused = elsewhere or first.stacked
            said = f"one position of {first.key} in the night of {night}; the MPC wants two at least"
            yield Problem(first.row, "", "single", "warning" if excused else "error", said)
        elif len(members) == 2:
            said = f"two positions of {first.key} in the night of {night}; three or more are better"
            yield Problem(first.row, "", "few", "warning", said)
        yield from _motion(members)


def _motion(members: Sequence[Sighting]) -> Iterable[Problem]:
    """Along a straight path at an even pace within the night."""
    if len(members) < 2:
        return
    hours = (np.array([s.mjd for s in members]) - members[0].mjd) * 24.0
    ra, dec = np.array([s.ra_deg for s in members]), np.array([s.dec_deg for s in members])
    span = float(hours[-1])
    if span <= 0.0:
        return
    ra0, dec0 = mean_position(ra, dec)
    xi, eta = offsets_arcsec(ra, dec, ra0, dec0)
    if not np.isfinite(xi).all():
        said = f"{members[0].key} is on opposite sides of the sky within the night"
        yield Problem(members[0].row, members[0].columns[1], "motion", "error", said)
        return
    path = float(np.hypot(xi[-1] - xi[0], eta[-1] - eta[0]))
    steps = np.hypot(np.diff(xi), np.diff(eta)) / np.maximum(np.diff(hours), 1.0 / 3600.0)
    fastest = int(np.argmax(steps))
    if steps[fastest] > _FASTEST:
        s = members[fastest + 1]
        said = f'{s.key} would have moved at {steps[fastest]:.0f}"/h since line {members[fastest].row}'
        yield Problem(s.row, s.columns[1], "motion", "error", said)
    if len(members) < 3:
        return
    residual = _residuals(hours, xi, eta)
    worst = int(np.argmax(residual))
    s = members[worst]
    rms = max((m.rms_arcsec for m in members if math.isfinite(m.rms_arcsec)), default=0.0)
    allowed = max(_RESIDUAL_ARCSEC, _RESIDUAL_SIGMAS * rms, _CURVED * path)
    if residual[worst] > allowed:
        broken = residual[worst] > max(_BROKEN_ARCSEC, _RESIDUAL_SIGMAS * rms, _BROKEN * path)
        said = f'{residual[worst]:.1f}" off the straight and even path of {s.key} that night'
        yield Problem(s.row, s.columns[1], "motion", "error" if broken else "warning", said)


def _residuals(
    hours: NDArray[np.float64], xi: NDArray[np.float64], eta: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distances from the fitted path in arcsec, each as large as the error that it would be by.

    A residual r of a fit is smaller than the error behind it by sqrt(1 - h), h the leverage of its time
    (Cook and Weisberg 1982, Residuals and Influence in Regression, 2.1).
    """
    t = hours - hours.mean()
    square = float(t @ t)
    if square <= 0.0:
        return np.zeros(len(hours))
    leverage = 1.0 / len(t) + t**2 / square
    x, y = (v - v.mean() - t * float(t @ v) / square for v in (xi, eta))
    free = np.sqrt(np.maximum(1.0 - leverage, 1e-3))
    return np.asarray(np.hypot(x, y) / free)


def _outside(sightings: Sequence[Sighting], exposures: Sequence[tuple[float, float]]) -> Iterable[Problem]:
    starts = np.array([start for start, _ in exposures])
    ends = np.array([start + seconds / DAY_S for start, seconds in exposures])
    for s in sightings:
        if not bool(((starts - _ROUNDED_DAY <= s.mjd) & (s.mjd <= ends + _ROUNDED_DAY)).any()):
            said = "this time is within no exposure of the night"
            yield Problem(s.row, s.columns[0], "not-in-exposure", "error", said)


def _sent_before(sightings: Sequence[Sighting], sent: Sequence[Sent]) -> Iterable[Problem]:
    if not sent:
        return
    ordered = sorted(sent, key=lambda x: x.mjd)  # the ledger of years is looked at within a minute only
    mjd, ra, dec = (np.array([getattr(x, name) for x in ordered]) for name in ("mjd", "ra_deg", "dec_deg"))
    stn = np.array([x.stn for x in ordered])
    minute = _SENT_SECONDS / DAY_S
    for s in sightings:
        now = slice(*np.searchsorted(mjd, (s.mjd - minute, np.nextafter(s.mjd + minute, np.inf))))
        near = separation_arcsec(s.ra_deg, s.dec_deg, ra[now], dec[now]) <= _SENT_ARCSEC
        if (near & (stn[now] == s.stn)).any():
            said = 'a position within 60 s and 5" was sent before'
            yield Problem(s.row, s.columns[1], "sent-before", "error", said)
