"""What the stand-ins of services have in common: a real HTTP server on 127.0.0.1 that can fail on purpose."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

_DRIP_S = 0.02


class Loopback:
    """A server that listens while in its `with` block; `plan` holds the ways of the next answers, then `way`."""

    handler: ClassVar[type[LoopbackHandler]]
    path: ClassVar[str]

    def __init__(self, *, plan: Iterable[str], way: str) -> None:
        self.plan: deque[str] = deque(plan)
        self.way = way
        self.closing = threading.Event()

    def __enter__(self) -> Self:
        handler = type("Handler", (self.handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.path}"

    def next_way(self) -> str:
        """How the next question is answered."""
        return self.plan.popleft() if self.plan else self.way


class LoopbackHandler(BaseHTTPRequestHandler):
    """Ways to answer that are the same for every service."""

    service: Any

    def log_message(self, *_: object) -> None:
        """Say nothing on the console."""

    def answer_badly(self, way: str) -> bool:
        """Answer as no service should; False for a way that is not one of these."""
        if way == "hang":  # takes the question and says nothing
            self.service.closing.wait()
            self.close_connection = True
        elif way == "drop":  # closes the connection without an answer
            self.close_connection = True
        elif way == "http500":
            self.send(b"<html><body>Internal Server Error</body></html>", status=500)
        elif way == "html":
            self.send(b"<!DOCTYPE html><html><body><h1>Maintenance</h1><br></body></html>", kind="text/html")
        elif way == "nothing":  # a body of no bytes
            self.send(b"")
        else:
            return False
        return True

    def head(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(
        self, body: bytes, *, status: int = 200, kind: str = "text/plain", length: int | None = None
    ) -> None:
        self.head(status, kind, len(body) if length is None else length)
        self.wfile.write(body)

    def drip(self, data: bytes) -> None:
        """Byte by byte."""
        for position in range(len(data)):
            if self.service.closing.wait(_DRIP_S):
                break
            self.wfile.write(data[position : position + 1])
            self.wfile.flush()
        self.close_connection = True
