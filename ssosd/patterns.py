"""Smooth patterns over a chip or a field: polynomials of two coordinates, fitted without outliers."""

from __future__ import annotations

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from ssosd.grouping import FloatArray

CLIP = 3.0  # robust standard deviations
ROUNDS = 3


def polynomials(u: FloatArray, v: FloatArray, degree: int) -> FloatArray:
    """Products of Chebyshev polynomials up to a total degree, of coordinates from -1 to 1: (n, n_terms)."""
    i, j = np.nonzero(np.add.outer(range(degree + 1), range(degree + 1)) <= degree)
    return np.asarray(chebvander(u, degree)[:, i] * chebvander(v, degree)[:, j])


def clipped_fit(terms: FloatArray, offset: FloatArray, weight: FloatArray) -> FloatArray:
    """Coefficients by weighted least squares without outliers, shape (n_terms,)."""
    kept = np.ones(offset.size, dtype=bool)
    solution: FloatArray = np.zeros(terms.shape[1])
    for _ in range(ROUNDS):
        a, b = terms[kept] * weight[kept, None], offset[kept] * weight[kept]
        # of the normal equations, well conditioned as the terms are: a tenth of the time
        solution = np.asarray(np.linalg.lstsq(a.T @ a, a.T @ b, rcond=None)[0], dtype=np.float64)
        residual = np.abs(offset - terms @ solution) * weight
        limit = CLIP * 1.4826 * float(np.median(residual[kept]))
        kept = residual <= max(limit, 1e-9)
    return solution
