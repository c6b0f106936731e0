"""Quality of the astrometry per exposure, as SCAMP's XML file (a VOTable) tells it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.errors import BadInput

#: Column here: (field in SCAMP's table "Fields", element of it).
_COLUMNS = {
    "CATALOG_NUMBER": ("Catalog_Number", 0),
    "N_USED": ("NDetect", 0),
    "AS_CONTRAST": ("AS_Contrast", 0),
    "XY_CONTRAST": ("XY_Contrast", 0),
    "SCALE_RATIO": ("DPixelScale", 0),
    "ROTATION_DEG": ("DPosAngle", 0),
    "SHIFT_RA_DEG": ("DX", 0),
    "SHIFT_DEC_DEG": ("DY", 0),
    "CHI2_INTERNAL": ("Chi2_Internal", 0),
    "N_INTERNAL": ("NDeg_Internal", 0),
    "RMS_REF_RA": ("AstromSigma_Reference", 0),
    "RMS_REF_DEC": ("AstromSigma_Reference", 1),
    "CHI2_REF": ("Chi2_Reference", 0),
    "N_REF": ("NDeg_Reference", 0),
}
_TABLE = re.compile(r'<TABLE ID="Fields".*?</TABLE>', re.DOTALL)
_FIELD = re.compile(r'<FIELD name="(\w+)"')
_ROW = re.compile(r"<TR>(.*?)</TR>", re.DOTALL)
_CELL = re.compile(r"<TD>(.*?)</TD>", re.DOTALL)


def read_fields(path: Path) -> pd.DataFrame:
    """Read the table of exposures in SCAMP's XML file.

    The file is read by patterns: SCAMP copies names from FITS headers into it without escaping them, so that
    it need not be valid XML.

    Returns
    -------
    DataFrame
        One row per exposure in SCAMP's order, float64; NaN for what SCAMP did not measure (no contrasts with
        MATCH N). CATALOG_NUMBER; N_USED (detections loaded); AS_CONTRAST and XY_CONTRAST (of the match in
        angle and scale, and in position; above 2 or 3 is trusted); SCALE_RATIO, ROTATION_DEG, SHIFT_RA_DEG,
        SHIFT_DEC_DEG found by the match; CHI2_INTERNAL per degree of freedom, N_INTERNAL; RMS_REF_RA and
        RMS_REF_DEC (arcsec), CHI2_REF, N_REF: residuals from the reference after clipping.

    Raises
    ------
    BadInput
        There is no such table in the file.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"{path}: SCAMP's XML file cannot be read: {error.strerror}") from error
    table = _TABLE.search(text)
    if table is None:
        raise BadInput(f"{path}: no table of exposures in SCAMP's XML file")
    names = _FIELD.findall(table.group())
    rows = [dict(zip(names, _CELL.findall(row), strict=False)) for row in _ROW.findall(table.group())]
    return pd.DataFrame(
        {
            column: np.array([_element(row.get(name, ""), k) for row in rows], dtype=np.float64)
            for column, (name, k) in _COLUMNS.items()
        }
    )


def _element(cell: str, k: int) -> float:
    words = cell.split()
    try:
        return float(words[k])
    except (IndexError, ValueError):
        return float("nan")
