"""Is a file whole? Quiet for a while, and everything there that its headers promise.

A file that is being written can look like a FITS file at every moment: cut at the end of an HDU it is a valid
shorter one, preallocated it has its full length with zeros at the end. So the tests are, in order: size and
time of change at rest over at least two looks; the bytes that the headers promise; the number of HDUs that
NEXTEND announces or that other files of the instrument have; no run of zeros at the end of the data;
DATASUM where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from ssosd.errors import BadInput
from ssosd.ingest.fitsblocks import FitsLayout, Hdu, opened, read_layout

_ZERO_RUN = 2880  # a whole FITS block of zeros at the end of an image's data was never written


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One look at a file that may still be growing."""

    size_bytes: int
    mtime_ns: int
    first_seen_s: float  # when it was first noticed (clock of the caller, seconds)
    quiet_since_s: float  # since when size and mtime are what they are now
    looks: int  # how often they have been seen like that

    @classmethod
    def first(cls, size_bytes: int, mtime_ns: int, now_s: float) -> Look:
        """The first look."""
        return cls(size_bytes=size_bytes, mtime_ns=mtime_ns, first_seen_s=now_s, quiet_since_s=now_s, looks=1)

    def again(self, size_bytes: int, mtime_ns: int, now_s: float) -> Look:
        """A further look; a change starts the quiet time anew."""
        if (size_bytes, mtime_ns) == (self.size_bytes, self.mtime_ns):
            return replace(self, looks=self.looks + 1)
        return replace(self, size_bytes=size_bytes, mtime_ns=mtime_ns, quiet_since_s=now_s, looks=1)

    def is_quiet(self, now_s: float, settle_time_s: float) -> bool:
        """Seen at rest at least twice, for at least `settle_time_s`."""
        return self.looks >= 2 and now_s - self.quiet_since_s >= settle_time_s


def what_is_missing(path: Path, *, expected_hdus: int | None = None) -> str:
    """Why a file is not whole, or "" when it is.

    Parameters
    ----------
    path : Path
        A FITS file, plain or gzipped.
    expected_hdus : int, optional
        Number of HDUs, primary included, that the instrument's other files have.

    Returns
    -------
    str
        One phrase for a person; "" when nothing is missing.

    Raises
    ------
    BadInput
        It is no FITS file at all: waiting will not help.
    Retriable
        The disk or network fails.
    """
    try:
        layout = read_layout(path)
    except BadInput as error:
        if "not a FITS file" in error.message and not _is_blank(path):
            raise
        return error.message
    counted = _missing_hdus(layout, expected_hdus)
    if counted:
        return counted
    with opened(path) as (file, gzipped):
        for hdu in layout.hdus:
            if hdu.size == 0:
                continue
            datasum = hdu.cards.text("DATASUM").strip()
            if gzipped and not datasum:
                continue  # the gzip stream has its own checksum and has been read to its end
            file.seek(hdu.offset)
            if datasum.isdigit():
                if _datasum(file.read(-(-hdu.size // 2880) * 2880)) != int(datasum):
                    return f"the data of HDU {hdu.index} do not have their DATASUM"
            elif _ends_in_zeros(file, hdu):
                return f"the data of HDU {hdu.index} end in zeros, as if they were still being written"
    return ""


def _missing_hdus(layout: FitsLayout, expected_hdus: int | None) -> str:
    have = len(layout.hdus)
    announced = layout.hdus[0].cards.integer("NEXTEND", 0) + 1
    if have < announced:
        return f"{have} HDUs of the {announced} that NEXTEND announces"
    if expected_hdus is not None and have < expected_hdus:
        return f"{have} HDUs, the instrument's other files have {expected_hdus}"
    if any("are no FITS extension" in warning for warning in layout.warnings):
        return f"bytes after HDU {have - 1} that are no FITS extension, as if one were still being written"
    return ""


def _is_blank(path: Path) -> bool:
    """Whether a file begins with zeros (preallocated) or is still empty."""
    with path.open("rb") as file:
        head = file.read(80)
    return not head.strip(b"\0")


def _ends_in_zeros(file: IO[bytes], hdu: Hdu) -> bool:
    if hdu.size < 2 * _ZERO_RUN:
        return False
    file.seek(hdu.offset + hdu.size - _ZERO_RUN)
    return not file.read(_ZERO_RUN).strip(b"\0")


def _datasum(data: bytes) -> int:
    r"""Ones'-complement sum of big-endian 32-bit words (FITS Standard 4.0, appendix J).

    >>> _datasum(bytes(2880)), _datasum(b"\xff\xff\xff\xff\x00\x00\x00\x02")
    (0, 2)
    """
    words = np.frombuffer(data[: len(data) // 4 * 4], dtype=">u4")
    total = int(words.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
