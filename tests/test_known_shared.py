"""Known objects end to end: real asteroids by our own ephemerides without a network, a simulated night by SkyBoT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssosd.analysis.truth import compare_with_truth
from ssosd.identify.expected import OUTCOMES
from ssosd.reports.tables import read_candidates_csv
from ssosd.sphere import separation_arcsec
from ssosd.store import STORE_NAME, Store
from tests.shared_nights import movers_of_lowell12, replayed, sim2_flags
from tests.skybot_service import SkybotService

pytestmark = [pytest.mark.binaries, pytest.mark.shared]


# ---- three real asteroids ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named(lowell12: tuple[Path, str], shared_data: Path) -> dict[str, pd.DataFrame]:
    """Detections of the candidates that are the movers A, B and C, with the truth's columns."""
    target, _ = lowell12
    candidates = read_candidates_csv(target / "2019-03-25" / "candidates.csv")
    joined = candidates.merge(movers_of_lowell12(shared_data), left_on="IMAGE_FILENAME", right_on="image")
    away = separation_arcsec(joined["RA"], joined["DEC"], joined["ra_meas"], joined["dec_meas"])
    return {str(mover): rows for mover, rows in joined[away < 1.5].groupby("mover")}


def test_5945_is_named_without_a_network(named: dict[str, pd.DataFrame]) -> None:
    a = named["A_5945"]
    assert len(a) == 12
    assert set(a["SKYBOT_NUMBER"]) == {"5945"}
    assert set(a["SKYBOT_NAME"]) == {"Roachapproach"}
    assert set(a["MATCH_STATE"]) == {"matched"}
    assert set(a["KNOWN_BY"]) == {"MPCORB"}
    ours = separation_arcsec(a["SKYBOT_RA"], a["SKYBOT_DEC"], a["ra_nbody"], a["dec_nbody"])
    assert ours.max() < 0.3
    assert np.hypot(a["SKYBOT_DELTARA"], a["SKYBOT_DELTADEC"]).median() < 0.3


def test_b_and_c_are_in_no_list(named: dict[str, pd.DataFrame]) -> None:
    for mover in ("B", "C"):
        rows = named[mover]
        assert len(rows) >= 4
        assert set(rows["MATCH_STATE"]) == {"unknown"}, mover
        assert set(rows["SKYBOT_NUMBER"]) <= {""}


def test_what_was_expected_there_is_told(lowell12: tuple[Path, str]) -> None:
    target, said = lowell12
    (known,) = (target / "2019-03-25").glob("*/known.csv")
    table = pd.read_csv(known)
    ours = table[table["NUMBER"] == 5945].iloc[0]
    assert (ours["OUTCOME"], ours["N_DETECTED"], ours["KNOWN_BY"]) == ("recovered", 12, "MPCORB")
    assert "known object" in said
    assert "V 17-18" in said
    with Store(target / STORE_NAME) as store:
        rows = store.rows("SELECT n_known, known_offset_ra, known_offset_dec FROM sequence_exposures")
    assert [row["n_known"] for row in rows] == [1] * 12
    assert max(abs(row["known_offset_ra"]) for row in rows) < 0.6


@pytest.fixture(scope="module")
def measured(lowell12: tuple[Path, str], shared_data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidates of the set-up, the linkers and the rules by default, and places measured by hand."""
    candidates = read_candidates_csv(lowell12[0] / "2019-03-25" / "candidates.csv")
    return candidates, movers_of_lowell12(shared_data)


@pytest.mark.parametrize(("mover", "found"), [("A_5945", 12), ("B", 12), ("C", 9)])
def test_by_default_each_real_asteroid_is_one_candidate(
    measured: tuple[pd.DataFrame, pd.DataFrame], mover: str, found: int
) -> None:
    """C was measured by hand in 10 of 12 exposures only."""
    candidates, truth = measured
    both = candidates.merge(truth[truth["mover"] == mover], left_on="IMAGE_FILENAME", right_on="image")
    away = separation_arcsec(both["RA"], both["DEC"], both["ra_meas"], both["dec_meas"])
    own = both[away < 2.0]
    assert own["CANDIDATE"].nunique() == 1
    assert len(own) >= found
    whole = candidates[candidates["CANDIDATE"] == own["CANDIDATE"].iloc[0]]
    assert len(whole) >= (10 if mover == "C" else 12)


def test_by_default_nothing_else_is_a_candidate(measured: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert measured[0]["CANDIDATE"].nunique() == 3


# ---- a simulated night ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = shared_data / "sim2"
    target = tmp_path_factory.mktemp("simulated") / "out"
    with SkybotService(pd.read_csv(raw / "known.csv", dtype={"number": float})) as service:
        asked = ["--CROSSMATCH_SKYBOT", "True", "--SKYBOT_URL", service.url]
        replayed(*sim2_flags(shared_data), "-t", target, *asked)
        assert {asked["-observer"] for asked in service.requests} == {"493"}
        assert len(service.requests) <= 10
    return target


def test_both_linkers_find_far_more_than_the_seed(shared_data: Path, simulated: Path) -> None:
    """The default set-up, which is deeper; one candidate per mover, and who found it."""
    candidates = read_candidates_csv(simulated / "2026-11-14" / "candidates.csv")
    comparison = compare_with_truth(candidates, pd.read_csv(shared_data / "sim2" / "truth.csv"))
    assert comparison.n_eligible == 113
    assert comparison.completeness >= 0.76
    assert comparison.n_false <= 4
    assert comparison.movers["n_candidates"].max() == 1
    first = candidates.drop_duplicates("CANDIDATE")
    assert {"BOTH", "TRACKLET"} <= set(first["LINKED_BY"])
    identity = ["FIELD", "CATALOG_NUMBER", "EXTENSION", "NUMBER"]
    assert not candidates.duplicated(identity).any()


def test_every_recovered_known_mover_is_named_and_nobody_else(shared_data: Path, simulated: Path) -> None:
    truth = pd.read_csv(shared_data / "sim2" / "truth.csv")
    candidates = read_candidates_csv(simulated / "2026-11-14" / "candidates.csv")
    movers = compare_with_truth(candidates, truth).movers
    found = movers[movers["found"]]
    listed = pd.read_csv(shared_data / "sim2" / "known.csv").drop_duplicates("id").set_index("id")
    joined = candidates.merge(truth, left_on="IMAGE_FILENAME", right_on=truth["image"] + ".fz")
    near = joined[separation_arcsec(joined["RA"], joined["DEC"], joined["ra"], joined["dec"]) < 3.0]
    checked = 0
    for mover in found["id"]:
        rows = near[near["id"] == mover]
        name = rows["CANDIDATE"].mode().iloc[0]
        (first,) = rows[rows["CANDIDATE"] == name].drop_duplicates("CANDIDATE").to_dict("records")
        if mover in listed.index:
            checked += 1
            vague = (
                listed.loc[mover, "unc"] > 15.0
            )  # more than CROSSMATCH_RADIUS: matched or possible, by luck
            assert first["MATCH_STATE"] in ({"matched", "possible"} if vague else {"matched"}), (mover, name)
            assert first["SKYBOT_NAME"] == listed.loc[mover, "name"]
        else:
            assert first["MATCH_STATE"] == "unknown", (mover, name)
    assert checked >= 30
    assert len(found) > checked  # some that nobody knows


def test_every_known_mover_has_an_outcome(shared_data: Path, simulated: Path) -> None:
    """What is said of each agrees with how the night was painted."""
    truth = pd.read_csv(shared_data / "sim2" / "truth.csv")
    listed = pd.read_csv(shared_data / "sim2" / "known.csv").drop_duplicates("id")
    table = pd.concat([pd.read_csv(path) for path in (simulated / "2026-11-14").glob("*/known.csv")])
    assert set(table["OUTCOME"]) <= set(OUTCOMES)
    assert set(listed["name"]) <= set(table["NAME"])
    by_name = table.set_index("NAME")["OUTCOME"]
    painted = truth.groupby("id").agg(
        on=("on_detector", "sum"), detectable=("detectable", "sum"), mag=("mag", "median")
    )
    outcome = listed.set_index("id")["name"].map(by_name)
    seen = painted.join(outcome.rename("outcome"), how="inner")
    assert (seen.loc[seen["on"] <= 2, "outcome"] == "off the detector").all()
    easy = seen[(seen["detectable"] == 5) & (seen["mag"] < 20.0)]
    assert (easy["outcome"] == "recovered").mean() > 0.8
    faint = seen[(seen["on"] == 5) & (seen["mag"] > 22.5)]
    assert (faint["outcome"] == "too faint").mean() > 0.8
