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
    return bool(config["MAIL_TO"] or config["APPRISE_CONFIG"])


def mail_night(folder: Path, *, config: Config) -> None:
    """Send what lies in a night's folder to MAIL_TO and APPRISE_CONFIG.

    Raises
    ------
    BadInput
        The summary or the report is not there.
    Misconfigured, ServiceUnavailable
        As `ssosd.plumbing.mail` has it.
    """
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
    if config["MAIL_TO"]:
        fits = len(page) <= _LARGEST
        body = text if fits else f"{text}\nThe report is too large for a mail: {folder / REPORT_NAME}\n"
        attached = [(f"{summary['night']}.html", page)] if fits else []
        host, port = config["SMTP_SERVER"].rsplit(":", 1)
        send_mail(
            compose(
                sender=config["MAIL_FROM"],
                to=config["MAIL_TO"],
                subject=subject,
                text=body,
                attached=attached,
            ),
            Server(
                host=host,
                port=int(port),
                security=config["SMTP_SECURITY"],
                login=config["SMTP_LOGIN"],
                time_limit_s=config["MAIL_TIME_LIMIT"],
            ),
        )
    if config["APPRISE_CONFIG"]:
        send_note(config["APPRISE_CONFIG"], title=subject, text="\n".join(text.splitlines()[:_HEAD_LINES]))


class NightMails:
    """Tells people of each night once, and tries again what failed; none of it holds the night up.

    Parameters
    ----------
    errands : Errands
    store : Store
    """

    def __init__(self, errands: Errands, *, store: Store) -> None:
        self._errands = errands
        self._store = store
        self._under_way: set[str] = set()
        self._failed: dict[str, tuple[int, float]] = {}  # night to its tries and the time (s) of the next

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
        if night in self._under_way or not is_wanted(station.config) or self._store.is_mailed(night):
            return
        tries, next_s = self._failed.get(night, (0, 0.0))
        if tries >= station.config["TRIES"]:
            return
        if next_s > now_s:
            again(next_s - now_s)
            return
        self._under_way.add(night)

        def then(outcome: SsosdError | None) -> None:
            self._under_way.discard(night)
            if outcome is None:
                self._store.record_mailed(night)
                log.info("told of the night %s", night)
                return
            delay_s = station.config["RETRY_DELAY"] * 2.0**tries
            self._failed[night] = (tries + 1, now_s + delay_s)
            self._store.event("warning", f"mail of {night}", str(outcome))
            log.warning("nobody was told of the night %s: %s", night, outcome)
            again(delay_s)

        self._errands.send(
            executor,
            partial(mail_night, station.target / night, config=station.config),
            station=station,
            then=then,
        )
