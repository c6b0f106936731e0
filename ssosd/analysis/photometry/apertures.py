"""How much of an object's light its own aperture took, from the noise that SExtractor counted in it.

MAG_AUTO's ellipses follow the light, and for faint objects the noise: with the tight ones of the shipped
set-up two stars of one magnitude may differ by half a magnitude for that alone. The variance of a flux is
that of the sky in the aperture plus that of the light, FLUXERR**2 = area * n + FLUX / gain (SExtractor
manual, "Photometry"): it tells the area. Reference stars then tell what an area costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_FEWEST = 90  # stars for a curve
_BIN = 30  # stars in each of its bins
_FOR_GAIN = 20  # stars for the two noise terms
_BRIGHT_ERROR = 0.012  # mag: their noise is of light and sky in comparable parts
_SKY_NONE, _SKY_FULL = 0.10, 0.25  # part of the variance that is the sky's: below no area, above a good one
_CLIP = 3.0
_ROUNDS = 15


@dataclass(frozen=True, kw_only=True)
class Apertures:
    """Areas of the apertures of all detections."""

    log_area: NDArray[np.float64]  # log10 of the area over that of a bright star, for round apertures
    weight: NDArray[np.float64]  # 0 where the area is not known, 1 where it is


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What the variance of a flux is made of, chip by chip: sky in a star's aperture, and light."""

    by_chip: Mapping[int, tuple[float, float]]  # EXTENSION to (variance of the sky, variance per count)

    @classmethod
    def measure(cls, stars: pd.DataFrame) -> Noise:
        """Measure it with the good stars of one exposure: FLUX, FLUXERR, MAGERR, EXTENSION."""
        bright = stars[stars["MAGERR"].to_numpy(np.float64) < _BRIGHT_ERROR]
        found = {
            int(str(chip)): _noise_terms(
                own["FLUX"].to_numpy(np.float64), own["FLUXERR"].to_numpy(np.float64) ** 2
            )
            for chip, own in bright.groupby("EXTENSION")
        }
        return cls(by_chip={chip: terms for chip, terms in found.items() if terms is not None})

    def apertures(self, detections: pd.DataFrame) -> Apertures:
        """Derive the areas of detections.

        An elongated aperture, as a trail has, counts as the round one of its width: what it has more of
        belongs to the trail.

        Parameters
        ----------
        detections : DataFrame
            Of the same exposure: FLUX, FLUXERR, EXTENSION, AWIN_IMAGE, BWIN_IMAGE.
        """
        flux = detections["FLUX"].to_numpy(np.float64)
        variance = detections["FLUXERR"].to_numpy(np.float64) ** 2
        chips = detections["EXTENSION"]
        terms = pd.DataFrame(dict(self.by_chip), index=["sky", "per_count"], dtype=np.float64).T.reindex(
            chips
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            long = detections["AWIN_IMAGE"].to_numpy(np.float64) / detections["BWIN_IMAGE"].to_numpy(
                np.float64
            )
            long = np.where(np.isfinite(long) & (long > 1.0), long, 1.0)
            of_sky = variance - terms["per_count"].to_numpy() * np.maximum(flux, 0.0)
            share = np.where(variance > 0.0, of_sky / variance, 0.0)
            known = share > _SKY_NONE  # not where a chip's noise is not known: NaN
            log_area = np.log10(np.where(known, of_sky / terms["sky"].to_numpy() / long, 1.0))
            weight = np.clip((share - _SKY_NONE) / (_SKY_FULL - _SKY_NONE), 0.0, 1.0)
        return Apertures(log_area=log_area, weight=np.where(known, weight, 0.0))


def _noise_terms(flux: NDArray[np.float64], variance: NDArray[np.float64]) -> tuple[float, float] | None:
    """Sky variance in a star's aperture and variance per count, None where they cannot be told apart."""
    if len(flux) < _FOR_GAIN:
        return None
    design = np.column_stack([np.ones(len(flux)), flux])
    kept = np.ones(len(flux), dtype=bool)
    solution = np.zeros(2)
    for _ in range(_ROUNDS):
        scale = 1.0 / variance[kept]
        fitted = np.linalg.lstsq(design[kept] * scale[:, None], variance[kept] * scale, rcond=None)[0]
        solution = np.asarray(fitted, dtype=np.float64)
        residual = (variance - design @ solution) / variance
        spread = 1.4826 * float(np.median(np.abs(residual[kept]))) + 1e-6
        again = np.abs(residual) < _CLIP * spread
        if np.array_equal(again, kept) or again.sum() < _FOR_GAIN:
            break
        kept = again
    sky, per_count = float(solution[0]), float(solution[1])
    return (sky, per_count) if sky > 0.0 and per_count >= 0.0 else None


@dataclass(frozen=True, kw_only=True)
class LightCurve:
    """What an area costs: magnitudes to add, by log10 of the area."""

    log_area: NDArray[np.float64]  # rising; empty when nothing is known
    shift: NDArray[np.float64]  # mag, negative where the aperture is too small

    @classmethod
    def measure(cls, *, residual: NDArray[np.float64], own: Apertures) -> LightCurve:
        """Measure it with stars.

        Parameters
        ----------
        residual : ndarray, shape (n,)
            Catalogue magnitude minus (instrumental magnitude plus zero point and colour term).
        own : Apertures
            Of these stars.
        """
        use = own.weight > 0.5
        if use.sum() < _FEWEST:
            return cls(log_area=np.zeros(0), shift=np.zeros(0))
        x, y = own.log_area[use], residual[use]
        bins = np.empty(len(x), dtype=np.intp)
        n_bins = len(x) // _BIN
        bins[np.argsort(x, kind="stable")] = np.arange(len(x)) * n_bins // len(x)
        centre = pd.Series(x).groupby(bins).median().to_numpy()
        shift = pd.Series(y).groupby(bins).median().to_numpy()
        return cls(
            log_area=np.asarray(centre, dtype=np.float64),
            shift=np.maximum.accumulate(np.asarray(shift, dtype=np.float64)),
        )

    def apply(self, own: Apertures) -> NDArray[np.float64]:
        """Magnitudes to add to detections with these apertures."""
        if not len(self.log_area):
            return np.zeros(len(own.log_area))
        return np.asarray(np.interp(own.log_area, self.log_area, self.shift) * own.weight)
