"""The tiles on the disk: fetched once, read for ever, moved to the epoch of a night.

A tile's file is FITS-LDAC, as a person could give it in ASTREF_CATALOG. What a night is solved with are
copies of tiles whose stars have moved: the same for all exposures of that night, whoever makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.errors import BadInput, Retriable
from ssosd.ldac import objects_frame, read_ldac
from ssosd.linker.gaia.tiles import Tile
from ssosd.linker.gaia.vizier import EPOCH
from ssosd.linker.refcat import write_reference
from ssosd.sphere import to_radec, unit_vectors

_MAS_PER_RADIAN = np.degrees(1.0) * 3.6e6
_J2000_MJD, _YEAR_DAYS = 51544.5, 365.25
#: Of stars whose motion was not measured, one coordinate: typical of G 20.
_UNKNOWN_PM_ERR = 5.0  # mas/yr
_LEAST_ERR_ARCSEC = 0.001
#: Columns by which a person's file tells the motions of its stars, and what others are where it has none.
_TOLD = frozenset({"X_WORLD", "Y_WORLD", "MAG", "OBSDATE", "PMALPHA_J2000", "PMDELTA_J2000"})
_OTHERWISE = {
    "ERRA_WORLD": 0.02 / 3600.0,
    "MAGERR": 0.02,
    "PMALPHAERR_J2000": 0.0,
    "PMDELTAERR_J2000": 0.0,
}

#: Gives the stars of a tile as `ssosd.linker.gaia.vizier.ask_for_stars` does.
Ask = Callable[[Tile], pd.DataFrame]


def tile_path(folder: Path, tile: Tile, *, faintest_mag: float) -> Path:
    """Where a tile is kept."""
    return folder / f"gaiadr3-g{faintest_mag:g}" / f"{tile}.cat"


def julian_year(mjd: float) -> float:
    """Epoch of a time.

    >>> julian_year(51544.5), round(julian_year(61358.5), 3)
    (2000.0, 2026.869)
    """
    return 2000.0 + (mjd - _J2000_MJD) / _YEAR_DAYS


def fetch_tile(path: Path, tile: Tile, *, ask: Ask) -> None:
    """Make sure that a tile is there; nobody is asked when it is.

    Raises
    ------
    ServiceUnavailable, Retriable, Misconfigured
        As `ask`, and when the file cannot be written.
    """
    if path.is_file():
        return
    stars = ask(tile)
    path.parent.mkdir(parents=True, exist_ok=True)
    error = np.hypot(stars["ERR_RA"], stars["ERR_DEC"]) / np.sqrt(2.0)
    write_reference(path, stars.assign(ERR=error), epoch=EPOCH)


def write_moved(source: Path, target: Path, *, epoch: float) -> None:
    """Write a copy of a tile with its stars where they are at an epoch; the same copy whenever it is made.

    Raises
    ------
    Retriable
        The tile cannot be read: it is removed, to be fetched again. The copy cannot be written: full disk.
    Misconfigured
        The copy cannot be written.
    """
    try:
        table = pd.concat([objects_frame(chip.objects) for chip in read_ldac(source)], ignore_index=True)
        stars = moved(_as_written(table), years=epoch - EPOCH)
    except (BadInput, KeyError) as error:
        source.unlink(missing_ok=True)
        raise Retriable(
            f"{source}: no tile of reference stars: {error}",
            next_step="it is fetched again with the next try",
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    write_reference(target, stars, epoch=epoch)


def has_motions(path: Path) -> bool:
    """Whether a person's file of stars tells where they are at any time, by the columns of a tile.

    Raises
    ------
    BadInput
        It cannot be read.
    """
    stat = path.stat() if path.is_file() else None
    return stat is not None and _has_motions(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _has_motions(path: Path, _size: int, _mtime_ns: int) -> bool:
    """Looked at once for as long as the file stays as it is."""
    return all(set(chip.objects.dtype.names or ()) >= _TOLD for chip in read_ldac(path))


def write_at_epoch(source: Path, target: Path, *, epoch: float) -> None:
    """Write a copy of a person's file of stars, each where it is at an epoch by its own OBSDATE.

    Parameters
    ----------
    source, target : Path
        One that `has_motions`, never written to; and the copy.
    epoch : float
        Julian year.

    Raises
    ------
    BadInput
        It cannot be read.
    Retriable, Misconfigured
        The copy cannot be written.
    """
    table = pd.concat([objects_frame(chip.objects) for chip in read_ldac(source)], ignore_index=True)
    rest = {name: value for name, value in _OTHERWISE.items() if name not in table}
    colours = [name for name in ("BP", "RP") if name in table]
    stars = _as_written(table.assign(**rest, **{n: np.nan for n in ("BP", "RP") if n not in table}))
    there = moved(stars, years=epoch - stars["OBSDATE"].to_numpy())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_reference(target, there if len(colours) == 2 else there.drop(columns=["BP", "RP"]), epoch=epoch)


def _as_written(table: pd.DataFrame) -> pd.DataFrame:
    names = {
        "X_WORLD": "RA",
        "Y_WORLD": "DEC",
        "PMALPHA_J2000": "PMRA",
        "PMDELTA_J2000": "PMDEC",
        "PMALPHAERR_J2000": "PMRA_ERR",
        "PMDELTAERR_J2000": "PMDEC_ERR",
    }
    stars = table.rename(columns=names).astype(np.float64)
    return stars.assign(ERR=3600.0 * stars["ERRA_WORLD"])


def moved(stars: pd.DataFrame, *, years: float | NDArray[np.float64]) -> pd.DataFrame:
    """Move stars along their proper motions.

    Parameters
    ----------
    stars : DataFrame
        RA, DEC (deg), ERR (arcsec), PMRA (with cos Dec), PMDEC, PMRA_ERR, PMDEC_ERR (mas/yr; NaN is taken for
        a star at rest that may move as faint stars do), MAG, MAGERR, BP, RP.
    years : float or ndarray, shape (n,)
        From the epoch of their positions.

    Returns
    -------
    DataFrame
        RA, DEC, ERR, MAG, MAGERR, BP, RP.
    """
    ra, dec = np.radians(stars["RA"].to_numpy()), np.radians(stars["DEC"].to_numpy())
    none = np.zeros_like(ra)
    east = np.stack([-np.sin(ra), np.cos(ra), none], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    xi, eta = (np.nan_to_num(stars[name].to_numpy()) * years / _MAS_PER_RADIAN for name in ("PMRA", "PMDEC"))
    place = unit_vectors(stars["RA"], stars["DEC"]) + xi[:, None] * east + eta[:, None] * north
    new_ra, new_dec = to_radec(place)
    of_motion = stars[["PMRA_ERR", "PMDEC_ERR"]].fillna(_UNKNOWN_PM_ERR).to_numpy()
    slip = 1e-3 * years * np.hypot(of_motion[:, 0], of_motion[:, 1]) / np.sqrt(2.0)
    error = np.hypot(np.hypot(stars["ERR"].to_numpy(), slip), _LEAST_ERR_ARCSEC)
    return stars.assign(RA=new_ra, DEC=new_dec, ERR=error)[["RA", "DEC", "ERR", "MAG", "MAGERR", "BP", "RP"]]
