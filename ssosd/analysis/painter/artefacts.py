"""What is in an exposure but not in the sky: hot pixels, bad columns, cosmic rays, bleeds, satellites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssosd.analysis.painter.options import SkyOptions
from ssosd.analysis.painter.sources import stream

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detector:
    """Flaws that stay in place from exposure to exposure."""

    dark_e_s: FloatArray  # extra charge of each pixel, e-/s, shape (ny, nx)
    response: FloatArray  # of each column to light, shape (nx,)


def make_detector(options: SkyOptions, chip: int) -> Detector:
    """Flaws of one chip: hot pixels of 2 to 200 e-/s, columns that leak (about half) or are nearly blind."""
    rng = stream(options.detector_seed, "detector", chip)
    nx, ny = options.size_px
    dark, response = np.zeros((ny, nx)), np.ones(nx)
    hot = rng.integers(0, nx * ny, options.hot_pixels)
    dark.reshape(-1)[hot] = 2.0 * 100.0 ** rng.random(options.hot_pixels)
    columns = rng.choice(nx, size=min(options.bad_columns, nx), replace=False)
    leaks = rng.random(len(columns)) < 0.5
    starts = rng.integers(0, ny, len(columns))  # the leak begins here and runs to the top
    bright = 2.0 * 10.0 ** rng.random(len(columns))
    rows = np.arange(ny)[:, None]
    dark[:, columns] += np.where(leaks & (rows >= starts), bright, 0.0)
    response[columns[~leaks]] = rng.uniform(0.05, 0.5, int((~leaks).sum()))
    return Detector(dark_e_s=dark, response=response)


def _along(lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Owner and rank of each element of ragged runs: lengths [2, 1] give [0, 0, 1] and [0, 1, 0]."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _add(image: FloatArray, x: IntArray, y: IntArray, value: FloatArray) -> None:
    """Add values at 0-based pixels, leaving out those that are off the chip."""
    ny, nx = image.shape
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
    np.add.at(image.reshape(-1), y[inside] * nx + x[inside], value[inside])


def add_cosmics(image: FloatArray, rng: np.random.Generator, *, mean_number: float) -> None:
    """Add straight tracks of 1 to some 20 pixels, 300 to 6000 e- per pixel, in place."""
    n = int(rng.poisson(mean_number))
    x0, y0 = rng.uniform(0, image.shape[1], n), rng.uniform(0, image.shape[0], n)
    angle, charge = rng.uniform(0.0, np.pi, n), 300.0 * 20.0 ** rng.random(n)
    owner, rank = _along(1 + rng.geometric(0.25, n))
    x = np.floor(x0[owner] + rank * np.cos(angle[owner])).astype(np.intp)
    y = np.floor(y0[owner] + rank * np.sin(angle[owner])).astype(np.intp)
    _add(image, x, y, charge[owner] * rng.uniform(0.5, 1.5, len(owner)))


def add_spikes(image: FloatArray, x: FloatArray, y: FloatArray, flux_e: FloatArray) -> None:
    """Add four-armed diffraction spikes to stars, 1.5 % of their light falling off as 1/r^1.5, in place.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Charges, e-.
    x, y : ndarray, shape (n,)
        FITS pixels of the saturated stars.
    flux_e : ndarray, shape (n,)
        Their charge.
    """
    per_arm = 0.015 * flux_e / 4.0
    reach = np.clip((per_arm / 60.0) ** (1.0 / 1.5), 4.0, 400.0).astype(np.intp)  # down to about 60 e-
    owner, rank = _along(reach)
    charge = 0.4 * per_arm[owner] * (rank + 2.0) ** -1.5
    column, row = np.rint(x[owner] - 1).astype(np.intp), np.rint(y[owner] - 1).astype(np.intp)
    for right, up in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        _add(image, column + right * rank, row + up * rank, charge)


def bleed_mask(
    shape: tuple[int, int], x: FloatArray, y: FloatArray, excess_e: FloatArray, *, full_well_e: float
) -> NDArray[np.bool_]:
    """Pixels filled by charge that runs along columns, three columns for the worst stars.

    Parameters
    ----------
    shape : (ny, nx)
    x, y : ndarray, shape (n,)
        FITS pixels of the stars.
    excess_e : ndarray, shape (n,)
        Charge above the full well, summed over the star's pixels, e-.
    full_well_e : float
        What a pixel holds, e-.
    """
    mask = np.zeros(shape, dtype=np.float64)
    half = np.clip(excess_e / full_well_e / 2.0, 0.0, shape[0]).astype(np.intp)
    for shift in (-1, 0, 1):
        reach = half if shift == 0 else half // 4
        owner, rank = _along(2 * reach + 1)
        column = np.rint(x[owner] - 1).astype(np.intp) + shift
        row = np.rint(y[owner] - 1).astype(np.intp) + rank - reach[owner]
        long_enough = reach[owner] > 0
        _add(mask, column[long_enough], row[long_enough], np.ones(int(long_enough.sum())))
    return mask > 0.0


def add_satellites(image: FloatArray, lines: FloatArray, *, sigma_px: float, charge_e: float) -> None:
    """Add straight trails that cross the whole chip, in place.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
    lines : ndarray, shape (n, 4)
        x, y (FITS pixels) of a point on the line, its angle (rad, from x to y), brightness factor.
    sigma_px : float
        Of the Gaussian profile across.
    charge_e : float
        Peak charge per pixel at brightness factor 1, e-.
    """
    rows, columns = np.ogrid[1 : image.shape[0] + 1, 1 : image.shape[1] + 1]
    for x0, y0, angle, factor in lines:
        across = (columns - x0) * np.sin(angle) - (rows - y0) * np.cos(angle)
        near = np.abs(across) < 5.0 * sigma_px
        image[near] += factor * charge_e * np.exp(-0.5 * (across[near] / sigma_px) ** 2)


def satellite_lines(rng: np.random.Generator, options: SkyOptions) -> FloatArray:
    """Trails of one exposure in pixels of the mosaic: see `add_satellites`."""
    n = int(rng.poisson(options.satellites))
    width, height = options.focal_plane_px
    return np.column_stack(
        [
            rng.uniform(0.2 * width, 0.8 * width, n),
            rng.uniform(0.2 * height, 0.8 * height, n),
            rng.uniform(0.0, np.pi, n),
            rng.uniform(0.3, 3.0, n),
        ]
    )
