"""The shape of a star on a chip that has more hot pixels than stars, and no dither that would tell them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from ssosd.analysis.forced.profile import FWHM_PER_SIGMA, Shape
from ssosd.analysis.forced.shape import measure_shape
from ssosd.analysis.painter.psf import Psf, Sources, add_sources

FWHM, SIDE, STEP, NOISE = 3.0, 600, 24, 5.0
#: A_IMAGE that SExtractor gives hot pixels: that of the window around them, or of a pixel.
HOT_SIZES = (1.03, 0.29)


@dataclass
class Pixels:
    """An image in memory, as `measure_shape` reads it."""

    values: np.ndarray

    def read(self, left: int, low: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        there = np.zeros((height, width), dtype=bool)
        part = np.zeros((height, width), dtype=np.float32)
        x, y = max(left, 0), max(low, 0)
        found = self.values[y : low + height, x : left + width]
        inside = np.s_[y - low : y - low + found.shape[0], x - left : x - left + found.shape[1]]
        part[inside], there[inside] = found, True
        return part, there


def chip(stars: int) -> tuple[Pixels, pd.DataFrame]:
    """Stars and hot pixels as bright as these on a grid, and their catalogue."""
    rng = np.random.default_rng(4)
    grid = np.arange(STEP, SIDE - STEP, STEP) + 1.0
    x, y = rng.permutation(np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)).T.copy()
    star = np.arange(x.size) < stars
    x[star] += rng.uniform(-0.5, 0.5, stars)
    flux = np.where(star, 30000.0, 20000.0) * rng.uniform(0.5, 1.5, x.size)
    image = rng.normal(300.0, NOISE, (SIDE, SIDE))
    add_sources(
        image, Sources(x[star], y[star], flux[star]), psf=Psf(kind="moffat", fwhm_px=FWHM), floor_e=0.05
    )
    image[y[~star].astype(int) - 1, x[~star].astype(int) - 1] += flux[~star]
    size = np.where(star, 1.1 * FWHM / FWHM_PER_SIGMA, rng.choice(HOT_SIZES, x.size))
    table = pd.DataFrame({"XWIN_IMAGE": x, "YWIN_IMAGE": y, "AWIN_IMAGE": size, "BWIN_IMAGE": size})
    table = table.assign(FLUX=0.95 * flux, FLUXERR=flux / 200.0, FLAGS_EXTRACTION=0, STAR=star)
    return Pixels(image.astype(np.float32)), table


def measured(stars: int, *, listed: bool) -> Shape:
    image, table = chip(stars)
    return measure_shape(
        image,
        table,
        fwhm_px=1.1 * FWHM,
        gain=1.0,
        saturation=60000.0,
        still=lambda rows: np.ones(len(rows), dtype=bool),
        catalogued=lambda rows: rows["STAR"].to_numpy(bool) & listed,
    )


@pytest.mark.parametrize("stars", [9, 60])
def test_hot_pixels_that_stand_still_are_not_the_stars_shape(stars: int) -> None:
    shape = measured(stars, listed=True)
    assert shape.n_stars >= 5
    assert shape.fwhm_px == pytest.approx(FWHM, rel=0.12)
    assert shape.per_catalogue == pytest.approx(1.05, abs=0.1)


def test_without_reference_stars_hot_pixels_are_no_shape() -> None:
    """They are as many as nothing else; the light that their shape finds is not that of the catalogue."""
    shape = measured(9, listed=False)
    assert shape.n_stars == 0
    assert shape.fwhm_px == pytest.approx(1.1 * FWHM)
