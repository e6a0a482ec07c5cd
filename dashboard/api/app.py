"""The application: its routes, what it makes of errors, and its description (OpenAPI)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from dashboard.api import evidence, fhir, jobs, pictures, sr, studies
from dashboard.api.description import describe
from dashboard.api.refusals import RefusalError
from dashboard.gate.problems import problem
from dashboard.text import sentence
from ichscope.access import NotAllowedError
from ichscope.errors import IchscopeError
from ichscope.store import NotFoundError, RefusedError

_Handler = Callable[[Request, Any], Awaitable[Response]]


def application() -> FastAPI:
    """Make the application. It has no page of documentation: FastAPI's would load scripts from elsewhere."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their functions
    )
    for router in (studies.router, evidence.router, fhir.router, sr.router, jobs.router, pictures.router):
        app.include_router(router)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    describe(app)
    return app


class _Silence(Response):
    """No answer: the program has gone, or the gate says why it reads no more."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return _Silence()


async def _refused(request: Request, error: RefusalError) -> Response:
    return _said(request, error.status, error.detail, error.headers)


async def _http(request: Request, error: HTTPException) -> Response:
    detail = "There is no such address." if error.status_code == 404 else sentence(str(error.detail))
    return _said(request, error.status_code, detail, dict(error.headers or {}))


async def _not_as_described(request: Request, error: RequestValidationError) -> Response:
    # What was sent instead is not repeated: it may be somebody's name.
    told = "; ".join(f"{'.'.join(map(str, found['loc'][1:]))}: {found['msg']}" for found in error.errors())
    return _said(request, 422, sentence(told))


async def _not_allowed(request: Request, error: IchscopeError) -> Response:
    return _said(request, 403, str(error))


async def _not_there(request: Request, error: IchscopeError) -> Response:
    return _said(request, 404, str(error))


async def _not_now(request: Request, error: IchscopeError) -> Response:
    return _said(request, 503, sentence(str(error)))


async def _no_room(request: Request, error: OSError) -> Response:
    return _said(request, 503, "Files cannot be written on the server, as where its disk is full.")


async def _unexpected(request: Request, error: Exception) -> Response:
    return _said(request, 500, "This is a mistake in ICHScope; its log says where.")


def _said(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    # What is still being sent is not read any more.
    close = {"connection": "close"} if request.method == "POST" else {}
    return problem(status, detail, {**close, **(headers or {})})


_HANDLERS: dict[type[Exception], _Handler] = {
    ClientDisconnect: _gone,
    RefusalError: _refused,
    HTTPException: _http,
    RequestValidationError: _not_as_described,
    RefusedError: _not_allowed,
    NotAllowedError: _not_allowed,
    NotFoundError: _not_there,
    IchscopeError: _not_now,
    OSError: _no_room,
    Exception: _unexpected,
}
