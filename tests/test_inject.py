"""Synthetic movers in copies of exposures: they are what they claim to be, and never leave the copies."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ssosd.afterwards.injection import inject_night
from ssosd.analysis.inject.curve import completeness_curves
from ssosd.analysis.inject.digits import Digits
from ssosd.analysis.inject.exposure import ChipLight, paint_exposure
from ssosd.analysis.inject.limit import half_magnitude
from ssosd.analysis.inject.movers import draw_movers, seed_of
from ssosd.analysis.inject.score import completeness_table
from ssosd.analysis.inject.stars import measure_stars
from ssosd.analysis.painter.movers import ephemeris, trails
from ssosd.analysis.painter.night import PaintedNight
from ssosd.analysis.painter.options import MoverClass
from ssosd.analysis.painter.psf import Psf
from ssosd.astromatic import find
from ssosd.cli import main
from ssosd.config import Config, load_config
from ssosd.errors import Retriable
from ssosd.ldac import objects_frame, read_ldac
from ssosd.plumbing.lock import TargetLock
from ssosd.sphere import unit_vectors
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store, utc_now
from ssosd.work.calibrating import photometry_of
from ssosd.work.exposure import extract_prepared
from ssosd.work.linking import link_candidates
from ssosd.work.painting import painted_copy
from ssosd.work.picturing import solved_images
from tests.replaying import ONE_FIELD, QUICK, Outcome, run
from tests.sky import shared_sky

#: Movers of all magnitudes about the limit: what injection is to tell, without injection.
MANY = MoverClass(name="many", count=120, rate_arcsec_h=(5.0, 300.0), mag=(18.5, 22.0), mag_slope=0.0)
FULL = {
    **ONE_FIELD, "exposures": 5, "size_px": (1024, 1024), "stars": 450, "star_mags": (13.5, 22.5), "placed": (),
    "movers": (MANY,),
}  # fmt: skip
ALIKE = {"INJECT": 120, "INJECT_MAG": "18.5,22", "INJECT_RATE": "5,300"}
FEW = {"INJECT": 12, "INJECT_MAG": "16.5,18", "INJECT_RATE": "20,60"}
DRAW = {
    "count": 400, "centre_deg": (359.9, 60.0), "size_deg": (0.4, 0.2), "rate_arcsec_h": (2.0, 1000.0),
    "mag": (18.0, 22.0),
}  # fmt: skip


def counts(outcome: Outcome) -> pd.DataFrame:
    with Store(outcome.target / STORE_NAME) as store:
        return pd.DataFrame(store.rows("SELECT * FROM completeness"))


def by_mag(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    summed = table.groupby("mag_low")[["n_injected", "n_found"]].sum()
    return summed.index.to_numpy() + 0.25, summed["n_injected"].to_numpy(), summed["n_found"].to_numpy()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    return shared_sky(tmp_path_factory, **FULL)


@pytest.fixture(scope="module")
def measured(full: PaintedNight, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Outcome]:
    """The full night without and with injection."""
    plain, injected = (
        run(tmp_path_factory.mktemp("full") / "out", full.directory, reference=full.refcat, **parameters)
        for parameters in ({}, ALIKE)
    )
    return plain, injected


@pytest.mark.binaries
def test_injection_tells_the_completeness_of_the_movers_that_are_there(
    full: PaintedNight, measured: tuple[Outcome, Outcome]
) -> None:
    """The painter's own movers are of other makings: painted into electrons before noise and digits."""
    plain, injected = measured
    own = completeness_table(plain.candidates, full.truth, fewest=4, radius_arcsec=2.0)
    told = counts(injected)
    (n_own, k_own), (n, k) = (table[["n_injected", "n_found"]].sum() for table in (own, told))
    assert n_own > 100
    assert n > 100
    assert half_magnitude(*by_mag(told)) == pytest.approx(half_magnitude(*by_mag(own)), abs=0.25)
    share = (k_own + k) / (n_own + n)
    assert 0.3 < share < 0.9
    assert abs(k_own / n_own - k / n) < 3.0 * np.sqrt(share * (1.0 - share) * (1.0 / n_own + 1.0 / n))


@pytest.mark.binaries
def test_limit_50_is_where_half_of_the_movers_are_detected(
    full: PaintedNight, measured: tuple[Outcome, Outcome]
) -> None:
    """Stars tell it, by the pixels: their counts, among noise that was detected, had said 0.6 mag too much."""
    plain, _ = measured
    (catalogue,) = plain.target.glob("20*/*/cats/full_1.cat")
    table = objects_frame(read_ldac(catalogue)[0].objects)
    with Store(plain.target / STORE_NAME) as store:
        limits = pd.DataFrame(store.rows("SELECT * FROM exposure_quality ORDER BY catalog_number"))
    off, detected = [], []
    for (_, truth), row in zip(full.truth.groupby("mjd_mid"), limits.itertuples(), strict=True):
        movers = truth[truth["whole"] & truth["unblended"] & (truth["rate"] < 60.0)]
        own = table[table["CATALOG_NUMBER"] == row.catalog_number]
        places = cKDTree(unit_vectors(own["ALPHA_J2000"], own["DELTA_J2000"]))
        distance, _ = places.query(unit_vectors(movers["ra"], movers["dec"]))
        off += list(row.limit_50 - movers["mag"])
        detected += list(np.degrees(distance) * 3600.0 < 1.5)
    bins = np.digitize(off, np.arange(-1.5, 1.6, 0.25))
    n, k = np.bincount(bins, minlength=14)[1:13], np.bincount(bins, detected, minlength=14)[1:13]
    assert half_magnitude(np.arange(-1.375, 1.4, 0.25), n[::-1], k[::-1]) == pytest.approx(0.0, abs=0.12)


@pytest.mark.binaries
def test_nothing_of_it_reaches_candidates_ledger_or_draft(measured: tuple[Outcome, Outcome]) -> None:
    plain, injected = measured
    assert len(plain.candidates)
    assert counts(plain).empty
    assert injected.results == plain.results  # byte for byte
    with Store(injected.target / STORE_NAME) as store:
        assert store.rows("SELECT DISTINCT path FROM exposures WHERE path LIKE '%painted%'") == []
    assert [p for p in injected.target.rglob("*") if "painted" in p.name or "inject" in p.name] == []
    assert [p.name for p in (injected.target / ".ssosd" / "scratch").iterdir()] == []


@pytest.mark.binaries
def test_the_morning_report_has_the_counts(measured: tuple[Outcome, Outcome]) -> None:
    pages = [(done.target / done.night / "report.html").read_text() for done in measured]
    assert ["Completeness" in page for page in pages] == [False, True]
    table = pd.read_html(io.StringIO(pages[1]), match="half at")[0].set_index("″/h")
    seen = {
        (float(mag), float(rate.split("–")[0])): tuple(int(n) for n in cell.split("/"))
        for mag, column in table.drop(columns="half at").items()
        for rate, cell in column.dropna().items()
    }
    told = counts(measured[1]).set_index(["mag_low", "rate_low"])
    assert seen == dict(zip(told.index, zip(told["n_found"], told["n_injected"], strict=True), strict=True))


@pytest.mark.binaries
def test_the_same_exposures_in_another_order_and_under_other_names_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    night = shared_sky(tmp_path_factory, **ONE_FIELD)
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in night.paths}
    first = counts(run(tmp_path / "a", night.directory, reference=night.refcat, **FEW))
    named = [tmp_path / f"{9 - n}.fits" for n in range(len(night.paths))]
    for path, original in zip(named, night.paths, strict=True):
        path.symlink_to(original)
    again = counts(run(tmp_path / "b", *sorted(named), reference=night.refcat, **FEW))
    assert first["n_found"].sum() > 0
    pd.testing.assert_frame_equal(first, again)
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in night.paths} == before


@pytest.mark.binaries
def test_chips_of_a_compressed_mosaic(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    mosaic = {**ONE_FIELD, "chips": (2, 1), "size_px": (256, 384), "stars": 150, "formats": (".fits.fz",)}
    night = shared_sky(tmp_path_factory, **mosaic)
    found = counts(run(tmp_path / "out", night.directory, reference=night.refcat, **FEW))
    assert 0.6 < found["n_found"].sum() / found["n_injected"].sum() <= 1.0


@pytest.mark.binaries
def test_without_calibrated_magnitudes_the_field_is_done_and_says_why(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    night = shared_sky(tmp_path_factory, **ONE_FIELD)
    out = run(tmp_path / "out", night.directory, reference=night.refcat, AST_CAT="AUTO", **FEW)
    assert counts(out).empty
    assert len(out.candidates)
    (log,) = out.target.glob("20*/*/logs/sequence.log")
    assert (
        "completeness not measured: 0 exposures have calibrated magnitudes, 4 are needed" in log.read_text()
    )


@pytest.mark.binaries
def test_the_command_measures_a_night_afterwards_and_leaves_the_target_as_it_is(
    full: PaintedNight, measured: tuple[Outcome, Outcome]
) -> None:
    """Beside a daemon that holds the target, and when the catalogues are no longer kept."""
    plain, injected = measured
    shutil.rmtree(plain.target / ".ssosd" / "catalogues")
    before = contents(plain.target)
    with TargetLock(plain.target, purpose="daemon", now=utc_now()):
        done = CliRunner().invoke(
            main, ["inject", plain.night, "-t", str(plain.target), "--count", "120", "--mag", "18.5,22",
                   "--rate", "5,300", "--json"],
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = counts(injected).assign(band="G").to_dict("records")
    assert json.loads(done.stdout) == completeness_curves(rows)
    assert f"{plain.night}/F01: {counts(injected)['n_found'].sum()} of " in done.stderr
    assert "extracted" not in done.stderr  # what is being done is for a terminal
    assert contents(plain.target) == before


def test_the_reference_stars_are_those_that_the_target_has(
    measured: tuple[Outcome, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not fetched again into the scratch folder, where a telescope without a network has none."""
    plain, _ = measured
    used: list[Path] = []

    def opened(config: Config, target: Path) -> Station:
        used.append(Station.to_look(config, target).reference_tiles)
        raise Retriable("enough is known")

    monkeypatch.setattr(Station, "open", staticmethod(opened))
    with pytest.raises(Retriable):
        inject_night(plain.target, night=plain.night, texts={"INJECT": "20"})
    assert used == [plain.target / ".ssosd" / "refcat"]


def test_what_is_being_done_is_told(measured: tuple[Outcome, Outcome]) -> None:
    plain, _ = measured
    told: list[str] = []
    inject_night(plain.target, night=plain.night, texts={"INJECT": "20"}, doing=told.append)
    assert told[0] == f"{plain.night}/F01: linking"
    n = len(next(iter(plain.sequences)).result.catalog_numbers)
    assert [line for line in told if "extracted" in line] == [
        f"{plain.night}/F01: extracted {k} of {n} copies with movers" for k in range(1, n + 1)
    ]


def contents(target: Path) -> dict[str, object]:
    """All files and rows of a target."""
    with Store(target / STORE_NAME) as store:
        rows: dict[str, object] = {"rows": list(store.db.conn.iterdump())}
    files = (path for path in target.rglob("*") if path.is_file() and not path.name.startswith(STORE_NAME))
    return rows | {str(path): path.read_bytes() for path in files if path.name != "lock"}


def test_a_night_that_is_not_there_is_an_error_of_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["inject", "2026-11-14", "-t", str(tmp_path)])
    assert (done.exit_code, "no store here" in done.stderr) == (2, True)
    Store(tmp_path / STORE_NAME).close()
    done = CliRunner().invoke(main, ["inject", "2026-11-14", "-t", str(tmp_path)])
    assert (done.exit_code, "no linked field of this night" in done.stderr) == (1, True)
    done = CliRunner().invoke(main, ["inject", "2026-11-14", "-t", str(tmp_path), "--rate", "0,3"])
    assert (done.exit_code, "INJECT_RATE" in done.stderr) == (2, True)


@pytest.mark.binaries
def test_sextractor_that_crashes_on_the_copies_costs_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = shared_sky(tmp_path_factory, **ONE_FIELD)
    plain = run(tmp_path / "plain", night.directory, reference=night.refcat)
    real = find("sextractor").path
    broken = tmp_path / "bin" / Path(real).name
    broken.parent.mkdir()
    broken.write_text(
        f'#!/bin/sh\ncase "$(readlink image.fits)" in */painted.fits) kill -SEGV $$;; esac\nexec {real} "$@"\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    out = run(tmp_path / "out", night.directory, reference=night.refcat, **FEW)
    assert counts(out).empty
    (log,) = out.target.glob("20*/*/logs/sequence.log")
    (line,) = (line for line in log.read_text().splitlines() if "completeness not measured" in line)
    assert "was killed by SIGSEGV" in line
    different = {name for name in plain.results if plain.results[name] != out.results[name]}
    assert different == {str(log.relative_to(out.target))}


@pytest.mark.binaries
def test_a_mover_is_measured_as_bright_and_as_wide_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """By SExtractor, and with the calibration that stars of the night gave."""
    night = shared_sky(tmp_path_factory, **{**ONE_FIELD, "size_px": (768, 768), "stars": 250})
    done = run(tmp_path / "out", night.directory, reference=night.refcat)
    station = Station.open(load_config(None, overrides={**QUICK, "ASTREF_CATALOG": str(night.refcat)},
                                       cwd=tmp_path), tmp_path / "out")  # fmt: skip
    with Store(done.target / STORE_NAME) as store:
        exposures = list(store.exposures().values())
        found = {e.digest: next(iter(store.catalogues([e.digest]).values())) for e in exposures}
    (tmp_path / "cats").mkdir()
    linked = link_candidates(
        exposures, found, workdir=tmp_path / "cats", station=station, progress=lambda _: None,
    ).linked  # fmt: skip
    photometry = photometry_of(linked, station=station)
    first = exposures[0]
    movers = draw_movers(
        seed=3, count=40, centre_deg=(first.ra_deg, first.dec_deg),
        size_deg=(0.9 * first.width_deg, 0.9 * first.height_deg), rate_arcsec_h=(1.0, 2.0), mag=(16.5, 18.0),
    )  # fmt: skip
    seen = ephemeris(movers, hours=0.0, exptime_s=first.exptime_s, colour_mag=0.0)
    prepared, whole = painted_copy(
        1, seen, linked=linked, photometry=photometry, catalogue=found[first.digest],
        folder=tmp_path / "copy", seed=3, station=station,
    )  # fmt: skip
    assert whole.all()
    extract_prepared(first, prepared, output=tmp_path / "painted.cat", key="k", station=station)
    (chip,) = read_ldac(tmp_path / "painted.cat")
    table = chip.frame()
    x, y = solved_images(linked)[1, 0].pixels_of(seen["ra"], seen["dec"]).T
    distance, row = cKDTree(table[["XWIN_IMAGE", "YWIN_IMAGE"]]).query(np.column_stack([x, y]))
    clean = (distance < 0.5) & (table["FLAGS"].to_numpy()[row] == 0)
    assert clean.sum() > 20
    measured = table.iloc[row[clean]]
    offset = measured["MAG_AUTO"].to_numpy() + photometry.calibrations[1].zero.offset - seen["mag"][clean]
    assert np.median(offset) == pytest.approx(0.0, abs=0.02)
    assert np.std(offset) < 0.1
    stars = linked.detections.query("CATALOG_NUMBER == 1 and FLAGS_EXTRACTION == 0 and FLUX > 4000")
    assert measured["AWIN_IMAGE"].median() == pytest.approx(stars["AWIN_IMAGE"].median(), rel=0.05)
    assert np.median(distance[clean]) < 0.1  # pixels


def few_stars(*, stars: int, hot: int, size_px: int = 300) -> tuple[np.ndarray, pd.DataFrame]:
    """Counts of a chip with few stars (Moffat, FWHM 2.6 pixels) and many hot pixels, and what is seen on it."""
    rng = np.random.default_rng(stars)
    places = np.stack(np.meshgrid(np.arange(25.0, size_px - 20, 25), np.arange(25.0, size_px - 20, 25)))
    places = rng.permutation(places.reshape(2, -1).T)[: stars + hot]
    places[:stars] += rng.uniform(-0.5, 0.5, (stars, 2))
    flux = rng.uniform(8e3, 3e4, stars + hot)
    light = trails(
        *np.tile(places[:stars].T[:, None], (1, 3, 1)), flux[:stars], shape=(size_px, size_px),
        psf=Psf(kind="moffat", fwhm_px=2.6), floor_e=0.01,
    )  # fmt: skip
    pixels = rng.normal(1000.0, 10.0, (size_px, size_px))
    np.add.at(pixels.reshape(-1), light.pixel, light.charge_e)
    column, row = places[stars:].astype(int).T - 1
    pixels[row, column] += flux[stars:] / 5.0
    seen = {
        "XWIN_IMAGE": places[:, 0],
        "YWIN_IMAGE": places[:, 1],
        "FLUX": flux / 1.05,
        "FLAGS_EXTRACTION": 0,
    }
    return pixels, pd.DataFrame(seen)


def test_few_stars_among_hot_pixels_show_their_shape() -> None:
    pixels, seen = few_stars(stars=7, hot=30)
    shape = measure_stars(
        pixels, x=seen["XWIN_IMAGE"].to_numpy(), y=seen["YWIN_IMAGE"].to_numpy(),
        flux=seen["FLUX"].to_numpy(), flags=seen["FLAGS_EXTRACTION"].to_numpy(),
        fwhm_px=3.5, gain=np.inf, saturation=5e4,
    )  # fmt: skip
    assert shape is not None
    assert shape.n_stars == 7
    assert shape.psf.fwhm_px == pytest.approx(2.6, rel=0.03)
    assert shape.total_over_auto == pytest.approx(1.05, rel=0.03)


@dataclass(frozen=True)
class Flat:
    """A chip whose pixels are degrees."""

    offset: float

    def pixels_of(self, ra: pd.Series, dec: pd.Series) -> np.ndarray:
        return np.column_stack([ra - self.offset, dec])


@pytest.mark.parametrize("stars", [20, 0])
def test_a_chip_with_too_few_stars_gets_its_movers(tmp_path: Path, stars: int) -> None:
    """With the shape of another chip, or a round one: a mover in some exposures only is not found."""
    chips = []
    for number, there in enumerate((stars, 2)):
        pixels, seen = few_stars(stars=there, hot=0)
        path = tmp_path / f"{number}.fits"
        fits.PrimaryHDU(pixels).writeto(path)
        digits = Digits(path=path, offset=2880, bitpix=-64, width_px=300, height_px=300)
        chips.append(
            ChipLight(digits=digits, solved=Flat(1000.0 * number), detections=seen, one_count_mag=25.0,
                      fwhm_px=2.9, gain=np.inf, saturation=5e4)
        )  # fmt: skip
    before = [chip.digits.read() for chip in chips]
    where = {name: [137.0, 1137.0] for name in ("ra_start", "ra", "ra_end")}
    where |= {name: [137.0, 137.0] for name in ("dec_start", "dec", "dec_end")}
    movers = pd.DataFrame({**where, "mag": 15.0})  # 10000 counts
    assert paint_exposure(chips, movers, rng=np.random.default_rng(1)).all()
    painted = [(chip.digits.read() - old).sum() for chip, old in zip(chips, before, strict=True)]
    assert painted == pytest.approx([1.05e4, 1.05e4], rel=0.03)


@pytest.mark.binaries
def test_when_no_mover_can_be_counted_the_field_says_so(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    night = shared_sky(tmp_path_factory, **ONE_FIELD)
    fast = {**FEW, "INJECT_RATE": "5000,5000"}  # out of the field before the second exposure
    out = run(tmp_path / "out", night.directory, reference=night.refcat, **fast)
    assert counts(out).empty
    (log,) = out.target.glob("20*/*/logs/sequence.log")
    why = "completeness not measured: no injected mover was whole on a chip in 4 calibrated exposures"
    assert why in log.read_text()


def test_movers_are_drawn_from_the_set_of_exposures_alone() -> None:
    digests = ["c", "a", "b"]
    first = draw_movers(seed=seed_of(digests), **DRAW)
    pd.testing.assert_frame_equal(first, draw_movers(seed=seed_of(sorted(digests)), **DRAW))
    assert not first.equals(draw_movers(seed=seed_of(digests[:2]), **DRAW))
    assert first["mag"].between(18.0, 22.0).all()
    assert first["rate"].between(2.0, 1000.0).all()
    assert np.median(np.log10(first["rate"])) == pytest.approx(np.log10(np.sqrt(2000.0)), abs=0.2)
    east = (first["ra"] + 0.1 + 180.0) % 360.0 - 180.0
    assert np.abs(east).max() * 0.5 == pytest.approx(0.2, abs=0.01)  # cos(60 deg)
    assert (first["dec"] - 60.0).abs().max() == pytest.approx(0.1, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["u1", ">i2", "u2", ">i4", ">f4", ">f8"]),
    hits=st.lists(
        st.tuples(st.integers(0, 34), st.floats(-1e5, 1e5)), max_size=6, unique_by=lambda hit: hit[0]
    ),
)
def test_digits_are_astropys_and_no_other_pixel_changes(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, hits: list[tuple[int, float]]
) -> None:
    path = tmp_path_factory.mktemp("digits") / "a.fits"
    kind = np.dtype(dtype)
    image = (np.arange(35).reshape(5, 7) * 3).astype(kind)
    fits.PrimaryHDU(image).writeto(path)  # unsigned ones with BZERO
    with fits.open(path) as hdus:
        offset = hdus.fileinfo(0)["datLoc"]
    header = fits.getheader(path)
    zero = 32768.0 if dtype == "u2" else 0.0
    digits = Digits(path=path, offset=offset, bitpix=header["BITPIX"], width_px=7, height_px=5, zero=zero)
    np.testing.assert_array_equal(digits.read(), image.astype(float))
    pixel = np.array([where for where, _ in hits], dtype=np.intp)
    value = np.array([value for _, value in hits])
    digits.write(pixel, value)
    expected = image.astype(float).ravel()
    if kind.kind == "f":
        expected[pixel] = value.astype(kind)
    else:
        limits = np.iinfo(kind)
        expected[pixel] = np.clip(np.rint(value - zero) + zero, limits.min, limits.max)
    np.testing.assert_array_equal(fits.getdata(path).astype(float).ravel(), expected)


def test_blank_and_nan_pixels_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.full((4, 4), -9, dtype=np.int16))
    hdu.header["BLANK"] = -9
    hdu.writeto(path)
    with fits.open(path) as hdus:
        offset = hdus.fileinfo(0)["datLoc"]
    digits = Digits(path=path, offset=offset, bitpix=16, width_px=4, height_px=4, blank=-9)
    assert np.isnan(digits.read()).all()
    digits.write(np.array([0, 1]), np.array([np.nan, 5.0]))
    assert fits.getdata(path, do_not_scale_image_data=True).ravel()[:3].tolist() == [-9, 5, -9]


@pytest.mark.parametrize("turn", [19.3, 20.0, 20.7])
def test_the_limit_is_where_half_are_found(turn: float) -> None:
    rng = np.random.default_rng(int(turn * 10))
    mag = np.arange(17.25, 23.0, 0.5)
    n = np.full(len(mag), 60)
    found = rng.binomial(n, 1.0 / (1.0 + np.exp((mag - turn) / 0.2)))
    assert half_magnitude(mag, n, found) == pytest.approx(turn, abs=0.15)
    assert np.isnan(half_magnitude(mag, n, n))
    assert np.isnan(half_magnitude(mag, n, 0 * n))
    assert np.isnan(half_magnitude(mag, n // 60, found // 60))  # too few
