"""One writer per target: an flock(2) that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import IO

from ssosd.errors import Misconfigured
from ssosd.plumbing.files import write_failure

_TRIES = 5
_BETWEEN_TRIES_S = 0.05


class TargetLock:
    """Held as long as the context lasts.

    Parameters
    ----------
    target : Path
        The target folder.
    purpose : str
        What the holder does, for those who find the lock taken: "run" or "replay".
    now : datetime
        Written into the lock file for people.

    Raises
    ------
    Misconfigured
        Another process holds it, the message says which; or there can be no lock, as in a folder of another
        user.
    Retriable
        The disk is full.
    """

    def __init__(self, target: Path, *, purpose: str, now: datetime) -> None:
        self.path = target / ".ssosd" / "lock"
        self._note = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "purpose": purpose,
            "since": now.isoformat(),
        }
        self._file: IO[bytes] | None = None

    def __enter__(self) -> TargetLock:
        with ExitStack() as on_failure:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                file = on_failure.enter_context(self.path.open("a+b", buffering=0))
                _take(file)
                file.truncate(0)
                file.write(json.dumps(self._note).encode())
            except BlockingIOError as error:
                raise Misconfigured(
                    f"{self.path.parent.parent}: in use by {holder(self.path)}",
                    next_step="stop it, wait for its end, or give another target with -t",
                ) from error
            except OSError as error:
                raise write_failure(self.path, error) from error
            self._file = file
            on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _take(file: IO[bytes]) -> None:
    """Lock a file; one who only asks (`is_held`) has it for an instant, so try a few times."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        sleep(_BETWEEN_TRIES_S)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: Path) -> str:
    """Who wrote the lock file, as one phrase."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "another process"
    return f"ssosd {note['purpose']}, process {note['pid']} on {note['host']} since {note['since']}"


def is_held(path: Path) -> bool:
    """Whether a live process holds the lock file, without taking it."""
    try:
        with path.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
