"""The painter against independent authorities: astropy's WCS and sky geometry, the real SExtractor and SCAMP."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from ssosd.analysis.painter.artefacts import make_detector
from ssosd.analysis.painter.movers import ephemeris, mover_list, positions, trails
from ssosd.analysis.painter.night import FAST, MAIN_BELT, PlacedMover, paint_night
from ssosd.analysis.painter.options import SkyOptions
from ssosd.analysis.painter.psf import Psf, Sources, add_sources
from ssosd.analysis.painter.sources import power_law_mags
from ssosd.analysis.painter.truth import TRUTH_COLUMNS
from ssosd.errors import Misconfigured
from ssosd.sphere import separation_arcsec
from tests.sky import MOVERS, extract, shared_sky, sky, small_options, small_sky, solve  # noqa: F401

#: Nothing but stars, on a perfect telescope: what the header says is true.
IDEAL = {
    "pointing_error_arcsec": 0.0,
    "galaxies": 0,
    "hot_pixels": 0,
    "cosmics": 0.0,
    "sky_gradient": 0.0,
    "placed": (),
}
TINY = {"size_px": (128, 128), "exposures": 2, "stars": 10, "galaxies": 2}


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def header_of(path: Path) -> fits.Header:
    with fits.open(path) as hdus:
        return next(hdu.header for hdu in hdus if hdu.header.get("NAXIS") == 2)


def matched(found: pd.DataFrame, x, y, within: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Row of the nearest detection for each place, and which places have one."""
    distance, row = KDTree(found[["XWIN_IMAGE", "YWIN_IMAGE"]]).query(np.column_stack([x, y]))
    return row, distance < within


def pixels_of_stars(night, image: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Isolated unsaturated stars well on an exposure of an ideal telescope, by astropy's WCS."""
    wcs = WCS(header_of(night.directory / image), fix=False)
    stars = night.stars
    x, y = wcs.all_world2pix(stars["ra"], stars["dec"], 1)
    alone = KDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)[0][:, 1] > 25.0
    good = alone & (stars["mag"] > 14.5) & (stars["mag"] < 17.5)
    good &= (x > 20) & (x < 364) & (y > 20) & (y < 364)
    return stars[good], x[good], y[good]


# --- determinism


def test_the_same_seed_gives_the_same_bytes_in_every_format(tmp_path):
    options = small_options(
        formats=(".fits", ".fits.fz", ".fits.gz"),
        satellites=1.0,
        movers=(MAIN_BELT,),
        **{**TINY, "exposures": 3},
    )
    for folder in ("a", "b"):
        paint_night(tmp_path / folder, options)
    first = digests(tmp_path / "a")
    assert first == digests(tmp_path / "b")
    paint_night(tmp_path / "c", replace(options, seed=2))
    other = digests(tmp_path / "c")
    assert set(other) == set(first)
    assert not [name for name in first if first[name] == other[name]]


def test_more_exposures_do_not_change_the_earlier_ones(tmp_path):
    offsets = (0.0, 15.0, 20.0, 30.0)  # the middle of the night, where the movers are placed, stays at 15 min
    small_sky(tmp_path / "a", **TINY, visit_offsets_min=(0.0, 30.0))
    small_sky(tmp_path / "b", **{**TINY, "exposures": 4}, visit_offsets_min=offsets)
    name = "20261114_F01_001.fits"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


# --- light


@pytest.mark.parametrize(
    ("kind", "fwhm"), [("moffat", 2.4), ("gaussian", 2.4), ("moffat", 1.6), ("gaussian", 4.0)]
)
def test_profiles_are_integrated_over_pixels(kind, fwhm):
    psf = Psf(kind=kind, beta=3.0, fwhm_px=fwhm)
    image = np.zeros((41, 41))
    add_sources(image, Sources([20.3], [21.4], [1000.0]), psf=psf, floor_e=1e-6)
    n = 25  # brute force: 25 x 25 points a pixel, profiles written out from their definitions
    fine = 0.5 + (np.arange(41 * n) + 0.5) / n
    r2 = (fine[None, :] - 20.3) ** 2 + (fine[:, None] - 21.4) ** 2
    if kind == "gaussian":
        sigma2 = (fwhm / 2.354820045) ** 2
        f = np.exp(-r2 / 2.0 / sigma2) / (2.0 * np.pi * sigma2)
    else:
        alpha2 = (fwhm / 2.0) ** 2 / (2.0 ** (1.0 / 3.0) - 1.0)
        f = 2.0 / (np.pi * alpha2) * (1.0 + r2 / alpha2) ** -3.0
    expected = 1000.0 * f.reshape(41, n, 41, n).mean(axis=(1, 3))
    assert np.abs(image - expected).max() < 0.003 * expected.max()
    assert image.sum() == pytest.approx(1000.0, rel=0.002)


def test_elongated_sources_keep_their_light_and_direction():
    image = np.zeros((101, 101))
    source = Sources([51.0], [51.0], [1e4], extent_px=6.0, axis_ratio=0.4, theta_deg=30.0)
    add_sources(image, source, psf=Psf(kind="gaussian", fwhm_px=2.4), floor_e=1e-6)
    dy, dx = np.mgrid[-50:51, -50:51]
    xx, yy, xy = ((image * m).sum() / image.sum() for m in (dx**2, dy**2, dx * dy))
    assert image.sum() == pytest.approx(1e4, rel=0.002)
    assert np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) == pytest.approx(30.0, abs=0.5)
    major, minor = np.linalg.eigvalsh([[xx, xy], [xy, yy]])[::-1]
    assert np.sqrt((minor - 1 / 12) / (major - 1 / 12)) == pytest.approx(0.4, abs=0.01)


def test_a_trail_has_its_length_and_direction_and_its_middle_at_mid_exposure(tmp_path):
    mover = PlacedMover(name="T", rate_arcsec_h=900.0, pa_deg=60.0, mag=13.5)
    options = {"exposures": 1, "stars": 0, **IDEAL, "psf": "gaussian", "dither_arcsec": 0.0, "bleeds": False}
    night = small_sky(tmp_path, **{**options, "placed": (mover,)})
    image = fits.getdata(night.paths[0]).astype(float)
    image -= np.median(image)
    truth = night.truth.iloc[0]
    assert truth["trail_px"] == pytest.approx(30.0, abs=0.01)  # 900 "/h in 120 s at 1 "/px
    x, y = round(truth["x"]), round(truth["y"])
    box = image[y - 36 : y + 35, x - 36 : x + 35]
    dy, dx = np.mgrid[-35:36, -35:36]
    mean_x, mean_y = ((box * m).sum() / box.sum() for m in (dx, dy))
    assert np.hypot(x + mean_x - truth["x"], y + mean_y - truth["y"]) < 0.1
    xx, yy, xy = (
        (box * m).sum() / box.sum()
        for m in ((dx - mean_x) ** 2, (dy - mean_y) ** 2, (dx - mean_x) * (dy - mean_y))
    )
    major, minor = np.linalg.eigvalsh([[xx, xy], [xy, yy]])[::-1]
    assert np.sqrt(12.0 * (major - minor)) == pytest.approx(30.0, rel=0.03)  # variance of a rod: L^2 / 12
    # position angle 60: to the north-east, that is up and left in an image with east on the left
    assert np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) % 180.0 == pytest.approx(150.0, abs=2.0)


def test_a_telescope_that_follows_an_object_draws_the_stars_out(tmp_path):
    rate, pa = 900.0, np.radians(60.0)
    mover = PlacedMover(name="T", rate_arcsec_h=900.0, pa_deg=60.0, mag=13.5, east_arcsec=20.0)
    options = {"exposures": 3, "stars": 5, "cadence_min": 4.0, **IDEAL, "psf": "gaussian", "galaxies": 0}
    follow = (rate * np.sin(pa), rate * np.cos(pa))
    night = small_sky(
        tmp_path, **{**options, "placed": (mover,)}, dither_arcsec=0.0, bleeds=False, spikes=False,
        star_mags=(13.5, 14.0), follow_arcsec_h=follow, jitter_s=0.0,
    )  # fmt: skip
    truth = night.truth
    assert truth["trail_px"].max() < 0.1
    assert np.ptp(truth["x"]) < 0.1  # it stands still
    assert np.ptp(truth["y"]) < 0.1
    image = fits.getdata(night.paths[1]).astype(float)
    image -= np.median(image)
    x, y = WCS(header_of(night.paths[1]), fix=False).all_world2pix(night.stars["ra"], night.stars["dec"], 1)
    inside = (x > 45) & (x < 340) & (y > 45) & (y < 340)
    apart = [np.sort(np.hypot(x - u, y - v))[1] > 70.0 for u, v in zip(x, y, strict=True)]
    alone = np.flatnonzero(inside & apart & (np.hypot(x - truth["x"][1], y - truth["y"][1]) > 60.0))
    assert alone.size
    for k in alone:
        u, v = round(x[k]), round(y[k])
        box = image[v - 36 : v + 35, u - 36 : u + 35]
        dy, dx = np.mgrid[-35:36, -35:36]
        mean_x, mean_y = ((box * m).sum() / box.sum() for m in (dx, dy))
        # the truth at mid-exposure is the middle of the trail; the header may point beside by 3 arcsec
        assert np.hypot(u + mean_x - x[k], v + mean_y - y[k]) < 3.5
        xx, yy, xy = (
            (box * m).sum() / box.sum()
            for m in ((dx - mean_x) ** 2, (dy - mean_y) ** 2, (dx - mean_x) * (dy - mean_y))
        )
        major, minor = np.linalg.eigvalsh([[xx, xy], [xy, yy]])[::-1]
        assert np.sqrt(12.0 * (major - minor)) == pytest.approx(30.0, rel=0.05)
        assert np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) % 180.0 == pytest.approx(150.0, abs=3.0)


def test_optimal_snr_is_that_of_the_formula():
    psf = Psf(kind="gaussian", fwhm_px=3.0)
    place = np.full((3, 1), 50.0)
    painted = trails(place, place, np.array([500.0]), shape=(101, 101), psf=psf, floor_e=1e-6)
    # faint source on a bright sky: F / sqrt(4 pi sigma^2 V), King 1983, PASP 95, 163; sigma^2 of a pixel added
    sigma2 = (3.0 / 2.3548) ** 2 + 1.0 / 12.0
    expected = 500.0 / np.sqrt(4.0 * np.pi * sigma2 * 3000.0)
    assert painted.snr(np.full((101, 101), 3000.0))[0] == pytest.approx(expected, rel=0.03)
    # contamination: a neighbour of the same light at the same place
    own = np.zeros((101, 101))
    np.add.at(own.reshape(-1), painted.pixel, painted.charge_e)
    assert painted.contamination(2.0 * own)[0] == pytest.approx(1.0)
    assert painted.contamination(own)[0] == pytest.approx(0.0, abs=1e-12)
    off = trails(place - 500.0, place, np.array([500.0]), shape=(101, 101), psf=psf, floor_e=1e-6)
    assert np.isnan(off.snr(np.full((101, 101), 3000.0))[0])


@pytest.mark.binaries
@pytest.mark.parametrize("psf", ["gaussian", "moffat"])
def test_stars_are_where_and_as_bright_as_the_truth_says(tmp_path, psf):
    flat = {"star_mags": (14.5, 17.5), "star_slope": 0.0}
    night = small_sky(tmp_path, **IDEAL, psf=psf, exposures=2, clouds=((2, 1.0),), stars=50, **flat)
    for row in night.exposures.itertuples():
        stars, x, y = pixels_of_stars(night, row.image)
        found = extract(night.directory / row.path, tmp_path / "cats", zero_point=row.zp_adu, aperture_px=24)[
            0
        ]
        nearest, ok = matched(found, x, y)
        assert ok.sum() > 10
        assert ok.all()
        seen = found.iloc[nearest]
        offset = np.array([seen["XWIN_IMAGE"] - x, seen["YWIN_IMAGE"] - y])
        bright = (stars["mag"] < 16.5).to_numpy()
        assert np.sqrt((offset[:, bright] ** 2).mean()) < 0.05
        assert np.abs(offset[:, bright].mean(axis=1)).max() < 0.03
        assert abs(np.median(seen["MAG_APER"].to_numpy() - stars["mag"].to_numpy())) < 0.03
        assert np.abs(seen["MAG_APER"].to_numpy() - stars["mag"].to_numpy())[bright].max() < 0.05
        assert abs(np.median(seen["FWHM_IMAGE"]) / row.seeing - 1.0) < 0.2
    first, second = night.exposures.itertuples()
    assert first.zp - second.zp == pytest.approx(1.0, abs=0.1)  # a magnitude of cloud


@pytest.mark.binaries
def test_movers_are_where_and_as_bright_as_the_truth_says(sky, tmp_path):  # noqa: F811
    residuals = []
    for row in sky.exposures.itertuples():
        truth = sky.truth[(sky.truth["image"] == row.image) & (sky.truth["contam"] < 0.01)]
        found = extract(sky.directory / row.path, tmp_path, zero_point=row.zp_adu)[0]
        nearest, ok = matched(found, truth["x"], truth["y"])
        assert ok.all()
        seen = found.iloc[nearest]
        residuals += [seen["XWIN_IMAGE"].to_numpy() - truth["x"], seen["YWIN_IMAGE"].to_numpy() - truth["y"]]
        assert np.abs(seen["MAG_APER"].to_numpy() - truth["mag"]).max() < 0.15
        assert np.allclose(seen["SNR_WIN"], truth["snr"], rtol=0.15)  # SExtractor's window is near optimal
    assert np.sqrt(np.mean(np.concatenate(residuals) ** 2)) < 0.1


def test_colours_are_those_asked_for(tmp_path):
    night = small_sky(tmp_path, **TINY, filters=("g", "r"), colours_mag=(0.6, 0.0))
    mags = night.truth.pivot_table(index="id", columns="visit", values="mag")
    assert np.allclose(mags[1] - mags[2], 0.6)
    assert [fits.getheader(p)["FILTER"] for p in night.paths] == ["g", "r"]
    flux = [fits.getdata(p).astype(float) for p in night.paths]
    assert flux[1].max() > 1.3 * flux[0].max()


# --- motion


@settings(max_examples=60, deadline=None)
@given(
    ra=st.floats(0.0, 359.999),
    dec=st.floats(-89.9, 89.9),
    rate=st.floats(0.1, 3000.0),
    pa=st.floats(0.0, 359.9),
    hours=st.floats(-8.0, 8.0),
)
def test_uniform_motion_is_along_great_circles(ra, dec, rate, pa, hours):
    mover = pd.DataFrame(
        {"ra": [ra], "dec": [dec], "rate": [rate], "pa": [pa], "acc_east": [0.0], "acc_north": [0.0]}
    )
    got = positions(mover, hours)
    start = SkyCoord(ra * u.deg, dec * u.deg)
    expected = start.directional_offset_by(pa * u.deg, rate * hours * u.arcsec)
    assert separation_arcsec(*got, expected.ra.deg, expected.dec.deg)[0] < 1e-4


@pytest.mark.parametrize("center", [(0.0, 10.0), (120.0, 80.0), (250.0, -80.0), (10.0, 89.99)])
def test_rates_angles_and_places_agree_at_ra_0_and_the_poles(tmp_path, center):
    night = small_sky(
        tmp_path, **{**TINY, "size_px": (384, 384), "stars": 0, "exposures": 3}, centers_deg=(center,)
    )
    assert night.truth["ra"].between(0.0, 360.0, inclusive="left").all()
    for mover in MOVERS:
        path = night.truth[night.truth["id"] == mover.name]
        seen = SkyCoord(path["ra"].to_numpy() * u.deg, path["dec"].to_numpy() * u.deg)
        hours = np.diff(path["mjd_mid"]) * 24.0
        rates = seen[:-1].separation(seen[1:]).arcsec / hours
        assert np.allclose(rates, mover.rate_arcsec_h, atol=1e-3)
        assert np.allclose(path["rate"], mover.rate_arcsec_h, atol=1e-3)
        angle = seen[0].position_angle(seen[1]).deg
        assert abs((angle - path["pa"].iloc[0] + 180.0) % 360.0 - 180.0) < 0.01
    # and pixels by astropy: header and truth differ by the pointing error only
    for image, rows in night.truth.groupby("image"):
        x, y = WCS(header_of(night.directory / image), fix=False).all_world2pix(rows["ra"], rows["dec"], 1)
        offset = np.hypot(x - rows["x"], y - rows["y"])
        assert np.allclose(offset, 3.0, atol=0.02)


def test_parallax_bends_paths_as_much_as_asked():
    options = small_options(movers=(replace(MAIN_BELT, count=400),), placed=(), curvature_per_h=0.012)
    movers = mover_list(options, 1, first_number=1)
    acceleration = np.hypot(movers["acc_east"], movers["acc_north"]) / movers["rate"]
    assert acceleration.mean() == pytest.approx(0.012, rel=0.1)
    early, late = (ephemeris(movers, hours=h, exptime_s=60.0, colour_mag=0.0) for h in (-1.0, 1.0))
    turned = np.abs(late["rate"] - early["rate"]) / movers["rate"]
    assert 0.003 < turned.median() < 0.03


def test_the_main_belt_goes_backwards_along_the_ecliptic():
    options = small_options(movers=(replace(MAIN_BELT, count=200),), centers_deg=((90.0, 23.44),))
    pa = mover_list(options, 1, first_number=1)["pa"].head(200)
    # at RA 90 the ecliptic runs along RA: retrograde is due west, 270
    assert pa.between(245.0 - 0.2, 295.0 + 0.2).all()
    assert abs(pa.median() - 270.0) < 5.0


def test_populations_have_their_ranges_and_slopes():
    rng = np.random.default_rng(3)
    mags = power_law_mags(rng, 20000, limits=(15.0, 20.0), slope=0.3)
    assert mags.min() >= 15.0
    assert mags.max() <= 20.0
    counts = np.histogram(mags, bins=np.arange(15.0, 20.5))[0]
    assert np.allclose(np.diff(np.log10(counts[1:])), 0.3, atol=0.06)
    options = small_options(movers=(replace(FAST, count=300, pa_deg=(90.0, 90.0)),), placed=())
    movers = mover_list(options, 1, first_number=5)
    assert movers["rate"].between(300.0, 2000.0).all()
    assert (movers["pa"] == 90.0).all()
    assert movers["id"].iloc[0] == "M00005"
    assert movers["id"].is_unique


# --- pointing, header, files


@pytest.mark.parametrize("error", [0.0, 3.0, 30.0])
def test_the_header_is_wrong_by_the_pointing_error(tmp_path, error):
    night = small_sky(
        tmp_path, **TINY, pointing_error_arcsec=error, rotation_error_deg=0.5, rotation_deg=20.0
    )
    for row in night.exposures.itertuples():
        header = header_of(night.directory / row.path)
        off = separation_arcsec(header["CRVAL1"], header["CRVAL2"], row.ra, row.dec)
        assert off == pytest.approx(error, abs=1e-6)
        angle = np.degrees(np.arctan2(header["CD1_2"], header["CD2_2"]))
        assert abs(angle - 20.0) == pytest.approx(0.5, abs=0.01)  # north turns a little on 30 arcsec


def test_distortion_is_in_the_pixels_and_not_in_the_header(tmp_path):
    corner = PlacedMover(name="C", east_arcsec=-185.0, north_arcsec=185.0, rate_arcsec_h=1.0)
    centre = PlacedMover(name="O", rate_arcsec_h=1.0)
    night = small_sky(
        tmp_path,
        **{**IDEAL, "placed": (corner, centre), "dither_arcsec": 0.0},
        exposures=1,
        distortion_px=2.0,
    )
    truth = night.truth.set_index("id")
    x, y = WCS(header_of(night.paths[0]), fix=False).all_world2pix(truth["ra"], truth["dec"], 1)
    shift = pd.Series(np.hypot(truth["x"] - x, truth["y"] - y), truth.index)
    assert shift["O"] < 1e-3
    assert shift["C"] == pytest.approx(2.0 * (185.0 / 192.0) ** 3, abs=0.02)


def test_dithers_and_drift(tmp_path):
    night = small_sky(tmp_path, **{**TINY, "exposures": 4}, dither_arcsec=5.0, drift_arcsec=(0.0, 40.0))
    north = (night.exposures["dec"] - 18.0) * 3600.0 - 40.0 * np.arange(4)
    assert north.abs().max() <= 5.0
    assert north.std() > 0.5


def test_times_of_header_and_truth_agree(tmp_path):
    night = small_sky(tmp_path, **TINY, exptimes_s=(120.0, 45.5), visit_offsets_min=(0.0, 200.0))
    for row in night.exposures.itertuples():
        header = header_of(night.directory / row.path)
        start = Time(header["DATE-OBS"], scale="utc")
        assert start.mjd == pytest.approx(row.mjd_start, abs=1e-9)
        mid = start.mjd + header["EXPTIME"] / 172800.0
        assert night.truth.loc[night.truth["image"] == row.image, "mjd_mid"].to_numpy() == pytest.approx(
            mid, abs=1e-9
        )
    assert np.diff(night.exposures["mjd_start"])[0] * 1440.0 == pytest.approx(200.0, abs=0.1)


def test_fields_are_interleaved_and_objects_misspelled(tmp_path):
    night = small_sky(
        tmp_path,
        **TINY,
        centers_deg=((10.0, 5.0), (12.0, 5.0)),
        objects=((1, 2, "f01"), (2, 1, "")),
        formats=(".fits", ".fits.fz"),
    )
    assert [p.name for p in night.paths] == [
        "20261114_F01_001.fits",
        "20261114_F02_001.fits.fz",
        "20261114_F01_002.fits",
        "20261114_F02_002.fits.fz",
    ]
    assert all(a < b for a, b in pairwise(night.exposures["mjd_start"]))
    assert [header_of(p).get("OBJECT") for p in night.paths] == ["F01", None, "f01", "F02"]
    for path in night.paths:
        header = header_of(path)
        keys = (
            "FILTER",
            "GAIN",
            "RDNOISE",
            "SATURATE",
            "INSTRUME",
            "TELESCOP",
            "IMAGETYP",
            "AIRMASS",
            "QRUNID",
        )
        assert not [key for key in keys if key not in header]
    with fits.open(night.paths[1]) as packed:
        assert packed[1].data.dtype == np.uint16


@pytest.mark.binaries
@pytest.mark.parametrize("empty_primary", [True, False])
def test_a_mosaic_is_read_by_sextractor(tmp_path, empty_primary):
    placed = tuple(
        PlacedMover(name=f"{e:+d}{n:+d}", east_arcsec=e, north_arcsec=n, mag=16.0)
        for e in (-140, 140)
        for n in (-140, 140)
    )
    night = small_sky(
        tmp_path,
        chips=(2, 2),
        size_px=(256, 256),
        gap_px=30,
        exposures=1,
        stars=40,
        empty_primary=empty_primary,
        placed=placed,
        rotation_deg=5.0,
    )
    with fits.open(night.paths[0]) as hdus:
        assert [hdu.header["NAXIS"] for hdu in hdus] == ([0] if empty_primary else []) + [2, 2, 2, 2]
        assert hdus[0].header["NEXTEND"] == len(hdus) - 1
        assert hdus[0].header["EXPTIME"] == 120.0
        assert "EXPTIME" not in hdus[-1].header
    tables = extract(night.paths[0], tmp_path / "cats")
    assert len(tables) == 4
    truth = night.truth
    # one mover a chip: lower left of the focal plane is chip 1, in the south-east
    first = int(empty_primary)
    assert truth["ext"].tolist() == [first + 1, first + 3, first, first + 2]
    assert truth["on_detector"].all()
    for row in truth.itertuples():
        _, ok = matched(tables[row.ext - first], [row.x], [row.y], within=0.3)
        assert ok.all()


# --- the sky's other inhabitants


def test_flaws_stay_on_the_detector_and_cosmics_do_not(tmp_path):
    night = small_sky(
        tmp_path, **{**IDEAL, "hot_pixels": 30, "cosmics": 20.0}, bad_columns=2, stars=0, exposures=3
    )
    stack = np.array([fits.getdata(p).astype(float) for p in night.paths])
    sigma = 1.4826 * np.median(np.abs(stack - np.median(stack, axis=(1, 2), keepdims=True)))
    bright = stack - np.median(stack, axis=(1, 2), keepdims=True) > 8.0 * sigma
    dark = make_detector(night.options, 0).dark_e_s * 120.0 / night.options.gain
    hot = (dark > 12.0 * sigma) & (
        np.count_nonzero(dark, axis=0) < 20
    )  # columns that leak are another matter
    assert 5 < hot.sum() <= 30
    assert bright[:, hot].all()
    assert (bright.sum(axis=0) == 1).sum() > 20  # cosmic rays: on one exposure only
    columns = np.median(stack, axis=1) - np.median(stack)
    assert (np.abs(columns) > 5.0 * sigma / np.sqrt(384)).all(axis=0).sum() >= 1


def test_saturated_stars_bleed_along_columns(tmp_path):
    bright = PlacedMover(name="S", rate_arcsec_h=0.01)
    options = {**IDEAL, "star_mags": (8.0, 8.5), "placed": (bright,), "stars": 3, "spikes": False}
    night = small_sky(tmp_path, **options, exposures=1)
    image = fits.getdata(night.paths[0])
    full = image > night.options.saturation_adu
    assert full.sum(axis=0).max() > 40
    assert full.sum(axis=1).max() < 40
    assert image.max() < 63000
    plain = small_sky(tmp_path / "plain", **options, exposures=1, bleeds=False)
    assert (fits.getdata(plain.paths[0]) > night.options.saturation_adu).sum() < full.sum()


def test_satellites_cross_the_whole_chip_and_spoil_what_they_cross(tmp_path):
    options = {**IDEAL, "stars": 0, "exposures": 1}
    clean = fits.getdata(small_sky(tmp_path / "a", **options).paths[0]).astype(float)
    night = small_sky(tmp_path / "b", **{**options, "placed": MOVERS}, satellites=40.0)
    image = fits.getdata(night.paths[0]).astype(float)
    assert np.median(image - np.median(clean)) > 20.0  # forty trails leave little sky
    assert (~night.truth["unblended"]).any()


def test_movers_behind_stars_count_as_blended(tmp_path):
    night = small_sky(tmp_path, **{**TINY, "stars": 0, "galaxies": 0}, placed=(MOVERS[0],))
    assert not night.truth["on_detector"].any()  # 128 px: the mover at (60, 90) arcsec is outside
    assert night.truth["snr"].isna().all()
    assert not night.truth["unblended"].any()
    crowded = small_sky(tmp_path, stars=6000, star_mags=(15.0, 19.0), exposures=1)
    assert (crowded.truth["contam"] > 0.3).any()
    assert not (crowded.truth["detectable"] & (crowded.truth["contam"] >= 0.3)).any()


# --- truth tables and reference


def test_tables_have_the_columns_of_the_simulated_night(sky, shared_data):  # noqa: F811
    for name in ("truth", "known", "stars"):
        theirs = pd.read_csv(shared_data / "sim2" / f"{name}.csv", nrows=50)
        ours = pd.read_csv(sky.directory / f"{name}.csv")
        assert list(ours.columns) == list(theirs.columns)
    truth = pd.read_csv(sky.directory / "truth.csv")
    assert tuple(truth.columns) == TRUTH_COLUMNS
    theirs = pd.read_csv(shared_data / "sim2" / "truth.csv")
    assert {c: d.kind for c, d in truth.dtypes.items()} == {c: d.kind for c, d in theirs.dtypes.items()}


def test_known_movers_are_the_fraction_asked_for_and_near_their_ephemerides(tmp_path):
    night = small_sky(
        tmp_path,
        **{**TINY, "exposures": 1},
        placed=(),
        movers=(replace(MAIN_BELT, count=300),),
        known_fraction=0.4,
    )
    assert night.truth["known"].mean() == pytest.approx(0.4, abs=0.08)
    both = night.known.merge(night.truth, on="id", suffixes=("", "_true"))
    assert len(both) == night.truth["known"].sum()
    assert both["known"].all()
    off = separation_arcsec(both["ra"], both["dec"], both["ra_true"], both["dec_true"])
    assert 0.5 < np.sqrt(np.mean((off / both["unc"]) ** 2)) < 1.5
    assert both["number"].notna().mean() == pytest.approx(0.65, abs=0.12)
    assert both["name"].is_unique
    assert both["name"].str.fullmatch(r"2015 L[A-HJ-Z]\d*").all()


@pytest.mark.binaries
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"centers_deg": ((0.0, -0.01),), "pointing_error_arcsec": 25.0},
        {"centers_deg": ((200.0, 80.0),), "rotation_error_deg": 0.3},
        {
            "chips": (2, 1),
            "size_px": (320, 320),
            "stars": 160,
            "distortion_px": 1.0,
            "centers_deg": ((30.0, -80.0),),
        },
    ],
    ids=["plain", "ra0", "dec+80", "mosaic dec-80"],
)
def test_scamp_solves_against_the_painted_reference(tmp_path, tmp_path_factory, options):
    night = shared_sky(tmp_path_factory, **options)
    solved = solve(night, tmp_path)
    assert len(solved) == 4
    assert solved["contrast"].min() > 3.0
    assert solved["rms"].max() < 0.15


def test_the_reference_is_off_by_its_errors(tmp_path):
    night = small_sky(tmp_path, **{**TINY, "stars": 3000, "exposures": 1}, refcat_error_mas=(20.0, 50.0))
    with fits.open(night.refcat) as hdus:
        table = hdus[2].data
        assert hdus[2].name == "LDAC_OBJECTS"
    stars = night.stars[
        (night.stars["kind"] == "star") & (night.stars["mag"] < night.options.refcat_mag_limit)
    ]
    assert len(table) == len(stars)
    off = separation_arcsec(table["X_WORLD"], table["Y_WORLD"], stars["ra"], stars["dec"]) * 1000.0
    error = table["ERRA_WORLD"] * 3.6e6
    assert error.min() >= 20.0
    assert error.max() <= 50.0
    assert np.sqrt(np.mean((off / error) ** 2 / 2.0)) == pytest.approx(1.0, abs=0.1)
    assert np.abs(table["MAG"] - stars["mag"].to_numpy()).max() < 0.15


@pytest.mark.parametrize(
    "wrong",
    [
        {"exposures": 0},
        {"psf": "square"},
        {"formats": (".png",)},
        {"filters": ("g", "r"), "colours_mag": (0.1,)},
        {"visit_offsets_min": (0.0, 1.0)},
        {"saturation_adu": 70000.0},
        {"start": "tonight"},
        {"centers_deg": ()},
    ],
)
def test_impossible_skies_are_refused_by_name(wrong):
    with pytest.raises(Misconfigured, match=next(reversed(wrong))):
        SkyOptions(**wrong)
