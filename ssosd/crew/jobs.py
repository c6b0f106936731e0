"""What a crew can be asked to do: read headers, extract an exposure, link a sequence, name known objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ssosd import work
from ssosd.errands import named
from ssosd.errors import SsosdError
from ssosd.ingest.sequence import FieldSequence
from ssosd.intake import TakenIn, refused, take_in
from ssosd.model import Catalogue, Exposure
from ssosd.plumbing.text import counted
from ssosd.station import Station
from ssosd.work import Identified, SequenceResult

if TYPE_CHECKING:
    from ssosd.inquiry import IdentifyJob

_PROCESS_BYTES = 300_000_000  # Python with its libraries
_BYTES_PER_PIXEL = 30  # SExtractor's buffers and a plain copy of the image, measured at 4096 x 4096
_BYTES_PER_DETECTION = 4_000  # SCAMP's and our tables


class Job(Protocol):
    """A piece of work as a value; it has the same outcome wherever it is done."""

    @property
    def subject(self) -> str:
        """What it is about, for a person."""

    @property
    def needs_bytes(self) -> int:
        """About how much memory it takes, its process included."""

    def do(self, station: Station) -> Any:
        """Do it; errors that a person can mend are outcomes."""

    def failed(self, error: SsosdError) -> Any:
        """Return the outcome of a job that could not be brought to its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeIn:
    """Read a file's headers."""

    path: Path

    @property
    def subject(self) -> str:
        """See `Job`."""
        return self.path.name

    @property
    def needs_bytes(self) -> int:
        """See `Job`."""
        return _PROCESS_BYTES

    def do(self, station: Station) -> TakenIn:
        """See `Job`."""
        return take_in(self.path, station=station)

    def failed(self, error: SsosdError) -> TakenIn:
        """See `Job`."""
        return refused(self.path, error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Read the headers of some files, and nothing else of them: an exposure's digest is its path."""

    paths: tuple[Path, ...]

    @property
    def subject(self) -> str:
        """See `Job`."""
        return f"{self.paths[0].name} and the {counted(len(self.paths) - 1, 'file')} after it"

    @property
    def needs_bytes(self) -> int:
        """See `Job`."""
        return _PROCESS_BYTES

    def do(self, station: Station) -> tuple[TakenIn, ...]:
        """See `Job`."""
        return tuple(take_in(path, station=station, identity=str) for path in self.paths)

    def failed(self, error: SsosdError) -> tuple[TakenIn, ...]:
        """See `Job`."""
        return tuple(refused(path, error) for path in self.paths)


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract:
    """Make an exposure's catalogue."""

    exposure: Exposure
    night: str
    key: str  # of the catalogue

    @property
    def subject(self) -> str:
        """See `Job`."""
        return self.exposure.name

    @property
    def needs_bytes(self) -> int:
        """See `Job`."""
        pixels = max(chip.width_px * chip.height_px for chip in self.exposure.chips)
        return _PROCESS_BYTES + _BYTES_PER_PIXEL * pixels

    def do(self, station: Station) -> Catalogue | SsosdError:
        """See `Job`."""
        return work.extract_exposure(self.exposure, night=self.night, key=self.key, station=station)

    def failed(self, error: SsosdError) -> SsosdError:
        """See `Job`."""
        return error


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """Link a sequence."""

    sequence: FieldSequence
    catalogues: Mapping[str, Catalogue]  # by the exposure's digest
    access: work.Access  # what it may use of the services

    @property
    def subject(self) -> str:
        """See `Job`."""
        return f"{self.sequence.night}/{self.sequence.field}"

    @property
    def needs_bytes(self) -> int:
        """See `Job`."""
        detections = sum(catalogue.n_detections for catalogue in self.catalogues.values())
        return _PROCESS_BYTES + _BYTES_PER_DETECTION * detections

    def do(self, station: Station) -> SequenceResult | SsosdError:
        """See `Job`."""
        return work.try_to_link(self.sequence, self.catalogues, station=station, access=self.access)

    def failed(self, error: SsosdError) -> SsosdError:
        """See `Job`."""
        return error


@dataclass(frozen=True, kw_only=True, slots=True)
class Identify:
    """Compare a linked sequence with the known objects again."""

    inquiry: IdentifyJob

    @property
    def subject(self) -> str:
        """See `Job`."""
        return f"{self.inquiry.row.night}/{self.inquiry.row.field}"

    @property
    def needs_bytes(self) -> int:
        """See `Job`."""
        return _PROCESS_BYTES

    def do(self, station: Station) -> tuple[Path, Identified] | SsosdError:
        """See `Job`."""
        from ssosd.inquiry import identify_again  # with the reports of a night: no other job needs them

        return identify_again(self.inquiry, station=station)

    def failed(self, error: SsosdError) -> SsosdError:
        """See `Job`."""
        return error


def done(job: Job, station: Station) -> Any:
    """Do a job; an error that no stage has foreseen costs this job alone, by name."""
    try:
        return job.do(station)
    except Exception as error:  # noqa: BLE001 - nothing is swallowed: it is the job's outcome, with its name
        return job.failed(named(error, station=station))
