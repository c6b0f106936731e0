"""The work on one sequence: link, filter, identify, picture; files go to a staging folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ssosd.errors import BadInput, SsosdError
from ssosd.filters.settings import ChainSettings
from ssosd.identify.evidence import FILE_NAME as EVIDENCE
from ssosd.identify.limits import measured_limit
from ssosd.ingest.sequence import FieldSequence
from ssosd.model import Catalogue
from ssosd.plumbing.files import flush_tree, write_staged
from ssosd.plumbing.text import counted
from ssosd.reports.recovered import FILE_NAME as RECOVERED
from ssosd.reports.recovered import recovered_csv, states_text
from ssosd.reports.tables import candidate_ids, candidates_csv, funnel_text
from ssosd.station import Station
from ssosd.work.asking import Access, Asking, asking_ahead
from ssosd.work.brightness import with_fitted_light
from ssosd.work.calibrating import photometry_of, quality_of_exposures, without_magnitudes
from ssosd.work.confirming import false_expected, followed, measured
from ssosd.work.evidence import evidence_of
from ssosd.work.failure import failure
from ssosd.work.identifying import identify
from ssosd.work.injecting import completeness_of
from ssosd.work.linking import Candidates, Progress, link_candidates
from ssosd.work.picturing import pictures
from ssosd.work.recovering import Pixels, depth_of, recovered
from ssosd.work.result import LEFT_OUT, SequenceResult


def _silent(_: str) -> None:
    return


def fingerprint(sequence: FieldSequence, keys: Mapping[str, str], *, station: Station) -> str:
    """Digest of all that a sequence's result depends on.

    Parameters
    ----------
    sequence : FieldSequence
    keys : mapping
        Of the exposures' catalogues, by the exposures' digests.
    station : Station
    """
    h = hashlib.blake2b(station.link_settings.encode(), digest_size=16)
    h.update(f"\n{sequence.night}\n{sequence.field}\n".encode())
    for exposure in sequence.exposures:
        h.update(f"{exposure.digest} {exposure.name} {keys[exposure.digest]}\n".encode())
    return h.hexdigest()


def link_sequence(
    sequence: FieldSequence,
    catalogues: Mapping[str, Catalogue],
    *,
    station: Station,
    access: Access | None = None,
    progress: Progress = _silent,
) -> SequenceResult:
    """Link a sequence, run the chain, name the known objects, cut the pictures; files go to a staging folder.

    Raises
    ------
    BadInput, Retriable, Misconfigured
        As the stages do: the sequence cannot be linked, or not now.
    """
    staged = station.staging_folder(sequence.night, sequence.field)
    with ExitStack() as on_failure:
        on_failure.callback(shutil.rmtree, staged, ignore_errors=True)
        there = _are_there(sequence)
        ask = asking_ahead(sequence.exposures, station, access or Access())
        result = _link_into(staged, sequence, catalogues, station=station, ask=ask, progress=progress)
        on_failure.pop_all()
    return replace(result, blind=not (there and _are_there(sequence)))


def _are_there(sequence: FieldSequence) -> bool:
    return all(Path(exposure.path).exists() for exposure in sequence.exposures)


def try_to_link(
    sequence: FieldSequence, catalogues: Mapping[str, Catalogue], *, station: Station, access: Access
) -> SequenceResult | SsosdError:
    """Link a sequence; an error that a person can mend is the outcome."""
    try:
        return link_sequence(sequence, catalogues, station=station, access=access)
    except SsosdError as error:
        return error
    except OSError as error:
        return failure(error, station=station)


def _link_into(
    staged: Path,
    sequence: FieldSequence,
    catalogues: Mapping[str, Catalogue],
    *,
    station: Station,
    ask: Asking,
    progress: Progress,
) -> SequenceResult:
    cats = staged / "cats"
    for folder in (cats, staged / "cutouts", staged / "checkplots", staged / "logs"):
        folder.mkdir(parents=True)

    left = link_candidates(
        sequence.exposures,
        catalogues,
        workdir=cats,
        station=station,
        progress=progress,
    )
    linked = left.linked
    progress("calibrating")
    photometry = photometry_of(linked, station=station)
    notes = [f"{e.name}: {w}" for e in sequence.exposures for w in e.warnings]
    notes += [f"{LEFT_OUT}{_name_of(sequence, d.digest)}: {d.reason}" for d in linked.dropped]
    notes += [*linked.doubtful, *left.unsought]
    notes += too_few_for_a_candidate(len(linked.exposures), ChainSettings.from_mapping(station.config))

    progress("measuring")
    pixels = Pixels.of(left, photometry, station=station)
    with pixels.chips, ThreadPoolExecutor(max_workers=1, thread_name_prefix="looking") as beside:
        depth = depth_of(left, pixels)
        quality = quality_of_exposures(linked, photometry, catalogues, depth=depth)
        notes += without_magnitudes(quality)
        on_pixels = measured(left, pixels, station=station)
        found = with_fitted_light(on_pixels.candidates, pixels, station=station)
        notes += on_pixels.notes
        found.insert(0, "FIELD", sequence.field)
        found["CANDIDATE"] = candidate_ids(found)
        notes += followed(found)

        progress("identifying, looking")
        looking = beside.submit(_look, found, pixels, staged=staged, station=station)
        if station.config["FIXED_APER_MAGS"]:  # measured on the cutouts
            found, _ = looking.result()
        write_staged(cats / "candidates.csv", candidates_csv(found).encode("utf-8"))
        evidence_of(left).save(cats / EVIDENCE)
        identified = identify(
            staged,
            into=staged,
            exposures=linked.exposures,
            ledger=on_pixels.ledger,
            limit=measured_limit(quality),
            title=f"{sequence.night} {sequence.field}",
            station=station,
            answers=ask(linked.exposures),
        )
        notes += looking.result()[1]

    completeness = completeness_of(
        linked, photometry, catalogues, depth=depth, station=station, progress=progress
    )
    if completeness.why_not:
        notes += [f"completeness not measured: {completeness.why_not}"]
    result = SequenceResult(
        staged=staged,
        identified=identified,
        ledger=on_pixels.ledger,
        funnel=on_pixels.funnel,
        n_sources=left.funnel[0][1],
        n_false_expected=None
        if station.config["LINKER"] == "SCAMP"
        else false_expected(on_pixels.candidates),
        catalog_numbers={e.digest: i for i, e in enumerate(linked.exposures, start=1)},
        quality=quality,
        completeness=completeness.counts,
        dropped=linked.dropped,
        notes=tuple(notes),
    )
    write_staged(staged / "logs" / "sequence.log", _log_text(sequence, left, result).encode("utf-8"))
    flush_tree(staged)
    return result


def _look(
    found: pd.DataFrame, pixels: Pixels, *, staged: Path, station: Station
) -> tuple[pd.DataFrame, list[str]]:
    """Look for candidates where they were not detected, and make the pictures.

    Returns
    -------
    table : DataFrame
        The candidates, with fixed apertures where they are wanted.
    notes : list of str
    """
    notes = []
    if station.config["RECOVER"]:
        missed = recovered(found, pixels, station=station)
        write_staged(staged / "cats" / RECOVERED, recovered_csv(missed).encode("utf-8"))
        notes += [states_text(missed)] if len(missed) else []
    found, of_pictures = pictures(
        found, linked=pixels.linked, staged=staged, station=station, files=pixels.chips.files
    )
    return found, notes + of_pictures


def _name_of(sequence: FieldSequence, digest: str) -> str:
    return next((e.name for e in sequence.exposures if e.digest == digest), digest)


def _log_text(sequence: FieldSequence, left: Candidates, result: SequenceResult) -> str:
    """Everything a person wants to know of how this sequence went; no times of writing."""
    lines = [f"{sequence.night} {sequence.field}: {counted(len(sequence.exposures), 'exposure')}", ""]
    lines += [left.linked.quality.to_string(index=False), ""]
    lines += [funnel_text({"sources left": result.funnel})]
    lines += ["", *result.notes] if result.notes else []
    lines += ["", "Tracklets:", *left.notes] if left.notes else []
    timeless = [line for line in left.linked.log_tail.splitlines() if "All done (in" not in line]
    lines += ["", "SCAMP:", *timeless, ""]
    return "\n".join(lines)


def too_few_for_a_candidate(count: int, settings: ChainSettings) -> list[str]:
    """Say so where no source of so many exposures can pass the filter of the number of detections.

    >>> from ssosd.config import load_config
    >>> too_few_for_a_candidate(3, ChainSettings.from_mapping(load_config(None, overrides={}, cwd=Path())))
    ['no candidate can come of 3 exposures: FILTER_DETEC lets 4 detections or more pass, see DETECTIONS']
    """
    fewest = settings.fewest_detections
    if count >= fewest:
        return []
    return [
        f"no candidate can come of {counted(count, 'exposure')}: FILTER_DETEC lets {fewest} detections "
        "or more pass, see DETECTIONS"
    ]


def require_exposures(sequence: FieldSequence, *, minimum: int) -> None:
    """Refuse a sequence that is too short to tell motion.

    Raises
    ------
    BadInput
        Fewer than `minimum` exposures; a frame in two packings counts once.
    """
    count = len({exposure.frame for exposure in sequence.exposures})
    if count < minimum:
        raise BadInput(
            f"{sequence.night}/{sequence.field}: {counted(count, 'usable exposure')}, {minimum} are needed",
            next_step="it is linked when more exposures of this field arrive; MIN_EXPOSURES sets the number",
        )
