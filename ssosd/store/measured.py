"""How long the replays into a target took, and how much they wrote."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ssosd.store.base import STORE_NAME, read_only

_MEGAPIXELS = """
    SELECT count(*), coalesce(sum((SELECT sum(json_extract(c.value, '$.width_px') *
                                              json_extract(c.value, '$.height_px') / 1e6)
                                   FROM json_each(e.header, '$.chips') c)), 0.0)
      FROM exposures e
"""
_RUNS = """
    SELECT r.started_s, r.finished_s,
           (SELECT count(*) FROM files f WHERE f.outcome = 'exposure'
             AND f.seen_at_s BETWEEN r.started_s AND r.finished_s) n
      FROM (SELECT (julianday(started_at) - 2440587.5) * 86400.0 started_s,
                   (julianday(finished_at) - 2440587.5) * 86400.0 finished_s
              FROM runs WHERE finished_at IS NOT NULL AND command NOT LIKE 'run%') r
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What replays into a target took; wall time, with as many workers as they had."""

    n_exposures: int  # that they did from the beginning to the end
    seconds_per_megapixel: float
    bytes_per_megapixel: float  # written, of the latest night; 0 where nothing was


def measured(target: Path) -> Measured | None:
    """Figures of earlier replays, None where there were none; nothing is written.

    Raises
    ------
    Misconfigured
        The store cannot be read.
    """
    path = target / STORE_NAME
    if not path.is_file():
        return None
    with read_only(path, leave_no_trace=True) as db:
        runs = [row for row in db.execute(_RUNS) if row[2]]
        total, megapixels = db.execute(_MEGAPIXELS).fetchone()
        latest = db.execute("SELECT max(night), count(*) FROM exposures").fetchone()[0]
        n_latest = db.execute("SELECT count(*) FROM exposures WHERE night = ?", [latest]).fetchone()[0]
    n_done = sum(n for _, _, n in runs)
    if not n_done or not megapixels:
        return None
    per_exposure = megapixels / total
    seconds = sum(finished - started for started, finished, _ in runs)
    written = _size(target / latest) + _size(target / ".ssosd" / "catalogues" / latest)
    return Measured(
        n_exposures=n_done,
        seconds_per_megapixel=seconds / (n_done * per_exposure),
        bytes_per_megapixel=written / (n_latest * per_exposure),
    )


def _size(folder: Path) -> int:
    """Bytes of all files under a folder, 0 where there is none."""
    return sum((Path(place) / name).lstat().st_size for place, _, names in os.walk(folder) for name in names)
