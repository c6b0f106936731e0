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
_BENCHMARKS = "the machine of docs/benchmarks.md"
_ENOUGH_EXPOSURES = 20  # measured figures of fewer say little


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Rough figures: expect them to be wrong by a factor of two."""

    seconds: float  # wall time
    size_bytes: float  # on disk
    measured_on: str  # what they come from


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
    size, measured_on = BYTES_PER_MEGAPIXEL * pixels, _BENCHMARKS
    if measured is not None and measured.n_exposures >= _ENOUGH_EXPOSURES:
        said = f"{counted(measured.n_exposures, 'exposure')} that were done here"
        seconds, measured_on = measured.seconds_per_megapixel * pixels, said
        if measured.bytes_per_megapixel:
            size = measured.bytes_per_megapixel * pixels
    return Estimate(seconds=seconds, size_bytes=size, measured_on=measured_on)
