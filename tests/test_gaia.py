"""Reference stars of our own: tiles of the sky fetched from VizieR, kept, and moved to the night's epoch."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd import astromatic
from ssosd.errors import Misconfigured, Retriable, ServiceUnavailable
from ssosd.ldac import objects_frame, read_ldac
from ssosd.linker.gaia import store, tiles
from ssosd.linker.gaia.vizier import EPOCH, ask_for_stars
from ssosd.linker.refcat import read_reference, write_reference
from ssosd.linker.scamp.link import link
from ssosd.plumbing.resources import shipped
from ssosd.sphere import offsets_arcsec, separation_arcsec
from ssosd.work import reference
from tests.ldac_sky import MJD0, Mover, Sky
from tests.replaying import ONE_FIELD, run
from tests.sky import shared_sky
from tests.vizier_service import VizierService

YEARS = store.julian_year(61358.9) - EPOCH


def random_sky(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    v = np.random.default_rng(seed).normal(size=(n, 3))
    return np.degrees(np.arctan2(v[:, 1], v[:, 0])) % 360.0, np.degrees(
        np.arcsin(v[:, 2] / np.linalg.norm(v, axis=1))
    )


def all_tiles() -> list[tiles.Tile]:
    return [tiles.Tile(band=b, number=k) for b in range(180) for k in range(tiles.parts_of(b))]


def test_each_place_of_the_sky_is_in_one_tile_and_in_its_circle():
    ra, dec = random_sky(400)
    ra, dec = np.append(ra, [0.0, 360.0, 0.0, 10.0]), np.append(dec, [0.0, 1.0, 90.0, -90.0])
    times = np.zeros(len(ra), dtype=int)
    for tile in all_tiles():
        inside = tile.holds(ra, dec)
        times += inside
        if inside.any():
            x, y, radius = tile.circle_deg
            assert (separation_arcsec(x, y, ra[inside], dec[inside]) <= 3600.0 * radius).all()
    assert (times == 1).all()
    assert 40_000 < len(all_tiles()) < 42_000  # the sky has 41,253 square degrees


@settings(max_examples=150, deadline=None)
@given(
    ra=st.floats(0.0, 360.0),
    dec=st.one_of(st.floats(-90.0, 90.0), st.floats(88.0, 90.0), st.sampled_from([-90.0, 90.0, 0.0, 89.5])),
    radius=st.floats(0.05, 3.0),
    seed=st.integers(0, 1000),
)
def test_all_of_a_circle_is_in_its_tiles(ra, dec, radius, seed):
    rng = np.random.default_rng(seed)
    angle, away = rng.uniform(0, 2 * np.pi, 100), np.radians(radius) * np.sqrt(rng.uniform(0, 1, 100))
    d0 = np.radians(dec)
    y = np.arcsin(np.clip(np.sin(d0) * np.cos(away) + np.cos(d0) * np.sin(away) * np.cos(angle), -1, 1))
    x = np.arctan2(
        np.sin(angle) * np.sin(away) * np.cos(d0), np.cos(away) - np.sin(d0) * np.sin(y)
    ) + np.radians(ra)
    x, y = np.degrees(x) % 360.0, np.degrees(y)
    found = tiles.tiles_over(ra, dec, radius)
    assert len(found) == len(set(found))
    assert np.any([tile.holds(x, y) for tile in found], axis=0).all()


def stars_around(tile: tiles.Tile, n: int = 1500, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    (west, east), (south, north) = tile.ra_deg, tile.dec_deg
    stars = pd.DataFrame(
        {
            "RA": rng.uniform(west - 0.3, east + 0.3, n) % 360.0,
            "DEC": np.clip(rng.uniform(south - 0.3, north + 0.3, n), -89.999, 89.999),
            "MAG": rng.uniform(10.0, 21.0, n),
            "PMRA": rng.normal(0.0, 300.0, n),
            "PMDEC": rng.normal(0.0, 300.0, n),
        }
    )
    stars.loc[::7, ["PMRA", "PMDEC", "PM_ERR"]] = np.nan  # as of stars with two parameters
    stars["PM_ERR"] = np.where(stars["PMRA"].isna(), np.nan, 0.2)
    return stars


@pytest.mark.parametrize(("number", "way"), [(0, "right"), (41, "right"), (41, "twice")])
def test_a_tile_as_vizier_has_it(number, way):
    """Each star once, be it in two resources."""
    tile = tiles.Tile(band=103, number=number)
    stars = stars_around(tile)
    with VizierService(stars, way=way) as service:
        got = ask_for_stars(tile, faintest_mag=19.5, url=service.url, time_limit_s=20.0)
    inside = stars[tile.holds(stars["RA"].to_numpy(), stars["DEC"].to_numpy()) & (stars["MAG"] <= 19.5)]
    inside = inside.sort_values("DEC", ignore_index=True)
    assert len(got) == len(inside) > 300
    for name, digits in (("RA", 1e-10), ("DEC", 1e-10), ("PMRA", 1e-3), ("PMDEC", 1e-3), ("MAG", 1e-5)):
        np.testing.assert_allclose(got[name], inside[name], atol=digits)
    assert got["ERR_RA"].max() == pytest.approx(1e-4)


WRONG = {
    "http500": "HTTP 500",
    "hang": "no complete answer within 0.5 s",
    "drip": "no complete answer within 0.5 s",
    "drop": "Connection",
    "html": "holds no table of I/355/gaiadr3",
    "nothing": "holds no table",
    "no-table": "holds no table",
    "truncated": "cannot be read",
    "fewer-columns": "no column RPmag",
    "text-column": "text where numbers should be",
    "overflow": "not whole: OVERFLOW",
    "failed": "not whole: ERROR time out",
    "interrupted": r"not whole: \*+Query interrupted: a > b: truncated",
}


@pytest.mark.parametrize(("way", "said"), WRONG.items())
def test_an_answer_that_is_none(tmp_path, way, said):
    tile = tiles.Tile(band=103, number=41)
    path = store.tile_path(tmp_path, tile, faintest_mag=20.0)
    limit = 0.5 if way in ("hang", "drip") else 20.0

    def ask(asked):
        return ask_for_stars(asked, faintest_mag=20.0, url=service.url, time_limit_s=limit)

    with VizierService(stars_around(tile), plan=[way]) as service:
        with pytest.raises(ServiceUnavailable, match=said):
            store.fetch_tile(path, tile, ask=ask)
        assert not path.exists()
        store.fetch_tile(path, tile, ask=ask)
        store.fetch_tile(path, tile, ask=ask)
        assert len(service.questions) == 2
    assert path.is_file()


def test_a_proxy_is_not_for_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    tile = tiles.Tile(band=103, number=41)
    with VizierService(stars_around(tile)) as service:
        assert len(ask_for_stars(tile, faintest_mag=20.0, url=service.url, time_limit_s=20.0)) > 300
    with pytest.raises(ServiceUnavailable, match=r"vizier\.invalid: no connection \(Connection refused\)"):
        ask_for_stars(tile, faintest_mag=20.0, url="http://vizier.invalid/", time_limit_s=20.0)


def test_nobody_there_and_no_address():
    tile = tiles.Tile(band=103, number=41)
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1: no connection \(Connection refused\)"):
        ask_for_stars(tile, faintest_mag=20.0, url="http://127.0.0.1:9/", time_limit_s=5.0)
    with pytest.raises(Misconfigured, match="REFCAT_URL"):
        ask_for_stars(tile, faintest_mag=20.0, url="vizier", time_limit_s=5.0)


def test_stars_move_to_the_night(tmp_path):
    """Against astropy's space motion, at the tiles where RA is least well behaved."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    for tile in (
        tiles.Tile(band=103, number=0),
        tiles.Tile(band=178, number=3),
        tiles.Tile(band=0, number=0),
    ):
        stars = stars_around(tile, n=800)
        with VizierService(stars) as service:
            asked = ask_for_stars(tile, faintest_mag=20.0, url=service.url, time_limit_s=20.0)
        source, target = tmp_path / f"{tile}.cat", tmp_path / f"{tile}.ldac"
        store.fetch_tile(source, tile, ask=lambda _, asked=asked: asked)
        store.write_moved(source, target, epoch=EPOCH + YEARS)
        first = target.read_bytes()
        store.write_moved(source, target, epoch=EPOCH + YEARS)
        assert target.read_bytes() == first
        got, kept = read_reference(target), read_reference(source)
        assert len(got) == len(kept) == len(asked)
        assert set(kept.columns) == {"RA", "DEC", "MAG", "BP", "RP"}
        there = SkyCoord(
            asked["RA"].to_numpy() * u.deg,
            asked["DEC"].to_numpy() * u.deg,
            pm_ra_cosdec=np.nan_to_num(asked["PMRA"]) * u.mas / u.yr,
            pm_dec=np.nan_to_num(asked["PMDEC"]) * u.mas / u.yr,
            distance=1.0 * u.Mpc,
            obstime=Time(2016.0, format="jyear", scale="tcb"),
        ).apply_space_motion(dt=YEARS * u.yr)
        off = separation_arcsec(got["RA"], got["DEC"], there.ra.deg, there.dec.deg)
        assert off.max() < 0.001
        moved = separation_arcsec(got["RA"], got["DEC"], asked["RA"], asked["DEC"])
        assert np.median(moved) > 2.0
        table = pd.concat([objects_frame(c.objects) for c in read_ldac(target)])
        error = 3600.0 * table["ERRA_WORLD"].to_numpy()
        known = asked["PMRA_ERR"].notna().to_numpy()
        np.testing.assert_allclose(error[known], np.hypot(0.001, np.hypot(1e-4, 0.0002 * YEARS)), rtol=1e-3)
        assert (error[~known] > 0.03).all()
        assert "PMALPHA_J2000" not in table


@pytest.fixture
def solved_with(tmp_path):
    """The place of a mover of a made-up sequence, off the truth to the north, by a file of stars of 2016."""
    sky = Sky(ra=34.5, dec=13.6, n_stars=300, movers=[Mover(ra=34.5, dec=13.6, pmra=20.0, pmdec=5.0)])
    written = sky.write(tmp_path / "sky")

    def off(**motion):
        years = store.julian_year(MJD0) - 2016.0
        stars = written.stars.assign(DEC=written.stars["DEC"] - 0.02 * years / 3600.0, **motion)
        write_reference(tmp_path / "of2016.cat", stars, epoch=2016.0)
        config = {"ASTREF_CATALOG": tmp_path / "of2016.cat", "SCAMP_CONFIG": shipped("semp/ssos.scamp")}
        station = SimpleNamespace(
            config=config, site=SimpleNamespace(lon_deg=0.0), catalogue_folder=lambda night: tmp_path / night
        )
        linked = link(
            exposures=written.exposures,
            catalogues=written.catalogues,
            binary=astromatic.find("scamp"),
            config=config["SCAMP_CONFIG"],
            reference=reference.reference_for(written.exposures, station=station),
            crossid_radius_arcsec=None,
            remove_ref_sources=False,
            workdir=tmp_path,
            time_limit_s=60.0,
        )
        found = linked.detections[["RA", "DEC"]].to_numpy()
        away = [
            offsets_arcsec(found[:, 0], found[:, 1], ra, dec)
            for ra, dec in written.truth[["ra", "dec"]].to_numpy()
        ]
        return np.mean([eta[np.argmin(np.hypot(xi, eta))] for xi, eta in away])

    return off


def test_stars_of_a_file_with_motions_are_moved_to_the_night(solved_with):
    """SCAMP takes positions as they are: 20 mas/yr since 2016 put all objects 0.21 arcsec off."""
    assert solved_with() == pytest.approx(-0.02 * (store.julian_year(MJD0) - 2016.0), abs=0.03)
    assert solved_with(PMRA=0.0, PMDEC=20.0) == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("colours", [{}, {"BP": 15.5, "RP": 14.5}])
def test_a_copy_at_an_epoch_keeps_what_is_told(tmp_path, colours):
    stars = pd.DataFrame({"RA": [10.0, 359.9999], "DEC": [0.0, 60.0], "MAG": [15.0, 16.0]})
    stars = stars.assign(PMRA=[3600.0, 3600.0], PMDEC=[-3600.0, np.nan], EPOCH=[2016.0, 2000.0], **colours)
    write_reference(tmp_path / "a.cat", stars)
    assert store.has_motions(tmp_path / "a.cat")
    before = (tmp_path / "a.cat").read_bytes()
    store.write_at_epoch(tmp_path / "a.cat", tmp_path / "night" / "b.cat", epoch=2026.0)
    moved = read_reference(tmp_path / "night" / "b.cat")
    assert moved["RA"].tolist() == pytest.approx([10.01, 0.0519], abs=2e-6)
    assert moved["DEC"].tolist() == pytest.approx([-0.01, 60.0], abs=2e-5)
    assert [name in moved for name in ("BP", "RP")] == [bool(colours)] * 2
    assert (tmp_path / "a.cat").read_bytes() == before
    write_reference(tmp_path / "still.cat", stars.drop(columns=["PMRA"]))
    assert not store.has_motions(tmp_path / "still.cat")


def test_a_spoiled_tile_is_fetched_again(tmp_path):
    source = tmp_path / "one.cat"
    source.write_bytes(b"SIMPLE  =   no")
    with pytest.raises(Retriable, match=r"one\.cat: no tile of reference stars"):
        store.write_moved(source, tmp_path / "moved", epoch=2026.0)
    assert not source.exists()


# ---- through the whole corridor -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return shared_sky(tmp_path_factory, **ONE_FIELD)


@pytest.fixture(scope="module")
def sky_of_2016(night):
    """The painted stars, each put back along a large motion of its own."""
    stars = read_reference(night.refcat)
    rng = np.random.default_rng(4)
    stars["PMRA"], stars["PMDEC"] = rng.normal(0.0, 500.0, (2, len(stars)))
    back = store.moved(
        stars.assign(ERR=0.0, PMRA_ERR=0.0, PMDEC_ERR=0.0, MAGERR=0.0, BP=0.0, RP=0.0), years=-YEARS
    )
    xi, eta = offsets_arcsec(back["RA"], back["DEC"], stars["RA"].mean(), stars["DEC"].mean())
    assert np.isfinite(xi + eta).all()
    return stars.assign(RA=back["RA"], DEC=back["DEC"])


@pytest.fixture(autouse=True)
def no_memory_of_failures(monkeypatch):
    monkeypatch.setattr(reference, "_BREAKERS", {})


@pytest.mark.binaries
def test_first_night_with_a_network_the_second_without(tmp_path, night, sky_of_2016):
    folder = tmp_path / "kept"
    folder.mkdir()
    with VizierService(sky_of_2016) as service:
        settings = {"REFCAT": folder, "REFCAT_URL": service.url}
        first = run(tmp_path / "one", night.directory, reference=Path("REFCAT"), **settings)
        asked = len(service.questions)
        tiles_kept = sorted(folder.rglob("*.cat"))
        assert asked == len(tiles_kept) > 0
        run(tmp_path / "again", night.directory, reference=Path("REFCAT"), **settings)
        assert len(service.questions) == asked
    unplugged = run(tmp_path / "two", night.directory, reference=Path("REFCAT"), **settings)
    assert first.states == unplugged.states == dict.fromkeys(first.states, "done")
    assert unplugged.results == first.results
    shipped = run(tmp_path / "file", night.directory, reference=night.refcat)
    names = ["CATALOG_NUMBER", "XWIN_IMAGE"]
    ours = first.candidates.merge(shipped.candidates, on=names, suffixes=("", "_FILE"))
    assert len(ours) == len(shipped.candidates) == len(first.candidates) > 0
    off = separation_arcsec(ours["RA"], ours["DEC"], ours["RA_FILE"], ours["DEC_FILE"])
    assert off.max() < 0.05  # without the stars' motions it would be seconds


@pytest.mark.binaries
def test_unplugged_before_the_first_night(tmp_path, night, sky_of_2016):
    with VizierService(sky_of_2016, way="http500") as service:
        settings = {"REFCAT_URL": service.url}
        out = tmp_path / "out"
        parked = run(out, night.directory, reference=Path("REFCAT"), **settings)
        assert set(parked.states.values()) == {"parked"}
        (error,) = {str(one.error) for one in parked.sequences}
        assert "HTTP 500" in error
        assert len(service.questions) == 2  # by the first exposure, and by the sequence
        service.way = "right"
        done = run(out, night.directory, reference=Path("REFCAT"), **settings)
    assert set(done.states.values()) == {"done"}
    assert len(done.candidates) > 0
    shutil.rmtree(out / ".ssosd" / "refcat")
