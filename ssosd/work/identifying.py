"""Who the candidates of a linked sequence are, and what else should have been seen.

All of it follows from the field's folder, the ledger and what the sources of knowledge say, so that it is
done again without linking when they say something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from ssosd.analysis.residuals import matched_detections, residual_statistics
from ssosd.filters.chain import PLANE, ChainSettings
from ssosd.identify.evidence import FILE_NAME, Evidence
from ssosd.identify.expected import Limit, expected_objects
from ssosd.identify.magnitudes import magnitude_histogram
from ssosd.identify.match import match_candidates
from ssosd.identify.triage import with_neo_scores
from ssosd.model import Exposure
from ssosd.plumbing.files import write_staged
from ssosd.reports.tables import candidates_csv, read_candidates_csv
from ssosd.station import Station
from ssosd.store import KnownRows
from ssosd.work.asking import Answers
from ssosd.work.regions import write_regions

#: Files of a field's folder that follow from the known objects, and folders.
FILES = ("cats/candidates.csv", "known.csv", "logs/known.log")
CHECKPLOTS, REGIONS = FOLDERS = ("checkplots", "regions")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Identified:
    """A sequence compared with the known objects."""

    candidates: pd.DataFrame  # one row per detection
    expected: pd.DataFrame  # one row per known object
    rows: KnownRows  # for the store
    answers: Answers
    histogram: str  # the known objects by magnitude, as text
    collisions: tuple[str, ...]  # candidates with a second known object near them


def identify(
    folder: Path,
    *,
    into: Path,
    exposures: Sequence[Exposure],
    ledger: pd.DataFrame,
    title: str,
    station: Station,
    answers: Answers,
    limit: Limit | None = None,
) -> Identified:
    """Compare a linked sequence with the known objects and write what follows from it.

    Parameters
    ----------
    folder : Path
        The field's folder, with its candidates and evidence in ``cats``.
    into : Path
        Where `FILES` and `FOLDERS` are written: that folder before anybody reads it, or one that is put over
        it. They are not flushed.
    exposures : sequence of Exposure
        In the order of CATALOG_NUMBER.
    ledger : DataFrame
        Of the chain.
    title : str
        The night and the field.
    station : Station
    answers : Answers
        What the sources of knowledge say of these exposures.
    limit : Limit, optional
        How faint the exposures reach, as photometry measured it.
    """
    config = station.config
    evidence = Evidence.load(folder / "cats" / FILE_NAME)
    found = match_candidates(
        detections=read_candidates_csv(folder / "cats" / "candidates.csv"),
        known=answers.known,
        radius_arcsec=config["CROSSMATCH_RADIUS"],
    )
    found = with_neo_scores(found, site=station.site)
    expected, limit = expected_objects(
        known=answers.known.table,
        evidence=evidence,
        candidates=found,
        ledger=ledger,
        needed=needed_detections(config),
        radius_arcsec=config["CROSSMATCH_RADIUS"],
        exptime_s=median(exposure.exptime_s for exposure in exposures) if exposures else 0.0,
        limit=limit,
    )
    matched = matched_detections(found)
    agreement = residual_statistics(matched) if len(matched) else pd.DataFrame()
    there = set(expected.loc[expected["N_PREDICTED"] > 0, "NAME"])
    on_chip = answers.known.table[answers.known.table["NAME"].isin(there)]
    identified = Identified(
        candidates=found,
        expected=expected,
        rows=KnownRows(
            identified_with=answers.asked_with,
            unchecked_because=answers.known.because,
            wants=answers.wants,
            known=answers.known.table,
            expected=expected,
            limit=(limit.mag, limit.by),
            agreement={int(str(k)): dict(row) for k, row in agreement.iterrows()},
        ),
        answers=answers,
        histogram=magnitude_histogram(on_chip, found),
        collisions=_collisions(found),
    )
    known_csv = expected.to_csv(index=False, lineterminator="\n")
    texts = (candidates_csv(found), known_csv, _log_text(title, identified, agreement))
    for name, text in zip(FILES, texts, strict=True):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        write_staged(into / name, text.encode("utf-8"))
    write_regions(
        into / REGIONS,
        exposures=exposures,
        candidates=found,
        known=answers.known.table,
        evidence=evidence,
        ledger=ledger,
    )
    if config["CHECKPLOTS"] and len(matched):  # else nothing is drawn, and Matplotlib need not be there
        from ssosd.analysis.checkplots import make_checkplots

        make_checkplots(
            detections=found, kinds=config["CHECKPLOTS"], directory=into / CHECKPLOTS, title=title
        )
    return identified


def needed_detections(config: Mapping[str, Any]) -> int:
    """Fewest detections that a candidate has: as DETECTIONS says, and as telling its motion takes."""
    settings = ChainSettings.from_mapping(config)
    if config["LINKER"] != "SCAMP" or (settings.filter_motion and settings.motion_fit == PLANE):
        return settings.fewest_detections
    rejected = settings.detections if settings.filter_detec else ()
    return next(n for n in count(2 if settings.filter_motion else 1) if n not in rejected)


def _collisions(found: pd.DataFrame) -> tuple[str, ...]:
    """Candidates near which another known object was predicted, one sentence each."""
    if found.empty:
        return ()
    columns = ["CANDIDATE", "SKYBOT_NUMBER", "SKYBOT_NAME", "MATCH_STATE", "KNOWN_NEARBY"]
    first = found[columns].drop_duplicates("CANDIDATE").sort_values("CANDIDATE")
    said = []
    for candidate, number, name, state, near in zip(*(first[c].tolist() for c in columns), strict=True):
        if isinstance(near, str) and near:
            named = " ".join(part for part in (number, name) if isinstance(part, str))
            said.append(f"{candidate} ({named or state}): also near {near}")
    return tuple(said)


def _log_text(title: str, identified: Identified, agreement: pd.DataFrame) -> str:
    """Everything a person wants to know of the comparison; no times of writing."""
    rows, expected = identified.rows, identified.expected
    lines = [f"{title}: known objects", ""]
    lines += [f"unchecked: {rows.unchecked_because}", ""] if rows.unchecked_because else []
    lines += [identified.histogram, ""] if identified.answers.known.checked else []
    mag, by = rows.limit
    lines += [f"limit: V {mag:.2f}, by {by}" if by else "limit: not known", ""]
    if len(expected):
        counted = expected["OUTCOME"].value_counts().sort_index()
        lines += ["outcomes: " + ", ".join(f"{n} {name}" for name, n in counted.items()), ""]
    if len(agreement):
        lines += ["observed minus predicted by exposure, arcsec:", agreement.round(3).to_string(), ""]
    lines += [*identified.collisions, ""] if identified.collisions else []
    return "\n".join(lines)
