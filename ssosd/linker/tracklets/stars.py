"""What stars look like in each epoch: round, or drawn out where the telescope followed something else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssosd.grouping import BoolArray, FloatArray, IntArray, rows_of
from ssosd.linker.tracklets.plane import Plane

CLEAR_SNR, FEW_STARS = 15.0, 10  # windows of fainter stars shrink
ROUND = 1.3  # A / B of what is round
DRAWN_FWHM = 1.0  # stars that are trails of this length, in FWHM, are meant to be
NARROWEST = 0.1  # of trails: the wide windows of most are widened by what is beside them
# Longer ones are catalogued whole (`ssosd.ingest.trails`); so near to their stretch, in it, is what is one.
WHOLE_FWHM, WHOLE = 2.5, 0.05
FWHM_PER_SIGMA = 2.3548  # of a Gaussian, 2 sqrt(2 ln 2)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stars:
    """The stars of a sequence; arrays have shape (n_epochs,)."""

    fwhm: float  # across their trails, if they are some, arcsec
    size: FloatArray  # sqrt(A B), arcsec; infinite where not known
    width: FloatArray  # the same of a point: B where they are trails
    stretch: NDArray[np.complex128]  # as that of detections, arcsec^2; 0 where not known
    trail: complex  # r exp(2 i angle): length (arcsec) of the stars' trails and their angle from x to y
    drawn_out: bool  # they are trails: the telescope followed something

    @classmethod
    def of(cls, plane: Plane, keep: BoolArray, solid: BoolArray) -> Stars:
        """Measure them.

        Parameters
        ----------
        plane : Plane
        keep : ndarray of bool, shape (n,)
            What may move: it tells the width where there are no stars.
        solid : ndarray of bool, shape (n,)
            What is at rest.
        """
        still = solid & ~plane.saturated
        clear = still & (plane.snr > CLEAR_SNR)
        stretch = np.zeros(plane.n_epochs, dtype=np.complex128)
        stretch.real = _typical(plane, clear, plane.stretch.real, 0.0)
        stretch.imag = _typical(plane, clear, plane.stretch.imag, 0.0)
        stars = still & (plane.elongation < ROUND)
        reference = next((some for some in (stars, clear) if some.sum() >= FEW_STARS), keep)
        square = np.abs(plane.stretch[reference]) / np.maximum(plane.elongation[reference] ** 2 - 1.0, 0.05)
        fwhm = FWHM_PER_SIGMA * float(np.sqrt(np.median(square))) if reference.any() else 2.0 * plane.scale
        fwhm = float(np.clip(fwhm, 1.5 * plane.scale, 10.0 * plane.scale))
        middle = complex(np.median(stretch.real), np.median(stretch.imag)) if plane.n_epochs else 0j
        trail = _trail(middle)
        drawn_out = abs(trail) > DRAWN_FWHM * fwhm
        if drawn_out:
            size = _sizes(plane, clear, plane.size)
            minor = plane.size / np.sqrt(np.maximum(plane.elongation, 1.0))
            width = _sizes(plane, clear, minor, quantile=NARROWEST)
        else:
            size = width = _sizes(plane, clear & stars, plane.size)
        return cls(fwhm=fwhm, size=size, width=width, stretch=stretch, trail=trail, drawn_out=drawn_out)

    @property
    def whole(self) -> bool:
        """Whether they are trails so long that each is catalogued as a whole, parted from points."""
        return self.drawn_out and abs(self.trail) >= WHOLE_FWHM * self.fwhm

    def as_long(self, stretch: NDArray[np.complex128], epoch: IntArray) -> BoolArray:
        """Whether detections, by their stretch (arcsec^2), are whole trails as long as the stars'."""
        if not self.whole:
            return np.zeros(stretch.shape, dtype=bool)
        theirs = self.stretch[epoch]
        return np.asarray(np.abs(stretch - theirs) < WHOLE * np.abs(theirs), dtype=bool)


def _trail(stretch: complex) -> complex:
    """The trail that stretches as much: of a uniform one of length l, A^2 - B^2 is l^2 / 12."""
    return complex(np.sqrt(12.0 * abs(stretch)) * np.exp(1j * np.angle(stretch)))


def _sizes(plane: Plane, stars: BoolArray, values: FloatArray, *, quantile: float = 0.5) -> FloatArray:
    """That of the stars of each epoch, arcsec; of all epochs where there are few; else infinite."""
    usual = float(np.quantile(values[stars], quantile)) if stars.sum() >= FEW_STARS else np.inf
    return _typical(plane, stars, values, usual, quantile=quantile) * plane.scale


def _typical(
    plane: Plane, stars: BoolArray, values: FloatArray, usual: float, *, quantile: float = 0.5
) -> FloatArray:
    """Median, or another quantile, over the stars of each epoch; the usual value where there are few."""
    found = np.full(plane.n_epochs, usual)
    chosen = values[stars]
    for epoch, here in enumerate(rows_of(plane.epoch[stars], plane.n_epochs)):
        if here.size >= FEW_STARS:
            found[epoch] = np.quantile(chosen[here], quantile)
    return found
