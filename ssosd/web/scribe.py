"""Who writes a night's files after a verdict: whoever holds the target, else this process for a moment."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from ssosd.afterwards.rewrite import as_last_run
from ssosd.errors import Misconfigured, SsosdError
from ssosd.night.files import write_night
from ssosd.plumbing.lock import TargetLock, holder, is_held
from ssosd.store import STORE_NAME, Store, utc_now

log = logging.getLogger("ssosd.web")
_WAIT_S = 2.0  # for whoever holds the target
_QUIET_S = 1.0  # without a verdict before files are written: those in quick succession make one writing
_LONGEST_S = 20.0  # that files are put off while verdicts keep coming


class Scribe:
    """Sees to it that candidates.csv and drafts follow the verdicts.

    A daemon on the target sees the store change and writes the files itself; while another process holds the
    target this one only waits for them. Otherwise it takes the target's lock as long as writing takes, and
    writes what the daemon would, with the parameters and data folders of the last run.

    Parameters
    ----------
    target : Path
        The target folder.
    """

    def __init__(self, target: Path) -> None:
        self._target = target.expanduser().absolute()
        self._wanted: dict[str, int] = {}  # nights whose files are old, with a number of the latest change
        self._problem = ""
        self._call = threading.Condition()
        self._ending = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write; a night that a former inspector left old is written when it is judged again."""
        self._thread = threading.Thread(target=self._run, name="scribe", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is still to be written, if nobody else does, and end."""
        with self._call:
            self._ending = True
            self._call.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wanted(self, night: str) -> None:
        """A night's files have become old (called from any thread)."""
        with self._call:
            self._wanted[night] = self._wanted.get(night, 0) + 1
            self._call.notify()

    def state(self, night: str) -> dict[str, str]:
        """Whether the files follow from the verdicts: written, waiting (and for whom) or failed (and why)."""
        if night not in self._wanted:
            return {"state": "written", "detail": ""}
        if self._problem:
            return {"state": "failed", "detail": self._problem}
        lock = self._target / ".ssosd" / "lock"
        return {"state": "waiting", "detail": holder(lock) if is_held(lock) else ""}

    def write(self, night: str) -> bool:
        """Write a night's files if they are old and nobody holds the target; returns whether they are new.

        Raises
        ------
        SsosdError
            They cannot be written.
        """
        with Store(self._target / STORE_NAME) as store:
            if store.is_written(night):
                return True
        with ExitStack() as stack:
            try:
                stack.enter_context(TargetLock(self._target, purpose="inspect", now=utc_now()))
            except Misconfigured:  # somebody else holds it
                return False
            store = stack.enter_context(Store(self._target / STORE_NAME))
            station, folders = as_last_run(store, self._target)
            write_night(night, station=station, store=store, folders=folders, summary=False)
            return True

    def _run(self) -> None:
        try:
            self._work()
        finally:
            if not self._ending:
                self._problem = "the writer has ended by an error of its own; start ssosd inspect again"

    def _work(self) -> None:
        while True:
            with self._call:
                self._call.wait_for(lambda: self._wanted or self._ending)
                self._gather()
                ending, todo = self._ending, dict(self._wanted)
            done = [night for night in todo if self._try(night)]
            with self._call:
                for night in done:
                    if self._wanted[night] == todo[night]:
                        del self._wanted[night]
                if ending:
                    return
                if len(done) < len(todo):
                    self._call.wait_for(lambda: self._ending, timeout=_WAIT_S)

    def _gather(self) -> None:
        """Wait until no verdict has come for a while."""
        late_s = monotonic() + _LONGEST_S
        seen: dict[str, int] = {}
        while not self._ending and seen != self._wanted and monotonic() < late_s:
            seen = dict(self._wanted)
            self._call.wait_for(lambda: self._ending, timeout=_QUIET_S)

    def _try(self, night: str) -> bool:
        """Write a night; returns whether its files are new now."""
        try:
            done, problem = self.write(night), ""
        except (SsosdError, OSError, sqlite3.Error) as error:
            done, problem = False, str(error)
        if problem and problem != self._problem:
            log.warning("the files of %s are not written: %s", night, problem)
        self._problem = problem
        return done
