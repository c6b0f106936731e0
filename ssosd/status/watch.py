"""Redraw the status until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable

from ssosd.status.read import Status

INTERVAL_S = 2.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def watch_status(
    read: Callable[[], Status],
    *,
    show: Callable[[Status], str],
    write: Callable[[str], object],
    wait: Callable[[float], object] = time.sleep,
) -> int:
    """Show the status every two seconds.

    Parameters
    ----------
    read : callable
        Gives a fresh status.
    show : callable
        Makes it text.
    write : callable
        Puts text on the terminal.
    wait : callable
        Waits so many seconds; KeyboardInterrupt from it (or from anywhere) ends the watch.

    Returns
    -------
    int
        Exit code of the last status.
    """
    status = read()
    try:
        while True:
            write(_HOME_AND_CLEAR + show(status))
            wait(INTERVAL_S)
            status = read()
    except KeyboardInterrupt:
        return int(status["exit_code"])
