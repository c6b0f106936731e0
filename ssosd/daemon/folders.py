"""Folders that cannot be read, the data folder above all: each is told of once, and when it is back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_PUT_BACK = "mount it, put it back or let the user of the daemon read it: every scan looks for it"
_LET_IN = "let the user of the daemon read it (docs/daemon.md), or name it in EXCLUDE"


class News(NamedTuple):
    """An event."""

    level: str
    subject: str
    message: str


class Folders:
    """What is known of the data folder and those in it.

    Parameters
    ----------
    root : Path
        The data folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._told: set[str] = set()
        self._device: int | None = None  # of the file system on which the data folder has had something
        #: Why the data folder is not there; "" when it is.
        self.away = ""

    def news(self, unreadable: Mapping[str, str]) -> list[News]:
        """What a scan tells that those before it did not.

        Parameters
        ----------
        unreadable : mapping
            Folders that it could not read, and why.
        """
        root = str(self._root)
        former, self.away = self.away, self._why_away(unreadable.get(root, ""))
        if self.away:  # nothing is known of what is in it
            return [News("warning", root, f"{self.away} ({_PUT_BACK})")] if self.away != former else []
        news = [News("info", root, "the data folder is back")] if former else []
        for path in sorted(unreadable.keys() - self._told):
            why = f"its files are not seen: it cannot be read: {unreadable[path]} ({_LET_IN})"
            news.append(News("warning", path, why))
        for path in sorted(self._told - unreadable.keys()):
            news.append(News("info", path, "nothing there is unreadable any more"))  # noqa: PERF401
        self._told = set(unreadable)
        return news

    def _why_away(self, refused: str) -> str:
        """Why; a folder that was cleared is there, an empty one on another file system than before is not."""
        try:
            device = self._root.stat().st_dev
            with os.scandir(self._root) as listing:
                is_empty = next(listing, None) is None
        except (FileNotFoundError, NotADirectoryError):
            return "the data folder is not there"
        except OSError as error:
            refused = error.strerror or str(error)
        if refused:
            return f"the data folder cannot be read: {refused}"
        if not is_empty:
            self._device = device
        elif self._device not in (None, device) and not self._root.resolve().is_mount():
            return "the data folder is not mounted any more"
        return ""
