"""Arrays kept on disk between calls: one npz file per set of orbits, per grid time and per night."""

from __future__ import annotations

import fcntl
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssosd.errors import Misconfigured
from ssosd.plumbing.files import atomic_path, atomic_write_text, write_failure

Arrays = dict[str, NDArray[Any]]

#: Files kept of each kind, the newest: nights and grid times of a replay, and the file of orbits before.
_KEPT = {"orbits": 2, "grid": 3, "night": 4}


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Hold the cache: of several processes that want the same night one works and the others wait.

    Raises
    ------
    Misconfigured
        The folder cannot be made or written to.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        file = (cache / "lock").open("a")
    except OSError as error:
        raise write_failure(cache, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load(path: Path, *, only: str = "", leave: str = "") -> Arrays | None:
    """Arrays of a file, or None when there is none or it is damaged: then they are computed again.

    Parameters
    ----------
    path : Path
    only, leave : str
        Read this array alone, or all but this one.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files if name != leave and only in ("", name)}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays in one step, and delete the oldest files of the same kind.

    Raises
    ------
    Retriable, Misconfigured
        The disk is full, or the folder cannot be written to.
    """
    with atomic_path(path) as temporary, temporary.open("xb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]
    kind = path.name.partition("-")[0]
    same = sorted(path.parent.glob(f"{kind}-*.npz"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for old in same[_KEPT[kind] :]:
        with suppress(FileNotFoundError):
            old.unlink()


def digest(path: Path, cache: Path, *, parameter: str) -> str:
    """BLAKE2b-128 of a file's bytes; asked again, of an unchanged size and time, from a note in the cache.

    Raises
    ------
    Misconfigured
        The file cannot be read.
    """
    note = cache / "digests.json"
    try:
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = _note(note)
        if known.get(str(path), [None])[:-1] == stamp:
            return str(known[str(path)][-1])
        with path.open("rb") as file:
            value = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise Misconfigured(
            f"{parameter} {path}: cannot be read: {error.strerror}",
            next_step=f"give {parameter} the path of a file of orbits, or leave it empty",
        ) from error
    atomic_write_text(note, json.dumps({**known, str(path): [*stamp, value]}))
    return value


def _note(path: Path) -> dict[str, list[Any]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
