"""Pixels of a plain FITS image as counts, and single ones of them written back, all others bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # by BITPIX


@dataclass(frozen=True, kw_only=True, slots=True)
class Digits:
    """One uncompressed image in a FITS file."""

    path: Path
    offset: int  # of its data, bytes
    bitpix: int
    width_px: int
    height_px: int
    zero: float = 0.0  # BZERO
    scale: float = 1.0  # BSCALE
    blank: int | None = None  # BLANK: digits of a pixel without a value

    def read(self) -> NDArray[np.float64]:
        """Counts, shape (ny, nx); NaN where there is no value."""
        raw = np.fromfile(
            self.path, dtype=_TYPES[self.bitpix], offset=self.offset, count=self.width_px * self.height_px
        ).reshape(self.height_px, self.width_px)
        counts = raw.astype(np.float64)
        if self.blank is not None and self.bitpix > 0:
            counts[raw == self.blank] = np.nan
        return counts * self.scale + self.zero

    def write(self, pixel: NDArray[np.intp], counts: NDArray[np.float64]) -> None:
        """Replace pixels by flat index; NaN leaves one as it is. Integers are rounded and kept in range."""
        there = np.isfinite(counts)
        dtype = np.dtype(_TYPES[self.bitpix])
        digits = (counts[there] - self.zero) / self.scale
        if dtype.kind != "f":
            limits = np.iinfo(dtype)
            digits = np.rint(digits).clip(limits.min, limits.max)
        raw = np.memmap(
            self.path, dtype=dtype, mode="r+", offset=self.offset, shape=(self.width_px * self.height_px,)
        )
        raw[pixel[there]] = digits.astype(dtype)
        raw.flush()
