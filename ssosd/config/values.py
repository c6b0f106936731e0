"""The values of a run: a read-only mapping from parameter names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ssosd.config.kinds import FileName, nearest
from ssosd.config.parameter import Parameter
from ssosd.config.places import unusable
from ssosd.config.reading import quoted
from ssosd.config.table import PARAMETERS, contradictions
from ssosd.errors import Misconfigured

DEFAULT = "built-in default"


class BadConfiguration(Misconfigured):
    """A configuration with one problem or more; `problems` has one sentence for each."""

    def __init__(self, problems: Iterable[str], *, next_step: str = "") -> None:
        self.problems = tuple(problems)
        shown = self.problems[:20]
        rest = len(self.problems) - len(shown)
        lines = [*shown, f"and {rest} more"] if rest else list(shown)
        head = f"{len(self.problems)} problems in the configuration:" if len(self.problems) > 1 else ""
        super().__init__("\n  ".join([head, *lines] if head else lines), next_step=next_step)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.problems, self.next_step)


def _rebuilt(problems: tuple[str, ...], next_step: str) -> BadConfiguration:
    return BadConfiguration(problems, next_step=next_step)


class Config(Mapping[str, Any]):
    """All parameters with their typed values; made by `ssosd.config.load_config`, never changed.

    Parameters
    ----------
    values : mapping
        A value for each of `PARAMETERS`; paths are absolute.
    source : Path, optional
        The configuration file; None when there was none.
    notes : tuple of str
        What a person should know though it is no error.
    origins : mapping, optional
        Where each value that is not a default was found.
    tried : mapping, optional
        For relative paths, the places looked at.

    Examples
    --------
    >>> from ssosd.config import load_config
    >>> config = load_config(None, overrides={"PM_UP": "60"}, cwd=Path("/"))
    >>> config["PM_UP"], config["DETECTIONS"], config.replace(PM_UP=120)["PM_UP"]
    (60.0, (1, 2, 3), 120.0)
    """

    __slots__ = ("_origins", "_tried", "_values", "notes", "source")

    source: Path | None
    notes: tuple[str, ...]
    _values: dict[str, Any]
    _origins: dict[str, str]
    _tried: dict[str, tuple[str, ...]]

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        source: Path | None = None,
        notes: tuple[str, ...] = (),
        origins: Mapping[str, str] | None = None,
        tried: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        fields = {
            "_values": {name: values[name] for name in PARAMETERS},
            "_origins": dict(origins or {}),
            "_tried": dict(tried or {}),
            "source": source,
            "notes": notes,
        }
        for name, field in fields.items():
            object.__setattr__(self, name, field)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Config is read-only: use replace() to get another with {name} changed")

    __delattr__ = __setattr__  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self._values, self.source, self.notes, self._origins, self._tried)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(f"{name}: {unknown_name(str(name))}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={self.text(name)}" for name in self if name in self._origins)
        return f"<Config of {self.source or 'built-in defaults'}: {changed}>"

    def text(self, name: str) -> str:
        """One value as it would be written in a configuration, without quotes."""
        return PARAMETERS[name].render(self[name])

    def origin(self, name: str) -> str:
        """Where a value comes from: "FILE, line N", "--NAME" or "built-in default"."""
        return self._origins.get(name, DEFAULT) if name in self else ""

    def as_text(self) -> str:
        """Every parameter as a line ``NAME value``, for the record of a run; loads as the same values."""
        return "".join(f"{name:<22} {quoted(self.text(name))}\n" for name in self)

    def digest(self, names: Iterable[str]) -> str:
        """BLAKE2b-128, hex, of some parameters' values, whatever their order.

        A file counts by its bytes, not by its name or age: the same set-up elsewhere gives the same digest,
        an edited one another. A folder counts by its path.

        Raises
        ------
        KeyError
            An unknown name.
        Misconfigured
            A file that cannot be read.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(set(names)):
            value = self[name]
            if isinstance(value, Path) and not is_folder(PARAMETERS[name]):
                try:
                    with value.open("rb") as file:
                        content = hashlib.file_digest(
                            file, lambda: hashlib.blake2b(digest_size=16)
                        ).hexdigest()
                except OSError as error:
                    raise BadConfiguration([f"{self._where(name)}: {value}: {error.strerror}"]) from error
                text = f"file {content}"
            else:
                text = f"text {self.text(name)}"
            digest.update(f"{name} {len(text)} {text}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def replace(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Config:
        """Another configuration with some values changed, typed or as text; they are checked.

        Raises
        ------
        BadConfiguration
            An unknown name, a value that is not allowed, a path that is not absolute.
        """
        given = {**(changes or {}), **more}
        values, problems = dict(self._values), []
        for name, value in given.items():
            if name not in PARAMETERS:
                problems.append(f"{name}: {unknown_name(name)}")
                continue
            parameter = PARAMETERS[name]
            try:
                text = value if isinstance(value, str) else parameter.render(value)
                values[name] = parameter.parse(text)
            except (TypeError, ValueError, AttributeError) as error:
                said = (
                    str(error)
                    if isinstance(error, ValueError)
                    else f"found {value!r}, allowed is {parameter.allowed}"
                )
                problems.append(f"{name}: {said}")
                continue
            if isinstance(values[name], Path) and not values[name].is_absolute():
                problems.append(f'{name}: found "{value}", allowed is an absolute path')
        problems += [f"{name}: {wrong}" for name, wrong in contradictions(values)]
        if problems:
            raise BadConfiguration(problems)
        kept = {name: origin for name, origin in self._origins.items() if name not in given}
        origins = {**kept, **dict.fromkeys(given, "set by ssosd")}
        tried = {name: places for name, places in self._tried.items() if name not in given}
        return Config(values, source=self.source, notes=self.notes, origins=origins, tried=tried)

    def problems(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each: files that are not there (any more), values at odds."""
        return (*self.contradictions(), *self.missing_files())

    def contradictions(self) -> tuple[str, ...]:
        """Values that are each allowed but not together, one sentence each."""
        return tuple(f"{self._where(name)}: {wrong}" for name, wrong in contradictions(self))

    def missing_files(self) -> tuple[str, ...]:
        """Files and folders that cannot be used, one sentence each, with the places looked at."""
        found = []
        for name, value in self.items():
            if isinstance(value, Path):
                why = unusable(value, folder=is_folder(PARAMETERS[name]))
                if why:
                    places = " and ".join(self._tried.get(name, (str(value),)))
                    found.append(f"{self._where(name)}: {why}: {places}")
        return tuple(found)

    def _where(self, name: str) -> str:
        origin = self.origin(name)
        return (
            origin
            if origin == f"--{name}"
            else f"{name} ({DEFAULT})"
            if origin == DEFAULT
            else f"{origin}: {name}"
        )


def _remade(
    values: dict[str, Any],
    source: Path | None,
    notes: tuple[str, ...],
    origins: dict[str, str],
    tried: dict[str, tuple[str, ...]],
) -> Config:
    return Config(values, source=source, notes=notes, origins=origins, tried=tried)


def is_folder(parameter: Parameter) -> bool:
    """Whether the parameter names a folder rather than a file."""
    return isinstance(parameter.kind, FileName) and parameter.kind.folder


def unknown_name(name: str) -> str:
    """What to say of a name that is no parameter."""
    return f"unknown parameter, the nearest known is {nearest(name, [*PARAMETERS])}"
