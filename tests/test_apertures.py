"""Fixed apertures on painted cutouts of known flux, with the real SExtractor in dual-image mode."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssosd import astromatic
from ssosd.analysis.apertures import APERTURE_COLUMNS, fixed_apertures, reference_detections
from ssosd.plumbing.resources import shipped
from tests import painted

SIZE = 64
MIDDLE = (SIZE + 1) / 2
#: Counts of each source in each filter.
FLUX = {
    1: {"g": 40_000.0, "r": 80_000.0, "i": 100_000.0},
    11: {"g": 30_000.0, "r": 24_000.0, "i": 15_000.0},
    111: {"g": 20_000.0, "r": 50_000.0, "i": 1_500.0},
}
ORDER = ("g", "r", "i", "r", "g", "i")  # filters of the catalogues 1 to 6


@pytest.fixture(scope="session")
def binary() -> astromatic.Binary:
    return astromatic.find("sextractor")


@pytest.fixture
def setup(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "my set-up, v2"
    shutil.copytree(shipped("semp"), folder)
    return {
        "config": folder / "ssos.sex",
        "conv": folder / "gauss_2.5_5x5.conv",
        "nnw": folder / "default.nnw",
    }


@pytest.fixture
def cutouts(tmp_path: Path) -> dict[tuple[int, int], Path]:
    """Movers in the middle to half a pixel, brighter stars beside them, elsewhere in each cutout."""
    paths = {}
    for source, fluxes in FLUX.items():
        for catalog, band in enumerate(ORDER, 1):
            rng = np.random.default_rng(100 * source + catalog)
            middle = MIDDLE + rng.uniform(-0.4, 0.4, 2)
            angle = rng.uniform(0, 2 * np.pi)
            star = MIDDLE + 25.0 * np.array([np.cos(angle), np.sin(angle)])
            pixels = painted.stars(
                (SIZE, SIZE),
                [(middle[0], middle[1]), (star[0], star[1])],
                [fluxes[band], 2e5],
                sky=500.0 + 100.0 * catalog,
                noise=3.0,
                seed=1000 * source + catalog,
            )
            # in a folder whose name holds every number: nothing may be told from the path
            path = tmp_path / "1 11 111 2026" / f"{source}_{catalog}.fits"
            paths[(source, catalog)] = painted.write(path, (pixels, painted.header((SIZE, SIZE), GAIN=2.0)))
    return paths


def _detections() -> pd.DataFrame:
    rows = [
        {"SOURCE_NUMBER": s, "CATALOG_NUMBER": c, "FILTER": band, "FLAGS_SSOS": 1 if c == 5 else 0}
        for s in FLUX
        for c, band in enumerate(ORDER, 1)
    ]
    table = pd.DataFrame(rows)
    table["MID_EXPOSURE_MJD"] = 61358.0 + 0.01 * table["CATALOG_NUMBER"]
    return table.sample(frac=1.0, random_state=4)  # neither sorted nor with a plain index


def _measure(
    detections: pd.DataFrame,
    cutouts: dict[tuple[int, int], Path],
    binary: astromatic.Binary,
    setup: dict[str, Path],
    directory: Path,
    filters: tuple[str, ...] = ("r",),
    workers: int = 2,
) -> pd.DataFrame:
    return fixed_apertures(
        detections=detections,
        cutouts=cutouts,
        reference_filters=filters,
        binary=binary,
        time_limit_s=30.0,
        directory=directory,
        workers=workers,
        **setup,
    )


def _by_key(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["SOURCE_NUMBER", "CATALOG_NUMBER"]).sort_index()


@pytest.mark.binaries
def test_colours_are_right(
    tmp_path: Path,
    cutouts: dict[tuple[int, int], Path],
    binary: astromatic.Binary,
    setup: dict[str, Path],
) -> None:
    """Seed defect 21: with number 1 the cutouts of nearly all sources were taken."""
    detections = _detections()
    before = detections.copy()
    result = _measure(detections, cutouts, binary, setup, tmp_path)
    pd.testing.assert_frame_equal(detections, before)
    assert result.index.equals(detections.index)
    table = _by_key(result)
    for source, fluxes in FLUX.items():
        for catalog, band in enumerate(ORDER, 1):
            row = table.loc[(source, catalog)]
            assert abs(row["FLUX_APER"] - fluxes[band]) < 5 * row["FLUXERR_APER"] + 0.01 * fluxes[band]
            assert 0 < row["FLUXERR_APER"] < 0.2 * fluxes[band]
        colour = table.loc[(source, 1), "MAG_APER"] - table.loc[(source, 2), "MAG_APER"]
        error = np.hypot(table.loc[(source, 1), "MAGERR_APER"], table.loc[(source, 2), "MAGERR_APER"])
        true = -2.5 * np.log10(fluxes["g"] / fluxes["r"])
        assert error < 0.05
        assert abs(colour - true) < 4 * error
    # catalogue 2 is the earliest in r
    flags = table["FLAGS_SSOS"].groupby("CATALOG_NUMBER").agg(["min", "max"])
    assert flags["min"].tolist() == flags["max"].tolist() == [0, 2, 0, 0, 1, 0]


@pytest.mark.binaries
def test_a_detection_too_faint_by_itself_is_measured_in_the_references_place(
    tmp_path: Path, binary: astromatic.Binary, setup: dict[str, Path]
) -> None:
    cutouts = {}
    for catalog, flux in ((1, 60_000.0), (2, 25.0)):
        pixels = painted.stars(
            (SIZE, SIZE), [(MIDDLE, MIDDLE), (10.0, 12.0)], [flux, 9e4], noise=3.0, seed=catalog
        )
        path = tmp_path / f"7_{catalog}.fits"
        cutouts[(7, catalog)] = painted.write(path, (pixels, painted.header((SIZE, SIZE))))
    detections = pd.DataFrame({"SOURCE_NUMBER": 7, "CATALOG_NUMBER": [1, 2], "FILTER": ["r", "u"]})
    detections = detections.assign(MID_EXPOSURE_MJD=[0.1, 0.0], FLAGS_SSOS=0)
    table = _by_key(_measure(detections, cutouts, binary, setup, tmp_path))
    faint = table.loc[(7, 2)]
    assert abs(faint["FLUX_APER"] - 25.0) < 5 * faint["FLUXERR_APER"] < 1000.0
    # with the faint one as reference there is nothing to set the aperture on
    table = _by_key(_measure(detections, cutouts, binary, setup, tmp_path, filters=("u", "r")))
    assert table[list(APERTURE_COLUMNS)].isna().all(axis=None)


@pytest.mark.binaries
def test_reference_filter_aperture_and_repetition(
    tmp_path: Path,
    cutouts: dict[tuple[int, int], Path],
    binary: astromatic.Binary,
    setup: dict[str, Path],
) -> None:
    detections = _detections()
    detections = detections[detections["SOURCE_NUMBER"] != 111]
    first = _measure(detections, cutouts, binary, setup, tmp_path, filters=("z", "i", "r"))
    assert _by_key(first)["FLAGS_SSOS"].groupby("CATALOG_NUMBER").max().tolist() == [0, 0, 2, 0, 1, 0]
    again = _measure(first, cutouts, binary, setup, tmp_path, filters=("z", "i", "r"), workers=1)
    pd.testing.assert_frame_equal(again, first)
    other = _measure(first, cutouts, binary, setup, tmp_path, filters=("g",))
    assert _by_key(other)["FLAGS_SSOS"].groupby("CATALOG_NUMBER").max().tolist() == [2, 0, 0, 0, 1, 0]
    with setup["config"].open("a", encoding="utf-8") as file:
        file.write("\nPHOT_APERTURES 4\nMAG_ZEROPOINT 25\nWEIGHT_TYPE MAP_WEIGHT\n")
    small = _measure(first, cutouts, binary, setup, tmp_path, filters=("z", "i", "r"))
    assert (small["FLUX_APER"] < 0.9 * first["FLUX_APER"]).all()
    assert (small["MAG_APER"] - first["MAG_APER"] > 25.0).all()
    assert [p for p in tmp_path.iterdir() if p.name.startswith("ssosd-")] == []  # no scratch left


@pytest.mark.binaries
def test_missing_pieces_cost_only_themselves(
    tmp_path: Path,
    cutouts: dict[tuple[int, int], Path],
    binary: astromatic.Binary,
    setup: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No detection in the filter, no cutout, a blank one, an unreadable one, one with an edge."""
    detections = _detections()
    no_r = (detections["SOURCE_NUMBER"] == 111) & (detections["FILTER"] == "r")
    detections = detections[~no_r]
    del cutouts[(1, 3)]
    cutouts[(1, 4)] = painted.write(
        tmp_path / "blank.fits", (np.full((SIZE, SIZE), np.nan, np.float32), painted.header((SIZE, SIZE)))
    )
    broken = tmp_path / "broken.fits"
    broken.write_text("not FITS")
    cutouts[(1, 5)] = broken
    edge = painted.stars((SIZE, SIZE), [(MIDDLE, MIDDLE)], [FLUX[1]["i"]], sky=700.0, noise=3.0, seed=9)
    edge[:, :18] = np.nan
    cutouts[(1, 6)] = painted.write(tmp_path / "edge.fits", (edge, painted.header((SIZE, SIZE))))
    with caplog.at_level(logging.WARNING):
        table = _by_key(_measure(detections, cutouts, binary, setup, tmp_path))
    measured = table["FLUX_APER"].notna()
    assert measured.loc[1].to_dict() == {1: True, 2: True, 3: False, 4: False, 5: False, 6: True}
    assert measured.loc[11].all()
    assert not measured.loc[111].any()
    assert table.loc[(1, 6), "FLUX_APER"] == pytest.approx(FLUX[1]["i"], rel=0.02)
    assert (table.loc[111, "FLAGS_SSOS"] & 2 == 0).all()
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "source 1, catalogue 4: no aperture magnitude: blank.fits: blank" in said
    assert "broken.fits: cannot be read" in said
    assert "source 111" not in said  # an ordinary thing, not a warning


@pytest.mark.binaries
def test_a_failing_run_costs_only_its_pair(
    tmp_path: Path,
    cutouts: dict[tuple[int, int], Path],
    binary: astromatic.Binary,
    setup: dict[str, Path],
) -> None:
    picky = tmp_path / "picky"
    picky.write_text(
        f"#!/bin/sh\ngrep -aq TROUBLE measure.fits && kill -SEGV $$\nexec '{binary.path}' \"$@\"\n"
    )
    picky.chmod(0o755)
    odd = painted.stars((SIZE, SIZE), [(MIDDLE, MIDDLE)], [5e4])
    cutouts[(1, 1)] = painted.write(
        tmp_path / "odd.fits", (odd, painted.header((SIZE, SIZE), OBJECT="TROUBLE"))
    )
    detections = _detections()[lambda t: t["SOURCE_NUMBER"] == 1]
    crashing = astromatic.Binary(program="sextractor", path=str(picky), version="0")
    table = _by_key(_measure(detections, cutouts, crashing, setup, tmp_path))
    assert table["MAG_APER"].isna().tolist() == [True, False, False, False, False, False]


def test_nothing_to_measure(tmp_path: Path, setup: dict[str, Path]) -> None:
    absent = astromatic.Binary(program="sextractor", path=str(tmp_path / "absent"), version="0")
    empty = _measure(_detections().head(0), {}, absent, setup, tmp_path)
    assert set(APERTURE_COLUMNS) <= set(empty.columns)
    none = _measure(_detections(), {}, absent, setup, tmp_path, filters=())
    assert none["FLAGS_SSOS"].max() == 1
    assert none["MAG_APER"].isna().all()


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from("grizu"), st.integers(0, 5)), min_size=0, max_size=25
    ),
    st.lists(st.sampled_from("griz"), max_size=3),
)
def test_the_reference_is_what_a_person_would_pick(
    rows: list[tuple[int, str, int]], filters: list[str]
) -> None:
    table = pd.DataFrame(rows, columns=["SOURCE_NUMBER", "FILTER", "MID_EXPOSURE_MJD"])
    found = reference_detections(table, filters).tolist()
    for source, _, _ in rows:
        expected = -1
        for band in filters:
            times = [(t, k) for k, (s, f, t) in enumerate(rows) if s == source and f == band]
            if times:
                expected = min(times)[1]
                break
        assert {found[k] for k, row in enumerate(rows) if row[0] == source} == {expected}
