"""Write files so that a reader sees the old bytes or the new ones, never a part, whatever kills the writer.

The bytes go to a temporary name in the same folder, are flushed to the disk, and the file is renamed over its
final name; the folder's entry is flushed too. Temporary names start with `TEMPORARY_PREFIX`: what a killed
process left behind is recognised by `is_temporary` and may be deleted.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import repeat
from pathlib import Path

from ssosd.errors import Misconfigured, Retriable, SsosdError

TEMPORARY_PREFIX = ".tmp-"

#: What only a write can meet, and a later attempt may not.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
#: Folders on some network file systems cannot be flushed; the rename itself is still atomic there.
_NO_FOLDER_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF})
#: Bytes that the names of our files take from those of others.
_LONGEST_STEM = 200
#: The largest integer of 64 bits with a sign.
_MOST = (1 << 63) - 1
#: Files that are flushed at a time.
_FLUSHES = 16


def is_temporary(name: str) -> bool:
    """Whether a file name is one that an unfinished write uses.

    >>> is_temporary(".tmp-1f0a33c2-candidates.csv"), is_temporary("candidates.csv")
    (True, False)
    """
    return name.startswith(TEMPORARY_PREFIX)


def write_failure(path: Path, error: OSError) -> SsosdError:
    """Name a failed write by what the caller may do.

    Parameters
    ----------
    path : Path
        What was to be written.
    error : OSError
        What the system said.

    Returns
    -------
    SsosdError
        `Retriable` for a full or failing disk, `Misconfigured` for a place that cannot be written to.
    """
    said = error.strerror or str(error)
    if error.errno in _FULL:
        return Retriable(f"{path}: cannot be written: {said}", next_step="free some space on this disk")
    return Misconfigured(
        f"{path}: cannot be written: {said}", next_step="choose another folder or change its permissions"
    )


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Lend a temporary path in the same folder; on leaving without an error it becomes `path`.

    The lent path does not exist yet and keeps the extension, so that any writer may be given it. After an
    error nothing is left of it and the old file, if any, is as it was.

    Parameters
    ----------
    path : Path
        The final name; its folder is made when it is missing.
    durable : bool
        Whether a power cut after it must not lose the file, or spoil it.

    Raises
    ------
    Retriable
        The disk is full, or the body wrote nothing.
    Misconfigured
        The folder cannot be made or written to.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{path.name[-60:]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(path.parent, error) from error
    try:
        try:
            yield temporary
        except OSError as error:
            if error.errno in _FULL:
                raise write_failure(path, error) from error
            raise
        _publish(temporary, path, durable=durable)
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


def atomic_write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a whole file in one step that other processes see; see `atomic_path`.

    Raises
    ------
    Retriable
        The disk is full.
    Misconfigured
        The folder cannot be made or written to.
    """
    with atomic_path(path, durable=durable) as temporary:
        try:
            with temporary.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise write_failure(path, error) from error


def atomic_write_text(path: Path, text: str, *, durable: bool = True) -> None:
    r"""Write a whole text file (UTF-8, ``\n`` line ends as given) as `atomic_write_bytes` does."""
    atomic_write_bytes(path, text.encode("utf-8"), durable=durable)


def write_staged(path: Path, data: bytes) -> None:
    """Write a file of a folder that nobody reads yet: in place, and `flush_tree` brings it to the disk.

    Raises
    ------
    Retriable, Misconfigured
        As `atomic_write_bytes`.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise write_failure(path, error) from error


def shortened(name: str) -> str:
    """A name that leaves room, in the 255 bytes of a file's name, for what is put behind it.

    >>> shortened("20190326.0126"), len(shortened(300 * "n")), len(shortened(300 * "é").encode())
    ('20190326.0126', 200, 200)
    """
    return name.encode()[:_LONGEST_STEM].decode(errors="ignore")


def mtime_ns(stat: os.stat_result) -> int:
    """Time of change, nanoseconds, kept within 64 bits as the store's integers are.

    A file system may tell of times before 1677 or after 2262: a clock that was never set, the zero of Windows
    (1601) through a network.
    """
    return max(-_MOST, min(stat.st_mtime_ns, _MOST))


def digest_of(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, hex; not read again while it is unchanged.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4096)
def _digest(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def free_bytes(path: Path) -> int:
    """Bytes an ordinary user may still write where `path` is, or would be once its folders are made.

    Raises
    ------
    Misconfigured
        The place cannot be asked.
    """
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError as error:
        raise Misconfigured(f"{place}: free space unknown: {error.strerror}") from error


def room_to_write(folder: Path, *, size_bytes: int = 1 << 20) -> None:
    """Make sure that files can be written here, by writing one and removing it.

    Raises
    ------
    Retriable
        The disk is full or failing.
    Misconfigured
        The folder cannot be written to.
    """
    probe = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-room"
    try:
        with probe.open("xb") as file:
            file.write(bytes(size_bytes))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_failure(folder, error) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def flush_tree(folder: Path) -> None:
    """Flush a folder with all that is in it to the disk, so that a power cut after it loses nothing.

    Raises
    ------
    Retriable, Misconfigured
        The disk fails or is full.
    """
    tree = [(Path(root), [Path(root) / name for name in names]) for root, _, names in os.walk(folder)]
    files = [path for _, paths in tree for path in paths if not path.is_symlink()]
    try:
        # side by side, so that the disk writes many with one commit of its journal: a tenth of the time
        with ThreadPoolExecutor(max_workers=_FLUSHES) as pool:
            list(pool.map(_fsync, files, repeat(os.O_RDONLY)))
        for path, _ in tree:
            flush_folder(path)
    except OSError as error:
        raise write_failure(folder, error) from error


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries, so that names given in it outlive a power cut; raises OSError."""
    try:
        _fsync(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FSYNC:
            raise


def _publish(temporary: Path, path: Path, *, durable: bool) -> None:
    """Flush a finished temporary file, give it its name, flush the folder."""
    try:
        if durable:
            _fsync(temporary, os.O_RDONLY)
        temporary.replace(path)
    except FileNotFoundError as error:
        raise Retriable(f"{path}: nothing was written") from error
    except OSError as error:
        raise write_failure(path, error) from error
    try:
        if durable:
            flush_folder(path.parent)
    except OSError as error:
        raise write_failure(path, error) from error


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
