"""FILTER_TRAIL: sizes that vary more than their errors allow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssosd.filters.trail import filter_trail, size_ratio
from ssosd.grouping import Grouping
from tests import chain_twin as twin

size = st.sampled_from([2.0, math.nan, math.inf]) | st.floats(0.5, 20)
error = st.sampled_from([0.0, -1.0, math.nan, math.inf]) | st.floats(0.001, 2)
NAMES = ("SOURCE_NUMBER", "AWIN_IMAGE", "ERRAWIN_IMAGE", "BWIN_IMAGE", "ERRBWIN_IMAGE")


def run(frame, ratio=0.25):
    groups = Grouping.of(frame["SOURCE_NUMBER"], frame["MID_EXPOSURE_MJD"])
    return filter_trail(frame, groups, ratio=ratio)


def sizes(a, b, err=0.05):
    return twin.table(
        [
            {"SOURCE_NUMBER": 1, "AWIN_IMAGE": x, "BWIN_IMAGE": y, "ERRAWIN_IMAGE": err, "ERRBWIN_IMAGE": err}
            for x, y in zip(a, b, strict=True)
        ]
    )


@given(
    st.lists(st.tuples(st.integers(1, 4), size, error, size, error), min_size=1, max_size=16),
    st.sampled_from([0.1, 0.25, 1.0]),
)
def test_same_as_the_plain_rule(rows, ratio):
    frame = twin.table([dict(zip(NAMES, row, strict=True)) for row in rows])
    outcome = run(frame, ratio)
    answers, edge = [], set()
    for i, own in enumerate(twin.sources(frame).values()):
        answers.append(twin.trail(own, ratio=ratio))
        if twin.trail(own, ratio=ratio * (1 - 1e-9))[0] != twin.trail(own, ratio=ratio * (1 + 1e-9))[0]:
            edge.add(i)  # within rounding of the limit: either answer is right
    twin.assert_same(outcome, answers, skip=edge)


def test_ratio_is_error_of_the_weighted_mean_over_standard_deviation():
    values, errors = np.array([2.0, 2.2, 1.9, 2.4]), np.array([0.1, 0.2, 0.1, 0.4])
    got = size_ratio(Grouping.of([1] * 4, range(4)), values, errors)
    assert got[0] == pytest.approx(1 / np.sqrt((errors**-2.0).sum()) / np.std(values, ddof=1))


def test_either_axis_rejects_and_is_named():
    even, uneven = [2.0, 2.01, 1.99, 2.0], [2.0, 5.0, 1.0, 3.0]
    assert run(sizes(even, even)).keep[0]
    for a, b, axis in ((uneven, even, "AWIN_IMAGE"), (even, uneven, "BWIN_IMAGE")):
        outcome = run(sizes(a, b))
        assert not outcome.keep[0]
        assert outcome.reasons[outcome.reason[0]] == f"{axis} varies more than RATIO allows"


def test_ratio_changes_who_stays():
    rows = sizes([2.0, 2.1, 1.9, 2.0], [2.0, 2.0, 2.0, 2.0])
    measured = 0.025 / np.std([2.0, 2.1, 1.9, 2.0], ddof=1)
    assert run(rows, measured * 0.99).keep[0]
    assert not run(rows, measured * 1.01).keep[0]


@pytest.mark.parametrize("a", [[2.0], [2.0, math.nan], [2.0, 2.0, 2.0]])
def test_what_cannot_vary_is_kept(a):
    assert run(sizes(a, a), ratio=1e9).keep[0]
