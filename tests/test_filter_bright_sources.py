"""FILTER_BRIGHT_SOURCES: great-circle distance to the stars within MAG_LIMITS."""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.filters.bright_sources import filter_bright_sources
from ssosd.grouping import Grouping
from tests import chain_twin as twin


def run(frame, stars, *, distance=50.0, mag_limits=(-99.0, 12.0)):
    groups = Grouping.of(frame["SOURCE_NUMBER"], frame["MID_EXPOSURE_MJD"])
    stars = pd.DataFrame(stars, columns=["RA", "DEC", "MAG"], dtype=float)
    return filter_bright_sources(frame, groups, stars=stars, distance=distance, mag_limits=mag_limits)


def at(positions):
    return twin.table(
        [
            {"SOURCE_NUMBER": 1, "MID_EXPOSURE_MJD": float(i), "RA": ra % 360.0, "DEC": dec}
            for i, (ra, dec) in enumerate(positions)
        ]
    )


@settings(max_examples=150)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(0.0, 0.0), (359.99, 80.0), (0.0, -80.0), (77.0, 62.0), (12.0, 89.99)]),
    st.sampled_from([1.0, 50.0, 400.0, 1e6]),
)
def test_same_as_the_plain_rule(seed, centre, distance):
    rng = np.random.default_rng(seed)

    def scatter(n):
        dec = np.clip(centre[1] + rng.normal(0, 0.05, n), -90, 90)
        return (centre[0] + rng.normal(0, 0.05, n) / np.cos(np.radians(centre[1]))) % 360.0, dec

    ra, dec = scatter(20)
    ra[rng.random(20) < 0.1] = np.nan
    star_ra, star_dec = scatter(12)
    mag = rng.uniform(8, 16, 12)
    star_ra[0], mag[1] = np.inf, np.nan
    numbers = rng.integers(1, 7, 20)
    rows = [
        {"SOURCE_NUMBER": n, "RA": a, "DEC": d, "MID_EXPOSURE_MJD": float(i)}
        for i, (n, a, d) in enumerate(zip(numbers, ra, dec, strict=True))
    ]
    frame = twin.table(rows)
    stars = list(zip(star_ra, star_dec, mag, strict=True))
    answers = [
        twin.bright_sources(own, stars=stars, distance=distance, mag_limits=(-99.0, 12.0))
        for own in twin.sources(frame).values()
    ]
    twin.assert_same(run(frame, stars, distance=distance), answers)


@pytest.mark.parametrize("dec", [0.0, 62.0, 80.0, -80.0, 89.0])
@pytest.mark.parametrize("pa", [0.0, 45.0, 90.0, 270.0])
def test_defect_17_distance_has_cos_dec_and_wraps_at_ra_zero(dec, pa):
    """At Dec 62 a source 40" beside a star must fall at a limit of 50", and one 60" beside it must stay."""
    star = SkyCoord(0.0005 * u.deg, dec * u.deg)
    for offset, kept in ((40.0, False), (60.0, True)):
        place = star.directional_offset_by(pa * u.deg, offset * u.arcsec)
        outcome = run(at([(place.ra.deg, place.dec.deg)]), [(0.0005, dec, 5.0)])
        assert outcome.keep[0] == kept
        if not kept:
            assert outcome.measured[0] == pytest.approx(40.0, abs=1e-6)
            assert outcome.limit[0] == 50.0


def test_one_detection_near_a_star_is_enough():
    far, near = (10.0, 20.5), (10.0, 20.0 + 30 / 3600)
    assert not run(at([far, near, far]), [(10.0, 20.0, 5.0)]).keep[0]
    assert run(at([far, far, far]), [(10.0, 20.0, 5.0)]).keep[0]


def test_distance_and_mag_limits_change_who_stays():
    source, stars = at([(10.0, 20.0 + 30 / 3600)]), [(10.0, 20.0, 9.0)]
    assert not run(source, stars).keep[0]
    assert run(source, stars, distance=29.0).keep[0]
    assert run(source, stars, mag_limits=(9.5, 12.0)).keep[0]
    assert run(source, stars, mag_limits=(-99.0, 8.5)).keep[0]
    assert not run(source, stars, mag_limits=(9.0, 9.0)).keep[0]


@pytest.mark.parametrize("stars", [[], [(10.0, 20.0, math.nan)], [(math.nan, 20.0, 5.0)]])
def test_no_usable_star_rejects_nothing(stars):
    assert run(at([(10.0, 20.0)]), stars).keep[0]


def test_a_faint_star_in_front_does_not_hide_a_bright_one():
    outcome = run(at([(10.0, 20.0)]), [(10.0, 20.0001, 15.0), (10.0, 20.005, 5.0)])
    assert outcome.measured[0] == pytest.approx(18.0, abs=1e-6)
