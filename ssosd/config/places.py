"""Where the files named in a configuration are: expansion of ``~`` and ``$NAME``, and the places searched."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ssosd.errors import Misconfigured
from ssosd.plumbing.resources import shipped

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)


def expand(text: str) -> Path:
    """A path with ``$NAME``, ``${NAME}`` and a leading ``~`` replaced; ``$HOME`` needs no variable.

    Raises
    ------
    ValueError
        A variable or user that does not exist.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in os.environ:
            return os.environ[name]
        if name == "HOME":
            return str(Path.home())
        raise ValueError(f"found {match[0]}, allowed is a variable that the environment has")

    expanded = _VARIABLE.sub(value, text)
    if not expanded:
        raise ValueError(f"{text} is empty")
    try:
        return Path(expanded).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text}: no such user") from error


def find(path: Path, *, folder: bool, beside: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """Absolute path of a file or folder that a configuration names.

    Parameters
    ----------
    path : Path
        Expanded. An absolute one is taken as it is.
    folder : bool
        Whether a folder is meant rather than a file.
    beside : sequence of Path
        Folders in which a relative path is looked for, in this order; the package comes last.

    Returns
    -------
    path : Path
        Where it is; the first place tried when it is nowhere.
    tried : tuple of str
        The places looked at, for the message when it is nowhere.
    """
    if path.is_absolute():
        return path, (str(path),)
    places = [Path(os.path.abspath(place / path)) for place in dict.fromkeys(beside)]  # noqa: PTH100 - keeps links
    for place in places:
        if place.is_dir() if folder else place.is_file():
            return place, (str(place),)
    tried = tuple(str(place) for place in places)
    try:
        in_package = shipped(str(path))
    except Misconfigured:
        return places[0], (*tried, f"{path} in the package at {package_folder()}")
    if in_package.is_dir() if folder else in_package.is_file():
        return in_package, (str(in_package),)
    return places[0], (*tried, str(in_package))


def package_folder() -> Path:
    """The folder of the installed package."""
    return Path(__file__).resolve().parents[1]


def unusable(path: Path, *, folder: bool) -> str:
    """Why a file or folder cannot be used, "" when it can."""
    if not path.exists():
        return "no such folder" if folder else "no such file"
    if path.is_dir() is not folder:
        return "not a folder" if folder else "not a file"
    return "" if os.access(path, os.R_OK | (os.X_OK if folder else 0)) else "may not be read"
