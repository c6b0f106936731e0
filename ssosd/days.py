"""Modified Julian Dates (UTC) and the seconds that computers count.

MJD 0 is 1858-11-17 0 h, that of the Unix epoch (1970-01-01 0 h) is 40587; as UTC has it here, a day of MJD is
86,400 s also where a leap second was put in.
"""

from __future__ import annotations

DAY_S = 86_400.0
UNIX_EPOCH = 40_587


def mjd_of(seconds: float) -> float:
    """MJD (UTC, d) of a time in seconds since the Unix epoch.

    >>> mjd_of(86_400.0)
    40588.0
    """
    return seconds / DAY_S + UNIX_EPOCH


def unix_s_of(mjd: float) -> float:
    """Seconds since the Unix epoch of an MJD (UTC, d).

    >>> unix_s_of(40588.0)
    86400.0
    """
    return (mjd - UNIX_EPOCH) * DAY_S
