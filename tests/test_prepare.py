"""What SExtractor and SCAMP are given: the right pixels, the right weights, the right heads, the original intact."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ssosd import astromatic
from ssosd.astromatic import Binary
from ssosd.errors import BadInput, Misconfigured, SsosdError
from ssosd.ingest.cardtext import format_card, kept_cards
from ssosd.ingest.exposure import read_exposure
from ssosd.ingest.headers import Cards
from ssosd.ingest.prepare import Prepared, prepare_image
from ssosd.linker.refcat import write_reference
from ssosd.model import HeaderKeywords
from ssosd.sphere import separation_arcsec
from tests import frames, painted

TEXT_WCS = {"CRVAL1": "120.0"}  # needs repair


def prepare(path: Path, extensions: tuple[int, ...] | None = None, weights: Path | None = None) -> Prepared:
    exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=extensions)
    return prepare_image(exposure, directory=path.parent / "work room", weights=weights)


def head_of(prepared: Prepared, chip: int = 0) -> fits.Header:
    return fits.Header.fromstring(prepared.heads[chip], sep="\n")


def three_chips(path: Path, *, dtype: str = "f4", compressed: bool = False, **changes: object) -> Path:
    chips = []
    for k in range(3):
        head = frames.header(frames.TAN, CRPIX1=30.0 - 80.0 * k, EXTNAME=f"CCD{k}", **changes)
        chips.append((head, frames.pixels((48, 64 + k), dtype, seed=k)))
    primary = frames.header(frames.OBSERVED, GAIN=1.7, SATURATE=60000.0)
    return frames.write_mef(path, chips, primary, compressed=compressed)


def test_a_plain_file_is_used_as_it_is(tmp_path):
    for path in (
        frames.write(tmp_path / "a.fits", frames.header()),
        frames.write(
            tmp_path / "b.fit", frames.header(frames.OBSERVED, frames.TAN, CD1_1=-2.7e-4, CD1_2=0.0)
        ),
    ):
        prepared = prepare(path)
        assert prepared.image == path
        assert prepared.weight is None
        assert not (tmp_path / "work room").exists()


def test_the_head_has_time_filter_and_a_numeric_wcs_at_full_precision(tmp_path):
    prepared = prepare(
        frames.write(tmp_path / "a.fits", frames.header(CD1_2="0.0", CRVAL1=123.45678901234567))
    )
    (text,) = prepared.heads
    lines = text.split("\n")
    assert all(len(line) == 80 for line in lines)
    assert lines[-1].strip() == "END"
    head = head_of(prepared)
    assert head["MJD-OBS"] == 58568.102443634256
    assert (head["EXPTIME"], head["FILTER"]) == (300.0, "VR")
    assert head["CRVAL1"] == 123.45678901234567
    assert head["CD1_2"] == 0.0
    assert not any(isinstance(head[k], str) for k in head if k[:2] in {"CD", "CR", "PV"})


def test_no_filter_no_card(tmp_path):
    assert "FILTER" not in head_of(prepare(frames.write(tmp_path / "a.fits", frames.header(FILTER=None))))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("packing", ["strings", "gz", "fz"])
def test_pixels_keep_their_type_and_values(tmp_path, dtype, packing):
    data = frames.pixels(dtype=dtype) if dtype != "u1" else frames.pixels().astype("i4").astype("u1")
    if packing == "fz":
        path = tmp_path / "a.fits.fz"
        head = frames.header()
        hdu = fits.CompImageHDU(
            data, head, quantize_level=0, compression_type="GZIP_1" if dtype[0] == "f" else "RICE_1"
        )
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    else:
        path = frames.write(
            tmp_path / "a.fits", frames.header(**(TEXT_WCS if packing == "strings" else {})), data
        )
    if packing == "gz":
        path = path.with_suffix(".fits.gz")
        path.write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    prepared = prepare(path)
    assert prepared.image != path
    with fits.open(prepared.image) as written:
        written.verify("exception")
        assert len(written) == 1
        assert written[0].data.dtype.newbyteorder("=") == np.dtype(dtype)
        assert np.array_equal(written[0].data, data)
        assert written[0].header["OBJECT"] == "5945"
        assert written[0].header["CRVAL1"] == 120.0
        assert "EXTNAME" not in written[0].header
        place = [[3.0, 4.0]]
        expected = WCS(head_of(prepared), fix=False).wcs_pix2world(place, 1)
        assert np.allclose(WCS(written[0].header, fix=False).wcs_pix2world(place, 1), expected, atol=1e-12)
    assert prepared.image.stat().st_size % 2880 == 0


def test_integers_of_64_bits_become_doubles(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header(), frames.pixels(dtype="i8"))
    with fits.open(prepare(path).image) as written:
        assert written[0].header["BITPIX"] == -64
        assert np.array_equal(written[0].data, frames.pixels(dtype="i8"))


def test_scaling_and_blank_survive(tmp_path):
    head = frames.header(TEXT_WCS | frames.OBSERVED | {k: v for k, v in frames.TAN.items() if k != "CRVAL1"})
    hdu = fits.PrimaryHDU(np.arange(64 * 48, dtype="i2").reshape(48, 64), head)
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5, 100.0, 7
    path = tmp_path / "a.fits"
    hdu.writeto(path)
    with fits.open(prepare(path).image) as written, fits.open(path) as original:
        assert np.array_equal(written[0].data, original[0].data, equal_nan=True)


@pytest.mark.parametrize(
    ("extensions", "hdus"), [((2,), (2,)), ((1, 3), (1, 3)), ((1, 2, 3), (1, 2, 3)), (None, (1, 2, 3))]
)
def test_exactly_the_chosen_chips_in_order_with_the_primarys_cards(tmp_path, extensions, hdus):
    path = three_chips(tmp_path / "m.fits.fz", dtype="i2", compressed=True)
    prepared = prepare(path, extensions)
    assert prepared.hdus == hdus
    assert len(prepared.heads) == len(hdus)
    with fits.open(prepared.image) as written, fits.open(path) as original:
        images = [hdu for hdu in written if hdu.data is not None]
        assert [hdu.data.shape[1] for hdu in images] == [63 + n for n in hdus]
        assert len(written) == len(hdus) + (len(hdus) > 1)
        for k, (hdu, n) in enumerate(zip(images, hdus, strict=True)):
            assert np.array_equal(hdu.data, original[n].data)
            assert hdu.header["GAIN"] == 1.7
            assert hdu.header["DATE-OBS"] == "2019-03-26T02:27:31.130"
            assert hdu.header["EXTNAME"] == f"CCD{n - 1}"
            assert head_of(prepared, k)["CRPIX1"] == 30.0 - 80.0 * (n - 1)


def test_a_selection_is_a_file_of_its_own_and_tables_are_left_out(tmp_path):
    path = three_chips(tmp_path / "m.fits")
    assert prepare(path, (1, 2, 3)).image != path
    assert prepare(path, (1, 2)).image != path
    with fits.open(path) as hdus:
        table = fits.BinTableHDU.from_columns([fits.Column("A", "D", array=[1.0])])
        fits.HDUList([hdus[0], hdus[1], table, hdus[2]]).writeto(tmp_path / "t.fits")
    assert prepare(tmp_path / "t.fits").hdus == (1, 3)


def test_a_degenerate_axis_is_dropped(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header(), frames.pixels()[np.newaxis])
    with fits.open(prepare(path).image) as written:
        assert written[0].data.shape == (48, 64)


def test_sip_cards_give_way_to_tpv(tmp_path):
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4}
    prepared = prepare(frames.write(tmp_path / "a.fits", frames.header(frames.OBSERVED, frames.TAN, sip)))
    head = fits.getheader(prepared.image)
    assert head["CTYPE1"] == "RA---TPV"
    assert "A_2_0" not in head
    assert "A_ORDER" not in head


def test_long_strings_and_comments_go_on():
    lines = [
        "LONG    = 'first &'",
        "CONTINUE  'second'",
        "CTYPE1  = 'x &'",
        "CONTINUE  'y'",
        "HISTORY kept",
        "A       = 1",
    ]
    own = Cards("".join(line.ljust(80) for line in lines).encode())
    primary = Cards(
        "".join(x.ljust(80) for x in ["A       = 2", "B       = 3", "HISTORY not", "BZERO   = 5"]).encode()
    )
    kept = [card.rstrip() for card in kept_cards(own, primary, compressed=False)]
    assert kept == ["LONG    = 'first &'", "CONTINUE  'second'", "HISTORY kept", "A       = 1", "B       = 3"]


@pytest.mark.parametrize(
    "value", [True, 7, -1, 0.1, -1e-300, 1e300, 58568.102443634256, "it's", "", "x" * 60]
)
def test_cards_are_read_back_as_they_were(value):
    card = format_card("KEY", value)
    assert len(card) == 80
    assert fits.Card.fromstring(card).value == value


def test_it_is_idempotent_and_leaves_no_other_file(tmp_path):
    path = frames.write(tmp_path / "a b,c[1].fits", frames.header(**TEXT_WCS))
    first = prepare(path)
    before = first.image.read_bytes()
    assert prepare(path) == first
    assert first.image.read_bytes() == before
    assert [p.name for p in first.image.parent.iterdir()] == [first.image.name]
    assert not set(first.image.name) & set(" ,[]")


def test_the_original_is_not_touched(tmp_path):
    path = three_chips(tmp_path / "m.fits", CRVAL2="30.0")
    os.utime(path, (1e9, 1e9))
    before = path.read_bytes()
    path.chmod(0o400)
    assert prepare(path).image != path
    assert path.read_bytes() == before
    assert path.stat().st_mtime == 1e9


def test_a_file_that_changed_meanwhile(tmp_path):
    path = three_chips(tmp_path / "m.fits")
    exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
    frames.write(path, frames.header())
    with pytest.raises(BadInput, match=r"m\.fits: HDU 1 no longer measures 64 x 48 px"):
        prepare_image(exposure, directory=tmp_path, weights=None)


def test_damaged_tiles_are_named(tmp_path):
    path = three_chips(tmp_path / "m.fits.fz", dtype="i2", compressed=True)
    data = bytearray(path.read_bytes())
    with fits.open(path, disable_image_compression=True) as hdus:
        start = hdus[2].fileinfo()["datLoc"]
        end = start + hdus[2].fileinfo()["datSpan"]
    rng = np.random.default_rng(1)
    data[start + 400 : end - 100] = rng.integers(0, 256, end - start - 500, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"m\.fits\.fz: HDU 2 cannot be decompressed"):
        prepare(path)
    assert not list((tmp_path / "work room").glob("*"))


def weight(path: Path, shape: tuple[int, int], half: str, *, compressed: bool = False) -> Path:
    data = np.ones(shape, "f4")
    data[:, : shape[1] // 2] = float(half == "left")
    data[:, shape[1] // 2 :] = float(half == "right")
    if compressed:
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data.astype("i2"))]).writeto(path)
    else:
        fits.PrimaryHDU(data).writeto(path)
    return path


@pytest.mark.parametrize("suffix", [".weight", ".weight.fits", ".weight.fits.fz"])
def test_weights_by_extension(tmp_path, suffix):
    path = three_chips(tmp_path / "m.fits")
    folder = tmp_path / "weights"
    folder.mkdir()
    for n, half in ((1, "left"), (3, "right")):
        weight(folder / f"m_{n}{suffix}", (48, 63 + n), half, compressed=suffix.endswith("fz"))
    prepared = prepare(path, (1, 3), folder)
    with fits.open(prepared.weight) as written, fits.open(prepared.image) as image:
        assert len(written) == len(image) == 3
        for k, half in ((1, 0), (2, -1)):
            assert written[k].data.shape == image[k].data.shape
            assert written[k].data[0, half] == 1
            assert written[k].data[0, -1 - half] == 0
    with pytest.raises(BadInput, match=r"m\.fits: no weight image m_2\.weight in "):
        prepare(path, (1, 2), folder)


def test_one_weight_file_for_all_chips(tmp_path):
    path = three_chips(tmp_path / "m.fits")
    planes = [fits.ImageHDU(np.full((48, 64 + k), k + 1.0, "f4")) for k in range(3)]
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(tmp_path / "m.weight.fits")
    for extensions in (None, (2,), (1, 3)):
        prepared = prepare(path, extensions, tmp_path)
        with fits.open(prepared.weight) as written:
            values = [hdu.data[0, 0] for hdu in written if hdu.data is not None]
        assert values == [float(n) for n in extensions or (1, 2, 3)]


def test_a_plain_weight_image_is_used_as_it_is(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header())
    for name in ("a.weight", "a_1.weight", "a_0.weight"):
        found = weight(tmp_path / name, (48, 64), "left")
        assert prepare(path, (1,), tmp_path).weight == found
        found.unlink()


def test_weights_that_are_missing_or_do_not_fit(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header())
    with pytest.raises(BadInput, match=r"a\.fits: no weight image a_0\.weight or a\.weight in "):
        prepare(path, None, tmp_path)
    weight(tmp_path / "a.weight", (48, 60), "left")
    with pytest.raises(BadInput, match=r"a\.weight\[0\] measures 60 x 48 px, HDU 0 64 x 48 px"):
        prepare(path, None, tmp_path)
    (tmp_path / "a.weight").write_text("no image")
    with pytest.raises(BadInput, match=r"a\.weight: not a FITS file"):
        prepare(path, None, tmp_path)
    with pytest.raises(Misconfigured, match=r"WEIGHT_IMAGES .*nowhere: no such folder"):
        prepare(path, None, tmp_path / "nowhere")


def test_an_unwritable_folder(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header(**TEXT_WCS))
    (tmp_path / "work room").write_text("a file where the folder should be")
    with pytest.raises(SsosdError, match="cannot be written"):
        prepare(path)


@pytest.fixture(scope="module")
def sextractor() -> Binary:
    return astromatic.find("sextractor")


def sources(binary: Binary, room: Path, image: Path, weights: Path | None = None) -> np.ndarray:
    """Rows of EXT_NUMBER, X, Y, RA, Dec, run as the daemon runs it: short names, links."""
    room.mkdir()
    (room / "p.param").write_text("EXT_NUMBER\nXWIN_IMAGE\nYWIN_IMAGE\nALPHAWIN_J2000\nDELTAWIN_J2000\n")
    (room / "p.sex").write_text("")
    (room / "image.fits").symlink_to(image)
    arguments = ["image.fits", "-c", "p.sex", "-PARAMETERS_NAME", "p.param", "-CATALOG_NAME", "o.cat"]
    arguments += ["-CATALOG_TYPE", "ASCII", "-FILTER", "N", "-DETECT_THRESH", "5"]
    if weights is not None:
        (room / "weight.fits").symlink_to(weights)
        arguments += ["-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", "weight.fits"]
    astromatic.run(binary, arguments, cwd=room, time_limit_s=60)
    return np.loadtxt(room / "o.cat", ndmin=2)


def painted_mosaic(path: Path, layout: str, places: list[list[tuple[float, float]]]) -> Path:
    images = [painted.stars((160, 200), xy, [60000.0] * len(xy), seed=k) for k, xy in enumerate(places)]
    heads = [
        frames.header(
            frames.TAN, frames.OBSERVED, CRPIX1=-250.0 * k, CRPIX2=80.0, PV1_1=1.0, PV2_1=1.0, PV1_7=0.3
        )
        for k in range(len(images))
    ]
    chips = [fits.ImageHDU(image, head) for image, head in zip(images, heads, strict=True)]
    first = fits.PrimaryHDU() if layout != "primary" else fits.PrimaryHDU(images[0], heads[0])
    hdus = [first, *(chips if layout != "primary" else chips[1:])]
    if layout == "table":
        hdus.insert(2, fits.BinTableHDU.from_columns([fits.Column("A", "D", array=[1.0])]))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.binaries
@pytest.mark.parametrize("layout", ["empty", "primary", "table"])
@pytest.mark.parametrize("every", [True, False])
def test_sextractor_sees_each_chip_with_its_weights_and_positions(tmp_path, sextractor, layout, every):
    places = [painted.scattered((160, 200), 14, seed=k) for k in range(3)]
    path = painted_mosaic(tmp_path / "m.fits", layout, places)
    folder = tmp_path / "weights"
    folder.mkdir()
    numbers = {"empty": (1, 2, 3), "primary": (0, 1, 2), "table": (1, 3, 4)}[layout]
    chosen = numbers if every else numbers[1:]
    for k, n in enumerate(numbers):
        weight(folder / f"m_{n}.weight", (160, 200), "left" if k % 2 else "right")
    prepared = prepare(path, chosen, folder)
    assert prepared.hdus == chosen
    found = sources(sextractor, tmp_path / "a", prepared.image, prepared.weight)
    assert set(found[:, 0]) == {float(n) for n in range(1, len(chosen) + 1)}
    for k, n in enumerate(chosen):
        chip = numbers.index(n)
        rows = found[found[:, 0] == k + 1]
        expected = [xy for xy in places[chip] if (xy[0] < 95) == bool(chip % 2) and abs(xy[0] - 100) > 15]
        for x, y in expected:
            assert np.hypot(rows[:, 1] - x, rows[:, 2] - y).min() < 0.3
        assert np.all(rows[:, 1] < 120) if chip % 2 else np.all(rows[:, 1] > 80)  # it interpolates 16 px
        ra, dec = WCS(head_of(prepared, k), fix=False).all_pix2world(rows[:, 1], rows[:, 2], 1)
        assert separation_arcsec(ra, dec, rows[:, 3], rows[:, 4]).max() < 0.01


@pytest.mark.binaries
def test_extension_numbers_are_sextractors(tmp_path, sextractor):
    """`file.fits[n]` and SCI_EXTENSION n are the same image, also 1 for a file whose only image is the primary."""
    places = [painted.scattered((160, 200), 14, seed=k) for k in range(3)]
    mosaic = painted_mosaic(tmp_path / "m.fits", "empty", places)
    single = frames.write(
        tmp_path / "s.fits", frames.header(), painted.stars((160, 200), places[0], [60000.0] * 14, seed=9)
    )
    for path, n in ((mosaic, 1), (mosaic, 3), (single, 1), (single, 0)):
        room = tmp_path / f"{path.stem}{n}"
        ours = sources(sextractor, room, prepare(path, (n,)).image)
        arguments = [
            f"{path.name}[{n}]",
            "-c",
            str(room / "p.sex"),
            "-PARAMETERS_NAME",
            str(room / "p.param"),
        ]
        arguments += [
            "-CATALOG_NAME",
            "o.cat",
            "-CATALOG_TYPE",
            "ASCII",
            "-FILTER",
            "N",
            "-DETECT_THRESH",
            "5",
        ]
        subprocess.run(
            [sextractor.path, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=60
        )
        theirs = np.loadtxt(tmp_path / "o.cat", ndmin=2)
        assert np.array_equal(ours[:, 1:3], theirs[:, 1:3])


@pytest.mark.binaries
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")  # of SCAMP's TDISP cards
def test_scamp_reads_the_head_as_astropy_does(tmp_path, sextractor):
    """A head made of SIP, given to SCAMP as .ahead: positions and mid-exposure epoch come out right."""
    shape = (256, 320)
    sip = {
        "CTYPE1": "RA---TAN-SIP",
        "CTYPE2": "DEC--TAN-SIP",
        "A_ORDER": 3,
        "B_ORDER": 3,
        "A_2_0": 3e-5,
        "B_0_3": 1e-7,
    }
    places = painted.scattered(shape, 60)
    truths = []
    for k in range(2):
        head = frames.header(
            frames.TAN, frames.OBSERVED, sip, **{"DATE-OBS": f"2019-03-26T02:{27 + 20 * k}:31.130"}
        )
        path = frames.write(
            tmp_path / f"e{k}.fits", head, painted.stars(shape, places, [90000.0] * 60, seed=k)
        )
        prepared = prepare(path)
        truths.append(WCS(head, fix=False))
        (tmp_path / f"c{k}.ahead").write_text(prepared.heads[0] + "\n")
        columns = "NUMBER XWIN_IMAGE YWIN_IMAGE ERRAWIN_IMAGE ERRBWIN_IMAGE ERRTHETAWIN_IMAGE FLUX_AUTO FLUXERR_AUTO "
        columns += "MAG_AUTO MAGERR_AUTO FLAGS FLUX_RADIUS ELONGATION SNR_WIN"
        (tmp_path / "p.param").write_text(columns.replace(" ", "\n") + "\n")
        (tmp_path / "p.sex").write_text("")
        (tmp_path / f"i{k}.fits").symlink_to(path)  # with its SIP, which only the .ahead puts right
        arguments = [f"i{k}.fits", "-c", "p.sex", "-PARAMETERS_NAME", "p.param", "-CATALOG_NAME", f"c{k}.cat"]
        arguments += ["-CATALOG_TYPE", "FITS_LDAC", "-FILTER", "N", "-DETECT_THRESH", "5"]
        astromatic.run(sextractor, arguments, cwd=tmp_path, time_limit_s=60)
    ra, dec = truths[0].all_pix2world(*np.transpose(places), 1)
    reference = pd.DataFrame({"RA": ra, "DEC": dec, "MAG": np.full(len(ra), 15.0)})
    write_reference(tmp_path / "reference.cat", reference, epoch=2019.0)
    arguments = [
        "c0.cat",
        "c1.cat",
        "-c",
        "p.sex",
        "-MATCH",
        "N",
        "-SOLVE_ASTROM",
        "N",
        "-ASTREF_CATALOG",
        "FILE",
    ]
    arguments += ["-ASTREFCAT_NAME", "reference.cat", "-ASTREFMAG_KEY", "MAG"]
    arguments += ["-SOLVE_PHOTOM", "N", "-CHECKPLOT_TYPE", "NONE", "-FULLOUTCAT_TYPE", "FITS_LDAC"]
    arguments += ["-FULLOUTCAT_NAME", "full.cat", "-WRITE_XML", "N", "-AHEADER_SUFFIX", ".ahead"]
    astromatic.run(astromatic.find("scamp"), arguments, cwd=tmp_path, time_limit_s=60)
    with fits.open(tmp_path / "full_1.cat") as catalogue:
        rows = catalogue[2].data
        for k, wcs in enumerate(truths):
            mine = rows[rows["CATALOG_NUMBER"] == k + 1]
            assert len(mine) > 40
            ra, dec = wcs.all_pix2world(mine["X_IMAGE"], mine["Y_IMAGE"], 1)
            off = separation_arcsec(ra, dec, mine["ALPHA_J2000"], mine["DELTA_J2000"])
            assert off.max() < 0.01 * 2.7e-4 * 3600.0
            mid = 58568.102443634256 + (150.0 + 1200.0 * k) / 86400.0
            assert mine["EPOCH"][0] == pytest.approx(2000.0 + (mid - 51544.5) / 365.25, abs=1.0 / 3.15e7)


def test_gain_and_saturation_of_the_primary_reach_every_chip(tmp_path):
    """SExtractor reads GAIN_KEY and SATUR_KEY from the image's own HDU alone."""
    path = three_chips(tmp_path / "m.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["GAIN"] = 2.5
        hdus[2].header["GAIN"] = 4.0
    with fits.open(prepare(path).image) as hdus:
        assert [h.header["GAIN"] for h in hdus if h.data is not None] == [2.5, 4.0, 2.5]


@pytest.mark.parametrize("value", [0, 0.0, -1.0, "NaN", "none", "", True, None])
def test_a_saturation_level_that_is_none_is_not_given(tmp_path, value):
    """SExtractor would read 0 and call every detection saturated; SATUR_LEVEL is for those without a card."""
    path = frames.write(tmp_path / "a.fits", frames.header())
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["SATURATE"] = value
    exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
    said = "is no saturation level and was ignored: SATUR_LEVEL counts"
    assert [w for w in exposure.warnings if w.startswith("SATURATE=") and w.endswith(said)]
    image = prepare_image(exposure, directory=tmp_path / "work room", weights=None).image
    assert image != path
    assert "SATURATE" not in fits.getheader(image)
    assert np.array_equal(fits.getdata(image), fits.getdata(path))


@pytest.mark.parametrize("value", [60000, "6.0E4", "60000 ADU"])
def test_a_saturation_level_as_sextractor_reads_it_stays(tmp_path, value):
    path = frames.write(tmp_path / "a.fits", frames.header(SATURATE=value))
    exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
    assert not exposure.warnings
    assert prepare_image(exposure, directory=tmp_path / "work room", weights=None).image == path


def test_no_level_of_a_chip_or_of_the_primary_is_given_and_good_ones_are(tmp_path):
    path = three_chips(tmp_path / "m.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["SATURATE"] = 0.0
        hdus[2].header["SATURATE"] = 50000.0
    prepared = prepare(path)
    with fits.open(prepared.image) as hdus:
        assert [h.header.get("SATURATE") for h in hdus if h.data is not None] == [None, 50000.0, None]


def test_the_keyword_of_the_level_is_sextractors(tmp_path):
    path = frames.write(tmp_path / "a.fits", frames.header(FULL=0.0, SATURATE=0.0))
    exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=None, saturation_key="FULL")
    head = fits.getheader(prepare_image(exposure, directory=tmp_path / "work room", weights=None).image)
    assert "FULL" not in head
    assert "SATURATE" in head
