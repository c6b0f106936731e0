"""Never half a file: every cut, every zero tail, every false sum of a real multi-extension file is caught."""

from __future__ import annotations

import gzip
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.errors import BadInput
from ssosd.ingest.fitsblocks import BLOCK, read_layout
from ssosd.ingest.habits import Habits
from ssosd.ingest.settle import Look, datasum, what_is_missing
from ssosd.intake import admit
from ssosd.model import is_fits_name
from tests.frames import header, pixels, write
from tests.watched import mef, station_for


def texts(path: Path) -> list[str]:
    return [lack.text for lack in what_is_missing(path)]


def kinds(path: Path) -> list[str]:
    return [lack.kind for lack in what_is_missing(path)]


def cuts(whole: bytes, path: Path) -> list[int]:
    """Every block boundary, every HDU boundary, and offsets beside them."""
    layout = read_layout(path)
    ends = [hdu.offset + -(-hdu.size // BLOCK) * BLOCK for hdu in layout.hdus]
    starts = [hdu.offset for hdu in layout.hdus]
    data_ends = [hdu.offset + hdu.size for hdu in layout.hdus[:-1]]
    blocks = range(0, len(whole), BLOCK)
    found = {*blocks, *ends, *starts, *data_ends}
    found |= {at + d for at in found for d in (-81, -80, -4, -1, 1, 4, 80, 1000)}
    return sorted(at for at in found if 0 <= at < len(whole))


@pytest.fixture
def station(tmp_path):
    return station_for(tmp_path / "target")


@pytest.fixture
def learned(tmp_path, station):
    """What two earlier files of the camera tell."""
    habits = Habits()
    for number in (1, 2):
        taken = admit(mef(tmp_path / f"e{number}.fits", number), station=station, habits=habits)
        assert taken.exposure is not None
        assert not taken.missing
        habits.learn(taken.exposure)
    return habits


@pytest.mark.parametrize("nextend", [True, False], ids=["NEXTEND", "learned"])
def test_every_cut_of_a_multi_extension_file_is_caught(tmp_path, station, learned, nextend):
    path = mef(tmp_path / "night.fits", 3, nextend=nextend)
    whole = path.read_bytes()
    habits = Habits() if nextend else learned
    boundaries = [hdu.offset + -(-hdu.size // BLOCK) * BLOCK for hdu in read_layout(path).hdus[:-1]]
    tried = cuts(whole, path)
    assert set(boundaries) <= set(tried)
    assert len(tried) > 100
    last = read_layout(path).hdus[-1]
    for at in [*tried, len(whole) - 1]:
        path.write_bytes(whole[:at])
        taken = admit(path, station=station, habits=habits)
        assert taken.missing, f"cut at byte {at} of {len(whole)}: {taken}"
        assert taken.missing[0].kind != "end" or at >= last.offset + last.size, "only padding is lost"
    path.write_bytes(whole)
    assert not admit(path, station=station, habits=habits).missing


@pytest.mark.parametrize("nextend", [True, False], ids=["NEXTEND", "learned"])
def test_every_zero_tail_of_a_preallocated_file_is_caught(tmp_path, station, learned, nextend):
    path = mef(tmp_path / "night.fits", 3, nextend=nextend)
    whole = path.read_bytes()
    habits = Habits() if nextend else learned
    last = read_layout(path).hdus[-1]
    tried = [at for at in cuts(whole, path) if at < last.offset + last.size - BLOCK]
    tried += [at for at in range(0, len(whole), BLOCK) if at not in tried]
    for at in tried:
        path.write_bytes(whole[:at].ljust(len(whole), b"\0"))
        taken = admit(path, station=station, habits=habits)
        assert taken.missing, f"zeros from byte {at} of {len(whole)}: {taken}"


def test_headers_first_and_pixels_later_is_caught(tmp_path, station):
    """Some cameras write all headers into place and fill in the chips in any order."""
    path = mef(tmp_path / "night.fits", nextend=True)
    whole = path.read_bytes()
    for hdu in read_layout(path).hdus[1:]:
        path.write_bytes(whole[: hdu.offset] + bytes(hdu.size) + whole[hdu.offset + hdu.size :])
        assert texts(path) == [f"the data of HDU {hdu.index} end in {hdu.size} zero bytes of {hdu.size}"]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "fz"])
def test_every_changed_byte_of_data_with_a_datasum_is_caught(tmp_path, compressed):
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    path = tmp_path / ("a.fits.fz" if compressed else "a.fits")
    hdus = [fits.PrimaryHDU(), *(kind(pixels((40, 50), "i2", seed=k), header()) for k in range(2))]
    fits.HDUList(hdus).writeto(path, checksum=True)
    assert not what_is_missing(path)
    whole = path.read_bytes()
    layout = read_layout(path)
    assert all(hdu.cards.text("DATASUM") for hdu in layout.hdus)
    for hdu in layout.hdus[1:]:
        for at in range(hdu.offset, hdu.offset + hdu.size, 97):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x11]) + whole[at + 1 :])
            assert texts(path) == [f"the data of HDU {hdu.index} do not have their DATASUM"]
        for at in range(hdu.offset, hdu.offset + hdu.size, BLOCK):
            end = hdu.offset + hdu.size
            path.write_bytes(whole[:at] + bytes(end - at) + whole[end:])
            assert kinds(path) == ["bytes"]


@given(data=st.binary(max_size=3000), chunk=st.sampled_from([4, 64, 1 << 22]))
@settings(max_examples=100, deadline=None)
def test_datasum_is_astropys(data, chunk):
    padded = data.ljust(-(-max(len(data), 1) // BLOCK) * BLOCK, b"\0")
    import ssosd.ingest.settle as settle

    former, settle._CHUNK = settle._CHUNK, chunk
    try:
        ours = datasum(io.BytesIO(padded), len(padded))
    finally:
        settle._CHUNK = former
    theirs = int(fits.ImageHDU()._compute_checksum(np.frombuffer(padded, dtype="u1")))
    assert ours == theirs


def test_header_edited_after_its_checksum_was_written_is_whole(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(pixels(), header()).writeto(path, checksum=True)
    with path.open("r+b") as file:
        at = path.read_bytes().index(b"OBJECT  = '5945")
        file.seek(at + 11)
        file.write(b"1234")
    assert not what_is_missing(path)


def test_all_zero_data_with_its_datasum_is_whole(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((50, 60), "i2"), header()).writeto(path, checksum=True)
    assert not what_is_missing(path)


def test_masked_overscan_is_only_a_doubt(tmp_path):
    data = pixels((60, 64))
    data[-13:] = 0
    assert kinds(write(tmp_path / "a.fits", header(), data)) == ["end"]
    data[-1, -1] = 1
    assert not what_is_missing(write(tmp_path / "a.fits", header(), data))


def test_few_zero_pixels_at_the_end_are_no_doubt(tmp_path):
    data = pixels((60, 64))
    data[-1, -20:] = 0
    assert not what_is_missing(write(tmp_path / "a.fits", header(), data))


@pytest.mark.parametrize("at", [100, 2000, -9, -4, -1])
def test_cut_gzip_is_caught(tmp_path, at):
    path = tmp_path / "a.fits.gz"
    whole = gzip.compress(write(tmp_path / "b.fits", header()).read_bytes())
    path.write_bytes(whole)
    assert not what_is_missing(path)
    path.write_bytes(whole[:at])
    assert kinds(path) == ["bytes"]


@pytest.mark.parametrize(
    "content", [b"", bytes(5000), b"SIMPL", b"SIMPLE  =                    T".ljust(2880)]
)
def test_the_very_beginning_of_a_file_is_waited_for(tmp_path, content):
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    assert kinds(path) == ["bytes"]


def test_a_file_that_is_no_fits_is_not_waited_for(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(b"<html>" * 1000)
    with pytest.raises(BadInput, match="not a FITS file"):
        what_is_missing(path)


def test_headers_without_data_are_waited_for(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(header=header()).writeto(path)
    assert texts(path) == ["headers without any data"]


def test_a_lost_trailing_table_is_missed_too(tmp_path, station, learned):
    """The learned number counts HDUs of every kind, not chips alone."""
    habits = Habits()
    for number in (1, 2, 3):
        path = mef(tmp_path / f"t{number}.fits", number)
        with fits.open(path, mode="append") as hdus:
            hdus.append(fits.BinTableHDU.from_columns([fits.Column("X", "D", array=np.arange(1.0, 9.0))]))
        if number < 3:
            habits.learn(admit(path, station=station, habits=habits).exposure)
    whole = path.read_bytes()
    path.write_bytes(whole[: -2 * BLOCK])
    assert [m.text for m in admit(path, station=station, habits=habits).missing] == [
        "5 HDUs, the instrument's other files have 6"
    ]


def test_another_window_of_the_same_camera_has_its_own_number(tmp_path, station, learned):
    path = mef(tmp_path / "window.fits", 5, chips=1, shape=(20, 25))
    assert not admit(path, station=station, habits=learned).missing


def test_the_first_odd_file_is_not_believed_for_ever(tmp_path, station):
    """A cut first file teaches too small a number, an odd one too large: both are soon forgotten."""
    habits = Habits()
    small = admit(mef(tmp_path / "a.fits", 1, chips=2), station=station, habits=habits).exposure
    large = admit(mef(tmp_path / "b.fits", 2, chips=4), station=station, habits=habits).exposure
    habits.learn(small)
    habits.learn(large)
    assert admit(mef(tmp_path / "c.fits", 3, chips=3), station=station, habits=habits).missing
    habits.learn(small)
    habits.learn(small)
    assert not admit(mef(tmp_path / "c.fits", 3, chips=3), station=station, habits=habits).missing


def test_look_needs_two_looks_and_the_time():
    look = Look.first(10, 1, 0.0)
    assert not look.is_quiet(100.0, 5.0)
    assert not look.again(10, 1, 4.0).is_quiet(4.0, 5.0)
    assert look.again(10, 1, 5.0).is_quiet(5.0, 5.0)
    grown = look.again(10, 1, 4.0).again(11, 2, 5.0)
    assert not grown.again(11, 2, 9.0).is_quiet(9.0, 5.0)
    assert grown.again(11, 2, 10.0).is_quiet(10.0, 5.0)
    assert grown.first_seen_s == 0.0


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["lowell12", "sim2"])
def test_real_frames_are_whole_and_cut_ones_are_not(shared_data, tmp_path, folder):
    files = sorted(p for p in (shared_data / folder).iterdir() if is_fits_name(p.name))
    assert len(files) >= 10
    for path in files:
        assert not what_is_missing(path), path
    path = tmp_path / files[0].name
    shutil.copy(files[0], path)
    path.chmod(0o644)
    size = path.stat().st_size
    for at in range(size - BLOCK, 0, -size // 40 // BLOCK * BLOCK or -BLOCK):
        with path.open("r+b") as file:
            file.truncate(at)
        assert kinds(path) == ["bytes"], at


@pytest.mark.shared
def test_files_of_other_observatories_have_their_datasums(shared_data):
    """All but three of PANOPTES, whose headers carry the sums of other pixels."""
    wrong, right = [], 0
    for path in sorted(p for p in (shared_data / "headers").rglob("*") if is_fits_name(p.name)):
        try:
            sums = sum(1 for hdu in read_layout(path).hdus if hdu.cards.text("DATASUM"))
            found = texts(path)
        except BadInput:
            continue
        right += bool(sums)
        wrong += [path.name for text in found if "DATASUM" in text]
    assert sorted(wrong) == ["pole.fits", "rotation.fits", "tiny.fits"]
    assert right > 20
