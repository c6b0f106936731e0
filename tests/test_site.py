"""Sites, nights and the Sun: against astropy, and as properties over the globe."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, get_sun
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given
from hypothesis import strategies as st

from ssosd.errors import Misconfigured
from ssosd.site import (
    EARTH_RADIUS_M,
    _codes,
    geodetic,
    night_bounds,
    night_of,
    parallax_constants,
    site_from,
    site_from_code,
)
from ssosd.sun import ASTRONOMICAL, CIVIL, NAUTICAL, SUNRISE, next_sunrise, sun_altitude_deg

longitudes = st.floats(-360.0, 720.0)
moments = st.floats(15_020.0, 88_000.0)


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iers.conf, "auto_download", False)
    monkeypatch.setattr(iers.conf, "auto_max_age", None)


def location(code: str) -> EarthLocation:
    site = site_from_code(code)
    return EarthLocation.from_geodetic(site.lon_deg * u.deg, site.lat_deg * u.deg, site.alt_m * u.m)


# -- codes ---------------------------------------------------------------------------------------------------


def test_a_code_gives_the_place() -> None:
    site = site_from_code("688")
    assert site.name == "Lowell Observatory, Anderson Mesa Station"
    assert site.lon_deg == pytest.approx(248.4645 - 360.0)
    assert site.lat_deg == pytest.approx(35.097, abs=0.003)  # the observatory's own web page
    assert site.alt_m == pytest.approx(2200.0, abs=60.0)
    assert (site.rho_cos_phi, site.rho_sin_phi) == (0.81938, 0.57193)
    assert not site.geocentric
    assert site.note == ""


def test_all_codes_agree_with_astropy() -> None:
    table = {c: e for c, e in _codes().items() if e.get("cos")}
    assert len(table) > 2000
    sites = [site_from_code(c) for c in table]
    lon = np.radians([s.lon_deg for s in sites])
    xyz = [
        np.array([s.rho_cos_phi for s in sites]) * np.cos(lon),
        np.array([s.rho_cos_phi for s in sites]) * np.sin(lon),
        np.array([s.rho_sin_phi for s in sites]),
    ]
    authority = EarthLocation.from_geocentric(*(v * EARTH_RADIUS_M * u.m for v in xyz))
    np.testing.assert_allclose([s.lat_deg for s in sites], authority.lat.deg, atol=1e-8)
    np.testing.assert_allclose([s.alt_m for s in sites], authority.height.to_value(u.m), atol=0.01)
    assert all(-180.0 <= s.lon_deg < 180.0 for s in sites)


@given(st.floats(-90.0, 90.0), st.floats(-400.0, 9000.0))
def test_parallax_constants_and_back(lat: float, alt: float) -> None:
    back_lat, back_alt = geodetic(*parallax_constants(lat, alt))
    assert back_lat == pytest.approx(lat, abs=1e-8)
    assert back_alt == pytest.approx(alt, abs=0.005)


@pytest.mark.parametrize("code", ["500", "250", "247", "270", "C57", "244"])
def test_codes_without_a_place_are_geocentric_with_a_note(code: str) -> None:
    site = site_from_code(code)
    assert site.geocentric
    assert site.lon_deg == 0.0
    assert code in site.note
    assert site.name in site.note


@pytest.mark.parametrize(
    ("wrong", "named"),
    [("x05", "X05"), ("95", "095"), ("6888", "688"), ("Z999", "Z99"), ("####", "three characters")],
)
def test_unknown_code_names_the_nearest(wrong: str, named: str) -> None:
    with pytest.raises(Misconfigured, match="OBSERVATORY_CODE") as caught:
        site_from_code(wrong)
    assert named in str(caught.value)


def test_own_coordinates_override_the_list() -> None:
    site = site_from("247", lon_deg=210.0, lat_deg=-33.5, alt_m=1200.0)
    assert not site.geocentric
    assert (site.lon_deg, site.lat_deg, site.alt_m) == (-150.0, -33.5, 1200.0)
    there = EarthLocation.from_geodetic(210 * u.deg, -33.5 * u.deg, 1200 * u.m)
    assert site.rho_sin_phi == pytest.approx(there.z.to_value(u.m) / EARTH_RADIUS_M, abs=1e-9)
    partly = site_from("688", alt_m=0.0)
    assert partly.lat_deg == site_from_code("688").lat_deg
    assert partly.rho_cos_phi < site_from_code("688").rho_cos_phi
    assert site_from("688") == site_from_code("688")


@pytest.mark.parametrize(
    ("code", "given_", "said"),
    [
        ("500", {"lon_deg": 10.0}, "together"),
        ("688", {"lat_deg": 91.0}, "latitude"),
        ("688", {"lon_deg": 361.0}, "longitude"),
        ("688", {"alt_m": float("nan")}, "altitude"),
    ],
)
def test_impossible_coordinates_are_refused(code: str, given_: dict[str, float], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        site_from(code, **given_)


def test_importing_the_site_loads_nothing_slow() -> None:
    script = "import sys, ssosd.site; print([m for m in ('astropy', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"


# -- nights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("utc", "code", "night"),
    [
        ("2019-03-26T02:27:00", "688", "2019-03-25"),  # evening in Arizona
        ("2019-03-26T19:25:00", "688", "2019-03-25"),  # just before local mean noon, 19:26
        ("2019-03-26T19:27:00", "688", "2019-03-26"),
        ("2026-11-14T10:00:00", "413", "2026-11-14"),  # Siding Spring: the evening of the UTC day
        ("2026-11-14T18:00:00", "413", "2026-11-14"),  # its morning
        ("2026-12-31T23:00:00", "950", "2026-12-31"),
        ("2027-01-01T05:00:00", "950", "2026-12-31"),
        ("2024-03-01T02:00:00", "500", "2024-02-29"),
    ],
)
def test_nights_of_known_moments(utc: str, code: str, night: str) -> None:
    assert night_of(Time(utc, scale="utc").mjd, site_from_code(code).lon_deg) == night


@given(moments, longitudes)
def test_every_moment_is_inside_its_night(mjd: float, lon: float) -> None:
    night = night_of(mjd, lon)
    start, end = night_bounds(night, lon)
    assert start <= mjd < end
    assert end - start == pytest.approx(1.0, abs=1e-9)


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)), longitudes)
def test_bounds_and_nights_are_inverse_to_the_last_bit(day: date, lon: float) -> None:
    start, end = night_bounds(day.isoformat(), lon)
    assert night_of(start, lon) == day.isoformat()
    assert night_of(np.nextafter(end, 0.0), lon) == day.isoformat()
    assert night_of(end, lon) == date.fromordinal(day.toordinal() + 1).isoformat()


@given(st.dates(date(1950, 1, 1), date(2050, 12, 31)), st.floats(-180.0, 179.999))
def test_local_midnight_belongs_to_the_evening_before(day: date, lon: float) -> None:
    midnight = day.toordinal() - date(1858, 11, 17).toordinal() + 1.0 - lon / 360.0
    assert night_of(midnight, lon) == day.isoformat()


def test_a_turn_of_longitude_changes_nothing() -> None:
    assert night_bounds("2019-03-25", 248.4645) == pytest.approx(night_bounds("2019-03-25", -111.5355))


def test_not_a_date_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="2019-13-01"):
        night_bounds("2019-13-01", 0.0)


# -- the Sun -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["688", "413", "950", "X05", "A84"])
def test_altitude_of_the_sun_agrees_with_astropy(code: str) -> None:
    mjd = np.linspace(Time("1990-01-01").mjd, Time("2025-01-01").mjd, 400) + np.linspace(0.0, 7.3, 400)
    times = Time(mjd, format="mjd", scale="utc")
    frame = AltAz(obstime=times, location=location(code), pressure=0 * u.hPa)
    authority = get_sun(times).transform_to(frame).alt.deg
    measured = sun_altitude_deg(mjd, site_from_code(code))
    assert measured.shape == mjd.shape
    assert np.abs(measured - authority).max() < 0.02
    assert np.ptp(authority) > 60.0  # day and night were both tried


@pytest.mark.parametrize("altitude", [SUNRISE, CIVIL, NAUTICAL, ASTRONOMICAL])
def test_next_sunrise_is_the_first_one_and_exact(altitude: float) -> None:
    site = site_from_code("688")
    start = Time("2019-03-26T02:27:00").mjd
    found = next_sunrise(start, site, altitude_deg=altitude)
    assert found is not None
    assert 0.0 < found - start < 1.0
    times = Time([found], format="mjd", scale="utc")
    frame = AltAz(obstime=times, location=location("688"), pressure=0 * u.hPa)
    assert get_sun(times).transform_to(frame).alt.deg[0] == pytest.approx(altitude, abs=0.05)
    before = sun_altitude_deg(np.linspace(start + 0.05, found - 1e-4, 500), site)
    assert (before < altitude).all()


def test_during_the_day_the_next_one_is_tomorrow() -> None:
    noon = Time("2019-03-26T19:30:00").mjd
    found = next_sunrise(noon, site_from_code("688"))
    assert found is not None
    assert 0.6 < found - noon < 0.8


@pytest.mark.parametrize(("day", "altitude"), [("2026-06-21", SUNRISE), ("2026-12-21", SUNRISE)])
def test_polar_day_and_night_have_no_sunrise(day: str, altitude: float) -> None:
    svalbard = site_from("500", lon_deg=16.0, lat_deg=78.2)
    assert next_sunrise(Time(day).mjd, svalbard, altitude_deg=altitude) is None


def test_white_nights_have_no_astronomical_dawn_but_a_sunrise() -> None:
    tartu = site_from_code("075")
    mjd = Time("2026-06-21T20:00:00").mjd
    assert next_sunrise(mjd, tartu, altitude_deg=ASTRONOMICAL) is None
    assert next_sunrise(mjd, tartu) is not None


def test_the_geocentre_has_no_horizon() -> None:
    with pytest.raises(Misconfigured, match="500"):
        sun_altitude_deg(60000.0, site_from_code("500"))
