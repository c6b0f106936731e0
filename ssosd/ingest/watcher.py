"""See files arrive: events of the file system are hints, the scan is the truth."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat as stat_
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from ssosd.errors import BadInput
from ssosd.model import is_fits_name

Found = tuple[str, os.stat_result]
_OWN_FOLDER = ".ssosd"
_NIGHT = re.compile(r"\d{4}-\d{2}-\d{2}")
_OWN_TABLE = "candidates.fits"
_OWN_PICTURES = frozenset({"cutouts", ".cutouts", "checkplots", "cats"})
_NO_MORE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # it vanished meanwhile, or a link leads nowhere
_AT_ONCE = 512  # files looked at between two breaths
_OF_THE_FILE_SYSTEM = "lost+found"  # root's alone on every ext4 disk, and never an observer's


class Sieve:
    """Which files below a folder are to be looked at.

    A file needs a FITS suffix, and must match `include` and not `exclude`. A pattern (``*``, ``?``,
    ``[a-z]``) is compared with the file's name and with that of each folder above it, alone and as a path
    below the root. Our own results below the target are never taken, nor is what has a name that is not
    UTF-8: the store could not keep it; `nameless` tells of these, and `unreadable` of what the last scan of
    the root was not let into.

    Parameters
    ----------
    root : Path
        The watched folder, absolute.
    include, exclude : sequence of str
        Patterns.
    target : Path, optional
        Where our results go; it may lie inside the root, around it, or be the root.
    breath : callable, optional
        Called again and again during a scan: a million files on a network take minutes.
    """

    def __init__(
        self,
        root: Path,
        *,
        include: Sequence[str],
        exclude: Sequence[str],
        target: Path | None = None,
        breath: Callable[[], None] = lambda: None,
    ) -> None:
        self.root = str(root)
        self._breath = breath
        self._prefix = self.root.rstrip("/") + "/"
        self._all = "*" in include
        self._include = _any_of(include)
        self._exclude = _any_of(exclude) if exclude else None
        self._around = ""  # path of the root below the target, when it is inside or equal: "a/b/" or ""
        self._shares_target = False
        #: Files and folders passed over so far because nobody can write their names down: they are not UTF-8.
        self.nameless: set[str] = set()
        #: Folders that the last scan could not read, and why.
        self.unreadable: dict[str, str] = {}
        self.own_folder: tuple[int, int] | None = None  # device and inode of a target inside the root
        if target is not None:
            self._keep_out(root, target)

    def _keep_out(self, root: Path, target: Path) -> None:
        real_root, real_target = root.resolve(), target.resolve()
        if real_root.is_relative_to(real_target):
            self._shares_target = True
            below = str(real_root.relative_to(real_target))
            self._around = "" if below == "." else below + "/"
        elif real_target.is_relative_to(real_root):
            stat = _stat(str(real_target))
            self.own_folder = None if stat is None else (stat.st_dev, stat.st_ino)
            own = str(real_target.relative_to(real_root))
            self._own_prefix = own + "/"

    def __call__(self, path: str) -> bool:
        """Whether a file of this absolute path is to be looked at."""
        if not is_fits_name(path):
            return False
        relative = path[len(self._prefix) :] if path.startswith(self._prefix) else path
        if self.own_folder is not None and relative.startswith(self._own_prefix):
            return False
        if self._shares_target and _is_result(self._around + relative):
            return False
        names = _names(relative)
        if not self._all and not any(self._include(name) for name in names):
            return False
        left = self._exclude is not None and any(self._exclude(name) for name in names)
        return not left and self._has_a_name(path)

    def enters(self, path: str) -> bool:
        """Whether a folder of this absolute path may hold such files."""
        relative = path[len(self._prefix) :] if path.startswith(self._prefix) else path
        if self.own_folder is not None and f"{relative}/".startswith(self._own_prefix):
            return False
        if self._shares_target and (self._around + relative).split("/", 1)[0] == _OWN_FOLDER:
            return False
        left = self._exclude is not None and any(self._exclude(name) for name in _names(relative))
        return not left and self._has_a_name(path)

    def _has_a_name(self, path: str) -> bool:
        if is_writable_name(path):
            return True
        self.nameless.add(path)
        return False

    def scan(self, folder: str | None = None) -> Iterator[Found]:
        """Every wanted file below a folder (default: the root) with its size and times, in no special order.

        Symbolic links are followed, those to folders after all others: each real folder is walked once, so
        links cannot lead in circles. What vanishes meanwhile or cannot be read is passed over: the next scan
        sees what there is then.

        Yields
        ------
        path : str
        stat : os.stat_result
            Of the file itself, not of a link to it.
        """
        if folder is None:
            self.unreadable = {}
        walked = {self.own_folder} if self.own_folder is not None else set()
        links: list[str] = []
        yield from self._walk(folder or self.root, walked, links)
        while links:
            yield from self._walk(links.pop(0), walked, links)

    def _walk(self, folder: str, walked: set[tuple[int, int]], links: list[str]) -> Iterator[Found]:
        pending = [folder]
        while pending:
            here = pending.pop()
            try:
                stat = os.stat(here)  # noqa: PTH116 - of thousands of folders
                if (stat.st_dev, stat.st_ino) in walked:
                    continue
                walked.add((stat.st_dev, stat.st_ino))
                entries: list[os.DirEntry[str]] = []
                self._breath()
                with os.scandir(here) as listing:
                    while some := list(islice(listing, _AT_ONCE)):
                        entries += some
                        self._breath()
            except OSError as error:
                self._pass_over(here, error)
                continue
            for number, entry in enumerate(entries):
                if number % _AT_ONCE == 0:
                    self._breath()
                found = self._sort_out(entry, pending, links)
                if found is not None:
                    yield entry.path, found

    def _sort_out(
        self, entry: os.DirEntry[str], pending: list[str], links: list[str]
    ) -> os.stat_result | None:
        """Put a folder on its list; the state of a wanted file."""
        try:
            if entry.is_dir():
                if self.enters(entry.path):
                    (links if entry.is_symlink() else pending).append(entry.path)
                return None
            if self(entry.path):
                stat = entry.stat()
                return stat if stat_.S_ISREG(stat.st_mode) else None
        except OSError as error:
            self._pass_over(entry.path if entry.is_symlink() else os.path.dirname(entry.path), error)  # noqa: PTH120
        return None

    def _pass_over(self, path: str, error: OSError) -> None:
        """Remember what cannot be read: a folder, or a link into one."""
        if error.errno in _NO_MORE or path.endswith(f"/{_OF_THE_FILE_SYSTEM}"):
            return
        if path == self.root or self.enters(path):
            self.unreadable[path] = error.strerror or str(error)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - of thousands of files
    except OSError:
        return None


def regular_stat(path: str) -> os.stat_result | None:
    """Size and times of a file; None when it is not there or no regular file (a pipe would block us)."""
    stat = _stat(path)
    return stat if stat is not None and stat_.S_ISREG(stat.st_mode) else None


def is_writable_name(path: str) -> bool:
    r"""Whether a path as the system gives it is UTF-8 and can be written into tables.

    >>> is_writable_name("caf\u00e9.fits"), is_writable_name("caf\udce9.fits")
    (True, False)
    """
    return path.isascii() or not any("\ud800" <= char <= "\udfff" for char in path)


def nameless(path: str) -> BadInput:
    """Why a file or folder whose name is not UTF-8 is passed over."""
    shown = path.encode("utf-8", "backslashreplace").decode()
    return BadInput(f"{shown}: passed over: its name is not UTF-8", next_step="give it another name")


def _names(relative: str) -> list[str]:
    """All that a pattern is compared with.

    >>> _names("n1/raw/a.fits")
    ['n1', 'raw', 'a.fits', 'n1/raw', 'n1/raw/a.fits']
    """
    parts = relative.split("/")
    return [*parts, *("/".join(parts[:n]) for n in range(2, len(parts) + 1))]


def _any_of(patterns: Sequence[str]) -> Callable[[str], object]:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match


def _is_result(below_target: str) -> bool:
    """Whether a path below the target is one that we write: <night>/<field>/cutouts/... or .ssosd."""
    parts = below_target.split("/")
    if parts[0] == _OWN_FOLDER:
        return True
    ours = parts[1:] == [_OWN_TABLE] or (len(parts) > 3 and parts[2] in _OWN_PICTURES)
    return ours and bool(_NIGHT.fullmatch(parts[0]))


class Watcher:
    """Hints of files and folders that came or changed, from watchdog; may miss any of them.

    Parameters
    ----------
    root : Path
        Folder to watch, with all its subfolders.
    hint : callable
        Called with the path of a FITS file, or of a folder that came with files of which there are no events
        of their own; from a thread of watchdog.
    """

    def __init__(self, root: Path, *, hint: Callable[[Path], None]) -> None:
        self._root = root
        self._handler = _Handler(hint)
        self._observer: BaseObserver | None = None
        self._watched: tuple[int, int] | None = None  # device and inode of the folder that is watched

    def start(self) -> str:
        """Begin to watch; returns "" or why there are no events here (the scan alone serves then)."""
        self._watched = self._identity()
        observer = Observer()
        folder = str(self._root).rstrip("/") + "/"  # without it a link is watched, not what it leads to
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="watchdog")  # of watches renewed
        try:
            observer.schedule(self._handler, folder, recursive=True)
            observer.start()
        except OSError as error:  # inotify's limits, or a file system without events
            return f"no file events in {self._root} ({error.strerror or error}): the scan alone finds files"
        self._observer = observer
        return ""

    def renew(self) -> str:
        """Watch anew when there is another folder than the one that is watched; returns as `start`.

        A file system may have been mounted over it, a link point elsewhere, the folder have been put back.
        """
        found = self._identity()
        if found is None:
            self._watched = None  # it is to be watched anew even when it comes back as it was
        elif found != self._watched or self._has_ended():
            self.stop()
            return self.start()
        return ""

    def _identity(self) -> tuple[int, int] | None:
        """Which folder it is at present; None when there is none to watch."""
        stat = _stat(str(self._root))
        if stat is None or not os.access(self._root, os.R_OK):
            return None
        return stat.st_dev, stat.st_ino

    def _has_ended(self) -> bool:
        """Whether the folder was deleted; another one may have got its inode."""
        return self._observer is not None and not all(one.is_alive() for one in self._observer.emitters)

    def stop(self) -> None:
        """End watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5.0)
            self._observer = None


class _Handler(FileSystemEventHandler):
    def __init__(self, hint: Callable[[Path], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write", "deleted"):
            return
        for name in (event.src_path, event.dest_path):
            text = os.fsdecode(name)
            came = event.event_type in ("created", "moved") if event.is_directory else is_fits_name(text)
            if text and came:
                self._hint(Path(text))
