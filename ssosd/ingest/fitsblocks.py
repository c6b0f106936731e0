"""Headers and byte extents of a FITS file, read once, without its pixels (FITS Standard 4.0, section 3)."""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from ssosd.errors import BadInput, Retriable
from ssosd.ingest.headers import CARD_LENGTH, Cards

BLOCK = 2880
_CHUNK = 1 << 20
_MAX_HEADER_BLOCKS = 4000  # 11 MB of header: beyond it this is no header
_BITPIX = (8, 16, 32, 64, -32, -64)
_PACKERS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
_COPY_AGAIN = "copy the file again from its origin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hdu:
    """One HDU: its cards, where its data are, and whether they are an image."""

    index: int  # 0 is the primary
    cards: Cards  # of a tile-compressed image: those of its binary table
    offset: int  # of the data, bytes in the (unpacked) file
    size: int  # of the data without padding, bytes
    shape: tuple[int, ...]  # NAXIS1, NAXIS2, ... of the image (ZNAXISn when compressed); () when not an image
    compressed: bool  # tile-compressed image

    @property
    def is_image(self) -> bool:
        """Whether it is an image of two axes or more, as SExtractor counts them."""
        return len(self.shape) >= 2

    @property
    def plane(self) -> tuple[int, int] | None:
        """Width and height in pixels of a plain 2-D image (further axes of length 1 allowed), else None."""
        if len(self.shape) < 2 or any(n != 1 for n in self.shape[2:]):
            return None
        return self.shape[0], self.shape[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class FitsLayout:
    """All HDUs of one file."""

    hdus: tuple[Hdu, ...]
    packed: bool  # by gzip or bzip2
    tidy: bool  # ends with its last HDU, padding and all
    warnings: tuple[str, ...]


@contextmanager
def opened_raw(path: Path) -> Iterator[BufferedReader]:
    """Open a file for reading its bytes as they are on disk.

    Raises
    ------
    BadInput
        It is no file, or may not be read.
    Retriable
        It is not there, or the disk or network fails.
    """
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Retriable(
            f"{path.name}: is not there", next_step=f"deleted, or its disk is not mounted? check {path}"
        ) from error
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise BadInput(f"{path.name}: cannot be read: {error.strerror}", next_step=f"check {path}") from error
    except OSError as error:
        raise Retriable(f"{path.name}: reading failed: {error.strerror or error}") from error


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """Open a FITS file for reading, unpacking it when its first bytes say that it is gzip's or bzip2's.

    Yields
    ------
    file, packed : IO[bytes], bool

    Raises
    ------
    BadInput
        It cannot be opened, or its compressed stream is damaged or cut.
    Retriable
        The disk or network fails.
    """
    with opened_raw(path) as raw:
        first = raw.read(3)
        raw.seek(0)
        packer = next((name for magic, name in _PACKERS.items() if first.startswith(magic)), "")
        if not packer:
            yield raw, False
            return
        try:
            with gzip.open(raw, "rb") if packer == "gzip" else bz2.open(raw, "rb") as unpacked:
                yield cast("IO[bytes]", unpacked), True
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _cut(path, packer, error) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise _cut(path, packer, error) from error  # bz2 says "Invalid data stream" so


def _cut(path: Path, packer: str, error: Exception) -> BadInput:
    return BadInput(f"{path.name}: {packer} data cut or damaged: {error}", next_step=_COPY_AGAIN)


def read_layout(path: Path) -> FitsLayout:
    """Read all headers of a file and check that it has the bytes that they promise.

    Parameters
    ----------
    path : Path
        A FITS file, plain or packed by gzip or bzip2; of a plain file only the headers are read.

    Raises
    ------
    BadInput
        Empty, no FITS file, cut short, or with a header that does not say how large its data are.
    Retriable
        The disk or network fails.
    """
    with opened(path) as (file, packed):
        total = None if packed else os.fstat(file.fileno()).st_size
        if total == 0:
            raise BadInput(f"{path.name}: empty file (0 bytes)", next_step=_COPY_AGAIN)
        hdus: list[Hdu] = []
        warnings: list[str] = []
        position = 0
        while True:
            block, junk = _read_header(file, path=path, index=len(hdus))
            if junk:
                warnings.append(f"bytes after HDU {len(hdus) - 1} are no FITS extension and were ignored")
                _skip_rest(file, packed=packed)
            if not block:
                break
            hdu = describe(Cards(block), path=path, index=len(hdus), offset=position + len(block))
            hdus.append(hdu)
            padded = -(-hdu.size // BLOCK) * BLOCK
            there = _skip(file, hdu=hdu, padded=padded, total=total)
            if there < hdu.size:
                raise BadInput(
                    f"{path.name}: truncated: HDU {hdu.index} promises {hdu.size} bytes of data, "
                    f"{there} are there",
                    next_step=_COPY_AGAIN,
                )
            if there < padded:
                warnings.append(f"the last {padded - there} bytes of padding are missing")
                break
            position = hdu.offset + padded
    tidy = not warnings
    extensions = hdus[0].cards.integer("NEXTEND", 0)
    if extensions > len(hdus) - 1:
        warnings.append(f"NEXTEND announces {extensions} extensions, the file has {len(hdus) - 1}")
    return FitsLayout(hdus=tuple(hdus), packed=packed, tidy=tidy, warnings=tuple(warnings))


def describe(cards: Cards, *, path: Path, index: int, offset: int) -> Hdu:
    """Size and kind of an HDU from its header (FITS Standard 4.0, equations 1, 2 and 4; section 10.1).

    Raises
    ------
    BadInput
        BITPIX or an axis length is impossible.
    """
    bitpix = cards.integer("BITPIX", 0)
    axes = _axes(cards, "NAXIS")
    if bitpix not in _BITPIX or any(n < 0 for n in axes):
        raise BadInput(
            f"{path.name}: header of HDU {index} is damaged: BITPIX={cards.text('BITPIX') or 'absent'}, "
            f"NAXIS={cards.text('NAXIS') or 'absent'}, axes {axes}",
            next_step=_COPY_AGAIN,
        )
    groups = cards.get("GROUPS") is True and axes[:1] == (0,)
    elements = 1 if axes else 0
    for length in axes[1:] if groups else axes:
        elements *= length
    size = 0
    if axes:
        parameters = max(cards.integer("PCOUNT", 0), 0)
        size = abs(bitpix) // 8 * max(cards.integer("GCOUNT", 1), 0) * (parameters + elements)
    kind = cards.text("XTENSION").upper()
    compressed = kind == "BINTABLE" and cards.get("ZIMAGE") is True
    if compressed:
        shape = _axes(cards, "ZNAXIS")
    else:
        shape = axes if kind in {"", "IMAGE", "IUEIMAGE"} and not groups else ()
    return Hdu(index=index, cards=cards, offset=offset, size=size, shape=shape, compressed=compressed)


def _axes(cards: Cards, keyword: str) -> tuple[int, ...]:
    """Lengths of the axes that NAXIS or ZNAXIS counts, -1 for one that is absent; (-1,) for no such count."""
    count = cards.integer(keyword, -1)
    if not 0 <= count <= 999:
        return (-1,)
    return tuple(cards.integer(f"{keyword}{n}", -1) for n in range(1, count + 1))


def _read_header(file: IO[bytes], *, path: Path, index: int) -> tuple[bytes, bool]:
    """Next header block; (b"", False) at the end of the file, (b"", True) when other bytes follow."""
    first = file.read(BLOCK)
    expected = b"SIMPLE  =" if index == 0 else b"XTENSION="
    if not first.startswith(expected):
        if first and expected.startswith(first):
            raise _no_end(path, index)
        if index == 0:
            raise BadInput(
                f"{path.name}: not a FITS file: it begins with {first[:12]!r}, not with SIMPLE",
                next_step="remove it from the data folder or exclude its name",
            )
        return b"", bool(first)
    if b"\n" in first:
        raise BadInput(
            f"{path.name}: not a FITS file: header HDU {index} has line ends, as a text copy of a header has",
            next_step="remove it from the data folder or exclude its name",
        )
    blocks = [first]
    while len(blocks[-1]) == BLOCK and not _has_end(blocks[-1]):
        blocks.append(file.read(BLOCK) if len(blocks) < _MAX_HEADER_BLOCKS else b"")
    if len(blocks[-1]) < BLOCK:
        raise _no_end(path, index)
    return b"".join(blocks), False


def _no_end(path: Path, index: int) -> BadInput:
    return BadInput(f"{path.name}: truncated: the header of HDU {index} is incomplete", next_step=_COPY_AGAIN)


def _has_end(block: bytes) -> bool:
    at = block.find(b"END     ")
    while at >= 0:
        if at % CARD_LENGTH == 0:
            return True
        at = block.find(b"END     ", at + 1)
    return False


def _skip(file: IO[bytes], *, hdu: Hdu, padded: int, total: int | None) -> int:
    """Move behind the data; how many of the `padded` bytes are there."""
    if total is not None:
        file.seek(min(hdu.offset + padded, total))  # a damaged header may promise more than any file holds
        return max(0, min(padded, total - hdu.offset))
    there = 0
    while there < padded:
        chunk = file.read(min(_CHUNK, padded - there))
        if not chunk:
            break
        there += len(chunk)
    return there


def _skip_rest(file: IO[bytes], *, packed: bool) -> None:
    while packed and file.read(_CHUNK):
        pass
