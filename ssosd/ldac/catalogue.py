"""Catalogues of detections as FITS-LDAC files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from numpy.typing import NDArray

from ssosd.errors import BadInput
from ssosd.ldac.tables import CARD, extensions, header_bytes, rows_of, table_bytes, table_of
from ssosd.ldac.text import header_from_text
from ssosd.plumbing.files import atomic_write_bytes

_PRIMARY = header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True})


@dataclass(frozen=True, kw_only=True, slots=True)
class LdacChip:
    """The catalogue of one chip."""

    header: fits.Header  # of the image the catalogue was made from, without HISTORY and COMMENT
    objects: NDArray[Any]  # structured, one row per detection, native endianness, text as str

    def frame(self) -> pd.DataFrame:
        """Give the detections as a table, see `objects_frame`."""
        return objects_frame(self.objects)


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
        for table in extensions(Path(path).read_bytes()):
            if not table.is_table:
                continue
            if table.name == "LDAC_IMHEAD":
                header = header_from_text(table.data)
            elif table.name in ("LDAC_OBJECTS", "OBJECTS"):
                # not "header or": a header without cards is false
                chips.append(
                    LdacChip(header=fits.Header() if header is None else header, objects=rows_of(table))
                )
                header = None
    except (OSError, TypeError, ValueError, KeyError, VerifyError) as error:
        raise BadInput(f"{path}: not a readable FITS-LDAC catalogue: {error}") from error
    if header is not None:
        raise BadInput(f"{path}: truncated: its last LDAC_IMHEAD has no LDAC_OBJECTS")
    if not chips:
        raise BadInput(f"{path}: no LDAC_OBJECTS table in it: not a FITS-LDAC catalogue")
    return chips


def write_ldac(path: str | Path, chips: Sequence[LdacChip]) -> None:
    """Write a FITS-LDAC catalogue that SCAMP and SExtractor accept: temporary name, fsync, rename.

    Parameters
    ----------
    path : path
        Replaced when it exists.
    chips : sequence of LdacChip
        One pair of tables each, in this order.
    """
    atomic_write_bytes(Path(path), ldac_bytes(chips))


def ldac_bytes(chips: Sequence[LdacChip]) -> bytes:
    """Contents of the file that `write_ldac` writes."""
    pairs = ((_imhead(chip.header), table_of("LDAC_OBJECTS", chip.objects)) for chip in chips)
    return b"".join([_PRIMARY, *chain.from_iterable(pairs)])


def _imhead(header: fits.Header) -> bytes:
    """Table LDAC_IMHEAD: a row of text, padded with blanks; on NUL SCAMP crashes."""
    needed = [(key, value) for key, value in (("BITPIX", -32), ("NAXIS", 2)) if key not in header]
    full = fits.Header([*needed, *header.cards])  # SCAMP refuses a header without them as corrupted
    text = full.tostring(sep="", endcard=True, padding=False).encode("ascii", "replace")
    columns = {
        "TTYPE1": "Field Header Card",
        "TFORM1": f"{len(text)}A",
        "TDIM1": f"({CARD}, {len(text) // CARD})",
    }
    return table_bytes("LDAC_IMHEAD", columns, width=len(text), data=text)
