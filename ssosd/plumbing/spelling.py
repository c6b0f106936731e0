"""One folder, one name: paths that lead to the same place by other ways."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def straight(path: Path) -> Path:
    """A path from the root of the file system, without ``~`` and ``..``; links keep their names.

    Where ``..`` follows a link it leaves the folder that the link leads to, as the system has it.

    >>> straight(Path("/data/./2026/../raw"))
    PosixPath('/data/raw')
    """
    here = Path("/")
    for part in path.expanduser().absolute().parts[1:]:
        if part != "..":
            here /= part
        else:
            here = (here.resolve() if here.is_symlink() else here).parent
    return here


class Spellings:
    """How folders have been called before.

    Parameters
    ----------
    files : iterable of str
        Absolute paths of files that are known.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._folders: set[str] = set()
        self._by_place: dict[str, str] = {}  # by their path without links
        for folder in {os.path.dirname(name) for name in files}:  # noqa: PTH120 - of thousands of files
            self._add(folder)

    def of(self, path: Path) -> Path:
        """The name by which a file or folder is known, or the one given, `straight`.

        A link that is itself a file is another name on purpose: only the folder above it is looked up.
        """
        path = straight(path)
        folder = path if path.is_dir() else path.parent
        known = self._known(folder)
        self._add(str(known))
        return known / path.relative_to(folder)

    def _known(self, folder: Path) -> Path:
        if str(folder) in self._folders:
            return folder
        if not self._by_place:
            self._by_place = {os.path.realpath(name): name for name in sorted(self._folders, reverse=True)}
        for above in (folder, *folder.parents):
            if (known := self._by_place.get(os.path.realpath(above))) is not None:
                return Path(known) / folder.relative_to(above)
        return folder

    def _add(self, folder: str) -> None:
        """Note a folder with all those above it."""
        self._by_place = {}
        while folder not in self._folders:
            self._folders.add(folder)
            folder = os.path.dirname(folder)  # noqa: PTH120
