"""FILTER_DETEC: numbers of detections that are rejected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssosd.filters.detections import filter_detections
from ssosd.grouping import Grouping
from tests import chain_twin as twin


@given(st.lists(st.integers(1, 9), max_size=12), st.lists(st.integers(0, 10), max_size=6))
def test_same_as_the_plain_rule(counts, numbers):
    keys = [i for i, n in enumerate(counts) for _ in range(n)]
    outcome = filter_detections(Grouping.of(keys, list(range(len(keys)))), numbers=numbers)
    twin.assert_same(outcome, [twin.detec([{}] * n, numbers=numbers) for n in counts])


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [((1, 2, 3), [4, 5]), ((1, 5), [2, 3, 4]), ((4,), [1, 2, 3, 5]), ((), [1, 2, 3, 4, 5])],
)
def test_detections_changes_who_stays(numbers, kept):
    keys = [n for n in (1, 2, 3, 4, 5) for _ in range(n)]
    groups = Grouping.of(keys, list(range(15)))
    outcome = filter_detections(groups, numbers=numbers)
    assert groups.keys[outcome.keep].tolist() == kept


def test_ledger_says_how_many_would_have_been_enough():
    outcome = filter_detections(Grouping.of([1, 2, 2, 2, 2, 2], range(6)), numbers=(1, 5))
    assert outcome.measured.tolist() == [1, 5]
    assert outcome.limit.tolist() == [2, 6]
