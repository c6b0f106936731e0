"""What to say of a night or a field that was asked for and is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from ssosd.errors import BadInput

_SHOWN = 5


def no_night(night: str, nights: Iterable[str]) -> BadInput:
    """No exposures of a night; there are others."""
    return BadInput(f"no exposures of the night {night}; there are {_those_like(night, nights)}")


def no_field(field_name: str, fields: Iterable[str]) -> BadInput:
    """No field of this name; there are others."""
    return BadInput(f"no field {field_name!r}", next_step=f"the fields are {_those_like(field_name, fields)}")


def _those_like(word: str, names: Iterable[str]) -> str:
    """A handful of names, those most like a word, and how many there are besides."""
    known = sorted(set(names))
    shown = sorted(get_close_matches(word, known, n=_SHOWN, cutoff=0.0))
    return ", ".join(shown) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
