"""Ask SkyBoT, the sky body tracker of the IMCCE, which known objects were in an exposure at its mid-time.

Protocol: https://ssp.imcce.fr/webservices/skybot/api/conesearch; the service: Berthier et al. 2006, ASPC 351,
367. Why this is no call of astroquery: docs/decisions/0003-skybot-client.md.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlencode

import numpy as np

from ssosd.errors import Misconfigured, ServiceUnavailable, Unreachable
from ssosd.identify.between import interpolate
from ssosd.identify.known import KnownObjects, unchecked
from ssosd.identify.skybot_reply import parse_reply
from ssosd.model import Exposure
from ssosd.plumbing.background import begin
from ssosd.plumbing.fetch import fetch as fetch_page
from ssosd.sphere import ARCSEC_PER_DEG, mean_position, separation_arcsec

ENDPOINT = "https://ssp.imcce.fr/webservices/skybot/api/conesearch.php"

#: Asks for a URL within so many seconds and gives the body; `ssosd.plumbing.fetch.fetch` or a test's own.
Fetch = Callable[[str, float], bytes]

AT_ONCE = 2  # queries at a time that the service tolerates
MAX_ERROR_ARCSEC = 120.0  # objects known less well than this are not asked for (the service's own default)
MARGIN_ARCSEC = 120.0  # around the footprint: the header's pointing error and the objects' uncertainty

NOT_ASKED = "SkyBoT rests after failures and was not asked"

_JD_OF_MJD = 2400000.5
_FIRST_PAUSE_S = 2.0
_PAUSE_GROWTH = 3.0
_UNREACHED = 1  # retries without any connection: the network is down, and who asks later asks again
_WIDENING = (
    0.01  # of the radius per retry: some radii of some fields fail every time, astropy/astroquery#3119
)
_MANY = 5  # exposures that are asked for with three questions
_LONGEST_DAYS = 4.0 / 24.0  # between the first and the last of these
_ROOM_ARCSEC = 300.0  # more than what a main-belt object moves in that time
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
    """Ask for the exposures of a sequence, two questions at a time.

    Five exposures or more of one field, within four hours, are asked for with three questions, between which
    the places are interpolated where that keeps 0.1" (`ssosd.identify.between`). Where it does not, each of
    the others is asked for at its own mid-time, which is right for any motion and any gap. As soon as all
    queries of a round have failed, the rest is not asked.

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
        Further attempts after a failed one; one at most where there is no connection at all.
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
    each = {
        number: question_for(
            exposure,
            url=url,
            observer=observer,
            fov_dimensions_deg=fov_dimensions_deg,
            margin_arcsec=margin_arcsec,
        )
        for number, exposure in enumerate(exposures, start=1)
    }
    asker = _Asker(
        memory=memory,
        ask=ask,
        time_limit_s=time_limit_s,
        at_once=at_once,
        retries=retries,
        pause=pause,
        clock=clock,
        fetch=fetch,
    )
    nodes = {i + 1: question for i, question in node_questions(list(each.values()))}
    told = asker.answer(nodes)
    if nodes and not told.unchecked:
        known = interpolate(
            [(question.mjd_mid, told.of(number)) for number, question in nodes.items()],
            mjd=[question.mjd_mid for question in each.values()],
            ra_deg=[question.ra_deg for question in each.values()],
            dec_deg=[question.dec_deg for question in each.values()],
            radius_arcsec=[question.radius_arcsec or 0.0 for question in each.values()],
        )
        if known is not None:
            return known
    rest = {number: question for number, question in each.items() if number not in nodes}
    if told.unchecked:
        reason = f"not asked after: {next(iter(told.unchecked.values()))}"
        return KnownObjects.joined([_within(told, each), unchecked(dict.fromkeys(rest, reason))])
    return KnownObjects.joined([_within(told, each), asker.answer(rest)])


def _within(known: KnownObjects, each: Mapping[int, Question]) -> KnownObjects:
    """What a wider question found, as far as it is in the circles of the exposures' own."""
    table = known.table
    own = [each[number] for number in table["CATALOG_NUMBER"].tolist()]
    away = separation_arcsec(
        [q.ra_deg for q in own], [q.dec_deg for q in own], table["RA"].to_numpy(), table["DEC"].to_numpy()
    )
    inside = away <= np.array([q.radius_arcsec or 0.0 for q in own])
    return replace(known, table=table[inside].reset_index(drop=True))


def node_questions(each: Sequence[Question]) -> list[tuple[int, Question]]:
    """Three questions that stand for those of many exposures, with the exposure (from 0) of each.

    The first, the middle and the last epoch, in a cone around all. None for fewer than five exposures, for a
    box, and where the exposures are too far apart in time or place.
    """
    first, last = (min(each, key=_epoch), max(each, key=_epoch)) if each else (None, None)
    if first is None or last is None or len(each) < _MANY or any(q.radius_arcsec is None for q in each):
        return []
    ra, dec = mean_position([q.ra_deg for q in each], [q.dec_deg for q in each])
    away = separation_arcsec(ra, dec, [q.ra_deg for q in each], [q.dec_deg for q in each])
    own = np.array([q.radius_arcsec for q in each], dtype=np.float64)
    if last.mjd_mid - first.mjd_mid > _LONGEST_DAYS or away.max() > own.min():
        return []
    centre = 0.5 * (first.mjd_mid + last.mjd_mid)
    middle = min(each, key=lambda q: (abs(q.mjd_mid - centre), q.mjd_mid))
    if not first.mjd_mid < middle.mjd_mid < last.mjd_mid:
        return []
    where = {"ra_deg": ra, "dec_deg": dec, "radius_arcsec": float((away + own).max()) + _ROOM_ARCSEC}
    return [(each.index(q), replace(q, **where)) for q in (first, middle, last)]  # type: ignore[arg-type]


def _epoch(question: Question) -> float:
    return question.mjd_mid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Asker:
    """Asks questions two at a time, and remembers the replies."""

    memory: MutableMapping[str, bytes]
    ask: bool
    time_limit_s: float
    at_once: int
    retries: int
    pause: Callable[[float], None]
    clock: Callable[[], float]
    fetch: Fetch

    def answer(self, questions: Mapping[int, Question]) -> KnownObjects:
        """Replies to questions by number; as soon as all of a round have failed, the rest is not asked."""
        answers, to_ask = [], []
        for number, question in questions.items():
            try:
                kept = self.memory.get(question.digest, b"")
                answers.append(question.read(kept, catalog_number=number))
            except ServiceUnavailable:  # never asked, or no answer to this question
                to_ask.append(number)
        if not self.ask:
            return KnownObjects.joined([*answers, unchecked(dict.fromkeys(to_ask, NOT_ASKED))])
        for start in range(0, len(to_ask), self.at_once):
            numbers = to_ask[start : start + self.at_once]
            begun = [begin(partial(self._one, n, questions[n]), name=f"skybot {n}") for n in numbers]
            this_round = [answer.result() for answer in begun]
            answers += this_round
            if not any(answer.checked for answer in this_round):
                (reason,) = this_round[-1].unchecked.values()
                rest = to_ask[start + self.at_once :]
                answers.append(unchecked(dict.fromkeys(rest, f"not asked any more after: {reason}")))
                break
        return KnownObjects.joined(answers)

    def _one(self, number: int, question: Question) -> KnownObjects:
        deadline = self.clock() + self.time_limit_s
        wait = _FIRST_PAUSE_S
        attempt = 0
        while True:
            asked = question.widened(1.0 + _WIDENING * attempt)
            try:
                body = self.fetch(asked.address, deadline - self.clock())
                answer = asked.read(body, catalog_number=number)
            except ServiceUnavailable as error:
                most = min(self.retries, _UNREACHED) if isinstance(error, Unreachable) else self.retries
                if attempt == most or self.clock() + wait >= deadline:
                    return unchecked({number: error.message})
            else:
                self.memory[question.digest] = body
                return answer
            self.pause(wait)
            wait *= _PAUSE_GROWTH
            attempt += 1
