"""How the light that a shape finds of stars changes over a chip, as the stars' true shape does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ssosd.grouping import BoolArray, FloatArray
from ssosd.patterns import clipped_fit, polynomials

_DEGREES = ((30, 2), (12, 1))  # stars that a polynomial of a degree needs
_STAR_ERROR = 0.03  # of a star's light, beside its noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """A smooth factor over a chip: the exponential of a polynomial."""

    low: tuple[float, float]  # FITS pixels between which it was measured: beyond, it is that of the border
    high: tuple[float, float]
    degree: int
    coefficients: tuple[float, ...]  # of `ssosd.patterns.polynomials`

    @classmethod
    def measure(
        cls, x: FloatArray, y: FloatArray, ratio: FloatArray, *, noise: FloatArray, own: BoolArray
    ) -> Trend | None:
        """Fit it to stars; None with few of them.

        Parameters
        ----------
        x, y : ndarray, shape (n,)
            FITS pixels.
        ratio : ndarray, shape (n,)
            Light that the shape finds over the catalogue's FLUX.
        noise : ndarray, shape (n,)
            Relative error of that FLUX.
        own : ndarray of bool, shape (n,)
            The stars that the shape is of: for them the factor is 1, as of fainter ones SExtractor's
            apertures have a smaller share.
        """
        good = np.flatnonzero(ratio > 0.0)
        degree = next((degree for stars, degree in _DEGREES if good.size >= stars), None)
        if degree is None:
            return None
        x, y = x[good], y[good]
        low = float(x.min()), float(y.min())
        high = tuple(max(float(v.max()), least + 1.0) for v, least in zip((x, y), low, strict=True))
        area = cls(low=low, high=(high[0], high[1]), degree=degree, coefficients=())
        terms = area._terms(x, y)
        solution = clipped_fit(terms, np.log(ratio[good]), 1.0 / np.hypot(_STAR_ERROR, noise[good]))
        solution[0] -= float(np.median((terms @ solution)[own[good]]))
        return replace(area, coefficients=tuple(solution.tolist()))

    def at(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """The factor at FITS pixels, shape (n,); 1 where these are not finite."""
        there = np.isfinite(x + y)
        factor = np.exp(self._terms(np.where(there, x, 0.0), np.where(there, y, 0.0)) @ self.coefficients)
        return np.where(there, factor, 1.0)

    def _terms(self, x: FloatArray, y: FloatArray) -> FloatArray:
        u, v = (
            np.clip(2.0 * (place - low) / (high - low) - 1.0, -1.0, 1.0)
            for place, low, high in zip((x, y), self.low, self.high, strict=True)
        )
        return polynomials(u, v, self.degree)
