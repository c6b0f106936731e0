"""The known objects of a field by magnitude, as text for the console."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.identify.known import KnownObjects, known_table, object_keys
from ssosd.plumbing.text import counted

_WIDTH = 40


def magnitude_histogram(known: KnownObjects | pd.DataFrame, detections: pd.DataFrame | None = None) -> str:
    """Small text histogram of the predicted magnitudes, one bar per magnitude.

    Parameters
    ----------
    known : KnownObjects or DataFrame
        Known objects of the exposures; each counts once, with the median of its predicted magnitudes.
    detections : DataFrame, optional
        What `ssosd.identify.match.match_candidates` gave: the objects that were found are drawn ``#``, the
        others ``.``.

    Returns
    -------
    str
        Lines without an end; never empty.

    Examples
    --------
    >>> table = pd.DataFrame({"CATALOG_NUMBER": [1, 1, 1, 2], "NAME": ["A", "B", "C", "A"],
    ...                       "MAG": [17.2, 17.9, 19.5, 17.3]})
    >>> print(magnitude_histogram(table))
    3 known objects in the field
      V 17-18    2 ..
      V 18-19    0
      V 19-20    1 .
    >>> found = pd.DataFrame({"SKYBOT_NUMBER": [None], "SKYBOT_NAME": ["A"], "MATCHED": [True]})
    >>> print(magnitude_histogram(table, found).splitlines()[1])
      V 17-18    1 of    2 #.
    """
    table = known_table(known.table if isinstance(known, KnownObjects) else known)
    table = table.assign(KEY=object_keys(table["NUMBER"], table["NAME"]))
    mags = table.groupby("KEY", sort=True)["MAG"].median()
    if mags.empty:
        return "no known objects in the field"
    lines = [f"{counted(len(mags), 'known object')} in the field"]
    bins = np.floor(mags.dropna()).astype(int)
    found = np.zeros(len(bins), dtype=bool)
    if detections is not None and len(detections):
        hits = detections[detections["MATCHED"].astype(bool)]
        found = bins.index.isin(object_keys(hits["SKYBOT_NUMBER"], hits["SKYBOT_NAME"]))
    counts = bins.value_counts()
    matched = bins[found].value_counts()
    scale = min(1.0, _WIDTH / max(int(counts.max()), 1)) if len(counts) else 1.0
    for low in range(bins.min(), bins.max() + 1) if len(bins) else ():
        count, hit = int(counts.get(low, 0)), int(matched.get(low, 0))
        ticks = round(hit * scale)
        bar = "#" * ticks + "." * (round(count * scale) - ticks)
        of = "" if detections is None else f"{hit:5d} of"
        lines.append(f"  V {low}-{low + 1}{of}{count:5d} {bar}".rstrip())
    if len(bins) < len(mags):
        lines.append(f"  V unknown{len(mags) - len(bins):7d}")
    return "\n".join(lines)
