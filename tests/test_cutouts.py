"""Cutouts with the real SWarp: centred through the solved WCS, pixels unchanged, edges blank."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ssosd import astromatic
from ssosd.analysis import solved
from ssosd.analysis.cutouts import SolvedImage, cutout_name, extract_cutouts
from ssosd.analysis.fitscards import cards_of, fits_bytes, image_of
from ssosd.analysis.solved import OpenFiles, Piece
from ssosd.analysis.swarp import SwarpCutter
from ssosd.errors import Misconfigured
from ssosd.plumbing.resources import shipped
from tests import painted

pytestmark = pytest.mark.binaries
SHAPE = (200, 240)
PLACES = painted.scattered(SHAPE, 12, margin=50.0)
POINTING = {"CRVAL1": 150.003, "CRVAL2": 19.998}  # what the file says: 11" and 7" wrong


@pytest.fixture(scope="session")
def swarp() -> astromatic.Binary:
    return astromatic.find("swarp")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return Path(shutil.copy(shipped("semp") / "ssos.swarp", tmp_path / "my own.swarp"))


def _solution(**geometry: object) -> fits.Header:
    """The true WCS of a painted image, as SCAMP would solve it."""
    head = painted.header(SHAPE, **geometry)  # type: ignore[arg-type]
    for keyword in ("DATE-OBS", "EXPTIME", "FILTER", "GAIN"):
        del head[keyword]
    return head


def _image(path: Path, true: fits.Header, *, hdu: int = 0, filter: str = "r") -> SolvedImage:  # noqa: A002
    text = true.tostring(sep="\n", endcard=True, padding=False)
    text = "COMMENT Université P. & M. Curie\nHISTORY solved\nFLXSCALE= 3.0\nMAGZEROP= 25.0\n" + text
    return SolvedImage(path=path, hdu=hdu, header=text, date_obs="2026-11-14T20:00:00.127", filter=filter)


def _detections(
    true: fits.Header, xy: list[tuple[float, float]], *, catalog: int = 1, extension: int = 0
) -> pd.DataFrame:
    ra, dec = WCS(true).all_pix2world(np.array(xy), 1).T
    return pd.DataFrame(
        {
            "SOURCE_NUMBER": np.arange(1, len(xy) + 1),
            "CATALOG_NUMBER": catalog,
            "EXTENSION": extension,
            "RA": ra,
            "DEC": dec,
            "OBJECT": "Field 7",
        }
    )


def _undated(header: fits.Header) -> fits.Header:
    """The same without the date, about which astropy would warn."""
    plain = header.copy()
    del plain["DATE-OBS"]
    return plain


def _centroid(pixels: np.ndarray, sky: float = 1000.0) -> tuple[float, float]:
    """Flux-weighted centre within 7 pixels of the middle, FITS pixels."""
    n = len(pixels)
    yy, xx = np.mgrid[1 : n + 1, 1 : n + 1]
    near = np.hypot(xx - (n + 1) / 2, yy - (n + 1) / 2) < 7
    light = np.where(near, pixels - sky, 0.0)
    return float((light * xx).sum() / light.sum()), float((light * yy).sum() / light.sum())


def _extract(
    detections: pd.DataFrame,
    images: Mapping[tuple[int, int], SolvedImage],
    swarp: astromatic.Binary,
    config: Path,
    directory: Path,
    size_px: int = 48,
    **more: object,
) -> pd.DataFrame:
    given = {"binary": swarp, "config": config, "time_limit_s": 30.0, "scratch": config.parent}
    cutter = SwarpCutter(**given, size_px=size_px)  # type: ignore[arg-type]
    return extract_cutouts(
        **{"detections": detections, "images": images, "cutter": cutter, "directory": directory, **more}  # type: ignore[arg-type]
    )


GEOMETRIES = {
    "north up": {},
    "turned and mirrored": {"rotation": 137.0, "mirrored": True},
    "TPV": {
        "rotation": 30.0,
        "CTYPE1": "RA---TPV",
        "CTYPE2": "DEC--TPV",
        "PV1_0": 0.0,
        "PV1_1": 1.0,
        "PV1_4": 2e-2,
        "PV2_1": 1.0,
        "PV2_5": 3e-2,
        "PV2_7": 1e-1,
    },
    "TAN with PV, as SCAMP may name it": {"PV1_1": 1.0, "PV1_4": 0.5, "PV2_1": 1.0, "PV2_5": 0.5},
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
@pytest.mark.parametrize("size_px", [48, 33])
def test_the_mover_is_in_the_middle_and_the_pixels_are_untouched(
    tmp_path: Path, swarp: astromatic.Binary, config: Path, geometry: dict[str, object], size_px: int
) -> None:
    """Seed defect 15: cutouts were cut with the file's own WCS, off by the pointing error."""
    true = _solution(**geometry)
    if str(geometry.get("PV1_4")) == "0.5":  # the painted sky follows what SCAMP means: TPV
        sky = true.copy()
        sky["CTYPE1"], sky["CTYPE2"] = "RA---TPV", "DEC--TPV"
    else:
        sky = true
    pixels = painted.stars(SHAPE, PLACES, [1e5] * len(PLACES))
    path = painted.write(tmp_path / "in put.fits", (pixels, painted.header(SHAPE, **POINTING)))
    before = path.read_bytes()
    cut = _extract(
        _detections(sky, PLACES), {(1, 0): _image(path, true)}, swarp, config, tmp_path / "out", size_px
    )
    assert cut.index.tolist() == [(k + 1, 1) for k in range(len(PLACES))]
    assert set(cut["STATUS"]) == {"written"}
    assert set(cut["REASON"]) == {""}
    for (source, _), row in cut.iterrows():
        assert Path(row["PATH"]).name == f"{source}_1.fits"
        data, header = fits.getdata(row["PATH"], header=True)
        assert data.shape == (size_px, size_px)
        middle = (size_px + 1) / 2
        x, y = _centroid(data)
        assert max(abs(x - middle), abs(y - middle)) < 0.55  # half a pixel, and the noise
        left, low = (round(place - at) for place, at in zip(PLACES[source - 1], (x, y), strict=True))
        np.testing.assert_array_equal(data, pixels[low : low + size_px, left : left + size_px])
        named = header.copy()
        named["CTYPE1"], named["CTYPE2"] = sky["CTYPE1"], sky["CTYPE2"]
        assert header["CTYPE1"] == sky["CTYPE1"]
        position = WCS(_undated(named)).all_world2pix(header["RATARGET"], header["DETARGET"], 1)
        assert np.allclose(position, (x, y), atol=0.1)
    assert path.read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        cutout_name(k + 1, 1) for k in range(len(PLACES))
    )


def test_the_header_tells_what_it_is(tmp_path: Path, swarp: astromatic.Binary, config: Path) -> None:
    true = _solution()
    head = painted.header(SHAPE, **POINTING, SATURATE=55000.0, EGAIN=2.0, CCDTEMP=-20.0)
    head["OBJECT"] = "as in the file"
    path = painted.write(tmp_path / "a.fits", (painted.stars(SHAPE, PLACES, [1e5] * len(PLACES)), head))
    _extract(_detections(true, PLACES[:1]), {(1, 0): _image(path, true)}, swarp, config, tmp_path / "out")
    data, header = fits.getdata(tmp_path / "out" / "1_1.fits", header=True)
    expected = {"DATE-OBS": "2026-11-14T20:00:00.127", "FILTER": "r", "OBJECT": "Field 7"}
    expected |= {"SOURCE": 1, "CATALOG": 1, "IMAGE": "a.fits", "IMAGEHDU": 0, "NBLANK": 0}
    assert {key: header[key] for key in expected} == expected
    assert header["EXPTIME"] == 120.0
    assert header["GAIN"] == pytest.approx(1.5)
    assert header["SATURATE"] == pytest.approx(55000.0)
    assert "MJD-OBS" not in header  # SWarp's is a day off
    assert header["CRVAL1"] == true["CRVAL1"] != head["CRVAL1"]
    # FLXSCALE of SCAMP's header must not rescale the counts
    assert np.median(data) == pytest.approx(1000.0, abs=3.0)


def test_each_kind_of_file_gives_the_same_cutout(
    tmp_path: Path, swarp: astromatic.Binary, config: Path
) -> None:
    """Plain, unsigned integers, gzipped, tile-compressed, second extension: each read once for all."""
    true, head = _solution(), painted.header(SHAPE, **POINTING)
    pixels = painted.stars(SHAPE, PLACES, [1e5] * len(PLACES)).round().astype(np.uint16)
    painted.write(tmp_path / "p.fits", (pixels, head))
    painted.write(tmp_path / "z.fits.gz", (pixels, head))
    painted.write(tmp_path / "m.fits", (pixels[::-1].copy(), head), (pixels, head))
    packed = fits.CompImageHDU(pixels, head, compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "r.fits.fz")
    hdus = {"p.fits": 0, "z.fits.gz": 0, "m.fits": 2, "r.fits.fz": 1}
    images = {
        (k, hdu): _image(tmp_path / name, true, hdu=hdu) for k, (name, hdu) in enumerate(hdus.items(), 1)
    }
    wanted = [_detections(true, PLACES[:2], catalog=k, extension=hdu) for k, hdu in images]
    cut = _extract(pd.concat(wanted), images, swarp, config, tmp_path / "out", workers=2)
    assert cut["STATUS"].tolist() == ["written"] * 8
    for source in (1, 2):
        first = fits.getdata(tmp_path / "out" / f"{source}_1.fits")
        assert first.max() > 3000
        for catalog in (2, 3, 4):
            np.testing.assert_array_equal(first, fits.getdata(tmp_path / "out" / f"{source}_{catalog}.fits"))


@pytest.mark.parametrize("resample", ["N", "Y"])
def test_edges_are_blank_and_counted(
    tmp_path: Path, swarp: astromatic.Binary, config: Path, resample: str
) -> None:
    true = _solution()
    pixels = painted.stars(SHAPE, [(4.2, 100.4)], [1e5])
    pixels[120:124, 130:134] = np.nan
    path = painted.write(tmp_path / "a.fits", (pixels, painted.header(SHAPE)))
    with config.open("a", encoding="utf-8") as file:
        file.write(f"RESAMPLE {resample}\nRESAMPLING_TYPE BILINEAR\n")
    xy = [(4.2, 100.4), (-300.0, 50.0), (SHAPE[1] + 23.0, SHAPE[0] + 23.0), (132.0, 122.0), (120.0, 60.0)]
    detections = _detections(true, xy)
    below = detections.assign(SOURCE_NUMBER=99, DEC=-70.0).head(1)  # no value of the projection
    cut = _extract(
        pd.concat([detections, below]), {(1, 0): _image(path, true)}, swarp, config, tmp_path / "out"
    )
    assert cut["STATUS"].tolist() == ["written", "blank", "written", "written", "written", "blank"]
    assert "off the image a.fits[0]" in cut.loc[(2, 1), "REASON"]
    for (source, _), row in cut.iterrows():
        data, header = fits.getdata(row["PATH"], header=True)
        blank = int((~np.isfinite(data)).sum())
        assert header["NBLANK"] == row["N_BLANK"] == blank, source
        assert not (data == 0).any()
    edge = fits.getdata(cut.loc[(1, 1), "PATH"])
    assert np.isnan(edge[:, :18]).all()
    assert np.isfinite(edge[:, 24:]).all()
    assert _centroid(np.where(np.isfinite(edge), edge, 1000.0)) == pytest.approx((24.5, 24.5), abs=0.6)
    assert cut.loc[(2, 1), "N_BLANK"] == 48 * 48
    assert 0 < 48 * 48 - cut.loc[(3, 1), "N_BLANK"] < 10
    assert 16 <= cut.loc[(4, 1), "N_BLANK"] <= 36  # the pixels without a number
    assert cut.loc[(5, 1), "N_BLANK"] == 0


def test_swarp_config_and_cutout_size_change_the_outcome(
    tmp_path: Path, swarp: astromatic.Binary, config: Path
) -> None:
    true = _solution(rotation=40.0, mirrored=True)
    path = painted.write(
        tmp_path / "a.fits", (painted.stars(SHAPE, PLACES, [1e5] * len(PLACES)), painted.header(SHAPE))
    )
    images, detections = {(1, 0): _image(path, true)}, _detections(true, PLACES[:2])

    def run(line: str, size_px: int = 48) -> tuple[np.ndarray, fits.Header]:
        own = config.with_name("changed.swarp")
        own.write_text(config.read_text() + f"\n{line}\n")
        _extract(detections, images, swarp, own, tmp_path / "out", size_px)
        return fits.getdata(tmp_path / "out" / "2_1.fits", header=True, memmap=False)

    plain, header = run("")
    assert np.median(plain) == pytest.approx(1000.0, abs=3.0)
    assert abs(header["CD1_2"]) > 1e-4  # the exposure's own orientation
    flat, _ = run("SUBTRACT_BACK Y\nBACK_SIZE 32")
    assert np.median(flat) == pytest.approx(0.0, abs=3.0)
    assert np.ptp(plain - flat) < 200.0  # a smooth sky is gone; the pixels are the same ones
    assert abs(np.corrcoef(plain.ravel(), flat.ravel())[0, 1] - 1.0) < 0.01
    large, _ = run("", size_px=64)
    assert large.shape == (64, 64)
    np.testing.assert_array_equal(large[8:56, 8:56], plain)
    bare, header = run("COPY_KEYWORDS EGAIN")
    assert "EXPTIME" in header
    assert "AIRMASS" not in header
    np.testing.assert_array_equal(bare, plain)
    turned, header = run("RESAMPLE Y")
    assert _centroid(turned) == pytest.approx((24.5, 24.5), abs=0.1)  # the very centre
    assert (header["CD1_1"] < 0, header["CD2_2"] > 0, header["CD1_2"], header["CD2_1"]) == (True, True, 0, 0)
    assert WCS(_undated(header)).all_world2pix(header["RATARGET"], header["DETARGET"], 1) == pytest.approx(
        (24.5, 24.5), abs=1e-3
    )
    yy, xx = np.mgrid[1:49, 1:49]
    near = np.hypot(xx - 24.5, yy - 24.5) < 8
    assert (turned - 1000.0)[near].sum() == pytest.approx(1e5, rel=0.02)


def test_cutouts_again_are_the_same_bytes(tmp_path: Path, swarp: astromatic.Binary, config: Path) -> None:
    true = _solution()
    path = painted.write(
        tmp_path / "a.fits", (painted.stars(SHAPE, PLACES, [1e5] * len(PLACES)), painted.header(SHAPE))
    )
    images, detections = {(1, 0): _image(path, true)}, _detections(true, [*PLACES[:2], (0.0, 0.0)])
    one = _extract(detections, images, swarp, config, tmp_path / "one")
    # the same detection twice is one cutout; the order of the rows does not matter
    two = _extract(
        pd.concat([detections.iloc[::-1], detections]), images, swarp, config, tmp_path / "two", workers=2
    )
    assert sorted(two.index) == sorted(one.index)
    assert len(one) == 3
    for name in ("1_1.fits", "2_1.fits", "3_1.fits"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    again = _extract(detections, images, swarp, config, tmp_path / "one")
    pd.testing.assert_frame_equal(again, one)


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_what_fails_costs_no_other(tmp_path: Path, swarp: astromatic.Binary, config: Path) -> None:
    true = _solution()
    pixels = painted.stars(SHAPE, PLACES, [1e5] * len(PLACES))
    good = painted.write(tmp_path / "good.fits", (pixels, painted.header(SHAPE)))
    cut_off = tmp_path / "cut.fits"
    cut_off.write_bytes(good.read_bytes()[: 2880 * 4])
    text = tmp_path / "text.fits"
    text.write_text("no FITS")
    images = {
        (1, 0): _image(good, true),
        (2, 0): _image(cut_off, true),
        (3, 0): _image(text, true),
        (4, 0): _image(tmp_path / "gone.fits", true),
        (5, 2): _image(good, true, hdu=2),
        (6, 0): _image(good, fits.Header([("CRVAL1", 3.0)])),
    }
    keys = [*images, (7, 1)]
    detections = pd.concat([_detections(true, PLACES[:2], catalog=c, extension=e) for c, e in keys])
    cut = _extract(detections, images, swarp, config, tmp_path / "out")
    assert cut["STATUS"].tolist() == ["written"] * 2 + ["failed"] * 12
    reasons = cut["REASON"].groupby("CATALOG_NUMBER").first()
    for catalog, words in {2: "cut.fits", 3: "text.fits", 4: "gone.fits", 5: "good.fits[2]"}.items():
        assert words in reasons[catalog]
    assert "celestial" in reasons[6]
    assert reasons[7] == "no solved image of catalogue 7, extension 1"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["1_1.fits", "2_1.fits"]

    # SWarp itself fails on the second source only
    picky = tmp_path / "picky"
    picky.write_text(
        f"#!/bin/sh\necho x >> '{tmp_path}/runs'\n[ $(wc -l < '{tmp_path}/runs') = 2 ] && exit 9\n"
        f"exec '{swarp.path}' \"$@\"\n"
    )
    picky.chmod(0o755)
    binary = astromatic.Binary(program="swarp", path=str(picky), version="0")
    two = _detections(true, PLACES[:3])
    cut = _extract(two, images, binary, config, tmp_path / "out2")
    assert cut["STATUS"].tolist() == ["written", "failed", "written"]
    assert "exit code 9" in cut.loc[(2, 1), "REASON"]
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    binary = astromatic.Binary(program="swarp", path=str(silent), version="0")
    cut = _extract(two.head(1), images, binary, config, tmp_path / "out3")
    assert "SWarp wrote no image" in cut.loc[(1, 1), "REASON"]
    with pytest.raises(Misconfigured):
        _extract(two, images, swarp, tmp_path / "gone.swarp", tmp_path / "out4")


def test_each_image_is_opened_once(
    tmp_path: Path, swarp: astromatic.Binary, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = _solution()
    images = {}
    for k in (1, 2, 3):
        pixels = painted.stars(SHAPE, PLACES, [1e5] * len(PLACES), seed=k)
        path = painted.write(tmp_path / f"{k}.fits", (pixels, painted.header(SHAPE)))
        images[(k, 0)] = _image(path, true)
    opened: list[str] = []
    original = fits.open

    def counting(name: object, *args: object, **kwargs: object) -> fits.HDUList:
        opened.append(Path(str(name)).name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(solved.fits, "open", counting)
    seen: list[Piece] = []

    class Copier(SwarpCutter):
        def make(self, piece: Piece) -> tuple[np.ndarray, fits.Header]:
            seen.append(piece)
            return piece.pixels[piece.window].copy(), cards_of(piece.header)

    cutter = Copier(binary=swarp, config=config, time_limit_s=30.0, size_px=48, scratch=config.parent)
    wanted = pd.concat([_detections(true, PLACES, catalog=k) for k in (2, 1, 3)]).sort_values("SOURCE_NUMBER")
    cut = _extract(wanted, images, swarp, config, tmp_path / "out", cutter=cutter, workers=2)
    assert sorted(opened) == ["1.fits", "2.fits", "3.fits"]
    assert len(seen) == len(cut) == 3 * len(PLACES)
    assert set(cut["STATUS"]) == {"written"}
    # another way of cutting is given all it needs: its window is the unresampled cutout
    data = fits.getdata(tmp_path / "out" / "4_2.fits")
    assert _centroid(data) == pytest.approx((24.5, 24.5), abs=0.6)


def test_no_candidates_no_cutouts(tmp_path: Path, swarp: astromatic.Binary, config: Path) -> None:
    empty = _detections(_solution(), PLACES[:1]).head(0)
    cut = _extract(empty, {}, swarp, config, tmp_path / "out")
    assert len(cut) == 0
    assert list(cut.columns) == ["PATH", "STATUS", "N_BLANK", "REASON"]
    assert dict(cut["PATH"].items()) == {}


def test_a_cutout_is_written_as_astropy_would() -> None:
    """Byte for byte: numbers of all kinds, a long text, comments, a width that is no height."""
    rng = np.random.default_rng(5)
    for shape in ((1, 1), (7, 31), (256, 256)):
        pixels = rng.normal(1e3, 30.0, shape).astype(np.float32)
        pixels[0, 0] = np.nan
        header = fits.Header(
            [("OBJECT", "x" * 40, "a comment"), ("EXPTIME", 60.0), ("CRVAL1", 1e-9, "[deg]")]
        )
        header["NBLANK"], header["DATE-OBS"], header["GOOD"] = 1, "2026-11-14T20:00:00.127", True
        header["EMPTY"], header["QUOTED"], header["COUNT"] = "", "O'Higgins / r'", -3
        file = io.BytesIO()
        fits.PrimaryHDU(pixels, header).writeto(file)
        made = fits_bytes(pixels, cards_of(header))
        assert made == file.getvalue()
        read, values = image_of(made) or (None, {})
        np.testing.assert_array_equal(read, pixels)
        assert {key: values[key] for key in header} == dict(header)
    file = io.BytesIO()
    fits.PrimaryHDU(np.zeros((2, 2), dtype=np.int16)).writeto(file)
    assert image_of(file.getvalue()) is None


@pytest.mark.parametrize("packing", ["plain", "gz", "RICE_1"])
@pytest.mark.parametrize("stored", ["floats", "unsigned", "scaled", "blank", "a third axis"])
def test_pixels_are_read_as_astropy_reads_them(tmp_path: Path, packing: str, stored: str) -> None:
    """However they are stored: only the parts that are wanted are brought to floats."""
    rng = np.random.default_rng(2)
    if stored == "floats":
        hdu = fits.ImageHDU(rng.normal(0.0, 9.0, SHAPE).astype(np.float32))
        hdu.data[40, 50] = np.nan
    elif stored in ("unsigned", "a third axis"):
        shape = (1, *SHAPE) if stored == "a third axis" else SHAPE
        hdu = fits.ImageHDU(rng.integers(0, 65535, shape).astype(np.uint16))
    else:
        hdu = fits.ImageHDU(rng.integers(-300, 300, SHAPE).astype(np.int16))
        if stored == "blank":
            hdu.data[40, 50] = hdu.header["BLANK"] = -999
        else:
            hdu.header["BSCALE"], hdu.header["BZERO"] = 0.25, 1000.0
    if packing == "RICE_1":
        kinds = {"compression_type": "GZIP_1" if stored == "floats" else packing, "quantize_level": 0.0}
        hdu = fits.CompImageHDU(hdu.data, hdu.header, **kinds)
    path = tmp_path / ("a.fits.gz" if packing == "gz" else "a.fits")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    expected = np.asarray(fits.getdata(path, 1), dtype=np.float32).reshape(SHAPE)
    with OpenFiles() as files, files.image(_image(path, _solution(), hdu=1)) as image:
        pixels, valid = image.read(30, 20, 80, 60)
    part = expected[20:80, 30:110]
    np.testing.assert_array_equal(valid, np.isfinite(part))
    np.testing.assert_allclose(pixels[valid], part[valid], rtol=1e-6)
    assert valid.sum() == 80 * 60 - (stored in ("floats", "blank"))
