"""The tracklet linker on real frames: three asteroids that were measured in them by other means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ssosd.config import load_config
from ssosd.linker.tracklets.link import link_tracklets
from ssosd.sphere import separation_arcsec
from ssosd.work.linking import candidates_of
from tests.shared_nights import frames, linked_anew

pytestmark = [pytest.mark.shared, pytest.mark.binaries]


@pytest.fixture(scope="module")
def solved(lowell12, shared_data, tmp_path_factory):
    """The 12 frames solved and linked by SCAMP, with the shipped set-up."""
    return linked_anew(
        frames(lowell12[0]),
        tmp_path_factory.mktemp("lowell12"),
        reference=shared_data / "lowell12" / "lowell5945_ref_ldac.cat",
        crossid_radius_arcsec=2.0,
    )


@pytest.fixture(scope="module")
def found(solved):
    """What the tracklet linker makes of it."""
    return link_tracklets(detections=solved.detections, pm_low=0.5, pm_up=2000.0, min_detections=4)


@pytest.fixture(scope="module")
def truth(shared_data):
    table = pd.read_csv(shared_data / "lowell12" / "truth_movers.csv")
    return table.assign(mjd=table["mid_jd_utc"] - 2400000.5)


def seen(rows: pd.DataFrame, truth: pd.DataFrame) -> tuple[dict[str, int], list[int]]:
    """Detections of the source that is each mover, and the numbers of detections of all other sources."""
    pairs = rows[["SOURCE_NUMBER", "RA", "DEC", "MID_EXPOSURE_MJD"]].merge(truth, how="cross")
    pairs = pairs[(pairs["MID_EXPOSURE_MJD"] - pairs["mjd"]).abs() < 60.0 / 86400.0]
    near = separation_arcsec(pairs["RA"], pairs["DEC"], pairs["ra_meas"], pairs["dec_meas"]) < 2.5
    hits = pairs[near].groupby(["SOURCE_NUMBER", "mover"]).size().reset_index(name="hits")
    sizes = rows.groupby("SOURCE_NUMBER").size()
    right = hits[2 * hits["hits"] > hits["SOURCE_NUMBER"].map(sizes)]
    best = right.assign(size=right["SOURCE_NUMBER"].map(sizes)).groupby("mover")["size"].max()
    return best.to_dict(), sizes.drop(right["SOURCE_NUMBER"]).tolist()


def test_the_three_asteroids(found, truth):
    movers, others = seen(found.detections, truth)
    assert movers["A_5945"] == 12
    assert movers["B"] == 12
    assert movers["C"] >= 10
    assert max(others, default=0) < 5


@pytest.mark.parametrize("first", range(1, 10, 2))
def test_every_four_frames_in_a_row(solved, truth, first):
    """Both linkers, the chain and the merging, with the defaults; two frames are of the four before."""
    rows = solved.detections["CATALOG_NUMBER"].between(first, first + 3)
    four = replace(solved, detections=solved.detections[rows].reset_index(drop=True))
    config = load_config(None, overrides={}, cwd=Path.cwd(), files_must_exist=False)
    candidates = candidates_of(four, config=config, progress=lambda _: None).detections
    movers, others = seen(candidates, truth)
    assert movers["A_5945"] == 4
    assert movers["B"] == 4
    assert len(others) <= 1


def test_the_known_asteroid_moves_as_it_should(found, truth):
    """Rates of (5945) against those of its N-body positions."""
    known = truth[truth["mover"] == "A_5945"].sort_values("mjd")
    first, last = known.iloc[0], known.iloc[-1]
    hours = (last["mjd"] - first["mjd"]) * 24.0
    want = (
        separation_arcsec(first["ra_nbody"], first["dec_nbody"], last["ra_nbody"], last["dec_nbody"]) / hours
    )
    nearest = found.sources.iloc[(found.sources["PM"] - want).abs().argmin()]
    assert nearest["PM"] == pytest.approx(float(want), abs=0.2)
    assert nearest["N_DETECTIONS"] == 12
    assert nearest["RMS"] < 0.15
