"""The tracklet linker where motion is hardly more than the errors, or its signs are taken for others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ssosd.linker.errors import with_position_errors
from ssosd.linker.tracklets.link import link_tracklets
from ssosd.linker.tracklets.plane import project
from ssosd.linker.tracklets.stationary import places_on_sky, solid_places
from tests.tracklets_sky import FWHM, Mover, Night, found, ring

SLOW = Mover(east=60.0, north=-40.0, rate=2.7, pa=90.0, snr=8.0)


def linked(table: pd.DataFrame) -> pd.DataFrame:
    return link_tracklets(detections=table, pm_low=0.5, pm_up=2000.0, min_detections=4).detections


def test_errors_follow_the_scatter_at_every_brightness():
    """Too large claims for bright stars and too small ones for faint ones, as SExtractor makes them."""
    table = Night(stars=3000, seed=4).table()
    true = np.hypot(FWHM / 2.355 / table["SNR_WIN"], 0.04)
    claimed = true * np.where(table["SNR_WIN"] > 15.0, 1.2, 0.75) / 3600.0
    errors = with_position_errors(table.assign(ERRA_WORLD=claimed, ERRB_WORLD=claimed))["ERR_POSITION"]
    for low, high in ((6.0, 10.0), (30.0, 60.0), (100.0, 500.0)):
        chosen = table["SNR_WIN"].between(low, high)
        assert float((errors / true)[chosen].median()) == pytest.approx(1.0, abs=0.12)


def test_bright_stars_show_what_the_solution_leaves():
    """Exposures that are 0.1 arcsec off each other, whatever is claimed."""
    table = Night(stars=1500, seed=4).table()
    shift = np.random.default_rng(2).normal(0.0, 0.1, (2, 6))
    k = table["CATALOG_NUMBER"].to_numpy()
    moved = table.assign(RA=table["RA"] + shift[0][k] / 3600.0, DEC=table["DEC"] + shift[1][k] / 3600.0)
    errors = with_position_errors(moved)["ERR_POSITION"]
    assert 0.07 < float(errors[table["SNR_WIN"] > 100.0].median()) < 0.15


def placed(table: pd.DataFrame, offsets: list[float]) -> pd.DataFrame:
    """Its mover so far north, in the five exposures, of where it is in the first, arcsec."""
    own = np.flatnonzero(table["MOVER"] == 0)
    table.loc[own, ["RA", "DEC"]] = table.loc[own, ["RA", "DEC"]].iloc[0].to_numpy()
    table.loc[own, "DEC"] += np.array(offsets) / 3600.0
    return table


@pytest.mark.parametrize(
    ("offsets", "rests"),
    [
        ([0.0, 0.1, -0.1, 0.1, 0.0], True),
        ([0.0, 0.25, 0.5, 0.75, 1.6], False),  # the last is out of reach of the others, which hardly drift
        ([0.0, 0.1, -0.1, 0.1, 4.0], True),  # something else, elsewhere
    ],
)
def test_a_slow_mover_that_leaves_its_place_is_not_at_rest(offsets, rests):
    table = placed(Night(stars=300, movers=[replace(SLOW, rate=0.0, snr=5.0)]).table(), offsets)
    own = np.flatnonzero(table["MOVER"] == 0)
    plane = project(table)
    solid = solid_places(plane, places_on_sky(plane))
    assert bool(solid[own[:4]].all()) is rests
    assert bool(solid[own[:4]].any()) is rests


def test_a_detection_taken_for_a_satellite_is_no_sign_of_rest():
    """Without the one on the trail, its neighbours are of the track as much as of their place."""
    along = np.linspace(-590.0, 590.0, 60)
    train = pd.DataFrame({"x": along, "y": SLOW.north, "snr": 30.0, "a": 3.0, "theta": 0.0})
    night = Night(movers=[replace(SLOW, rate=0.0)], extra={2: train[np.abs(along - SLOW.east) > 15.0]})
    table = placed(night.table(), [0.0, 0.5, 1.15, 1.6, 1.9])
    oval = (table["MOVER"] == 0) & (table["CATALOG_NUMBER"] == 3)
    table.loc[oval, ["AWIN_IMAGE", "BWIN_IMAGE"]] = 1.25, 0.9
    best, false = found(linked(table), 1)
    assert best == [4]
    assert false == 0


def test_a_bright_mover_along_a_bad_column():
    rng = np.random.default_rng(10)
    mover = Mover(east=100.3, north=0.0, rate=27.0, pa=0.0, snr=100.0)
    extra = {
        frame: pd.DataFrame(
            {"x": 100.3, "y": rng.uniform(-590.0, 560.0, 12), "snr": 6.0, "a": 1.5, "theta": 90.0}
        )
        for frame in range(5)
    }
    best, _ = found(linked(Night(movers=[mover], extra=extra, dither=0.0).table()), 1)
    assert best[0] >= 4


def test_slow_movers_are_no_wandering_centroids():
    """The more of them there are, the better they would hide each other."""
    movers = ring(30, (1.0, 2.0), snr=8.0)
    pool = link_tracklets(
        detections=Night(movers=movers).table(), pm_low=0.5, pm_up=2000.0, min_detections=4
    ).pool
    assert pool.wander.size > 20
    assert (pool.wander > 0.5).sum() <= 2


@pytest.mark.parametrize(
    ("offsets", "is_linked"), [((0.0, 0.5, 0.75, 1.0), True), ((0.0, 1.0, 1.0, 1.0), False)]
)
def test_what_jumps_once_does_not_move(offsets, is_linked):
    """As a star does that is blended with another one in one of four exposures: a line fits that well."""
    size = 1.05 if is_linked else 0.95  # of both the motion is 5.5 of its errors
    table = Night(movers=[replace(SLOW, rate=0.0)]).table()
    table = table[(table["MOVER"] != 0) | (table["CATALOG_NUMBER"] != 2)].reset_index(drop=True)
    best, false = found(linked(placed(table, [size * at for at in offsets])), 1)
    assert best == ([4] if is_linked else [0])
    assert false == 0


@pytest.mark.parametrize(
    ("theta", "smear", "is_linked"),
    [
        (None, 1.0, True),
        (90.0, 1.0, True),  # across its motion
        (0.0, 1.0, False),  # along it: a pair, or a galaxy, whose centroid wanders
        (0.0, 1.25, True),  # as all stars are: the telescope drifts
    ],
)
def test_what_is_drawn_out_along_its_motion_does_not_move(theta, smear, is_linked):
    table = Night(movers=[replace(SLOW, rate=1.3, snr=10.0)]).table()
    own = table["MOVER"] == 0
    table.loc[~own, "AWIN_IMAGE"] *= smear
    if smear > 1.0:
        table.loc[~own, "THETAWIN_IMAGE"] = 0.0
    if theta is not None:
        table.loc[own, ["AWIN_IMAGE", "BWIN_IMAGE", "THETAWIN_IMAGE"]] = 1.25, 0.95, theta
    best, false = found(linked(table), 1)
    assert best == ([5] if is_linked else [0])
    assert false == 0
