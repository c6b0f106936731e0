"""The process that worker processes are forked from, with their modules imported once for all of them."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext


def start_fork_server(*modules: str) -> ForkServerContext:
    """Let the fork server import modules while this process goes on; one that runs stays as it is.

    SIGINT is this process's business, from the first moment on.

    Parameters
    ----------
    *modules : str
        What workers need. They, not this process, import it: called early it costs no time.

    Returns
    -------
    ForkServerContext
        Which starts processes by forking it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ssosd.plumbing.uncollected", *modules, "ssosd.plumbing.collected"])
    resource_tracker.ensure_running()  # or the server starts it, which lets SIGINT through
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the server inherits it
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return context
