"""Words for people."""

from __future__ import annotations

import shlex
from pathlib import Path

_OF_ONE = {"are": "is", "have": "has", "were": "was"}


def counted(number: int, noun: str, verb: str = "") -> str:
    """A number, what there are so many of, and what these do.

    Parameters
    ----------
    number : int
    noun : str
        Of one; many take an s.
    verb : str
        Of many.

    Examples
    --------
    >>> counted(1, "exposure"), counted(0, "file", "are"), counted(1, "file", "are")
    ('1 exposure', '0 files are', '1 file is')
    >>> counted(1, "candidate", "wait"), counted(2, "candidate", "wait")
    ('1 candidate waits', '2 candidates wait')
    """
    if number == 1:
        return f"1 {noun}" + (f" {_OF_ONE.get(verb, f'{verb}s')}" if verb else "")
    return f"{number} {noun}s" + (f" {verb}" if verb else "")


def there(target: Path) -> str:
    """The option by which a command that is printed finds the same results.

    >>> there(Path("my out")), there(Path())
    (" -t 'my out'", '')
    """
    return "" if target == Path() else f" -t {shlex.quote(str(target))}"
