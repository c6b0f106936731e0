"""Known objects predicted at the times of exposures, whoever predicted them, and what was checked at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ssosd.plumbing.text import counted

#: One row per known object and exposure.
KNOWN_COLUMNS: dict[str, str] = {
    "CATALOG_NUMBER": "int64",  # exposure: its 1-based index, in time order, within the sequence
    "NUMBER": "object",  # permanent number as text, missing for unnumbered objects
    "NAME": "object",  # name or provisional designation
    "CLASS": "object",  # dynamical class in the words of the source of knowledge
    "MAG": "float64",  # predicted V, mag
    "RA": "float64",  # astrometric topocentric, deg ICRS, at mid-exposure
    "DEC": "float64",
    "PMRA": "float64",  # arcsec/h, with cos Dec
    "PMDEC": "float64",  # arcsec/h
    "ERR": "float64",  # 1-sigma uncertainty of the position, arcsec; missing when not told
    "SOURCE": "object",  # who says so, e.g. "SKYBOT"
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KnownObjects:
    """Known objects in the exposures of a sequence, and which of these were checked at all."""

    table: pd.DataFrame  # columns KNOWN_COLUMNS
    checked: tuple[int, ...]  # CATALOG_NUMBER of the exposures that were answered for
    unchecked: Mapping[int, str] = field(default_factory=dict)  # CATALOG_NUMBER: why there was no answer

    @property
    def because(self) -> str:
        """Why some exposures are unchecked, one sentence; empty when all are checked."""
        if not self.unchecked:
            return ""
        first = next(iter(self.unchecked.values()))
        if not self.checked:
            return first
        total = counted(len(self.checked) + len(self.unchecked), "exposure")
        return f"{len(self.unchecked)} of {total} unchecked: {first}"

    def of(self, number: int) -> pd.DataFrame:
        """The objects in one exposure."""
        return self.table[self.table["CATALOG_NUMBER"] == number]

    @classmethod
    def joined(cls, parts: Sequence[KnownObjects]) -> KnownObjects:
        """One set from several of different exposures."""
        tables = [part.table for part in parts if len(part.table)]
        return cls(
            table=pd.concat(tables, ignore_index=True) if tables else known_table({}),
            checked=tuple(sorted({number for part in parts for number in part.checked})),
            unchecked={number: why for part in parts for number, why in part.unchecked.items()},
        )


def unchecked(reasons: Mapping[int, str]) -> KnownObjects:
    """No answer for exposures, by CATALOG_NUMBER, and why."""
    return KnownObjects(table=known_table({}), checked=(), unchecked=reasons)


def known_table(columns: Mapping[str, object] | pd.DataFrame) -> pd.DataFrame:
    """Make a table of known objects of the right columns and types.

    Parameters
    ----------
    columns : mapping or DataFrame
        Any of `KNOWN_COLUMNS`, each of shape (n,); those not given are missing values, and so are texts that
        are blank or a dash.

    Examples
    --------
    >>> known_table({"CATALOG_NUMBER": [1, 1], "NUMBER": ["4", " - "]})["NUMBER"].tolist()
    ['4', nan]
    >>> len(known_table({}))
    0
    """
    if len(columns) == 0:
        return pd.DataFrame(
            np.empty(0, dtype=[(name, np.dtype(kind)) for name, kind in KNOWN_COLUMNS.items()])
        )
    given = pd.DataFrame({name: columns[name] for name in KNOWN_COLUMNS if name in columns})
    table = given.reindex(columns=list(KNOWN_COLUMNS))
    for name, kind in KNOWN_COLUMNS.items():
        if kind == "object":
            table[name] = text_or_missing(table[name])
        else:
            table[name] = table[name].astype(np.dtype(kind))
    return table


def object_keys(numbers: pd.Series, names: pd.Series) -> pd.Series:
    """What tells known objects apart: number and name in one text.

    >>> object_keys(pd.Series(["4", None]), pd.Series(["Vesta", "2015 LA1"])).tolist()
    ['4 Vesta', '2015 LA1']
    """
    both = numbers.astype("string").fillna("").str.cat(names.astype("string").fillna(""), sep=" ")
    return both.str.strip().astype(object)


def text_or_missing(values: pd.Series) -> pd.Series:
    """Stripped texts, numbers as integers; blanks and dashes, which stand for nothing, become NaN."""
    whole = values.astype("Int64") if pd.api.types.is_numeric_dtype(values) else values
    text = whole.astype("string").str.strip()
    filled = text.notna() & ~text.isin(["", "-", "--"])
    return text.astype(object).where(filled.to_numpy(dtype=bool), np.nan)
