"""Memory that is freed stays with the process: arrays that come a thousand times a night are not new."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST = 32 << 20  # bytes of an array that is kept, the most that glibc allows
_KEPT = 64 << 20  # bytes that are free at the end of the heap


def keep_freed_memory() -> None:
    """Let arrays up to 32 MB be taken from memory that this process has had before.

    By default glibc gives large arrays back to the system, which hands the next one out page by page, each
    with an interrupt: for pictures of some hundred kB that takes longer than what is done with them. Nothing
    happens with another C library.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
