"""Where the telescope looked, in the form that the MPC collects.

https://minorplanetcenter.net/pointings/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astropy.time import Time

from ssosd.days import DAY_S

_NO_FILTER = "UNFILTERED"


def pointing(exposure: Mapping[str, Any], limit: float, *, code: str) -> dict[str, Any]:
    """One exposure as a pointing that was exposed.

    Parameters
    ----------
    exposure : mapping
        Row of the store: digest, path, mjd_mid (UTC), exptime_s, ra_deg, dec_deg, width_deg, height_deg,
        filter.
    limit : float
        Faintest magnitude, 5 sigma.
    code : str
        Observatory code.

    Examples
    --------
    >>> row = {"digest": "1f" * 16, "path": "/d/my field 1.fits", "mjd_mid": 61358.5, "exptime_s": 120.0,
    ...        "ra_deg": 50.0, "dec_deg": 18.0, "width_deg": 0.5, "height_deg": 0.25, "filter": ""}
    >>> done = pointing(row, 21.04, code="493")
    >>> done["surveyExpName"], done["time"], done["widths"], done["limit"], done["filter"]
    ('my_field_1-1f1f1f1f', '2026-11-14T11:59:00.000', [0.5, 0.25], 21.0, 'UNFILTERED')
    """
    start = Time(exposure["mjd_mid"] - exposure["exptime_s"] / 2.0 / DAY_S, format="mjd", scale="utc")
    stem = re.sub(r"[^A-Za-z0-9.+-]+", "_", Path(exposure["path"]).name.split(".")[0])
    return {
        "action": "exposed",
        "surveyExpName": f"{stem[:50]}-{exposure['digest'][:8]}",
        "mode": "survey",
        "mpcCode": code,
        "time": start.isot,
        "duration": exposure["exptime_s"],
        "center": [round(exposure["ra_deg"], 5), round(exposure["dec_deg"], 5)],
        "widths": [round(exposure["width_deg"], 5), round(exposure["height_deg"], 5)],
        "filter": exposure["filter"] or _NO_FILTER,
        "limit": round(limit, 1),
    }
