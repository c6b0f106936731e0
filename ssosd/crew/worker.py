"""The main loop of one worker process: receive a job, do it, send its outcome, until there are no more."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait

from ssosd import astromatic
from ssosd.crew.jobs import done
from ssosd.plumbing.memory import keep_freed_memory
from ssosd.station import Station


def serve(connection: Connection, station: Station) -> None:
    """Do jobs as they come.

    A worker ends when the other end of the connection is closed, on SIGTERM, and when its parent has ended,
    however that happened; the binaries it has started end with it. SIGINT is the parent's business.

    Parameters
    ----------
    connection : Connection
        Jobs come in and outcomes go out.
    station : Station
    """
    keep_freed_memory()
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)  # the thread is told through the pipe
    threading.Thread(target=_end_in_time, args=(heard,), daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        connection.send(done(job, station))


def _end_in_time(heard: int) -> None:
    """End this process when it is told to, or when its parent has ended."""
    parent = multiprocessing.parent_process()
    wait([heard] if parent is None else [heard, parent.sentinel])
    astromatic.stop_all()
    os._exit(1)
