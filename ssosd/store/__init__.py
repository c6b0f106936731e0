"""SQLite through sqlite-utils: the only memory of ssosd. Every state change is one short transaction."""

from ssosd.store.base import STORE_NAME, Patience, read_only, utc_now
from ssosd.store.exposures import Exposures, FileRow
from ssosd.store.sequences import SequenceRow, Sequences

__all__ = ["STORE_NAME", "FileRow", "Patience", "SequenceRow", "Store", "read_only", "utc_now"]


class Store(Sequences, Exposures):
    """The store of one target folder: see `ssosd.store.base.Base` for how it is opened."""
