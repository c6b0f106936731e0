"""Rates and epochs of the real SCAMP: units, cos Dec, mid-exposure times, honest errors, RA 0, high Dec."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from astropy.time import Time

from ssosd.grouping import Grouping
from ssosd.ldac import read_ldac
from ssosd.motion import rates
from ssosd.plumbing.resources import shipped
from tests.ldac_sky import MJD0, Mover, Sky, link_sky, of_movers

pytestmark = pytest.mark.binaries

EXPTIMES = (30.0, 400.0, 60.0, 200.0)  # seconds: a start time in place of mid-exposure is off by up to 185 s


def around(ra: float, dec: float) -> tuple[Mover, ...]:
    """Movers in all directions, spread over the field."""
    east = 1.0 / np.cos(np.radians(dec))
    return (
        Mover(ra=(ra - 0.04 * east) % 360.0, dec=dec, pmra=25.0, pmdec=-10.0),
        Mover(ra=(ra + 0.05 * east) % 360.0, dec=dec + 0.05, pmra=-30.0, pmdec=5.0),
        Mover(ra=ra % 360.0, dec=dec - 0.08, pmra=0.0, pmdec=24.0),
        Mover(ra=(ra + 0.0002 * east) % 360.0, dec=dec + 0.09, pmra=-28.0, pmdec=0.0),
    )


@pytest.mark.parametrize(
    ("ra", "dec"),
    [(34.5, 13.6), (180.0, 60.0), (250.0, 80.0), (0.0, 0.0), (0.0, 45.0), (359.995, -80.0), (0.15, 5.0)],
)
@pytest.mark.parametrize("remove", [False, True])
def test_rates_and_positions(tmp_path, ra, dec, remove):
    movers = around(ra, dec)
    sky = Sky(ra=ra, dec=dec, movers=movers, exptimes=EXPTIMES, noise_px=0.01)
    written = sky.write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", crossid_radius_arcsec=12.0, remove_ref_sources=remove)
    found = of_movers(linked, written)

    assert len(found) == 16
    assert (found.groupby("MOVER")["SOURCE_NUMBER"].nunique() == 1).all()
    for k, mover in enumerate(movers):
        row = found[found["MOVER"] == k].iloc[0]
        assert row["PMRA"] == pytest.approx(mover.pmra, abs=0.1)
        assert row["PMDEC"] == pytest.approx(mover.pmdec, abs=0.1)
        assert row["PM"] == pytest.approx(np.hypot(row["PMRA"], row["PMDEC"]))
    assert ((found["RA"] >= 0.0) & (found["RA"] < 360.0)).all()
    east = (found["RA"] - found["RA_TRUE"] + 180.0) % 360.0 - 180.0
    assert (np.abs(east) * np.cos(np.radians(dec)) * 3600.0).max() < 0.06
    assert (found["DEC"] - found["DEC_TRUE"]).abs().max() * 3600.0 < 0.06
    # nobody else moves: with the stars there, SCAMP's motions of the rest are slow or uncertain
    rest = linked.detections[~linked.detections["SOURCE_NUMBER"].isin(found["SOURCE_NUMBER"])]
    assert remove == rest.empty
    assert not ((rest["PM"] > 1.0) & (rest["PM"] > 6.0 * rest["PMERR"])).any()


def test_epochs_are_mid_exposure(tmp_path):
    written = Sky(ra=34.5, dec=13.6, exptimes=EXPTIMES).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")
    table = linked.detections
    for number, exposure in enumerate(linked.exposures, start=1):
        rows = table[table["CATALOG_NUMBER"] == number]
        middle = Time(exposure.mjd_start, format="mjd", scale="utc").mjd + exposure.exptime_s / 2.0 / 86400.0
        assert rows["MID_EXPOSURE_MJD"].to_numpy() == pytest.approx(middle, abs=1e-9)
        julian_year = Time(middle, format="mjd", scale="utc").jyear
        assert rows["EPOCH"].to_numpy() == pytest.approx(julian_year, abs=2e-11)  # 0.6 ms
    # SCAMP's own epochs, with which it fitted the motions
    full = read_ldac(tmp_path / "out" / "full_1.cat")[0].frame()
    full = full[full["CATALOG_NUMBER"] > 0].sort_values(["SOURCE_NUMBER", "CATALOG_NUMBER"])
    assert full["EPOCH"].to_numpy() == pytest.approx(table["EPOCH"].to_numpy(), abs=4e-10)  # 13 ms


def test_errors_of_rates_are_honest(tmp_path):
    """60 movers with noise of 0.1 pixel: residuals in units of PMRA_ERR scatter as they should."""
    rng = np.random.default_rng(5)
    movers = [
        Mover(ra=34.5 + 0.022 * (i % 10 - 4.5), dec=13.6 + 0.04 * (i // 10 - 2.5), pmra=p, pmdec=q)
        for i, (p, q) in enumerate(rng.uniform(-20.0, 20.0, (60, 2)))
    ]
    sky = Sky(ra=34.5, dec=13.6, movers=movers, noise_px=0.1, n_stars=400)
    written = sky.write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", remove_ref_sources=True)
    found = of_movers(linked, written)
    sizes = found.groupby("MOVER")["SOURCE_NUMBER"].transform("nunique")
    found = found[(sizes == 1) & (found.groupby("MOVER")["RA"].transform("size") == 4)]
    first = found.groupby("MOVER").first()
    assert len(first) > 40
    true = pd.DataFrame({"PMRA": [m.pmra for m in movers], "PMDEC": [m.pmdec for m in movers]}).loc[
        first.index
    ]
    pulls = np.concatenate([(first[n] - true[n]) / first[f"{n}_ERR"] for n in ("PMRA", "PMDEC")])
    assert 0.75 < np.sqrt(np.mean(pulls**2)) < 1.25
    along = np.hypot(first["PMRA"] * first["PMRA_ERR"], first["PMDEC"] * first["PMDEC_ERR"]) / first["PM"]
    np.testing.assert_allclose(first["PMERR"], along, rtol=1e-9)


def test_rates_agree_with_a_fit_to_the_positions(tmp_path):
    """SCAMP's motions are those of its positions, times and errors: a second implementation agrees."""
    movers = around(34.5, 13.6)
    written = Sky(ra=34.5, dec=13.6, movers=movers, exptimes=EXPTIMES).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", crossid_radius_arcsec=12.0, remove_ref_sources=True)
    table = linked.detections
    groups = Grouping.of(table["SOURCE_NUMBER"], table["MID_EXPOSURE_MJD"])
    rows = table.iloc[groups.order]
    fit = rates(
        groups,
        t_mjd=rows["MID_EXPOSURE_MJD"].to_numpy(),
        ra=rows["RA"].to_numpy(),
        dec=rows["DEC"].to_numpy(),
        sigma_arcsec=rows["ERRA_WORLD"].to_numpy() * 3600.0,
    )
    first = table.groupby("SOURCE_NUMBER").first()
    np.testing.assert_allclose(first["PMRA"], fit.pmra, atol=0.01)
    np.testing.assert_allclose(first["PMDEC"], fit.pmdec, atol=0.01)
    np.testing.assert_allclose(first["PMRA_ERR"], fit.pmra_err, rtol=0.02)


def test_rates_without_the_reference(tmp_path):
    """With INCLUDE_ASTREFCATALOG N, SCAMP 2.10 itself says that all but few sources stand still."""
    setup = tmp_path / "own.scamp"
    setup.write_text(shipped("semp/ssos.scamp").read_text() + "\nINCLUDE_ASTREFCATALOG N\n")
    movers = around(34.5, 13.6)
    written = Sky(ra=34.5, dec=13.6, movers=movers, noise_px=0.01).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", config=setup)
    first = of_movers(linked, written).groupby("MOVER").first()
    assert first["PMRA"].tolist() == pytest.approx([m.pmra for m in movers], abs=0.1)
    assert first["PMDEC"].tolist() == pytest.approx([m.pmdec for m in movers], abs=0.1)
    assert ((first["PMERR"] > 0.01) & (first["PMERR"] < 1.0)).all()


def test_single_detections_have_no_motion(tmp_path):
    fast = Mover(ra=34.5, dec=13.6, pmra=400.0, pmdec=0.0)
    written = Sky(ra=34.5, dec=13.6, movers=[fast]).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", remove_ref_sources=True)
    found = of_movers(linked, written)
    assert found["SOURCE_NUMBER"].nunique() == len(found) == 4
    assert (found[["PM", "PMERR", "PMRA", "PMDEC", "PMRA_ERR", "PMDEC_ERR"]] == 0.0).all(axis=None)


def test_two_exposures_of_the_same_instant(tmp_path):
    """No division by zero, and no certain motion out of nothing."""
    movers = around(34.5, 13.6)[:2]
    written = Sky(ra=34.5, dec=13.6, movers=movers, n_exposures=2, starts=(0.0, 0.0)).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", remove_ref_sources=True)
    assert len(linked.exposures) == 2
    assert np.isfinite(linked.detections[["PM", "PMERR"]]).all(axis=None)
    assert (linked.detections["PM"] < 3.0 * linked.detections["PMERR"]).all()
    assert set(linked.detections["MID_EXPOSURE_MJD"]) == {MJD0 + 30.0 / 86400.0}
