"""FILTER_MOTION with MOTION_FIT PLANE: one motion on the sky, judged with real errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.filters.plane_motion import filter_plane_motion
from ssosd.grouping import Grouping
from tests.test_filter_motion import mover

HOURS = (0.0, 0.25, 0.5, 0.75, 1.0)


def judged(*sources, sigma=0.1, exptime=60.0):
    """Outcome for sources, numbered from 1."""
    rows = [row | {"SOURCE_NUMBER": k} for k, source in enumerate(sources, start=1) for row in source]
    frame = pd.DataFrame(rows).assign(ERR_POSITION=sigma, EXPTIME=exptime)
    frame = frame.sample(frac=1.0, random_state=1, ignore_index=True)
    return filter_plane_motion(frame, Grouping.of(frame["SOURCE_NUMBER"], frame["MID_EXPOSURE_MJD"]))


def reason(outcome, i=0):
    return outcome.reasons[outcome.reason[i]]


@pytest.mark.parametrize("pa", [0.0, 45.0, 85.0, 88.0, 90.0, 180.0, 270.0])
@pytest.mark.parametrize(("ra", "dec"), [(90.0, 22.0), (0.0, 0.0), (359.9999, 80.0), (10.0, -89.5)])
def test_movers_along_any_direction_are_kept(pa, ra, dec):
    """The seed loses all of these at PA 90 in the first field: no R^2 in Dec."""
    sources = [mover(HOURS, ra=ra, dec=dec, pa=pa, rate=33.0, noise=0.1, seed=s) for s in range(40)]
    outcome = judged(*sources)
    assert outcome.keep.mean() >= 0.975


def test_bad_fits_are_as_rare_as_the_limit_says():
    sources = [mover(HOURS, rate=30.0, noise=0.1, seed=s) for s in range(3000)]
    assert (~judged(*sources).keep).sum() <= 3  # 0.3 are expected


def test_slow_movers_are_kept_and_stars_are_not():
    slow = [mover(HOURS, rate=1.5, noise=0.05, seed=s) for s in range(10)]
    stars = [mover(HOURS, rate=0.0, noise=0.05, seed=s) for s in range(2000)]
    outcome = judged(*slow, *stars, sigma=0.05)
    assert outcome.keep[:10].mean() >= 0.9
    assert not outcome.keep[10:].any()
    assert reason(outcome, 60) == "the rate is not significant against its error"


def test_a_wandering_centroid_is_told():
    outcome = judged(mover(HOURS, rate=0.3, noise=0.001), sigma=0.01)
    assert not outcome.keep[0]
    assert reason(outcome) == "it moves less than a centroid may wander"
    assert outcome.measured[0] == pytest.approx(0.3, abs=0.01)
    assert outcome.limit[0] == 0.4


def test_a_star_joined_to_a_mover_is_told():
    rows = mover(HOURS, rate=60.0, noise=0.05)
    rows[2]["DEC"] += 6.0 / 3600.0
    outcome = judged(rows)
    assert not outcome.keep[0]
    assert reason(outcome) == "chi-square of the motion on a great circle"
    assert outcome.measured[0] > outcome.limit[0]


def test_a_long_arc_may_curve_by_parallax():
    """12 detections in 5.7 h that leave a straight line by 1": rejected by SCAMP's flag in the seed."""
    hours = np.linspace(0.0, 5.7, 12)
    rows = mover(hours, rate=14.5, noise=0.1)
    for row, t in zip(rows, hours, strict=True):
        row["DEC"] += 0.5 * 0.3 * (t - 2.85) ** 2 / 3600.0
    assert judged(rows).keep[0]


def test_two_exposures_of_one_instant_are_one_position():
    rows = mover((0.0, 0.0, 0.5, 0.5), rate=30.0)
    outcome = judged(rows)
    assert not outcome.keep[0]
    assert (reason(outcome), outcome.measured[0]) == ("detected at too few instants to tell motion", 2)


def test_frames_of_a_fast_camera_are_not_all_of_one_instant():
    """Forty frames 1.9 s after one another: none is 2 s from the next, the last is 74 s from the first."""
    outcome = judged(mover(np.arange(40) * 1.9 / 3600.0, rate=3600.0))
    assert outcome.keep[0], reason(outcome)


def test_rows_that_are_not_numbers_are_passed_over():
    rows = mover(HOURS, rate=30.0, noise=0.01)
    rows[1]["RA"] = float("nan")
    rows[3]["MID_EXPOSURE_MJD"] = float("nan")
    assert judged(rows).keep[0]
    everything = [row | {"RA": float("nan")} for row in rows]
    assert reason(judged(everything)) == "detected at too few instants to tell motion"


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(3.0, 2000.0),
    pa=st.floats(0.0, 360.0),
    ra=st.floats(0.0, 359.99),
    dec=st.floats(-89.0, 89.0),
    seed=st.integers(0, 10**6),
)
def test_no_direction_and_no_place_is_special(rate, pa, ra, dec, seed):
    rows = mover(HOURS, ra=ra, dec=dec, pa=pa, rate=rate, noise=0.02, seed=seed)
    assert judged(rows, sigma=0.05).keep[0]


def test_stars_that_seem_to_move_by_refraction_are_no_movers():
    """Unfiltered frames of hours: stars drift by their colours; what moves must do so far more significantly."""
    hours = np.linspace(0.0, 5.0, 11)
    rng = np.random.default_rng(3)
    stars = [
        mover(hours, rate=float(rate), pa=180.0, noise=0.05, seed=s)
        for s, rate in enumerate(np.abs(rng.normal(0.0, 0.08, 400)))
    ]
    asteroids = [mover(hours, rate=8.0, noise=0.05, seed=s) for s in range(4)]
    outcome = judged(*stars, *asteroids, sigma=0.05)
    assert outcome.keep[400:].all()
    assert outcome.keep[:400].sum() <= 2
    rest = np.flatnonzero(~outcome.keep[:400])
    told = [i for i in rest if reason(outcome, i) == "the rate is not significant against its error"]
    assert outcome.limit[told[0]] > 10.0


def test_tails_of_the_stars_do_not_hide_a_slow_mover_of_the_tracklet_linker():
    """Neighbours pull at centroids: stars at rest that scatter 1.07 of their errors are no refraction."""
    stars = [mover(HOURS, rate=0.0, noise=0.107, seed=s) for s in range(2000)]
    slow = mover(HOURS, rate=0.63, noise=0.0)  # 4.96 of its errors
    by_scamp, by_us = ([row | {"LINKED_BY": name} for row in slow] for name in ("SCAMP", "TRACKLET"))
    assert judged(*stars, by_us).keep[-1]
    told = judged(*stars, by_scamp)
    assert not told.keep[-1]
    assert told.measured[-1] == pytest.approx(4.98, abs=0.05)
