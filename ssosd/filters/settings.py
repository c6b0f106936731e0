"""The parameters of the filter chain as one typed value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ssosd.errors import Misconfigured


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainSettings:
    """The parameters of the chain; a field is the parameter's name in lower case."""

    filter_detec: bool  # on or off
    detections: tuple[int, ...]  # numbers of detections that are rejected
    filter_pm: bool  # on or off
    pm_low: float  # "/h, inclusive
    pm_up: float  # "/h, inclusive
    pm_snr: float  # smallest PM/PMERR
    filter_pixel: bool  # on or off
    delta_pixel: float  # pixels
    filter_motion: bool  # on or off
    motion_fit: str  # PLANE or SEED: the rule of FILTER_MOTION
    identify_outlier: bool  # split the epochs at gaps
    outlier_threshold: float  # gap in MAD of the epochs
    r_squ_m: float  # smallest R^2, 0 to 1
    filter_trail: bool  # on or off
    ratio: float  # smallest ratio of error to scatter of the sizes
    filter_bright_sources: bool  # on or off
    distance: float  # arcsec
    mag_limits: tuple[float, float]  # magnitudes of bright stars, inclusive

    @property
    def fewest_detections(self) -> int:
        """Smallest number of detections of a mover that FILTER_DETEC lets pass, 3 at least."""
        rejected = set(self.detections) if self.filter_detec else set()
        return next(n for n in range(3, max(rejected, default=0) + 4) if n not in rejected)

    @classmethod
    def from_mapping(cls, cfg: Mapping[str, Any]) -> ChainSettings:
        """Take the chain's parameters from a configuration, by the parameters' names.

        Raises
        ------
        Misconfigured
            If a parameter is missing.
        """
        names = [field.name for field in fields(cls)]
        missing = [name.upper() for name in names if name.upper() not in cfg]
        if missing:
            raise Misconfigured(f"the configuration lacks {', '.join(missing)}, which the filter chain needs")
        return cls(**{name: cfg[name.upper()] for name in names})
