"""`ssosd init`: put the shipped configuration and set-up files into a folder, to be changed there."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ssosd.config import DEFAULT_NAME
from ssosd.errors import Misconfigured
from ssosd.plumbing.files import TEMPORARY_PREFIX, write_failure
from ssosd.plumbing.resources import shipped

#: The folder of set-up files of SExtractor, SCAMP and SWarp.
SETUP_FOLDER = "semp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Initialised:
    """What `init` did; absolute paths, the configuration first."""

    copied: tuple[Path, ...]  # written now
    kept: tuple[Path, ...]  # were there already, not touched


def init(folder: Path) -> Initialised:
    """Copy ``default.ssos`` and the files of ``semp/`` into a folder; what is there already stays as it is.

    Whatever has the name of a file to be copied, be it a link that leads nowhere, is kept. A file appears
    whole or not at all.

    Parameters
    ----------
    folder : Path
        Made when it is missing.

    Raises
    ------
    Misconfigured
        The folder cannot be made or written to, or the installation lacks the files.
    Retriable
        The disk is full.
    """
    source = shipped(SETUP_FOLDER)
    setup = sorted(file for file in source.iterdir() if file.is_file() and not file.name.startswith("."))
    wanted = [(shipped(DEFAULT_NAME), folder / DEFAULT_NAME)]
    wanted += [(file, folder / SETUP_FOLDER / file.name) for file in setup]
    copied: list[Path] = []
    kept: list[Path] = []
    for original, target in wanted:
        (copied if _copy_new(original, target.absolute()) else kept).append(target.absolute())
    return Initialised(copied=tuple(copied), kept=tuple(kept))


def _copy_new(original: Path, target: Path) -> bool:
    """Copy one file unless its name is taken; whether it was copied."""
    if os.path.lexists(target):
        return False
    try:
        data = original.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{original}: {error.strerror}", next_step="reinstall ssosd") from error
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            target.hardlink_to(temporary)  # unlike a rename it fails when the name was taken meanwhile
        except FileExistsError:
            return False
        except OSError:
            temporary.rename(target)  # a file system without hard links
    except OSError as error:
        raise write_failure(target, error) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()
    return True
