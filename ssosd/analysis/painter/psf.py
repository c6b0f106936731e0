"""Light on pixels: Moffat or Gaussian profiles integrated over each pixel, thousands at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

#: Half widths of stamps, pixels: each source takes the smallest that holds it.
_HALF_WIDTHS = np.array([3, 4, 5, 6, 8, 10, 13, 17, 22, 29, 38, 50, 66, 87, 115, 150, 200])
#: Distance of the points that make up a trail, and what is too short to be one, pixels.
TRAIL_STEP_PX, LEAST_TRAIL_PX = 0.35, 1e-3
_VALUES_AT_ONCE = 1_000_000
#: FWHM of a Gaussian in units of its sigma, 2 sqrt(2 ln 2).
FWHM_PER_SIGMA = 2.3548200450309493


@dataclass(frozen=True, kw_only=True, slots=True)
class Psf:
    """The shape of a point source on one exposure."""

    kind: str  # "moffat" or "gaussian"
    beta: float = 3.0  # Moffat exponent
    fwhm_px: float  # before the integration over pixels

    def squared_radius(self, fwhm_px: FloatArray) -> FloatArray:
        """Square of the scale length: alpha of a Moffat, sqrt(2) sigma of a Gaussian; pixels squared."""
        if self.kind == "gaussian":
            return 2.0 * (fwhm_px / FWHM_PER_SIGMA) ** 2
        return fwhm_px**2 / (4.0 * (2.0 ** (1.0 / self.beta) - 1.0))

    @property
    def central(self) -> float:
        """Central value times the squared scale length, for unit flux (Moffat 1969, A&A 3, 455)."""
        return (1.0 if self.kind == "gaussian" else self.beta - 1.0) / np.pi

    def profile(self, u: NDArray[np.float32]) -> NDArray[np.float32]:
        """Value relative to the centre at squared radius `u` in units of the squared scale length."""
        if self.kind == "gaussian":
            return np.exp(-u)
        if self.beta == 3.0:
            base = 1.0 + u
            return 1.0 / (base * base * base)
        return np.exp(np.float32(-self.beta) * np.log1p(u))

    def reach(self, fall: FloatArray) -> FloatArray:
        """Radius, in scale lengths, at which the profile has fallen by the factor `fall` (>= 1)."""
        if self.kind == "gaussian":
            return np.sqrt(np.log(fall))
        return np.sqrt(fall ** (1.0 / self.beta) - 1.0)


class Sources:
    """Sources to be painted on a chip.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Centres, FITS pixels (1-based).
    flux_e : array_like, shape (n,)
        Total charge, e-.
    extent_px : array_like, optional
        FWHM of the source itself, added in quadrature to the PSF; default 0, a point.
    axis_ratio, theta_deg : array_like, optional
        Minor over major axis, and the major axis' angle from x to y. Default round.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        flux_e: ArrayLike,
        *,
        extent_px: ArrayLike = 0.0,
        axis_ratio: ArrayLike = 1.0,
        theta_deg: ArrayLike = 0.0,
    ) -> None:
        table = np.broadcast_arrays(
            *(np.asarray(v, dtype=np.float64) for v in (x, y, flux_e, extent_px, axis_ratio, theta_deg))
        )
        self.x, self.y, self.flux_e, self.extent_px, self.axis_ratio, self.theta_deg = table

    def __len__(self) -> int:
        return len(self.x)

    def drawn_out(self, dx: FloatArray, dy: FloatArray) -> tuple[Sources, int]:
        """The points of trails in place of sources that move by (dx, dy), pixels, and how many each has."""
        finite = np.isfinite(dx) & np.isfinite(dy)
        longest = float(np.hypot(dx, dy)[finite].max(initial=0.0))
        points = int(np.ceil(longest / TRAIL_STEP_PX)) + 1
        if longest < LEAST_TRAIL_PX:
            return self, 1
        share = (np.arange(points) + 0.5) / points - 0.5
        return (
            Sources(
                (self.x + share[:, None] * dx).ravel(),
                (self.y + share[:, None] * dy).ravel(),
                np.tile(self.flux_e / points, points),
                extent_px=np.tile(self.extent_px, points),
                axis_ratio=np.tile(self.axis_ratio, points),
                theta_deg=np.tile(self.theta_deg, points),
            ),
            points,
        )


def stamps(
    sources: Sources, *, shape: tuple[int, int], psf: Psf, floor_e: ArrayLike
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]]:
    """Charge of sources on the pixels they reach.

    The integral over a pixel is a 2 x 2 Gauss-Legendre sum (good to 0.2 % of the peak at FWHM 2.35 px), 3 x 3
    where the FWHM is below 2 px.

    Parameters
    ----------
    sources : Sources
    shape : (ny, nx)
        Of the chip; what falls outside is left out.
    psf : Psf
    floor_e : array_like
        Charge per pixel below which a wing ends, e-; one value or one per source.

    Yields
    ------
    owner, pixel, value : ndarray, shape (m,)
        Index of the source, flat index of the pixel, charge (e-).
    """
    ny, nx = shape
    fwhm = np.hypot(psf.fwhm_px, sources.extent_px)
    scale2 = psf.squared_radius(fwhm)
    peak = sources.flux_e * psf.central / (scale2 * sources.axis_ratio)
    fall = np.maximum(peak / np.asarray(floor_e, dtype=np.float64), 1.0)
    radius = np.maximum(np.sqrt(scale2) * psf.reach(fall), 2.0 * fwhm)
    near = (
        (sources.x > 0.5 - radius)
        & (sources.x < nx + 0.5 + radius)
        & (sources.y > 0.5 - radius)
        & (sources.y < ny + 0.5 + radius)
        & (sources.flux_e > 0.0)
    )
    size = np.minimum(np.searchsorted(_HALF_WIDTHS, radius), len(_HALF_WIDTHS) - 1)
    nodes, weights = np.polynomial.legendre.leggauss(2 if psf.fwhm_px >= 2.0 else 3)
    for number in np.unique(size[near]):
        half = int(_HALF_WIDTHS[number])
        members = np.flatnonzero(near & (size == number))
        at_once = max(1, _VALUES_AT_ONCE // (2 * half + 1) ** 2)
        for begin in range(0, len(members), at_once):
            chosen = members[begin : begin + at_once]
            step = np.arange(-half, half + 1)
            column = np.rint(sources.x[chosen]).astype(np.intp)[:, None] + step  # (k, s), 1-based
            row = np.rint(sources.y[chosen]).astype(np.intp)[:, None] + step
            dx = (column - sources.x[chosen, None]).astype(np.float32)[:, None, :]
            dy = (row - sources.y[chosen, None]).astype(np.float32)[:, :, None]
            angle = np.radians(sources.theta_deg[chosen])
            quadratic = _quadratic_form(angle, sources.axis_ratio[chosen], scale2[chosen])
            value = np.zeros((len(chosen), len(step), len(step)), dtype=np.float32)
            for node_x, weight_x in zip(nodes / 2.0, weights / 2.0, strict=True):
                for node_y, weight_y in zip(nodes / 2.0, weights / 2.0, strict=True):
                    a, b = dx + np.float32(node_x), dy + np.float32(node_y)
                    u = quadratic[0] * a * a + quadratic[1] * a * b + quadratic[2] * b * b
                    value += np.float32(weight_x * weight_y) * psf.profile(u)
            value *= peak[chosen, None, None].astype(np.float32)
            inside = ((row >= 1) & (row <= ny))[:, :, None] & ((column >= 1) & (column <= nx))[:, None, :]
            pixel = (row - 1)[:, :, None] * nx + (column - 1)[:, None, :]
            owner = np.broadcast_to(chosen[:, None, None], value.shape)
            yield owner[inside], pixel[inside], value[inside].astype(np.float64)


def _quadratic_form(
    angle: FloatArray, axis_ratio: FloatArray, scale2: FloatArray
) -> list[NDArray[np.float32]]:
    """Coefficients of dx^2, dx dy, dy^2 in the squared elliptical radius, shape (k, 1, 1) each."""
    c, s, q2 = np.cos(angle), np.sin(angle), axis_ratio**2
    terms = (c**2 + s**2 / q2, 2.0 * c * s * (1.0 - 1.0 / q2), s**2 + c**2 / q2)
    return [(term / scale2).astype(np.float32)[:, None, None] for term in terms]


def add_sources(image: FloatArray, sources: Sources, *, psf: Psf, floor_e: ArrayLike) -> None:
    """Add sources to an image of charges (e-), in place."""
    flat = image.reshape(-1)
    for _, pixel, value in stamps(sources, shape=(image.shape[0], image.shape[1]), psf=psf, floor_e=floor_e):
        np.add.at(flat, pixel, value)
