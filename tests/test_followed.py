"""Objects that the telescope follows, or is pointed anew at: they stand on the detector, as hot pixels do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssosd.analysis.painter.night import PaintedNight, PlacedMover
from ssosd.analysis.truth import compare_with_truth
from ssosd.linker.tracklets.link import link_tracklets
from ssosd.linker.tracklets.plane import project
from ssosd.linker.tracklets.stars import Stars
from ssosd.model import FOLLOWED_FLAG, STANDING_FLAG
from ssosd.sphere import separation_arcsec
from tests.replaying import Outcome, run
from tests.sky import small_sky
from tests.tracklets_sky import Mover, Night, found, ring

RATE, PA = 300.0, 70.0  # arcsec/h, deg
EAST, NORTH = RATE * np.sin(np.radians(PA)), RATE * np.cos(np.radians(PA))
HOURS = (0.0, 0.1, 0.2, 0.3, 0.4)


def pointed_at(mover: Mover, **changes: Any) -> pd.DataFrame:
    """Five exposures of a sky whose pointing goes with a mover."""
    step = tuple(v * 0.1 for v in (EAST, NORTH))
    night = Night(movers=(mover,), hours=HOURS, dither=0.0, drift=step, noise=40, **changes)
    return night.table()


def linked(table: pd.DataFrame) -> pd.DataFrame:
    return link_tracklets(detections=table, pm_low=0.5, pm_up=2000.0, min_detections=4).detections


def flags_of(rows: pd.DataFrame) -> set[int]:
    return set((rows["FLAGS_SSOS"].to_numpy() & (STANDING_FLAG | FOLLOWED_FLAG)).tolist())


def test_what_stands_on_the_detector_and_moves_evenly_is_linked_and_marked() -> None:
    table = pointed_at(Mover(east=30.0, north=-40.0, rate=RATE, pa=PA))
    place = table[table["MOVER"] == 0][["XWIN_IMAGE", "YWIN_IMAGE"]]
    assert np.ptp(place.to_numpy(), axis=0).max() < 1.0
    rows = linked(table)
    assert found(rows, 1) == ([5], 0)
    assert flags_of(rows) == {STANDING_FLAG}
    assert rows["PM"].iloc[0] == pytest.approx(RATE, rel=0.01)


def test_what_only_passes_is_not_marked() -> None:
    rows = linked(pointed_at(Mover(east=30.0, north=-40.0, rate=RATE, pa=PA + 90.0)))
    assert found(rows, 1) == ([5], 0)
    assert flags_of(rows) == {0}


def test_hot_pixels_that_drift_evenly_are_marked_as_well() -> None:
    """Nothing but their light tells them; of many the brightest are asked."""
    rows = linked(pointed_at(Mover(east=30.0, north=-40.0, rate=RATE, pa=PA), hot_pixels=12))
    best, _ = found(rows, 1)
    assert best == [5]
    assert flags_of(rows) == {STANDING_FLAG}


@pytest.mark.parametrize("drift", [0.5, 0.8, 1.5, 8.0])
@pytest.mark.parametrize("hot_pixels", [0, 60])
def test_what_moves_much_as_the_camera_drifts_is_linked(drift: float, hot_pixels: int) -> None:
    """Arcsec per exposure to the east, as mounts drift: objects of half to twice that rate, in all directions."""
    movers = ring(30, (2.0 * drift, 8.0 * drift), seed=1)
    rows = linked(Night(hot_pixels=hot_pixels, dither=0.0, drift=(drift, 0.0), movers=movers, seed=1).table())
    best, false = found(rows, len(movers))
    assert sum(n >= 4 for n in best) >= 29
    assert false == 0


def test_hot_pixels_that_jump_are_not_linked() -> None:
    night = Night(hot_pixels=50, dither=8.0, movers=(Mover(east=30.0, north=-40.0, rate=40.0, pa=PA),))
    rows = linked(night.table())
    assert found(rows, 1) == ([5], 0)
    assert flags_of(rows) == {0}


def test_a_point_among_stars_that_are_trails_has_no_trail_itself() -> None:
    """Trails of 6 arcsec along the motion: its detections are not pieces of one, its place is its own."""
    table = pointed_at(Mover(east=30.0, north=-40.0, rate=RATE, pa=PA), exptimes_s=(72.0,))
    own = table["MOVER"] == 0
    trail = {"AWIN_IMAGE": 2.0, "BWIN_IMAGE": 1.0, "THETAWIN_IMAGE": 160.0}
    point = {"AWIN_IMAGE": 1.0, "BWIN_IMAGE": 0.98, "THETAWIN_IMAGE": 20.0}
    table = table.assign(**{name: np.where(own, point[name], trail[name]) for name in trail})
    rows = linked(table)
    assert found(rows, 1) == ([5], 0)
    assert set(rows["FLAGS_SSOS"]) == {STANDING_FLAG | FOLLOWED_FLAG}
    there = table[own].set_index("CATALOG_NUMBER").loc[rows["CATALOG_NUMBER"]]
    assert rows["RA"].tolist() == there["RA"].tolist()
    assert rows["PMERR"].iloc[0] < 0.01 * RATE


def test_stars_that_are_trails_are_measured_across_and_along() -> None:
    table = Night(stars=300, noise=0).table()
    plane = project(table.assign(AWIN_IMAGE=2.0, BWIN_IMAGE=1.0, THETAWIN_IMAGE=160.0))
    every, none = np.ones(plane.x.size, dtype=bool), np.zeros(plane.x.size, dtype=bool)
    stars = Stars.of(plane, none, every)
    assert stars.drawn_out
    assert abs(stars.trail) == pytest.approx(np.sqrt(12.0 * 3.0), rel=1e-6)  # A^2 - B^2 = l^2 / 12
    # position angle 70 is 20 degrees from east to north
    assert np.degrees(np.angle(stars.trail)) / 2.0 == pytest.approx(20.0, abs=0.1)
    assert stars.fwhm == pytest.approx(2.3548, rel=1e-3)
    assert stars.width == pytest.approx(np.ones(5))
    assert stars.size == pytest.approx(np.full(5, np.sqrt(2.0)))
    usual = Stars.of(project(table), none, every)
    assert not usual.drawn_out
    assert usual.width is usual.size


FIELD: dict[str, Any] = {
    "exposures": 5, "size_px": (512, 512), "stars": 250, "star_mags": (13.0, 22.5), "galaxies": 40,
    "galaxy_mags": (17.0, 22.0), "cosmics": 3.0, "hot_pixels": 60, "bad_columns": 1, "cadence_min": 3.0,
    "exptimes_s": (60.0,), "dither_arcsec": 0.6, "seed": 4,
    "placed": (
        PlacedMover(name="TARGET", east_arcsec=31.0, north_arcsec=-47.0, rate_arcsec_h=RATE, pa_deg=PA, mag=18.5),
        PlacedMover(name="OTHER", east_arcsec=-80.0, north_arcsec=60.0, rate_arcsec_h=90.0, pa_deg=200.0, mag=17.5),
    ),
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "followed": {"follow_arcsec_h": (EAST, NORTH)},
    "pointed anew": {"drift_arcsec": (EAST * 0.05, NORTH * 0.05)},
}


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, PaintedNight]:
    folder = tmp_path_factory.mktemp("followed")
    return request.param, small_sky(folder, **FIELD | WAYS[request.param])


def replayed(night: PaintedNight, folder: Path, **parameters: object) -> Outcome:
    return run(folder / "out", night.directory, reference=night.refcat, **parameters)


@pytest.mark.binaries
def test_the_object_is_found_measured_and_named(way: tuple[str, PaintedNight], tmp_path: Path) -> None:
    name, night = way
    outcome = replayed(night, tmp_path)
    candidates = outcome.candidates
    compared = compare_with_truth(candidates, night.truth)
    assert compared.movers.set_index("id")["found"].to_dict() == {"TARGET": True, "OTHER": True}
    assert compared.n_false == 0
    own = compared.candidates.set_index("id")["candidate"]
    target = candidates[candidates["CANDIDATE"] == own["TARGET"]]
    wanted = STANDING_FLAG | (FOLLOWED_FLAG if name == "followed" else 0)
    assert flags_of(target) == {wanted}
    assert flags_of(candidates[candidates["CANDIDATE"] == own["OTHER"]]) == {0}
    truth = night.truth[night.truth["id"] == "TARGET"].set_index("image").loc[target["IMAGE_FILENAME"]]
    off = separation_arcsec(target["RA"], target["DEC"], truth["ra"], truth["dec"])
    assert len(target) >= 4
    assert np.median(off) < 0.25
    assert np.median(np.abs(target["MAG_CALIB"].to_numpy() - truth["mag"].to_numpy())) < 0.1
    log = next((outcome.target / outcome.night).glob("**/sequence.log")).read_text()
    assert f"{own['TARGET']} stands at one place of the detector, with the light of a star" in log


@pytest.mark.binaries
def test_without_recover_it_is_in_the_ledger(way: tuple[str, PaintedNight], tmp_path: Path) -> None:
    _, night = way
    outcome = replayed(night, tmp_path, RECOVER=False)
    compared = compare_with_truth(outcome.candidates, night.truth)
    assert compared.movers.set_index("id")["found"].to_dict() == {"TARGET": False, "OTHER": True}
    reasons = outcome.ledger("F01")["reason"]
    assert reasons.str.contains("at one place of the detector while the sky moves").any()


@pytest.mark.binaries
def test_an_object_of_1900_arcsec_an_hour_is_found_among_stars_that_are_trails_of_13_fwhm(
    tmp_path: Path,
) -> None:
    """And so is another one, that is a trail like the stars: these are catalogued as wholes."""
    fast = replace(FIELD["placed"][0], rate_arcsec_h=1900.0)
    slow = replace(FIELD["placed"][1], rate_arcsec_h=45.0, north_arcsec=20.0)
    follow = {"follow_arcsec_h": (EAST / RATE * 1900.0, NORTH / RATE * 1900.0)}
    night = small_sky(
        tmp_path / "raw", **FIELD | follow | {"placed": (fast, slow), "size_px": (700, 700), "stars": 450}
    )
    outcome = replayed(night, tmp_path)
    compared = compare_with_truth(outcome.candidates, night.truth)
    assert compared.movers["found"].all()
    assert compared.n_false == 0
    own = outcome.candidates[
        outcome.candidates["CANDIDATE"] == compared.candidates.set_index("id")["candidate"]["TARGET"]
    ]
    truth = night.truth[night.truth["id"] == "TARGET"].set_index("image").loc[own["IMAGE_FILENAME"]]
    assert len(own) >= 4
    assert np.median(separation_arcsec(own["RA"], own["DEC"], truth["ra"], truth["dec"])) < 0.15
    assert flags_of(own) == {STANDING_FLAG | FOLLOWED_FLAG}
    other = outcome.candidates.drop(own.index)
    truth = night.truth[night.truth["id"] == "OTHER"].set_index("image").loc[other["IMAGE_FILENAME"]]
    assert np.median(separation_arcsec(other["RA"], other["DEC"], truth["ra"], truth["dec"])) < 0.5
    assert np.median(other["MAG_CALIB"].to_numpy() - truth["mag"].to_numpy()) == pytest.approx(0.0, abs=0.1)
