"""SQLite through sqlite-utils: the only memory of ssosd. Every state change is one short transaction."""

from ssosd.store.base import STORE_NAME, Patience, existing_store, read_only, utc_now
from ssosd.store.exposures import Exposures, ExposureState, FileRow
from ssosd.store.knowledge import Asking, KnownRows
from ssosd.store.measured import Measured, measured
from ssosd.store.nights import Nights
from ssosd.store.retry import ParkedRow, Retry
from ssosd.store.sequences import BLIND, SequenceRow, Sequences
from ssosd.store.verdicts import ARTIFACT, ASTEROID, UNKNOWN, VERDICTS, Judged, Seen, Verdict

__all__ = [
    "ARTIFACT",
    "ASTEROID",
    "BLIND",
    "STORE_NAME",
    "UNKNOWN",
    "VERDICTS",
    "Asking",
    "ExposureState",
    "FileRow",
    "Judged",
    "KnownRows",
    "Measured",
    "ParkedRow",
    "Patience",
    "Seen",
    "SequenceRow",
    "Store",
    "Verdict",
    "existing_store",
    "measured",
    "read_only",
    "utc_now",
]


class Store(Sequences, Exposures, Nights, Retry):
    """The store of one target folder: see `ssosd.store.base.Base` for how it is opened."""
