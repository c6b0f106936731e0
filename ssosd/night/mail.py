"""The morning mail: a night's summary to those who want it, once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from ssosd.config import Config
from ssosd.errands import Errands
from ssosd.errors import BadInput, SsosdError
from ssosd.plumbing.mail import Server, compose, send_mail, send_note
from ssosd.plumbing.text import counted
from ssosd.reports.morning.page import REPORT_NAME
from ssosd.station import Station
from ssosd.store import Store

log = logging.getLogger("ssosd.daemon")

#: A larger report is not attached: many servers refuse it.
_LARGEST = 7_000_000
_HEAD_LINES = 7  # of the summary: what is told by apprise


def is_wanted(config: Config) -> bool:
    """Whether anybody wants to be told of a night."""
    return bool(_wanted(config))


def mail_night(folder: Path, *, config: Config) -> tuple[str, ...]:
    """Send what lies in a night's folder to MAIL_TO.

    Returns
    -------
    tuple of str
        Those of MAIL_TO whom the server refused, with its reasons.

    Raises
    ------
    BadInput
        The summary or the report is not there.
    Misconfigured, ServiceUnavailable
        As `ssosd.plumbing.mail.send_mail` has it.
    """
    subject, text, page = _news(folder)
    fits = len(page) <= _LARGEST
    body = text if fits else f"{text}\nThe report is too large for a mail: {folder / REPORT_NAME}\n"
    attached = [(f"{folder.name}.html", page)] if fits else []
    host, port = config["SMTP_SERVER"].rsplit(":", 1)
    return send_mail(
        compose(
            sender=config["MAIL_FROM"], to=config["MAIL_TO"], subject=subject, text=body, attached=attached
        ),
        Server(
            host=host,
            port=int(port),
            security=config["SMTP_SECURITY"],
            login=config["SMTP_LOGIN"],
            time_limit_s=config["MAIL_TIME_LIMIT"],
        ),
    )


def note_night(folder: Path, *, config: Config) -> tuple[str, ...]:
    """Tell those whom APPRISE_CONFIG names the head of a night's summary; nobody can be refused alone.

    Raises
    ------
    BadInput
        The summary or the report is not there.
    Misconfigured, ServiceUnavailable
        As `ssosd.plumbing.mail.send_note` has it.
    """
    subject, text, _ = _news(folder)
    send_note(config["APPRISE_CONFIG"], title=subject, text="\n".join(text.splitlines()[:_HEAD_LINES]))
    return ()


#: Ways to tell of a night, by the parameter that asks for it.
_WAYS: dict[str, Callable[..., tuple[str, ...]]] = {"MAIL_TO": mail_night, "APPRISE_CONFIG": note_night}


def _wanted(config: Config) -> list[str]:
    return [way for way in _WAYS if config[way]]


def _news(folder: Path) -> tuple[str, str, str]:
    """Subject, summary and report of a night."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        text = (folder / "summary.txt").read_text(encoding="utf-8")
        page = (folder / REPORT_NAME).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{folder}: no report to be sent: {error}") from error
    found = summary["candidates"]
    subject = (
        f"ssosd {summary['night']}: {counted(found['total'], 'candidate')}, {found['unknown']} unknown, "
        f"{found['unchecked']} unchecked"
    )
    return subject, text, page


class NightMails:
    """Tells people of each night once, and tries again what failed; none of it holds the night up.

    Each way to tell counts its own tries: those whom the mail has reached are not sent it again because a
    note could not be delivered, nor by a daemon that was started meanwhile.

    Parameters
    ----------
    errands : Errands
    store : Store
    """

    def __init__(self, errands: Errands, *, store: Store) -> None:
        self._errands = errands
        self._store = store
        self._under_way: set[tuple[str, str]] = set()  # (night, way)
        self._failed: dict[tuple[str, str], tuple[int, float]] = {}  # its tries and the time (s) of the next

    def send_if_due(
        self,
        night: str,
        *,
        now_s: float,
        station: Station,
        executor: Executor,
        again: Callable[[float], None],
    ) -> None:
        """Send a night's mail unless that is done, under way, not wanted, or to be tried later.

        Parameters
        ----------
        night : str
            Its summary and report are written.
        now_s : float
        station : Station
        executor : Executor
            Where it is sent.
        again : callable
            Told after how many seconds this is to be called again for the night.
        """
        if self._store.is_mailed(night):
            return
        for way in _wanted(station.config):
            if (night, way) not in self._under_way and way not in self._store.told_by(night):
                self._send(night, way, now_s, station, executor, again)

    def clock_put_back(self, back_s: float) -> None:
        """What failed is tried again when it would have been."""
        self._failed = {way: (tries, at_s - back_s) for way, (tries, at_s) in self._failed.items()}

    def _send(
        self,
        night: str,
        way: str,
        now_s: float,
        station: Station,
        executor: Executor,
        again: Callable[[float], None],
    ) -> None:
        tries, next_s = self._failed.get((night, way), (0, 0.0))
        if tries >= station.config["TRIES"]:
            return
        if next_s > now_s:
            again(next_s - now_s)
            return
        self._under_way.add((night, way))

        def then(outcome: SsosdError | tuple[str, ...]) -> None:
            self._under_way.discard((night, way))
            if isinstance(outcome, SsosdError):
                delay_s = station.config["RETRY_DELAY"] * 2.0**tries
                self._failed[night, way] = (tries + 1, now_s + delay_s)
                self._warn(night, way, str(outcome))
                again(delay_s)
            else:
                self._store.record_told(night, way)
                log.info("told of the night %s: %s", night, way)
                if outcome:
                    self._warn(night, way, f"refused for {'; '.join(outcome)}")
            self._note_end(night, station.config)

        self._errands.send(
            executor,
            partial(_WAYS[way], station.target / night, config=station.config),
            station=station,
            then=then,
        )

    def _warn(self, night: str, way: str, what: str) -> None:
        self._store.event("warning", f"mail of {night}", f"{way}: {what}")
        log.warning("not all were told of the night %s: %s: %s", night, way, what)

    def _note_end(self, night: str, config: Config) -> None:
        """Remember for good that people were told, as soon as nothing is left to try."""
        ways = set(_wanted(config))
        given_up = {way for way in ways if self._failed.get((night, way), (0, 0.0))[0] >= config["TRIES"]}
        told = self._store.told_by(night) & ways
        if told and told | given_up >= ways:
            self._store.record_mailed(night)
