"""Is a file whole? Quiet for a while, and everything there that its headers promise.

A file that is being written can look like a FITS file at every moment: cut at the end of an HDU it is a valid
shorter one, preallocated it has its full length with zeros at the end. So, once size and time of change have
been at rest over at least two looks, these are asked, gravest first:

access
    We may open it; some programs allow that only when the file is finished. It is waited for, parked after
    SETTLE_LIMIT, and taken up again as soon as it can be read.
bytes
    The bytes that the headers promise are there, nothing but HDUs follows, the data have their DATASUM where
    there is one. A file that fails is never taken: it is waited for, and parked after SETTLE_LIMIT. (CHECKSUM
    is not asked: it covers the header too, which many a program edits afterwards without renewing it.)
hdus
    There are as many HDUs as NEXTEND announces and as the instrument's other files have. A file that fails is
    parked after SETTLE_LIMIT too; but a chip may die, and a pipeline may split files and leave NEXTEND as it
    was, so the same lack in two files of an instrument that both came to rest is taken to be its habit.
end
    The data of no HDU end in zeros, and the last block is padded. But data may well end in zeros by nature
    (masked overscan, a mosaic's empty edge, a mask), and some programs do not pad; so a file against which
    only this speaks is taken after all, with a warning, once it has been at rest for SETTLE_LIMIT. From then
    on the instrument's files that end in just the same way are taken at once. If it grows later nevertheless,
    its row is opened again as for every file.

What is usual for an instrument is kept in `ssosd.ingest.habits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

import numpy as np

from ssosd.errors import BadInput
from ssosd.ingest.fitsblocks import BLOCK, FitsLayout, Hdu, opened, read_layout

_CHUNK = 1 << 22  # bytes read at once; a multiple of 4, for DATASUM's words
_TAIL = 1 << 16


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """One thing that speaks against a file being whole."""

    text: str  # one phrase for a person; the same for the same lack in another file
    kind: Literal["access", "bytes", "hdus", "end"]  # how much it weighs: see the module


def what_is_missing(path: Path, *, layout: FitsLayout | None = None) -> tuple[Missing, ...]:
    """All that speaks against a file being whole, gravest first; empty when nothing does.

    Parameters
    ----------
    path : Path
        A FITS file, plain or packed.
    layout : FitsLayout, optional
        Its headers, when they have been read.

    Raises
    ------
    BadInput
        It is no FITS file at all: waiting will not help.
    Retriable
        The disk or network fails.
    """
    try:
        layout = layout or read_layout(path)
        lacks = _missing_bytes(layout) or "".join(_wrong_sums(path, layout))
    except BadInput as error:
        if "not a FITS file" in error.message and not _is_blank(path):
            raise
        lacks = error.message.removeprefix(f"{path.name}: ")
    if lacks or layout is None:
        return (Missing(kind="bytes", text=lacks),)
    found = []
    have, announced = len(layout.hdus), layout.hdus[0].cards.integer("NEXTEND", 0) + 1
    if have < announced:
        found.append(Missing(kind="hdus", text=f"{have} HDUs of the {announced} that NEXTEND announces"))
    found += [Missing(kind="end", text=text) for text in layout.warnings if "bytes of padding" in text]
    found += [Missing(kind="end", text=text) for text in _zero_ends(path, layout)]
    return tuple(found)


def fewer_hdus(have: int, *, usual: int) -> tuple[Missing, ...]:
    """Whether a file has fewer HDUs than other files of its instrument.

    >>> [lack.text for lack in fewer_hdus(2, usual=5)], fewer_hdus(5, usual=2)
    (["2 HDUs, the instrument's other files have 5"], ())
    """
    if have >= usual:
        return ()
    return (Missing(kind="hdus", text=f"{have} HDUs, the instrument's other files have {usual}"),)


def _missing_bytes(layout: FitsLayout) -> str:
    if any("are no FITS extension" in warning for warning in layout.warnings):
        last = len(layout.hdus) - 1
        return f"bytes after HDU {last} that are no FITS extension, as if one were still being written"
    if not any(hdu.size for hdu in layout.hdus):
        return "headers without any data"
    return ""


def _is_blank(path: Path) -> bool:
    """Whether a file is still empty or has zeros (preallocated) where its first card is to be."""
    with path.open("rb") as file:
        head = file.read(80)
    return b"SIMPLE  =".startswith(head.rstrip(b"\0"))


def _wrong_sums(path: Path, layout: FitsLayout) -> Iterator[str]:
    """The first HDU whose data do not have the DATASUM of its header."""
    summed = [hdu for hdu in layout.hdus if hdu.size and _datasum_of(hdu) is not None]
    if not summed:
        return
    with opened(path) as (file, _):
        for hdu in summed:
            file.seek(hdu.offset)
            if datasum(file, -(-hdu.size // BLOCK) * BLOCK) != _datasum_of(hdu):
                yield f"the data of HDU {hdu.index} do not have their DATASUM"
                return


def _datasum_of(hdu: Hdu) -> int | None:
    text = hdu.cards.text("DATASUM")
    return int(text) if text.isdigit() else None


def _zero_ends(path: Path, layout: FitsLayout) -> Iterator[str]:
    """HDUs whose last block of data, or more, has only zeros; those with a DATASUM are known to be right.

    In a packed file nothing is looked for: its stream has been read to its end and checked by then.
    """
    doubtful = [hdu for hdu in layout.hdus if hdu.size and _datasum_of(hdu) is None]
    if layout.packed or not doubtful:
        return
    with opened(path) as (file, _):
        for hdu in doubtful:
            zeros = _zeros_at_end(file, hdu)
            if zeros > (hdu.size - 1) % BLOCK:
                yield f"the data of HDU {hdu.index} end in {zeros} zero bytes of {hdu.size}"


def _zeros_at_end(file: IO[bytes], hdu: Hdu) -> int:
    end = hdu.size
    while end > 0:
        start = max(0, end - _TAIL)
        file.seek(hdu.offset + start)
        filled = len(file.read(end - start).rstrip(b"\0"))
        if filled:
            return hdu.size - start - filled
        end = start
    return hdu.size


def datasum(file: IO[bytes], size: int) -> int:
    r"""Ones'-complement sum of big-endian 32-bit words (FITS Standard 4.0, appendix J).

    Parameters
    ----------
    file : binary file
        At the start of the data.
    size : int
        Bytes with padding; where fewer are there, what is there counts.

    Examples
    --------
    >>> from io import BytesIO
    >>> datasum(BytesIO(bytes(2880)), 2880), datasum(BytesIO(b"\xff\xff\xff\xff\x00\x00\x00\x02"), 8)
    (0, 2)
    """
    total = 0
    while size > 0:
        data = file.read(min(_CHUNK, size))
        if not data:
            break
        size -= len(data)
        words = np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\0"), dtype=">u4")
        total += int(words.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
