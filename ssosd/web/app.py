"""The addresses of the service: what each answers with. Work is done elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ssosd.errors import BadInput, SsosdError
from ssosd.status import Status
from ssosd.store import VERDICTS, Judged, Seen
from ssosd.web.describe import Json
from ssosd.web.subject import Subject, details, pixels

STATIC = Path(__file__).parent / "static"
_LONGEST_NAME = 60
_LONGEST_NUMBER = 18  # digits that SQLite keeps as an integer
_LARGEST = 1e6  # of what is seen: days and degrees


class Library(Protocol):
    """Subjects by their names."""

    def names(self) -> list[Json]:
        """What there is to inspect: name, candidates, judged; the first one is opened first."""

    def subject(self, name: str) -> Subject:
        """One of them; BadInput when there is none of this name."""


class BadRequest(BadInput):
    """A request that is not understood."""


def inspector_app(
    library: Library, *, first: str, person: str, status: Callable[[], Status] | None
) -> Starlette:
    """The inspector's addresses.

    Parameters
    ----------
    library : Library
    first : str
        Name of the subject that is opened first.
    person : str
        Who gives verdicts until the page is told another name.
    status : callable, optional
        Reads the status for the live page.
    """

    def page(request: Request) -> Response:
        library.subject(request.path_params["subject"])
        return FileResponse(STATIC / "inspector.html")

    def start(request: Request) -> Response:
        return RedirectResponse(f"{request.scope['root_path']}/{first}/", status_code=303)

    def overview(request: Request) -> Response:
        subject = library.subject(request.path_params["subject"])
        return JSONResponse(
            {**subject.overview(), "nights": library.names(), "you": person, "live": status is not None}
        )

    def candidate(request: Request) -> Response:
        subject = library.subject(request.path_params["subject"])
        return JSONResponse(details(subject, request.path_params["candidate"]))

    def candidate_pixels(request: Request) -> Response:
        subject = library.subject(request.path_params["subject"])
        return Response(
            pixels(subject, request.path_params["candidate"]), media_type="application/octet-stream"
        )

    def changes(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > _LONGEST_NUMBER:
            raise BadRequest(f"after: found {after}, allowed is a number of at most {_LONGEST_NUMBER} digits")
        return JSONResponse(library.subject(request.path_params["subject"]).changes(after=int(after)))

    async def verdict(request: Request) -> Response:
        asked = await _body(request)
        subject = await run_in_threadpool(library.subject, request.path_params["subject"])
        said, version = asked.get("verdict"), asked.get("version")
        if said not in (*VERDICTS, None):
            raise BadRequest(f"verdict: found {said}, allowed is {', '.join(VERDICTS)} or null")
        if not isinstance(version, int) or not isinstance(asked.get("candidate"), str):
            raise BadRequest("candidate (text) and version (number) are wanted")
        return _judged(
            await run_in_threadpool(
                subject.judge,
                asked["candidate"],
                said,
                person=_person(asked),
                version=version,
                seen=_seen(asked),
            )
        )

    async def undo(request: Request) -> Response:
        asked = await _body(request)
        subject = await run_in_threadpool(library.subject, request.path_params["subject"])
        return _judged(await run_in_threadpool(subject.undo, person=_person(asked)))

    routes: list[Route | Mount] = [
        Route("/", start),
        *_common(status),
        Route("/{subject}/", page),
        Route("/{subject}/candidates", overview),
        Route("/{subject}/candidates/{candidate}", candidate),
        Route("/{subject}/candidates/{candidate}/pixels", candidate_pixels),
        Route("/{subject}/changes", changes),
        Route("/{subject}/verdicts", verdict, methods=["POST"]),
        Route("/{subject}/undo", undo, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=_HANDLERS)


def live_app(status: Callable[[], Status]) -> Starlette:
    """The live page alone: nothing in it changes anything."""

    def start(request: Request) -> Response:
        return RedirectResponse(f"{request.scope['root_path']}/live/", status_code=303)

    return Starlette(routes=[Route("/", start), *_common(status)], exception_handlers=_HANDLERS)


def _common(status: Callable[[], Status] | None) -> list[Route | Mount]:
    routes: list[Route | Mount] = [Mount("/static", StaticFiles(directory=STATIC))]
    if status is not None:
        read = status

        def live(_: Request) -> Response:
            return FileResponse(STATIC / "live.html")

        def live_status(_: Request) -> Response:
            return JSONResponse(read())

        routes += [Route("/live/", live), Route("/live/status", live_status)]
    return routes


def _judged(judged: Judged) -> Response:
    now = judged.now
    body = {
        "taken": judged.taken,
        "now": None if now is None else {name: getattr(now, name) for name in now.__slots__},
    }
    return JSONResponse(body, status_code=200 if judged.taken else 409)


async def _body(request: Request) -> dict[str, Any]:
    try:
        asked = json.loads(await request.body())
        json.dumps(asked, ensure_ascii=False).encode()  # half of a letter is JSON, but no text
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is no JSON") from error
    if not isinstance(asked, dict):
        raise BadRequest("the body is no JSON object")
    return asked


def _person(asked: dict[str, Any]) -> str:
    name = asked.get("person")
    text = " ".join(name.split()) if isinstance(name, str) else ""
    if not text or len(text) > _LONGEST_NAME or not text.isprintable():
        raise BadRequest(f"person: a name of at most {_LONGEST_NAME} letters is wanted")
    return text


def _seen(asked: dict[str, Any]) -> Seen:
    given = asked.get("seen")
    place = [given.get(name) for name in ("mjd", "ra", "dec")] if isinstance(given, dict) else []
    numbers = [float(x) for x in place if isinstance(x, int | float) and abs(x) < _LARGEST]
    if len(numbers) != 3:
        raise BadRequest("seen: mjd, ra and dec of the candidate as it was shown are wanted")
    return Seen(mjd=numbers[0], ra_deg=numbers[1], dec_deg=numbers[2])


def _problem(_: Request, error: Exception) -> Response:
    status = 400 if isinstance(error, BadRequest) else 404 if isinstance(error, BadInput) else 500
    return PlainTextResponse(f"{error}\n", status_code=status)


_HANDLERS: Any = {SsosdError: _problem}
