"""SCAMP's full and merged catalogues joined with what SExtractor measured: the detections table.

What SCAMP 2.10 does, measured with the real program (tests/test_scamp_rates.py, tests/test_scamp.py):

- X_IMAGE and Y_IMAGE of the full catalogue are the centroids it was given, bit for bit; FLAGS_IMA is
  IMAFLAGS_ISO bit for bit. Rows of CATALOG_NUMBER 0 are reference stars.
- EPOCH is the Julian year of mid-exposure, from MJD-OBS and the exposure time; motions are fitted with it.
- PMALPHA_J2000 contains cos Dec. Its unit is mas per Julian year: 1 arcsec/h is 1000 * 24 * 365.25 of it.
- In a field that RA 0 crosses, the motions of the sources on one side are wrong by 360 deg a year and more:
  there all motions are fitted again here, to SCAMP's positions, without the reference stars. So they are with
  INCLUDE_ASTREFCATALOG N, with which SCAMP gives most sources no motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.errors import Misconfigured
from ssosd.grouping import Grouping
from ssosd.ldac import objects_frame, read_ldac
from ssosd.linker.scamp.input import ROW_NUMBER, Frame, has_flag
from ssosd.linker.scamp.run import Run
from ssosd.linker.scamp.setup import Setup
from ssosd.motion import rates
from ssosd.sphere import wrap_deg

MAS_PER_YEAR = 1000.0 * 24.0 * 365.25  # of 1 arcsec/h
BAD_MOTION = 64  # bit of FLAGS_SCAMP: this detection does not fit the source's motion
_J2000_MJD, _DAYS_PER_YEAR = 51544.5, 365.25
_NEAR_RA0_ARCSEC = 300.0  # wider than any pixel: a field with a detection so near may be crossed by RA 0
_FULL = ["SOURCE_NUMBER", "RA", "DEC", "ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD", "FLAGS_SCAMP"]
_RATES = ["PM", "PMERR", "PMRA", "PMRA_ERR", "PMDEC", "PMDEC_ERR"]
_RENAMED = {
    "MAG_AUTO": "MAG",
    "MAGERR_AUTO": "MAGERR",
    "FLUX_AUTO": "FLUX",
    "FLUXERR_AUTO": "FLUXERR",
    "FLAGS": "FLAGS_EXTRACTION",
    ROW_NUMBER: "FLAGS_IMA",
}
_FIRST = [
    *(
        "SOURCE_NUMBER",
        "CATALOG_NUMBER",
        "EXTENSION",
        "RA",
        "DEC",
        "EPOCH",
        "MAG",
        "MAGERR",
        "FLUX",
        "FLUXERR",
    ),
    *_RATES,
    *("MID_EXPOSURE_MJD", "DATE-OBS", "EXPTIME", "OBJECT", "FILTER", "RA_IMAGE", "DEC_IMAGE"),
    *("IMAGE_FILENAME", "XWIN_IMAGE", "YWIN_IMAGE", "AWIN_IMAGE", "ERRAWIN_IMAGE", "BWIN_IMAGE"),
    *("ERRBWIN_IMAGE", "THETAWIN_IMAGE", "ERRTHETAWIN_IMAGE", "ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD"),
    *("SNR_WIN", "FLAGS_EXTRACTION", "FLAGS_SCAMP", "FLAGS_IMA", "FLAGS_SSOS"),
]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """SCAMP's results, still by detection number."""

    rows: NDArray[np.int64]  # number of each detection in `all_detections`, unique
    table: pd.DataFrame  # SOURCE_NUMBER, RA, DEC (deg ICRS), ERR*_WORLD (deg), FLAGS_SCAMP; row by row
    sources: pd.DataFrame  # motions by SOURCE_NUMBER: PMRA, PMRA_ERR, PMDEC, PMDEC_ERR, arcsec/h


def read_solution(run: Run, *, detections: pd.DataFrame, setup: Setup) -> Solution:
    """Read the catalogues of all groups of a run and tie them to the detections.

    Raises
    ------
    BadInput
        A catalogue cannot be read.
    Misconfigured
        This SCAMP does not carry the detections' numbers through.
    """
    tables, motions, offset = [], [], 0
    for full_path, merged_path in zip(run.numbered("full"), run.numbered("merged"), strict=True):
        full = objects_frame(read_ldac(full_path)[0].objects)
        merged = objects_frame(read_ldac(merged_path)[0].objects)
        for table in (full, merged):
            table["SOURCE_NUMBER"] = table["SOURCE_NUMBER"].astype(np.int64) + offset
        tables.append(full[full["CATALOG_NUMBER"] > 0])
        motions.append(merged)
        offset = offset if merged.empty else int(merged["SOURCE_NUMBER"].max())
    full = pd.concat(tables, ignore_index=True)
    rows = full["FLAGS_IMA"].to_numpy(np.int64)
    _check_identity(full, rows, detections, setup)
    full = full.rename(columns={"ALPHA_J2000": "RA", "DELTA_J2000": "DEC"})[_FULL]
    full["FLAGS_SCAMP"] = full["FLAGS_SCAMP"].astype(np.int64)
    for name in ("ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD"):
        full[name] = full[name].astype(np.float64)
    return Solution(rows=rows, table=full, sources=_motions(pd.concat(motions, ignore_index=True)))


def _check_identity(
    full: pd.DataFrame, rows: NDArray[np.int64], detections: pd.DataFrame, setup: Setup
) -> None:
    """Stop if the numbers that came back are not those of the detections given."""
    valid = bool(((rows >= 0) & (rows < len(detections))).all()) and len(np.unique(rows)) == len(rows)
    for ours, theirs in zip(setup.words("CENTROID_KEYS")[:2], ("X_IMAGE", "Y_IMAGE"), strict=True):
        valid = valid and np.array_equal(detections[ours].to_numpy()[rows], full[theirs].to_numpy())
    if not valid:
        raise Misconfigured(
            "SCAMP's full catalogue does not give back the detections it was given: IMAFLAGS_ISO is not "
            "copied to FLAGS_IMA",
            next_step="use SCAMP 2.10",
        )


def _motions(merged: pd.DataFrame) -> pd.DataFrame:
    """Motions by SOURCE_NUMBER in arcsec/h; 0 with error 0 where SCAMP could not fit one."""
    table = pd.DataFrame(index=pd.Index(merged["SOURCE_NUMBER"].to_numpy(), name="SOURCE_NUMBER"))
    for ours, theirs in (("RA", "ALPHA"), ("DEC", "DELTA")):
        table[f"PM{ours}"] = merged[f"PM{theirs}_J2000"].to_numpy(np.float64) / MAS_PER_YEAR
        table[f"PM{ours}_ERR"] = merged[f"PM{theirs}ERR_J2000"].to_numpy(np.float64) / MAS_PER_YEAR
    table[~np.isfinite(table.to_numpy()).all(axis=1)] = 0.0
    return table


def detections_table(
    solution: Solution, *, detections: pd.DataFrame, frames: Sequence[Frame], setup: Setup
) -> pd.DataFrame:
    """Make the table of detections, one row each, by source and time.

    PM is the length of (PMRA, PMDEC), PMERR its error along the motion; all are 0 for a source of whose
    motion SCAMP knows nothing (a single detection, or no two with good flags).
    """
    measured = detections.iloc[solution.rows].reset_index(drop=True)
    frame, chip = measured.pop("FRAME").to_numpy(), measured.pop("CHIP").to_numpy()
    measured = measured.rename(columns=_RENAMED)
    table = measured.drop(columns=[name for name in _FULL if name in measured])
    for name in _FULL:
        table[name] = solution.table[name].to_numpy()
    table["RA"] %= 360.0
    exposures = [f.exposure for f in frames]
    per_exposure: dict[str, list[float] | list[str]] = {
        "EPOCH": [2000.0 + (e.mjd_mid - _J2000_MJD) / _DAYS_PER_YEAR for e in exposures],
        "MID_EXPOSURE_MJD": [e.mjd_mid for e in exposures],
        "DATE-OBS": [e.date_obs for e in exposures],
        "EXPTIME": [e.exptime_s for e in exposures],
        "OBJECT": [e.object for e in exposures],
        "FILTER": [e.filter for e in exposures],
        "RA_IMAGE": [e.ra_deg for e in exposures],
        "DEC_IMAGE": [e.dec_deg for e in exposures],
        "IMAGE_FILENAME": [e.name for e in exposures],
    }
    for name, values in per_exposure.items():
        table[name] = pd.Series(values).take(frame).to_numpy()
    hdus = np.zeros((len(frames), max(len(e.chips) for e in exposures)), dtype=np.int64)
    for i, exposure in enumerate(exposures):
        hdus[i, : len(exposure.chips)] = [c.hdu for c in exposure.chips]
    table["CATALOG_NUMBER"], table["EXTENSION"] = frame.astype(np.int64) + 1, hdus[frame, chip]
    table["FLAGS_SSOS"] = np.int64(0)
    if "FLAGS_IMA" not in table:
        table["FLAGS_IMA"] = np.int64(0)
    for name in ("FLAGS_EXTRACTION", "FLAGS_IMA"):
        table[name] = table[name].astype(np.int64)
    _add_rates(table, solution.sources, setup)
    order = np.lexsort((table["EXTENSION"], table["CATALOG_NUMBER"], table["SOURCE_NUMBER"]))
    columns = [*_FIRST, *(name for name in table if name not in _FIRST)]
    return table[columns].take(order).reset_index(drop=True)


def _add_rates(table: pd.DataFrame, sources: pd.DataFrame, setup: Setup) -> None:
    """Add the motions to the detections."""
    from_ra0 = np.abs(wrap_deg(table["RA"].to_numpy())) * np.cos(np.radians(table["DEC"].to_numpy()))
    if (from_ra0 * 3600.0 < _NEAR_RA0_ARCSEC).any() or setup.text("INCLUDE_ASTREFCATALOG").upper() == "N":
        sources = _fitted_again(table, setup)
    moving = sources.reindex(table["SOURCE_NUMBER"]).fillna(0.0)
    for name in sources:
        table[name] = moving[name].to_numpy()
    pmra, pmdec = table["PMRA"].to_numpy(), table["PMDEC"].to_numpy()
    along = np.hypot(pmra * table["PMRA_ERR"], pmdec * table["PMDEC_ERR"])
    pm = np.hypot(pmra, pmdec)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(pm > 0.0, along / pm, np.hypot(table["PMRA_ERR"], table["PMDEC_ERR"]) / np.sqrt(2.0))
    table["PM"], table["PMERR"] = pm, error


def _fitted_again(table: pd.DataFrame, setup: Setup) -> pd.DataFrame:
    """Motions by SOURCE_NUMBER of sources with two good detections or more, fitted to SCAMP's positions."""
    bad = has_flag(table["FLAGS_SCAMP"], BAD_MOTION)
    good = table[~bad & ~has_flag(table["FLAGS_EXTRACTION"], setup.integer("ASTR_FLAGSMASK"))]
    groups = Grouping.of(good["SOURCE_NUMBER"], good["MID_EXPOSURE_MJD"])
    good = good.iloc[groups.order]
    fit = rates(
        groups,
        t_mjd=good["MID_EXPOSURE_MJD"].to_numpy(),
        ra=good["RA"].to_numpy(),
        dec=good["DEC"].to_numpy(),
        sigma_arcsec=good["ERRA_WORLD"].to_numpy() * 3600.0,
    )
    return pd.DataFrame(
        {"PMRA": fit.pmra, "PMRA_ERR": fit.pmra_err, "PMDEC": fit.pmdec, "PMDEC_ERR": fit.pmdec_err},
        index=groups.keys,
    )
