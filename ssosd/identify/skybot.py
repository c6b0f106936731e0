"""Ask SkyBoT, the sky body tracker of the IMCCE, which known objects were in an exposure at its mid-time.

Protocol: https://ssp.imcce.fr/webservices/skybot/api/conesearch; the service: Berthier et al. 2006, ASPC 351,
367. Why this is no call of astroquery: docs/decisions/0003-skybot-client.md.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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

NOT_ASKED = "SkyBoT rests after failures and was not asked"

_JD_OF_MJD = 2400000.5
_FIRST_PAUSE_S = 2.0
_PAUSE_GROWTH = 3.0
_WIDENING = (
    0.01  # of the radius per retry: some radii of some fields fail every time, astropy/astroquery#3119
)
_SITE_CODE = re.compile(r"[0-9A-Za-z]{3}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What SkyBoT is asked once."""

    url: str  # of the service, without parameters
    observer: str  # observatory code
    mjd_mid: float  # epoch, UTC MJD
    ra_deg: float  # centre, ICRS
    dec_deg: float
    radius_arcsec: float | None = None  # of the cone
    box_deg: tuple[float, float] | None = None  # or extent of the box in RA and Dec, as FOV_DIMENSIONS

    @property
    def address(self) -> str:
        """The question as a web address.

        Raises
        ------
        Misconfigured
            `observer` is no observatory code.
        """
        if not _SITE_CODE.fullmatch(self.observer):
            raise Misconfigured(
                f"OBSERVATORY_CODE {self.observer!r} is not a code of three letters or digits",
                next_step="e.g. 688",
            )
        asked = {
            "-ep": f"{self.mjd_mid + _JD_OF_MJD:.9f}",  # UTC
            "-ra": f"{self.ra_deg % 360.0:.7f}",
            "-dec": f"{self.dec_deg:.7f}",
            "-observer": self.observer,  # not -loc, which takes coordinates: astropy/astroquery#3515
            "-filter": f"{MAX_ERROR_ARCSEC:g}",
            "-objFilter": "111",  # asteroids, planets with their satellites, comets
            "-refsys": "EQJ2000",
            "-output": "basic",
            "-mime": "votable",
            "-from": "ssosd",
        }
        if self.box_deg is not None:
            asked["-bd"] = f"{self.box_deg[0]:g}x{self.box_deg[1]:g}"
        elif self.radius_arcsec is not None:
            asked["-rs"] = f"{self.radius_arcsec:.1f}"
        else:
            raise ValueError("either radius_arcsec or box_deg")
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(asked)}"

    @property
    def digest(self) -> str:
        """Name of the question where answers are kept."""
        return hashlib.blake2b(self.address.encode(), digest_size=16).hexdigest()

    def widened(self, factor: float) -> Question:
        """The same with a larger field."""
        if self.box_deg is not None:
            return replace(self, box_deg=(self.box_deg[0] * factor, self.box_deg[1] * factor))
        return replace(self, radius_arcsec=(self.radius_arcsec or 0.0) * factor)

    def read(self, body: bytes, *, catalog_number: int = 1) -> KnownObjects:
        """Known objects of a reply, which has to answer this very question.

        Parameters
        ----------
        body : bytes
        catalog_number : int
            The exposure's number, written into the column CATALOG_NUMBER.

        Raises
        ------
        ServiceUnavailable
            It does not; the message is short and says why.
        """
        table = parse_reply(
            body,
            observer=self.observer,
            mjd_mid=self.mjd_mid,
            ra_deg=self.ra_deg % 360.0,
            dec_deg=self.dec_deg,
            catalog_number=catalog_number,
        )
        return KnownObjects(table=table, checked=(catalog_number,))


def question_for(
    exposure: Exposure,
    *,
    url: str = ENDPOINT,
    observer: str,
    fov_dimensions_deg: tuple[float, float] = (0.0, 0.0),
    margin_arcsec: float = MARGIN_ARCSEC,
) -> Question:
    """Ask for an exposure at its mid-time: its FOV_DIMENSIONS, or a cone that holds all its chips."""
    where = {"url": url, "observer": observer, "mjd_mid": exposure.mjd_mid}
    centre = {"ra_deg": exposure.ra_deg, "dec_deg": exposure.dec_deg}
    if min(fov_dimensions_deg) > 0.0:
        return Question(**where, **centre, box_deg=fov_dimensions_deg)  # type: ignore[arg-type]
    corners = np.array([corner for chip in exposure.chips for corner in chip.corners_deg]).reshape(-1, 2)
    reach = separation_arcsec(exposure.ra_deg, exposure.dec_deg, corners[:, 0], corners[:, 1])
    half_diagonal = 0.5 * math.hypot(exposure.width_deg, exposure.height_deg) * ARCSEC_PER_DEG
    radius = max(half_diagonal, *reach.tolist()) + margin_arcsec
    return Question(**where, **centre, radius_arcsec=radius)  # type: ignore[arg-type]


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
    memory: MutableMapping[str, bytes] | None = None,
    ask: bool = True,
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
    memory : mutable mapping, optional
        Replies that are known already, by `Question.digest`; those that come are added.
    ask : bool
        Whether what is not in the memory is asked at all.
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
    Misconfigured
        `observer` is no observatory code, or `url` no web address.
    """
    memory = {} if memory is None else memory
    questions = {
        number: question_for(
            exposure,
            url=url,
            observer=observer,
            fov_dimensions_deg=fov_dimensions_deg,
            margin_arcsec=margin_arcsec,
        )
        for number, exposure in enumerate(exposures, start=1)
    }
    answers, to_ask = [], []
    for number, question in questions.items():
        try:
            answers.append(question.read(memory.get(question.digest, b""), catalog_number=number))
        except ServiceUnavailable:  # never asked, or no answer to this question
            to_ask.append(number)
    if not ask:
        return KnownObjects.joined([*answers, unchecked(dict.fromkeys(to_ask, NOT_ASKED))])

    def one(number: int) -> KnownObjects:
        deadline = clock() + time_limit_s
        wait = _FIRST_PAUSE_S
        attempt = 0
        while True:
            asked = questions[number].widened(1.0 + _WIDENING * attempt)
            try:
                body = fetch(asked.address, deadline - clock())
                answer = asked.read(body, catalog_number=number)
            except ServiceUnavailable as error:
                if attempt == retries or clock() + wait >= deadline:
                    return unchecked({number: error.message})
            else:
                memory[questions[number].digest] = body
                return answer
            pause(wait)
            wait *= _PAUSE_GROWTH
            attempt += 1

    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="skybot") as pool:
        for start in range(0, len(to_ask), at_once):
            this_round = list(pool.map(one, to_ask[start : start + at_once]))
            answers += this_round
            if not any(answer.checked for answer in this_round):
                (reason,) = this_round[-1].unchecked.values()
                rest = to_ask[start + at_once :]
                answers.append(unchecked(dict.fromkeys(rest, f"not asked any more after: {reason}")))
                break
    return KnownObjects.joined(answers)
