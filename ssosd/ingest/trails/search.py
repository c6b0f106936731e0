"""Trails of a known shape on a chip: where their middles are, and how bright they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates, maximum_filter, median_filter, zoom
from scipy.spatial import cKDTree
from scipy.special import ndtr

from ssosd.ingest.trails.shape import FloatArray, Image, StarTrail

SIGNIFICANT = 4.0  # sigma of a trail's light: chance makes less than one on a chip
_MESH, _THIN = 64, 3  # pixels of a mesh of the background, and every so many-th of them counts, in each axis
_STRIP, _STRIP_TRAILS = 1024, 4  # rows searched at a time, to save memory; at least so often what is spare
_PEAK = 5  # pixels around a peak within which it is the highest
_ALL_ALONG, _DARKEST = 5.0, 0.3  # sigma of the darker parts of a trail, and how many of them
_WINGS = 0.1  # of a point's light at its wings, and they are not darker than these
_MIXED = 0.1  # of a trail's light more than its median says is a point's on it
_STEPS = 3  # towards a peak
_AGAIN = 1.5  # times what a brighter trail leaves there must be a peak that is another's
_RIDGE = 0.3  # of a brighter trail's peak, on its own ridge
_OVER = 0.5  # of a trail's light beyond both of its ends: a satellite's, or a bad column


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Background:
    """Of a chip, on a mesh."""

    level: Image  # counts, shape of the chip
    noise: Image  # counts rms of a pixel

    @classmethod
    def of(cls, pixels: Image) -> Background:
        """Clipped medians of a mesh, smoothed."""
        cells = tuple(max(n // _MESH, 1) for n in pixels.shape)
        size = tuple(n // k for n, k in zip(pixels.shape, cells, strict=True))
        own = pixels[: cells[0] * size[0], : cells[1] * size[1]]
        own = own.reshape(cells[0], size[0], cells[1], size[1])[:, ::_THIN, :, ::_THIN]
        level, noise = _clipped(own.transpose(0, 2, 1, 3).reshape(cells[0] * cells[1], -1))
        factors = tuple(n / k for n, k in zip(pixels.shape, cells, strict=True))
        maps = []
        for mesh in (level, noise):
            known = np.where(np.isfinite(mesh), mesh, np.nanmedian(mesh)).reshape(cells)
            smooth = median_filter(known, 3, mode="nearest").astype(np.float32)
            maps.append(zoom(smooth, factors, order=1, mode="nearest", grid_mode=True))
        return cls(level=maps[0], noise=np.maximum(maps[1], 1e-6))


def _clipped(values: Image) -> tuple[FloatArray, FloatArray]:
    """Median of each row and sigma by what is below it, without what is 3 sigma off; NaN where all is."""
    ordered = np.sort(values.astype(np.float64), axis=1)  # what is no number comes last
    rows, low = np.arange(len(ordered)), np.zeros(len(ordered), dtype=np.intp)
    high = np.isfinite(ordered).sum(axis=1)
    ordered = np.concatenate([ordered, np.full((len(ordered), 1), np.nan)], axis=1)
    for _ in range(4):
        middle = ordered[rows, (low + high) // 2]
        sigma = middle - ordered[rows, low + (0.1587 * (high - low)).astype(np.intp)]
        low = (ordered < (middle - 3.0 * sigma)[:, None]).sum(axis=1)
        high = (ordered <= (middle + 3.0 * sigma)[:, None]).sum(axis=1)
    return middle, sigma


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """Trails of a chip, shape (n,) each."""

    x: FloatArray  # middle, FITS pixels
    y: FloatArray
    flux: FloatArray  # counts, of the shape that was sought
    noise: FloatArray  # of a pixel there, counts rms

    @classmethod
    def together(cls, parts: Sequence[Found]) -> Found:
        """Those of several parts of a chip."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    @property
    def places(self) -> FloatArray:
        """Shape (n, 2)."""
        return np.column_stack([self.x, self.y])

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Found:
        """Some of them."""
        return Found(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Squares:
    """Sums of the squares of unit profiles over the pixels: what noise makes of fits of them."""

    point: float
    line: float  # of the trail
    along: float  # of its derivatives along it and across
    across: float
    slope: float  # of a point's derivative

    @classmethod
    def of(cls, trail: StarTrail) -> Squares:
        """By Parseval's theorem."""
        size = (int(2.0 * trail.length + 24.0 * trail.sigma),) * 2
        star, drawn, along, across = _transfers(trail, size)
        profiles = (star, drawn, along * drawn, across * drawn, along * star)
        point, line, by_u, by_v, slope = (_mean_square(profile, size[1]) for profile in profiles)
        return cls(point=point, line=line, along=by_u, across=by_v, slope=slope)


def _transfers(trail: StarTrail, size: Sequence[int]) -> tuple[NDArray[Any], ...]:
    """Fourier transforms of a star's and a trail's profile, and the frequencies along it and across."""
    ky = 2.0 * np.pi * np.fft.fftfreq(size[0]).astype(np.float32)[:, None]
    kx = 2.0 * np.pi * np.fft.rfftfreq(size[1]).astype(np.float32)
    along, across = turned(kx, ky, trail.angle)
    star = np.exp(-0.5 * trail.sigma**2 * (kx * kx + ky * ky))
    return star, star * np.sinc(along * (trail.length / (2.0 * np.pi))), along, across


def _mean_square(transfer: Image, width: int) -> float:
    """Of a whole plane of frequencies, from its half."""
    square = transfer.astype(np.float64) ** 2
    twice = np.full(square.shape[1], 2.0)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    return float((square * twice).sum() / (square.shape[0] * width))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Smoothed:
    """Some rows of a chip seen with a star's shape and with a trail's: the best weights against its noise."""

    trail: StarTrail
    rows: tuple[float, float]  # FITS pixels: the part of it that counts
    first: int  # row of the chip, from 0, that is the first here
    point: Image  # counts times the shape's unit profile
    line: Image
    noise: Image  # counts rms of a pixel

    def counts(self, y: FloatArray) -> NDArray[np.bool_]:
        """Whether places are on the rows that count here."""
        return np.asarray((y >= self.rows[0]) & (y < self.rows[1]))

    def at(self, plane: Image, x: FloatArray, y: FloatArray) -> FloatArray:
        """Values of `point` or `line` at FITS pixels of the chip."""
        where = [np.asarray(y) - 1.0 - self.first, np.asarray(x) - 1.0]
        return map_coordinates(plane, where, order=1, mode="constant", output=np.float64)

    def along(self, x: FloatArray, y: FloatArray, steps: FloatArray) -> FloatArray:
        """`point` at such distances along the trail from places, shape (n, steps)."""
        cos, sin = np.cos(self.trail.angle), np.sin(self.trail.angle)
        return self.at(self.point, x[:, None] + steps * cos, y[:, None] + steps * sin)


def smoothed(image: Image, noise: Image, trail: StarTrail) -> Iterator[Smoothed]:
    """A chip without its background in strips that overlap."""
    beside = int(np.ceil(2.0 * trail.length + 8.0 * trail.sigma))
    rows, high = image.shape[0], max(_STRIP, _STRIP_TRAILS * beside)
    for start in range(0, rows, high):
        end = min(start + high, rows)
        part = slice(max(start - beside, 0), min(end + beside, rows))
        size = [fft.next_fast_len(n + beside, real=True) for n in image[part].shape]
        star, drawn, _, _ = _transfers(trail, size)
        spectrum = fft.rfft2(image[part], size)
        ny, nx = image[part].shape
        point, line = (fft.irfft2(spectrum * by, size)[:ny, :nx] for by in (star, drawn))
        yield Smoothed(
            trail=trail,
            rows=(start + 0.5, end + 0.5),
            first=part.start,
            point=point,
            line=line,
            noise=noise[part],
        )


def find_trails(seen: Smoothed, squares: Squares) -> Found:
    """The middles of trails: peaks of the light as seen with their shape, the best estimate of their place.

    Left out are points, which are seen better with a star's shape, what goes on beyond both ends, and peaks
    on the ridge of a brighter trail.
    """
    trail = seen.trail
    snr = seen.line / (seen.noise * np.float32(np.sqrt(squares.line)))
    peak = (snr == maximum_filter(snr, _PEAK)) & (snr > SIGNIFICANT)
    peak[[0, -1]] = peak[:, [0, -1]] = False
    row, column = np.nonzero(peak)
    x, y, value = summit(seen.line, row, column, trail)
    y += seen.first
    half = 0.5 * trail.length
    light = seen.along(x, y, np.linspace(-half, half, int(trail.length) + 2))
    noise = seen.noise[row, column].astype(np.float64)
    level = np.median(light, axis=1)
    is_line = value / np.sqrt(squares.line) > light.max(axis=1, initial=-np.inf) / np.sqrt(squares.point)
    # a point on it is brighter: still light all along it
    apart = max(
        trail.length / (np.sqrt(4.0 * np.pi) * trail.sigma), 1.0
    )  # how many parts' noise is their own
    least = _ALL_ALONG * 1.25 * noise * np.sqrt(squares.point / apart)
    dark, wide = 0.5 * (1.0 - _DARKEST) * trail.length, np.sqrt(2.0) * trail.sigma
    of_point = _WINGS + 1.5 * np.exp(-0.5 * (dark / wide) ** 2)
    is_line |= np.quantile(light, _DARKEST, axis=1) > np.maximum(
        least, of_point * light.max(axis=1, initial=0.0)
    )
    beyond = seen.along(x, y, np.array([-1.0, 1.0]) * (half + 1.5 * trail.fwhm)).min(axis=1)
    is_line &= beyond < _OVER * level
    flux, of_level = value / squares.line, level / ridge_of(trail)
    mixed = flux - of_level > np.maximum(_MIXED * of_level, 3.0 * noise / np.sqrt(squares.line))
    found = Found(x=x, y=y, flux=np.where(mixed, of_level, flux), noise=noise).take(
        is_line & (of_level > 0.0)
    )
    return found.take(_own_peaks(found, trail))


def summit(
    plane: Image, row: NDArray[np.intp], column: NDArray[np.intp], trail: StarTrail
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Place (FITS pixels of the plane) and height of peaks, from parabolas along and across the trail."""
    x, y = column + 1.0, row + 1.0
    height = np.zeros(x.shape)
    step = max(1.0, 0.5 * trail.fwhm)
    cos, sin = np.cos(trail.angle), np.sin(trail.angle)
    for _ in range(_STEPS):
        for by_x, by_y in ((cos, sin), (-sin, cos)):
            before, height, after = (
                _cubic(plane, x + k * step * by_x, y + k * step * by_y) for k in (-1, 0, 1)
            )
            bent = before - 2.0 * height + after
            shift = 0.5 * (before - after) / np.where(bent < 0.0, bent, np.inf)
            shift = step * np.clip(shift, -0.5, 0.5)
            x, y = x + shift * by_x, y + shift * by_y
    off = np.hypot(x - column - 1.0, y - row - 1.0) > 0.5 * trail.length  # no peak of its own
    return np.where(off, column + 1.0, x), np.where(off, row + 1.0, y), height


def _cubic(plane: Image, x: FloatArray, y: FloatArray) -> FloatArray:
    """Values between the pixels by cubic convolution (Keys 1981, IEEE ASSP 29, 1153)."""
    column, row = np.floor(x - 1.0).astype(np.intp), np.floor(y - 1.0).astype(np.intp)
    by_x, by_y = _weights(x - 1.0 - column), _weights(y - 1.0 - row)
    columns = np.clip(column[:, None] + np.arange(-1, 3), 0, plane.shape[1] - 1)
    rows = np.clip(row[:, None] + np.arange(-1, 3), 0, plane.shape[0] - 1)
    values = plane[rows[:, :, None], columns[:, None, :]].astype(np.float64)
    return np.asarray(np.einsum("nij,ni,nj->n", values, by_y, by_x))


def _weights(t: FloatArray) -> FloatArray:
    """Of the four pixels around, shape (n, 4), a share t of a pixel behind the second."""
    return np.stack(
        [
            0.5 * t * (-1.0 + t * (2.0 - t)),
            1.0 + 0.5 * t * t * (-5.0 + 3.0 * t),
            0.5 * t * (1.0 + t * (4.0 - 3.0 * t)),
            0.5 * t * t * (t - 1.0),
        ],
        axis=1,
    )


def _own_peaks(found: Found, trail: StarTrail) -> NDArray[np.bool_]:
    """Whether a peak is a trail's own, and not made by brighter ones beside it."""
    kept = np.ones(found.x.size, dtype=bool)
    if not kept.any():
        return kept
    pairs = cKDTree(found.places).query_pairs(trail.length + 2.0 * trail.fwhm, output_type="ndarray")
    if not pairs.size:
        return kept
    weaker_second = found.flux[pairs[:, 0]] >= found.flux[pairs[:, 1]]
    bright, weak = np.where(weaker_second[:, None], pairs, pairs[:, ::-1]).T
    u, v = turned(found.x[weak] - found.x[bright], found.y[weak] - found.y[bright], trail.angle)
    left = found.flux[bright] * np.maximum(1.0 - np.abs(u) / trail.length, 0.0)
    left *= np.exp(-0.25 * (v / trail.sigma) ** 2)
    on_ridge = (np.abs(v) < 0.6 * trail.fwhm) & (np.abs(u) < 0.5 * trail.length)
    limit = np.maximum(_AGAIN * left, np.where(on_ridge, _RIDGE * found.flux[bright] + left, 0.0))
    spoiled = found.flux[weak] < limit
    order = np.argsort(-found.flux[bright], kind="stable")
    for i, j, gone in zip(bright[order], weak[order], spoiled[order], strict=True):
        if gone and kept[i]:
            kept[j] = False
    return kept


def turned(dx: NDArray[Any], dy: NDArray[Any], angle: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Distances along and across a direction."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return dx * cos + dy * sin, dy * cos - dx * sin


def ridge_of(trail: StarTrail) -> float:
    """What a trail of one count leaves in `Smoothed.point` at its middle."""
    wide = np.sqrt(2.0) * trail.sigma
    even = 2.0 * ndtr(0.5 * trail.length / wide) - 1.0
    return float(even / trail.length / (np.sqrt(2.0 * np.pi) * wide))


def left_by(
    found: Found, trail: StarTrail, which: NDArray[np.intp], x: FloatArray, y: FloatArray
) -> FloatArray:
    """What trails, by their rows, leave in `Smoothed.point` at as many places."""
    u, v = turned(x - found.x[which], y - found.y[which], trail.angle)
    wide, half = np.sqrt(2.0) * trail.sigma, 0.5 * trail.length
    along = (ndtr((u + half) / wide) - ndtr((u - half) / wide)) / trail.length
    return found.flux[which] * along * np.exp(-0.5 * (v / wide) ** 2) / (np.sqrt(2.0 * np.pi) * wide)
