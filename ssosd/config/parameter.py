"""One entry of the table of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ssosd.config.kinds import Kind
from ssosd.config.reading import printable


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """All about one parameter: flags, checks, default.ssos and the docs follow from it."""

    name: str  # as written in a configuration and as a flag
    section: str  # heading it stands under
    kind: Kind  # its type, with bounds or choices
    default: str  # as it is written in default.ssos
    help: str  # one short line, plain ASCII
    doc: str  # what it means, for docs/parameters.md
    stage: str  # the room that uses it
    unit: str = ""  # of the value, plain ASCII; "" when it has none

    @property
    def type_name(self) -> str:
        """Python type of the value, e.g. "float" or "Path | None"."""
        return self.kind.type_name

    @property
    def allowed(self) -> str:
        """What is allowed, with the unit."""
        return f"{self.kind.allowed} ({self.unit})" if self.unit else self.kind.allowed

    @property
    def comment(self) -> str:
        """The short line with the unit, as in default.ssos and in the help of a command."""
        return f"{self.help} [{self.unit}]" if self.unit else self.help

    def parse(self, text: str) -> Any:
        """Read a value as it stands in a configuration or after a flag.

        Raises
        ------
        ValueError
            Saying what was found and what is allowed.
        """
        text = text.strip()
        try:
            return self.kind.parse(text)
        except ValueError as error:
            found = f"found {printable(text)}" if text else "no value"
            why = f" ({error})" if str(error) and text else ""
            raise ValueError(f"{found}{why}, allowed is {self.allowed}") from None

    def render(self, value: Any) -> str:
        """Write a value so that `parse` reads the same value."""
        return self.kind.render(value)
