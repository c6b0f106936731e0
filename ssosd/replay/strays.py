"""Files that are no exposures, each accounted for in the summary of a night that is replayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from pathlib import Path

from ssosd.intake import TakenIn
from ssosd.pipeline import Corridor


def account_for(strays: Iterable[TakenIn], corridor: Corridor, nights: Mapping[Path, str]) -> None:
    """Record files that are no exposures.

    One whose header does not say when it was taken was perhaps only copied in the night of its time of
    change: where that night has no exposures, the nearest one accounts for it that has exposures in the same
    folder, or else anywhere.

    Parameters
    ----------
    strays : iterable of TakenIn
    corridor : Corridor
    nights : mapping
        Night of each file that holds an exposure, by path.
    """
    everywhere = set(nights.values())
    beside: dict[Path, set[str]] = {}
    for path, night in nights.items():
        beside.setdefault(path.parent, set()).add(night)
    for taken in sorted(strays, key=lambda taken: taken.path):
        own = corridor.night_of_stray(taken)
        if taken.taken_mjd is None and everywhere and own not in everywhere:
            near = sorted(beside.get(taken.path.parent, everywhere))
            own = min(near, key=partial(_days_between, own))
        corridor.record_taken(taken, night=own)


def _days_between(night: str, other: str) -> int:
    return abs((date.fromisoformat(night) - date.fromisoformat(other)).days)
