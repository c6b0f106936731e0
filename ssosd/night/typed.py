"""The commands in the README of a night's drafts, as they are typed beside it and elsewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ssosd.plumbing.text import there

#: Says of a README where its commands work.
BESIDE_IT = "Commands are to be typed in this folder."
#: The target, seen from a night's ``drafts``: the same text wherever the target is.
FROM_DRAFTS = "-t ../.."


def typed_here(readme: str, *, target: Path, night: str) -> str:
    r"""The README of a night's drafts with commands for the working directory.

    Parameters
    ----------
    readme : str
        As it lies in the folder of the drafts.
    target : Path
        As it is called from the working directory.
    night : str

    Examples
    --------
    >>> text = "curl -F 'source=<neo.xml'\nssosd mpc 2026-11-14 -t ../.. --sent neo\n"
    >>> print(typed_here(text, target=Path("my out"), night="2026-11-14"), end="")
    curl -F 'source=<my out/2026-11-14/drafts/neo.xml'
    ssosd mpc 2026-11-14 -t 'my out' --sent neo
    """
    text = readme.replace(f"{BESIDE_IT}\n", "").replace(f" {FROM_DRAFTS}", there(target))
    folder = target / night / "drafts"
    return re.sub(r"'source=<(\w+\.xml)'", lambda m: shlex.quote(f"source=<{folder / m[1]}"), text)
