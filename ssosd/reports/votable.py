"""Candidates as VOTable and FITS table, with units and UCDs, for TOPCAT, Aladin and their like."""

from __future__ import annotations

import base64
import io
import warnings
from functools import lru_cache

import numpy as np
import pandas as pd
from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, TimeSys
from astropy.table import Column, MaskedColumn, Table
from astropy.units import Unit, UnitsWarning

from ssosd.ldac.tables import header_bytes, table_bytes
from ssosd.reports.columns import CANDIDATE_COLUMNS
from ssosd.reports.tables import COLUMN_ORDER
from ssosd.reports.ucds import UCDS

#: Units of `ssosd.reports.columns` as the VO and FITS write them.
_DESCRIBED = {column.name: column for column in CANDIDATE_COLUMNS}
_UNITS = {'"': "arcsec", '"/h': "arcsec / h", "counts": "ct", "pixel": "pix"}
_SHORTEST = 2  # letters of a text column: one of a single letter is read as a scalar by some
_MJD_ZERO_JD = 2400000.5
_TABLE_ENDS = b"  </TABLE>\n"
_DATA = b"""   <DATA>
    <BINARY2>
     <STREAM encoding="base64">
%s     </STREAM>
    </BINARY2>
   </DATA>
"""


def detections_table(candidates: pd.DataFrame) -> Table:
    """The night's candidates, one row per detection, as an astropy table with units, meanings and UCDs.

    Missing numbers are NaN, missing text is empty, missing truths are masked. Columns that no row has
    (a table without rows) are those that every night has.
    """
    names = set(candidates.columns) or {c.name for c in CANDIDATE_COLUMNS if c.always}
    table = Table()
    for name in [n for n in COLUMN_ORDER if n in names] + sorted(names - set(COLUMN_ORDER)):
        kind = _DESCRIBED[name].kind if name in _DESCRIBED else "float"
        values = _values(candidates[name] if name in candidates else pd.Series(dtype=object), kind)
        table[name] = _column(name, values)
    table.meta["name"] = "candidates"
    return table


def _column(name: str, values: np.ndarray) -> Column:
    column = (MaskedColumn if np.ma.isMaskedArray(values) else Column)(values, name=name)
    if (described := _DESCRIBED.get(name)) is not None:
        column.unit = _UNITS.get(described.unit, described.unit) or None
        column.description = described.meaning
        column.meta["ucd"] = UCDS[name]
    return column


def votable_bytes(table: Table, *, night: str) -> bytes:
    """A table from `detections_table` as VOTable 1.4, binary inside; the same table gives the same bytes.

    The rows are written here: to astropy each number of them is a call of its own.
    """
    head, tail = _around_the_rows(tuple((c.name, c.dtype.str) for c in table.itercols()), night)
    return head + (_DATA % base64.b64encode(binary2(table)) if len(table) else b"") + tail


@lru_cache(maxsize=32)
def _around_the_rows(columns: tuple[tuple[str, str], ...], night: str) -> tuple[bytes, bytes]:
    """What stands before and after the rows of a VOTable of columns of these names and types."""
    table = Table(meta={"name": "candidates"})
    for name, dtype in columns:
        nothing = np.empty(0, dtype)
        table[name] = _column(name, np.ma.masked_array(nothing) if nothing.dtype.kind == "b" else nothing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        votable = from_table(table)
    votable.description = f"ssosd, night of {night}: one row per detection of each candidate"
    votable.version = "1.4"
    resource = votable.resources[0]
    resource.coordinate_systems.append(CooSys(ID="icrs", system="ICRS"))
    resource.time_systems.append(
        TimeSys(
            ID="utc",
            timeorigin=_MJD_ZERO_JD,
            timescale="UTC",
            refposition="TOPOCENTER",
            config={"version_1_4_or_later": True},
        )
    )
    for field in resource.tables[0].fields:
        field.ucd = UCDS.get(field.name)
        if field.datatype == "bit":  # astropy's word for truth values, over which TOPCAT falls
            field.datatype = "boolean"
        if field.name in ("RA", "DEC", "SKYBOT_RA", "SKYBOT_DEC"):
            field.ref = "icrs"
        elif field.name == "MID_EXPOSURE_MJD":
            field.ref = "utc"
    file = io.BytesIO()
    votable.to_xml(file)
    head, end, tail = file.getvalue().partition(_TABLE_ENDS)
    return head, end + tail


def binary2(table: Table) -> bytes:
    """Rows as a VOTable's BINARY2 has them (VOTable 1.4, 5.4): which values are missing, then the values."""
    masks = [np.asarray(getattr(column, "mask", np.zeros(len(table), bool))) for column in table.itercols()]
    missing = np.packbits(np.column_stack(masks), axis=1)
    values = [_stored(column) for column in table.itercols()]
    fields = [("missing", missing.dtype, missing.shape[1:])]
    fields += [(f"v{k}", v.dtype, v.shape[1:]) for k, v in enumerate(values)]
    rows = np.empty(len(table), dtype=fields)
    for (name, _, _), column in zip(fields, (missing, *values), strict=True):
        rows[name] = column
    return rows.tobytes()


def _stored(column: Column) -> np.ndarray:
    """Big-endian numbers; truth as a letter; text as two bytes a letter."""
    values = np.ma.getdata(column)
    if values.dtype.kind == "b":
        return np.where(np.ma.getmaskarray(column), b"?", np.where(values, b"T", b"F"))
    if values.dtype.kind == "U":
        letters = np.ascontiguousarray(values).view(np.uint32).reshape(len(values), -1)
        return letters.astype(">u2")
    return values.astype(values.dtype.newbyteorder(">"))


def fits_bytes(table: Table, *, night: str) -> bytes:
    """A table from `detections_table` as FITS, UCDs as TUCDn; the same table gives the same bytes.

    Written here like the rows of the VOTable: astropy takes twenty times as long over the columns.
    """
    cards: dict[str, object] = {"NIGHT": night, "RADESYS": "ICRS", "TIMESYS": "UTC"}
    values: list[np.ndarray] = []
    for k, column in enumerate(table.itercols(), start=1):
        stored, form = _fits_column(column)
        values.append(stored)
        cards |= {f"TTYPE{k}": column.name, f"TFORM{k}": form}
        if column.unit is not None:
            cards[f"TUNIT{k}"] = _fits_unit(str(column.unit))
        if column.name in UCDS:
            cards[f"TUCD{k}"] = UCDS[column.name]
    rows = np.empty(len(table), dtype=[(f"v{k}", v.dtype) for k, v in enumerate(values)])
    for k, stored in enumerate(values):
        rows[f"v{k}"] = stored
    primary = header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True})
    return primary + table_bytes("CANDIDATES", cards, width=rows.itemsize, data=rows.tobytes())


def _fits_column(column: Column) -> tuple[np.ndarray, str]:
    """Values as FITS stores them, a missing truth as NULL, and their TFORM (FITS Standard 4.0, 7.3)."""
    values = np.ma.getdata(column)
    if values.dtype.kind == "b":
        return np.where(np.ma.getmaskarray(column), b"\0", np.where(values, b"T", b"F")), "L"
    if values.dtype.kind == "U":
        letters = values.astype("S")
        return letters, f"{letters.dtype.itemsize}A"
    return values.astype(values.dtype.newbyteorder(">")), "K" if values.dtype.kind == "i" else "D"


@lru_cache(maxsize=64)
def _fits_unit(unit: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        return Unit(unit).to_string("fits")


def _values(series: pd.Series, kind: str) -> np.ndarray:
    if kind == "str":
        texts = ["" if pd.isna(v) else str(v).encode("ascii", "replace").decode() for v in series]
        return np.array(texts, dtype=f"U{max(_SHORTEST, *map(len, texts), 0)}")
    if kind == "bool":
        return np.ma.masked_array(series.fillna(False).to_numpy(dtype=bool), mask=series.isna().to_numpy())
    if kind == "int" and not series.isna().any():
        return series.to_numpy(dtype=np.int64)
    return series.to_numpy(dtype=np.float64)
