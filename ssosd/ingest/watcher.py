"""See files arrive: events of the file system are hints, the scan is the truth."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from watchdog.events import DirCreatedEvent, DirMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from ssosd.model import is_fits_name


def is_wanted(path: Path, *, root: Path, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a file is to be looked at: FITS suffix, matches `include`, does not match `exclude`.

    A pattern is compared with the file's name, and with each part and the whole of its path below `root`.
    """
    if not is_fits_name(path.name):
        return False
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    names = {*relative.parts, str(relative)}

    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)

    return matches(include) and not matches(exclude)


def scan(
    root: Path, *, include: Sequence[str], exclude: Sequence[str]
) -> Iterator[tuple[Path, os.stat_result]]:
    """Every wanted file below a folder with its size and times, in alphabetical order.

    Symbolic links to files are followed, to folders not (they may lead in circles). A folder or file that
    vanishes or cannot be read meanwhile is passed over: the next scan sees what there is then.
    """
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:
        return
    yield from _scan(root, entries, include, exclude)


def _scan(
    root: Path, entries: list[os.DirEntry[str]], include: Sequence[str], exclude: Sequence[str]
) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if not any(fnmatch.fnmatchcase(entry.name, pattern) for pattern in exclude):
                    below = sorted(os.scandir(entry.path), key=lambda e: e.name)
                    yield from _scan(root, below, include, exclude)
            elif is_fits_name(entry.name):
                path = Path(entry.path)
                if is_wanted(path, root=root, include=include, exclude=exclude) and entry.is_file():
                    yield path, entry.stat()
        except OSError:
            continue


class Watcher:
    """Hints of files that came or changed, from watchdog; may miss any of them.

    Parameters
    ----------
    root : Path
        Folder to watch, with all its subfolders.
    hint : callable
        Called with each path, from a thread of watchdog.
    rescan : callable
        Called when a whole folder came at once, whose files give no events of their own.
    """

    def __init__(self, root: Path, *, hint: Callable[[Path], None], rescan: Callable[[], None]) -> None:
        self._root = root
        self._handler = _Handler(hint, rescan)
        self._observer: BaseObserver | None = None

    def start(self) -> str:
        """Begin to watch; returns "" or why there are no events here (the scan alone serves then)."""
        observer = Observer()
        try:
            observer.schedule(self._handler, str(self._root), recursive=True)
            observer.start()
        except OSError as error:  # inotify's limits, or a file system without events
            return f"no file events in {self._root} ({error.strerror or error}): the scan alone finds files"
        self._observer = observer
        return ""

    def stop(self) -> None:
        """End watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5.0)
            self._observer = None


class _Handler(FileSystemEventHandler):
    def __init__(self, hint: Callable[[Path], None], rescan: Callable[[], None]) -> None:
        self._hint = hint
        self._rescan = rescan

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, (DirCreatedEvent, DirMovedEvent)):
            self._rescan()
        if event.is_directory or event.event_type in ("opened", "closed_no_write", "deleted"):
            return
        for name in (event.src_path, event.dest_path):
            text = os.fsdecode(name)
            if text and is_fits_name(text):
                self._hint(Path(text))
