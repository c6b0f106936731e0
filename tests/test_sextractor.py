"""SExtractor on painted images: what is found, what is refused, what the catalogue depends on."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ssosd import astromatic, ldac
from ssosd.astromatic_setup import read_columns
from ssosd.errors import BadInput, Misconfigured, Retriable
from ssosd.ingest import sextractor
from ssosd.ingest.prepare import Prepared
from ssosd.model import Catalogue
from ssosd.plumbing.resources import shipped
from tests import painted

pytestmark = pytest.mark.binaries
SHAPE = (256, 256)
PLACES = painted.scattered(SHAPE, 40)
FLUXES = list(np.geomspace(3e3, 3e5, len(PLACES)))


def _ready(
    image: Path,
    weight: Path | None = None,
    hdus: tuple[int, ...] = (0,),
    heads: tuple[str, ...] = ("MJD-OBS = 61358.83333480\n",),
) -> Prepared:
    return Prepared(image=image, weight=weight, hdus=hdus, heads=heads)


@pytest.fixture(scope="session")
def binary() -> astromatic.Binary:
    return astromatic.find("sextractor")


@pytest.fixture
def setup(tmp_path: Path) -> dict[str, Path]:
    """A person's own copy of the set-up, in a folder with a blank and a comma in its name.

    With the depth of the seed, where nothing but the painted stars is found.
    """
    folder = tmp_path / "my set-up, v2"
    shutil.copytree(shipped("semp"), folder)
    return {
        "config": folder / "seed.sex",
        "params": folder / "ssos.param",
        "conv": folder / "gauss_2.5_5x5.conv",
        "nnw": folder / "default.nnw",
    }


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return painted.write(tmp_path / "a.fits", (painted.stars(SHAPE, PLACES, FLUXES), painted.header(SHAPE)))


def _set(path: Path, key: str, value: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{key} {value}  # changed\n")


def _extract(
    prepared: Prepared | Path,
    binary: astromatic.Binary,
    setup: dict[str, Path],
    output: Path,
    time_limit_s: float = 60.0,
) -> Catalogue:
    ready = _ready(prepared) if isinstance(prepared, Path) else prepared
    return sextractor.extract(
        exposure=painted.exposure(ready.image, hdus=ready.hdus),
        prepared=ready,
        binary=binary,
        output=output,
        scratch=setup["config"].parent,
        time_limit_s=time_limit_s,
        key="k",
        **setup,
    )


def _nearest(path: Path, chip: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Distance from each painted star to the nearest detection, and that detection's row."""
    table = sextractor.read_catalogue(path)
    table = table[table["CHIP"] == chip]
    xy = np.array(PLACES)
    distance = np.hypot(
        xy[:, :1] - table["XWIN_IMAGE"].to_numpy(), xy[:, 1:] - table["YWIN_IMAGE"].to_numpy()
    )
    return distance.min(axis=1), distance.argmin(axis=1)


def test_painted_stars_are_found_where_they_are(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    output = tmp_path / "night, one" / "F 01" / "cats" / "a.cat"
    result = _extract(image, binary, setup, output)
    table = sextractor.read_catalogue(output)
    distance, row = _nearest(output)
    assert distance.max() < 0.15
    assert distance[-20:].max() < 0.02  # the bright half
    assert table["MAG_AUTO"].to_numpy()[row] == pytest.approx(
        -2.5 * np.log10(FLUXES), abs=0.4
    )  # tight Kron apertures
    assert result.n_detections == len(table) < 1.2 * len(PLACES)
    assert result.fwhm_px == pytest.approx(painted.FWHM_PX, rel=0.1)
    assert result.background == pytest.approx(1000.0, abs=3.0)
    assert (result.path, result.key) == (str(output), "k")
    assert "Objects: detected 40" in result.log_tail
    assert "WARNING" not in result.log_tail  # every keyword and column of the shipped set-up is known
    assert sorted(p.name for p in output.parent.iterdir()) == ["a.ahead", "a.cat"]
    assert output.with_suffix(".ahead").read_text() == "MJD-OBS = 61358.83333480\nEND     \n"
    assert set(read_columns(setup["params"])) == set(table.columns) - {"CHIP"}


def test_it_works_in_its_scratch_folder_and_nowhere_else(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What a kill leaves of it is where the next run cleans up, not in the machine's temporary folder."""
    before = sorted(setup["config"].parent.iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert _extract(image, binary, setup, tmp_path / "out" / "a.cat").n_detections >= len(PLACES)
    assert sorted(setup["config"].parent.iterdir()) == before


def test_a_mosaic_with_an_empty_primary_gives_its_chips_in_order(
    tmp_path: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    """Seed defect 4: any multi-extension file with an empty primary stopped the run."""
    planes = [
        (painted.stars(SHAPE, PLACES[:n], FLUXES[-n:], sky=sky, seed=n), painted.header(SHAPE))
        for n, sky in ((30, 500.0), (12, 900.0))
    ]
    blank = (np.full(SHAPE, 700.0, np.float32), painted.header(SHAPE))
    mosaic = painted.write(tmp_path / "m.fits", planes[0], blank, planes[1])
    ready = _ready(image=mosaic, hdus=(1, 2, 3), heads=("CHIP = 1", "CHIP = 2\nEND", "CHIP = 3\nEND     \n"))
    result = _extract(ready, binary, setup, tmp_path / "m.cat")
    table = sextractor.read_catalogue(tmp_path / "m.cat")
    assert table.groupby("CHIP").size().to_dict() == {0: 30, 2: 12}
    assert result.background == pytest.approx(700.0, abs=1.0)
    assert _nearest(tmp_path / "m.cat", chip=0)[0][:30].max() < 0.15
    assert (
        tmp_path / "m.ahead"
    ).read_text() == "CHIP = 1\nEND     \nCHIP = 2\nEND     \nCHIP = 3\nEND     \n"
    for chip in (0, 2):
        assert table.loc[table["CHIP"] == chip, "NUMBER"].is_unique


def test_a_weight_image_hides_what_it_masks(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    """Seed defect 13: weight images were handed over under a keyword SExtractor does not know."""
    weight = np.ones(SHAPE, np.float32)
    weight[:, :128] = 0.0
    mask = painted.write(tmp_path / "weights here" / "a_0.weight", (weight, fits.Header()))
    _extract(_ready(image=image, weight=mask), binary, setup, tmp_path / "w.cat")
    _extract(image, binary, setup, tmp_path / "plain.cat")
    masked = np.array(PLACES)[:, 0] < 118
    free = np.array(PLACES)[:, 0] > 138
    assert masked.sum() > 5
    assert _nearest(tmp_path / "plain.cat")[0].max() < 0.15
    distance, _ = _nearest(tmp_path / "w.cat")
    assert distance[masked].min() > 5.0
    assert distance[free].max() < 0.15


def test_the_kind_of_weight_is_the_set_ups(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    """The same map as a weight means good pixels, as an rms it means noisy ones."""
    values = np.full(SHAPE, 8.0, np.float32)
    values[:, :128] = 1e6
    ready = _ready(image=image, weight=painted.write(tmp_path / "w.fits", (values, fits.Header())))
    left = np.array(PLACES)[:, 0] < 118
    _extract(ready, binary, setup, tmp_path / "weight.cat")
    assert _nearest(tmp_path / "weight.cat")[0][left].max() < 0.15
    _set(setup["config"], "WEIGHT_TYPE", "MAP_RMS")
    _extract(ready, binary, setup, tmp_path / "rms.cat")
    assert _nearest(tmp_path / "rms.cat")[0][left].min() > 5.0
    with pytest.raises(Misconfigured, match=r"seed\.sex: WEIGHT_TYPE MAP_RMS.*WEIGHT_IMAGES"):
        _extract(image, binary, setup, tmp_path / "none.cat")


def test_what_the_corridor_needs_wins_over_the_set_up(
    tmp_path: Path,
    image: Path,
    binary: astromatic.Binary,
    setup: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, value in {
        "CATALOG_TYPE": "ASCII_HEAD",
        "CATALOG_NAME": "elsewhere.cat",
        "CHECKIMAGE_TYPE": "SEGMENTATION,BACKGROUND",
        "CHECKIMAGE_NAME": "seg.fits,back.fits",
        "PARAMETERS_NAME": "no.param",
        "FILTER_NAME": "no.conv",
        "STARNNW_NAME": "no.nnw",
        "VERBOSE_TYPE": "QUIET",
        "WRITE_XML": "Y",
    }.items():
        _set(setup["config"], key, value)
    work = tmp_path / "cwd"
    work.mkdir()
    monkeypatch.chdir(work)
    _extract(image, binary, setup, tmp_path / "out" / "a.cat")
    assert _nearest(tmp_path / "out" / "a.cat")[0].max() < 0.15
    assert list(work.iterdir()) == []
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.ahead", "a.cat"]


@pytest.mark.parametrize("lost", [("XWIN_IMAGE",), ("FLAGS", "AWIN_IMAGE", "SNR_WIN")])
def test_missing_columns_are_named_before_anything_runs(
    tmp_path: Path, image: Path, setup: dict[str, Path], lost: tuple[str, ...]
) -> None:
    lines = setup["params"].read_text().splitlines()
    setup["params"].write_text("\n".join(f"# {x}" if x in lost else x for x in lines))
    nothing = astromatic.Binary(program="sextractor", path=str(tmp_path / "absent"), version="0")
    with pytest.raises(Misconfigured, match=r"ssos\.param") as caught:
        _extract(image, nothing, setup, tmp_path / "a.cat")
    assert all(name in str(caught.value) for name in lost)
    assert "YWIN_IMAGE" not in str(caught.value)


def test_a_users_columns_are_carried_and_number_is_added(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    text = setup["params"].read_text().replace("\nNUMBER\n", "\n")
    setup["params"].write_text(text + "\nMAG_APER(2)\nISOAREA_IMAGE   # pixels\n")
    _set(setup["config"], "PHOT_APERTURES", "6,12")
    _extract(image, binary, setup, tmp_path / "a.cat")
    table = sextractor.read_catalogue(tmp_path / "a.cat")
    assert table["NUMBER"].tolist() == list(range(1, len(table) + 1))
    assert (table["MAG_APER"] > table["MAG_APER_1"]).mean() > 0.9  # the larger aperture holds more light
    assert table["ISOAREA_IMAGE"].min() >= 5


def test_nothing_found_is_a_reason_not_a_catalogue(
    tmp_path: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    dark = painted.write(tmp_path / "dark.fits", (np.full(SHAPE, 100, np.float32), painted.header(SHAPE)))
    with pytest.raises(BadInput, match=r"dark\.fits: SExtractor found nothing.*DETECT_THRESH"):
        _extract(dark, binary, setup, tmp_path / "out" / "dark.cat")
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_overflow_is_told(tmp_path: Path, binary: astromatic.Binary, setup: dict[str, Path]) -> None:
    pixels = painted.stars(SHAPE, PLACES, FLUXES)
    pixels[100:160, 100:160] += 5000.0
    image = painted.write(tmp_path / "a.fits", (pixels, painted.header(SHAPE)))
    _set(setup["config"], "MEMORY_PIXSTACK", "1000")
    _set(setup["config"], "WEIGHT_IMAGES", "maps")
    log = _extract(image, binary, setup, tmp_path / "a.cat").log_tail
    assert "Pixel stack overflow" in log
    assert "raise MEMORY_PIXSTACK" in log
    assert "WEIGHT_IMAGES keyword unknown" in log
    assert len(log.splitlines()) < 10  # thousands of equal warnings are one line


def test_set_up_files_change_the_outcome(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    """SEX_CONFIG, SEX_FILTER and SEX_NNW each do what they are there for."""
    _extract(image, binary, setup, tmp_path / "a.cat")
    before = sextractor.read_catalogue(tmp_path / "a.cat")

    wide = setup["conv"].with_name("none.conv")
    wide.write_text("CONV NORM\n0 0 0\n0 1 0\n0 0 0\n")
    _extract(image, binary, {**setup, "conv": wide}, tmp_path / "b.cat")
    assert len(sextractor.read_catalogue(tmp_path / "b.cat")) != len(before)

    words = setup["nnw"].read_text().split("3 10 10  1")
    flipped = setup["nnw"].with_name("flipped.nnw")
    flipped.write_text(
        words[0] + "3 10 10  1" + words[1].replace("-9.22250e-01 -2.32028e+00", "-9.22250e-01  9.32028e+00")
    )
    _extract(image, binary, {**setup, "nnw": flipped}, tmp_path / "c.cat")
    after = sextractor.read_catalogue(tmp_path / "c.cat")
    assert not np.allclose(after["CLASS_STAR"], before["CLASS_STAR"])
    np.testing.assert_array_equal(after["XWIN_IMAGE"], before["XWIN_IMAGE"])

    _set(setup["config"], "DETECT_THRESH", "300")
    _extract(image, binary, setup, tmp_path / "d.cat")
    assert 0 < len(sextractor.read_catalogue(tmp_path / "d.cat")) < 0.8 * len(before)


def test_a_flag_image_is_looked_for_beside_the_set_up(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    flags = np.zeros(SHAPE, np.int16)
    flags[128:] = 4
    painted.write(setup["config"].with_name("bad.fits"), (flags, fits.Header()))
    _set(setup["config"], "FLAG_IMAGE", "bad.fits")
    setup["params"].write_text(setup["params"].read_text() + "\nIMAFLAGS_ISO\n")
    _extract(image, binary, setup, tmp_path / "a.cat")
    table = sextractor.read_catalogue(tmp_path / "a.cat")
    away = (table["YWIN_IMAGE"] - 128.5).abs() > 15
    assert ((table["IMAFLAGS_ISO"] == 4) == (table["YWIN_IMAGE"] > 128.5))[away].all()


def test_bad_images_and_bad_set_ups_are_told_apart(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    cut = tmp_path / "cut.fits"
    cut.write_bytes(image.read_bytes()[:4000])
    output = tmp_path / "out" / "a.cat"
    _extract(image, binary, setup, output)
    whole = output.read_bytes()
    with pytest.raises(BadInput, match=r"cut\.fits: SExtractor: "):
        _extract(cut, binary, setup, output)
    small = painted.write(tmp_path / "w.fits", (np.ones((64, 64), np.float32), fits.Header()))
    with pytest.raises(BadInput, match="weight map have different sizes"):
        _extract(_ready(image=image, weight=small), binary, setup, output)
    assert output.read_bytes() == whole  # a failed run leaves the earlier catalogue as it was
    assert sorted(p.name for p in output.parent.iterdir()) == ["a.ahead", "a.cat"]

    junk = tmp_path / "junk.conv"
    junk.write_text("no filter\n")
    with pytest.raises(Misconfigured, match="not a suitable filter"):
        _extract(image, binary, {**setup, "conv": junk}, output)
    junk.write_text("no network\n")
    with pytest.raises(Misconfigured, match="NOT a NNW table"):
        _extract(image, binary, {**setup, "nnw": junk}, output)
    for value in ("maybe", "abc"):
        _set(setup["config"], "FILTER" if value == "maybe" else "DETECT_THRESH", value)
        with pytest.raises(Misconfigured, match=r"seed\.sex: SExtractor: .*(FILTER|thresholds)"):
            _extract(image, binary, setup, output)
        _set(setup["config"], "FILTER", "Y")
    with pytest.raises(Misconfigured, match=r"gone\.sex"):
        _extract(image, binary, {**setup, "config": tmp_path / "gone.sex"}, output)


def _script(path: Path, body: str) -> astromatic.Binary:
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return astromatic.Binary(program="sextractor", path=str(path), version="0")


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_misbehaving_programs(tmp_path: Path, image: Path, setup: dict[str, Path]) -> None:
    output = tmp_path / "out" / "a.cat"
    silent = _script(tmp_path / "silent", "echo all done; exit 0\n")
    with pytest.raises(BadInput, match=r"a\.fits: SExtractor wrote no catalogue: all done"):
        _extract(image, silent, setup, output)
    half = _script(tmp_path / "half", "head -c 2880 image.fits > out.cat\n")
    with pytest.raises(BadInput):
        _extract(image, half, setup, output)
    full = _script(tmp_path / "full", "echo '> *Error* while writing out.cat' >&2; exit 1\n")
    with pytest.raises(Retriable, match=r"a\.fits: SExtractor: while writing out\.cat.*free disk"):
        _extract(image, full, setup, output)
    stuck = _script(tmp_path / "stuck", "sleep 100\n")
    with pytest.raises(Retriable, match="time limit"):
        _extract(image, stuck, setup, output, time_limit_s=0.3)
    assert list(output.parent.iterdir()) == []


def test_a_lost_chip_is_noticed(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    with pytest.raises(BadInput, match=r"a\.fits: SExtractor returned 1 of 2 chips"):
        _extract(_ready(image=image, hdus=(1, 2), heads=("", "")), binary, setup, tmp_path / "a.cat")
    assert not (tmp_path / "a.cat").exists()


def test_the_key_follows_contents_not_names_or_dates(tmp_path: Path, setup: dict[str, Path]) -> None:
    weight = tmp_path / "w.fits"
    weight.write_bytes(b"map")
    exposure = painted.exposure(tmp_path / "a.fits", hdus=(1, 2))

    def key(**changes: object) -> str:
        inputs = {"exposure": exposure, "weights": (weight,), "version": "2.25.0", **setup, **changes}
        return sextractor.catalogue_key(**inputs)  # type: ignore[arg-type]

    first = key()
    for path in setup.values():
        os.utime(path, (1, 1))
    moved = shutil.copytree(setup["config"].parent, tmp_path / "moved")
    assert key() == first
    assert key(**{name: moved / path.name for name, path in setup.items()}) == first
    assert key(exposure=replace(exposure, path="/elsewhere/b.fits", warnings=("x",))) == first

    others = {
        key(exposure=replace(exposure, digest="1" * 32)),
        key(exposure=replace(exposure, chips=exposure.chips[:1])),
        key(exposure=replace(exposure, filter="g")),
        key(exposure=replace(exposure, exptime_s=60.0)),
        key(exposure=replace(exposure, date_obs="2026-11-14T20:00:01.127")),
        key(weights=()),
        key(weights=(weight, weight)),
        key(version="2.28.0"),
    }
    for name, path in setup.items():
        changed = tmp_path / "changed" / path.name
        changed.parent.mkdir(exist_ok=True)
        changed.write_bytes(path.read_bytes() + b"\n# note\n")
        others.add(key(**{name: changed}))
    weight.write_bytes(b"another map")
    others.add(key())
    weight.write_bytes(b"map")
    _set(setup["config"], "FLAG_IMAGE", "bad.fits")
    named = key()
    setup["config"].with_name("bad.fits").write_bytes(b"flags")
    others |= {named, key()}
    assert len(others) == 15
    assert first not in others
    with pytest.raises(Misconfigured, match=r"gone\.conv"):
        key(conv=tmp_path / "gone.conv")


def test_scamp_takes_catalogue_and_ahead(
    tmp_path: Path, image: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    """The time in the .ahead, not the header's, is what SCAMP uses."""
    names = []
    for k, mjd in enumerate((61358.25, 61358.50)):
        heads = (f"MJD-OBS =       {mjd:.8f}\nEXPTIME =              120.000",)
        _extract(_ready(image=image, heads=heads), binary, setup, tmp_path / f"{k}.cat")
        names.append(f"{k}.cat")
    sky = painted.header(SHAPE)
    places = np.array(PLACES)
    xi, eta = (places - np.array([sky["CRPIX1"], sky["CRPIX2"]])).T
    dtype = {"names": ["X_WORLD", "Y_WORLD", "ERRA_WORLD", "ERRB_WORLD", "MAG", "MAGERR", "OBSDATE"]}
    reference = np.zeros(len(places), dtype={**dtype, "formats": ["f8"] * 2 + ["f4"] * 4 + ["f8"]})
    reference["X_WORLD"] = sky["CRVAL1"] - xi / 3600 / np.cos(np.radians(sky["CRVAL2"] + eta / 3600))
    reference["Y_WORLD"] = sky["CRVAL2"] + eta / 3600
    reference["ERRA_WORLD"] = reference["ERRB_WORLD"] = 0.05 / 3600
    reference["MAG"], reference["MAGERR"], reference["OBSDATE"] = 15.0, 0.1, 2026.87
    ldac.write_ldac(tmp_path / "ref.cat", [ldac.LdacChip(header=fits.Header(), objects=reference)])
    astromatic.run(
        astromatic.find("scamp"),
        [
            *(*names, "-ASTREF_CATALOG", "FILE", "-ASTREFCAT_NAME", "ref.cat", "-MATCH", "N"),
            *("-CHECKPLOT_TYPE", "NONE", "-WRITE_XML", "N", "-FULLOUTCAT_TYPE", "FITS_LDAC"),
            *("-FULLOUTCAT_NAME", "full.cat", "-CROSSID_RADIUS", "2", "-SN_THRESHOLDS", "5,10"),
            *("-CENTROID_KEYS", "XWIN_IMAGE,YWIN_IMAGE", "-CENTROIDERR_KEYS"),
            *("ERRAWIN_IMAGE,ERRBWIN_IMAGE,ERRTHETAWIN_IMAGE", "-DISTORT_KEYS", "XWIN_IMAGE,YWIN_IMAGE"),
        ],
        cwd=tmp_path,
        time_limit_s=60,
    )
    full = ldac.read_ldac(tmp_path / "full_1.cat")[0].frame()
    epochs = full.groupby("CATALOG_NUMBER")["EPOCH"].first()
    assert (epochs[2] - epochs[1]) * 365.25 == pytest.approx(0.25, abs=1e-3)
    assert (full["CATALOG_NUMBER"] > 0).sum() > 1.5 * len(PLACES)


def test_the_shipped_filter_and_network_are_what_they_say() -> None:
    lines = (shipped("semp") / "gauss_2.5_5x5.conv").read_text().splitlines()
    assert lines[0] == "CONV NORM"
    kernel = np.array([line.split() for line in lines if line[0] in "01"], dtype=float)
    offsets = np.arange(-2, 3)
    gauss = np.exp(-4 * np.log(2) * (offsets / 2.5) ** 2)
    np.testing.assert_allclose(kernel / kernel[2, 2], np.outer(gauss, gauss), atol=0.03)
    share = Path("/usr/share/source-extractor")
    published = share / "default.nnw"
    if not published.exists():
        pytest.skip("SExtractor's own files are not here to compare with")
    np.testing.assert_array_equal(kernel, np.loadtxt(share / "gauss_2.5_5x5.conv", skiprows=1))
    ours, theirs = (
        [
            float(word)
            for line in path.read_text().splitlines()[1:]
            if line[:1] != "#"
            for word in line.split()
        ]
        for path in (shipped("semp") / "default.nnw", published)
    )
    assert ours == theirs
