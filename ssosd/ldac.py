"""Read and write FITS-LDAC, the catalogue format that SExtractor and SCAMP exchange.

A file holds one pair of tables per chip: ``LDAC_IMHEAD`` (one row: the image's header as text) and
``LDAC_OBJECTS`` (one row per detection); see the SExtractor manual, "Output catalog". The same module reads
the header text of ``.head`` and ``.ahead`` files.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from numpy.typing import NDArray

from ssosd.errors import BadInput
from ssosd.plumbing.files import atomic_path

_CARD = 80
_BLOCK = 2880
_HEADER_COLUMN = "Field Header Card"
_DROPPED = frozenset({"HISTORY", "COMMENT", ""})


@dataclass(frozen=True, kw_only=True, slots=True)
class LdacChip:
    """The catalogue of one chip."""

    header: fits.Header  # of the image the catalogue was made from, without HISTORY and COMMENT
    objects: NDArray[Any]  # structured, one row per detection, native endianness, text as str

    def frame(self) -> pd.DataFrame:
        """Give the detections as a table, see `objects_frame`."""
        return objects_frame(self.objects)


def header_from_text(data: bytes | str) -> fits.Header:
    r"""Header of the first block of header text, in cards of 80 characters or in lines.

    HISTORY, COMMENT and blank cards, cards with non-ASCII or control characters (SCAMP signs its ``.head``
    files with "Université") and cards that are no valid FITS are left out; reading stops at END.

    Examples
    --------
    >>> header_from_text("EXPTIME =  30.0 / [s]\nCOMMENT Université\nEND\nEXPTIME = 60.0\n")["EXPTIME"]
    30.0
    """
    return next(iter(headers_from_text(data)), fits.Header())


def headers_from_text(data: bytes | str) -> list[fits.Header]:
    """Headers of a text with several blocks, each closed by END (the last END may be missing).

    Parameters
    ----------
    data : bytes or str
        Contents of a ``.head`` or ``.ahead`` file, or of an ``LDAC_IMHEAD`` row.

    Returns
    -------
    list of Header
        One per block, in order, as `header_from_text` reads them.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    lines: Iterable[bytes]
    lines = raw.splitlines() if b"\n" in raw else (raw[i : i + _CARD] for i in range(0, len(raw), _CARD))
    headers: list[fits.Header] = []
    current: list[fits.Card] = []
    unclosed = False
    for line in lines:
        text = line.rstrip(b" \0")
        if text == b"END":
            headers.append(fits.Header(current))
            current, unclosed = [], False
            continue
        unclosed = unclosed or bool(text)
        card = _card(text)
        if card is not None:
            current.append(card)
    if unclosed:
        headers.append(fits.Header(current))
    return headers


def _card(line: bytes) -> fits.Card | None:
    """One card, or None where it is to be left out."""
    if line[:8].rstrip().decode("latin-1").upper() in _DROPPED or len(line) > _CARD:
        return None
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError:
        return None
    if not text.isprintable():
        return None
    card = fits.Card.fromstring(text)
    try:
        _ = card.value
    except (VerifyError, ValueError):
        return None
    return card


def objects_frame(objects: NDArray[Any]) -> pd.DataFrame:
    """Make a table of a structured array; k values per row become NAME, NAME_1 ... NAME_(k-1).

    Examples
    --------
    >>> a = np.zeros(2, dtype=[("NUMBER", "i4"), ("MAG_APER", "f4", (2,))])
    >>> list(objects_frame(a).columns)
    ['NUMBER', 'MAG_APER', 'MAG_APER_1']
    """
    columns: dict[str, NDArray[Any]] = {}
    for name in objects.dtype.names or ():
        values = objects[name].reshape(len(objects), -1) if objects[name].ndim > 1 else objects[name][:, None]
        for k in range(values.shape[1]):
            columns[name if k == 0 else f"{name}_{k}"] = np.ascontiguousarray(values[:, k])
    return pd.DataFrame(columns)


def read_ldac(path: str | Path) -> list[LdacChip]:
    """Read a FITS-LDAC catalogue.

    Parameters
    ----------
    path : path
        Of the catalogue; a catalogue without ``LDAC_IMHEAD`` gives empty headers.

    Returns
    -------
    list of LdacChip
        In file order. A chip without detections has zero rows.

    Raises
    ------
    BadInput
        The file is missing, truncated, not FITS or has no ``LDAC_OBJECTS`` table.
    """
    chips: list[LdacChip] = []
    header: fits.Header | None = None  # of the pair whose objects are still to come
    try:
        size, end = Path(path).stat().st_size, 0
        with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
            for hdu in hdus[1:]:
                place = hdu.fileinfo()
                end = place["datLoc"] + place["datSpan"]
                if place["datLoc"] + hdu.size > size:
                    raise BadInput(f"{path}: truncated: {size} bytes, its headers promise more")
                if not isinstance(hdu, fits.BinTableHDU):
                    continue
                for keyword in list(hdu.header["TDISP*"]):  # SExtractor's "E10" is a warning to astropy
                    del hdu.header[keyword]
                if hdu.name == "LDAC_IMHEAD":
                    header = header_from_text(np.asarray(hdu.data).tobytes())
                elif hdu.name in ("LDAC_OBJECTS", "OBJECTS"):
                    # not "header or": a header without cards is false
                    chips.append(
                        LdacChip(header=fits.Header() if header is None else header, objects=_native(hdu))
                    )
                    header = None
    except (OSError, TypeError, ValueError, KeyError, IndexError, VerifyError) as error:
        raise BadInput(f"{path}: not a readable FITS-LDAC catalogue: {error}") from error
    if header is not None:
        raise BadInput(f"{path}: truncated: its last LDAC_IMHEAD has no LDAC_OBJECTS")
    if chips and end < size:
        raise BadInput(f"{path}: {size - end} bytes after its last table are no FITS: truncated")
    if not chips:
        raise BadInput(f"{path}: no LDAC_OBJECTS table in it: not a FITS-LDAC catalogue")
    return chips


def _native(hdu: fits.BinTableHDU) -> NDArray[Any]:
    """Contents of a table as a plain structured array: scaled, native endianness, text as str."""
    names = list(hdu.columns.names)
    columns = [np.asarray(hdu.data[name]) for name in names]
    dtype = np.dtype(
        [(n, c.dtype.newbyteorder("="), c.shape[1:]) for n, c in zip(names, columns, strict=True)]
    )
    objects = np.empty(len(hdu.data), dtype=dtype)
    for name, column in zip(names, columns, strict=True):
        objects[name] = column
    return objects


def write_ldac(path: str | Path, chips: Sequence[LdacChip]) -> None:
    """Write a FITS-LDAC catalogue that SCAMP and SExtractor accept: temporary name, fsync, rename.

    Parameters
    ----------
    path : path
        Replaced when it exists.
    chips : sequence of LdacChip
        One pair of tables each, in this order.
    """
    blocks = [fits.PrimaryHDU().header.tostring().encode("ascii")]
    for chip in chips:
        table = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(data=chip.objects, name="LDAC_OBJECTS")]).writeto(
            table
        )
        blocks += [_imhead(chip.header), table.getvalue()[_BLOCK:]]
    with atomic_path(Path(path)) as temporary, temporary.open("xb") as file:
        file.writelines(blocks)


def _imhead(header: fits.Header) -> bytes:
    """Table LDAC_IMHEAD, by hand: astropy pads text with NUL instead of blanks, on which SCAMP crashes."""
    needed = [(key, value) for key, value in (("BITPIX", -32), ("NAXIS", 2)) if key not in header]
    full = fits.Header([*needed, *header.cards])  # SCAMP refuses a header without them as corrupted
    text = full.tostring(sep="", endcard=True, padding=False).encode("ascii", "replace")
    table = fits.Header([("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2)])
    table.update({"NAXIS1": len(text), "NAXIS2": 1, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": 1})
    table.update({"EXTNAME": "LDAC_IMHEAD", "TTYPE1": _HEADER_COLUMN})
    table.update({"TFORM1": f"{len(text)}A", "TDIM1": f"({_CARD}, {len(text) // _CARD})"})
    return table.tostring().encode("ascii") + text + bytes(-len(text) % _BLOCK)
