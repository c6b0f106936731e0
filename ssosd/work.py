"""The work on one exposure, one sequence: stages in order, results returned, nothing recorded.

These functions run in any thread or process; `ssosd.pipeline` decides what follows what and owns the store.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ssosd.analysis.apertures import fixed_apertures
from ssosd.analysis.cutouts import SolvedImage, extract_cutouts
from ssosd.errors import BadInput, Retriable, ServiceUnavailable, SsosdError
from ssosd.files import atomic_write_text, flush_tree, write_failure
from ssosd.filters.chain import ChainResult, ChainSettings, run_chain
from ssosd.identify.known import KnownObjects, unchecked
from ssosd.identify.match import match_candidates
from ssosd.identify.skybot import known_objects_for_exposures
from ssosd.ingest.prepare import prepare_image
from ssosd.ingest.sequence import FieldSequence
from ssosd.ingest.sextractor import catalogue_key, extract
from ssosd.ingest.weights import weight_files
from ssosd.linker.refcat import read_bright_sources
from ssosd.linker.scamp import Linked, link
from ssosd.model import Catalogue, Drop, Exposure
from ssosd.reports.tables import candidate_ids, funnel_text, write_candidates_csv
from ssosd.station import Station

Progress = Callable[[str], None]
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_TO_BE_WRITTEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def _silent(_: str) -> None:
    return


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceResult:
    """All that linking a sequence gave; its files wait in `staged`."""

    staged: Path  # folder that becomes the field's folder
    candidates: pd.DataFrame  # one row per detection
    ledger: pd.DataFrame  # one row per rejected source
    known: pd.DataFrame  # known objects predicted in each exposure
    funnel: tuple[tuple[str, int], ...]
    n_sources: int
    catalog_numbers: dict[str, int]  # digest to CATALOG_NUMBER
    dropped: tuple[Drop, ...]
    unchecked_because: str  # "" when every exposure was compared with the known objects
    notes: tuple[str, ...]  # for a person: what was repaired, blank or left out


def key_of(exposure: Exposure, *, station: Station) -> str:
    """Digest of all that an exposure's catalogue depends on."""
    config = station.config
    return catalogue_key(
        exposure=exposure,
        config=config["SEX_CONFIG"],
        params=config["SEX_PARAMS"],
        conv=config["SEX_FILTER"],
        nnw=config["SEX_NNW"],
        weights=weight_files(exposure, folder=config["WEIGHT_IMAGES"]),
        version=station.binaries["sextractor"].version,
    )


def failure(error: OSError, *, station: Station) -> SsosdError:
    """Name what the operating system refused by what the caller may do."""
    place = Path(os.fsdecode(error.filename)) if error.filename else station.target
    if error.errno in _NOT_TO_BE_WRITTEN or error.errno in _FULL:
        return write_failure(place, error)
    return Retriable(f"{place}: {error.strerror or error}", next_step="check this file and its disk")


def extract_exposure(exposure: Exposure, *, night: str, key: str, station: Station) -> Catalogue | SsosdError:
    """Run SExtractor on one exposure; the catalogue and its .ahead appear whole or not at all."""
    try:
        return _extract(exposure, night=night, key=key, station=station)
    except SsosdError as error:
        return error
    except OSError as error:
        return failure(error, station=station)


def _extract(exposure: Exposure, *, night: str, key: str, station: Station) -> Catalogue:
    config = station.config
    with tempfile.TemporaryDirectory(dir=station.scratch, prefix="extract-") as scratch:
        prepared = prepare_image(
            exposure,
            directory=Path(scratch),
            weights=config["WEIGHT_IMAGES"],
        )
        return extract(
            exposure=exposure,
            prepared=prepared,
            binary=station.binaries["sextractor"],
            config=config["SEX_CONFIG"],
            params=config["SEX_PARAMS"],
            conv=config["SEX_FILTER"],
            nnw=config["SEX_NNW"],
            output=station.catalogue_path(night, exposure.stem, key),
            time_limit_s=config["SEX_TIME_LIMIT"],
            key=key,
        )


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
    ask_skybot: bool = True,
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
        result = _link_into(
            staged, sequence, catalogues, station=station, ask_skybot=ask_skybot, progress=progress
        )
        on_failure.pop_all()
    return result


def _link_into(
    staged: Path,
    sequence: FieldSequence,
    catalogues: Mapping[str, Catalogue],
    *,
    station: Station,
    ask_skybot: bool,
    progress: Progress,
) -> SequenceResult:
    config = station.config
    cats = staged / "cats"
    for folder in (cats, staged / "cutouts", staged / "checkplots", staged / "logs"):
        folder.mkdir(parents=True)

    progress("linking")
    linked = link(
        exposures=sequence.exposures,
        catalogues=_place_catalogues(sequence.exposures, catalogues, cats),
        binary=station.binaries["scamp"],
        config=config["SCAMP_CONFIG"],
        reference=config["ASTREF_CATALOG"],
        crossid_radius_arcsec=config["CROSSID_RADIUS"],
        remove_ref_sources=config["REMOVE_REF_SOURCES"],
        workdir=cats,
        time_limit_s=config["SCAMP_TIME_LIMIT"],
    )
    progress("filtering")
    chain = run_chain(
        linked.detections,
        settings=ChainSettings.from_mapping(config),
        stars=_bright_stars(linked, station),
    )
    notes = [f"{e.name}: {w}" for e in sequence.exposures for w in e.warnings]
    notes += [f"left out {_name_of(sequence, d.digest)}: {d.reason}" for d in linked.dropped]

    progress("identifying")
    known = _known_objects(linked.exposures, station, ask=ask_skybot)
    found = match_candidates(
        detections=chain.candidates, known=known, radius_arcsec=config["CROSSMATCH_RADIUS"]
    )
    found.insert(0, "FIELD", sequence.field)
    found["CANDIDATE"] = candidate_ids(found)

    progress("cutting out")
    found, cut_notes = _pictures(found, linked, sequence, staged, station)
    write_candidates_csv(cats / "candidates.csv", found)
    result = SequenceResult(
        staged=staged,
        candidates=found,
        ledger=chain.ledger,
        funnel=chain.funnel,
        n_sources=chain.funnel[0][1],
        catalog_numbers={e.digest: i for i, e in enumerate(linked.exposures, start=1)},
        dropped=linked.dropped,
        known=known.table,
        unchecked_because=known.because,
        notes=(*notes, *cut_notes),
    )
    atomic_write_text(staged / "logs" / "sequence.log", _log_text(sequence, linked, chain, result))
    flush_tree(staged)
    return result


def _place_catalogues(
    exposures: Sequence[Exposure], catalogues: Mapping[str, Catalogue], cats: Path
) -> list[Path]:
    """Put the exposures' catalogues and .ahead files into `cats`, named after the exposures."""
    stems = Counter(e.stem for e in exposures)
    placed = []
    for exposure in exposures:
        unique = exposure.stem if stems[exposure.stem] == 1 else f"{exposure.stem}-{exposure.digest[:8]}"
        source = Path(catalogues[exposure.digest].path)
        for suffix in (".cat", ".ahead"):
            _link_or_copy(source.with_suffix(suffix), cats / f"{unique}{suffix}")
        placed.append(cats / f"{unique}.cat")
    return placed


def _link_or_copy(source: Path, destination: Path) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)


def _bright_stars(linked: Linked, station: Station) -> pd.DataFrame | None:
    if not station.config["FILTER_BRIGHT_SOURCES"]:
        return None
    catalogue = station.config["BRIGHT_SOURCES_CAT"]
    return linked.reference if catalogue is None else read_bright_sources(catalogue)


def _known_objects(exposures: Sequence[Exposure], station: Station, *, ask: bool) -> KnownObjects:
    """Known objects of the exposures, and why any of these are unchecked."""
    config = station.config
    numbers = range(1, len(exposures) + 1)
    if not config["CROSSMATCH_SKYBOT"]:
        return unchecked(dict.fromkeys(numbers, "CROSSMATCH_SKYBOT is False"))
    if not ask:
        return unchecked(dict.fromkeys(numbers, "SkyBoT did not answer for earlier fields"))
    try:
        return known_objects_for_exposures(
            exposures=exposures,
            url=config["SKYBOT_URL"],
            observer=config["OBSERVATORY_CODE"],
            fov_dimensions_deg=config["FOV_DIMENSIONS"],
            time_limit_s=config["SKYBOT_TIME_LIMIT"],
        )
    except ServiceUnavailable as error:
        return unchecked(dict.fromkeys(numbers, error.message))


def _pictures(
    found: pd.DataFrame, linked: Linked, sequence: FieldSequence, staged: Path, station: Station
) -> tuple[pd.DataFrame, list[str]]:
    """Cutouts, fixed apertures and check plots, as far as they are wanted."""
    config = station.config
    notes: list[str] = []
    if (config["EXTRACT_CUTOUTS"] or config["FIXED_APER_MAGS"]) and len(found):
        kept = staged / "cutouts" if config["EXTRACT_CUTOUTS"] else staged / ".cutouts"
        kept.mkdir(exist_ok=True)
        cut = extract_cutouts(
            detections=found,
            images=_solved_images(linked),
            binary=station.binaries["swarp"],
            config=config["SWARP_CONFIG"],
            size_px=config["CUTOUT_SIZE"],
            directory=kept,
            time_limit_s=config["SWARP_TIME_LIMIT"],
        )
        notes += [reason for reason in cut["REASON"] if reason]
        if config["FIXED_APER_MAGS"]:
            found = fixed_apertures(
                detections=found,
                cutouts={key: Path(p) for key, p in zip(cut.index.tolist(), cut["PATH"], strict=True) if p},
                reference_filters=config["REFERENCE_FILTER"],
                binary=station.binaries["sextractor"],
                config=config["SEX_CONFIG"],
                conv=config["SEX_FILTER"],
                nnw=config["SEX_NNW"],
                time_limit_s=config["SEX_TIME_LIMIT"],
                directory=station.scratch,
            )
        if not config["EXTRACT_CUTOUTS"]:
            shutil.rmtree(kept)
    if config["CHECKPLOTS"]:
        from ssosd.analysis.checkplots import make_checkplots  # matplotlib takes 30 MB

        make_checkplots(
            detections=found,
            kinds=config["CHECKPLOTS"],
            directory=staged / "checkplots",
            title=f"{sequence.night} {sequence.field}",
        )
    return found, notes


def _solved_images(linked: Linked) -> dict[tuple[int, int], SolvedImage]:
    by_number = dict(enumerate(linked.exposures, start=1))
    return {
        (number, hdu): SolvedImage(
            path=Path(by_number[number].path),
            hdu=hdu,
            header=header,
            date_obs=by_number[number].date_obs,
            filter=by_number[number].filter,
        )
        for (number, hdu), header in linked.solved.items()
    }


def _name_of(sequence: FieldSequence, digest: str) -> str:
    return next((e.name for e in sequence.exposures if e.digest == digest), digest)


def _log_text(sequence: FieldSequence, linked: Linked, chain: ChainResult, result: SequenceResult) -> str:
    """Everything a person wants to know of how this sequence went; no times of writing."""
    lines = [f"{sequence.night} {sequence.field}: {len(sequence.exposures)} exposures", ""]
    lines += [linked.quality.to_string(index=False), ""]
    lines += [funnel_text({"sources left": chain.funnel})]
    lines += ["", f"unchecked: {result.unchecked_because}"] if result.unchecked_because else []
    lines += ["", *result.notes] if result.notes else []
    tail = [line for line in linked.log_tail.splitlines() if "All done (in" not in line]  # how long it took
    lines += ["", "SCAMP:", *tail, ""]
    return "\n".join(lines)


def summary_columns(result: SequenceResult, folder: Path) -> dict[str, object]:
    """A sequence's result as columns of its row in the store."""
    return {
        "n_sources": result.n_sources,
        "n_candidates": int(result.candidates["CANDIDATE"].nunique()),
        "funnel": json.dumps(result.funnel),
        "checked": 0 if result.unchecked_because else 1,
        "unchecked_because": result.unchecked_because or None,
        "folder": str(folder),
    }


def require_exposures(sequence: FieldSequence, *, minimum: int) -> None:
    """Refuse a sequence that is too short to tell motion.

    Raises
    ------
    BadInput
        Fewer than `minimum` exposures.
    """
    count = len(sequence.exposures)
    if count < minimum:
        raise BadInput(
            f"{sequence.night}/{sequence.field}: {count} usable exposures, {minimum} are needed",
            next_step="it is linked when more exposures of this field arrive; MIN_EXPOSURES sets the number",
        )
