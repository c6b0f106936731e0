"""Lanczos-3 interpolation of an image at many places, in plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

#: Pixels that the kernel reaches to either side.
REACH = 3
_TAPS = range(1 - REACH, REACH + 1)
_BLOCK = 16384  # places worked on at a time: weights and sums stay in the processor's cache
_LEAST_WEIGHT = 0.5  # where less of the kernel has values the nearest pixel stands for the place
_EDGE = np.float32(1e-5)  # at a pixel's very centre the weights below would be 0/0


def interpolate(
    pixels: FloatImage, valid: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64]
) -> FloatImage:
    """Values of an image between its pixels, with the kernel sinc(t) sinc(t/3) on each axis, of sum 1.

    This is SWarp's LANCZOS3 (Bertin et al. 2002, ASP Conf. 281, 228; Duchon 1979, J. Appl. Meteor. 18,
    1016). Pixels without a value take no part; a place whose own pixel has none is NaN.

    Parameters
    ----------
    pixels : ndarray of float32, shape (height, width)
        Finite everywhere.
    valid : ndarray of bool, shape (height, width)
        Which pixels have a value.
    x, y : ndarray of float64, of one shape
        Places, 0 in the centre of the first pixel. Where they are not finite the result is NaN.

    Returns
    -------
    ndarray of float32, of that shape

    Examples
    --------
    >>> ramp = np.tile(np.arange(12, dtype=np.float32), (12, 1))
    >>> interpolate(ramp, np.ones((12, 12), bool), np.array([5.5]), np.array([4.0])).round(3).tolist()
    [5.5]
    """
    edge = REACH + 1  # so that every tap of a place on the image is there
    inside = (x >= -0.5) & (x < pixels.shape[1] - 0.5) & (y >= -0.5) & (y < pixels.shape[0] - 0.5)
    whole = bool(valid.all())
    image = np.pad(pixels if whole else np.where(valid, pixels, np.float32(0.0)), edge)
    weight = np.pad(valid, edge).astype(np.float32)
    result = np.empty(x.size, dtype=np.float32)
    flat_x, flat_y, flat_in = x.ravel(), y.ravel(), inside.ravel()
    for first in range(0, x.size, _BLOCK):
        part = slice(first, first + _BLOCK)
        here = flat_in[part]
        px = np.where(here, flat_x[part], 0.0) + edge
        py = np.where(here, flat_y[part], 0.0) + edge
        result[part] = _at(image, weight, px, py, plain=whole and _is_inner(px, py, image.shape))
        result[part][~here] = np.nan
    return result.reshape(x.shape)


def _is_inner(px: NDArray[np.float64], py: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether no kernel leaves the image, in pixels of the padded one."""
    margin = 2 * REACH + 1
    return bool(
        px.min() >= margin
        and py.min() >= margin
        and px.max() < shape[1] - margin - 1
        and py.max() < shape[0] - margin - 1
    )


def _at(
    image: FloatImage, weight: FloatImage, px: NDArray[np.float64], py: NDArray[np.float64], *, plain: bool
) -> FloatImage:
    """Values at places of the padded image; `plain` when every tap has a value."""
    column, row = np.floor(px), np.floor(py)
    across, along = _weights(px - column), _weights(py - row)
    base = row.astype(np.intp) * image.shape[1] + column.astype(np.intp)
    value = _sum(image, base, across, along)
    if plain:
        return value
    share = _sum(weight, base, across, along)
    nearest = np.rint(py).astype(np.intp) * image.shape[1] + np.rint(px).astype(np.intp)
    return with_holes(value, share, nearest=image.ravel()[nearest], there=weight.ravel()[nearest] > 0.0)


def with_holes(
    value: FloatImage, share: FloatImage, *, nearest: FloatImage, there: NDArray[np.bool_]
) -> FloatImage:
    """Values of places by the pixels that have one.

    Parameters
    ----------
    value, share : ndarray of float32
        Sums over the kernel, of the pixels (0 where they have no value) and of the kernel itself where they
        have one.
    nearest : ndarray of float32
        The nearest pixel's value: it stands for the place where little of the kernel has values.
    there : ndarray of bool
        Whether the nearest pixel has a value; the place is NaN where it has none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        filled = value / share
    np.copyto(filled, nearest, where=~(share > _LEAST_WEIGHT))
    np.copyto(filled, np.nan, where=~there)
    return filled


def _sum(image: FloatImage, base: NDArray[np.intp], across: FloatImage, along: FloatImage) -> FloatImage:
    """Sum over the 6 x 6 pixels around each place, rows one after the other."""
    flat, width = image.ravel(), image.shape[1]
    first = base + _TAPS[0] * (width + 1)
    total = np.zeros(base.size, dtype=np.float32)
    line, tap = np.empty_like(total), np.empty_like(total)
    for j in range(len(_TAPS)):
        line[:] = 0.0
        for i in range(len(_TAPS)):
            flat[j * width + i :].take(first, out=tap, mode="clip")
            tap *= across[i]
            line += tap
        line *= along[j]
        total += line
    return total


def _weights(fraction: NDArray[np.float64]) -> FloatImage:
    """Weights of the six taps, shape (6, n), of places at this fraction of a pixel after the third one.

    With u = t - k, sinc(u) sinc(u/3) is (-1)^k sin(pi u/3) / u^2 but for a factor that the sum takes out.
    """
    t = np.clip(fraction.astype(np.float32), _EDGE, 1.0 - _EDGE)
    angle = t * np.float32(np.pi / REACH)
    sine, cosine = np.sin(angle), np.cos(angle)
    weights = np.empty((2 * REACH, t.size), dtype=np.float32)
    for i, k in enumerate(_TAPS):
        turn = np.pi * k / REACH
        sign = np.float32((-1.0) ** k)
        weights[i] = sine * (sign * np.float32(np.cos(turn))) - cosine * (sign * np.float32(np.sin(turn)))
        weights[i] /= (t - np.float32(k)) ** 2
    weights /= weights.sum(axis=0)
    return weights
