"""Time zones of clocks that do not run in UTC."""

from __future__ import annotations

import datetime
import re
import zoneinfo

_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})$")


def zone(name: str) -> datetime.tzinfo:
    """A time zone: ``UTC``, an offset from it such as ``-07:00`` (west is negative), or a name of IANA's.

    Raises
    ------
    ValueError
        There is no such zone; the text says what is allowed.

    Examples
    --------
    >>> zone("-07:00").utcoffset(None)
    datetime.timedelta(days=-1, seconds=61200)
    """
    if name.upper() == "UTC":
        return datetime.UTC
    match = _OFFSET.match(name)
    if match is not None and int(match[2]) <= 14 and int(match[3]) <= 59:
        offset = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
        return datetime.timezone(-offset if match[1] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        raise ValueError('"UTC" | an offset "-07:00" | a name "America/Phoenix"') from error
