"""A simulated night of known truth: what the seed finds there by its own rules, and what both linkers find."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from ssosd.analysis.truth import Comparison, compare_with_truth
from ssosd.reports.tables import read_candidates_csv
from tests.replaying import SEED_FLAGS
from tests.shared_nights import replayed, sim2_flags

pytestmark = [pytest.mark.binaries, pytest.mark.shared]

ROOT = Path(__file__).resolve().parents[1]
NIGHT = "2026-11-14"
#: Movers that the seed finds with the same set-up, by CROSSID_RADIUS.
SEED_FINDS = {10: 29, 25: 37, 40: 37}
RULES = {
    "number of detections is one of DETECTIONS",
    "PM below PM_LOW",
    "PM above PM_UP",
    "PM/PMERR below PM_SNR",
    "SCAMP flag 64 on too many detections",
    "SCAMP flag 64 on too large a fraction of the detections",
    "R^2 of RA against epoch below R_SQU_M",
    "R^2 of Dec against epoch below R_SQU_M",
    "R^2 of ecliptic latitude against epoch below R_SQU_M, Dec not linear",
}


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "sim2" / "truth.csv")


def compared(target: Path, truth: pd.DataFrame) -> Comparison:
    return compare_with_truth(read_candidates_csv(target / NIGHT / "candidates.csv"), truth)


@pytest.fixture(scope="module")
def at_25(sim2_seed: Path, truth: pd.DataFrame) -> tuple[Comparison, pd.DataFrame]:
    """What was found at a CROSSID_RADIUS of 25", and the fate of each mover."""
    spec = importlib.util.spec_from_file_location("why", ROOT / "benchmarks" / "why_rejected.py")
    why = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(why)
    return compared(sim2_seed, truth), why.fates(sim2_seed, truth)


@pytest.fixture(scope="module")
def target(sim2_seed: Path, at_25: object) -> Path:
    """The same target, to be replayed in by other settings; the catalogues stay."""
    return sim2_seed


@pytest.mark.parametrize("radius", sorted(SEED_FINDS))
def test_finds_what_the_seed_finds(
    shared_data: Path, target: Path, at_25: tuple[Comparison, pd.DataFrame], truth: pd.DataFrame, radius: int
) -> None:
    """One target: SExtractor runs the first time only."""
    comparison, _ = at_25
    if radius != 25:
        said = replayed(*sim2_flags(shared_data), "-t", target, "--CROSSID_RADIUS", radius, *SEED_FLAGS)
        assert "0 extracted" in said
        comparison = compared(target, truth)
    assert comparison.n_eligible == 113
    assert comparison.n_found >= SEED_FINDS[radius]
    assert comparison.n_false <= 2


def test_each_rejection_names_its_rule(at_25: tuple[Comparison, pd.DataFrame]) -> None:
    comparison, table = at_25
    assert table["mover"].is_unique
    kept = set(table.loc[table["fate"] == "candidate", "mover"])
    found = comparison.movers.query("found and n_linked >= 4")
    assert kept == set(found["id"])
    rejected = table[table["fate"] != "candidate"]
    assert len(rejected) >= 1
    assert set(rejected["reason"]) <= RULES
    assert rejected[["measured", "limit"]].notna().all(axis=None)
    of_rule = rejected.set_index("reason")
    for rule, rows in of_rule.groupby(level=0):
        if "R^2" in rule:
            assert (rows["measured"] < rows["limit"]).all()
        if "flag 64" in rule:
            assert (rows["measured"] >= rows["limit"]).all()
