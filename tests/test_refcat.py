"""Star catalogues of all kinds: FITS-LDAC references, bright stars as text and FITS, the HYG database."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ssosd.errors import BadInput
from ssosd.linker.refcat import read_bright_sources, read_reference, write_reference

STARS = pd.DataFrame({"RA": [10.0, 359.999999, 0.25], "DEC": [-89.5, 0.0, 45.5], "MAG": [5.5, -1.46, 12.25]})


def test_reference_comes_back(tmp_path):
    write_reference(tmp_path / "a b.cat", STARS)
    read = read_reference(tmp_path / "a b.cat")
    pd.testing.assert_frame_equal(read, STARS, check_exact=False, rtol=1e-7)
    np.testing.assert_array_equal(read[["RA", "DEC"]], STARS[["RA", "DEC"]])
    assert all(read[name].dtype == np.float64 for name in read)


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 360.0, exclude_max=True, allow_subnormal=False),
            st.floats(-90.0, 90.0),
            st.floats(-30, 40),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_any_stars_come_back(tmp_path_factory, stars):
    path = tmp_path_factory.mktemp("ref") / "r.cat"
    table = pd.DataFrame(stars, columns=["RA", "DEC", "MAG"], dtype=np.float64)
    write_reference(path, table)
    read = read_reference(path)
    np.testing.assert_array_equal(read[["RA", "DEC"]], table[["RA", "DEC"]])
    np.testing.assert_array_equal(read["MAG"], table["MAG"].astype(np.float32).astype(np.float64))


def test_columns_of_a_written_reference(tmp_path):
    table = STARS.assign(
        ERR=[0.01, 0.02, 0.036], MAGERR=0.05, EPOCH=2020.5, PMRA=[1.0, -2.0, 3.0], PMDEC=0.5, PMRA_ERR=0.1
    )
    write_reference(tmp_path / "r.cat", table)
    with fits.open(tmp_path / "r.cat") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "LDAC_IMHEAD", "LDAC_OBJECTS"]
        data = hdus[2].data
        assert data["ERRA_WORLD"][2] == pytest.approx(1e-5)
        assert set(data["OBSDATE"]) == {2020.5}
        assert data["PMALPHA_J2000"].tolist() == [1.0, -2.0, 3.0]
        assert data["PMALPHAERR_J2000"].tolist() == pytest.approx([0.1] * 3)
        assert data["PMDELTAERR_J2000"].tolist() == [0.0] * 3
    write_reference(tmp_path / "r.cat", STARS, epoch=2019.25)
    with fits.open(tmp_path / "r.cat") as hdus:
        assert set(hdus[2].data["OBSDATE"]) == {2019.25}
        assert "PMALPHA_J2000" not in hdus[2].columns.names


def test_own_column_names(tmp_path):
    table = fits.BinTableHDU(
        data=np.array([(1.0, 2.0, [3.0, 4.0])], dtype=[("A", "f8"), ("D", "f8"), ("BAND", "f4", (2,))]),
        name="LDAC_OBJECTS",
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "own.cat")
    read = read_reference(tmp_path / "own.cat", position_keys=("A", "D"), magnitude_key="BAND")
    assert read.to_numpy().tolist() == [[1.0, 2.0, 3.0]]
    assert read_reference(tmp_path / "own.cat", position_keys=("A", "D"))["MAG"].isna().all()
    with pytest.raises(BadInput, match=r"own\.cat: no column X_WORLD and Y_WORLD in it; found: A, D, BAND"):
        read_reference(tmp_path / "own.cat")


def test_unreadable_references(tmp_path):
    (tmp_path / "text.cat").write_text("not FITS")
    with pytest.raises(BadInput, match=r"text\.cat"):
        read_reference(tmp_path / "text.cat")
    with pytest.raises(BadInput, match=r"none\.cat"):
        read_reference(tmp_path / "none.cat")
    write_reference(tmp_path / "empty.cat", STARS.iloc[:0])
    with pytest.raises(BadInput, match=r"empty\.cat: no row of it has a usable position"):
        read_reference(tmp_path / "empty.cat")


def test_real_references(shared_data):
    stars = read_reference(shared_data / "lowell12" / "lowell5945_ref_ldac.cat")
    same = pd.read_csv(
        shared_data / "lowell12" / "lowell5945_ref.csv",
        comment="#",
        names=["ra", "dec", "sra", "sdec", "mag", "n"],
    )
    assert len(stars) == len(same) == 1443
    np.testing.assert_allclose(stars["RA"], same["ra"], atol=1e-8)
    np.testing.assert_allclose(stars["DEC"], same["dec"], atol=1e-8)


TEXTS = {
    "comma": "RA,DEC,MAG\n10.5,-20.25,3.5\n359.5,80,-1\n",
    "lower case, more columns": 'name,ra,dec,mag\nx,10.5,-20.25,3.5\n"y, z",359.5,80,-1\n',
    "semicolon": "Ra;Dec;Mag\n10.5;-20.25;3.5\n359.5;80;-1\n",
    "tab": "RA\tDEC\tMAG\n10.5\t-20.25\t3.5\n359.5\t80\t-1\n",
    "blanks": "  RA     DEC    MAG\n 10.5  -20.25  3.5\n 359.5  80     -1\n",
    "commented names": "\n# RA, DEC, MAG\n10.5, -20.25, 3.5\n# more\n359.5, 80, -1\n",
    "holes": "RA,DEC,MAG\n10.5,-20.25,3.5\n11,12,\n,3,4\nx,3,4\n1,200,3\n359.5,80,-1\n",
    "byte order mark": "\ufeffRA,DEC,MAG\n10.5,-20.25,3.5\n359.5,80,-1\n",
    "quoted names": '"id","RA","DEC","MAG"\n1,10.5,-20.25,3.5\n2,359.5,80,-1\n',
    "negative RA": "RA,DEC,MAG\n10.5,-20.25,3.5\n-0.5,80,-1\n",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_bright_sources_as_text(tmp_path, text, packed):
    path = tmp_path / ("stars.csv.gz" if packed else "stars.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    read = read_bright_sources(path)
    assert list(read.columns) == ["RA", "DEC", "MAG"]
    assert read.to_numpy().tolist() == [[10.5, -20.25, 3.5], [359.5, 80.0, -1.0]]


def test_hyg_has_hours_and_the_sun(tmp_path):
    path = tmp_path / "hygdata_v41.csv"
    path.write_text(
        '"id","hip","hd","hr","gl","bf","proper","ra","dec","dist","pmra","pmdec","rv","mag","absmag","rarad"\n'
        '0,,,,,,"Sol",0.000000,0.000000,0.0000,0.00,0.00,0.0,-26.700,4.850,0\n'
        '32263,32349,48915,2491,"Gl 244A","9Alp CMa","Sirius",6.752481,-16.716116,2.6371,-546,-1223,-9,-1.440,1.454,1.77\n'
        "1,1,224700,,,,,0.000060,1.089009,219.7802,-5.20,-1.88,0.0,9.100,2.390,0.00001569\n"
    )
    read = read_bright_sources(path)
    assert len(read) == 2
    assert read["RA"].tolist() == pytest.approx([101.287215, 0.0009])
    assert read["MAG"].tolist() == [-1.44, 9.1]


def test_small_right_ascensions_elsewhere_are_degrees(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("RA,DEC,MAG\n1,2,3\n23.5,2,3\n")
    assert read_bright_sources(path)["RA"].tolist() == [1.0, 23.5]


def test_bright_sources_as_fits(tmp_path):
    columns = [
        fits.Column(name="Name", format="5A", array=["a", "b", "c"]),
        fits.Column(name="ra", format="E", array=[10.5, 359.5, np.nan]),
        fits.Column(name="dec", format="D", array=[-20.25, 80.0, 1.0]),
        fits.Column(name="Mag", format="I", array=[3, -1, 2]),
    ]
    path = tmp_path / "stars.fits"
    notes = fits.BinTableHDU.from_columns([fits.Column(name="NOTE", format="2A", array=["x"])])
    fits.HDUList([fits.PrimaryHDU(), notes, fits.BinTableHDU.from_columns(columns)]).writeto(path)
    read = read_bright_sources(path)
    assert read.to_numpy().tolist() == [[10.5, -20.25, 3.0], [359.5, 80.0, -1.0]]
    assert all(read[name].dtype == np.float64 and read[name].dtype.isnative for name in read)
    write_reference(tmp_path / "ref.cat", STARS)
    np.testing.assert_allclose(read_bright_sources(tmp_path / "ref.cat"), STARS, rtol=1e-7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RA,DEC,V\n1,2,3\n", "no column MAG in it; found: RA, DEC, V"),
        (b"RAJ2000,DEJ2000,MAG\n1,2,3\n", "no column RA in it; found: RAJ2000, DEJ2000, MAG"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"RA,DEC,MAG\n", "no row of it has a usable position and magnitude"),
        (b"\x80\x81\xff\xfe\x00binary", "stars.csv"),
        (b"RA,DEC,MAG\n1,2,3,4,5\n1,2\n", None),
    ],
)
def test_bright_sources_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "stars.csv"
    path.write_bytes(content)
    if message is None:
        assert read_bright_sources(path).to_numpy().tolist() == [[1.0, 2.0, 3.0]]
        return
    with pytest.raises(BadInput) as caught:
        read_bright_sources(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_bright_sources_that_are_not_there_or_no_table(tmp_path):
    with pytest.raises(BadInput, match=r"none\.csv: cannot be read: No such file"):
        read_bright_sources(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="cannot be read"):
        read_bright_sources(tmp_path)
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(
        BadInput, match=r"image\.fits: no FITS table with columns RA, DEC and MAG; found: none"
    ):
        read_bright_sources(tmp_path / "image.fits")
    (tmp_path / "broken.csv.gz").write_bytes(b"RA,DEC,MAG\n1,2,3\n")
    with pytest.raises(BadInput, match=r"broken\.csv\.gz"):
        read_bright_sources(tmp_path / "broken.csv.gz")
