"""Grouping by pointing: the same sequences whatever the order of arrival and the spelling of OBJECT."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.ingest.sequence import group_exposures, position_name, slug
from ssosd.model import Exposure


def exposure(
    n: int, ra: float, dec: float, *, target: str = "F", mjd: float | None = None, side: float = 0.5
) -> Exposure:
    mid = 60000.0 + 0.01 * n if mjd is None else mjd
    return Exposure(
        path=f"/d/{n:04d}.fits", digest=f"{n:032x}", date_obs="2023-02-25T00:00:00.000", mjd_start=mid - 0.0005,
        mjd_mid=mid, exptime_s=86.4, filter="r", object=target, telescope="T", instrument="I",
        ra_deg=ra % 360.0, dec_deg=dec, width_deg=side, height_deg=side, chips=(),
    )  # fmt: skip


def group(exposures, gap_hours=0.0):
    return group_exposures(exposures, night="2023-02-24", radius_fraction=0.25, gap_hours=gap_hours)


def as_sets(sequences):
    return {s.field: tuple(e.digest for e in s.exposures) for s in sequences}


def test_interleaved_fields_are_told_apart_by_pointing():
    found = group([exposure(n, 10.0 + 2.0 * (n % 2), 5.0, target=f"F{n % 2}") for n in range(10)])
    assert [s.field for s in found] == ["F0", "F1"]
    assert [len(s.exposures) for s in found] == [5, 5]


def test_misspelled_and_missing_object_stay_in_the_field():
    names = ["NGC 7000", "ngc7000", "", "NGC 7000", "unknown"]
    found = group([exposure(n, 10.0, 5.0, target=name) for n, name in enumerate(names)])
    assert [s.field for s in found] == ["NGC_7000"]


def test_spellings_vote_together():
    names = ["M 1", "M 1", "ngc1952", "NGC 1952", "NGC_1952", "NGC-1952 ", "NGC 1952"]
    for order in (names, names[::-1]):
        found = group([exposure(n, 10.0, 5.0, target=name) for n, name in enumerate(order)])
        assert [s.field for s in found] == ["NGC_1952"]


def test_no_object_at_all_gives_a_name_from_the_position():
    assert [s.field for s in group([exposure(n, 34.5, 13.6, target="") for n in range(3)])] == ["J0218+1336"]


def test_same_object_at_two_pointings_gives_two_fields_with_unique_names():
    found = group([exposure(n, 10.0 + 2.0 * (n % 2), 5.0, target="survey") for n in range(6)])
    assert [s.field for s in found] == ["survey_J0040+0500", "survey_J0048+0500"]


def test_names_differing_only_in_case_are_kept_apart_for_file_systems_that_ignore_it():
    found = group([exposure(n, 10.0 + 2.0 * (n % 2), 5.0, target="Ab" if n % 2 else "aB") for n in range(6)])
    assert len({s.field.casefold() for s in found}) == 2


def test_no_field_has_the_name_of_a_folder_of_the_night():
    found = group([exposure(n, 10.0, 5.0, target="Drafts") for n in range(3)])
    assert [s.field for s in found] == ["Drafts_J0040+0500"]


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.95, 40.0), (123.0, 89.95), (50.0, -89.9)])
def test_dithers_at_ra_zero_and_the_poles_are_one_field(ra, dec):
    rng = np.random.default_rng(3)
    step = 0.01
    dithers = [
        exposure(n, ra + step * a / max(np.cos(np.radians(dec)), 1e-3), min(dec + step * b, 90.0))
        for n, (a, b) in enumerate(rng.uniform(-1, 1, (8, 2)))
    ]
    assert len(group(dithers)) == 1


def test_a_long_gap_splits_only_when_asked():
    frames = [exposure(n, 10.0, 5.0, mjd=60000.0 + 0.01 * n + (0.2 if n >= 3 else 0.0)) for n in range(6)]
    assert len(group(frames)) == 1
    split = group(frames, gap_hours=2.0)
    assert [len(s.exposures) for s in split] == [3, 3]
    assert len({s.field for s in split}) == 2


def test_a_wide_and_a_narrow_camera_on_one_spot_are_two_fields():
    frames = [exposure(n, 10.0, 5.0, side=0.2 if n % 2 else 2.0) for n in range(6)]
    assert len(group(frames)) == 2


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_arrival_does_not_matter(seed):
    rng = random.Random(seed)
    frames = [
        exposure(n, rng.choice([0.0, 0.4, 1.3, 200.0]) + rng.uniform(-0.05, 0.05), rng.choice([-80.0, 0.0, 60.0]),
                 target=rng.choice(["A", "a", "B", "", "C 1"]))
        for n in range(30)
    ]  # fmt: skip
    expected = as_sets(group(frames, gap_hours=1.0))
    rng.shuffle(frames)
    assert as_sets(group(frames, gap_hours=1.0)) == expected
    assert sum(len(v) for v in expected.values()) == 30
    assert len({name.casefold() for name in expected}) == len(expected)


def test_slugs_and_position_names_are_safe_as_folder_names():
    assert slug("../../etc/passwd") == "etc_passwd"
    assert slug("Été à Nice") == "Ete_a_Nice"
    assert position_name(359.999, -0.5) == "J2359-0030"
