"""Positions made consistent within a sequence: patterns of the solution go, motion and the mean frame stay."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd.linker.consistency import made_consistent
from ssosd.linker.tracklets.link import link_tracklets
from ssosd.sphere import separation_arcsec
from tests.tracklets_sky import Mover, Night

ASTEROID = Mover(east=40.0, north=-80.0, rate=25.0, pa=110.0, snr=60.0)


def bent(table: pd.DataFrame, size: float) -> pd.DataFrame:
    """Each exposure with a distortion of its own, 0.4 arcsec in the corners."""
    k = table["CATALOG_NUMBER"].to_numpy(float)
    u, v = ((table[c].to_numpy(float) - size / 2) / (size / 2) for c in ("XWIN_IMAGE", "YWIN_IMAGE"))
    pattern = 0.2 * (k - k.mean()) / np.ptp(k) * (u**3 + v**2)
    return table.assign(DEC=table["DEC"] + pattern / 3600.0)


def scatter(table: pd.DataFrame, flat: pd.DataFrame) -> float:
    """Median distance from where the same rows are without the pattern, arcsec."""
    return float(np.median(separation_arcsec(table["RA"], table["DEC"], flat["RA"], flat["DEC"])))


@pytest.fixture(scope="module")
def night() -> Night:
    return Night(stars=2500, movers=[ASTEROID], hours=tuple(np.linspace(0.0, 4.0, 9)))


def test_patterns_of_exposures_go(night: Night) -> None:
    flat = night.table()
    raw = bent(flat, night.size)
    assert scatter(made_consistent(raw), flat) < 0.35 * scatter(raw, flat)


def test_what_is_consistent_stays_as_it_is(night: Night) -> None:
    flat = night.table()
    given = flat.copy()
    changed = made_consistent(flat)
    pd.testing.assert_frame_equal(flat, given)
    assert scatter(changed, flat) < 0.02
    others = [c for c in flat.columns if c not in ("RA", "DEC")]
    pd.testing.assert_frame_equal(changed[others], flat[others])


def test_the_mean_frame_and_the_motion_stay(night: Night) -> None:
    flat = night.table()
    fixed = made_consistent(bent(flat, night.size))
    found = link_tracklets(detections=fixed, pm_low=0.0, pm_up=300.0, min_detections=4).sources
    assert len(found) == 1
    assert found["PM"].iloc[0] == pytest.approx(ASTEROID.rate, abs=0.1)
    offset = [float((fixed[c] - flat[c]).mean()) * 3600.0 for c in ("RA", "DEC")]
    assert np.abs(offset).max() < 0.02


def test_too_few_stars_change_nothing() -> None:
    few = Night(stars=4, noise=0).table()
    pd.testing.assert_frame_equal(made_consistent(few), few)
    one = Night(hours=(0.0,)).table()
    pd.testing.assert_frame_equal(made_consistent(one), one)


def test_rows_without_a_position_stay(night: Night) -> None:
    table = night.table()
    table.loc[5, "RA"] = float("nan")
    assert np.isnan(made_consistent(table)["RA"].iloc[5])
