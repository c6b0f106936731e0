"""The rows of an ADES draft: one mapping of element to text per observation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ssosd.errors import BadInput
from ssosd.reports.ades.digits import dec_text, magnitude_text, positive_text, ra_text, time_text
from ssosd.reports.designation import Designation
from ssosd.reports.mpc_values import note_of
from ssosd.reports.obs80 import Precision
from ssosd.reports.position_errors import PositionErrors
from ssosd.reports.unpack import unpack

#: Elements of an optical observation in the order of the schema, those that ssosd writes.
FIELDS = (
    *("permID", "provID", "trkSub", "mode", "stn", "obsTime", "ra", "dec", "rmsRA", "rmsDec", "rmsCorr"),
    *("astCat", "mag", "rmsMag", "band", "photCat", "logSNR", "seeing", "exp", "notes", "remarks"),
)
#: ADES' names of the bands that one letter stands for in the 80 columns.
BANDS = {
    "V": "Vj",
    "R": "Rc",
    "I": "Ic",
    "B": "Bj",
    "U": "Uj",
    "G": "G",
    **{band: f"S{band}" for band in "griz"},
    **{band: f"A{band}" for band in "oc"},
    **{band: f"P{band}" for band in "wy"},
}
#: Column 15 of the 80 columns for each mode that ssosd writes.
NOTE2 = {"CCD": "C", "CMO": "B"}
#: Columns that are looked at, besides those of the positions' errors.
_READ = (
    *("MID_EXPOSURE_MJD", "RA", "DEC", "MAG_CALIB", "MAG_CALIB_ERR", "BAND", "PHOT_CAT"),
    *("SNR_WIN", "SEEING", "EXPTIME", "FLAGS_SSOS", "NOTES", "REMARKS"),
)
_NO_MAGNITUDE = 50.0
_FINE_ARCSEC = 0.05  # positions better than this get a seventh decimal
_TENTH = 0.1  # mag: worse magnitudes get one decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """What is the same for all rows."""

    code: str  # observatory code
    mode: str  # CCD, CMO
    ast_cat: str  # the MPC's name of the astrometric reference catalogue
    precision: Precision  # digits of the 80 columns
    time_decimals: int  # of the second


def time_decimals(starts: Sequence[str], *, precision: Precision) -> int:
    """Decimals of the second that the times of a night deserve: what the headers had, 1 to 3.

    Parameters
    ----------
    starts : sequence of str
        DATE-OBS of the exposures. Zeros at the end of all of them were not measured.
    precision : Precision
        Of the 80 columns: its sixth decimal of the day needs hundredths.

    Examples
    --------
    >>> time_decimals(["2026-11-14T20:00:00.127"], precision=Precision())
    3
    >>> time_decimals(["2026-11-14T20:00:00.000"], precision=Precision(day=5))
    1
    """
    digits = max((len(text.partition(".")[2].rstrip("Z").rstrip("0")) for text in starts), default=0)
    return min(max(digits, 2 if precision.day >= 6 else 1), 3)


def rows_of(
    rows: pd.DataFrame, designation: Designation, *, style: Style, errors: PositionErrors | None
) -> list[dict[str, str]]:
    """Rows of one object, in the order of the table.

    Parameters
    ----------
    rows : DataFrame
        Its detections; the columns of `ssosd.reports.ades.draft.render_ades`.
    designation : Designation
        As in its 80 columns.
    style : Style
        What all rows share.
    errors : PositionErrors, optional
        Of the positions; None leaves them out.

    Raises
    ------
    BadInput
        A value that cannot be written; the message names it.
    """
    identity = unpack(designation)
    same = {
        "permID": identity.perm_id,
        "provID": identity.prov_id,
        "trkSub": identity.trk_sub,
        "mode": style.mode,
        "stn": style.code,
        "astCat": style.ast_cat,
    }
    written = []
    for i, row in enumerate(rows[[name for name in _READ if name in rows]].to_dict("records")):
        rms = (math.nan,) * 3 if errors is None else (errors.ra[i], errors.dec[i], errors.correlation[i])
        values = same | _position(row, rms, style) | _photometry(row, style.precision) | _quality(row)
        written.append({name: values[name] for name in FIELDS if values.get(name)})
    return written


def _position(row: Mapping[Any, Any], rms: tuple[float, float, float], style: Style) -> dict[str, str]:
    decimals = 7 if max(rms[0], rms[1]) < _FINE_ARCSEC else 6
    ra, dec = float(row["RA"]), float(row["DEC"])
    if not math.isfinite(ra) or not abs(dec) <= 90.0:
        raise BadInput(f"position {ra}, {dec} is none")
    texts = {
        "obsTime": time_text(float(row["MID_EXPOSURE_MJD"]), style.time_decimals, style.precision),
        "ra": ra_text(ra, decimals, style.precision),
        "dec": dec_text(dec, decimals, style.precision),
        "rmsRA": positive_text(rms[0], 3, width=7),
        "rmsDec": positive_text(rms[1], 3, width=7),
    }
    if not (texts["rmsRA"] and texts["rmsDec"]):
        texts["rmsRA"] = texts["rmsDec"] = ""
    elif abs(rms[2]) < 0.995:
        texts["rmsCorr"] = f"{rms[2] + 0.0:.2f}".replace("-0.00", "0.00")
    return texts


def _photometry(row: Mapping[Any, Any], precision: Precision) -> dict[str, str]:
    mag, error = _number(row, "MAG_CALIB"), _number(row, "MAG_CALIB_ERR")
    band = _text(row, "BAND")
    if not (math.isfinite(mag) and mag < _NO_MAGNITUDE and band):
        return {}
    return {
        "mag": magnitude_text(mag, 1 if error >= _TENTH else 2, precision),
        "rmsMag": positive_text(error, 3, width=6),
        "band": BANDS.get(band, band),
        "photCat": _text(row, "PHOT_CAT"),
    }


def _quality(row: Mapping[Any, Any]) -> dict[str, str]:
    snr, seconds = _number(row, "SNR_WIN"), _number(row, "EXPTIME")
    return {
        "logSNR": f"{math.log10(snr):.2f}" if math.isfinite(snr) and 0.01 < snr < 1e5 else "",
        "seeing": positive_text(_number(row, "SEEING"), 1, width=6),
        "exp": positive_text(seconds, 0 if float(seconds).is_integer() else 2, width=6),
        "notes": _text(row, "NOTES") or note_of(row.get("FLAGS_SSOS", 0)),
        "remarks": _text(row, "REMARKS").replace("|", "/")[:300],
    }


def _number(row: Mapping[Any, Any], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None or pd.isna(value) else float(np.float64(value))


def _text(row: Mapping[Any, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None or pd.isna(value) else " ".join(str(value).split())
