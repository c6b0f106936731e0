"""Who may talk to the service: a page of ours, opened from the address that was printed, and nobody else.

Other users and other web pages of this machine can reach a port of the loopback interface too. So

- each address begins with a random token, compared in constant time;
- the Host header has to name this machine, or the very address that the request came to (a page elsewhere
  whose name is made to resolve to 127.0.0.1, DNS rebinding, still sends its own name);
- what changes something has to come from a page of the same origin (Origin, Sec-Fetch-Site), as JSON;
- every answer carries a Content-Security-Policy that lets the page load nothing but our own files.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCALHOST = "localhost"
LOOPBACK = frozenset({LOCALHOST, "127.0.0.1", "::1"})
_LARGEST_BODY = 16_384  # bytes
_SAFE = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that refuses what does not come from a page of ours.

    Parameters
    ----------
    app : ASGIApp
        Sees the token as its root path.
    token : str
        First part of every path.
    hosts : collection of str
        Names of this machine that a Host header may have, with any port: a tunnel's is another one.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Collection[str] = LOOPBACK) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        first = scope["path"].removeprefix("/").partition("/")[0]
        here = (scope.get("server") or ("",))[0]
        refused = self._refusal(headers, first, scope["method"], here=here)
        if refused:
            await PlainTextResponse(f"{refused[1]}\n", status_code=refused[0])(scope, receive, send_guarded)
            return
        await self._app({**scope, "root_path": f"/{self._token}"}, receive, send_guarded)

    def _refusal(self, headers: Headers, token: str, method: str, *, here: str) -> tuple[int, str] | None:
        """Status and reason of a refusal, None to let a request pass; `here` is where it has arrived."""
        if _name(headers.get("host", "")) not in {*self._hosts, here or LOCALHOST}:
            return 421, "this machine is not called so"
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return 403, "wrong or no token: open the address that ssosd printed"
        if method in _SAFE:
            return None
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return 403, "from another site"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            return 403, "from another origin"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "application/json is wanted"
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411, "the length is missing"
        return (413, "too large") if int(length) > _LARGEST_BODY else None


def _name(host: str) -> str:
    """The name in a Host header, without the port.

    >>> _name("localhost:8731"), _name("[::1]:8731"), _name("evil.example")
    ('localhost', '::1', 'evil.example')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
