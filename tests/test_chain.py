"""The filter chain: order, funnel, ledger, flags; against the plain twin, in any order of rows."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.errors import Misconfigured
from ssosd.filters.chain import ChainSettings, run_chain
from tests import chain_twin as twin

LEDGER = ["SOURCE_NUMBER", "FILTER", "MEASURED", "LIMIT", "REASON", "N_DETECTIONS"]
CFG = {
    "FILTER_DETEC": True, "DETECTIONS": (1, 2, 3), "FILTER_PM": True, "PM_LOW": 1.0, "PM_UP": 300.0, "PM_SNR": 20.0,
    "FILTER_PIXEL": True, "DELTA_PIXEL": 2.0, "FILTER_MOTION": True, "MOTION_FIT": "SEED", "IDENTIFY_OUTLIER": True,
    "OUTLIER_THRESHOLD": 2.0, "R_SQU_M": 0.95, "FILTER_TRAIL": True, "RATIO": 0.25,
    "FILTER_BRIGHT_SOURCES": True, "DISTANCE": 60.0, "MAG_LIMITS": (-99.0, 10.0),
    "SEX_CONFIG": "not a parameter of the chain",
}  # fmt: skip
SETTINGS = ChainSettings.from_mapping(CFG)
STARS = pd.DataFrame({"RA": [10.0, 10.1], "DEC": [21.0, 21.0], "MAG": [8.0, 15.0]})
CHAIN = (
    "FILTER_DETEC",
    "FILTER_PM",
    "FILTER_MOTION",
    "FILTER_PIXEL",
    "FILTER_TRAIL",
    "FILTER_BRIGHT_SOURCES",
)


def source(number, *, hours=(0.0, 0.25, 0.5, 0.75, 1.0), ra=10.0, dec=20.0, rate=30.0, **columns):
    """A faultless mover to the north-east, but for the given columns (a value or one per detection)."""
    rows = []
    for i, h in enumerate(hours):
        shift = rate * h / np.sqrt(2)
        row = {
            "SOURCE_NUMBER": number,
            "CATALOG_NUMBER": i + 1,
            "RA": (ra + shift / 3600 / np.cos(np.radians(dec))) % 360.0,
            "DEC": dec + shift / 3600,
            "MID_EXPOSURE_MJD": 60000.0 + h / 24,
            "XWIN_IMAGE": 100.0 - shift,
            "YWIN_IMAGE": 100.0 + shift,
            "AWIN_IMAGE": 2.0 + 0.01 * (i % 2),
            "BWIN_IMAGE": 2.0 - 0.01 * (i % 2),
        }
        rows.append(row | {k: v[i] if isinstance(v, list) else v for k, v in columns.items()})
    return rows


FAULTS = {  # one source for each filter that only that filter rejects
    "FILTER_DETEC": source(11, hours=(0.0, 0.25, 0.5)),
    "FILTER_PM": source(12, PM=301.0),
    "FILTER_MOTION": source(14, FLAGS_SCAMP=[0, 64, 0, 64, 0]),
    "FILTER_PIXEL": source(13, XWIN_IMAGE=100.0, YWIN_IMAGE=100.0),
    "FILTER_TRAIL": source(15, AWIN_IMAGE=[2.0, 5.0, 1.0, 7.0, 2.0]),
    "FILTER_BRIGHT_SOURCES": source(16, dec=21.0),
}
NIGHT = twin.table([row for rows in (source(1), *FAULTS.values(), source(2)) for row in rows])


def run(night=NIGHT, /, *, stars=STARS, **changes):
    return run_chain(night, settings=replace(SETTINGS, **changes), stars=stars)


def test_each_filter_takes_its_own_and_the_ledger_says_so():
    result = run()
    assert sorted(set(result.candidates["SOURCE_NUMBER"])) == [1, 2]
    assert result.ledger["FILTER"].tolist() == list(CHAIN)
    assert result.ledger["SOURCE_NUMBER"].tolist() == [11, 12, 14, 13, 15, 16]
    assert result.ledger["N_DETECTIONS"].tolist() == [3, 5, 5, 5, 5, 5]
    assert result.ledger["MEASURED"].tolist()[:4] == [3, 301, 2, 0]
    assert result.ledger["LIMIT"].tolist() == [4, 300, 2, 2, 0.25, 60]
    assert result.ledger["MEASURED"][5] == pytest.approx(0.0, abs=1e-6)
    assert not result.ledger["REASON"].str.contains("301").any()
    assert result.funnel == (
        ("All Sources", 8), ("FILTER_DETEC", 7), ("FILTER_PM", 6), ("FILTER_MOTION", 5), ("FILTER_PIXEL", 4),
        ("FILTER_TRAIL", 3), ("FILTER_BRIGHT_SOURCES", 2),
    )  # fmt: skip


@pytest.mark.parametrize("name", CHAIN)
def test_a_filter_switched_off_lets_its_own_through(name):
    result = run(**{name.lower(): False})
    own = FAULTS[name][0]["SOURCE_NUMBER"]
    assert own in set(result.candidates["SOURCE_NUMBER"])
    assert own not in set(result.ledger["SOURCE_NUMBER"])
    assert name not in [step for step, _ in result.funnel]


CHANGES = {
    "detections": (5,), "pm_low": 31.0, "pm_up": 29.0, "pm_snr": 61.0, "delta_pixel": 50.0, "r_squ_m": 1.0,
    "ratio": 100.0, "motion_fit": "PLANE", "distance": 3700.0, "mag_limits": (11.0, 20.0), "identify_outlier": False, "outlier_threshold": 9.0,
}  # fmt: skip


def test_the_list_of_changes_is_complete():
    assert set(CHANGES) | {name.lower() for name in CHAIN} == {field.name for field in fields(ChainSettings)}


@pytest.mark.parametrize("name", CHANGES)
def test_each_parameter_changes_the_outcome(name):
    gap = source(20, hours=(0.0, 0.25, 0.5, 0.75, 3.0))  # 2.25 h is 9 MAD of 0.25 h
    near_faint = source(21, ra=10.1, dec=21.0)
    noisy = source(22)
    noisy[2]["RA"] += 2.0 / 3600
    night = twin.table([*NIGHT.to_dict("records"), *gap, *near_faint, *noisy])
    night = night.assign(ERR_POSITION=0.1, EXPTIME=60.0)
    before, after = run(night), run(night, **{name: CHANGES[name]})
    assert not (before.candidates.equals(after.candidates) and before.ledger.equals(after.ledger))
    if name in ("identify_outlier", "outlier_threshold"):
        assert before.candidates.query("SOURCE_NUMBER == 20")["FLAGS_SSOS"].tolist() == [0, 0, 0, 0, 1]
        assert not after.candidates["FLAGS_SSOS"].any()
    else:
        assert set(before.candidates["SOURCE_NUMBER"]) != set(after.candidates["SOURCE_NUMBER"])


def test_defect_5_trail_together_with_pixel():
    result = run(filter_pixel=True, filter_trail=True)
    assert {"FILTER_PIXEL", "FILTER_TRAIL"} <= set(result.ledger["FILTER"])


def test_defect_6_no_candidate_left_is_a_normal_result():
    result = run(pm_low=250.0, pm_up=260.0)
    assert result.candidates.empty
    assert result.candidates.columns.tolist() == NIGHT.columns.tolist()
    assert result.candidates.dtypes.equals(NIGHT.dtypes)
    assert len(result.ledger) == 8
    assert result.funnel[-1] == ("FILTER_BRIGHT_SOURCES", 0)


@pytest.mark.parametrize("empty", [NIGHT.iloc[:0], pd.DataFrame()])
def test_no_detection_at_all_is_a_normal_result(empty):
    result = run(empty)
    assert result.candidates.empty
    assert result.candidates.columns.tolist() == empty.columns.tolist()
    assert result.ledger.columns.tolist() == LEDGER
    assert result.ledger.empty
    assert result.funnel[0] == ("All Sources", 0)


def test_ledger_has_the_same_types_with_and_without_rows():
    full, empty = run().ledger, run(NIGHT.query("SOURCE_NUMBER == 1")).ledger
    assert full.columns.tolist() == LEDGER
    assert full.dtypes.equals(empty.dtypes)
    assert full.dtypes["SOURCE_NUMBER"] == full.dtypes["N_DETECTIONS"] == np.int64
    assert full.dtypes["MEASURED"] == full.dtypes["LIMIT"] == np.float64


def test_input_is_not_modified_and_old_flags_stay():
    rows = source(1, hours=(0.0, 0.25, 0.5, 0.75, 3.0), FLAGS_SSOS=[0, 2, 0, 0, 2])
    night = twin.table(rows)
    copy = night.copy(deep=True)
    first = run(night)
    pd.testing.assert_frame_equal(night, copy)
    assert first.candidates["FLAGS_SSOS"].tolist() == [0, 2, 0, 0, 3]
    assert first.candidates["FLAGS_SSOS"].dtype == np.int64
    again = run(first.candidates)
    pd.testing.assert_frame_equal(again.candidates, first.candidates)


def random_night(seed, n_sources=40):
    rng = np.random.default_rng(seed)
    rows = []
    for number in rng.permutation(n_sources):
        n = rng.integers(1, 9)
        hours = np.sort(rng.choice([0, 0.25, 0.5, 0.75, 1.0, 1.25, 9.0, 9.25, 9.5], n, replace=False))
        own = source(
            int(number),
            hours=hours,
            ra=rng.choice([0.0, 10.0, 359.9999]),
            dec=rng.choice([20.0, 21.0, 80.0, -80.0]),
            rate=rng.choice([0.0, 2.0, 30.0, 280.0]),
            PM=rng.choice([0.5, 30.0, 400.0, np.nan]) if rng.random() < 0.3 else 30.0,
            PMERR=rng.choice([0.0, np.nan, 3.0]) if rng.random() < 0.2 else 0.5,
            EXTENSION=rng.integers(1, 3, n).tolist() if rng.random() < 0.2 else 1,
            AWIN_IMAGE=(2.0 + rng.choice([0.01, 1.0]) * rng.normal(size=n)).tolist(),
        )
        for row in own:
            row["RA"] += rng.normal(0, 0.2) / 3600
            row["DEC"] += rng.normal(0, 0.1) / 3600
            row["FLAGS_SCAMP"] = int(rng.choice([0] * 15 + [64]))
            if rng.random() < 0.03:
                row[rng.choice(["RA", "DEC", "XWIN_IMAGE", "AWIN_IMAGE", "ERRA_WORLD"])] = np.nan
        rows += own
    return twin.table(rows)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_same_as_the_plain_chain(seed):
    night = random_night(seed)
    stars = list(STARS.itertuples(index=False, name=None))
    steps = (
        lambda rows: twin.detec(rows, numbers=CFG["DETECTIONS"]),
        lambda rows: twin.pm(rows, pm_low=1.0, pm_up=300.0, pm_snr=20.0),
        lambda rows: twin.linear_motion(rows, r_squ_m=0.95, identify_outlier=True, outlier_threshold=2.0)[0],
        lambda rows: twin.pixel(rows, delta_pixel=2.0),
        lambda rows: twin.trail(rows, ratio=0.25),
        lambda rows: twin.bright_sources(rows, stars=stars, distance=60.0, mag_limits=(-99.0, 10.0)),
    )
    left, expected, funnel = twin.sources(night), [], []
    funnel.append(("All Sources", len(left)))
    for name, step in zip(CHAIN, steps, strict=True):
        for number in list(left):
            kept, measured, limit, reason = step(left[number])
            if not kept:
                expected.append((number, name, measured, limit, reason, len(left.pop(number))))
        funnel.append((name, len(left)))
    result = run(night)
    assert result.funnel == tuple(funnel)
    got = result.ledger
    for column in ("SOURCE_NUMBER", "FILTER", "REASON", "N_DETECTIONS"):
        assert got[column].tolist() == [row[LEDGER.index(column)] for row in expected]
    for column in ("MEASURED", "LIMIT"):
        wanted = np.array([row[LEDGER.index(column)] for row in expected], dtype=float)
        np.testing.assert_allclose(got[column].to_numpy(), wanted, rtol=1e-6, atol=1e-6)
    rows = [row for own in left.values() for row in own]
    assert result.candidates["SOURCE_NUMBER"].tolist() == [row["SOURCE_NUMBER"] for row in rows]
    flagged = [
        i in twin.linear_motion(own, r_squ_m=0.95, identify_outlier=True, outlier_threshold=2.0)[1]
        for own in left.values()
        for i in range(len(own))
    ]
    assert (result.candidates["FLAGS_SSOS"] == 1).tolist() == flagged


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_rows_and_index_do_not_matter(seed):
    night = random_night(seed)
    shuffled = night.sample(frac=1.0, random_state=seed % 2**31)
    first, second = run(night), run(shuffled)
    pd.testing.assert_frame_equal(first.candidates, second.candidates, check_exact=True)
    pd.testing.assert_frame_equal(first.ledger, second.ledger, check_exact=True)
    assert first.funnel == second.funnel


def test_two_detections_of_one_instant_in_any_order_of_rows():
    rows = source(1, hours=(0.0, 0.25, 0.25, 0.5, 0.75))
    first = run(twin.table(rows)).candidates
    second = run(twin.table(rows[::-1])).candidates
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.mark.parametrize(("ra", "dec"), [(359.9995, 0.0), (359.9995, 80.0), (120.0, -80.0), (0.0, 80.0)])
def test_movers_across_ra_zero_and_near_the_poles_stay(ra, dec):
    result = run(twin.table(source(1, ra=ra, dec=dec, rate=200.0)))
    assert len(result.candidates) == 5


def test_progress_reports_every_step():
    seen = []
    result = run_chain(NIGHT, settings=SETTINGS, stars=STARS, progress=lambda *step: seen.append(step))
    assert tuple(seen) == result.funnel


def test_settings_name_what_is_missing():
    with pytest.raises(Misconfigured, match="PM_UP"):
        ChainSettings.from_mapping({k: v for k, v in CFG.items() if k != "PM_UP"})


def test_missing_column_names_filter_and_column():
    with pytest.raises(Misconfigured, match=r"FILTER_TRAIL needs BWIN_IMAGE.*SEX_PARAMS"):
        run(NIGHT.drop(columns="BWIN_IMAGE"))
    assert len(run(NIGHT.drop(columns="BWIN_IMAGE"), filter_trail=False).candidates)


def test_missing_star_catalogue_is_said():
    with pytest.raises(Misconfigured, match="BRIGHT_SOURCES_CAT"):
        run(stars=None)
    with pytest.raises(Misconfigured, match="MAG"):
        run(stars=STARS.drop(columns="MAG"))
    assert 16 in set(run(stars=STARS.iloc[:0]).candidates["SOURCE_NUMBER"])
    assert 16 in set(run(stars=None, filter_bright_sources=False).candidates["SOURCE_NUMBER"])
