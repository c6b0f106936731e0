"""When a sequence is complete, and when a night is over: rules as functions of time, against astropy's Sun."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, get_sun
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssosd.ingest.sequence import FieldSequence, completeness
from ssosd.site import Site, night_bounds, night_of, site_from, site_from_code
from ssosd.sun import is_night_over
from tests.test_sequence import exposure

PARANAL = site_from_code("309")


def sequence(n: int) -> FieldSequence:
    exposures = tuple(exposure(i, 10.0, 5.0) for i in range(n))
    return FieldSequence(night="2023-02-24", field="F", ra_deg=10.0, dec_deg=5.0, exposures=exposures)


def why(
    n: int, *, expected: int = 0, quiet_s: float = 0.0, timeout_s: float = 600.0, over: bool = False
) -> str:
    return completeness(
        sequence(n), expected=expected, last_arrival_s=5000.0, now_s=5000.0 + quiet_s,
        timeout_s=timeout_s, night_over=over,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({"n": 4, "expected": 5}, ""),
        ({"n": 5, "expected": 5}, "all 5 exposures are here"),
        ({"n": 6, "expected": 5}, "all 5 exposures are here"),
        ({"n": 500}, ""),  # unknown how many: only time tells
        ({"n": 4, "expected": 5, "quiet_s": 599.9}, ""),
        ({"n": 4, "expected": 5, "quiet_s": 600.0}, "no exposure for 10 min, with 4 exposures"),
        ({"n": 1, "over": True}, "the night is over, with 1 exposure"),
        ({"n": 5, "expected": 5, "over": True}, "all 5 exposures are here"),
        ({"n": 4, "quiet_s": -100.0}, ""),  # a clock that was put back completes nothing
    ],
)
def test_what_completes_a_sequence(given_, reason):
    assert why(**given_) == reason


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 12), expected=st.integers(0, 12), quiet_s=st.floats(0.0, 1e5),
    later_s=st.floats(0.0, 1e5), over=st.booleans(),
)  # fmt: skip
def test_time_alone_never_makes_a_complete_sequence_incomplete(n, expected, quiet_s, later_s, over):
    if why(n, expected=expected, quiet_s=quiet_s, over=over):
        assert why(n, expected=expected, quiet_s=quiet_s + later_s, over=over)
        assert why(n + 1, expected=expected, quiet_s=quiet_s, over=over)


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iers.conf, "auto_download", False)
    monkeypatch.setattr(iers.conf, "auto_max_age", None)


def astropys_altitude(mjd: NDArray[np.float64], site: Site) -> NDArray[np.float64]:
    place = EarthLocation.from_geodetic(site.lon_deg * u.deg, site.lat_deg * u.deg, site.alt_m * u.m)
    times = Time(mjd, format="mjd")
    return np.asarray(get_sun(times).transform_to(AltAz(obstime=times, location=place)).alt.deg)


@pytest.mark.parametrize("place", [(-70.4, -24.6), (2.5, 37.2), (175.0, -44.0), (-155.5, 19.8), (25.0, 65.0)])
def test_the_second_half_of_a_night_ends_when_the_sun_of_astropy_is_up(place):
    site = site_from("500", lon_deg=place[0], lat_deg=place[1], alt_m=100.0)
    rng = np.random.default_rng(5)
    moments, dawns = rng.uniform(58000.0, 60500.0, 400), rng.uniform(-18.0, 5.0, 400)
    altitudes = astropys_altitude(moments, site)
    told = {True: 0, False: 0}
    for mjd, dawn, altitude in zip(moments.tolist(), dawns.tolist(), altitudes.tolist(), strict=True):
        if abs(altitude - dawn) < 0.05:
            continue  # the formula's error decides
        night = night_of(mjd, site.lon_deg)
        expected = bool(mjd > sum(night_bounds(night, site.lon_deg)) / 2.0 and altitude > dawn)
        assert is_night_over(night, mjd, site, dawn_altitude_deg=dawn) is expected
        told[expected] += 1
    assert min(told.values()) > 50


def test_sun_in_the_evening_does_not_end_the_night_that_begins():
    """An hour before sunset the telescope may take its first frames."""
    evening = float(Time("2023-02-24T22:30:00").mjd)
    night = night_of(evening, PARANAL.lon_deg)
    assert night == "2023-02-24"
    assert astropys_altitude(np.array([evening]), PARANAL)[0] > 5.0
    assert not is_night_over(night, evening, PARANAL, dawn_altitude_deg=-6.0)


@pytest.mark.parametrize(("hours", "over"), [(-0.1, False), (0.1, True), (24.0, True), (-24.1, True)])
def test_local_noon_ends_any_night(hours, over):
    geocentric = site_from_code("500")
    _, end = night_bounds("2023-02-24", geocentric.lon_deg)
    assert is_night_over("2023-02-24", end + hours / 24.0, geocentric, dawn_altitude_deg=-6.0) is over


def test_a_polar_night_lasts_until_noon_and_a_polar_day_ends_at_midnight():
    pole = site_from("500", lon_deg=15.0, lat_deg=78.0, alt_m=0.0)
    for date, hours_after_midnight, over in (
        ("2026-12-20", 11.0, False),
        ("2026-06-20", -1.0, False),
        ("2026-06-20", 1.0, True),
    ):
        first, end = night_bounds(date, pole.lon_deg)
        mjd = 0.5 * (first + end) + hours_after_midnight / 24.0
        assert is_night_over(date, mjd, pole, dawn_altitude_deg=-6.0) is over
