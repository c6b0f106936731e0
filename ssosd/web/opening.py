"""`ssosd inspect` and `ssosd status --web`: find what is meant, serve or show it until told to stop."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from ssosd.errors import BadInput
from ssosd.status import Status, read_status
from ssosd.store import STORE_NAME, Store
from ssosd.web.app import Library, inspector_app, live_app
from ssosd.web.describe import Json
from ssosd.web.night import Nights
from ssosd.web.scribe import Scribe
from ssosd.web.serve import Served, serve
from ssosd.web.subject import Subject
from ssosd.web.table import NAME, TableSubject, find_table
from ssosd.web.terminal import inspect_in_terminal


@dataclass(frozen=True, kw_only=True, slots=True)
class Meant:
    """What a person wants to inspect."""

    target: Path | None  # of a night; None for a table
    name: str  # the night's date, or the name of the table's subject
    table: Path | None  # None for a night


class OneTable:
    """A library of one table."""

    def __init__(self, subject: TableSubject) -> None:
        self._subject = subject

    def names(self) -> list[Json]:
        """The one."""
        return [{"name": NAME, "candidates": None, "judged": None}]

    def subject(self, name: str) -> Subject:
        """The table by its name; BadInput for any other."""
        if name != NAME:
            raise BadInput(f"{name}: no such table")
        return self._subject


def find_meant(what: str | None, target: Path) -> Meant:
    """What NIGHT or PATH means.

    Parameters
    ----------
    what : str, optional
        A night of the target's store; or a path: a target or anything in it means a night of that target
        (whose candidates.csv is written from the store, so that verdicts belong there), any other folder or
        file a table of candidates. Not given: the target's latest night with candidates.
    target : Path

    Raises
    ------
    BadInput
        There is nothing of the kind.
    """
    if what is None or (what in _nights(target)):
        return _night(target, what)
    path = Path(what).expanduser().absolute()
    for folder in (path, *path.parents):
        if (folder / STORE_NAME).is_file():
            below = path.relative_to(folder).parts
            if not below:
                return _night(folder, None)
            if below[0] in _nights(folder):
                return _night(folder, below[0])
    if not path.exists():
        known = ", ".join(_nights(target)) or "none"
        raise BadInput(f"{what}: no such night, file or folder", next_step=f"nights in {target}: {known}")
    return Meant(target=None, name=NAME, table=find_table(path))


@contextmanager
def library_of(meant: Meant) -> Iterator[Library]:
    """What is meant, opened; a night's files are up to date with its verdicts when the context ends."""
    if meant.table is not None:
        yield OneTable(TableSubject(meant.table))
    elif meant.target is not None:
        scribe = Scribe(meant.target)
        scribe.start()
        scribe.wanted(meant.name)  # a former inspector may have been killed
        try:
            yield Nights(meant.target, scribe=scribe)
        finally:
            scribe.stop()


def inspect(
    meant: Meant, *, person: str | None, host: str, port: int | None, say: Callable[[Served], None]
) -> None:
    """Serve the inspector until Ctrl-C or SIGTERM."""
    status = None if meant.target is None else partial(_status, meant.target)
    with library_of(meant) as library:
        app = inspector_app(library, first=meant.name, person=person or getpass.getuser(), status=status)
        serve(app, host=host, port=port, say=say, wait=_until_told())


def inspect_here(meant: Meant, *, person: str | None) -> int:
    """Inspect in this terminal; returns how many candidates have no verdict yet.

    Raises
    ------
    BadInput
        This is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("--terminal: this is no terminal", next_step="leave it out to inspect in a browser")
    with library_of(meant) as library:
        return inspect_in_terminal(
            library.subject(meant.name),
            person=person or getpass.getuser(),
            console=Console(),
            next_key=click.getchar,
        )


def show_live(target: Path, *, host: str, port: int | None, say: Callable[[Served], None]) -> None:
    """Serve the live page until Ctrl-C or SIGTERM."""
    serve(live_app(partial(_status, target)), host=host, port=port, say=say, wait=_until_told())


def tunnel(served: Served) -> str | None:
    """What to type at home when this is an SSH session; None when it is not."""
    if "SSH_CONNECTION" not in os.environ:
        return None
    here = os.environ["SSH_CONNECTION"].split()[2]
    return f"ssh -L {served.port}:127.0.0.1:{served.port} {getpass.getuser()}@{here}"


def _until_told() -> Callable[[], None]:
    """Waits for SIGTERM; Ctrl-C interrupts it."""
    told = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, stop)

    def wait() -> None:
        told.wait()

    return wait


def _status(target: Path) -> Status:
    return read_status(target, now_s=time.time())


def _nights(target: Path) -> list[str]:
    path = target / STORE_NAME
    if not path.is_file():
        return []
    with Store(path) as store:
        return [
            row["night"] for row in store.rows("SELECT DISTINCT night FROM sequences ORDER BY night DESC")
        ]


def _night(target: Path, name: str | None) -> Meant:
    target = target.expanduser().absolute()
    if name is None:
        nights = _nights(target)
        if not nights:
            raise BadInput(
                f"{target}: no night here", next_step="give a target folder with -t, or a table of candidates"
            )
        with Store(target / STORE_NAME) as store:
            latest = store.rows("SELECT max(night) AS night FROM candidates")[0]["night"]
        name = latest or nights[0]
    return Meant(target=target, name=name, table=None)
