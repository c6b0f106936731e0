"""Stars that are trails, as the telescope followed something else, are catalogued as wholes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from ssosd.analysis.forced.profile import round_shape, trail_profile
from ssosd.errors import BadInput
from ssosd.ingest.exposure import read_exposure
from ssosd.ingest.trails import search
from ssosd.ingest.trails.shape import drawn_out, measure_trail
from ssosd.ingest.trails.whole import with_whole_trails
from ssosd.ldac import LdacChip, read_ldac
from ssosd.model import HeaderKeywords
from tests.sky import catalogue_of, small_sky

LENGTH, ANGLE, FWHM = 24.0, np.radians(-35.0), 3.0
SKY, NOISE, GAIN = 500.0, 10.0, 2.0
_COLUMNS = (
    *("XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE"),
    *("AWIN_IMAGE", "BWIN_IMAGE", "THETAWIN_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO", "MAG_AUTO", "MAGERR_AUTO"),
    *("SNR_WIN", "FWHM_IMAGE", "ALPHAWIN_J2000", "DELTAWIN_J2000", "FLUX_RADIUS"),
)


def painted(
    shape: tuple[int, int], x: Any, y: Any, flux: Any, length: float = LENGTH, seed: int | None = 1
) -> np.ndarray:
    """Trails, or points, on a noisy sky."""
    image = np.full(shape, SKY)
    rows, columns = np.mgrid[1 : shape[0] + 1, 1 : shape[1] + 1].astype(float)
    for one_x, one_y, one in zip(x, y, flux, strict=True):
        near = (np.abs(columns - one_x) < 30) & (np.abs(rows - one_y) < 30)
        dx, dy = columns[near] - one_x, rows[near] - one_y
        n = np.ones(dx.size)
        light, _, _ = trail_profile(dx, dy, shape=round_shape(FWHM), length=length * n, angle=ANGLE * n)
        image[near] += one * light
    if seed is not None:
        rng = np.random.default_rng(seed)
        image += rng.normal(0.0, np.sqrt(NOISE**2 + (image - SKY) / GAIN))
    return image


def detections(x: Any, y: Any, flux: Any, *, a: float = 5.0, b: float = 1.4) -> np.ndarray:
    """What SExtractor might say of them."""
    kinds = [("NUMBER", "i4"), ("FLAGS", "i2"), *((name, "f8") for name in _COLUMNS)]
    rows = np.zeros(len(x), dtype=kinds)
    rows["NUMBER"] = np.arange(1, len(x) + 1)
    rows["XWIN_IMAGE"], rows["YWIN_IMAGE"], rows["FLUX_AUTO"] = x, y, flux
    rows["AWIN_IMAGE"], rows["BWIN_IMAGE"], rows["THETAWIN_IMAGE"] = a, b, np.degrees(ANGLE)
    rows["ALPHAWIN_J2000"] = 50.0 + np.asarray(x) / 3600.0
    rows["DELTAWIN_J2000"] = np.asarray(y) / 3600.0
    rows["FLUX_RADIUS"] = 3.0
    return rows


def catalogued(image: np.ndarray, rows: np.ndarray, folder: Path) -> np.ndarray | None:
    path = folder / "image.fits"
    fits.writeto(path, image.astype(np.float32), overwrite=True)
    header = fits.Header([("SEXGAIN", GAIN), ("SEXMGZPT", 25.0)])
    whole = with_whole_trails([LdacChip(header=header, objects=rows)], path)
    return None if whole is None else whole[0].objects


@pytest.fixture
def field() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles and light of trails that keep apart."""
    x, y = (v.ravel() for v in np.meshgrid(np.arange(40.0, 400.0, 60.0), np.arange(40.0, 400.0, 50.0)))
    rng = np.random.default_rng(5)
    x, y = x + rng.uniform(-8.0, 8.0, x.size), y + rng.uniform(-6.0, 6.0, y.size)
    return x, y, np.geomspace(4e3, 2e5, x.size)[rng.permutation(x.size)]


def test_of_round_stars_not_even_the_pixels_are_read(field: Any) -> None:
    rows = detections(*field, a=1.4, b=1.3)
    assert with_whole_trails([LdacChip(header=fits.Header(), objects=rows)], Path("no-such-file")) is None
    rows["THETAWIN_IMAGE"] = np.linspace(-90.0, 90.0, len(rows))  # galaxies, of all directions
    rows["AWIN_IMAGE"] = 5.0
    assert drawn_out(rows)[0].size == 0


def test_length_angle_and_width_are_measured_on_the_pixels(field: Any) -> None:
    x, y, flux = field
    image = (painted((420, 420), x, y, flux) - SKY).astype(np.float32)
    rng = np.random.default_rng(2)
    u = rng.uniform(-8.0, 8.0, x.size)  # windows stand anywhere on a trail, and are not sure of its angle
    bright = flux > 2e4
    x, y = (x + u * np.cos(ANGLE))[bright], (y + u * np.sin(ANGLE))[bright]
    trail = measure_trail(image, x, y, ANGLE + np.radians(4.0))
    assert trail is not None
    assert trail.length == pytest.approx(LENGTH, abs=0.3)
    assert np.degrees(trail.angle - ANGLE) == pytest.approx(0.0, abs=0.3)
    assert trail.fwhm == pytest.approx(FWHM, abs=0.15)


def test_what_is_of_many_lengths_is_no_trail_of_a_star() -> None:
    x, y = np.full(12, 60.0), np.arange(40.0, 640.0, 50.0)
    image = np.zeros((660, 120), dtype=np.float32)
    for k, length in enumerate(np.linspace(6.0, 50.0, x.size)):
        image += painted(image.shape, x[k : k + 1], y[k : k + 1], [1e5], length=length, seed=None) - SKY
    assert measure_trail(image, x, y, ANGLE) is None


def test_pieces_become_a_trail_with_the_place_of_its_middle(field: Any, tmp_path: Path) -> None:
    x, y, flux = field
    image = painted((420, 420), x, y, flux)
    at = np.array([-9.0, 0.5, 8.0])  # three pieces of each
    px, py = ((v[:, None] + at * by).ravel() for v, by in ((x, np.cos(ANGLE)), (y, np.sin(ANGLE))))
    rows = detections(px, py, np.repeat(flux / 3.0, 3))
    rows["FLAGS"][0] = 4
    missed = np.arange(6, 9)  # SExtractor found nothing of the third
    whole = catalogued(image, np.delete(rows, missed), tmp_path)
    assert whole is not None
    assert len(whole) <= len(x) + 2  # chance adds one or none of 4 sigma
    whole = whole[whole["SNR_WIN"] > 6.0]
    off, star = cKDTree(np.column_stack([x, y])).query(
        np.column_stack([whole["XWIN_IMAGE"], whole["YWIN_IMAGE"]])
    )
    assert sorted(star) == list(range(len(x)))
    error = np.hypot(whole["ERRAWIN_IMAGE"], whole["ERRBWIN_IMAGE"])
    assert np.median(off[flux[star] > 2e4]) < 0.1
    assert 0.3 < np.median(off / error) < 1.3  # 1.18 for one error in each direction, and less for two
    assert np.median(whole["FLUX_AUTO"] / flux[star]) == pytest.approx(1.0, abs=0.1)
    assert np.median(whole["MAG_AUTO"] + 2.5 * np.log10(whole["FLUX_AUTO"])) == pytest.approx(25.0)
    assert whole["FLAGS"][star == 0] == 4
    own = rows["NUMBER"][: 3 * len(x)].reshape(-1, 3)
    inner = star != 2
    assert all(number in own[k] for number, k in zip(whole["NUMBER"][inner], star[inner], strict=True))
    assert whole["NUMBER"][star == 2] > rows["NUMBER"][missed[-1]]
    assert np.isnan(whole["FLUX_RADIUS"][star == 2]).all()  # nobody measured it
    sky = 3600.0 * (whole["ALPHAWIN_J2000"] - 50.0) - whole["XWIN_IMAGE"]
    assert np.abs(sky).max() < 1e-3


def test_a_point_on_a_trail_is_parted_from_it(field: Any, tmp_path: Path) -> None:
    """It is what goes to the Minor Planet Center."""
    x, y, flux = field
    k = np.argsort(np.abs(flux - 3e4))[0]
    point = (
        x[k] + 6.0 * np.cos(ANGLE) - 1.5 * np.sin(ANGLE),
        y[k] + 6.0 * np.sin(ANGLE) + 1.5 * np.cos(ANGLE),
    )
    image = painted((420, 420), x, y, flux)
    image += painted((420, 420), [point[0]], [point[1]], [8e3], length=0.0, seed=None) - SKY
    between = point[0] + 1.0, point[1] - 1.4  # drawn to the trail
    rows = detections(np.append(x, between[0]), np.append(y, between[1]), np.append(flux, 1e4))
    whole = catalogued(image, rows, tmp_path)
    assert whole is not None
    own = whole[whole["NUMBER"] == len(rows)][0]
    assert np.hypot(own["XWIN_IMAGE"] - point[0], own["YWIN_IMAGE"] - point[1]) < 0.25
    assert own["AWIN_IMAGE"] == own["BWIN_IMAGE"]
    assert own["FLUX_AUTO"] == pytest.approx(8e3, rel=0.15)
    star = whole[whole["NUMBER"] == k + 1][0]
    assert np.hypot(star["XWIN_IMAGE"] - x[k], star["YWIN_IMAGE"] - y[k]) < 0.3


def test_a_large_chip_is_searched_in_strips_with_the_same_result(
    field: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, flux = field
    image, rows = painted((420, 420), x, y, flux), detections(x, y, flux)
    once = catalogued(image, rows, tmp_path)
    monkeypatch.setattr(search, "_STRIP", 100)
    monkeypatch.setattr(search, "_STRIP_TRAILS", 1)
    strips = catalogued(image, rows, tmp_path)
    assert once is not None
    assert strips is not None
    assert list(once["NUMBER"]) == list(strips["NUMBER"])
    for name in ("XWIN_IMAGE", "YWIN_IMAGE", "FLUX_AUTO"):
        assert strips[name] == pytest.approx(once[name], rel=1e-3, abs=2e-3)


@pytest.mark.binaries
def test_the_catalogue_of_a_followed_exposure(tmp_path: Path) -> None:
    """SExtractor finds trails of 9 FWHM in pieces; the middles tell where the field is."""
    rate = np.array([1500.0, 700.0])
    night = small_sky(
        tmp_path / "raw", exposures=1, exptimes_s=(48.0,), follow_arcsec_h=tuple(rate), placed=(), stars=150,
        star_mags=(13.0, 20.0), pointing_error_arcsec=0.0, dither_arcsec=0.0, jitter_s=0.0,
    )  # fmt: skip
    path = night.directory / str(night.exposures["path"].iloc[0])
    exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
    first = catalogue_of(exposure, tmp_path)
    (chip,) = read_ldac(first)
    long = chip.objects[chip.objects["AWIN_IMAGE"] > 4.0 * chip.objects["BWIN_IMAGE"]]
    assert len(long) > 60
    assert np.unique(long["AWIN_IMAGE"]).size == 1
    assert np.sqrt(12.0) * long["AWIN_IMAGE"][0] == pytest.approx(np.hypot(*rate) * 48.0 / 3600.0, rel=0.1)


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_an_image_that_is_cut_short_is_named(tmp_path: Path) -> None:
    x, y, flux = np.linspace(30, 170, 10), np.linspace(30, 170, 10), np.full(10, 1e5)
    path = tmp_path / "image.fits"
    fits.writeto(path, painted((200, 200), x, y, flux).astype(np.float32))
    path.write_bytes(path.read_bytes()[:60_000])
    chip = LdacChip(header=fits.Header(), objects=detections(x, y, flux))
    with pytest.raises(BadInput, match=r"image\.fits"):
        with_whole_trails([chip], path)
