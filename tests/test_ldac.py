"""FITS-LDAC: what SExtractor and SCAMP write is read whole, natively, and can be written back."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ssosd import astromatic, ldac
from ssosd.errors import BadInput


def _objects(n: int, *, big_endian: bool = False) -> np.ndarray:
    order = ">" if big_endian else "<"
    dtype = [
        ("NUMBER", order + "i4"),
        ("FLAGS", order + "i2"),
        ("XWIN_IMAGE", order + "f8"),
        ("MAG_APER", order + "f4", (2,)),
        ("NAME", "S6"),
    ]
    objects = np.zeros(n, dtype=dtype)
    objects["NUMBER"] = np.arange(1, n + 1)
    objects["FLAGS"] = np.arange(n) % 5 - 2
    objects["XWIN_IMAGE"] = np.linspace(1.25, 512.5, n)
    objects["MAG_APER"] = np.arange(2 * n).reshape(n, 2)
    objects["NAME"] = b"star"
    return objects


def _header(**cards: object) -> fits.Header:
    header = fits.Header()
    header["NAXIS1"] = 512
    header.update(cards)
    return header


def _write(path: Path, *counts: int) -> list[ldac.LdacChip]:
    chips = [
        ldac.LdacChip(header=_header(CHIP=k), objects=_objects(n, big_endian=k % 2 == 0))
        for k, n in enumerate(counts)
    ]
    ldac.write_ldac(path, chips)
    return chips


def test_a_mosaic_survives_the_round_trip_with_an_empty_chip(tmp_path: Path) -> None:
    written = _write(tmp_path / "with space.cat", 7, 0, 3)
    chips = ldac.read_ldac(tmp_path / "with space.cat")
    assert [len(c.objects) for c in chips] == [7, 0, 3]
    assert [c.header["CHIP"] for c in chips] == [0, 1, 2]
    for before, after in zip(written, chips, strict=True):
        for name in ("NUMBER", "FLAGS", "XWIN_IMAGE", "MAG_APER"):
            np.testing.assert_array_equal(before.objects[name], after.objects[name])
    assert [p.name for p in tmp_path.iterdir()] == ["with space.cat"]  # no temporary left


def test_columns_are_native_and_usable_as_pandas_indexers(tmp_path: Path) -> None:
    """Big-endian int16 columns broke the seed with NumPy 2 and pandas 3."""
    _write(tmp_path / "a.cat", 9)
    chip = ldac.read_ldac(tmp_path / "a.cat")[0]
    assert all(chip.objects.dtype[name].isnative for name in chip.objects.dtype.names)
    frame = chip.frame()
    assert list(frame.columns) == ["NUMBER", "FLAGS", "XWIN_IMAGE", "MAG_APER", "MAG_APER_1", "NAME"]
    assert frame.set_index("FLAGS").loc[-2, "NUMBER"].tolist() == [1, 6]
    assert frame["NAME"].tolist() == ["star"] * 9
    assert frame["MAG_APER_1"].tolist() == list(range(1, 18, 2))
    assert isinstance(frame.groupby("FLAGS")["XWIN_IMAGE"].mean(), pd.Series)


def test_scaled_columns_are_read_with_their_scale(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns(
        [fits.Column("ID", "J", array=np.array([1, 2**31], dtype="u4"), bzero=2**31)], name="LDAC_OBJECTS"
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "u.cat")
    chip = ldac.read_ldac(tmp_path / "u.cat")[0]
    assert chip.objects["ID"].tolist() == [1, 2**31]
    assert len(chip.header) == 0


_FORMS = st.sampled_from(["B", "I", "J", "K", "E", "D", "2E", "3J", "5A", "L"])


@given(st.lists(_FORMS, min_size=1, max_size=6), st.integers(0, 9), st.booleans(), st.randoms())
def test_tables_are_read_as_astropy_reads_them(
    forms: list[str], n_rows: int, unsigned: bool, random: Random
) -> None:
    """Plain columns are read by hand, the others by astropy; the twin is astropy alone."""
    columns = [fits.Column(f"C{k}", form) for k, form in enumerate(forms)]
    columns += [fits.Column("U", "J", bzero=2**31)] if unsigned else []
    table = fits.BinTableHDU.from_columns(columns, nrows=n_rows, name="LDAC_OBJECTS")
    memory = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(memory)
    raw = bytearray(memory.getvalue())
    start = len(raw) - -(-table.size // 2880) * 2880
    text = {k for k, form in enumerate(forms) if form[-1] in "AL"}
    if not text:
        raw[start : start + table.size] = random.randbytes(table.size)
    with TemporaryDirectory() as folder:
        (Path(folder) / "a.cat").write_bytes(raw)
        ours = ldac.read_ldac(Path(folder) / "a.cat")[0].objects
        theirs = fits.getdata(Path(folder) / "a.cat", 1)
    assert list(ours.dtype.names or ()) == theirs.names
    for name in theirs.names:
        assert ours[name].dtype.isnative
        np.testing.assert_array_equal(ours[name], np.asarray(theirs[name]))


def test_scamps_non_ascii_comment_and_broken_cards_are_dropped() -> None:
    text = (
        "EQUINOX =        2000.00000000 / Mean equinox\n"
        "COMMENT (c) 2010-2020 IAP/CNRS/Université P.&M.Curie\n"
        "HISTORY   Astrometric solution by SCAMP\n"
        "OBSERVER= 'Gun\xe9ll'\n"
        "BROKEN  = not a 'value\n"
        "CRVAL1  =   1.234567890123E+02 / World coordinate on this axis\n"
        "END     \n"
        "CRVAL1  =   2.0\n"
        "END\n"
    ).encode("latin-1")
    first, second = ldac.headers_from_text(text)
    assert list(first) == ["EQUINOX", "CRVAL1"]
    assert first["CRVAL1"] == 123.4567890123
    assert second["CRVAL1"] == 2.0
    assert ldac.header_from_text(text) == first


def test_header_text_in_cards_equals_header_text_in_lines() -> None:
    header = _header(EXPTIME=30.0, OBJECT="O'Higgins / field")
    header["HIERARCH ESO DET ID"] = "chip 1"
    cards = header.tostring(padding=True)
    lines = header.tostring(sep="\n", endcard=True, padding=False)
    assert ldac.header_from_text(cards) == ldac.header_from_text(lines) == header
    assert ldac.headers_from_text("") == []
    assert len(ldac.header_from_text("")) == 0


def test_a_missing_last_end_still_counts() -> None:
    assert [h["A"] for h in ldac.headers_from_text("A       = 1\nEND\nA       = 2\n\n")] == [1, 2]


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=4),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_any_header_value_comes_back(values: list[float], text: str) -> None:
    header = fits.Header([(f"V{k}", v) for k, v in enumerate(values)])
    header["T"] = text
    assert ldac.header_from_text(header.tostring(sep="\n", padding=False)) == header


@pytest.mark.filterwarnings("ignore::UserWarning")  # astropy says it too, as a warning
def test_every_cut_is_told(tmp_path: Path) -> None:
    """Half a catalogue must never look like a whole one with fewer stars."""
    _write(tmp_path / "whole.cat", 40, 40)
    data = (tmp_path / "whole.cat").read_bytes()
    with fits.open(tmp_path / "whole.cat") as hdus:
        # cut in the padding of the first pair the file is a whole catalogue of one chip: nobody can tell;
        # cut in the last padding nothing is missing
        ends = [hdus[k].fileinfo()["datLoc"] + hdus[k].size for k in (2, 4)]
        unseen = range(ends[0], hdus[3].fileinfo()["hdrLoc"] + 1)
    cut = tmp_path / "cut.cat"
    for size in {*range(0, ends[1], 997), *range(0, ends[1], 2880), ends[1] - 1} - {*unseen}:
        cut.write_bytes(data[:size])
        with pytest.raises(BadInput, match=r"cut\.cat"):
            ldac.read_ldac(cut)


@pytest.mark.parametrize("content", [b"", b"not FITS at all\n" * 400])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.cat").write_bytes(content)
    with pytest.raises(BadInput, match=r"x\.cat: not a readable FITS-LDAC"):
        ldac.read_ldac(tmp_path / "x.cat")


def test_missing_files_and_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        ldac.read_ldac(tmp_path / "missing.cat")
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(BadInput, match="no LDAC_OBJECTS"):
        ldac.read_ldac(tmp_path / "image.fits")


@pytest.mark.binaries
def test_scamp_reads_what_is_written_here(tmp_path: Path) -> None:
    """The authority on the format: SCAMP must match catalogues of ours to a reference of ours."""
    rng = np.random.default_rng(3)
    header = _header(NAXIS=2, NAXIS2=512, EXPTIME=30.0, CTYPE1="RA---TAN", CTYPE2="DEC--TAN")
    header.update({"CRVAL1": 10.0, "CRVAL2": 0.0, "CRPIX1": 256.0, "CRPIX2": 256.0})
    header.update({"CD1_1": -1 / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1 / 3600})
    names = "XWIN_IMAGE YWIN_IMAGE ERRAWIN_IMAGE ERRBWIN_IMAGE ERRTHETAWIN_IMAGE FLUX_AUTO FLUXERR_AUTO FLAGS"
    objects = np.zeros(123, dtype={"names": names.split(), "formats": ["f8"] * 2 + ["f4"] * 5 + ["i2"]})
    objects["XWIN_IMAGE"], objects["YWIN_IMAGE"] = rng.uniform(5, 507, (2, len(objects)))
    objects["ERRAWIN_IMAGE"] = objects["ERRBWIN_IMAGE"] = 0.1
    objects["FLUX_AUTO"], objects["FLUXERR_AUTO"] = rng.uniform(1e3, 1e5, len(objects)), 10.0
    for k in range(2):
        header["DATE-OBS"] = f"2026-11-22T03:1{k}:05.678"
        chip = ldac.LdacChip(header=header.copy(), objects=objects)
        ldac.write_ldac(tmp_path / f"{k}.cat", [chip])
    names = "X_WORLD Y_WORLD ERRA_WORLD ERRB_WORLD MAG MAGERR OBSDATE"
    reference = np.zeros(123, dtype={"names": names.split(), "formats": ["f8"] * 2 + ["f4"] * 4 + ["f8"]})
    reference["X_WORLD"] = 10.0 - (objects["XWIN_IMAGE"] - 256.0) / 3600
    reference["Y_WORLD"] = (objects["YWIN_IMAGE"] - 256.0) / 3600
    reference["ERRA_WORLD"] = reference["ERRB_WORLD"] = 0.1 / 3600
    reference["MAG"], reference["MAGERR"], reference["OBSDATE"] = 15.0, 0.1, 2026.9
    ldac.write_ldac(tmp_path / "ref.cat", [ldac.LdacChip(header=fits.Header(), objects=reference)])
    done = astromatic.run(
        astromatic.find("scamp"),
        [
            *("0.cat", "1.cat", "-ASTREF_CATALOG", "FILE", "-ASTREFCAT_NAME", "ref.cat", "-MATCH", "N"),
            *("-CHECKPLOT_TYPE", "NONE", "-WRITE_XML", "N", "-FULLOUTCAT_TYPE", "FITS_LDAC"),
            *("-FULLOUTCAT_NAME", "full.cat", "-SN_THRESHOLDS", "1,2", "-FWHM_THRESHOLDS", "0,1000"),
        ],
        cwd=tmp_path,
        time_limit_s=60,
    )
    assert (done.stdout + done.stderr).count("123 detections") >= 2
    full = ldac.read_ldac(tmp_path / "full_1.cat")[0].frame()
    counts = full["CATALOG_NUMBER"].value_counts()
    assert sorted(counts.index) == [0, 1, 2]  # the reference is catalogue 0
    assert counts.min() > 110
    solved = ldac.header_from_text((tmp_path / "0.head").read_bytes())
    assert solved["CRVAL1"] == pytest.approx(10.0, abs=1e-5)
