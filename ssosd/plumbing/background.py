"""Calls in threads of their own that do not keep the process from ending, as those of executors do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")


def begin(call: Callable[[], _T], *, name: str) -> Future[_T]:
    """Call a function in a daemon thread.

    Parameters
    ----------
    call : callable
        For work that may be cut off anywhere, such as waiting for a service.
    name : str
        Of the thread.

    Returns
    -------
    Future
        What it returns or raises.

    Examples
    --------
    >>> begin(lambda: 1 + 1, name="sum").result()
    2
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - as executors do: it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
