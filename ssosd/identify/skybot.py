"""Ask SkyBoT, the sky body tracker of the IMCCE, which known objects were in an exposure at its mid-time.

Protocol: https://ssp.imcce.fr/webservices/skybot/api/conesearch; the service: Berthier et al. 2006, ASPC 351,
367. Why this is no call of astroquery: docs/decisions/0003-skybot-client.md.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import numpy as np

from ssosd.errors import Misconfigured, ServiceUnavailable
from ssosd.fetch import fetch as fetch_page
from ssosd.identify.known import KnownObjects, unchecked
from ssosd.identify.skybot_reply import parse_reply
from ssosd.model import Exposure
from ssosd.sphere import ARCSEC_PER_DEG, separation_arcsec

ENDPOINT = "https://ssp.imcce.fr/webservices/skybot/api/conesearch.php"

#: Asks for a URL within so many seconds and gives the body; `ssosd.fetch.fetch` or a test's own.
Fetch = Callable[[str, float], bytes]

AT_ONCE = 2  # queries at a time that the service tolerates
MAX_ERROR_ARCSEC = 120.0  # objects known less well than this are not asked for (the service's own default)
MARGIN_ARCSEC = 120.0  # around the footprint: the header's pointing error and the objects' uncertainty

_JD_OF_MJD = 2400000.5
_FIRST_PAUSE_S = 2.0
_PAUSE_GROWTH = 3.0
_WIDENING = (
    0.01  # of the radius per retry: some radii of some fields fail every time, astropy/astroquery#3119
)
_SITE_CODE = re.compile(r"[0-9A-Za-z]{3}")


def query_cone(
    *,
    url: str = ENDPOINT,
    ra_deg: float,
    dec_deg: float,
    radius_arcsec: float | None = None,
    box_deg: tuple[float, float] | None = None,
    mjd_mid: float,
    observer: str,
    time_limit_s: float,
    catalog_number: int = 1,
    fetch: Fetch = fetch_page,
) -> KnownObjects:
    """Ask once for the known objects in a cone or a box.

    Parameters
    ----------
    url : str
        Address of the service, without parameters.
    ra_deg, dec_deg : float
        Centre, degrees ICRS.
    radius_arcsec : float, optional
        Radius of the cone.
    box_deg : tuple of float, optional
        Instead of the radius: the box's extent in RA and in Dec, degrees, as FOV_DIMENSIONS.
    mjd_mid : float
        Epoch, UTC MJD.
    observer : str
        Observatory code: three letters or digits.
    time_limit_s : float
        Wall seconds for the whole exchange.
    catalog_number : int
        The exposure's number, written into the column CATALOG_NUMBER.
    fetch : callable
        Gets a URL's body within a time limit.

    Returns
    -------
    KnownObjects
        With this one exposure checked; a field without known objects gives a table without rows.

    Raises
    ------
    ServiceUnavailable
        The service did not answer, or did not answer this question; the message is short and says which.
    Misconfigured
        `observer` is no observatory code, or `url` no web address.
    """
    if not _SITE_CODE.fullmatch(observer):
        raise Misconfigured(
            f"OBSERVATORY_CODE {observer!r} is not a code of three letters or digits", next_step="e.g. 688"
        )
    asked = {
        "-ep": f"{mjd_mid + _JD_OF_MJD:.9f}",  # UTC
        "-ra": f"{ra_deg % 360.0:.7f}",
        "-dec": f"{dec_deg:.7f}",
        "-observer": observer,  # not -loc, which takes coordinates: astropy/astroquery#3515
        "-filter": f"{MAX_ERROR_ARCSEC:g}",
        "-objFilter": "111",  # asteroids, planets with their satellites, comets
        "-refsys": "EQJ2000",
        "-output": "basic",
        "-mime": "votable",
        "-from": "ssosd",
    }
    if box_deg is not None:
        asked["-bd"] = f"{box_deg[0]:g}x{box_deg[1]:g}"
    elif radius_arcsec is not None:
        asked["-rs"] = f"{radius_arcsec:.1f}"
    else:
        raise ValueError("either radius_arcsec or box_deg")
    body = fetch(f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}", time_limit_s)
    table = parse_reply(
        body,
        observer=observer,
        mjd_mid=mjd_mid,
        ra_deg=ra_deg % 360.0,
        dec_deg=dec_deg,
        catalog_number=catalog_number,
    )
    return KnownObjects(table=table, checked=(catalog_number,))


def known_objects_for_exposures(
    *,
    exposures: Sequence[Exposure],
    url: str = ENDPOINT,
    observer: str,
    fov_dimensions_deg: tuple[float, float] = (0.0, 0.0),
    margin_arcsec: float = MARGIN_ARCSEC,
    time_limit_s: float = 60.0,
    at_once: int = AT_ONCE,
    retries: int = 2,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    fetch: Fetch = fetch_page,
) -> KnownObjects:
    """Ask for each exposure of a sequence at its own mid-time, two at a time.

    One query per exposure is right for any motion and any gap between exposures, and a failure costs one
    exposure. As soon as all queries of a round have failed, the rest is not asked.

    Parameters
    ----------
    exposures : sequence of Exposure
        In the order of their CATALOG_NUMBER, which counts from 1.
    url : str
        Address of the service, without parameters.
    observer : str
        OBSERVATORY_CODE.
    fov_dimensions_deg : tuple of float
        FOV_DIMENSIONS: the box to ask for around the centre of each exposure, degrees, taken as it is;
        with 0 the cone around the real footprint of its chips and the margin.
    margin_arcsec : float
        Added to the footprint's radius.
    time_limit_s : float
        Wall seconds for each exposure, retries and pauses included.
    at_once : int
        Queries at a time.
    retries : int
        Further attempts after a failed one.
    pause : callable
        Waits so many seconds between attempts: 2, then 6, then 18...
    clock : callable
        Seconds that only grow.
    fetch : callable
        Gets a URL's body within a time limit.

    Returns
    -------
    KnownObjects
        `checked` and `unchecked` tell which exposures were answered for, and why the others were not.

    Raises
    ------
    ServiceUnavailable
        Not one exposure was answered for.
    Misconfigured
        `observer` is no observatory code, or `url` no web address.
    """

    def ask(number: int) -> KnownObjects:
        exposure = exposures[number - 1]
        deadline = clock() + time_limit_s
        wait = _FIRST_PAUSE_S
        attempt = 0
        while True:
            radius, box = _field(exposure, fov_dimensions_deg, margin_arcsec, 1.0 + _WIDENING * attempt)
            try:
                return query_cone(
                    url=url,
                    ra_deg=exposure.ra_deg,
                    dec_deg=exposure.dec_deg,
                    radius_arcsec=radius,
                    box_deg=box,
                    mjd_mid=exposure.mjd_mid,
                    observer=observer,
                    time_limit_s=deadline - clock(),
                    catalog_number=number,
                    fetch=fetch,
                )
            except ServiceUnavailable as error:
                if attempt == retries or clock() + wait >= deadline:
                    return unchecked({number: error.message})
            pause(wait)
            wait *= _PAUSE_GROWTH
            attempt += 1

    answers: list[KnownObjects] = []
    numbers = range(1, len(exposures) + 1)
    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="skybot") as pool:
        for start in range(0, len(exposures), at_once):
            this_round = list(pool.map(ask, numbers[start : start + at_once]))
            answers += this_round
            if not any(answer.checked for answer in this_round):
                (reason,) = this_round[-1].unchecked.values()
                rest = numbers[start + at_once :]
                answers.append(unchecked(dict.fromkeys(rest, f"not asked any more after: {reason}")))
                break
    known = KnownObjects.joined(answers)
    if known.unchecked and not known.checked:
        raise ServiceUnavailable(next(iter(known.unchecked.values())))
    return known


def _field(
    exposure: Exposure, fov_dimensions_deg: tuple[float, float], margin_arcsec: float, widening: float
) -> tuple[float | None, tuple[float, float] | None]:
    """Radius in arcsec, or the box in degrees, to ask for around the centre of an exposure."""
    if min(fov_dimensions_deg) > 0.0:
        return None, (fov_dimensions_deg[0] * widening, fov_dimensions_deg[1] * widening)
    corners = np.array([corner for chip in exposure.chips for corner in chip.corners_deg]).reshape(-1, 2)
    reach = separation_arcsec(exposure.ra_deg, exposure.dec_deg, corners[:, 0], corners[:, 1])
    half_diagonal = 0.5 * math.hypot(exposure.width_deg, exposure.height_deg) * ARCSEC_PER_DEG
    return (max(half_diagonal, *reach.tolist()) + margin_arcsec) * widening, None
