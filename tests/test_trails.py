"""Trails measured along their length: where their middle is, and all of their light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import dblquad

from ssosd.analysis.forced.profile import Shape, round_shape, trail_profile
from ssosd.analysis.forced.trails import TRAIL_FLAG, _placed_where_off, trail_rows
from ssosd.analysis.painter.night import PlacedMover
from ssosd.model import PLACED_FLAG
from ssosd.sphere import offsets_arcsec, separation_arcsec
from tests.replaying import run
from tests.sky import small_sky

ELLIPTIC = Shape(weights=(0.7, 0.3), scales=(1.0, 1.9), ellipse=(1.4, 0.4, 0.9), per_catalogue=1.0, n_stars=9)


def test_the_profile_is_the_stars_shape_drawn_along_a_line() -> None:
    """Against the integral along the line of two-dimensional Gaussians, done by quadrature."""
    length, angle = 7.0, np.radians(35.0)
    places = np.array([(0.0, 0.0), (3.0, 2.5), (-3.4, -1.0), (1.0, -2.0), (5.0, 3.0)])
    light, by_x, by_y = trail_profile(
        *places.T, shape=ELLIPTIC, length=np.full(5, length), angle=np.full(5, angle)
    )
    xx, xy, yy = ELLIPTIC.ellipse
    steps = np.linspace(-0.5, 0.5, 4001) * length
    for (x, y), value in zip(places, light, strict=True):
        dx, dy = x - steps * np.cos(angle), y - steps * np.sin(angle)
        expected = 0.0
        for weight, scale in zip(ELLIPTIC.weights, ELLIPTIC.scales, strict=True):
            covariance = scale**2 * np.array([[xx, xy], [xy, yy]]) + np.eye(2) / 12.0
            inverse = np.linalg.inv(covariance)
            square = inverse[0, 0] * dx**2 + 2.0 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2
            density = np.exp(-0.5 * square) / (2.0 * np.pi * np.sqrt(np.linalg.det(covariance)))
            expected += weight * np.trapezoid(density, steps) / length
        assert value == pytest.approx(expected, rel=1e-5)
    step = 1e-4
    for slope, move in ((by_x, (step, 0.0)), (by_y, (0.0, step))):
        ahead, behind = (
            trail_profile(
                *(places + sign * np.array(move)).T,
                shape=ELLIPTIC, length=np.full(5, length), angle=np.full(5, angle),
            )[0]
            for sign in (1.0, -1.0)
        )  # fmt: skip
        np.testing.assert_allclose(slope, (ahead - behind) / (2.0 * step), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("length", [0.0, 2.0, 40.0])
def test_all_light_is_in_the_pixels_and_a_point_is_a_star(length: float) -> None:
    y, x = (v.ravel().astype(np.float64) for v in np.mgrid[-40:41, -40:41])
    full = np.full(x.size, length)
    light, _, _ = trail_profile(x - 0.3, y + 0.2, shape=round_shape(2.8), length=full, angle=0.3 + 0.0 * x)
    assert light.sum() == pytest.approx(1.0, abs=2e-4)
    if not length:
        star = round_shape(2.8)
        sigma = 2.8 / 2.3548
        inside, _ = dblquad(
            lambda v, u: np.exp(-0.5 * ((u - 0.3) ** 2 + (v + 0.2) ** 2) / (sigma**2 - 1.0 / 12.0))
            / (2.0 * np.pi * (sigma**2 - 1.0 / 12.0)),
            -0.5, 0.5, -0.5, 0.5,
        )  # fmt: skip
        assert light[(x == 0.0) & (y == 0.0)][0] == pytest.approx(inside, rel=0.01)
        assert star.fwhm_px == pytest.approx(2.8)


RATES = (180.0, 260.0, 350.0, 450.0, 600.0, 800.0, 1100.0, 1500.0)


@dataclass(frozen=True)
class Both:
    """The same night with trails as SExtractor has them, and measured along their length."""

    plain: pd.DataFrame
    fitted: pd.DataFrame


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Trails of 6 to 50 pixels in all directions, a quarter of an hour from the first to the last exposure."""
    folder = tmp_path_factory.mktemp("trails")
    movers = tuple(
        PlacedMover(
            name=f"{rate:.0f}", rate_arcsec_h=rate, pa_deg=47.0 * k + 10.0, mag=16.6 + 0.1 * (k % 3),
            east_arcsec=-190.0 + 125.0 * (k % 4), north_arcsec=-110.0 + 210.0 * (k // 4),
        )
        for k, rate in enumerate(RATES)
    )  # fmt: skip
    night = small_sky(
        folder / "raw", placed=movers, size_px=(768, 768), stars=120, star_mags=(14.0, 19.0), galaxies=0,
        exposures=5, cadence_min=3.5, cosmics=0.0, lightcurve_mag=0.0,
    )  # fmt: skip
    tables = []
    for fit in (False, True):
        more = {"FIT_TRAILS": "1" if fit else "False", "FIT_MAGS": fit}
        out = run(folder / "out", night.directory, reference=night.refcat, PM_UP=2000, **more)
        table = out.candidates.merge(night.truth, left_on="IMAGE_FILENAME", right_on="image")
        east, north = offsets_arcsec(table["RA"], table["DEC"], table["ra"], table["dec"])
        pa = np.radians(table["pa"])
        along, across = east * np.sin(pa) + north * np.cos(pa), east * np.cos(pa) - north * np.sin(pa)
        table = table.assign(along=along, across=across)
        tables.append(table[(along.abs() < table["trail_px"] / 2 + 2) & (across.abs() < 3) & table["whole"]])
    return Both(plain=tables[0], fitted=tables[1])


@pytest.mark.binaries
def test_middles_of_trails_are_the_places_at_mid_exposure(both: Both) -> None:
    table = both.fitted[trail_rows(both.fitted)]
    assert len(table) >= 0.8 * len(both.plain) >= 20
    assert len(set(table["id"])) >= 6
    assert table["ERRB_WORLD"].median() * 3600.0 < 0.15
    # the error's major axis is that of the trail, where that is long
    pull_along = table["along"] / (table["ERRA_WORLD"] * 3600.0)
    pull_across = table["across"] / (table["ERRB_WORLD"] * 3600.0)
    for pull in (pull_along, pull_across):
        assert abs(pull.median()) < 3.0 * 1.25 / np.sqrt(len(pull))
        assert 1.4826 * pull.abs().median() < 1.5
        assert (pull.abs() > 3.0).mean() < 0.1
    axis = np.radians(table["ERRTHETA_WORLD"] - table["pa"])
    assert (np.abs(np.sin(axis)) < 0.05).mean() > 0.9
    plain = both.plain[~trail_rows(both.plain)]
    assert len(plain) == len(both.plain)
    long = plain["trail_px"] > 10.0
    off, better = (t.loc[t["trail_px"] > 10.0, "along"].abs().median() for t in (plain, table))
    assert long.sum() >= 10
    assert better < 0.5 * off


@pytest.mark.binaries
def test_all_light_of_a_trail_is_measured(both: Both) -> None:
    table = both.fitted[trail_rows(both.fitted)]
    off = table["MAG_CALIB"] - table["mag"]
    assert abs(off.median()) < 0.04
    assert ((off / table["MAG_CALIB_ERR"]).abs() < 2.0).mean() > 0.85
    plain = both.plain["MAG_CALIB"] - both.plain["mag"]
    assert off.abs().median() < plain.abs().median()


@pytest.mark.binaries
def test_rates_follow_from_the_middles(both: Both) -> None:
    first = both.fitted[trail_rows(both.fitted)].drop_duplicates("CANDIDATE")
    assert ((first["PM"] - first["rate"]).abs() < 5.0 * first["PMERR"]).all()
    assert ((first["PM"] / first["rate"] - 1.0).abs() < 0.02).all()


@pytest.mark.binaries
def test_a_trail_past_stars_is_measured_by_what_is_clear_of_them(tmp_path: Path) -> None:
    """In a dense field; where more than half of the light is hidden SExtractor's places are 0.6" off."""
    places = np.random.default_rng(2).uniform(-240.0, 240.0, (12, 2)).tolist()
    night = small_sky(
        tmp_path / "raw", size_px=(640, 640), stars=900, star_mags=(14.0, 19.0), galaxies=0, exposures=5,
        cadence_min=3.5, cosmics=0.0, lightcurve_mag=0.0, seed=3,
        placed=tuple(
            PlacedMover(
                name=f"M{k}", rate_arcsec_h=240.0 + 10.0 * k, pa_deg=37.0 * k, mag=16.3,
                east_arcsec=east, north_arcsec=north,
            )
            for k, (east, north) in enumerate(places)
        ),
    )  # fmt: skip
    out = run(tmp_path / "out", night.directory, reference=night.refcat, PM_UP=2000)
    table = out.candidates.merge(night.truth, left_on="IMAGE_FILENAME", right_on="image")
    table["off"] = separation_arcsec(table["RA"], table["DEC"], table["ra"], table["dec"])
    long = table[(table["off"] < 4.0) & table["unblended"] & table["whole"]]
    fitted = trail_rows(long)
    assert len(long) > 40
    assert fitted.mean() > 0.92  # 0.86 when six tenths of the light must be clear
    assert long["off"][fitted].max() < 0.3


def test_a_piece_of_a_trail_is_put_where_the_measured_ones_say() -> None:
    hours = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    exposures = [SimpleNamespace(mjd_mid=60000.0 + t / 24.0, exptime_s=120.0) for t in hours]
    table = pd.DataFrame(
        {
            "SOURCE_NUMBER": 4,
            "CATALOG_NUMBER": np.arange(1, 6),
            "RA": 30.0 + 900.0 * hours / 3600.0,
            "DEC": 0.0,
            "ERRA_WORLD": 0.1 / 3600.0,
            "ERRB_WORLD": 0.1 / 3600.0,
            "ERR_POSITION": 0.1,
            "FLAGS_SSOS": [TRAIL_FLAG, TRAIL_FLAG, 16, TRAIL_FLAG, TRAIL_FLAG],
        }
    )
    f, long = np.arange(5), np.arange(5)
    kept = _placed_where_off(table, long, f, exposures)
    pd.testing.assert_frame_equal(kept, table)
    moved = table.assign(RA=table["RA"] + np.where(f == 2, 12.0, 0.0) / 3600.0)
    placed = _placed_where_off(moved, long, f, exposures)
    assert placed["RA"].to_numpy() == pytest.approx(table["RA"].to_numpy(), abs=0.05 / 3600.0)
    assert placed["FLAGS_SSOS"].tolist() == [64, 64, 16 | PLACED_FLAG, 64, 64]
    few = moved.assign(FLAGS_SSOS=[TRAIL_FLAG, TRAIL_FLAG, 0, 0, 0])
    pd.testing.assert_frame_equal(_placed_where_off(few, long, f, exposures), few)
