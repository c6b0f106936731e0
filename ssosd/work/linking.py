"""Linking a sequence: the sources of both linkers, the chain over all of them, each object once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.config import Config
from ssosd.filters.chain import ChainSettings, run_chain
from ssosd.grouping import BoolArray
from ssosd.linker.consistency import made_consistent
from ssosd.linker.errors import with_position_errors
from ssosd.linker.merge import (
    SCAMP,
    Merged,
    merge_candidates,
    sources_of_both,
    without_refused,
    without_shared,
)
from ssosd.linker.refcat import read_bright_sources
from ssosd.linker.scamp.link import Linked, link
from ssosd.linker.swallowed import without_swallowed_stars
from ssosd.linker.tied import tied_to_reference
from ssosd.linker.tracklets.link import MAX_CHANCE, WEAK_CHANCE, Tracklets, link_tracklets
from ssosd.linker.tracklets.sources import judge_sources
from ssosd.model import Catalogue, Exposure
from ssosd.station import Station
from ssosd.work.placing import place_catalogues
from ssosd.work.reference import reference_for
from ssosd.work.solving import starts

Progress = Callable[[str], None]

_IDENTITY = ["CATALOG_NUMBER", "EXTENSION", "NUMBER"]  # what tells detections apart
#: What SCAMP's linking says of a detection.
_LINKING = ["SOURCE_NUMBER", "FLAGS_SCAMP", "PM", "PMERR", "PMRA", "PMRA_ERR", "PMDEC", "PMDEC_ERR"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Candidates:
    """What linking and the chain left of a sequence."""

    linked: Linked  # SCAMP's solution, with all detections
    sources: pd.DataFrame  # of both linkers, one row per detection and source
    detections: pd.DataFrame  # of the candidates, one row per detection
    weak: pd.DataFrame  # of further sources that only the pixels can confirm, one row per detection
    positions: pd.DataFrame  # all of the sequence, those of reference stars too, at the positions linked
    ledger: pd.DataFrame  # one row per rejected source
    funnel: tuple[tuple[str, int], ...]  # (step, sources left)
    notes: tuple[str, ...]  # of the tracklet linker, for a person
    unsought: tuple[str, ...]  # what it could not search


def link_candidates(
    exposures: Sequence[Exposure],
    catalogues: Mapping[str, Catalogue],
    *,
    workdir: Path,
    station: Station,
    progress: Progress,
) -> Candidates:
    """Solve the sequence, link its detections with LINKER, run the chain over all sources and merge.

    Parameters
    ----------
    exposures : sequence of Exposure
    catalogues : mapping
        By the exposures' digests.
    workdir : Path
        Where their catalogues, named after the exposures, and SCAMP's files are left.
    station : Station
    progress : callable
        Told what is being done.

    Raises
    ------
    BadInput, Retriable, Misconfigured
        As `ssosd.linker.scamp.link.link`.
    """
    config = station.config
    progress("linking")
    linked = link(
        exposures=exposures,
        catalogues=place_catalogues(exposures, catalogues, workdir),
        binary=station.binaries["scamp"],
        config=config["SCAMP_CONFIG"],
        reference=reference_for(exposures, station=station),
        crossid_radius_arcsec=config["CROSSID_RADIUS"],
        remove_ref_sources=config["REMOVE_REF_SOURCES"],
        workdir=workdir,
        time_limit_s=config["SCAMP_TIME_LIMIT"],
        starts=starts(exposures, catalogues, station=station),
    )
    return candidates_of(linked, config=config, progress=progress)


def candidates_of(linked: Linked, *, config: Config, progress: Progress) -> Candidates:
    """Link a solved sequence's detections with LINKER, run the chain over all sources and merge.

    Parameters
    ----------
    linked : Linked
        The sequence as SCAMP solved and linked it.
    config : Config
    progress : callable
        Told what is being done.

    Raises
    ------
    Misconfigured
        A column that the linker or the chain needs was not measured.
    """
    settings = ChainSettings.from_mapping(config)
    linker, positions = config["LINKER"], linked.measured
    if linker != "SCAMP" or (settings.filter_motion and settings.motion_fit == "PLANE"):
        positions = tied_to_reference(made_consistent(positions), linked.reference)
        positions = without_swallowed_stars(with_position_errors(positions))
    every, linkable = _with_linking(positions, linked)
    detections = every if linkable is None else every[linkable].reset_index(drop=True)
    tracklets = None
    if linker != "SCAMP":
        tracklets = link_tracklets(
            detections=every,
            linkable=linkable,
            pm_low=settings.pm_low,
            pm_up=settings.pm_up,
            min_detections=settings.fewest_detections,
            max_chance=WEAK_CHANCE if config["RECOVER"] else MAX_CHANCE,
        )
    sources = sources_of_both(scamp=None if linker == "TRACKLET" else detections, tracklets=tracklets)
    progress("filtering")
    chain = run_chain(sources, settings=settings, stars=_bright_stars(linked, config))
    by_chance = chain.candidates["N_CHANCE"] > MAX_CHANCE
    merged = merge_candidates(chain.candidates[~by_chance].reset_index(drop=True))
    if tracklets is not None:
        merged = _judged(merged, detections=every, tracklets=tracklets, settings=settings)
    return Candidates(
        linked=linked,
        sources=sources,
        detections=merged.detections,
        weak=without_shared(chain.candidates[by_chance], merged.detections),
        positions=positions,
        ledger=pd.concat([chain.ledger, merged.ledger], ignore_index=True),
        funnel=(*chain.funnel, *((("LINKER", merged.n_sources),) if linker == "BOTH" else ())),
        notes=tracklets.notes if tracklets else (),
        unsought=tracklets.unsought if tracklets else (),
    )


def _with_linking(positions: pd.DataFrame, linked: Linked) -> tuple[pd.DataFrame, BoolArray | None]:
    """All detections with what SCAMP says of those it linked, and which these are; None for all of them."""
    if linked.measured is linked.detections:
        return positions, None
    own, every = (pd.MultiIndex.from_frame(table[_IDENTITY]) for table in (linked.detections, positions))
    rows = every.get_indexer(own)
    linkable = np.zeros(len(positions), dtype=bool)
    linkable[rows] = True
    table = positions.copy()
    for name in _LINKING:
        values = table[name].to_numpy(copy=True)
        values[rows] = linked.detections[name].to_numpy()
        table[name] = values
    return table, linkable


def _judged(
    merged: Merged, *, detections: pd.DataFrame, tracklets: Tracklets, settings: ChainSettings
) -> Merged:
    """Ask the tracklet linker's judge about what SCAMP alone found: blends and galaxies seem to move, too."""
    alone = merged.detections[merged.detections["LINKED_BY"] == SCAMP]
    if alone.empty:
        return merged
    verdicts = judge_sources(
        tracklets.pool,
        detections=detections,
        sources=alone,
        pm_low=settings.pm_low,
        pm_up=settings.pm_up,
        min_detections=settings.fewest_detections,
        max_chance=MAX_CHANCE,
    )
    return without_refused(merged, verdicts)


def _bright_stars(linked: Linked, config: Config) -> pd.DataFrame | None:
    if not config["FILTER_BRIGHT_SOURCES"]:
        return None
    catalogue = config["BRIGHT_SOURCES_CAT"]
    return linked.reference if catalogue is None else read_bright_sources(catalogue)
