"""What the operating system refused, named by what the caller may do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ssosd.errors import Retriable, SsosdError
from ssosd.plumbing.files import write_failure
from ssosd.station import Station

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_TO_BE_WRITTEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def failure(error: OSError, *, station: Station) -> SsosdError:
    """Name what the operating system refused by what the caller may do."""
    place = Path(os.fsdecode(error.filename)) if error.filename else station.target
    if error.errno in _NOT_TO_BE_WRITTEN or error.errno in _FULL:
        return write_failure(place, error)
    return Retriable(f"{place}: {error.strerror or error}", next_step="check this file and its disk")
