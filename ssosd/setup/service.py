"""`ssosd install-service`: the unit of systemd, the user and the folder, for this machine's paths.

The text is the shipped ``systemd/ssosd.service`` with its paths and its user replaced; what it says about
each line stays.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ssosd
from ssosd.errors import Misconfigured
from ssosd.plumbing.files import atomic_path, write_failure
from ssosd.plumbing.resources import shipped

DEFAULT_USER = "ssosd"
#: What ProtectHome hides (systemd.exec(5)), and what PrivateTmp replaces by folders of the service's own.
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - to refuse them
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_NOT_IN_PATHS = re.compile(r"[\x00-\x1f\x7f\"'\\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFile:
    """A file of the service."""

    path: Path  # where it goes
    text: str


def service_files(
    *,
    target: Path,
    data: Path,
    config: Path | None,
    user: str = DEFAULT_USER,
    executable: Path,
    readable: Iterable[Path] = (),
    writable: Iterable[Path] = (),
    root: Path = Path("/"),
) -> tuple[ServiceFile, ...]:
    """Put the service's files together, without writing them.

    Parameters
    ----------
    target, data : Path
        The folders for results and of the exposures.
    config : Path, optional
        The configuration; without it ``default.ssos`` in the target is used if it is there.
    user : str
        Who the service runs as; made by systemd-sysusers when there is no such user yet.
    executable : Path
        The command ``ssosd``.
    readable : iterable of Path
        What else must be readable: the files that the configuration names, Python itself. Matters only for
        what lies in somebody's home.
    writable : iterable of Path
        What else it writes to: the folder of REFCAT, where that is not in the target. One that is not there
        when the service starts is left out.
    root : Path
        Where the files go instead of ``/``.

    Returns
    -------
    tuple of ServiceFile
        The unit, the snippet for tmpfiles.d and, unless somebody else's user is taken, that for sysusers.d.

    Raises
    ------
    Misconfigured
        A path that a service cannot use, or a user that it should not be.
    """
    target, data = _absolute("target", target), _absolute("data folder", data)
    config = None if config is None else _absolute("configuration", config)
    executable = _absolute("executable", executable)
    if not _USER.fullmatch(user) or user == "root":
        raise Misconfigured(
            f"user {user!r}: not for a service", next_step="give an ordinary user's name with --user"
        )
    others = [_absolute("REFCAT", folder) for folder in writable]
    others = [folder for folder in dict.fromkeys(others) if not folder.is_relative_to(target)]
    words = ["run", str(data), "-t", str(target), *(() if config is None else ("-c", str(config)))]
    settings = {
        "RequiresMountsFor": f"{_word(data)} {_word(target)}",
        # systemd looks for variables in all words but the first
        "ExecStart": " ".join([_word(executable), *(_word(word).replace("$", "$$") for word in words)]),
        "WorkingDirectory": str(target).replace("%", "%%"),
        "User": user,
        "ReadWritePaths": " ".join([_word(target), *(_word(f"-{folder}") for folder in others)]),
    }
    needed = [executable.parent, *map(_normal, readable), *([config.parent] if config else ())]
    unit = _replace(shipped("systemd/ssosd.service").read_text(encoding="utf-8"), settings)
    unit = _let_into_homes(unit, target=target, data=data, needed=needed, writable=others)
    group, exists = _group_of(user)
    folder = f"d     {_word(target)}  0755 {user} {group} -"
    files = [
        ServiceFile(path=root / "etc/systemd/system/ssosd.service", text=unit),
        ServiceFile(path=root / "etc/tmpfiles.d/ssosd.conf", text=_last_line("ssosd.tmpfiles", folder)),
    ]
    if user == DEFAULT_USER or not exists:
        line = f'u     {user} -  "Finder of Solar System objects"   {_word(target)}  /usr/sbin/nologin'
        files.append(
            ServiceFile(path=root / "etc/sysusers.d/ssosd.conf", text=_last_line("ssosd.sysusers", line))
        )
    return tuple(files)


def install_service(files: Iterable[ServiceFile]) -> list[Path]:
    """Write the files from `service_files`; each appears whole or not at all.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    Misconfigured
        A folder cannot be written to.
    Retriable
        The disk is full.
    """
    written = []
    for file in files:
        try:
            with atomic_path(file.path) as temporary:
                temporary.write_text(file.text, encoding="utf-8")
                temporary.chmod(0o644)
        except PermissionError as error:
            raise Misconfigured(
                f"{file.path}: {error.strerror}", next_step="run it as root (sudo), or look with --dry-run"
            ) from error
        except OSError as error:
            raise write_failure(file.path, error) from error
        written.append(file.path)
    return written


def dry_run(files: Iterable[ServiceFile]) -> str:
    """What would be written, as one text."""
    return "\n".join(f"### {file.path}\n{file.text}" for file in files)


def next_commands(files: Iterable[ServiceFile]) -> list[str]:
    """What to type after the files have been written."""
    makes_user = any(file.path.parent.name == "sysusers.d" for file in files)
    return [
        *(["systemd-sysusers"] if makes_user else []),
        "systemd-tmpfiles --create ssosd.conf",
        "systemctl daemon-reload",
        "systemctl enable --now ssosd",
        "systemctl status ssosd",
    ]


def find_executable() -> Path:
    """The installed command ``ssosd``: that of this Python, else the one in PATH.

    Raises
    ------
    Misconfigured
        There is none.
    """
    own = Path(sysconfig.get_path("scripts")) / "ssosd"
    found = own if own.is_file() else shutil.which("ssosd")
    if found is None:
        raise Misconfigured("ssosd: no such command", next_step="install the package, e.g. pip install .")
    return Path(found)


def software_folders() -> list[Path]:
    """Where Python and this package lie: a service whose Python is in a home must see them."""
    return [Path(sys.prefix), Path(sys.base_prefix), Path(ssosd.__file__).resolve().parents[1]]


def _absolute(what: str, path: Path) -> Path:
    absolute = _normal(path.expanduser())
    if _NOT_IN_PATHS.search(str(absolute)):
        raise Misconfigured(
            f"{what} {str(absolute)!r}: has quotes, backslashes or control characters",
            next_step="use another path, or a symbolic link to it",
        )
    for folder in _TEMPORARY:
        if absolute.is_relative_to(folder):
            raise Misconfigured(
                f"{what} {absolute}: the service has a {folder} of its own and cannot see it",
                next_step="use a folder that lasts, e.g. below /srv or /var/lib",
            )
    return absolute


def _normal(path: Path) -> Path:
    """An absolute path without ``..``, which systemd refuses, and which would hide where it leads."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow symbolic links


def _word(value: str | Path) -> str:
    """A word of a unit file: specifiers escaped, in quotes where it has blanks or marks with a meaning."""
    text = str(value).replace("%", "%%")
    return f'"{text}"' if re.search(r"[\s;#:]", text) else text


def _replace(unit: str, settings: dict[str, str]) -> str:
    lines = unit.split("\n")
    for name, value in settings.items():
        found = [number for number, line in enumerate(lines) if line.startswith(f"{name}=")]
        if len(found) != 1:
            raise Misconfigured(
                f"systemd/ssosd.service: {len(found)} lines {name}=, expected one",
                next_step="reinstall ssosd",
            )
        lines[found[0]] = f"{name}={value}"
    return "\n".join(lines)


def _let_into_homes(
    unit: str, *, target: Path, data: Path, needed: Iterable[Path], writable: Sequence[Path]
) -> str:
    """Show the service those folders in homes that it needs, and nothing else there."""
    own = [target, *writable]
    read = [f for f in dict.fromkeys([data, *needed]) if _in_home(f)]
    read = [f for f in read if not any(f.is_relative_to(folder) for folder in own)]
    read = [f for f in read if not any(f != other and f.is_relative_to(other) for other in read)]
    if not read and not any(_in_home(folder) for folder in own):
        return unit
    lines = ["ProtectHome=tmpfs"]
    lines += [
        f"BindPaths={_word(folder if folder == target else f'-{folder}')}"
        for folder in own
        if _in_home(folder)
    ]
    lines += [
        f"BindReadOnlyPaths={_word(str(folder) if folder == data else f'-{folder}')}"
        for folder in sorted(read)
    ]
    return _replace(unit, {"ProtectHome": "\n".join(lines).removeprefix("ProtectHome=")})


def _in_home(path: Path) -> bool:
    return any(path.is_relative_to(home) for home in _HOMES)


def _group_of(user: str) -> tuple[str, bool]:
    """A user's group, and whether the user exists; one that is to be made gets a group of its name."""
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name, True
    except KeyError:
        return user, False


def _last_line(name: str, line: str) -> str:
    """A shipped snippet with another last line."""
    lines = shipped(f"systemd/{name}").read_text(encoding="utf-8").splitlines()
    return "\n".join([*lines[:-1], line, ""])
