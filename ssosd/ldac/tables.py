"""Binary tables of numbers, from the bytes of a FITS file and back (FITS Standard 4.0, sections 4 and 7.3).

SExtractor and SCAMP write plain columns of numbers, over which astropy takes ten times as long as this. All
other columns (text, truth values, scaled or nullable numbers, arrays of two axes) are left to astropy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

CARD, BLOCK = 80, 2880
_KINDS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_CODES = {np.dtype(kind): code for code, kind in _KINDS.items()}
_FORMAT = re.compile(r"(\d*)([A-Z])")
_NOT_PLAIN = re.compile(r"(TSCAL|TZERO|TNULL|TDIM)\d+|THEAP")


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    """One extension of a FITS file."""

    cards: Mapping[str, str]  # what stands behind "= " by keyword
    header: bytes  # padded
    data: bytes  # without padding

    @property
    def name(self) -> str:
        """EXTNAME in capitals; "" without one."""
        return text_of(self.cards.get("EXTNAME", "")).upper()

    @property
    def is_table(self) -> bool:
        """Whether it is a binary table."""
        return text_of(self.cards["XTENSION"]) == "BINTABLE"


def extensions(raw: bytes) -> Iterator[Extension]:
    """Take the extensions of a FITS file one by one.

    Raises
    ------
    ValueError
        It is no FITS file, is truncated, or goes on with something else.
    """
    if not raw.startswith(b"SIMPLE  ="):
        raise ValueError(f"it begins with {raw[:9]!r}, not with SIMPLE")
    at = 0
    while at < len(raw):
        if at and not raw.startswith(b"XTENSION=", at):
            raise ValueError(f"{len(raw) - at} bytes after its last table are no FITS: truncated")
        cards, start = header_of(raw, at)
        end = start + _data_size(cards)
        if end > len(raw):
            raise ValueError(f"truncated: {len(raw)} bytes, its headers promise more")
        if at:
            yield Extension(cards=cards, header=raw[at:start], data=raw[start:end])
        at = start + padded(end - start)


def header_of(raw: bytes, at: int) -> tuple[dict[str, str], int]:
    """Cards of the header that begins here: what stands behind "= " by keyword; and where its data begin.

    Raises
    ------
    ValueError
        It has no end.
    """
    cards: dict[str, str] = {}
    for place in range(at, len(raw) - CARD + 1, CARD):
        card = raw[place : place + CARD].decode("latin-1")
        if card.rstrip() == "END":
            return cards, at + padded(place + CARD - at)
        if card[8:10] == "= ":
            cards.setdefault(card[:8].rstrip(), card[10:])
    raise ValueError("truncated: a header without END")


def _data_size(cards: Mapping[str, str]) -> int:
    axes = [integer_of(cards[f"NAXIS{n}"]) for n in range(1, integer_of(cards["NAXIS"]) + 1)]
    if not axes:
        return 0
    elements = integer_of(cards.get("PCOUNT", "0")) + prod(axes)
    return abs(integer_of(cards["BITPIX"])) // 8 * integer_of(cards.get("GCOUNT", "1")) * elements


def text_of(value: str) -> str:
    """Text of a card's value: what is between the quotes."""
    return value.strip().removeprefix("'").partition("'")[0].rstrip()


def integer_of(value: str) -> int:
    """Integer of a card's value."""
    return int(value.partition("/")[0])


def padded(size: int) -> int:
    """Bytes up to the end of the last block."""
    return -(-size // BLOCK) * BLOCK


def rows_of(table: Extension) -> NDArray[Any]:
    """Contents of a binary table: one record per row, native endianness, text as str.

    Raises
    ------
    ValueError, KeyError
        Its header contradicts itself.
    """
    stored = _plain(table.cards)
    if stored is None:
        return _by_astropy(table)
    width, count = (integer_of(table.cards[f"NAXIS{n}"]) for n in (1, 2))
    if stored.itemsize != width:
        raise ValueError(f"its columns have {stored.itemsize} bytes a row, NAXIS1 says {width}")
    return np.frombuffer(table.data, dtype=stored, count=count).astype(stored.newbyteorder("="))


def _plain(cards: Mapping[str, str]) -> np.dtype[Any] | None:
    """Type of a row of plain numbers; None where a column is something else."""
    if any(_NOT_PLAIN.fullmatch(keyword) for keyword in cards):
        return None
    columns: list[tuple[str, str, tuple[int, ...]]] = []
    for k in range(1, integer_of(cards["TFIELDS"]) + 1):
        form = _FORMAT.fullmatch(text_of(cards[f"TFORM{k}"]))
        if form is None or form[2] not in _KINDS:
            return None
        shape = () if form[1] in ("", "1") else (int(form[1]),)
        columns.append((text_of(cards[f"TTYPE{k}"]), _KINDS[form[2]], shape))
    return np.dtype(columns)


def _by_astropy(table: Extension) -> NDArray[Any]:
    """Contents of a table as astropy understands them: scaled, and all that."""
    hdu = fits.BinTableHDU.fromstring(table.header + table.data.ljust(padded(len(table.data)), b"\0"))
    for keyword in list(hdu.header["TDISP*"]):  # SExtractor's "E10" is a warning to astropy
        del hdu.header[keyword]
    names = list(hdu.columns.names)
    columns = [np.asarray(hdu.data[name]) for name in names]
    dtype = np.dtype(
        [(n, c.dtype.newbyteorder("="), c.shape[1:]) for n, c in zip(names, columns, strict=True)]
    )
    objects = np.empty(len(hdu.data), dtype=dtype)
    for name, column in zip(names, columns, strict=True):
        objects[name] = column
    return objects


def table_of(name: str, rows: NDArray[Any]) -> bytes:
    """Make a binary table, header and data, of records of numbers and text.

    Raises
    ------
    KeyError
        A column of another type.
    """
    cards: dict[str, object] = {}
    columns: list[tuple[str, Any, tuple[int, ...]]] = []
    for k, column in enumerate(rows.dtype.names or (), start=1):
        base, shape = rows.dtype[column].subdtype or (rows.dtype[column], ())
        if base.kind in "SU":
            stored = np.dtype(f"S{base.itemsize // np.dtype(f'{base.kind}1').itemsize}")
            form = f"{stored.itemsize}A"
        else:
            stored = base.newbyteorder(">")
            form = f"{prod(shape)}{_CODES[stored]}"
        cards |= {f"TTYPE{k}": column, f"TFORM{k}": form}
        if len(shape) > 1:
            cards[f"TDIM{k}"] = f"({','.join(str(n) for n in reversed(shape))})"
        columns.append((column, stored, shape))
    data = rows.astype(np.dtype(columns))
    return table_bytes(name, cards, width=data.dtype.itemsize, data=data.tobytes())


def table_bytes(name: str, columns: Mapping[str, object], *, width: int, data: bytes) -> bytes:
    """Make a binary table of its data: rows of `width` bytes, as the cards of its columns have them."""
    n_columns = sum(keyword.startswith("TTYPE") for keyword in columns)
    cards: dict[str, object] = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": width}
    cards |= {"NAXIS2": len(data) // width, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": n_columns}
    header = header_bytes(cards | {"EXTNAME": name} | dict(columns))
    return header + data + bytes(-len(data) % BLOCK)


def header_bytes(cards: Mapping[str, object]) -> bytes:
    """Make a header of integers, truth values and short text."""
    text = "".join(f"{keyword:<8}= {_value(value)}".ljust(CARD) for keyword, value in cards.items())
    text += "END"
    return text.ljust(padded(len(text))).encode("ascii")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    return f"'{value:<8}'" if isinstance(value, str) else f"{value:>20}"
