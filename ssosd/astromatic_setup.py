"""Read the set-up files of the AstrOmatic programs: ``KEY value # comment`` files and lists of columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ssosd.errors import Misconfigured
from ssosd.plumbing.files import digest_of


def read_setup(path: Path) -> dict[str, str]:
    """Keywords and values of a set-up file such as ``ssos.sex``.

    Parameters
    ----------
    path : Path
        Of the file; ``#`` starts a comment, the last of several equal keywords counts, as for the programs.

    Returns
    -------
    dict
        Values as written, by keyword in capitals.

    Raises
    ------
    Misconfigured
        The file cannot be read.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}", next_step="ssosd init writes the set-up") from error
    return dict(_read_setup(path, stat.st_size, stat.st_mtime_ns, stat.st_ino))


@lru_cache(maxsize=64)
def _read_setup(path: Path, _size: int, _mtime_ns: int, _inode: int) -> dict[str, str]:
    """Read a file once for as long as it stays as it is."""
    values: dict[str, str] = {}
    for line in _lines(path):
        key, _, value = line.replace("\t", " ").partition(" ")
        values[key.upper()] = value.strip()
    return values


def read_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns that a file such as ``ssos.param`` asks for, ``MAG_APER(2)`` as ``MAG_APER``.

    Raises
    ------
    Misconfigured
        The file cannot be read.
    """
    return tuple(re.split(r"[\s(]", line, maxsplit=1)[0].upper() for line in _lines(path))


def named_files(path: Path, keys: Iterable[str]) -> dict[str, Path]:
    """Files that a set-up file itself names and that exist; a relative name is looked for beside it.

    Parameters
    ----------
    path : Path
        Of the set-up file.
    keys : iterable of str
        The keywords whose values are file names.

    Returns
    -------
    dict
        Absolute paths by keyword.
    """
    values = read_setup(path)
    found = {}
    for key in keys:
        if values.get(key):
            file = path.absolute().parent / Path(values[key].strip("\"'")).expanduser()
            if file.is_file():
                found[key] = file
    return found


def content_digest(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, hex.

    Raises
    ------
    Misconfigured
        The file cannot be read.
    """
    try:
        return digest_of(path)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error


def _lines(path: Path) -> list[str]:
    """Lines with something in them, comments removed."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}", next_step="ssosd init writes the set-up") from error
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]
