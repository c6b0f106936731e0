"""From a file to an exposure: every suffix, every HDU, and every way in which a file is no exposure."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import random
import tracemalloc
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from ssosd.errors import BadInput, Retriable, SsosdError
from ssosd.ingest.exposure import file_digest, footprint, read_exposure
from ssosd.ingest.fitsblocks import read_layout
from ssosd.ingest.headers import Cards
from ssosd.model import Exposure, HeaderKeywords
from ssosd.sphere import separation_arcsec
from tests import frames

KEYWORDS = HeaderKeywords()


def read(path, extensions=None, keywords=KEYWORDS) -> Exposure:
    return read_exposure(path, keywords=keywords, extensions=extensions)


def refusal(path, extensions=None, keywords=KEYWORDS) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read(path, extensions, keywords)
    assert path.name in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.next_step
    return caught.value


def check_sane(exposure: Exposure) -> None:
    assert exposure.date_obs == "2019-03-26T02:27:31.130"
    assert exposure.mjd_start == pytest.approx(58568.102443634256, abs=1e-11)
    assert exposure.mjd_mid - exposure.mjd_start == pytest.approx(150.0 / 86400.0, abs=1e-11)
    assert (exposure.exptime_s, exposure.filter, exposure.object) == (300.0, "VR", "5945")
    assert (exposure.telescope, exposure.instrument) == ("Hall 42", "NASA42")
    assert exposure.ra_deg == pytest.approx(120.0, abs=0.01)
    assert exposure.dec_deg == pytest.approx(30.0, abs=0.01)


@pytest.mark.parametrize("suffix", [".fits", ".fit", ".fts", ".FITS"])
@pytest.mark.parametrize("packing", ["", ".gz", ".bz2", ".fz"])
def test_every_suffix(tmp_path, suffix, packing):
    path = tmp_path / f"a{suffix}"
    if packing == ".fz":
        frames.write_mef(path, [(frames.header(), frames.pixels(dtype="i2"))], compressed=True)
    else:
        frames.write(path, frames.header())
    if packing == ".gz":
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    elif packing == ".bz2":
        path.with_name(path.name + ".bz2").write_bytes(bz2.compress(path.read_bytes()))
    elif packing:
        path.rename(path.with_name(path.name + packing))
    path = path.with_name(path.name + packing)
    exposure = read(path)
    check_sane(exposure)
    assert exposure.warnings == ()
    assert exposure.path == str(path)
    assert exposure.digest == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    (chip,) = exposure.chips
    assert (chip.hdu, chip.width_px, chip.height_px) == (int(packing == ".fz"), 64, 48)
    assert Exposure.from_json(exposure.to_json()) == exposure


def test_chip_geometry_is_astropys(tmp_path):
    head = frames.header()
    (chip,) = read(frames.write(tmp_path / "a.fits", head)).chips
    wcs = WCS(head, fix=False)
    corners = wcs.all_pix2world([[0.5, 0.5], [64.5, 0.5], [64.5, 48.5], [0.5, 48.5]], 1)
    assert np.allclose(chip.corners_deg, corners, atol=1e-9)
    assert np.allclose([chip.ra_deg, chip.dec_deg], wcs.all_pix2world([[32.5, 24.5]], 1)[0], atol=1e-9)
    assert chip.scale_arcsec == pytest.approx(
        3600.0 * np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))), rel=1e-6
    )


def test_keywords_are_found_in_any_hdu_science_first(tmp_path):
    primary = frames.header(frames.OBSERVED, OBJECT="primary", EXPTIME=None)
    science = frames.header(frames.TAN, OBJECT="5945", EXTNAME="SCI")
    other = frames.header({}, EXPTIME=300.0, OBJECT="other", EXTNAME="BPM")
    path = frames.write_mef(tmp_path / "a.fits", [(science, None), (other, None)], primary)
    check_sane(read(path))


def test_hierarch_keywords(tmp_path):
    head = frames.header()
    del head["EXPTIME"], head["FILTER"]
    head["HIERARCH ESO DET DIT"] = 300.0
    head["HIERARCH ESO INS FILT1 NAME"] = "VR"
    keywords = HeaderKeywords(exptime="ESO DET DIT", filter="hierarch eso ins filt1 name")
    check_sane(read(frames.write(tmp_path / "a.fits", head), keywords=keywords))


def mosaic(tmp_path, n=3, **primary):
    chips = []
    for k in range(n):
        head = frames.header(frames.TAN, CRPIX1=30.0 - 70.0 * k, EXTNAME=f"CCD{k}")
        chips.append((head, frames.pixels((48, 64 + k))))
    return frames.write_mef(tmp_path / "mosaic.fits", chips, frames.header(frames.OBSERVED, **primary))


def test_multi_extension_file_with_an_empty_primary(tmp_path):
    path = mosaic(tmp_path)
    exposure = read(path)
    assert [(c.hdu, c.width_px) for c in exposure.chips] == [(1, 64), (2, 65), (3, 66)]
    assert [c.hdu for c in read(path, (1, 3)).chips] == [1, 3]
    assert [c.hdu for c in read(path, (3, 1, 3)).chips] == [1, 3]
    assert [c.hdu for c in read(path, (2,)).chips] == [2]
    for chip in exposure.chips:
        for ra, dec in chip.corners_deg:
            far = separation_arcsec(ra, dec, exposure.ra_deg, exposure.dec_deg) / 3600.0
            assert far < np.hypot(exposure.width_deg, exposure.height_deg) / 2.0 + 1e-6


def test_extension_1_means_the_primary_when_that_is_the_only_image(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header())
    assert [c.hdu for c in read(path, (1,)).chips] == [0]
    assert [c.hdu for c in read(path, (0,)).chips] == [0]
    with fits.open(path) as hdus:
        table = fits.BinTableHDU.from_columns([fits.Column("A", "D", array=[1.0])])
        fits.HDUList([hdus[0].copy(), table]).writeto(tmp_path / "b.fits")
    assert [c.hdu for c in read(tmp_path / "b.fits", (1,)).chips] == [0]


def test_wrong_extensions_name_the_right_ones(tmp_path):
    path = mosaic(tmp_path)
    error = refusal(path, (4,))
    assert "SCI_EXTENSION 4: the file has HDUs 0 to 3" in error.message
    assert "1, 2, 3" in error.next_step
    assert "HDU 0 holds no image" in refusal(path, (0,)).message
    assert "SCI_EXTENSION 2" in refusal(frames.write(tmp_path / "a.fits", frames.header()), (2,)).message


def test_auxiliary_images_are_left_out_with_a_word(tmp_path):
    science = frames.header(frames.OBSERVED, frames.TAN, EXTNAME="SCI")
    names = ["BPM", "ERR", "WEIGHT", "ccd1_mask", "VAR"]
    others = [(frames.header(frames.TAN, EXTNAME=name), None) for name in names]
    path = frames.write_mef(tmp_path / "a.fits", [(science, None), *others])
    exposure = read(path)
    assert [c.hdu for c in exposure.chips] == [1]
    assert exposure.warnings == tuple(
        f"HDU {n} skipped: {name} is an auxiliary image" for n, name in enumerate(names, start=2)
    )
    assert [c.hdu for c in read(path, (2,)).chips] == [2]  # asked for by number


def test_images_without_wcs_are_left_out_as_long_as_one_has_it(tmp_path):
    science = frames.header(frames.OBSERVED, frames.TAN)
    bare = frames.header(frames.OBSERVED)
    path = frames.write_mef(tmp_path / "a.fits", [(bare, None), (science, None), (bare, None)])
    exposure = read(path)
    assert [c.hdu for c in exposure.chips] == [2]
    assert exposure.warnings[0] == "HDU 1 skipped: no WCS: CTYPE1 and CTYPE2 are absent"
    assert "no WCS" in refusal(path, (1, 2)).message


def test_a_wcs_in_the_primary_counts_for_a_single_image(tmp_path):
    path = frames.write_mef(
        tmp_path / "a.fits", [(frames.header(frames.OBSERVED), None)], frames.header(frames.TAN)
    )
    exposure = read(path)
    check_sane(exposure)
    assert exposure.warnings == ("the WCS is in the primary header only",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DATE__OBS": None}, "no time of observation: DATE-OBS is absent"),
        ({"DATE__OBS": "2019-03-26"}, "no time of observation: DATE-OBS: '2019-03-26'"),
        ({"EXPTIME": None}, "no exposure time: EXPTIME is absent"),
        ({"EXPTIME": 0.0}, "EXPTIME=0.0 is no exposure time"),
        ({"EXPTIME": -5.0}, "EXPTIME=-5.0 is no exposure time"),
        ({"EXPTIME": "NaN"}, "EXPTIME=NaN is no exposure time"),
        ({"CTYPE1": None, "CTYPE2": None}, "no WCS"),
        ({"CRVAL1": None}, "CRVAL1 is absent"),
        ({"CD1_1": 0.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.0}, "no WCS scale"),
    ],
)
def test_headers_that_are_no_exposure(tmp_path, changes, said):
    path = frames.write(tmp_path / "a.fits", frames.header(**changes))
    assert said in refusal(path).message


def test_stand_ins_are_said(tmp_path):
    head = frames.header(EXPTIME=None, FILTER=None, EXPOSURE=300.0, FILTER1="open", FILTER2="VR")
    exposure = read(frames.write(tmp_path / "a.fits", head))
    check_sane(exposure)
    assert exposure.warnings == (
        "EXPTIME is absent; used EXPOSURE instead",
        "FILTER is absent; used FILTER2 instead",
    )


def test_conversions_are_said_once_for_all_chips(tmp_path):
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4}
    chips = [(frames.header(frames.TAN, sip), None)] * 3
    path = frames.write_mef(tmp_path / "a.fits", chips, frames.header(frames.OBSERVED))
    (warning,) = read(path).warnings
    assert warning.startswith(
        "WCS TAN-SIP converted to TAN with PV polynomial of degree 3, largest residual "
    )
    assert warning.endswith(" px")


def test_a_text_file_named_fits(tmp_path):
    path = tmp_path / "a.fits"
    path.write_text("These are my notes.\n" * 500)
    assert "not a FITS file" in refusal(path).message
    path.write_text(frames.header().tostring(sep="\n") + "\nSIMPLE")
    assert "not a FITS file" in refusal(path).message
    path.write_text(fits.PrimaryHDU(header=frames.header()).header.tostring(sep="\n"))
    assert "line ends" in refusal(path).message


def test_empty_missing_and_directory(tmp_path):
    path = tmp_path / "a.fits"
    with pytest.raises(Retriable, match=r"a\.fits: is not there"):
        read(path)
    path.write_bytes(b"")
    assert "empty file" in refusal(path).message
    path.unlink()
    path.mkdir()
    assert "cannot be read" in refusal(path).message


@pytest.mark.parametrize("shape", [(0, 64), (3, 48, 64), (1, 2000), (64,)])
def test_images_that_are_no_sky_field(tmp_path, shape):
    path = frames.write(tmp_path / "a.fits", frames.header(), np.zeros(shape, "f4"))
    assert "no science image" in refusal(path).message
    if len(shape) > 1:
        assert "SCI_EXTENSION 0" in refusal(path, (0,)).message


def test_a_degenerate_third_axis_is_an_image(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header(), frames.pixels()[np.newaxis])
    check_sane(read(path))


def test_tables_only(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("A", "D", array=[1.0])])
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(header=frames.header()), table]).writeto(path)
    assert "no HDU holds an image" in refusal(path).message


def test_every_cut_is_noticed_but_those_between_hdus(tmp_path):
    whole = mosaic(tmp_path).read_bytes()
    layout = read_layout(tmp_path / "mosaic.fits")
    boundaries = {0, *(hdu.offset + -(-hdu.size // 2880) * 2880 for hdu in layout.hdus)}
    padding = {hdu.offset + hdu.size for hdu in layout.hdus}
    path = tmp_path / "cut.fits"
    for size in range(1, len(whole), 1440):
        path.write_bytes(whole[:size])
        inside_padding = any(end <= size < -(-end // 2880) * 2880 for end in padding)
        if size not in boundaries and not inside_padding:
            assert "truncated" in refusal(path).message


def test_a_missing_chip_that_the_primary_announces_is_reported(tmp_path):
    path = mosaic(tmp_path, NEXTEND=3)
    end = read_layout(path).hdus[2].offset + read_layout(path).hdus[2].size
    path.write_bytes(path.read_bytes()[: -(-end // 2880) * 2880])
    assert "NEXTEND announces 3 extensions, the file has 2" in read(path).warnings


def test_cut_or_damaged_compressed_files(tmp_path):
    plain = frames.write(tmp_path / "a.fits", frames.header())
    packed = gzip.compress(plain.read_bytes())
    path = tmp_path / "a.fits.gz"
    for damaged in (packed[: len(packed) // 2], packed[:-4], packed[:-8] + b"\0" * 8, packed[:20]):
        path.write_bytes(damaged)
        assert "gzip data cut or damaged" in refusal(path).message
    packed = bz2.compress(plain.read_bytes())
    path = tmp_path / "a.fits.bz2"
    for damaged in (packed[: len(packed) // 2], packed[:-4], packed[:60] + b"\0" * 40 + packed[100:]):
        path.write_bytes(damaged)
        assert "bzip2 data cut or damaged" in refusal(path).message
    fz = frames.write_mef(
        tmp_path / "b.fits.fz", [(frames.header(), frames.pixels(dtype="i2"))], compressed=True
    )
    hdu = read_layout(fz).hdus[1]
    fz.write_bytes(fz.read_bytes()[: hdu.offset + hdu.size - 10])
    assert "truncated: HDU 1 promises" in refusal(fz).message


def test_bytes_after_the_last_hdu_are_reported(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header())
    path.write_bytes(path.read_bytes() + b"\0" * 2880)
    exposure = read(path)
    check_sane(exposure)
    assert "no FITS extension" in exposure.warnings[0]


def test_the_original_is_not_touched(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header(CRVAL1="120.0"))
    os.utime(path, (1e9, 1e9))
    before = path.read_bytes()
    path.chmod(0o400)
    read(path)
    assert path.read_bytes() == before
    assert path.stat().st_mtime == 1e9
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]


def test_digest_is_of_the_bytes(tmp_path):
    first, second = tmp_path / "a.fits", tmp_path / "b.fits"
    frames.write(first, frames.header())
    second.write_bytes(first.read_bytes())
    assert file_digest(first) == file_digest(second) == read(second).digest
    second.write_bytes(first.read_bytes()[:-1] + b"x")
    assert file_digest(first) != file_digest(second)


@pytest.mark.parametrize(
    ("ra", "dec"), [(0.0, 0.0), (359.999, 0.0), (0.001, 85.0), (10.0, -89.99), (200.0, 90.0)]
)
def test_footprint_across_ra_0_and_at_the_poles(tmp_path, ra, dec):
    head = frames.header(CRVAL1=ra, CRVAL2=dec, CRPIX1=32.5, CRPIX2=24.5, CD1_2=0.0, CD2_1=0.0)
    exposure = read(frames.write(tmp_path / "a.fits", head))
    assert separation_arcsec(exposure.ra_deg, exposure.dec_deg, ra, dec) < 0.1
    assert exposure.width_deg == pytest.approx(64 * 2.7e-4, rel=0.02 if abs(dec) < 89.9 else 0.5)
    assert 0.0 <= exposure.ra_deg < 360.0


@given(
    st.floats(0, 359.99),
    st.floats(-87.0, 87.0),  # a wide field about a pole has no box along RA and Dec
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3),
)
def test_footprint_holds_all_its_points(ra, dec, offsets):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.cdelt = [1.0, 1.0]
    points = [tuple(map(float, p)) for p in wcs.all_pix2world(np.array(offsets), 0)]
    ra0, dec0, width, height = footprint(points)
    for point in points:
        assert separation_arcsec(*point, ra0, dec0) / 3600.0 <= np.hypot(width, height) / 2.0 * 1.01 + 1e-6


def test_cards_are_read_leniently():
    lines = [
        "SIMPLE  =                    T",
        "STRING  = 'it''s'              / a 'quoted' comment / with a slash",
        "NOSPACE ='x' / c",
        "UNQUOTED= 2019-03-26T02:27:31 / no quotes",
        "OPEN    = 'no end",
        "DBL     = 1.5D-3",
        "EMPTY   =                      / undefined",
        "LONG    = 'first &'",
        "CONTINUE  'second' / said",
        "HIERARCH ESO DET DIT = 2.5 / s",
        "HISTORY = 'no card'",
        "b\xe4d     = 1",
        "TWICE   = 1",
        "TWICE   = 2",
        "END",
        "AFTER   = 1",
    ]
    cards = Cards("".join(line.ljust(80) for line in lines).encode("latin-1"))
    assert cards.get("STRING") == "it's"
    assert cards.comment("STRING") == "a 'quoted' comment / with a slash"
    assert cards.get("NOSPACE") == "x"
    assert cards.get("UNQUOTED") == "2019-03-26T02:27:31"
    assert cards.get("OPEN") == "no end"
    assert cards.get("dbl") == 0.0015
    assert cards.get("EMPTY") is None
    assert cards.get("LONG") == "first second"
    assert cards.get("HIERARCH ESO DET DIT") == 2.5
    assert cards.get("TWICE") == 1
    assert "AFTER" not in cards


def test_no_damage_to_a_header_ends_in_a_traceback(tmp_path):
    """600 headers with random bytes: an exposure or a reason, nothing else, and nothing printed."""
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6}
    pv = {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": 40.0}
    path = tmp_path / "a.fits"
    rng = random.Random(20190326)
    outcomes = {"read": 0, "refused": 0}
    for more in ({}, sip, pv):
        frames.write(path, frames.header(frames.OBSERVED, frames.TAN, more))
        whole = path.read_bytes()
        end = read_layout(path).hdus[0].offset
        for _ in range(200):
            damaged = bytearray(whole)
            for _ in range(rng.choice([1, 3, 10, 40])):
                damaged[rng.randrange(80, end)] = rng.choice(
                    [rng.randrange(256), ord("0"), ord("9"), ord("-")]
                )
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    read(path)
                    outcomes["read"] += 1
                except SsosdError:
                    outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize(
    "changes", [{"NAXIS1": 10**15}, {"NAXIS1": 10**9, "NAXIS2": 10**9}, {"PCOUNT": 10**14}]
)
def test_a_header_that_promises_more_than_any_file_holds_is_a_cut_file(tmp_path, changes):
    path = frames.write(tmp_path / "a.fits", frames.header(frames.OBSERVED, frames.TAN))
    _set_cards(path, changes)
    with pytest.raises(
        BadInput, match=r"a\.fits: truncated: HDU 0 promises \d+ bytes of data, \d+ are there"
    ):
        read(path)


def test_a_damaged_number_of_axes_of_a_packed_image_costs_no_memory(tmp_path):
    path = tmp_path / "a.fits"
    head = frames.header(frames.OBSERVED, frames.TAN)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(frames.pixels(), head)]).writeto(path)
    _set_cards(path, {"ZNAXIS": 10**9})
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"a\.fits: no science image"):
        read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50_000_000


def _set_cards(path, changes):
    """Write values over those of cards, as damage does; a card that is not there goes before END."""
    data, end = path.read_bytes(), b"END".ljust(80)
    for keyword, value in changes.items():
        card = f"{keyword:<8}= {value:>20}".ljust(80).encode()
        at = data.find(card[:9])
        there, then = (data[at : at + 80], card) if at >= 0 else (end + b" " * 80, card + end)
        data = data.replace(there, then, 1)
    path.write_bytes(data)


@pytest.mark.shared
def test_real_frames_with_strings_pv_and_a_bare_date(shared_data):
    path = sorted((shared_data / "lowell12").glob("*.fz"))[0]
    exposure = read(path)
    assert exposure.date_obs == "2019-03-26T02:27:31.130"
    assert exposure.mjd_mid == pytest.approx(2458568.604179745 - 2400000.5, abs=1e-8)  # the header's MIDTIMJD
    assert exposure.filter == "VR"
    assert exposure.chips[0].scale_arcsec == pytest.approx(1.107, abs=0.005)
    assert any("UTC-OBS" in warning for warning in exposure.warnings)
    assert any("strings" in warning for warning in exposure.warnings)
