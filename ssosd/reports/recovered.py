"""The table of candidates where they were not detected, `recovered.csv`; `docs/output.md` is made from it.

``python -m ssosd.reports.recovered`` prints that part of the page.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.errors import BadInput
from ssosd.plumbing.files import atomic_write_text
from ssosd.plumbing.text import counted

FILE_NAME = "recovered.csv"

#: Column, unit, digits after the point (None for text and whole numbers), meaning.
RECOVERED_COLUMNS: tuple[tuple[str, str, int | None, str], ...] = (
    ("FIELD", "", None, "Name of the field."),
    ("CANDIDATE", "", None, "The candidate, as in candidates.csv."),
    ("CATALOG_NUMBER", "", None, "Exposure, counted from 1 in order of time in the sequence."),
    ("MID_EXPOSURE_MJD", "d", 8, "Middle of the exposure, UTC, Modified Julian Date."),
    ("FILTER", "", None, "Filter as the header names it."),
    ("IMAGE_FILENAME", "", None, "File of the exposure, without its folder."),
    ("EXTENSION", "", 0, "Index of the chip's HDU in that file; blank off the detector."),
    ("STATE", "", None, "What it is there, see below."),
    (
        "SNR",
        "",
        2,
        "Light at the predicted place over the sky's noise; mean 0 and sigma 1 where nothing is.",
    ),
    ("RA", "deg", 7, "Measured right ascension, ICRS; blank unless it is measured."),
    ("DEC", "deg", 7, "Measured declination."),
    ("ERR_POSITION", '"', 4, "Standard error of the measured position in each coordinate."),
    ("RA_PREDICTED", "deg", 7, "Right ascension by the motion of the candidate's detections, ICRS."),
    ("DEC_PREDICTED", "deg", 7, "Declination by it."),
    ("ERR_ALONG", '"', 4, "Standard error of that prediction along the motion."),
    ("ERR_ACROSS", '"', 4, "Standard error of it across the motion."),
    ("X_IMAGE", "pixel", 3, "Measured, else predicted place on the chip, first pixel is 1."),
    ("Y_IMAGE", "pixel", 3, "The same on the second axis."),
    ("TRAIL", '"', 3, "Length of the trail: rate of motion times exposure time."),
    ("FLUX", "counts", 3, "Light, comparable with FLUX of candidates.csv; blank where it cannot be told."),
    ("FLUXERR", "counts", 3, "Its standard error."),
    ("MAG_CALIB", "mag", 4, "Calibrated magnitude of what is measured or of another shape, else blank."),
    ("MAG_CALIB_ERR", "mag", 4, "Its standard error."),
    ("MAG_LIMIT", "mag", 4, "Magnitude of RECOVER_SNR times the noise there: it is fainter if too faint."),
    ("BAND", "", None, "The MPC's letter of the band of these magnitudes."),
    ("REASON", "", None, "The state in words, with its numbers."),
)


def recovered_csv(rows: pd.DataFrame) -> str:
    """The table as text, by field, candidate and exposure; the column names alone when it has no rows."""
    columns = [name for name, *_ in RECOVERED_COLUMNS]
    ordered = rows.reindex(columns=columns).sort_values(columns[:3], kind="stable")
    text = {name: _text(ordered[name], digits) for name, _, digits, _ in RECOVERED_COLUMNS}
    return str(pd.DataFrame(text).to_csv(index=False, lineterminator="\n"))


def write_recovered_csv(path: Path, rows: pd.DataFrame) -> None:
    """Write `recovered_csv` in one step that other processes see."""
    atomic_write_text(path, recovered_csv(rows))


def _text(values: pd.Series, digits: int | None) -> list[str]:
    if digits is None:
        return values.astype("str").tolist()
    return ["" if value != value else f"{value:.{digits}f}" for value in values.to_numpy(np.float64).tolist()]


def read_recovered_csv(path: Path) -> pd.DataFrame:
    """Read what `write_recovered_csv` wrote: numbers with NaN for blanks, "" for blank text.

    Raises
    ------
    BadInput
        There is no such file or it is no such table.
    """
    digits = {name: places for name, _, places, _ in RECOVERED_COLUMNS}
    try:
        cells = pd.read_csv(path, dtype="str", keep_default_na=False, na_filter=False)
        table = {
            name: cells[name] if places is None else _numbers(cells[name]) for name, places in digits.items()
        }
        return pd.DataFrame(table).astype({"CATALOG_NUMBER": np.int64})
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: no table of recovered candidates: {error}") from error


def _numbers(cells: pd.Series) -> pd.Series:
    values = cells.to_numpy(object)
    return pd.Series(np.where(values == "", "nan", values).astype(np.float64))


def states_text(rows: pd.DataFrame) -> str:
    """How many are in which state, for a person.

    >>> states_text(pd.DataFrame({"STATE": ["measured", "too faint", "measured"]}))
    '3 places without a detection: 2 measured, 1 too faint'
    """
    counts = rows["STATE"].value_counts().sort_index()
    return f"{counted(len(rows), 'place')} without a detection: " + ", ".join(
        f"{n} {s}" for s, n in counts.items()
    )


def recovered_markdown() -> str:
    """Write the columns as the table of `docs/output.md`."""
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {unit or '-'} | {meaning} |" for name, unit, _, meaning in RECOVERED_COLUMNS]
    return "\n".join(lines)


if __name__ == "__main__":
    print(recovered_markdown())
