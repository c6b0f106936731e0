"""Star catalogues: the astrometric reference that SCAMP is given, and the bright stars a person supplies."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.io.fits.verify import VerifyError

from ssosd.errors import BadInput
from ssosd.ldac import LdacChip, objects_frame, read_ldac, write_ldac

#: SCAMP's default ASTREFCENT_KEYS and ASTREFMAG_KEY.
POSITION_KEYS = ("X_WORLD", "Y_WORLD")
MAGNITUDE_KEY = "MAG"
_COLOURS = ("BP", "RP")
_DELIMITERS = ",;\t|"
_FITS_COLUMNS = frozenset({"ra", "dec", "mag", "x_world", "y_world"})


def read_reference(
    path: str | Path,
    *,
    position_keys: Sequence[str] = POSITION_KEYS,
    magnitude_key: str = MAGNITUDE_KEY,
) -> pd.DataFrame:
    """Read an astrometric reference catalogue (FITS-LDAC), one of a person's or one that SCAMP saved.

    Parameters
    ----------
    path : path
        Of the catalogue.
    position_keys, magnitude_key : str
        Names of the columns, as ASTREFCENT_KEYS and ASTREFMAG_KEY of the SCAMP set-up.

    Returns
    -------
    DataFrame
        RA, DEC (deg ICRS, at the catalogue's own epoch), MAG (NaN where the file has none), BP and RP where
        it has both (Gaia's, mag), float64; rows without a position are left out.

    Raises
    ------
    BadInput
        The file is not a FITS-LDAC catalogue, lacks the columns or holds no star.
    """
    tables = [objects_frame(chip.objects) for chip in read_ldac(path)]
    table = pd.concat(tables, ignore_index=True)
    missing = [key for key in position_keys if key not in table]
    if missing:
        raise BadInput(
            f"{path}: no column {' and '.join(missing)} in it; found: {_listed(list(table.columns))}",
            next_step="name the position columns in ASTREFCENT_KEYS of the SCAMP set-up",
        )
    magnitude = table[magnitude_key] if magnitude_key in table else pd.Series(np.nan, index=table.index)
    colours = {name: table[name] for name in _COLOURS} if set(_COLOURS) <= set(table.columns) else {}
    ra, dec = (table[key] for key in position_keys[:2])
    return _stars(path, ra, dec, magnitude, need_magnitude=False, **colours)


def write_reference(
    path: str | Path, table: pd.DataFrame, *, epoch: float = 2016.0, error_arcsec: float = 0.02
) -> None:
    """Write a reference catalogue that SCAMP takes as ASTREF_CATALOG FILE.

    Parameters
    ----------
    path : path
        Written whole or not at all; replaced when it exists.
    table : DataFrame
        RA, DEC (deg ICRS), MAG. Optional: MAGERR (mag), ERR (1-sigma error in each coordinate, arcsec), EPOCH
        (decimal year), PMRA (with cos Dec) and PMDEC (mas/yr) with PMRA_ERR and PMDEC_ERR; BP and RP (mag).
    epoch : float
        Epoch of the positions, decimal year, for rows without EPOCH; 2016.0 is that of Gaia DR3.
    error_arcsec : float
        Error of the positions for rows without ERR.
    """
    n = len(table)
    error = table["ERR"] if "ERR" in table else np.full(n, error_arcsec)
    columns: dict[str, tuple[str, object]] = {
        "X_WORLD": ("f8", table["RA"]),
        "Y_WORLD": ("f8", table["DEC"]),
        "ERRA_WORLD": ("f4", np.asarray(error, dtype=np.float64) / 3600.0),
        "ERRB_WORLD": ("f4", np.asarray(error, dtype=np.float64) / 3600.0),
        "ERRTHETA_WORLD": ("f4", np.zeros(n)),
        "MAG": ("f4", table["MAG"]),
        "MAGERR": ("f4", table["MAGERR"] if "MAGERR" in table else np.full(n, 0.02)),
        "OBSDATE": ("f8", table["EPOCH"] if "EPOCH" in table else np.full(n, epoch)),
    }
    if "PMRA" in table and "PMDEC" in table:
        for axis, name in (("RA", "ALPHA"), ("DEC", "DELTA")):
            columns[f"PM{name}_J2000"] = ("f4", table[f"PM{axis}"])
            errors = table[f"PM{axis}_ERR"] if f"PM{axis}_ERR" in table else np.zeros(n)
            columns[f"PM{name}ERR_J2000"] = ("f4", errors)
    if set(_COLOURS) <= set(table.columns):
        columns |= {name: ("f4", table[name]) for name in _COLOURS}
    objects = np.empty(n, dtype=[(name, kind) for name, (kind, _) in columns.items()])
    for name, (_, values) in columns.items():
        objects[name] = values
    write_ldac(path, [LdacChip(header=fits.Header(), objects=objects)])


def read_bright_sources(path: str | Path) -> pd.DataFrame:
    """Read a catalogue of bright stars (BRIGHT_SOURCES_CAT): a text table or a FITS table.

    Column names are compared without case. A FITS-LDAC reference (X_WORLD, Y_WORLD) is accepted too. The HYG
    database (https://astronexus.com/projects/hyg; recognised by its columns hip, proper and rarad) has RA in
    hours and lists the Sun: both are put right. Text may be separated by commas, semicolons, tabs, bars or
    blanks, may be gzipped, and may have ``#`` before the column names.

    Parameters
    ----------
    path : path
        Of the catalogue.

    Returns
    -------
    DataFrame
        RA, DEC (deg), MAG, float64; rows without all three are left out.

    Raises
    ------
    BadInput
        The file cannot be read, lacks a column or holds no star; the message names the columns found.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_fits = file.read(6) == b"SIMPLE"
        table = _fits_table(path) if is_fits else _text_table(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error
    names = {str(column).strip().lower(): column for column in reversed(table.columns)}
    found: list[str] = []
    for wanted in (("ra", "x_world"), ("dec", "y_world"), ("mag",)):
        name = next((names[w] for w in wanted if w in names), None)
        if name is None:
            raise BadInput(
                f"{path}: no column {wanted[0].upper()} in it; found: {_listed(list(table.columns))}",
                next_step="give it columns RA and DEC in degrees and MAG",
            )
        found.append(name)
    ra, dec, magnitude = (pd.to_numeric(table[name], errors="coerce") for name in found)
    if {"hip", "proper", "rarad"} <= names.keys():
        ra = (ra * 15.0).where(table[names["proper"]].astype(str) != "Sol")
    return _stars(path, ra, dec, magnitude, need_magnitude=True)


def _stars(
    path: str | Path,
    ra: pd.Series,
    dec: pd.Series,
    magnitude: pd.Series,
    *,
    need_magnitude: bool,
    **more: pd.Series,
) -> pd.DataFrame:
    """Usable rows, as float64."""
    table = pd.DataFrame({"RA": ra, "DEC": dec, "MAG": magnitude, **more}).astype(np.float64)
    usable = np.isfinite(table["RA"]) & (table["DEC"].abs() <= 90.0)
    if need_magnitude:
        usable &= np.isfinite(table["MAG"])
    table = table[usable].reset_index(drop=True)
    if table.empty:
        raise BadInput(f"{path}: no row of it has a usable position{' and magnitude' * need_magnitude}")
    table["RA"] %= 360.0
    return table


def _fits_table(path: Path) -> pd.DataFrame:
    """First binary or ASCII table of a FITS file that has a Dec column; the objects of a FITS-LDAC file."""
    columns: list[str] = []
    try:
        with fits.open(path, memmap=False) as hdus:
            for hdu in hdus[1:]:
                if not isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
                    continue
                names = list(hdu.columns.names)
                wanted = {n: n.lower() for n in names if n.lower() in _FITS_COLUMNS}
                if any(low in ("dec", "y_world") for low in wanted.values()):
                    data = {n: np.asarray(hdu.data[n]) for n in wanted}
                    flat = {n: v[:, 0] if v.ndim > 1 else v for n, v in data.items()}
                    return pd.DataFrame({n: v.astype(v.dtype.newbyteorder("=")) for n, v in flat.items()})
                columns += names
    except (OSError, TypeError, ValueError, KeyError, IndexError, VerifyError) as error:
        raise BadInput(f"{path}: not a readable FITS table: {error}") from error
    raise BadInput(
        f"{path}: no FITS table with columns RA, DEC and MAG; found: {_listed(columns)}",
        next_step="give it columns RA and DEC in degrees and MAG",
    )


def _text_table(path: Path) -> pd.DataFrame:
    """Text table whose first line that is not blank names the columns."""
    try:
        opener = gzip.open if path.suffix.lower() == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            for line in file:
                first = line.lstrip("#").strip()
                if first:
                    break
            else:
                raise BadInput(f"{path}: empty")
            counts = {mark: first.count(mark) for mark in _DELIMITERS}
            mark = max(counts, key=lambda m: counts[m])
            rows = csv.reader([first], delimiter=mark if counts[mark] else " ", skipinitialspace=True)
            names = [name.strip() for name in next(rows)]
            return pd.read_csv(
                file,
                sep=mark if counts[mark] else r"\s+",
                names=names,
                comment="#",
                index_col=False,
                skipinitialspace=True,
                usecols=range(len(names)),
                low_memory=False,
            )
    except (UnicodeDecodeError, pd.errors.ParserError, csv.Error, gzip.BadGzipFile, EOFError) as error:
        raise BadInput(f"{path}: neither a FITS nor a text table: {error}") from error


def _listed(names: Sequence[str], most: int = 20) -> str:
    """Names for a message, not too many of them."""
    shown = ", ".join(str(name)[:30] for name in names[:most])
    return (shown + (", ..." if len(names) > most else "")) or "none"
