"""HTTP server of the viewer: the page and its API. Every request needs the token of the printed address."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ..errors import SettingsError, SuperResolutionError
from ..system.texts import on_one_line
from .choices import choices, modality_of, settings_of
from .sessions import Session, SessionOver, Sessions

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("viewer.js", "controls.js", "views.js", "images.js")
_PAGE_FILES = {"viewer.css": "text/css"} | dict.fromkeys(_SCRIPTS, "text/javascript")
_LARGEST_JSON = 1 << 16  # bytes of a request body
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def application(sessions: Sessions, token: str, *, largest_upload: int, once: str = "") -> Starlette:
    """Make the server.

    Parameters
    ----------
    sessions : Sessions
        Sessions of the pages; closed when the server ends.
    token : str
        Secret at the end of the address.
    largest_upload : int
        Bytes that a session may upload for one volume.
    once : str
        Secret of the address ``/once/SECRET``, which leads to the page a single time; empty for none. A browser is
        started with it, because all users of a computer see the command lines of its processes.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(sessions.close)

    made = Starlette(
        routes=_routes(),
        lifespan=lifespan,
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),  # against DNS rebinding
            Middleware(BaseHTTPMiddleware, dispatch=_guard(token)),
        ],
        exception_handlers={SuperResolutionError: _refused, MemoryError: _out_of_memory, ClientDisconnect: _closed},
    )
    made.state.sessions, made.state.largest_upload = sessions, largest_upload
    made.state.token, made.state.once = token, once
    return made


def _routes() -> list[Route]:
    session = "/api/sessions/{session}"
    return [
        Route("/", lambda request: FileResponse(_PAGE / "index.html")),
        Route("/once/{secret}", _once),
        Route("/page/{name}", _page_file),
        Route("/api/choices", lambda request: JSONResponse(choices())),
        Route("/api/sessions", _new_session, methods=["POST"]),
        Route(session, _state),
        Route(f"{session}/files/{{name}}", _upload, methods=["PUT"]),
        Route(f"{session}/open", _open, methods=["POST"]),
        Route(f"{session}/enhance", _enhance, methods=["POST"]),
        Route(f"{session}/cancel", _cancel, methods=["POST"]),
        Route(f"{session}/slices/{{image}}/{{plane}}/{{number:int}}", _slice),
        Route(f"{session}/result/{{name}}", _result),
    ]


def _guard(token: str) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Require the token: in the address of the page, and in a header of API requests."""

    async def dispatch(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        path = request.url.path
        shown = request.query_params.get("token", "") if path == "/" else ""
        shown = shown or request.headers.get("authorization", "").removeprefix("Bearer ")
        if path.startswith(("/page/", "/once/")) or secrets.compare_digest(shown.encode(), token.encode()):
            response = await call_next(request)
        else:
            response = _unknown(path)
        response.headers.update(_HEADERS)
        return response

    return dispatch


def _unknown(path: str) -> Response:
    sentence = "open the address that medsr view has printed"
    if path.startswith("/api/"):  # a page of a server that was started anew
        return JSONResponse({"error": sentence}, 403)
    return PlainTextResponse(f"{sentence.capitalize()}.\n", 403)


def _once(request: Request) -> Response:
    """Lead the browser that was started to the page, and no other after it."""
    state = request.app.state
    if not (state.once and secrets.compare_digest(request.path_params["secret"].encode(), state.once.encode())):
        return _unknown(request.url.path)
    state.once = ""
    return RedirectResponse(f"/?token={state.token}", 303)


async def _refused(request: Request, problem: Exception) -> Response:
    sentence = on_one_line(str(problem))  # it may quote a name that is no UTF-8
    return JSONResponse({"error": sentence}, 404 if isinstance(problem, SessionOver) else 422)


async def _out_of_memory(request: Request, problem: Exception) -> Response:
    return JSONResponse({"error": "there is not enough memory to show the volume; crop it first"}, 422)


async def _closed(request: Request, problem: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it: the page was closed, which is no failure of the server


def _session(request: Request) -> Session:
    return _sessions(request)[request.path_params["session"]]


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


async def _json_body(request: Request) -> dict[str, Any]:
    text = b""
    async for part in request.stream():
        text += part
        if len(text) > _LARGEST_JSON:
            raise SettingsError("the question is too long")
    try:
        asked = json.loads(text or b"{}")
    except (ValueError, RecursionError):  # the latter where lists lie in lists in lists
        asked = None
    if not isinstance(asked, dict):
        raise SettingsError("the question is no JSON object")
    return asked


def _page_file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _PAGE_FILES:
        return PlainTextResponse("there is no such file\n", 404)
    return FileResponse(_PAGE / name, media_type=_PAGE_FILES[name])


def _new_session(request: Request) -> Response:
    return JSONResponse({"session": _sessions(request).new()})


def _state(request: Request) -> Response:
    return JSONResponse(_session(request).state())


async def _upload(request: Request) -> Response:
    session, limit = _session(request), request.app.state.largest_upload
    if request.query_params.get("first"):
        session.begin_upload()
    room = limit - sum(path.stat().st_size for path in session.uploads.iterdir())
    path = session.upload_path(request.path_params["name"])
    try:
        with path.open("wb") as file:
            async for part in request.stream():
                room -= len(part)
                if room < 0:
                    raise SettingsError(f"more than {limit / 1e9:g} GB; start medsr view with a larger --max-upload")
                await run_in_threadpool(file.write, part)
    except BaseException as problem:  # too large, or the page was closed
        path.unlink(missing_ok=True)
        if isinstance(problem, OSError):
            raise SettingsError(
                f"{path.name} cannot be stored: {problem.strerror}; free some space, or name another folder for"
                " temporary files by TMPDIR before medsr view is started"
            ) from problem
        raise
    return JSONResponse({})


async def _open(request: Request) -> Response:
    session, asked = _session(request), await _json_body(request)
    if "path" in asked:
        path = Path(str(asked["path"]).strip())
        with suppress(RuntimeError):  # ~ stands for no home folder
            path = path.expanduser()
        await run_in_threadpool(session.open, path)
    else:
        await run_in_threadpool(session.open_uploads)
    return JSONResponse(session.state())


async def _enhance(request: Request) -> Response:
    asked = await _json_body(request)
    begin = _sessions(request).enhance
    await run_in_threadpool(begin, request.path_params["session"], settings_of(asked), modality_of(asked))
    return JSONResponse(_session(request).state())


def _cancel(request: Request) -> Response:
    session = _session(request)
    session.end_run()
    return JSONResponse(session.state())


def _slice(request: Request) -> Response:
    asked, comparison = request.path_params, _session(request).comparison
    if comparison is None:
        raise SettingsError("there is no volume yet; open one first")
    pixels = comparison.pixels(asked["image"], asked["plane"], asked["number"])
    described = {"X-Rows": str(pixels.shape[0]), "X-Columns": str(pixels.shape[1]), "X-Type": pixels.dtype.name}
    return Response(pixels.tobytes(), media_type="application/octet-stream", headers=described)


def _result(request: Request) -> Response:
    path = _session(request).result(request.path_params["name"])
    return FileResponse(path, filename=path.name, media_type="application/octet-stream")
