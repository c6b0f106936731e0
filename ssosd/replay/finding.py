"""Which files a replay is about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssosd.errors import BadInput
from ssosd.ingest.watcher import Sieve, is_writable_name, nameless
from ssosd.model import is_fits_name
from ssosd.plumbing.spelling import Spellings


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The FITS files under some files and folders, as they were when they were looked for."""

    files: tuple[Path, ...]  # absolute, sorted, each once
    roots: tuple[Path, ...]  # the files and folders given, absolute
    nameless: tuple[str, ...]  # files and folders in these that cannot be taken, sorted
    size_bytes: int  # of all files together, on disk
    _times: tuple[tuple[float, str], ...]  # (Unix time of change, path) of those in folders, sorted

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those of the paths given whose files are all to be accounted for."""
        return tuple(root for root in self.roots if root.is_dir())

    def changed_between(self, first_s: float, end_s: float) -> list[str]:
        """Files in the folders that were changed last in this time (Unix seconds, the end excluded)."""
        return [path for _, path in self._times[self._place(first_s) : self._place(end_s)]]

    def _place(self, at_s: float) -> int:
        return bisect_left(self._times, (at_s, ""))


def find_files(
    paths: Sequence[Path],
    *,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (".*",),
    target: Path | None = None,
    known: Iterable[str] = (),
) -> Archive:
    """All FITS files under the given files and folders.

    Parameters
    ----------
    paths : sequence of Path
        Files are taken whatever their name's pattern; folders are searched in depth, links followed.
    include, exclude : sequence of str
        Patterns of names that are taken from folders, and left, as INCLUDE and EXCLUDE.
    target : Path, optional
        Where our own pictures are, which are none of the exposures.
    known : iterable of str
        Paths of files that were taken before: a folder that is given by another way, through a link or
        ``..``, keeps the name that it has there, or its files would count as copies of themselves.

    Raises
    ------
    BadInput
        A path does not exist, a file named explicitly is no FITS file or has a name that is not UTF-8, or
        nothing was found.
    """
    roots = _roots(paths, known)
    sizes: dict[str, int] = {}
    times: dict[str, float] = {}
    unnamed: set[str] = set()
    for given, path in zip(paths, roots, strict=True):
        if path.is_dir():
            sieve = Sieve(path, include=include, exclude=exclude, target=target)
            for name, stat in sieve.scan():
                sizes[name], times[name] = stat.st_size, stat.st_mtime
            unnamed |= sieve.nameless
        elif not path.exists():
            raise BadInput(f"{given}: no such file or folder")
        elif not is_writable_name(str(path)):
            raise nameless(str(path))
        elif is_fits_name(path.name):
            sizes[str(path)] = path.stat().st_size
        else:
            raise BadInput(f"{given}: not named like a FITS file", next_step=f"use {_SUFFIXES}")
    if not sizes and unnamed:
        raise nameless(min(unnamed))
    if not sizes:
        raise BadInput(
            f"{', '.join(str(p) for p in paths)}: no FITS files here",
            next_step=f"looked for {_SUFFIXES}, in all subfolders",
        )
    return Archive(
        files=tuple(Path(name) for name in sorted(sizes)),
        roots=roots,
        nameless=tuple(sorted(unnamed)),
        size_bytes=sum(sizes.values()),
        _times=tuple(sorted((at_s, name) for name, at_s in times.items())),
    )


def data_folders(paths: Sequence[Path], *, known: Iterable[str] = ()) -> list[Path]:
    """Folders among the paths given, whose files are all to be accounted for; `known` as in `find_files`."""
    return [path for path in _roots(paths, known) if path.is_dir()]


def _roots(paths: Sequence[Path], known: Iterable[str]) -> tuple[Path, ...]:
    spellings = Spellings(known)
    return tuple(spellings.of(path) for path in paths)


_SUFFIXES = ".fits, .fit, .fts and these with .gz, .bz2 or .fz"
