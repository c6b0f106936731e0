"""The process that worker processes are forked from, with their modules imported once for all of them."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext


def start_fork_server(*modules: str) -> ForkServerContext:
    """Let the fork server import modules while this process goes on; one that runs stays as it is.

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
    context.set_forkserver_preload(["ssosd.plumbing.uncollected", *modules])
    forkserver.ensure_running()
    return context
