"""The zero point of one exposure: robust fit with a colour term, and how far magnitudes may be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.analysis.photometry.stars import binned, bins_of

MIN_STARS = 5
_MIN_FOR_COLOUR = 25
_MIN_COLOUR_SPREAD = 0.15  # mag of BP - RP, standard deviation
_ROUNDS = 20
_CLIP = 3.5  # sigmas
_BRIGHT_ERROR = 0.01  # mag: stars so good, when there are enough, make the zero point
_ENOUGH = 20
_NINE_TENTHS, _SIGMAS_OF_90 = 0.9, 1.6449  # a normal distribution has 90 % within so many sigmas


@dataclass(frozen=True, kw_only=True)
class ZeroPoint:
    """What turns an exposure's instrumental magnitudes into calibrated ones."""

    offset: float  # mag, added to MAG for an object of the Sun's colour
    offset_err: float  # its standard error, mag
    colour_term: float  # mag per mag of BP - RP, 0 where it could not be fitted
    colour_term_err: float  # its standard error, NaN where it could not be fitted
    n_stars: int  # that made the zero point
    scatter: float  # of those stars about it, mag
    used: NDArray[np.bool_]  # which of the given stars were not clipped


def fit_zero_point(
    *,
    difference: NDArray[np.float64],
    error: NDArray[np.float64],
    colour: NDArray[np.float64] | None,
) -> ZeroPoint | None:
    """Fit (catalogue minus instrumental) = offset + colour term * colour, clipping what does not belong.

    Parameters
    ----------
    difference, error : ndarray, shape (n,)
        Catalogue minus instrumental magnitude and the error of the latter, mag.
    colour : ndarray, shape (n,), optional
        BP - RP minus the Sun's.

    Returns
    -------
    ZeroPoint or None
        None with fewer than `MIN_STARS` stars left.
    """
    n = len(difference)
    if n < MIN_STARS:
        return None
    good = error < _BRIGHT_ERROR
    if good.sum() < _ENOUGH:  # then the best there are
        good = error <= np.sort(error)[min(n, _ENOUGH) - 1]
    centre = float(np.median(difference[good]))
    kept = good & (np.abs(difference - centre) < max(_CLIP * _mad(difference[good]), 0.05))
    with_colour = colour is not None and _can_fit_colour(colour, kept)
    design = np.ones((n, 1)) if not with_colour or colour is None else np.column_stack([np.ones(n), colour])
    solution, extra = np.zeros(design.shape[1]), 0.0
    for round_ in range(_ROUNDS):
        if kept.sum() < MIN_STARS:
            return None
        weight = 1.0 / (error**2 + extra**2 + 1e-6)
        solution = _solve(design[kept], difference[kept], weight[kept])
        residual = difference - design @ solution
        scatter = max(_mad(residual[kept]), 1e-4)
        extra = np.sqrt(max(scatter**2 - float(np.median(error[kept])) ** 2, 0.0))
        again = good & (np.abs(residual) < _CLIP * np.sqrt(error**2 + scatter**2))
        if round_ and np.array_equal(again, kept):
            break
        kept = again
    if kept.sum() < MIN_STARS:
        return None
    variance = np.linalg.inv((design[kept].T * weight[kept]) @ design[kept])
    # a MAD of few stars may be by chance too small: Student-like widening
    widen = np.sqrt((kept.sum() - 1.0) / max(kept.sum() - 3.0, 1.0))
    return ZeroPoint(
        offset=float(solution[0]),
        offset_err=float(np.sqrt(variance[0, 0]) * widen),
        colour_term=float(solution[1]) if with_colour else 0.0,
        colour_term_err=float(np.sqrt(variance[1, 1]) * widen) if with_colour else np.nan,
        n_stars=int(kept.sum()),
        scatter=float(scatter),
        used=kept,
    )


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """How stars of an exposure differ from their catalogue magnitudes, by SExtractor's error of them.

    The adaptive apertures of MAG_AUTO lose more light of fainter stars, and scatter more than the noise of
    the sky that MAGERR counts: both are measured with the reference stars.
    """

    log_error: NDArray[np.float64]  # log10 of the median MAGERR of each bin, rising
    bias: NDArray[np.float64]  # median of catalogue minus calibrated magnitude in each bin
    scatter: NDArray[np.float64]  # their standard error: 1.645 times it holds 90 % of them

    @classmethod
    def measure(
        cls,
        *,
        residual: NDArray[np.float64],
        error: NDArray[np.float64],
        clean: NDArray[np.bool_],
    ) -> ErrorModel:
        """Measure it with stars.

        Parameters
        ----------
        residual : ndarray, shape (n,)
            Catalogue magnitude minus (instrumental magnitude plus zero point and colour term).
        error : ndarray, shape (n,)
            MAGERR, positive.
        clean : ndarray of bool, shape (n,)
            The stars that tell of the shift; the scatter is that of all, for what moves passes in front of
            faint stars, as stars themselves are near others.
        """
        bins = bins_of(error)
        place = binned(np.log10(error), bins)[0].to_numpy()
        away = pd.Series(np.abs(residual - binned(residual, bins)[0].take(bins).to_numpy()))
        tail = away.groupby(bins).quantile(_NINE_TENTHS).to_numpy() / _SIGMAS_OF_90
        scatter = np.maximum(away.groupby(bins).median().to_numpy() * 1.4826, tail)
        rising = np.maximum.accumulate(np.maximum(_smooth(scatter), 10.0**place))
        return cls(log_error=place, bias=_shift(residual[clean], error[clean], place), scatter=rising)

    def apply(self, error: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shift to add to magnitudes with the given MAGERR, and their standard error."""
        with np.errstate(invalid="ignore", divide="ignore"):
            place = np.log10(error)
            ratio = np.log10(self.scatter) - self.log_error
            sigma = 10.0 ** (place + np.interp(place, self.log_error, ratio))
        floor = float(self.scatter[0])
        return np.interp(place, self.log_error, self.bias), np.maximum(sigma, floor)


def _can_fit_colour(colour: NDArray[np.float64], kept: NDArray[np.bool_]) -> bool:
    return bool(kept.sum() >= _MIN_FOR_COLOUR and np.std(colour[kept]) > _MIN_COLOUR_SPREAD)


def _solve(
    design: NDArray[np.float64], values: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve((design.T * weight) @ design, (design.T * weight) @ values))


def _mad(values: NDArray[np.float64]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if len(values) else np.nan


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running median of three, ends kept."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 3:
        return values
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.asarray(np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0))


def _shift(
    residual: NDArray[np.float64], error: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Median residual by log10 of the error, at the given ones; 0 where it is not significant."""
    if not len(residual):
        return np.zeros(len(place))
    bins = bins_of(error)
    median, scatter = (column.to_numpy() for column in binned(residual, bins))
    if len(median) < 3:
        return np.zeros(len(place))
    significant = np.abs(median) > 2.0 * scatter / np.sqrt(np.bincount(bins))
    own = binned(np.log10(error), bins)[0].to_numpy()
    return np.asarray(np.interp(place, own, _smooth(np.where(significant, median, 0.0))))
