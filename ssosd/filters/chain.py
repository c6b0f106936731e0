"""The filter chain: the filters in their documented order, the ledger of rejections and the funnel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from ssosd.errors import Misconfigured
from ssosd.filters import bright_sources, linear_motion, pixel, plane_motion, pm, trail
from ssosd.filters import detections as number
from ssosd.filters.outcome import LEDGER_COLUMNS, Outcome
from ssosd.filters.settings import ChainSettings
from ssosd.grouping import BoolArray, Grouping

ALL_SOURCES = "All Sources"
PLANE = "PLANE"  # of MOTION_FIT
OUTLIER_FLAG = 1  # added to FLAGS_SSOS of epoch outliers

Filter = Callable[[Grouping], Outcome]
Progress = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChainResult:
    """What the chain leaves, and what it took."""

    candidates: pd.DataFrame  # detections of the surviving sources, by source and epoch; FLAGS_SSOS updated
    ledger: pd.DataFrame  # one row per rejected source, in the order of the chain
    funnel: tuple[tuple[str, int], ...]  # (step, sources left), from "All Sources" on


def run_chain(
    detections: pd.DataFrame,
    *,
    settings: ChainSettings,
    stars: pd.DataFrame | None = None,
    progress: Progress | None = None,
) -> ChainResult:
    """Run the filters that are switched on over all sources.

    The order is FILTER_DETEC, FILTER_PM, FILTER_MOTION, FILTER_PIXEL, FILTER_TRAIL, FILTER_BRIGHT_SOURCES. A
    source is recorded by the first filter that rejects it. No source left, and no detection at all, are
    ordinary results. The order of the rows does not matter.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        Linked detections with the seed's column names; never modified. Only the columns of the filters that
        are on are needed, beside SOURCE_NUMBER, MID_EXPOSURE_MJD and FLAGS_SSOS.
    settings : ChainSettings
    stars : DataFrame, optional
        Columns RA, DEC (deg ICRS), MAG; needed if FILTER_BRIGHT_SOURCES is on. May be empty.
    progress : callable, optional
        Called with the step's name and the number of sources left, after each step.

    Returns
    -------
    ChainResult

    Raises
    ------
    Misconfigured
        If a filter is on and lacks a column, or lacks the star catalogue.
    """
    _check_columns(detections, settings, stars)
    funnel: list[tuple[str, int]] = []
    ledgers: list[pd.DataFrame] = []

    def record(step: str, left: int) -> None:
        funnel.append((step, left))
        if progress is not None:
            progress(step, left)

    grouping = _group(detections)
    flagged = np.zeros(len(detections), dtype=bool)
    record(ALL_SOURCES, grouping.n_groups)
    for name, apply in _filters(detections, settings, stars):
        if grouping.n_groups:
            outcome = apply(grouping)
            if outcome.flagged is not None:
                flagged[grouping.order[outcome.flagged]] = True
            if not outcome.keep.all():
                ledgers.append(outcome.ledger(name, grouping))
                grouping = grouping.select(outcome.keep)
        record(name, grouping.n_groups)
    return ChainResult(
        candidates=_candidates(detections, grouping, flagged),
        ledger=pd.concat(ledgers, ignore_index=True) if ledgers else empty_ledger(),
        funnel=tuple(funnel),
    )


def empty_ledger() -> pd.DataFrame:
    """Make a ledger without rows, with the columns and types of one with rows."""
    nothing = Grouping.of([], [])
    return Outcome.of(0, []).ledger("", nothing)[list(LEDGER_COLUMNS)]


def _filters(
    detections: pd.DataFrame, settings: ChainSettings, stars: pd.DataFrame | None
) -> list[tuple[str, Filter]]:
    """List the filters that are on, by the name of their switch, in the order of the chain."""
    s = settings
    steps: list[tuple[str, Filter]] = []
    if s.filter_detec:
        steps.append(("FILTER_DETEC", partial(number.filter_detections, numbers=s.detections)))
    if s.filter_pm:
        limits = partial(pm.filter_pm, pm_low=s.pm_low, pm_up=s.pm_up, pm_snr=s.pm_snr)
        steps.append(("FILTER_PM", partial(limits, detections)))
    if s.filter_motion and s.motion_fit == PLANE:
        steps.append(("FILTER_MOTION", partial(plane_motion.filter_plane_motion, detections)))
    elif s.filter_motion:
        linear = partial(
            linear_motion.filter_linear_motion,
            r_squ_m=s.r_squ_m,
            identify_outlier=s.identify_outlier,
            outlier_threshold=s.outlier_threshold,
        )
        steps.append(("FILTER_MOTION", partial(linear, detections)))
    if s.filter_pixel:
        same_place = partial(pixel.filter_pixel, delta_pixel=s.delta_pixel)
        steps.append(("FILTER_PIXEL", partial(same_place, detections)))
    if s.filter_trail:
        steps.append(("FILTER_TRAIL", partial(trail.filter_trail, detections, ratio=s.ratio)))
    if s.filter_bright_sources and stars is not None:
        near = partial(
            bright_sources.filter_bright_sources,
            stars=stars,
            distance=s.distance,
            mag_limits=s.mag_limits,
        )
        steps.append(("FILTER_BRIGHT_SOURCES", partial(near, detections)))
    return steps


def _check_columns(detections: pd.DataFrame, settings: ChainSettings, stars: pd.DataFrame | None) -> None:
    """Every filter that is on has what it reads, or the person is told which column or file is missing."""
    needs = (
        ("the filter chain", True, ("SOURCE_NUMBER", "MID_EXPOSURE_MJD", "FLAGS_SSOS")),
        ("FILTER_PM", settings.filter_pm, pm.COLUMNS),
        ("FILTER_PIXEL", settings.filter_pixel, pixel.COLUMNS),
        (
            "FILTER_MOTION",
            settings.filter_motion,
            plane_motion.COLUMNS if settings.motion_fit == PLANE else linear_motion.COLUMNS,
        ),
        ("FILTER_TRAIL", settings.filter_trail, trail.COLUMNS),
        ("FILTER_BRIGHT_SOURCES", settings.filter_bright_sources, bright_sources.COLUMNS),
    )
    for name, on, columns in needs:
        missing = [column for column in columns if column not in detections.columns]
        if on and missing and len(detections):
            raise Misconfigured(
                f"{name} needs {', '.join(missing)}, which the detections do not have",
                next_step=f"add the parameter to the file of SEX_PARAMS, or set {name} False",
            )
    if settings.filter_bright_sources:
        if stars is None:
            raise Misconfigured(
                "FILTER_BRIGHT_SOURCES is on, but there is no catalogue of bright stars",
                next_step="set BRIGHT_SOURCES_CAT to REFCAT or a file, or FILTER_BRIGHT_SOURCES to False",
            )
        missing = [column for column in bright_sources.STAR_COLUMNS if column not in stars.columns]
        if missing:
            raise Misconfigured(
                f"the catalogue of BRIGHT_SOURCES_CAT has no column {', '.join(missing)}",
                next_step=f"it needs {', '.join(bright_sources.STAR_COLUMNS)}, in degrees and magnitudes",
            )


def _group(detections: pd.DataFrame) -> Grouping:
    """Group detections by source in time order; of the same instant by catalogue, chip and position."""
    if not len(detections):
        return Grouping.of([], [])
    ties = [c for c in ("CATALOG_NUMBER", "EXTENSION", "RA", "DEC") if c in detections.columns]
    return Grouping.of(
        detections["SOURCE_NUMBER"].to_numpy(),
        detections["MID_EXPOSURE_MJD"].to_numpy(),
        *(detections[c].to_numpy() for c in ties),
    )


def _candidates(detections: pd.DataFrame, grouping: Grouping, flagged: BoolArray) -> pd.DataFrame:
    """Take the surviving rows, by source and epoch, with the epoch outliers flagged."""
    candidates = detections.iloc[grouping.order].reset_index(drop=True)
    if flagged.any():
        old = candidates["FLAGS_SSOS"].to_numpy()
        candidates["FLAGS_SSOS"] = old | np.where(flagged[grouping.order], OUTLIER_FLAG, 0).astype(old.dtype)
    return candidates
