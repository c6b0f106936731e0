"""Pixels of image HDUs as big-endian bytes, and plain FITS files made of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from astropy.io import fits

from ssosd.errors import BadInput
from ssosd.ingest.cardtext import header_block, structure
from ssosd.ingest.fitsblocks import BLOCK, Hdu, opened
from ssosd.plumbing.files import atomic_path, write_failure

_CHUNK = 1 << 22
_COPY_AGAIN = "copy the file again from its origin"
#: What astropy's decompression raises on a table whose header or bytes are damaged.
_DAMAGED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainImage:
    """One image to be written."""

    path: Path  # file its pixels are in
    hdu: Hdu
    cards: tuple[str, ...]  # of 80 characters, without the structural ones


def write_plain(images: Sequence[PlainImage], target: Path, *, first_in_primary: bool = False) -> None:
    """Write images into an uncompressed FITS file: one as the primary, several as extensions, in order.

    Pixels keep their type: compressed and unsigned integers come out as the integers they were (with their
    BZERO); 64-bit integers, which SExtractor cannot read, become doubles.

    Parameters
    ----------
    images : sequence of PlainImage
    target : Path
        Replaced in one step when it exists.
    first_in_primary : bool
        Put the first of several into the primary HDU.

    Raises
    ------
    BadInput
        Pixels cannot be read or decompressed.
    Retriable, Misconfigured
        `target` cannot be written.
    """
    with atomic_path(target) as temporary:
        try:
            file = temporary.open("xb")
        except OSError as error:
            raise write_failure(target, error) from error
        with file:
            filled = first_in_primary or len(images) == 1
            if not filled:
                _write(
                    file, header_block(structure(primary=True, bitpix=8, axes=(), extensions=True)), target
                )
            for n, image in enumerate(images):
                _write_image(file, image, primary=filled and n == 0, target=target)


def _write_image(file: IO[bytes], image: PlainImage, *, primary: bool, target: Path) -> None:
    hdu = image.hdu
    assert hdu.plane is not None
    bitpix = hdu.cards.integer("ZBITPIX" if hdu.compressed else "BITPIX", 8)
    data: np.ndarray | None = None
    if hdu.compressed:
        data = _decompressed(image.path, hdu)
        bitpix = _bitpix(data)
    elif bitpix == 64:
        data = np.frombuffer(_bytes(image.path, hdu), dtype=">i8").astype(">f8")
        bitpix = -64
    head = structure(primary=primary, bitpix=bitpix, axes=hdu.plane)
    _write(file, header_block([*head, *image.cards]), target)
    if data is not None:
        written = data.nbytes
        _write(file, np.ascontiguousarray(data).data.cast("B"), target)
    else:
        written = _copy(image.path, hdu, file, target)
    _write(file, b"\0" * (-written % BLOCK), target)


def _copy(path: Path, hdu: Hdu, file: IO[bytes], target: Path) -> int:
    """Copy the bytes of an uncompressed image."""
    left = hdu.size
    with opened(path) as (source, _):
        source.seek(hdu.offset)
        while left:
            chunk = source.read(min(_CHUNK, left))
            if not chunk:
                raise BadInput(f"{path.name}: truncated: data of HDU {hdu.index}", next_step=_COPY_AGAIN)
            _write(file, chunk, target)
            left -= len(chunk)
    return hdu.size


def _bytes(path: Path, hdu: Hdu) -> bytes:
    with opened(path) as (source, _):
        source.seek(hdu.offset)
        return source.read(hdu.size)


def _decompressed(path: Path, hdu: Hdu) -> np.ndarray:
    """Pixels of a tile-compressed image, unscaled, big-endian."""
    try:
        with fits.open(path, do_not_scale_image_data=True, memmap=False) as hdus:
            data = hdus[hdu.index].data
            return data.reshape(data.shape[-2:]).astype(data.dtype.newbyteorder(">"), copy=False)
    except (*_DAMAGED, MemoryError, OSError, fits.VerifyError, struct.error, zlib.error) as error:
        raise _undecodable(path, hdu, error) from error
    except Exception as error:
        if type(error).__name__ != "CfitsioException":  # of astropy's C extension, in a private module
            raise
        raise _undecodable(path, hdu, error) from error


def _undecodable(path: Path, hdu: Hdu, error: Exception) -> BadInput:
    said = " ".join(str(error).split()) or type(error).__name__
    return BadInput(f"{path.name}: HDU {hdu.index} cannot be decompressed: {said}", next_step=_COPY_AGAIN)


def _bitpix(data: np.ndarray) -> int:
    size = 8 * data.dtype.itemsize
    return -size if data.dtype.kind == "f" else size


def _write(file: IO[bytes], data: bytes | memoryview, target: Path) -> None:
    try:
        file.write(data)
    except OSError as error:
        raise write_failure(target, error) from error
