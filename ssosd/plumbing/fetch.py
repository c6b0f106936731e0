"""Fetch the body of a web page within a time limit that holds for all of it: name, handshake, headers, body.

The time-outs of `urllib` count anew at every byte, so a server that drips holds its client for ever; here the
whole exchange runs in a thread that is left behind, its socket shut, when the time is over.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ssosd import __version__
from ssosd.errors import Misconfigured, ServiceUnavailable, Unreachable

USER_AGENT = f"ssosd/{__version__}"

_MAX_BYTES = 64 * 2**20
_CHUNK = 1 << 20
_GRACE_S = 5.0  # the socket's own time-out comes after ours, which names the limit
#: Names of this machine, which no proxy is asked for.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def fetch(url: str, time_limit_s: float) -> bytes:
    """Body of the answer to an HTTP GET.

    Redirects are followed, and the usual proxy variables of the environment, but these not to this machine.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``.
    time_limit_s : float
        Wall seconds for the whole exchange.

    Returns
    -------
    bytes
        All of the body: a shorter one than announced is an error.

    Raises
    ------
    ServiceUnavailable
        A status other than success, a broken or oversized answer, or none in time; as Unreachable where
        there is no connection.
    Misconfigured
        `url` is no web address.
    """
    body = io.BytesIO()
    _exchanged(url, time_limit_s, into=body, most=_MAX_BYTES)
    return body.getvalue()


def download(url: str, path: Path, time_limit_s: float, *, most_bytes: int = 1 << 30) -> None:
    """Write the body of the answer to an HTTP GET into a new file, as `fetch` does; all of it or an error.

    Parameters
    ----------
    url : str
    path : Path
        Must not exist; what there is of it after an error is for the caller to remove.
    time_limit_s : float
        Wall seconds for the whole exchange.
    most_bytes : int
        A larger body is an error.

    Raises
    ------
    ServiceUnavailable, Misconfigured
        As `fetch`.
    OSError
        The file cannot be written.
    """
    with path.open("xb") as file:
        _exchanged(url, time_limit_s, into=file, most=most_bytes)


def _exchanged(url: str, time_limit_s: float, *, into: IO[bytes], most: int) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured(f"{url!r} is not a web address", next_step="it starts with http:// or https://")
    exchange = _Exchange(url, time_limit_s, direct=parts.hostname in LOOPBACK, into=into, most=most)
    if time_limit_s > 0.0:
        threading.Thread(target=exchange.run, name=f"fetch {parts.hostname}", daemon=True).start()
    if time_limit_s <= 0.0 or not exchange.finished.wait(time_limit_s):
        exchange.abandon()
        raise ServiceUnavailable(f"{parts.hostname}: no complete answer within {time_limit_s:.3g} s")
    if exchange.write_error is not None:
        raise exchange.write_error
    if exchange.failure is not None:
        kind = Unreachable if _is_unconnected(exchange.failure) else ServiceUnavailable
        raise kind(f"{parts.hostname}: {_reason(exchange.failure)}") from exchange.failure
    if exchange.too_large:
        raise ServiceUnavailable(f"{parts.hostname}: the answer is larger than {most >> 20} MB")


class _Exchange:
    """One request and its answer, made in a thread of its own."""

    def __init__(self, url: str, time_limit_s: float, *, direct: bool, into: IO[bytes], most: int) -> None:
        self.finished = threading.Event()
        self.failure: Exception | None = None
        self.write_error: OSError | None = None
        self.too_large = False
        self._into = into
        self._most = most
        self._abandoned = threading.Event()
        self._sockets: list[socket.socket] = []
        self._time_limit_s = time_limit_s
        self._request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT})  # noqa: S310 - checked
        proxies = [urllib.request.ProxyHandler({})] if direct else []
        self._opener = urllib.request.build_opener(_Http(self._sockets), _Https(self._sockets), *proxies)

    def run(self) -> None:
        """Ask, read, and note what came of it."""
        try:
            with self._opener.open(self._request, timeout=self._time_limit_s + _GRACE_S) as response:
                size = 0
                while chunk := response.read(min(_CHUNK, self._most + 1 - size)):
                    if self._abandoned.is_set() or not self._keep(chunk):
                        return
                    size += len(chunk)
                    self.too_large = size > self._most
                    if self.too_large:
                        return
                if response.length:  # read(n) does not tell of an early end
                    raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failure = error
        finally:
            self.finished.set()

    def _keep(self, chunk: bytes) -> bool:
        try:
            self._into.write(chunk)
        except OSError as error:
            self.write_error = error
            return False
        return True

    def abandon(self) -> None:
        """Shut the sockets, so that the thread ends."""
        self._abandoned.set()
        for opened in self._sockets:
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not SSLSocket's: it is in use elsewhere


class _Http(urllib.request.HTTPHandler):
    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_noting(http.client.HTTPConnection, self._sockets), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_noting(http.client.HTTPSConnection, self._sockets), req)


def _noting(base: type[http.client.HTTPConnection], sockets: list[socket.socket]) -> Any:
    """Make a kind of connection that adds its socket to a list once it is open."""

    class Connection(base):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    return Connection


def _is_unconnected(error: Exception) -> bool:
    return isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError)


def _reason(error: Exception | None) -> str:
    """Say in a few words what went wrong."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"HTTP {error.code} {error.reason}".rstrip()
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut short"
    if isinstance(error, urllib.error.URLError):
        inner = error.reason
        return f"no connection ({getattr(inner, 'strerror', None) or inner})"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "the connection was dropped"
    return str(error) or type(error).__name__
