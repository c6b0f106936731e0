"""Fixed columns of text read by the megabyte: lines, numbers, dates."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ssosd.errors import Misconfigured

Array = NDArray[np.float64]

_CHUNK = 16 * 2**20
_MJD_OF_CIVIL_ZERO = 678_882  # days from 0000-03-01 to the zero of MJD, 1858-11-17, and one


def chunks(path: Path) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time."""
    try:
        with _opened(path) as file:
            rest = b""
            while chunk := file.read(_CHUNK):
                lines, newline, rest = (rest + chunk).rpartition(b"\n")
                yield lines + newline
            yield rest
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Misconfigured(f"{path}: the file of orbits cannot be read: {why}") from error


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def mjd(year: Array, month: Array | float, day: Array | float) -> Array:
    """MJD of a date of the Gregorian calendar (Richards, Explanatory Supplement, 3rd ed., ch. 15)."""
    late = np.asarray(month) > 2
    y = np.where(late, year, year - 1.0)
    m = np.where(late, np.asarray(month) - 3.0, np.asarray(month) + 9.0)
    days = 365.0 * y + y // 4 - y // 100 + y // 400 + (153.0 * m + 2.0) // 5 + np.asarray(day)
    return np.asarray(days - _MJD_OF_CIVIL_ZERO, dtype=np.float64)


def mjd_packed(grid: NDArray[np.uint8]) -> Array:
    """MJD of packed dates such as K25BL."""
    code = _packed(grid).astype(np.float64)
    return mjd(100.0 * code[:, 0] + 10.0 * code[:, 1] + code[:, 2], code[:, 3], code[:, 4])


def is_packed_date(grid: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each is a century's letter, two digits, and a month and a day that there are."""
    code = _packed(grid)
    low, high = np.array([10, 0, 0, 1, 1]), np.array([35, 9, 9, 12, 31])
    return np.asarray(((code >= low) & (code <= high)).all(axis=1))


def _packed(grid: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Values of digits and letters, A being 10; -1 for what is neither."""
    code = grid.astype(np.int16)
    digit = np.where((code >= ord("0")) & (code <= ord("9")), code - ord("0"), -1)
    return np.where(code >= ord("A"), code - ord("A") + 10, digit)


def digits(grid: NDArray[np.uint8]) -> Array:
    """Whole numbers of fixed width, blanks counting as zeros."""
    value = np.where((grid >= ord("0")) & (grid <= ord("9")), grid - ord("0"), 0)
    return np.asarray(value @ 10.0 ** np.arange(grid.shape[1])[::-1], dtype=np.float64)


def decimal(grid: NDArray[np.uint8]) -> Array:
    """Decimal numbers of fixed width with the point in the same column."""
    point = int(np.flatnonzero(grid[0] == ord("."))[0])
    n = grid.shape[1] - 1
    whole = digits(np.delete(grid, point, axis=1))
    return whole / 10.0 ** (n - point)


def text(grid: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Columns of characters as strings, one per line."""
    rows = np.ascontiguousarray(grid)
    return rows.view(f"S{grid.shape[1]}").ravel()


def magnitudes(grid: NDArray[np.uint8], blank: float) -> NDArray[np.float32]:
    """Numbers anywhere within their columns; `blank` where there is none."""
    texts = text(grid)
    texts = np.where((grid == ord(" ")).all(axis=1), str(blank).encode(), texts)
    try:
        return texts.astype(np.float32)
    except ValueError:  # one that is no number does not cost the others
        return np.array([_number(value, blank) for value in texts.tolist()], dtype=np.float32)


def _number(value: bytes, blank: float) -> float:
    try:
        return float(value)
    except ValueError:
        return blank
