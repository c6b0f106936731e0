"""From a configuration file and flags to the values of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssosd.config import places
from ssosd.config.kinds import FileName
from ssosd.config.parameter import Parameter
from ssosd.config.reading import Entry, printable, read_entries
from ssosd.config.table import PARAMETERS, REPLACED, WITHOUT_EFFECT
from ssosd.config.values import BadConfiguration, Config, is_folder, unknown_name

#: Name of the configuration that is read without being asked for.
DEFAULT_NAME = "default.ssos"
_LARGEST = 1_000_000


@dataclass(slots=True)
class _Loading:
    """What has been found so far."""

    cwd: Path
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    tried: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def take(self, entry: Entry, *, beside: Sequence[Path]) -> None:
        """Check one entry and keep its value, a note or a problem."""
        by_flag = entry.origin == f"--{entry.name}"
        where = entry.origin if by_flag else ": ".join(filter(None, [entry.origin, entry.name]))
        if not entry.name.isascii():
            self.problems.append(f"{entry.origin}: {printable(entry.name)}: not plain ASCII")
        elif entry.name in WITHOUT_EFFECT:
            self.notes.append(f"{where} {WITHOUT_EFFECT[entry.name]}")
        elif entry.name in REPLACED:
            self.problems.append(f"{where}: unknown parameter, write {REPLACED[entry.name]} instead")
        elif entry.name not in PARAMETERS:
            self.problems.append(f"{where}: {unknown_name(entry.name)}")
        else:
            self._take_known(PARAMETERS[entry.name], entry, where, beside)

    def _take_known(self, parameter: Parameter, entry: Entry, where: str, beside: Sequence[Path]) -> None:
        name = parameter.name
        is_path = isinstance(parameter.kind, FileName)
        if not _is_text(entry.text, is_path=is_path):
            self.problems.append(f"{where}: found {printable(entry.text)}, allowed is plain ASCII")
            return
        if entry.ignored:
            self.notes.append(f"{where}: not read: {printable(entry.ignored)} (# begins a comment)")
        try:
            value = parameter.parse(entry.text)
            if isinstance(value, Path):
                value = self._locate(parameter, places.expand(entry.text), where, beside)
        except ValueError as error:
            hint = "; a blank goes before the # of a comment" if "#" in entry.text else ""
            self.problems.append(f"{where}: {error}{hint}")
            return
        self.values[name] = value
        if entry.origin:
            self.origins[name] = entry.origin

    def _locate(self, parameter: Parameter, path: Path, where: str, beside: Sequence[Path]) -> Path:
        found, tried = places.find(path, folder=is_folder(parameter), beside=beside)
        if path.is_absolute():
            return found
        self.tried[parameter.name] = tried
        bystander = self.cwd / path
        if found.exists() and bystander.exists() and not found.samefile(bystander):
            self.notes.append(f"{where}: {found} is used, not {bystander}")
        return found


def load_config(
    path: Path | None,
    *,
    overrides: Mapping[str, str],
    cwd: Path,
    files_must_exist: bool = True,
) -> Config:
    """Read and check a configuration: built-in defaults, over them the file, over it the flags.

    Relative paths in the file (and in the built-in defaults) are looked for beside the file, or in `cwd` when
    there is none, then in the package; those of flags in `cwd` first.

    Parameters
    ----------
    path : Path or None
        The file of ``-c``. None takes ``default.ssos`` in `cwd` if there is one, else no file.
    overrides : mapping
        Flags by parameter name, each value as text.
    cwd : Path
        Working directory.
    files_must_exist : bool
        False for commands that do not open the files named; `Config.missing_files` finds them later.

    Raises
    ------
    BadConfiguration
        A `Misconfigured` that lists every problem: in ``problems``, one sentence each.
    """
    source = _source(path, cwd)
    beside = [source.parent if source else cwd]
    loading = _Loading(cwd=cwd)
    given: list[Entry] = []
    if source:
        given, loading.problems = read_entries(_read(source), file=str(source))
    first: dict[str, Entry] = {}
    for entry in given:
        if entry.name in first:
            line = first[entry.name].origin.rpartition(", ")[2]
            loading.problems.append(
                f"{entry.origin}: {entry.name}: found again, first in {line}; allowed is once"
            )
            continue
        first[entry.name] = entry
        loading.take(entry, beside=beside)
    flags = [Entry(name, text.strip(), f"--{name}") for name, text in overrides.items()]
    for entry in flags:
        loading.take(entry, beside=[cwd, *beside])
    for name, parameter in PARAMETERS.items():
        if name not in loading.values:
            loading.take(Entry(name, parameter.default, ""), beside=beside)
    config = Config(
        loading.values,
        source=source,
        notes=tuple(loading.notes),
        origins=loading.origins,
        tried=loading.tried,
    )
    problems = loading.problems or [*config.contradictions()]
    if files_must_exist:
        problems = [*problems, *config.missing_files()]
    if problems:
        raise BadConfiguration(problems, next_step="see docs/parameters.md")
    return config


def recorded_config(text: str) -> Config:
    """Read the configuration of an earlier run, as `Config.as_text` recorded it; defaults where it lacks one.

    Parameters that are no more are left out, files that it names need not exist.

    Raises
    ------
    BadConfiguration
        A value that is not allowed any more.
    """
    loading = _Loading(cwd=Path("/"))
    given, loading.problems = read_entries(
        text.encode(errors="surrogateescape"), file="the record of the run"
    )
    for entry in given:
        if entry.name in PARAMETERS:
            loading.take(entry, beside=[loading.cwd])
    for name, parameter in PARAMETERS.items():
        if name not in loading.values:
            loading.take(Entry(name, parameter.default, ""), beside=[loading.cwd])
    if loading.problems:
        raise BadConfiguration(loading.problems, next_step="replay the night with the present version")
    return Config(loading.values)


def _source(path: Path | None, cwd: Path) -> Path | None:
    if path is not None:
        return cwd / path
    found = cwd / DEFAULT_NAME
    return found if found.exists() or found.is_symlink() else None


def _read(source: Path) -> bytes:
    try:
        if source.stat().st_size > _LARGEST:
            raise BadConfiguration([f"{source}: larger than {_LARGEST} bytes, not a configuration"])
        return source.read_bytes()
    except OSError as error:
        raise BadConfiguration(
            [f"{source}: {error.strerror}"], next_step=f"`ssosd init` writes a {DEFAULT_NAME} to begin with"
        ) from error


def _is_text(text: str, *, is_path: bool) -> bool:
    """Whether a value is plain ASCII, or the path of a file whose name is not (in UTF-8)."""
    return text.isascii() or (is_path and not any("\ud800" <= char <= "\udfff" for char in text))
