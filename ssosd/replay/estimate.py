"""How long a replay will take and how much it will write, from what earlier ones took or from benchmarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ssosd.plumbing.text import counted
from ssosd.replay.survey import Planned
from ssosd.store import Measured

#: Seconds of one worker for a million pixels and for a sequence, and bytes written for a million pixels, with
#: everything as it comes, on the machine of docs/benchmarks.md.
SECONDS_PER_MEGAPIXEL = 0.6
SECONDS_PER_SEQUENCE = 2.0
BYTES_PER_MEGAPIXEL = 2e6
_ENOUGH_EXPOSURES = 20  # measured figures of fewer say little


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Rough figures: expect them to be wrong by a factor of two."""

    seconds: float  # wall time
    size_bytes: float  # on disk
    time_from: str  # what the time comes from
    size_from: str  # what the disk space comes from


def estimate(planned: Iterable[Planned], *, workers: int, measured: Measured | None) -> Estimate:
    """Time and disk space of sequences.

    Parameters
    ----------
    planned : iterable of Planned
    workers : int
        Jobs done at once.
    measured : Measured, optional
        What replays into the same target took.
    """
    plans = list(planned)
    pixels = sum(plan.megapixels for plan in plans)
    seconds = (SECONDS_PER_MEGAPIXEL * pixels + SECONDS_PER_SEQUENCE * len(plans)) / max(workers, 1)
    size, time_from, size_from = BYTES_PER_MEGAPIXEL * pixels, "docs/benchmarks.md", "docs/benchmarks.md"
    if measured is not None and measured.n_exposures >= _ENOUGH_EXPOSURES:
        said = f"{counted(measured.n_exposures, 'exposure')} that were done here"
        seconds, time_from = measured.seconds_per_megapixel * pixels, said
        if measured.bytes_per_megapixel:
            size, size_from = measured.bytes_per_megapixel * pixels, said
    return Estimate(seconds=seconds, size_bytes=size, time_from=time_from, size_from=size_from)
