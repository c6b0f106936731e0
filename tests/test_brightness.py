"""Calibrated magnitudes in the stars' shape: less noise than SExtractor's, true errors, and comets keep theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from ssosd.analysis.painter.night import PaintedNight, PlacedMover
from ssosd.model import COVERED_FLAG, PLACED_FLAG, SWALLOWED_FLAG
from ssosd.sphere import offsets_arcsec, separation_arcsec
from ssosd.work.brightness import SHAPE_FLAG, _covered
from tests.replaying import Outcome, run
from tests.sky import small_sky

pytestmark = pytest.mark.binaries

COMET = "COMET"
COMA_SIGMA_PX, COMA_ADU = 5.0, 20000.0


def movers() -> tuple[PlacedMover, ...]:
    """Forty faint ones, and a brighter one, slow as what is far away, that becomes a comet."""
    grid = np.linspace(-240.0, 240.0, 7)
    places = [(east, north) for east in grid for north in grid[::-1]][:41]
    faint = [
        PlacedMover(
            name=f"F{k:02d}",
            east_arcsec=east,
            north_arcsec=north,
            mag=19.3 + 0.03 * k,
            rate_arcsec_h=24.0,
            pa_deg=80.0,
        )
        for k, (east, north) in enumerate(places[1:])
    ]
    east, north = places[0]
    comet = PlacedMover(
        name=COMET, east_arcsec=east, north_arcsec=north, mag=17.5, rate_arcsec_h=6.0, pa_deg=80.0
    )
    return (comet, *faint)


def add_coma(night: PaintedNight) -> None:
    truth = night.truth[night.truth["id"] == COMET].set_index("image")
    for path in night.paths:
        with fits.open(path, mode="update") as hdus:
            image = hdus[0].data
            y, x = np.indices(image.shape)
            row = truth.loc[path.name]
            square = (x + 1.0 - row["x"]) ** 2 + (y + 1.0 - row["y"]) ** 2
            coma = np.exp(-0.5 * square / COMA_SIGMA_PX**2) / (2.0 * np.pi * COMA_SIGMA_PX**2)
            hdus[0].data = np.rint(image + COMA_ADU * coma).clip(0, 65535).astype(np.uint16)


def beside_truth(outcome: Outcome, night: PaintedNight) -> pd.DataFrame:
    """Detections of candidates with the mover that each is within 2" of."""
    pairs = outcome.candidates.merge(night.truth, left_on="IMAGE_FILENAME", right_on="image")
    return pairs[separation_arcsec(pairs["RA"], pairs["DEC"], pairs["ra"], pairs["dec"]) < 2.0]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, pd.DataFrame]:
    """Detections of the movers beside their truth, with FIT_MAGS and without."""
    folder = tmp_path_factory.mktemp("brightness")
    night = small_sky(
        folder / "raw",
        exposures=5, size_px=(640, 640), stars=120, star_mags=(12.5, 18.5), galaxies=0, cosmics=0.0,
        lightcurve_mag=0.0, placed=movers(), seed=8,
    )  # fmt: skip
    add_coma(night)
    found = {}
    for fitted in (True, False):
        outcome = run(folder / f"out{fitted}", night.directory, reference=night.refcat, FIT_MAGS=fitted)
        table = beside_truth(outcome, night)
        found[fitted] = table[table["unblended"]].set_index(["id", "IMAGE_FILENAME"]).sort_index()
    return found


def test_faint_magnitudes_are_better_and_their_errors_true(tables: dict[bool, pd.DataFrame]) -> None:
    fitted, apertures = (tables[on].drop(index=COMET, level="id") for on in (True, False))
    assert len(fitted) == len(apertures) > 120
    assert not (apertures["FLAGS_SSOS"] & SHAPE_FLAG).any()
    own = (fitted["FLAGS_SSOS"] & SHAPE_FLAG) > 0
    assert own.mean() > 0.9
    off = (fitted["MAG_CALIB"] - fitted["mag"])[own]
    before = (apertures["MAG_CALIB"] - apertures["mag"])[own]
    assert off.abs().median() < 0.8 * before.abs().median()
    assert off.std() < 0.7 * before.std()
    assert abs(off.median()) < 0.04
    pull = off / fitted["MAG_CALIB_ERR"][own]
    assert 0.8 < pull.std() < 1.25
    others = fitted[~own]
    pd.testing.assert_series_equal(others["MAG_CALIB"], apertures.loc[others.index, "MAG_CALIB"])


def test_what_stars_cover_has_larger_errors() -> None:
    found = pd.DataFrame(
        {
            "FLAGS_SSOS": [0, 0, SWALLOWED_FLAG, PLACED_FLAG],
            "SEEING": 2.0,
            "ERR_POSITION": 0.4,
            "ERRA_WORLD": 0.4 / 3600.0,
            "ERRB_WORLD": 0.0,
        }
    )
    told = _covered(found, np.array([True, False, True, True]))
    assert (told["FLAGS_SSOS"] - found["FLAGS_SSOS"]).tolist() == [
        COVERED_FLAG,
        0,
        COVERED_FLAG,
        COVERED_FLAG,
    ]
    assert told["ERR_POSITION"].tolist() == pytest.approx([0.5, 0.4, 0.4, 0.4])
    assert (3600.0 * told["ERRA_WORLD"]).tolist() == pytest.approx([0.5, 0.4, 0.4, 0.4])
    assert told["ERRB_WORLD"].tolist() == pytest.approx([0.3 / 3600.0, 0.0, 0.0, 0.0])


def test_a_comet_keeps_all_of_its_light(tables: dict[bool, pd.DataFrame]) -> None:
    fitted, apertures = (tables[on].loc[COMET] for on in (True, False))
    assert len(fitted) >= 4
    assert not (fitted["FLAGS_SSOS"] & SHAPE_FLAG).any()
    pd.testing.assert_series_equal(fitted["MAG_CALIB"], apertures["MAG_CALIB"])
    assert (fitted["MAG_CALIB"] < fitted["mag"] - 0.3).all()


def test_a_comet_is_told_from_asteroids(tables: dict[bool, pd.DataFrame]) -> None:
    assert tables[False]["EXTENDED"].isna().all()
    extended = tables[True]["EXTENDED"].groupby(level="id").first()
    assert extended[COMET] > 0.2
    assert extended.drop(index=COMET).isna().all()


def test_light_that_is_a_stars_is_not_the_movers(tmp_path: Path) -> None:
    """A mover that passes a star of its own brightness in the third of five exposures, 1.5" off."""
    options = {"exposures": 5, "stars": 60, "galaxies": 0, "cosmics": 0.0, "seed": 4, "lightcurve_mag": 0.0}
    stars = pd.read_csv(small_sky(tmp_path / "stars", placed=(), **options).directory / "stars.csv")
    east, north = offsets_arcsec(stars["ra"], stars["dec"], 50.0, 18.0)
    fit = stars["mag"].between(17.0, 19.0) & (np.hypot(east, north) < 150.0)
    star = int(np.flatnonzero(fit)[0])
    mover = PlacedMover(
        name="PASSING", east_arcsec=east[star] + 1.5, north_arcsec=north[star], mag=stars["mag"][star],
        rate_arcsec_h=40.0, pa_deg=0.0,
    )  # fmt: skip
    night = small_sky(tmp_path / "raw", placed=(mover,), **options)
    outcome = run(tmp_path / "out", night.directory, reference=night.refcat)
    table = outcome.candidates.merge(night.truth, left_on="IMAGE_FILENAME", right_on="image")
    off = (table["MAG_CALIB"] - table["mag"]).abs()
    assert off.notna().sum() == 4
    assert off.max() < 0.15
    assert len(off) == 4 or off[table["visit"] == 3].isna().all()


def test_stars_that_are_wider_in_the_corners_make_no_comets(tmp_path: Path) -> None:
    """In the corners the FWHM is half as large again as in the middle: magnitudes are as right there."""
    grid = [(east, north) for east in np.linspace(-280, 280, 7) for north in np.linspace(-280, 280, 7)]
    placed = tuple(
        PlacedMover(
            name=f"M{k:02d}", east_arcsec=e, north_arcsec=n, mag=18.0, rate_arcsec_h=30.0, pa_deg=60.0
        )
        for k, (e, n) in enumerate(grid)
    )
    night = small_sky(
        tmp_path / "raw", size_px=(640, 640), stars=250, star_mags=(13.0, 18.5), galaxies=0, cosmics=0.0,
        lightcurve_mag=0.0, placed=placed, blur=1.1, seed=12,
    )  # fmt: skip
    outcome = run(tmp_path / "out", night.directory, reference=night.refcat)
    table = beside_truth(outcome, night)
    assert table["EXTENDED"].isna().all()
    off = (table["MAG_CALIB"] - table["mag"])[table["unblended"]]
    corner = np.hypot(table["x"] - 320.0, table["y"] - 320.0)[table["unblended"]] > 320.0
    assert corner.sum() > 20
    assert abs(off[corner].median() - off[~corner].median()) < 0.05


def test_a_chip_that_does_not_show_its_stars_shape_keeps_magnitudes(tmp_path: Path) -> None:
    """All of its stars are faint, SNR 30 at most: the round shape that is taken for theirs is not measured."""
    night = small_sky(tmp_path / "raw", stars=150, star_mags=(19.1, 19.7), galaxies=0, seed=5)
    outcome = run(tmp_path / "out", night.directory, reference=night.refcat)
    assert len(outcome.candidates) >= 4
    assert outcome.candidates["MAG_CALIB"].notna().all()
    assert not (outcome.candidates["FLAGS_SSOS"] & SHAPE_FLAG).any()


def test_hot_pixels_are_not_taken_for_stars(tmp_path: Path) -> None:
    """The sky drifts over a detector with six times as many hot pixels as stars."""
    night = small_sky(tmp_path / "raw", hot_pixels=600, drift_arcsec=(4.0, 1.2), dither_arcsec=0.0, seed=3)
    outcome = run(tmp_path / "out", night.directory, reference=night.refcat)
    table = beside_truth(outcome, night)
    shaped = table[table["FLAGS_SSOS"] & SHAPE_FLAG > 0]
    assert len(shaped) >= 4
    assert (shaped["MAG_CALIB"] - shaped["mag"]).abs().max() < 0.3
