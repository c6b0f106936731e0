"""Fluxes at given places, and places fitted to the pixels, all at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ssosd.analysis.forced.pixels import Patches
from ssosd.analysis.forced.profile import FWHM_PER_SIGMA, FloatArray, Shape, trail_profile
from ssosd.grouping import BoolArray, IntArray

_ITERATIONS = 8
_STEP_FWHM = 0.5  # a place moves at most so far in an iteration
_SHAPE_ERROR = 0.02  # of a pixel's light: no profile is exact


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trails:
    """Where light is looked for on a chip: n lines, or points where they have no length."""

    x: FloatArray  # middle, FITS pixels
    y: FloatArray
    length: FloatArray  # pixels
    angle: FloatArray  # radians from x to y
    err_along: FloatArray  # 1-sigma of the middle, pixels
    err_across: FloatArray
    scale: FloatArray  # pixels per arcsec along the motion

    def take(self, rows: BoolArray | IntArray) -> Trails:
        """Only some of them."""
        return Trails(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Forced:
    """Light at given places, shape (n,) each."""

    flux: FloatArray  # all light, counts
    sky_err: FloatArray  # what the sky's noise alone makes of it: its significance is flux / sky_err
    err: FloatArray  # with the light's own noise
    seen: FloatArray  # share of the light that falls on valid pixels, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Placed:
    """Light whose place was fitted, shape (n,) each."""

    x: FloatArray  # FITS pixels
    y: FloatArray
    err_along: FloatArray  # 1-sigma, pixels
    err_across: FloatArray
    flux: FloatArray  # counts
    err: FloatArray
    pull: FloatArray  # how far from the given place, in that one's standard errors
    chi2_dof: FloatArray  # of the pixels


def forced_flux(
    patches: Patches,
    trails: Trails,
    *,
    shape: Shape,
    gain: float,
    masked: BoolArray | None = None,
    also: BoolArray | None = None,
) -> Forced:
    """Flux at the places as they are given: linear in the pixels, so that an empty sky gives 0 on average.

    The profile is spread by the error of the place. Optimal for the noise of the sky (Naylor 1998, MNRAS
    296, 339).

    Parameters
    ----------
    patches : Patches
        Of the places.
    trails : Trails
    shape : Shape
    gain : float
        e- per count, inf for no shot noise.
    masked : ndarray of bool, shape (m,), optional
        Pixels with the light of something else.
    also : ndarray of bool, shape (m,), optional
        Pixels that count although they are not valid.
    """
    own = patches.owner
    light, _, _ = trail_profile(
        patches.x - trails.x[own],
        patches.y - trails.y[own],
        shape=shape,
        length=trails.length[own],
        angle=trails.angle[own],
        widen=(trails.err_along[own], trails.err_across[own]),
    )
    use = patches.valid if masked is None else patches.valid & ~masked
    kept = np.where(use if also is None else use | also, light, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = patches.sums(kept * kept)
        total = patches.sums(kept)
        flux = patches.sums(kept * patches.value) / square
        sky = np.sqrt(patches.noise**2 / square + (patches.sky_error * total / square) ** 2)
        shot = np.maximum(flux, 0.0) / gain * patches.sums(kept**3) / square**2
        return Forced(
            flux=flux,
            sky_err=sky,
            err=np.sqrt(sky**2 + shot),
            seen=total / patches.sums(light),
        )


def fitted_places(
    patches: Patches, trails: Trails, *, shape: Shape, gain: float, masked: BoolArray | None = None
) -> Placed:
    """Place, flux and their errors by least squares on the pixels, with the given place as the prior.

    Parameters
    ----------
    As `forced_flux`.

    Notes
    -----
    Gauss-Newton from the best of some places along the trail: its middle stands in its ends alone, so that a
    place that is off by more than a star's width has no slope to follow.
    """
    own = patches.owner
    use = patches.valid if masked is None else patches.valid & ~masked
    noise = np.where(np.isfinite(patches.noise) & (patches.noise > 0.0), patches.noise, np.inf)
    weight = np.where(use, 1.0, 0.0) / noise[own] ** 2
    cos, sin = np.cos(trails.angle), np.sin(trails.angle)
    along, across = _best_start(patches, trails, shape, weight), np.zeros(patches.n)
    prior = np.stack([trails.err_along, trails.err_across], axis=-1) ** -2.0
    limit = _STEP_FWHM * shape.fwhm_px
    for k in range(_ITERATIONS + 1):
        light, by_x, by_y = trail_profile(
            patches.x - (trails.x + along * cos - across * sin)[own],
            patches.y - (trails.y + along * sin + across * cos)[own],
            shape=shape,
            length=trails.length[own],
            angle=trails.angle[own],
        )
        if k == 0:
            with np.errstate(divide="ignore", invalid="ignore"):
                flux = patches.sums(weight * light * patches.value) / patches.sums(weight * light * light)
            flux = np.maximum(np.nan_to_num(flux), 0.0)
        own_light = flux[own] * light
        variance = noise[own] ** 2 + own_light / gain + (_SHAPE_ERROR * own_light) ** 2
        weight = np.where(use, 1.0, 0.0) / variance
        by_u = -flux[own] * (by_x * cos[own] + by_y * sin[own])
        by_w = -flux[own] * (by_y * cos[own] - by_x * sin[own])
        design, rest = (light, by_u, by_w), patches.value - own_light
        normal = np.empty((patches.n, 3, 3))
        right = np.empty((patches.n, 3))
        for i in range(3):
            right[:, i] = patches.sums(weight * design[i] * rest)
            for j in range(i + 1):
                normal[:, i, j] = normal[:, j, i] = patches.sums(weight * design[i] * design[j])
        normal[:, 1, 1] += prior[:, 0]
        normal[:, 2, 2] += prior[:, 1]
        right[:, 1] -= prior[:, 0] * along
        right[:, 2] -= prior[:, 1] * across
        scale = 1.0 / np.sqrt(np.maximum(np.einsum("nii->ni", normal), 1e-30))
        scaled = normal * scale[:, :, None] * scale[:, None, :] + 1e-12 * np.eye(3)
        covariance = np.linalg.inv(scaled) * scale[:, :, None] * scale[:, None, :]
        if k == _ITERATIONS:
            break
        step = np.einsum("nij,nj->ni", covariance, right)
        flux = np.maximum(flux + step[:, 0], 0.1 * flux)
        along = along + np.clip(step[:, 1], -limit, limit)
        across = across + np.clip(step[:, 2], -limit, limit)
    count = patches.sums(np.where(use, 1.0, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        square = patches.sums(np.where(use, light, 0.0) ** 2)
        sky = patches.sky_error * patches.sums(np.where(use, light, 0.0)) / square
    errors = np.sqrt(np.einsum("nii->ni", covariance))
    return Placed(
        x=trails.x + along * cos - across * sin,
        y=trails.y + along * sin + across * cos,
        err_along=errors[:, 1],
        err_across=errors[:, 2],
        flux=flux,
        err=np.hypot(errors[:, 0], sky),
        pull=np.hypot(along / trails.err_along, across / trails.err_across),
        chi2_dof=patches.sums(weight * rest**2) / np.maximum(count - 3.0, 1.0),
    )


def _best_start(patches: Patches, trails: Trails, shape: Shape, weight: FloatArray) -> FloatArray:
    """Where along the trail the light fits best, within twice the prediction's error, to a pixel.

    The pixels are summed across the trail, weighted as a star's core, and a window of the trail's length is
    slid along: cheap, and near enough for the fit to find its way.
    """
    own, n = patches.owner, patches.n
    cos, sin = np.cos(trails.angle)[own], np.sin(trails.angle)[own]
    dx, dy = patches.x - trails.x[own], patches.y - trails.y[own]
    core = np.exp(-0.5 * ((dy * cos - dx * sin) * FWHM_PER_SIGMA / shape.fwhm_px) ** 2)
    cell = np.rint(dx * cos + dy * sin).astype(np.intp)
    reach = int(np.abs(cell).max(initial=0)) + 1
    cell += own * (2 * reach + 1) + reach
    size = n * (2 * reach + 1)

    def summed(values: FloatArray) -> FloatArray:
        """Sum from the first cell to before each, shape (n, cells + 1)."""
        rows = np.bincount(cell, values, minlength=size).reshape(n, -1)
        return np.concatenate([np.zeros((n, 1)), np.cumsum(rows, axis=1)], axis=1)

    light, square = summed(weight * core * patches.value), summed(weight * core * core)
    span = np.minimum(2.0 * trails.err_along, 0.6 * trails.length + shape.fwhm_px)
    most = int(np.ceil(span.max(initial=0.0)))
    shift = np.arange(-most, most + 1)
    half = 0.5 * np.maximum(trails.length, shape.fwhm_px)[:, None]
    low = np.clip(np.rint(shift - half).astype(np.intp) + reach, 0, 2 * reach + 1)
    high = np.clip(np.rint(shift + half).astype(np.intp) + reach + 1, 0, 2 * reach + 1)
    rows = np.arange(n)[:, None]
    amount, noise = light[rows, high] - light[rows, low], square[rows, high] - square[rows, low]
    merit = np.sign(amount) * amount**2 / np.maximum(noise, 1e-30) - (shift / trails.err_along[:, None]) ** 2
    merit = np.where(np.abs(shift) <= np.maximum(span, 0.5)[:, None], merit, -np.inf)
    return shift[np.argmax(merit, axis=1)].astype(np.float64)
