"""The demo night as it is painted, and the comparison with the truth against a brute-force twin."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ssosd.config import load_config
from ssosd.demo import compare_with_truth, main, paint_demo_night, render_comparison, run_demo
from ssosd.errors import BadInput
from ssosd.site import night_of, site_from
from ssosd.sphere import separation_arcsec
from ssosd.sun import sun_altitude_deg
from tests.sky import sky  # noqa: F401


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return paint_demo_night(tmp_path_factory.mktemp("demo folder"), seed=1)


def as_candidates(truth: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """Detections exactly where the truth is, one candidate a mover."""
    table = truth.rename(columns={"id": "CANDIDATE", "ra": "RA", "dec": "DEC", "mjd_mid": "MID_EXPOSURE_MJD"})
    return table[["CANDIDATE", "RA", "DEC", "MID_EXPOSURE_MJD"]].assign(**columns)


# --- the night


def test_the_demo_night_has_the_habits_of_a_real_one(night):
    paths = night.painted.paths
    assert len(paths) == 10
    assert all(p.parent == night.raw and p.stat().st_size > 0 for p in paths)
    names = [p.name for p in paths]
    assert any(n.endswith(".fits.fz") for n in names)
    assert any(n.endswith(".fits") for n in names)
    assert [n.split("_")[1] for n in names[:4]] == ["F01", "F02", "F01", "F02"]  # interleaved
    objects = []
    for path in paths:
        with fits.open(path) as hdus:
            objects.append(next(h.header.get("OBJECT") for h in hdus if h.header.get("NAXIS") == 2))
    assert None in objects
    assert len({o for o in objects if o}) > 2
    assert list(pd.read_csv(night.truth_path).columns) == list(night.truth.columns)


def test_both_fields_of_the_demo_have_asteroids_to_find(night):
    comparison = compare_with_truth(as_candidates(night.truth.head(0)), night.truth)
    eligible = comparison.movers[comparison.movers["eligible"]]
    assert (eligible.groupby("field").size() >= 10).all()
    assert set(eligible["field"]) == {"F01", "F02"}
    assert {"mb", "neo", "slow"} <= set(eligible["cls"])


def test_the_demo_configuration_is_a_valid_one_for_a_dark_night(night, tmp_path):
    config = load_config(night.config, overrides={}, cwd=tmp_path)  # elsewhere: paths are beside the file
    assert config["CROSSMATCH_SKYBOT"] is False
    assert str(night.painted.refcat) in str(config["ASTREF_CATALOG"])
    site = site_from(config["OBSERVATORY_CODE"])
    times = night.painted.exposures["mjd_mid"].to_numpy()
    assert (sun_altitude_deg(times, site) < -18.0).all()
    assert {night_of(float(t), site.lon_deg) for t in times} == {"2026-11-14"}
    # the radius must hold what a mover of 100 "/h does between two exposures of its field
    cadence_h = night.painted.exposures.groupby("field")["mjd_start"].diff().max() * 24.0
    assert config["CROSSID_RADIUS"] > 100.0 * cadence_h


def test_other_seeds_are_other_nights(night, tmp_path):
    other = paint_demo_night(tmp_path, seed=2)
    assert not np.isin(other.truth["ra"], night.truth["ra"]).any()


def test_the_module_paints_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ssosd.demo.paint_demo_night", lambda folder, seed: paint_small(folder, seed))
    assert main([str(tmp_path / "n"), "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "4 exposures" in said
    assert str(tmp_path / "n") in said
    monkeypatch.undo()
    (tmp_path / "file").write_text("in the way")
    assert main([str(tmp_path / "file")]) == 1
    assert "file" in capsys.readouterr().err


@pytest.mark.binaries
def test_the_demo_finds_its_asteroids(tmp_path):
    said = io.StringIO()
    ended = []
    folder = tmp_path / "demo night"
    code = run_demo(
        folder,
        seed=1,
        console=Console(file=said, width=200),
        on_end=lambda done, target: ended.append((done.n_done, target)),
    )
    assert code == 0
    assert ended == [(2, folder)]
    candidates = pd.read_csv(folder / "2026-11-14" / "candidates.csv")
    comparison = compare_with_truth(candidates, pd.read_csv(folder / "raw" / "truth.csv"))
    assert comparison.n_found >= 28
    assert comparison.n_false <= 2
    assert str(folder / "raw" / "truth.csv") in said.getvalue()
    assert "found of the painted movers" in said.getvalue()
    assert f"ssosd inspect -t '{folder}'" in said.getvalue()


def paint_small(folder, seed):
    from ssosd.demo import DemoNight
    from tests.sky import small_sky

    painted = small_sky(folder, seed=seed)
    return DemoNight(
        directory=folder,
        raw=folder,
        config=folder / "default.ssos",
        truth_path=folder / "truth.csv",
        painted=painted,
    )


# --- the comparison


def test_a_perfect_search_finds_everything_and_nothing_else(night):
    comparison = compare_with_truth(as_candidates(night.truth[night.truth["on_detector"]]), night.truth)
    assert comparison.n_found == comparison.n_eligible > 20
    assert comparison.completeness == 1.0
    assert comparison.n_false == (comparison.candidates["n_detections"] < 3).sum()
    right = comparison.candidates[~comparison.candidates["false"]]
    assert (right["candidate"] == right["id"]).all()
    assert (right["n_matched"] == right["n_detections"]).all()
    for table in (comparison.by_class, comparison.by_snr, comparison.by_rate):
        assert table["eligible"].sum() == comparison.n_eligible
        assert table["found"].sum() == comparison.n_found


def test_eligibility_counts_good_appearances():
    truth = track("A", n=6)
    truth.loc[0, "snr"] = 4.9
    truth.loc[1, "unblended"] = False
    assert compare_with_truth(as_candidates(truth.head(0)), truth).n_eligible == 1
    truth.loc[2, "on_detector"] = False
    comparison = compare_with_truth(as_candidates(truth), truth)
    assert comparison.n_eligible == 0
    assert np.isnan(comparison.completeness)
    assert comparison.n_beyond == 1  # found all the same
    truth["snr"] = np.nan
    assert compare_with_truth(as_candidates(truth), truth).n_eligible == 0


def track(name: str, *, n: int = 5, ra: float = 10.0, dec: float = 20.0, rate: float = 36.0) -> pd.DataFrame:
    """A mover going east by 0.01 deg an hour, one exposure an hour."""
    hours = np.arange(n, dtype=float)
    return pd.DataFrame(
        {
            "id": name,
            "cls": "mb",
            "field": "F01",
            "mjd_mid": 61000.0 + hours / 24.0,
            "ra": (ra + rate / 3600.0 * hours / np.cos(np.radians(dec))) % 360.0,
            "dec": dec,
            "snr": 20.0,
            "rate": rate,
            "on_detector": True,
            "whole": True,
            "unblended": True,
        }
    )


@pytest.mark.parametrize(
    ("right", "wrong", "is_found"), [(5, 0, True), (3, 2, True), (3, 3, False), (2, 0, False), (4, 3, True)]
)
def test_a_candidate_needs_three_and_most_of_its_detections(right, wrong, is_found):
    truth = track("A", n=8)
    seen = as_candidates(truth.head(right + wrong))
    seen.loc[seen.index[right:], "DEC"] += 0.01
    comparison = compare_with_truth(seen, truth)
    assert comparison.n_found == int(is_found)
    assert comparison.n_false == int(not is_found)


@pytest.mark.parametrize("dec", [0.0, 80.0, -80.0, 89.9])
@pytest.mark.parametrize("ra", [120.0, 359.995])
def test_the_radius_is_on_the_sky(ra, dec):
    truth = track("A", ra=ra, dec=dec)
    for offset, is_found in ((1.9, True), (2.1, False)):
        seen = as_candidates(truth)
        seen["RA"] = (seen["RA"] + offset / 3600.0 / np.cos(np.radians(dec))) % 360.0
        assert compare_with_truth(seen, truth).n_found == int(is_found)
        assert compare_with_truth(seen, truth, radius_arcsec=offset + 0.05).n_found == 1


def test_the_right_place_at_the_wrong_time_is_false():
    truth = track("A")
    seen = as_candidates(truth)
    seen["MID_EXPOSURE_MJD"] += 60.0 / 86400.0
    assert compare_with_truth(seen, truth).n_false == 1
    seen["MID_EXPOSURE_MJD"] = truth["mjd_mid"].to_numpy()[::-1]  # the track backwards
    assert compare_with_truth(seen, truth).n_false == 1


def test_two_pieces_of_one_mover_are_one_mover_found():
    truth = track("A", n=8)
    seen = as_candidates(truth)
    seen["CANDIDATE"] = ["x"] * 5 + ["y"] * 3
    comparison = compare_with_truth(seen, truth)
    assert (comparison.n_found, comparison.n_false) == (1, 0)
    mover = comparison.movers.iloc[0]
    assert (mover["n_candidates"], mover["n_linked"]) == (2, 5)


def test_sources_are_told_apart_by_field_where_there_is_no_candidate():
    truth = pd.concat([track("A"), track("B", ra=50.0).assign(field="F02")], ignore_index=True)
    seen = as_candidates(truth).assign(SOURCE_NUMBER=7, FIELD=truth["field"].to_numpy())
    fields = compare_with_truth(seen.drop(columns="CANDIDATE"), truth)
    assert fields.n_found == 2
    assert set(fields.candidates["candidate"]) == {"F01/7", "F02/7"}
    alone = compare_with_truth(seen.drop(columns=["CANDIDATE", "FIELD"]), truth)
    assert (alone.n_found, alone.n_false) == (0, 1)  # half of one, half of the other: no majority


def test_nothing_found_and_nothing_to_find():
    truth = track("A")
    nothing = compare_with_truth(pd.DataFrame(), truth)
    assert (nothing.n_found, nothing.n_eligible, nothing.n_false) == (0, 1, 0)
    no_truth = compare_with_truth(as_candidates(truth), truth.head(0))
    assert (no_truth.n_found, no_truth.n_eligible, no_truth.n_false) == (0, 0, 1)
    render_comparison(no_truth, console=Console(file=io.StringIO()))


def test_missing_columns_are_named():
    truth = track("A")
    with pytest.raises(BadInput, match="MID_EXPOSURE_MJD"):
        compare_with_truth(as_candidates(truth).drop(columns="MID_EXPOSURE_MJD"), truth)
    with pytest.raises(BadInput, match="unblended"):
        compare_with_truth(as_candidates(truth), truth.drop(columns="unblended"))


def twin(seen: pd.DataFrame, truth: pd.DataFrame, radius: float) -> tuple[set[str], set[object]]:
    """Movers found and false candidates, by loops over everything."""
    found, false = set(), set()
    for name, detections in seen.groupby("CANDIDATE"):
        names = []
        for d in detections.itertuples():
            same = truth[
                truth["on_detector"] & ((truth["mjd_mid"] - d.MID_EXPOSURE_MJD).abs() < 2.0 / 86400.0)
            ]
            off = separation_arcsec(d.RA, d.DEC, same["ra"], same["dec"])
            if len(off) and off.min() <= radius:
                names.append(same["id"].iloc[int(off.argmin())])
        best = Counter(names).most_common(1)
        if best and best[0][1] >= 3 and 2 * best[0][1] > len(detections):
            found.add(best[0][0])
        else:
            false.add(str(name))
    return found, false


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n_movers=st.integers(1, 8), spread=st.floats(1.0, 60.0))
def test_it_agrees_with_loops_over_everything(seed, n_movers, spread):
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(n_movers):
        offset = rng.uniform(-spread, spread, 2) / 3600.0
        parts.append(
            track(f"M{k}", n=6, ra=359.999 + offset[0], dec=60.0 + offset[1], rate=rng.uniform(0, 20))
        )
    truth = pd.concat(parts, ignore_index=True)
    truth["on_detector"] = rng.random(len(truth)) < 0.9
    seen = as_candidates(truth)
    seen["RA"] = (seen["RA"] + rng.normal(0.0, 1.5, len(seen)) / 3600.0 / 0.5) % 360.0
    seen["DEC"] += rng.normal(0.0, 1.5, len(seen)) / 3600.0
    swapped = rng.random(len(seen)) < 0.3
    seen.loc[swapped, "CANDIDATE"] = rng.permutation(seen.loc[swapped, "CANDIDATE"].to_numpy())
    seen = seen.sample(frac=0.9, random_state=seed % 1000)
    comparison = compare_with_truth(seen, truth)
    movers = comparison.movers
    found, false = twin(seen, truth, 2.0)
    assert set(movers.loc[movers["found"], "id"]) == found
    candidates = comparison.candidates
    assert set(candidates.loc[candidates["false"], "candidate"]) == false


def test_the_simulated_night_counts_as_it_was_judged(shared_data):
    truth = pd.read_csv(shared_data / "sim2" / "truth.csv")
    comparison = compare_with_truth(as_candidates(truth[truth["on_detector"]]), truth)
    assert comparison.n_eligible == 113
    assert comparison.n_found == 113


def test_the_table_tells_the_counts(night):
    seen = as_candidates(night.truth[night.truth["on_detector"] & (night.truth["cls"] == "mb")])
    comparison = compare_with_truth(seen, night.truth)
    said = io.StringIO()
    render_comparison(comparison, console=Console(file=said, width=100))
    lines = said.getvalue().splitlines()
    row = next(line for line in lines if "all" in line.split())
    assert f" {comparison.n_eligible} " in row
    assert f" {comparison.n_found} " in row
    assert f"{comparison.completeness:.2f}" in row
    main_belt = next(line for line in lines if "mb" in line.split())
    assert "1.00" in main_belt
    assert f"{comparison.n_false} of {len(comparison.candidates)}" in lines[-1]


def test_the_shared_small_sky_can_be_found(sky):  # noqa: F811
    comparison = compare_with_truth(as_candidates(sky.truth), sky.truth)
    assert comparison.n_found == comparison.n_eligible == 3
