"""What is read of a SCAMP set-up file, and where the reference comes from."""

from __future__ import annotations

import subprocess

import numpy as np
import pandas as pd
import pytest

from ssosd import astromatic
from ssosd.config.tables.images import SCAMP_CATALOGUES
from ssosd.errors import BadInput, Misconfigured
from ssosd.linker.scamp.input import ROW_NUMBER, has_flag, usable
from ssosd.linker.scamp.setup import choose_reference, read_setup
from ssosd.linker.scamp.xml import read_fields
from ssosd.plumbing.resources import shipped

#: The seed's values, of its documentation and its set-up file; the reference is the newest SCAMP 2.10 knows.
SEED = {
    "ASTREF_CATALOG": "GAIA-EDR3",
    "ASTREFMAG_LIMITS": "-99,99",
    "SAVE_REFCATALOG": "Y",
    "MERGEDOUTCAT_TYPE": "FITS_LDAC",
    "FULLOUTCAT_TYPE": "FITS_LDAC",
    "CROSSID_RADIUS": "10.0",
    "MOSAIC_TYPE": "UNCHANGED",
    "STABILITY_TYPE": "INSTRUMENT",
    "ASTRINSTRU_KEY": "FILTER,QRUNID",
    "DISTORT_DEGREES": "3",
    "ASTREF_WEIGHT": "1",
    "ASTR_ACCURACY": "0.054",
    "ASTRCLIP_NSIGMA": "1.5",
    "COMPUTE_PROPERMOTIONS": "Y",
    "CORRECT_COLOURSHIFTS": "N",
    "ASTR_FLAGSMASK": "236",
    "FLAGS_MASK": "236",
    "SOLVE_PHOTOM": "N",
    "SN_THRESHOLDS": "3.0,100.0",
    "ELLIPTICITY_MAX": "1.0",
    "FWHM_THRESHOLDS": "0.0,100.0",
    "POSITION_MAXERR": "1.0",
    "PIXSCALE_MAXERR": "1.2",
    "POSANGLE_MAXERR": "5.0",
    "MATCH_RESOL": "4",
}


def test_shipped_set_up_has_the_seeds_values():
    values = read_setup(shipped("semp/ssos.scamp")).values
    assert {name: values[name] for name in SEED} == SEED


@pytest.mark.binaries
def test_shipped_set_up_names_parameters_that_scamp_knows():
    binary = astromatic.find("scamp")
    known = subprocess.run([binary.path, "-dd"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in known.splitlines() if line.split() and not line.startswith("#")}
    assert set(read_setup(shipped("semp/ssos.scamp")).values) <= names
    for catalogue in SCAMP_CATALOGUES:
        assert catalogue in known


def test_values_are_read_as_scamp_reads_them(tmp_path):
    path = tmp_path / "a.scamp"
    path.write_text(
        "# comment\n\nCROSSID_RADIUS\t12.5# tight\n  position_maxerr   2.5  # arcmin\nASTR_FLAGSMASK 0x00EC\n"
        "ASTREFCENT_KEYS RA , DEC\nMATCH\n"
    )
    setup = read_setup(path)
    assert setup.values["CROSSID_RADIUS"] == "12.5"
    assert setup.number("POSITION_MAXERR") == 2.5
    assert setup.integer("ASTR_FLAGSMASK") == 236
    assert setup.words("ASTREFCENT_KEYS") == ["RA", "DEC"]
    assert setup.integer("IMAFLAGS_MASK") == 0
    assert setup.text("ASTREFMAG_KEY") == "MAG"
    with pytest.raises(Misconfigured, match=r"a\.scamp: MATCH has no value"):
        setup.words("MATCH")


@pytest.mark.parametrize(
    ("line", "name"), [("IMAFLAGS_MASK none", "integer"), ("POSITION_MAXERR x", "number")]
)
def test_not_a_number(tmp_path, line, name):
    path = tmp_path / "a.scamp"
    path.write_text(line)
    parameter, value = line.split()
    with pytest.raises(Misconfigured, match=rf"{parameter} is '{value}', not a number"):
        getattr(read_setup(path), name)(parameter)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
@pytest.mark.parametrize(("mask", "kept"), [("0xffff", [0]), ("0xffffffff", [0]), ("4", [0, 2])])
def test_masks_may_have_more_bits_than_the_flags(tmp_path, kind, mask, kept):
    """SExtractor's FLAGS have 16: numpy ended with an overflow, and the sequence with it."""
    path = tmp_path / "a.scamp"
    path.write_text(f"IMAFLAGS_MASK {mask}\nASTR_FLAGSMASK {mask}\n")
    setup, flags = read_setup(path), np.array([0, 4, 2], dtype=kind)
    finite = ("XWIN_IMAGE", "YWIN_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO", "ERRAWIN_IMAGE")
    table = pd.DataFrame({**dict.fromkeys(finite, 1.0), ROW_NUMBER: flags})
    assert flags[usable(table, setup=setup)].tolist() == kept
    assert flags[~has_flag(flags, setup.integer("ASTR_FLAGSMASK"))].tolist() == kept


def test_missing_set_up_file(tmp_path):
    with pytest.raises(Misconfigured, match=r"none\.scamp: SCAMP_CONFIG cannot be read"):
        read_setup(tmp_path / "none.scamp")


def test_reference_file_of_the_set_up_is_looked_for_beside_it(tmp_path, monkeypatch):
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / "a.cat").write_bytes(b"")
    (tmp_path / "b.cat").write_bytes(b"")
    (folder / "own.scamp").write_text("ASTREF_CATALOG FILE\nASTREFCAT_NAME a.cat, b.cat\n")
    setup = read_setup(folder / "own.scamp")
    monkeypatch.chdir(tmp_path)
    files = (folder / "a.cat", tmp_path / "b.cat")
    assert choose_reference(None, setup=setup).files == files
    assert choose_reference("FILE", setup=setup).files == files
    assert choose_reference(tmp_path / "b.cat", setup=setup).files == files[1:]
    assert choose_reference("2mass", setup=setup).name == "2MASS"
    assert choose_reference("2MASS", setup=setup).files == ()
    (folder / "a.cat").unlink()
    with pytest.raises(Misconfigured, match=r"own\.scamp: ASTREFCAT_NAME a\.cat: no such file"):
        choose_reference(None, setup=setup)
    with pytest.raises(Misconfigured, match=r"ASTREF_CATALOG .*c\.cat: no such file"):
        choose_reference(tmp_path / "c.cat", setup=setup)


@pytest.mark.parametrize("name", ["NONE", "GAIA-DR9"])
def test_unknown_reference_lists_the_known(name):
    setup = read_setup(shipped("semp/ssos.scamp"))
    with pytest.raises(Misconfigured, match=rf"ASTREF_CATALOG {name}.*GAIA-EDR3 PANSTARRS-1"):
        choose_reference(name, setup=setup)


def test_xml_that_is_not_valid_xml(tmp_path):
    path = tmp_path / "scamp.xml"
    path.write_text(
        '<TABLE ID="Fields" name="Fields">\n<FIELD name="Catalog_Number"/><FIELD name="Image_Ident"/>\n'
        '<FIELD name="XY_Contrast"/><FIELD name="AstromSigma_Reference"/>\n<DATA><TABLEDATA>\n'
        "<TR>\n<TD>1</TD><TD>M 31 & <friends></TD>\n<TD>7.5</TD><TD>0.1 0.2</TD>\n</TR>\n"
        "<TR><TD>2</TD><TD></TD><TD>nan</TD><TD>0.3</TD></TR>\n</TABLEDATA></DATA></TABLE>\n"
        '<TABLE ID="FGroups"><FIELD name="Catalog_Number"/><TR><TD>3</TD></TR></TABLE>'
    )
    fields = read_fields(path)
    assert fields["CATALOG_NUMBER"].tolist() == [1.0, 2.0]
    assert fields["XY_CONTRAST"].iloc[0] == 7.5
    assert fields["RMS_REF_RA"].tolist() == [0.1, 0.3]
    assert fields["RMS_REF_DEC"].isna().tolist() == [False, True]
    assert fields["AS_CONTRAST"].isna().all()
    path.write_text("<VOTABLE></VOTABLE>")
    with pytest.raises(BadInput, match="no table of exposures"):
        read_fields(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_fields(tmp_path / "none.xml")
