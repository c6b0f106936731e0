"""The files of orbits of a daemon: fetched anew by day, and made ready for the night before it needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from ssosd.days import DAY_S, mjd_of
from ssosd.errands import Errands
from ssosd.errors import SsosdError
from ssosd.pipeline import Corridor
from ssosd.site import night_of
from ssosd.sun import sun_altitude_deg
from ssosd.work import orbits

log = logging.getLogger("ssosd.daemon")
_FIRST_PAUSE_S = 900.0  # after a download that failed; doubled with each further one
_LONGEST_PAUSE_S = 6 * 3600.0


class OrbitWork:
    """Keeps the orbits fresh and ready, one piece of work at a time. Not thread-safe: one thread owns it.

    Parameters
    ----------
    corridor : Corridor
    errands : Errands
    executor : Executor
        Where files are fetched and prepared.
    """

    def __init__(self, *, corridor: Corridor, errands: Errands, executor: Executor) -> None:
        self._corridor = corridor
        self._errands = errands
        self._executor = executor
        self._busy = False
        self._pause_s: dict[str, float] = {}  # by the file's parameter
        self._not_before_s: dict[str, float] = {}
        self._ready_for = ("", "")  # the night, and what is known in it

    @property
    def _now_s(self) -> float:
        return self._corridor.store.now_s

    @property
    def _now_mjd(self) -> float:
        return mjd_of(self._now_s)

    def clock_put_back(self, back_s: float) -> None:
        """A download that failed is tried again when it would have been."""
        self._not_before_s = {name: at_s - back_s for name, at_s in self._not_before_s.items()}

    def look(self) -> None:
        """Begin what is due: the download of an old file, or the preparation of the night."""
        station = self._corridor.station
        if self._busy or not station.uses_orbits:
            return
        for name in orbits.old_files(station, now_s=self._now_s):
            if self._now_s >= self._not_before_s.get(name, 0.0) and self._may_fetch(name):
                self._send(
                    partial(orbits.refresh, name, station=station, now_s=self._now_s),
                    then=partial(self._on_fetched, name),
                )
                return
        wanted = (night_of(self._now_mjd, station.site.lon_deg), station.known_settings)
        if wanted != self._ready_for:
            self._ready_for = wanted
            self._send(partial(orbits.prepare, self._now_mjd, station=station), then=self._on_prepared)

    def _may_fetch(self, name: str) -> bool:
        """By day; at any time when there is no file, it has aged twice over, or the site has no horizon."""
        station = self._corridor.station
        path = station.orbit_file(name)
        if station.site.geocentric or path is None or not path.exists():
            return True
        age_s = self._now_s - path.stat().st_mtime
        if age_s > 2.0 * DAY_S * station.config["ORBITS_AGE"]:
            return True
        return float(sun_altitude_deg(self._now_mjd, station.site)) > 0.0

    def _send(self, work_to_do: Callable[[], object], *, then: Callable[[object], None]) -> None:
        def done(outcome: object) -> None:
            self._busy = False
            then(outcome)

        self._busy = True
        self._errands.send(self._executor, work_to_do, station=self._corridor.station, then=done)

    def _on_fetched(self, name: str, outcome: object) -> None:
        store = self._corridor.store
        if isinstance(outcome, SsosdError):
            pause_s = self._pause_s.get(name, _FIRST_PAUSE_S)
            self._pause_s[name] = min(2.0 * pause_s, _LONGEST_PAUSE_S)
            self._not_before_s[name] = self._now_s + pause_s
            if store.services().get(download(name), {}).get("state") != "failing":
                store.event("warning", name, f"not fetched: {outcome}")
                log.warning("%s not fetched: %s", name, outcome)
            store.record_service(
                download(name),
                state="failing",
                detail=outcome.message,
                failed_s=self._now_s,
                next_try_s=self._not_before_s[name],
            )
            return
        self._pause_s.pop(name, None)
        store.record_service(
            download(name), state="answering", detail="", answered_s=self._now_s, next_try_s=None
        )
        store.event("info", name, f"fetched: {outcome}")
        log.info("%s fetched: %s", name, outcome)
        store.ask_all_again()
        self.look()

    def _on_prepared(self, outcome: object) -> None:
        station, store = self._corridor.station, self._corridor.store
        if isinstance(outcome, SsosdError):
            store.record_service("ORBITS", state="failing", detail=outcome.message, failed_s=self._now_s)
            store.event("warning", "ORBITS", f"not ready for the night: {outcome}")
            log.warning("orbits are not ready for the night: %s", outcome)
        elif isinstance(outcome, tuple):
            path, no_comets = outcome
            store.record_service(
                "ORBITS", state="answering", detail=str(path), answered_s=path.stat().st_mtime
            )
            self._corridor.inquiry.heard_of_comets(no_comets)
            log.info("orbits of %s are ready for the night", station.config["ORBITS"])


def download(name: str) -> str:
    """Name of the service that a file of orbits is fetched from."""
    return f"{name}_URL"
