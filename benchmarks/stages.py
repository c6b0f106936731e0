"""What each stage of the corridor takes: one exposure after the other, one sequence after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measured import NOTHING, Took, Watch

from ssosd.config import load_config
from ssosd.errors import SsosdError
from ssosd.ingest.prepare import prepare_image
from ssosd.intake import take_in
from ssosd.model import Catalogue, Exposure
from ssosd.pipeline import Corridor, LinkJob
from ssosd.plumbing.memory import keep_freed_memory
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store
from ssosd.work.exposure import extract_prepared
from ssosd.work.sequence import link_sequence
from ssosd.work.solving import solve_ahead

#: Stages of an exposure, and of a whole night; those of a sequence are named by the corridor.
EXPOSURE = ("headers, digest", "image for SExtractor", "SExtractor", "its astrometry")
NIGHT = ("store", "files of the night")


class _Clock:
    """Times by stage."""

    def __init__(self) -> None:
        self.times: dict[str, Took] = {}
        self._stage = ""
        self._watch = Watch()

    def begin(self, stage: str) -> None:
        """Let the time from now on count for a stage, until the next one begins."""
        self.times[self._stage] = self.times.get(self._stage, NOTHING) + self._watch.read()
        self._stage, self._watch = stage, Watch()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Let the time within count for a stage."""
        self.begin(name)
        try:
            yield
        finally:
            self.begin("")


def stages(night: Path, target: Path) -> dict[str, Took]:
    """Times of each stage, over all exposures and sequences of a painted night.

    The default configuration but for SkyBoT, which is not asked; all in this process, one after the other.
    """
    keep_freed_memory()  # as workers do
    clock = _Clock()
    overrides = {"ASTREF_CATALOG": str(night / "refcat.cat"), "CROSSMATCH_SKYBOT": "False"}
    station = Station.open(load_config(None, overrides=overrides, cwd=night), target)
    with Store(station.target / STORE_NAME) as store:
        corridor = Corridor(station=station, store=store, folders=(night,))
        names = {_take_in(path, corridor, clock) for path in sorted(night.glob("*.fits"))}
        for name in sorted(names):
            _night(name, corridor, clock)
    of_sequences = [stage for stage in clock.times if stage not in ("", *EXPOSURE, *NIGHT)]
    return {stage: clock.times[stage] for stage in (*EXPOSURE, *of_sequences, *NIGHT)}


def _take_in(path: Path, corridor: Corridor, clock: _Clock) -> str:
    with clock.stage("headers, digest"):
        taken = take_in(path, station=corridor.station)
    with clock.stage("store"):
        return corridor.record_taken(taken)


def _night(name: str, corridor: Corridor, clock: _Clock) -> None:
    with clock.stage("store"):
        sequences = corridor.group(name)
        exposures = {e.digest: e for s in sequences for e in s.exposures}
        catalogues, wanted = corridor.catalogues(exposures)
    for digest, key in wanted.items():
        catalogue = _extract(exposures[digest], name, key, corridor.station, clock)
        with clock.stage("store"):
            corridor.record_extracted(exposures[digest], catalogue)
        catalogues[digest] = catalogue
    for sequence in sequences:
        with clock.stage("store"):
            job = corridor.plan(sequence, catalogues)
        if not isinstance(job, LinkJob):
            raise SystemExit(f"{name}/{sequence.field} cannot be linked: {job}")
        result = link_sequence(
            job.sequence,
            job.catalogues,
            station=corridor.station,
            access=job.access,
            progress=clock.begin,
        )
        with clock.stage("store"):
            corridor.record(job, result)
    with clock.stage("files of the night"):
        corridor.finish(name)


def _extract(exposure: Exposure, night: str, key: str, station: Station, clock: _Clock) -> Catalogue:
    scratch = station.scratch / "prepared"
    try:
        with clock.stage("image for SExtractor"):
            prepared = prepare_image(exposure, directory=scratch, weights=station.config["WEIGHT_IMAGES"])
        with clock.stage("SExtractor"):
            output = station.catalogue_path(night, exposure.stem, key)
            catalogue = extract_prepared(exposure, prepared, output=output, key=key, station=station)
    except SsosdError as error:
        raise SystemExit(f"{exposure.name}: {error}") from error
    with clock.stage("its astrometry"):
        solve_ahead(exposure, catalogue, station=station)
    return catalogue
