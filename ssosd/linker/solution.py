"""What solving one exposure by itself gave, as it is kept beside the exposure's catalogue."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from ssosd.ldac import header_from_text
from ssosd.plumbing.files import atomic_write_text

#: Bumped when the same exposure gets another solution than before.
_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ExposureSolution:
    """The astrometry of one exposure by itself, linear: its headers' distortions are kept."""

    method: str  # "stars" (the match of `star_match`) or "scamp"; "" when it does not match
    headers: tuple[str, ...]  # WCS cards of each chip, in lines; empty when it does not match
    n_detections: int  # usable ones
    n_matched: int  # reference stars found within 1.5 pixels (at least 1 arcsec) of their places
    n_chance: float  # that would be by chance
    fraction: float  # matched beyond chance, of the detections or the stars, whichever are fewer
    contrast: float  # XY_CONTRAST of SCAMP's match; NaN by "stars"
    rms_arcsec: float  # of one coordinate about the reference; NaN when it does not match
    shift_arcsec: float  # how far the pointing was off; NaN when not known
    rotation_deg: float  # how far the field was turned
    reason: str = ""  # why it does not match, for a person

    @property
    def solved(self) -> bool:
        """Whether the exposure matches the reference stars."""
        return not self.reason

    def start(self) -> tuple[fits.Header, ...]:
        """WCS of the chips."""
        return tuple(header_from_text(text) for text in self.headers)


def unmatched(reason: str) -> ExposureSolution:
    """Give the outcome for an exposure that was not even tried."""
    nan = math.nan
    return ExposureSolution(
        method="",
        headers=(),
        n_detections=0,
        n_matched=0,
        n_chance=0.0,
        fraction=0.0,
        contrast=nan,
        rms_arcsec=nan,
        shift_arcsec=nan,
        rotation_deg=nan,
        reason=reason,
    )


def solution_key(parts: Iterable[str]) -> str:
    """Digest of all that a solution depends on."""
    return hashlib.blake2b("\n".join([str(_VERSION), *parts]).encode(), digest_size=16).hexdigest()


def solution_path(catalogue: Path, key: str) -> Path:
    """Where the solution of a catalogue's exposure is kept."""
    return catalogue.with_name(f"{catalogue.stem}-{key[:12]}.solution")


def write_solution(path: Path, solution: ExposureSolution, *, key: str) -> None:
    """Keep a solution: JSON, whole or not at all.

    Raises
    ------
    Retriable, Misconfigured
        As `ssosd.plumbing.files.atomic_write_text`.
    """
    fields = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(solution).items()}
    text = json.dumps({"key": key, **fields}, indent=1) + "\n"
    atomic_write_text(path, text, durable=False)  # one that a power cut spoils is made again


def read_solution_file(path: Path, *, key: str) -> ExposureSolution | None:
    """Read a kept solution; None where there is none with this key, or none that can be read."""
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if fields.pop("key") != key:
            return None
        known: dict[str, Any] = {k: math.nan if v is None else v for k, v in fields.items()}
        return ExposureSolution(**{**known, "headers": tuple(known["headers"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # it is made again
