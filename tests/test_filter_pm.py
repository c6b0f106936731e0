"""FILTER_PM: inclusive range of PM and smallest PM/PMERR."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssosd.filters.pm import filter_pm
from ssosd.grouping import Grouping
from tests import chain_twin as twin

nasty = st.sampled_from([0.0, 1.0, 10.0, 300.0, -1.0, math.nan, math.inf]) | st.floats(0, 1e4)
LIMITS = {"pm_low": 1.0, "pm_up": 300.0, "pm_snr": 20.0}


def run(pairs, **limits):
    frame = twin.table([{"SOURCE_NUMBER": i, "PM": p, "PMERR": e} for i, (p, e) in enumerate(pairs)])
    groups = Grouping.of(frame["SOURCE_NUMBER"], frame["MID_EXPOSURE_MJD"])
    return filter_pm(frame, groups, **{**LIMITS, **limits})


@given(st.lists(st.tuples(nasty, nasty), min_size=1, max_size=12), st.sampled_from([0.0, 1.0, 20.0]))
def test_same_as_the_plain_rule(pairs, pm_snr):
    limits = {**LIMITS, "pm_snr": pm_snr}
    answers = [twin.pm([{"PM": p, "PMERR": e}], **limits) for p, e in pairs]
    twin.assert_same(run(pairs, **limits), answers)


def test_limits_are_inclusive():
    assert run([(1.0, 0.05), (300.0, 15.0)]).keep.all()
    assert not run([(math.nextafter(1.0, 0), 0.01), (math.nextafter(300.0, 301), 0.01)]).keep.any()
    assert run([(40.0, 2.0)]).keep[0]
    assert not run([(40.0, 2.0001)]).keep[0]


@pytest.mark.parametrize(
    ("limits", "kept"),
    [({"pm_low": 6.0}, False), ({"pm_up": 4.0}, False), ({"pm_snr": 60.0}, False), ({}, True)],
)
def test_each_parameter_changes_who_stays(limits, kept):
    assert run([(5.0, 0.1)], **limits).keep[0] == kept


@pytest.mark.parametrize("error", [0.0, math.nan, -0.1])
def test_an_unknown_error_is_no_significance(error):
    """SCAMP writes PMERR 0 where it has none: that is not an infinitely significant motion."""
    outcome = run([(50.0, error)])
    assert not outcome.keep[0]
    assert outcome.reasons[outcome.reason[0]] == "PMERR not measured, PM/PMERR unknown"
    assert run([(50.0, error)], pm_snr=0.0).keep[0]


def test_the_earliest_detection_speaks_for_the_source_in_any_order_of_rows():
    frame = twin.table(
        [
            {"SOURCE_NUMBER": 1, "MID_EXPOSURE_MJD": 60000.2, "PM": 9999.0},
            {"SOURCE_NUMBER": 1, "MID_EXPOSURE_MJD": 60000.1, "PM": 30.0},
        ]
    )
    groups = Grouping.of(frame["SOURCE_NUMBER"], frame["MID_EXPOSURE_MJD"])
    assert filter_pm(frame, groups, **LIMITS).keep[0]
