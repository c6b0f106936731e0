"""Where the files shipped with ssosd are: in the wheel beside the package, in a checkout one folder up."""

from __future__ import annotations

from pathlib import Path

from ssosd.errors import Misconfigured

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(relative: str) -> Path:
    """Absolute path of a shipped file or folder such as ``semp/ssos.sex`` or ``default.ssos``.

    Raises
    ------
    Misconfigured
        The installation lacks it.
    """
    for root in (_PACKAGE, _PACKAGE.parent):
        path = root / relative
        if path.exists():
            return path
    raise Misconfigured(f"{relative}: not part of this installation", next_step="reinstall ssosd")
