"""The table of candidates as CSV, the identifiers of candidates, and the funnel of the filter chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from ssosd.errors import BadInput
from ssosd.plumbing.files import atomic_write_text
from ssosd.reports.columns import CANDIDATE_COLUMNS, COLUMN_ORDER, Kind

_ROW_ORDER = (
    "FIELD",
    "CANDIDATE",
    "SOURCE_NUMBER",
    "MID_EXPOSURE_MJD",
    "CATALOG_NUMBER",
    "EXTENSION",
    "RA",
    "DEC",
)
_KINDS: dict[str, Kind] = {c.name: c.kind for c in CANDIDATE_COLUMNS}
_DTYPES: dict[Kind, str] = {"int": "int64", "float": "float64", "str": "str", "bool": "bool"}

#: Steps of the funnel, as the filters of the chain name them, and the number of sources left after each.
Funnel = Sequence[tuple[str, int]]


def candidate_ids(detections: pd.DataFrame) -> pd.Series:
    """Give each source an identifier that is unique in the night.

    It is the field's name and a number from 0001 on, in the order of each source's first detection (time,
    then RA, then Dec), then its last one. So it follows from what was detected in that field alone: neither
    the order of arrival nor another field changes it; more exposures of the field may.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        Rows of candidates with FIELD, SOURCE_NUMBER, MID_EXPOSURE_MJD, RA, DEC.

    Returns
    -------
    Series, shape (n,)
        Text, on the index of `detections`.

    Examples
    --------
    >>> rows = pd.DataFrame({"FIELD": "F01", "SOURCE_NUMBER": [7, 3, 7], "MID_EXPOSURE_MJD": [2.0, 1.5, 1.0],
    ...                      "RA": 0.0, "DEC": 0.0})
    >>> candidate_ids(rows).tolist()
    ['F01-0001', 'F01-0002', 'F01-0001']
    """
    keys = ["FIELD", "SOURCE_NUMBER"]
    place = ["MID_EXPOSURE_MJD", "RA", "DEC"]
    by_source = (
        detections[[*keys, *place]].sort_values([*keys, *place], kind="stable").groupby(keys, sort=True)
    )
    first, last = by_source.first(), by_source.last().add_suffix("_LAST")
    sources = first.join(last).assign(N=by_source.size()).reset_index()
    sources = sources.sort_values(
        ["FIELD", *place, *last.columns, "N", "SOURCE_NUMBER"], kind="stable", ignore_index=True
    )
    number = sources.groupby("FIELD", sort=False).cumcount() + 1
    names = sources["FIELD"].astype("str") + "-" + number.astype("str").str.zfill(4)
    named = pd.Series(names.to_numpy(), index=pd.MultiIndex.from_frame(sources[keys]), dtype="str")
    rows = pd.MultiIndex.from_frame(detections[keys])
    return pd.Series(named.reindex(rows).to_numpy(), index=detections.index, name="CANDIDATE", dtype="str")


def candidates_csv(detections: pd.DataFrame) -> str:
    """The table of candidates as text, one row per detection.

    The same rows give the same text, whatever their order: rows are sorted by field, candidate and time,
    columns stand in the order of `CANDIDATE_COLUMNS`, further ones behind them by name, and every number is
    written with the digits that read back as itself. Without rows there is the line of column names alone.

    Parameters
    ----------
    detections : DataFrame
        Rows of candidates; may have no rows, and then no columns either.
    """
    present = set(detections.columns)
    wanted = present if len(detections) else present | {c.name for c in CANDIDATE_COLUMNS if c.always}
    columns = [name for name in COLUMN_ORDER if name in wanted] + sorted(present - set(COLUMN_ORDER))
    keys = [name for name in _ROW_ORDER if name in present]
    ordered = detections.sort_values(keys, kind="stable") if keys else detections
    return str(ordered.reindex(columns=columns).to_csv(index=False, lineterminator="\n"))


def write_candidates_csv(path: Path, detections: pd.DataFrame) -> None:
    """Write `candidates_csv` in one step that other processes see; the folder is made when it is missing.

    Raises
    ------
    Retriable
        The disk is full.
    Misconfigured
        The folder cannot be written to.
    """
    atomic_write_text(path, candidates_csv(detections))


def read_candidates_csv(path: Path) -> pd.DataFrame:
    """Read what `write_candidates_csv` wrote: the same types and the same values to the last bit.

    Blank cells are NaN in columns of numbers and "" in columns of text; a name like ``NA`` stays a name.
    Columns of 32-bit numbers come back as 64-bit ones with the same digits.

    Raises
    ------
    BadInput
        There is no such file or it is no such table.
    """
    try:
        cells = pd.read_csv(path, dtype="str", keep_default_na=False, na_filter=False)
        return pd.DataFrame({name: _typed(cells[name], _KINDS.get(name)) for name in cells.columns})
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: no table of candidates: {error}") from error


def with_all_columns(detections: pd.DataFrame) -> pd.DataFrame:
    """Candidates with every column that is always there, blank where a table of an older version lacks it."""
    lacking = [c for c in CANDIDATE_COLUMNS if c.always and c.name not in detections]
    return detections.assign(**{c.name: "" if c.kind == "str" else np.nan for c in lacking})


def _typed(cells: pd.Series, kind: Kind | None) -> pd.Series:
    """Turn text into the numbers it was written from; exact, which the CSV reader's own numbers are not."""
    values = cells.to_numpy(dtype=object)
    blank = np.asarray(values == "", dtype=bool)
    if kind == "str":
        return cells
    if kind == "bool":
        strange = set(values) - {"True", "False", ""}
        if strange:
            raise ValueError(f"{cells.name} is neither True nor False but {min(strange)!r}")
        truth = np.asarray(values == "True", dtype=bool)
        return pd.Series(pd.arrays.BooleanArray(truth, blank) if blank.any() else truth)
    if kind != "float" and not blank.any():
        try:
            return pd.Series(values.astype(np.int64))
        except (ValueError, OverflowError):
            if kind == "int":
                raise
    try:
        return pd.Series(np.where(blank, "nan", values).astype(np.float64))
    except ValueError:
        if kind is not None:
            raise
    return cells


def render_funnel(funnels: Mapping[str, Funnel]) -> Table:
    """Show how many sources each filter left, one column per field.

    Parameters
    ----------
    funnels : mapping
        Field (or any other heading) to its funnel; a filter that a field did not run stays blank there.

    Returns
    -------
    rich.table.Table
    """
    table = Table(title="sources left by each filter", title_justify="left")
    table.add_column("filter")
    for heading in funnels:
        table.add_column(heading, justify="right")
    for step, counts in _funnel_rows(funnels):
        table.add_row(step, *counts)
    return table


def funnel_text(funnels: Mapping[str, Funnel]) -> str:
    """Write the funnel as plain text for a log.

    >>> print(funnel_text({"F01": [("All Sources", 2100), ("FILTER_PM", 12)]}))
    filter        F01
    All Sources  2100
    FILTER_PM      12
    """
    rows = [("filter", list(funnels)), *_funnel_rows(funnels)]
    first = max(len(step) for step, _ in rows)
    widths = [max(len(counts[i]) for _, counts in rows) for i in range(len(funnels))]
    return "\n".join(
        "  ".join([f"{step:<{first}}", *(f"{c:>{w}}" for c, w in zip(counts, widths, strict=True))]).rstrip()
        for step, counts in rows
    )


def _funnel_rows(funnels: Mapping[str, Funnel]) -> Iterable[tuple[str, list[str]]]:
    """Steps in the order in which the funnels have them, with each funnel's count as text."""
    steps = dict.fromkeys(step for funnel in funnels.values() for step, _ in funnel)
    counts = [dict(funnel) for funnel in funnels.values()]
    return [(step, [str(c[step]) if step in c else "" for c in counts]) for step in steps]
