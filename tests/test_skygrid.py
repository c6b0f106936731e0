"""Our own cutouts: SWarp's pixels, one grid for a source, edges blank; against SWarp and a slow twin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ssosd import astromatic
from ssosd.analysis.cutouts import SolvedImage, extract_cutouts
from ssosd.analysis.lanczos import interpolate
from ssosd.analysis.lanczosgrid import nodes_at, on_grid
from ssosd.analysis.skygrid import LanczosCutter
from tests import painted

SHAPE = (300, 320)
NOISE = 8.0
PLACES = painted.scattered(SHAPE, 25, margin=60.0)
GEOMETRIES = {
    "north up": {},
    "turned and mirrored": {"rotation": 137.0, "mirrored": True},
    "TPV": {"rotation": 30.0, "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    | {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_4": 2e-2, "PV2_1": 1.0, "PV2_5": 3e-2, "PV2_7": 1e-1},
    "near the pole": {"dec": 89.98, "rotation": 10.0},
}


def solution(**geometry: object) -> fits.Header:
    head = painted.header(SHAPE, **geometry)  # type: ignore[arg-type]
    for keyword in ("DATE-OBS", "EXPTIME", "FILTER", "GAIN"):
        del head[keyword]
    return head


def image(path: Path, true: fits.Header, *, filter: str = "r") -> SolvedImage:  # noqa: A002
    text = true.tostring(sep="\n", endcard=True, padding=False)
    return SolvedImage(path=path, hdu=0, header=text, date_obs="2026-11-14T20:00:00.127", filter=filter)


def at(true: fits.Header, xy: list[tuple[float, float]], *, catalog: int = 1) -> pd.DataFrame:
    ra, dec = WCS(true).all_pix2world(np.array(xy), 1).T
    return pd.DataFrame(
        {"SOURCE_NUMBER": np.arange(1, len(xy) + 1), "CATALOG_NUMBER": catalog, "EXTENSION": 0}
        | {"RA": ra, "DEC": dec, "OBJECT": "Field 7"}
    )


def cut(
    detections: pd.DataFrame, images: dict[tuple[int, int], SolvedImage], folder: Path, size_px: int = 64
) -> pd.DataFrame:
    cutter = LanczosCutter.of(detections, images, size_px=size_px)
    return extract_cutouts(detections=detections, images=images, cutter=cutter, directory=folder, workers=2)


def slow(pixels: np.ndarray, valid: np.ndarray, x: float, y: float) -> float:
    """The kernel as it is written in books, one place at a time, over the pixels that have a value."""
    if not valid[round(y), round(x)]:
        return np.nan
    total = weight = 0.0
    for row in range(int(np.floor(y)) - 2, int(np.floor(y)) + 4):
        for column in range(int(np.floor(x)) - 2, int(np.floor(x)) + 4):
            dx, dy = x - column, y - row
            w = np.sinc(dx) * np.sinc(dx / 3) * np.sinc(dy) * np.sinc(dy / 3)
            if 0 <= row < len(pixels) and 0 <= column < pixels.shape[1] and valid[row, column]:
                total += w * float(pixels[row, column])
                weight += w
    return total / weight


def test_the_kernel_against_a_slow_twin() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.normal(100.0, 10.0, (40, 30)).astype(np.float32)
    valid = rng.random((40, 30)) > 0.02
    x = np.concatenate([rng.uniform(-0.49, 29.49, 500), [7.0, 7.0, 7.25]])
    y = np.concatenate([rng.uniform(-0.49, 39.49, 500), [9.0, 9.5, 39.0]])
    expected = np.array([slow(pixels, valid, a, b) for a, b in zip(x, y, strict=True)])
    found = interpolate(pixels, valid, x, y)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    near = np.abs(found - expected) < 0.01
    assert near[~np.isnan(expected)].mean() > 0.99  # the others lie beside holes: the nearest pixel stands in
    np.testing.assert_allclose(
        interpolate(pixels, np.ones_like(valid), x[:400] / 2 + 7, y[:400] / 2 + 9),
        [
            slow(pixels, np.ones_like(valid), a, b)
            for a, b in zip(x[:400] / 2 + 7, y[:400] / 2 + 9, strict=True)
        ],
        atol=2e-3,
    )
    assert np.isnan(
        interpolate(pixels, valid, np.array([-0.6, np.nan, 29.6]), np.array([3.0, 3.0, 3.0]))
    ).all()


@pytest.mark.parametrize("turn", [0.0, 90.0, 180.0, 270.0, 90.08, -0.08, 30.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_grid_along_the_rows_is_interpolated_as_any_other(turn: float, mirrored: bool) -> None:
    """Stars on a noisy sky with holes, the grid partly off the image; against place by place."""
    rng = np.random.default_rng(7)
    pixels = painted.stars(SHAPE, PLACES, [2e4] * len(PLACES), noise=NOISE).astype(np.float32)
    valid = rng.random(SHAPE) > 1e-3
    angle, n = np.radians(turn), 240

    def places(at: np.ndarray) -> np.ndarray:
        x, y = np.meshgrid(at - 119.5, at - 119.5)
        x = -x if mirrored else x
        turned = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        return np.stack([1.0003 * turned[0] + 100.37, turned[1] + 150.81])

    for there in (np.ones(SHAPE, dtype=bool), valid):
        held = np.where(there, pixels, np.float32(0.0))
        found = on_grid(held, there, places(nodes_at(n)), size_px=n)
        expected = interpolate(held, there, *places(np.arange(float(n))))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        off = np.abs(found - expected)[np.isfinite(expected)]
        assert off.size > 0.7 * n * n
        assert np.sqrt(np.mean(off**2)) < 0.01 * NOISE
        assert np.percentile(off, 99.9) < 0.1 * NOISE


@pytest.mark.binaries
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_pixels_are_those_of_swarp(tmp_path: Path, geometry: dict[str, object]) -> None:
    """SWarp is given our grid as a header; what is left is far below the noise of a pixel."""
    true = solution(**geometry)
    pixels = painted.stars(SHAPE, PLACES, [2e4] * len(PLACES), noise=NOISE)
    path = painted.write(tmp_path / "a.fits", (pixels, painted.header(SHAPE)))
    made = cut(at(true, [(150.3, 160.7)]), {(1, 0): image(path, true)}, tmp_path / "out", 128)
    ours, header = fits.getdata(made["PATH"].iloc[0], header=True)
    fits.PrimaryHDU(pixels, true).writeto(tmp_path / "in.fits")
    grid = header.copy(strip=True)
    grid.update({"NAXIS": 2, "NAXIS1": 128, "NAXIS2": 128})
    text = grid.tostring(sep="\n", endcard=True, padding=False)
    (tmp_path / "swarped.head").write_text(text + "\n", encoding="ascii")
    options = "-SUBTRACT_BACK N -RESAMPLING_TYPE LANCZOS3 -FSCALASTRO_TYPE NONE -COMBINE_TYPE MEDIAN"
    options += " -IMAGEOUT_NAME swarped.fits -WEIGHTOUT_NAME w.fits -VERBOSE_TYPE QUIET -PROJECTION_ERR 0"
    program = astromatic.find("swarp").path
    subprocess.run([program, "in.fits", *options.split()], cwd=tmp_path, check=True, timeout=60)
    theirs = fits.getdata(tmp_path / "swarped.fits")
    assert np.isfinite(ours).all()
    assert ours.max() - 1000.0 > 100 * NOISE
    assert np.abs(ours - theirs).max() < 0.05 * NOISE
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.005 * NOISE


def test_all_cutouts_of_a_source_lie_on_one_grid(tmp_path: Path) -> None:
    """Three exposures, turned and dithered: by their WCS the stars lie upon each other, the mover moves."""
    images, tables = {}, []
    sky = at(solution(), PLACES)
    for k, turn in enumerate((0.0, 35.0, 180.0), start=1):
        true = solution(rotation=turn, ra=150.0 + 0.001 * k)
        xy = WCS(true).all_world2pix(sky[["RA", "DEC"]].to_numpy(), 1)
        mover = WCS(true).all_world2pix([[150.0 + 0.0021 * k, 20.0013]], 1)
        pixels = painted.stars(
            SHAPE, [*map(tuple, xy), tuple(mover[0])], [2e4] * len(xy) + [8e4], noise=1.0, seed=k
        )
        path = painted.write(tmp_path / f"{k}.fits", (pixels, painted.header(SHAPE)))
        images[(k, 0)] = image(path, true)
        tables.append(at(true, [tuple(mover[0])], catalog=k))
    made = cut(pd.concat(tables), images, tmp_path / "out", 129)
    frames = [fits.getdata(path, header=True) for path in made["PATH"]]
    for data, header in frames:
        assert (header["CRVAL1"], header["CRVAL2"]) == (frames[0][1]["CRVAL1"], frames[0][1]["CRVAL2"])
        assert header["CD2_2"] == -header["CD1_1"]
        assert header["CD2_2"] == pytest.approx(1.0 / 3600)
        shift = header["CRPIX1"] - frames[0][1]["CRPIX1"], header["CRPIX2"] - frames[0][1]["CRPIX2"]
        assert all(float(s).is_integer() for s in shift)
        place = WCS(header).all_world2pix(header["RATARGET"], header["DETARGET"], 1)
        assert np.abs(np.array(place) - 65.0).max() <= 0.5 + 1e-6
        near = np.unravel_index(np.nanargmax(data), data.shape)
        assert np.hypot(near[0] - 64, near[1] - 64) < 1.5
    assert frames[2][1]["CRPIX1"] != frames[0][1]["CRPIX1"]
    first, second = frames[:2]
    dx = int(second[1]["CRPIX1"] - first[1]["CRPIX1"])
    dy = int(second[1]["CRPIX2"] - first[1]["CRPIX2"])
    assert dx > 0  # it goes east, to the left: what stands still is further right
    overlap = np.s_[max(0, -dy) : 129 - max(0, dy), max(0, -dx) : 129 - max(0, dx)]
    shifted = np.s_[max(0, dy) : 129 - max(0, -dy), max(0, dx) : 129 - max(0, -dx)]
    a, b = first[0][overlap], second[0][shifted]
    rows, columns = np.indices(a.shape)
    rows, columns = rows + overlap[0].start, columns + overlap[1].start
    still = np.isfinite(a) & np.isfinite(b)
    for x, y in ((64, 64), (64 - dx, 64 - dy)):  # the mover, in the middle of each
        still &= np.hypot(columns - x, rows - y) > 12
    assert a[still].max() > 2000  # stars
    assert np.corrcoef(a[still], b[still])[0, 1] > 0.995


def test_edges_holes_and_headers(tmp_path: Path) -> None:
    true = solution()
    pixels = painted.stars(SHAPE, [(4.2, 100.4)], [1e5])
    pixels[120:124, 130:134] = np.nan
    head = painted.header(SHAPE, AIRMASS=1.2, TELESCOP="T1", SATURATE=6e4)
    path = painted.write(tmp_path / "a.fits", (pixels, head))
    xy = [(4.2, 100.4), (-300.0, 50.0), (SHAPE[1] + 31.0, SHAPE[0] + 31.0), (132.0, 122.0), (220.0, 60.0)]
    detections = at(true, xy)
    below = detections.assign(SOURCE_NUMBER=99, DEC=-70.0).head(1)
    table = pd.concat([detections, below])
    made = cut(table, {(1, 0): image(path, true)}, tmp_path / "out")
    assert made["STATUS"].tolist() == ["written", "blank", "written", "written", "written", "blank"]
    again = cut(table.iloc[::-1], {(1, 0): image(path, true)}, tmp_path / "again")
    assert sorted(again.index) == sorted(made.index)
    for (source, _), row in made.iterrows():
        data, header = fits.getdata(row["PATH"], header=True)
        assert header["NBLANK"] == row["N_BLANK"] == int(np.isnan(data).sum())
        expected = {
            "DATE-OBS": "2026-11-14T20:00:00.127",
            "FILTER": "r",
            "OBJECT": "Field 7",
            "SOURCE": source,
        }
        expected |= {"CATALOG": 1, "IMAGE": "a.fits", "IMAGEHDU": 0, "AIRMASS": 1.2, "TELESCOP": "T1"}
        expected |= {"EXPTIME": 120.0, "GAIN": 1.5, "SATURATE": 6e4}
        assert {key: header[key] for key in expected} == expected
        assert Path(row["PATH"]).read_bytes() == (tmp_path / "again" / Path(row["PATH"]).name).read_bytes()
    edge = fits.getdata(made.loc[(1, 1), "PATH"])
    blank = np.isnan(edge).all(axis=0)
    assert blank[:28].all()
    assert not blank[29:].any()
    assert np.isfinite(edge[:, 29:]).all()
    assert 0 < 64 * 64 - made.loc[(3, 1), "N_BLANK"] < 10
    assert 9 <= made.loc[(4, 1), "N_BLANK"] <= 25  # 4 x 4 pixels without a number, on another grid
    assert made.loc[(5, 1), "N_BLANK"] == 0
