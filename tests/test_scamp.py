"""Linking with the real SCAMP: whose detection is whose, in which order, in which files."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ssosd import astromatic
from ssosd.ldac import read_ldac
from ssosd.plumbing.resources import shipped
from ssosd.sphere import separation_arcsec
from tests.ldac_sky import Mover, Sky, Written, link_sky, of_movers

pytestmark = pytest.mark.binaries

MOVERS = (Mover(ra=34.5, dec=13.6, pmra=20.0, pmdec=-10.0), Mover(ra=34.45, dec=13.65, pmra=-30.0, pmdec=5.0))
SCAMP_FILES = ["full_1.cat", "merged_1.cat", "scamp.xml"]
CONTRACT = [
    *("SOURCE_NUMBER", "CATALOG_NUMBER", "EXTENSION", "RA", "DEC", "EPOCH", "MAG", "MAGERR", "FLUX"),
    *("FLUXERR", "PM", "PMERR", "PMRA", "PMRA_ERR", "PMDEC", "PMDEC_ERR", "MID_EXPOSURE_MJD", "DATE-OBS"),
    *("EXPTIME", "OBJECT", "FILTER", "RA_IMAGE", "DEC_IMAGE", "IMAGE_FILENAME", "XWIN_IMAGE", "YWIN_IMAGE"),
    *("AWIN_IMAGE", "ERRAWIN_IMAGE", "BWIN_IMAGE", "ERRBWIN_IMAGE", "THETAWIN_IMAGE", "ERRTHETAWIN_IMAGE"),
    *("ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD", "SNR_WIN", "FLAGS_EXTRACTION", "FLAGS_SCAMP"),
    *("FLAGS_IMA", "FLAGS_SSOS"),
]


def measured(written: Written) -> pd.DataFrame:
    """All rows of all catalogues, read again, by (file name, chip, NUMBER)."""
    parts = []
    for exposure, path in zip(written.exposures, written.catalogues, strict=True):
        for chip, hdu in zip(read_ldac(path), exposure.chips, strict=True):
            part = chip.frame()
            part["IMAGE_FILENAME"], part["EXTENSION"] = exposure.name, hdu.hdu
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def test_every_detection_keeps_its_identity_bit_for_bit(tmp_path):
    """4,000 rows, with the same x in many rows and exposures, where a join on x mixes them up."""

    def plant(index, chip, header, objects):
        x = objects["XWIN_IMAGE"]
        x[5::7] = np.round(x[5::7])  # many equal values, in this exposure and in others
        x[10] = x[200] = 512.25
        objects["FLUX_AUTO"] *= 1.0 + 0.001 * index
        objects["IMAFLAGS_ISO"] = (objects["NUMBER"] * 7) % 5
        return objects

    sky = Sky(
        ra=34.5, dec=13.6, n_stars=1100, movers=MOVERS, spoil=plant, extra_dtype=[("IMAFLAGS_ISO", "i4")]
    )
    written = sky.write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")

    table = linked.detections
    assert len(table) > 3000
    assert table["XWIN_IMAGE"].duplicated().sum() > 100
    key = ["IMAGE_FILENAME", "EXTENSION", "NUMBER"]
    assert not table.duplicated(key).any()
    both = table.merge(measured(written), on=key, suffixes=("", "_own"), validate="one_to_one")
    assert len(both) == len(table)
    for ours, theirs in {
        "XWIN_IMAGE": "XWIN_IMAGE_own",
        "YWIN_IMAGE": "YWIN_IMAGE_own",
        "FLUX": "FLUX_AUTO",
        "FLUXERR": "FLUXERR_AUTO",
        "MAG": "MAG_AUTO",
        "SNR_WIN": "SNR_WIN_own",
        "FLAGS_IMA": "IMAFLAGS_ISO",
        "FLAGS_EXTRACTION": "FLAGS",
    }.items():
        np.testing.assert_array_equal(both[ours].to_numpy(), both[theirs].to_numpy(), err_msg=ours)
    # the same identity by SCAMP's own words: its positions of the rows it numbered
    full = read_ldac(tmp_path / "out" / "full_1.cat")[0].frame()
    full = full[full["CATALOG_NUMBER"] > 0].sort_values(
        ["SOURCE_NUMBER", "CATALOG_NUMBER"], ignore_index=True
    )
    for ours, theirs in {
        "SOURCE_NUMBER": "SOURCE_NUMBER",
        "CATALOG_NUMBER": "CATALOG_NUMBER",
        "XWIN_IMAGE": "X_IMAGE",
        "YWIN_IMAGE": "Y_IMAGE",
        "RA": "ALPHA_J2000",
        "DEC": "DELTA_J2000",
        "FLAGS_SCAMP": "FLAGS_SCAMP",
    }.items():
        np.testing.assert_array_equal(table[ours].to_numpy(), full[theirs].to_numpy(), err_msg=ours)


def test_table_of_detections(tmp_path):
    written = Sky(ra=34.5, dec=13.6, movers=MOVERS, exptimes=(30.0, 90.0), filters=("r", "g")).write(
        tmp_path / "in"
    )
    linked = link_sky(written, tmp_path / "out")
    table = linked.detections

    assert list(table.columns[: len(CONTRACT)]) == CONTRACT
    assert {"NUMBER", "FLUX_RADIUS", "ELONGATION"} <= set(table.columns)
    integers = [n for n in CONTRACT if n.endswith("NUMBER") or n.startswith("FLAGS") or n == "EXTENSION"]
    assert all(table[name].dtype == np.int64 for name in integers)
    assert all(table[name].dtype.isnative for name in table if table[name].dtype.kind in "iuf")
    assert all(
        table[name].dtype == np.float64 for name in ("RA", "DEC", "PM", "PMERR", "EPOCH", "ERRA_WORLD")
    )
    assert (table["FLAGS_SSOS"] == 0).all()
    assert not table.duplicated(["SOURCE_NUMBER", "CATALOG_NUMBER"]).any()
    assert pd.MultiIndex.from_frame(table[["SOURCE_NUMBER", "CATALOG_NUMBER"]]).is_monotonic_increasing
    for number, exposure in enumerate(linked.exposures, start=1):
        rows = table[table["CATALOG_NUMBER"] == number]
        assert set(rows["IMAGE_FILENAME"]) == {exposure.name}
        assert set(rows["DATE-OBS"]) == {exposure.date_obs}
        assert set(rows["EXPTIME"]) == {exposure.exptime_s}
        assert set(rows["FILTER"]) == {exposure.filter}
        assert set(rows["MID_EXPOSURE_MJD"]) == {exposure.mjd_mid}
        assert set(rows["RA_IMAGE"]) == {exposure.ra_deg}
    movers = of_movers(linked, written)
    assert len(movers) == 8
    assert separation_arcsec(movers["RA"], movers["DEC"], movers["RA_TRUE"], movers["DEC_TRUE"]).max() < 0.15
    assert (movers.groupby("MOVER")["SOURCE_NUMBER"].nunique() == 1).all()


def test_solved_headers_put_pixels_where_the_table_says(tmp_path):
    written = Sky(ra=34.5, dec=13.6, chips=2, hdus=(1, 3), size_px=700, n_stars=400).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")

    assert set(linked.solved) == {(number, hdu) for number in (1, 2, 3, 4) for hdu in (1, 3)}
    for place, text in linked.solved.items():
        assert text.isascii()
        assert text.rstrip().endswith("\nEND")
        rows = linked.detections.set_index(["CATALOG_NUMBER", "EXTENSION"]).loc[place]
        wcs = WCS(fits.Header.fromstring(text, sep="\n"))
        ra, dec = wcs.all_pix2world(rows["XWIN_IMAGE"], rows["YWIN_IMAGE"], 1)
        assert separation_arcsec(ra, dec, rows["RA"], rows["DEC"]).max() < 1e-3


def test_extension_is_the_hdu_of_the_original_file(tmp_path):
    """A mosaic of which HDU 1 and 3 are linked; one chip of one exposure has no detections at all."""
    movers = (
        Mover(ra=34.4, dec=13.6, pmra=20.0, pmdec=-10.0),
        Mover(ra=34.6, dec=13.6, pmra=-20.0, pmdec=10.0),
    )

    def empty(index, chip, header, objects):
        return objects[:0] if (index, chip) == (2, 1) else objects

    sky = Sky(ra=34.5, dec=13.6, chips=2, hdus=(1, 3), size_px=800, n_stars=500, movers=movers, spoil=empty)
    written = sky.write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")
    found = of_movers(linked, written).groupby("MOVER")
    # chip 0, HDU 1, has the smaller x; the WCS has east to the left
    assert found["EXTENSION"].agg(set).to_dict() == {0: {3}, 1: {1}}
    assert found["CATALOG_NUMBER"].agg(set).to_dict() == {0: {1, 2, 4}, 1: {1, 2, 3, 4}}
    assert len(linked.exposures) == 4


def test_result_does_not_depend_on_the_order_of_arrival(tmp_path):
    sky = Sky(ra=34.5, dec=13.6, movers=MOVERS, n_exposures=5, n_stars=600, starts=(0, 0.2, 0.4, 0.4, 0.6))
    written = sky.write(tmp_path / "in")
    first = link_sky(written, tmp_path / "out")
    assert [e.mjd_mid for e in first.exposures] == sorted(e.mjd_mid for e in written.exposures)
    ties = [e.digest for e in first.exposures[2:4]]
    assert ties == sorted(ties)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(5)
        shuffled = replace(
            written,
            exposures=[written.exposures[i] for i in order],
            catalogues=[written.catalogues[i] for i in order],
        )
        again = link_sky(shuffled, tmp_path / f"out{seed}")
        pd.testing.assert_frame_equal(first.detections, again.detections, check_exact=True)
        pd.testing.assert_frame_equal(first.quality, again.quality, check_exact=True)
        assert first.solved == again.solved
        assert [e.digest for e in again.exposures] == [e.digest for e in first.exposures]
        for name in ("full_1.cat", "merged_1.cat"):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / f"out{seed}" / name).read_bytes()


def test_exposures_that_do_not_overlap(tmp_path):
    """SCAMP makes two groups of them, and counts sources from 1 in each."""
    movers = (
        Mover(ra=34.2, dec=13.6, pmra=20.0, pmdec=-10.0),
        Mover(ra=34.8, dec=13.65, pmra=-30.0, pmdec=5.0),
    )
    sky = Sky(
        ra=34.5,
        dec=13.6,
        movers=movers,
        n_exposures=8,
        n_stars=900,
        cadence_h=0.1,
        steps_px=((1200, 0), (-1200, 0)),
    )
    written = sky.write(tmp_path / "in")
    for remove in (False, True):
        linked = link_sky(written, tmp_path / f"out{remove}", remove_ref_sources=remove)
        assert (tmp_path / f"out{remove}" / "full_2.cat").exists()
        found = of_movers(linked, written)
        numbers = found.groupby("MOVER")["SOURCE_NUMBER"].agg(["nunique", "size", "first"])
        assert numbers[["nunique", "size"]].to_numpy().tolist() == [[1, 4], [1, 4]]
        assert numbers["first"].is_unique
        for k, mover in enumerate(movers):
            assert found[found["MOVER"] == k]["PMRA"].to_numpy() == pytest.approx(mover.pmra, abs=0.6)
        table = linked.detections
        assert not table.duplicated(["CATALOG_NUMBER", "EXTENSION", "NUMBER"]).any()
        assert not table.duplicated(["SOURCE_NUMBER", "CATALOG_NUMBER"]).any()


def test_files_left_behind_and_inputs_untouched(tmp_path):
    """Odd names: blanks, a leading minus, the name of one of SCAMP's own files."""
    written = Sky(ra=34.5, dec=13.6, movers=MOVERS).write(tmp_path / "a folder, with & in it")
    names = ["two words.cat", "-c.cat", "full_moon.cat", "20190326.0126.cat"]
    folder = tmp_path / "more #1"
    folder.mkdir()
    paths = []
    for path, name in zip(written.catalogues, names, strict=True):
        paths.append(folder / name)
        shutil.copy(path, paths[-1])
        shutil.copy(path.with_suffix(".ahead"), paths[-1].with_suffix(".ahead"))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    out = tmp_path / "out put"
    linked = link_sky(replace(written, catalogues=paths), out)

    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["two_words.head", "c.head", "exposure_full_moon.head", "20190326.0126.head", *SCAMP_FILES]
    )
    assert len(of_movers(linked, written)) == 8
    assert "All done" in linked.log_tail


def test_reference_stars_over_the_field(tmp_path):
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")
    assert list(linked.reference.columns) == ["RA", "DEC", "MAG"]
    assert len(linked.reference) == len(written.stars)
    away = separation_arcsec(
        linked.reference["RA"], linked.reference["DEC"], written.stars["RA"], written.stars["DEC"]
    )
    assert away.max() < 1e-3
    quality = linked.quality
    assert list(quality["CATALOG_NUMBER"]) == [1, 2, 3, 4]
    assert (quality["N_MATCHED"] > 200).all()
    assert (quality["N_CHANCE"] < 5).all()
    assert (quality["XY_CONTRAST"] > 5).all()
    assert (quality["AS_CONTRAST"] > 5).all()
    assert quality[["RMS_REF_RA", "RMS_REF_DEC"]].to_numpy().max() < 0.1


def test_image_flags_mask_of_the_set_up_still_works(tmp_path):
    """The column that carries the row numbers is one that users may mask on."""
    setup = tmp_path / "own.scamp"
    setup.write_text(
        shipped("semp/ssos.scamp").read_text() + "\nIMAFLAGS_MASK 0x4 # dead\nASTR_IMAFLAGSMASK 0x2\n"
    )

    def flag(index, chip, header, objects):
        objects["IMAFLAGS_ISO"] = np.arange(len(objects)) % 8
        return objects

    sky = Sky(ra=34.5, dec=13.6, n_stars=500, spoil=flag, extra_dtype=[("IMAFLAGS_ISO", "i4")])
    linked = link_sky(sky.write(tmp_path / "in"), tmp_path / "out", config=setup)
    counts = linked.detections["FLAGS_IMA"].value_counts()
    assert set(counts.index) == {0, 1, 2, 3}
    full = read_ldac(tmp_path / "out" / "full_1.cat")[0].frame()
    masked = full["FLAGS_EXTRACTION"] >= 0x4000
    assert masked.sum() == counts[2] + counts[3]
    assert (linked.detections["FLAGS_EXTRACTION"] == 0).all()


def test_scamp_is_given_the_right_parameters(tmp_path, monkeypatch):
    """What ssosd decides reaches SCAMP, what it does not decide stays the set-up's."""
    seen: list[list[str]] = []
    run = astromatic.run

    def spy(binary, arguments, **more):
        seen.append([str(a) for a in arguments])
        return run(binary, arguments, **more)

    monkeypatch.setattr("ssosd.linker.scamp.run.astromatic.run", spy)
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    link_sky(written, tmp_path / "out", crossid_radius_arcsec=12.5)
    link_sky(written, tmp_path / "out", crossid_radius_arcsec=None)
    assert seen[0][:5] == [*(f"frame-00{i}.cat" for i in range(1, 5)), "-c"]
    assert seen[0][seen[0].index("-CROSSID_RADIUS") + 1] == "12.5"
    assert "-CROSSID_RADIUS" not in seen[1]
    assert "-MATCH_RESOL" not in seen[0]


@pytest.mark.parametrize(("radius", "linked_to"), [(4.0, 1), (10.0, 4)])
def test_crossid_radius_changes_what_is_linked(tmp_path, radius, linked_to):
    written = Sky(ra=34.5, dec=13.6, movers=MOVERS[:1]).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", crossid_radius_arcsec=radius)
    found = of_movers(linked, written)
    sizes = linked.detections.groupby("SOURCE_NUMBER").size()
    assert sizes[found["SOURCE_NUMBER"]].max() == linked_to


def test_workdir_keeps_no_scratch(tmp_path):
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    link_sky(written, tmp_path / "out")
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]
