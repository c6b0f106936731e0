"""Serve the inspector or the live page from this machine until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from ssosd.errors import Misconfigured
from ssosd.web.guard import LOOPBACK, Guard

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8731
_TOKEN_BYTES = 24
_GRACE_S = 2  # for answers under way when it ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A service that answers."""

    url: str  # with the token
    port: int


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def open_socket(host: str, port: int | None) -> socket.socket:
    """A listening socket; without a port the usual one, or any when that is taken.

    Raises
    ------
    Misconfigured
        The address cannot be used.
    """
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError as error:
        raise Misconfigured(f"--host: found {host}, allowed is an IP address of this machine") from error
    for wanted in (port,) if port is not None else (DEFAULT_PORT, 0):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, wanted))
            listening.listen(128)
        except OSError as error:
            listening.close()
            problem = error
        else:
            return listening
    raise Misconfigured(
        f"{host}, port {port}: cannot be used: {problem.strerror or problem}", next_step="give another --port"
    ) from problem


@contextmanager
def serving(app: ASGIApp, *, listening: socket.socket, token: str) -> Iterator[Served]:
    """Answer requests in a thread of its own as long as the context lasts.

    Parameters
    ----------
    app : ASGIApp
        From `ssosd.web.app`; the guard is put before it here.
    listening : socket.socket
        From `open_socket`; closed at the end.
    token : str
        From `new_token`.
    """
    host, port = listening.getsockname()[:2]
    config = uvicorn.Config(
        Guard(app, token=token, hosts=_names(host)),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="web", daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else "127.0.0.1" if ip_address(host).is_unspecified else host
    try:
        yield Served(url=f"http://{shown}:{port}/{token}/", port=port)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def serve(
    app: ASGIApp, *, host: str, port: int | None, say: Callable[[Served], None], wait: Callable[[], None]
) -> None:
    """Serve until `wait` returns or Ctrl-C comes.

    Parameters
    ----------
    app : ASGIApp
    host : str
        IP address of this machine.
    port : int, optional
    say : callable
        Told where the service is.
    wait : callable
        Returns when it is to end.

    Raises
    ------
    Misconfigured
        The address cannot be used.
    """
    with serving(app, listening=open_socket(host, port), token=new_token()) as served:
        say(served)
        try:
            wait()
        except KeyboardInterrupt:
            return


def _names(host: str) -> frozenset[str]:
    """Names that a Host header may have for a service at this address."""
    if ip_address(host).is_loopback:
        return LOOPBACK | {host}
    return LOOPBACK | {host, socket.gethostname().lower(), socket.getfqdn().lower()}
