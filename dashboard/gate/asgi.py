"""The gate itself: a pure ASGI middleware around Streamlit and our own routes."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnected

from dashboard.gate import asked, logs, messages, oidc, prometheus, response_headers, visitor
from dashboard.gate.asked import FOR_PROGRAMS, Refusal
from dashboard.gate.bodies import Body, most
from dashboard.gate.problems import problem
from dashboard.gate.start import Settings
from dashboard.gate.tabs import Tab
from ichscope.access import Right, Via
from ichscope.errors import IchscopeError

_LOG = logging.getLogger(__name__)
_POLICY_VIOLATION = 1008
# These decide by themselves what they say to whom.
_FOR_ALL = ("/healthz", "/readyz", "/metrics", "/sign-in", oidc.START, oidc.BACK)
_STREAMLITS_OWN = "/static/"  # scripts and fonts that everybody has
_STRANGER = Refusal(401, "stranger", "Please sign in.")
_NO_TOKEN = Refusal(401, "stranger", "This needs a token (Authorization: Bearer ...).")
_NO_STORE = Refusal(503, "store", "The store cannot be used at the moment, so nobody can be let in.")


class Gate:
    """Refuses, limits, strips, looks up who it is, logs; hands the rest on.

    Routes find who asks in the scope: `ichscope.actor`, an Actor or None; `ichscope.insider`, whether they may know
    what is wrong with the server; `ichscope.program`, whether it is a program with a token.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        with logs.request_id() as request_id:
            refusal = asked.refusal(scope, self._settings) or await self._identify(scope)
            asked.strip(scope)
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send, refusal)
            else:
                await self._http(scope, receive, send, refusal, request_id)

    async def _identify(self, scope: Scope) -> Refusal | None:
        """Look up who asks, and refuse whom the address is not for."""
        if not self._settings.sign_in:
            scope.update({"ichscope.actor": None, "ichscope.insider": True, "ichscope.program": False})
            return None
        actor = None
        try:
            actor = await visitor.who(scope)
        except IchscopeError as error:
            _LOG.warning("nobody can be looked up", exc_info=error)
            if not _for_all(scope["path"]):
                return _NO_STORE
        program = actor is not None and actor.via is Via.TOKEN
        person = actor is not None and not program
        scope.update({"ichscope.actor": actor, "ichscope.insider": person, "ichscope.program": program})
        if _for_all(scope["path"]) or (person and actor is not None and actor.may(Right.SEE)):
            return None
        if not scope["path"].startswith(FOR_PROGRAMS):
            return _STRANGER
        return None if program and actor is not None and actor.may(Right.API) else _NO_TOKEN

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal | None) -> None:
        if refusal is not None:
            _refused(scope, refusal)
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refusal.kind})
            return
        tab = Tab(scope, receive)
        watched = _Watched(scope, tab.receive).receive if self._settings.sign_in else tab.receive
        try:
            with prometheus.SOCKETS.track_inprogress():
                await self._app(scope, watched, send)
        except WebSocketDisconnected:
            # Streamlit closes once more what broke off while it was sending.
            _LOG.info("a browser was gone before its answer")
        finally:
            tab.left()

    async def _http(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal | None, request_id: str) -> None:
        answer = _Answer(scope, send, request_id)
        body = Body(scope, receive, most(scope, self._settings))
        refusal = refusal or body.broken
        if refusal is None:
            await self._app(scope, body.receive, answer.send)
            refusal = body.broken
        if refusal is not None and not answer.begun:
            _refused(scope, refusal)
            await _in_words(scope, refusal)(scope, receive, answer.send)
        answer.log()


class _Watched:
    """The messages of an open page; those of a session that has ended do nothing any more."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive

    async def receive(self) -> Message:
        while True:
            message = await self._receive()
            data = message.get("bytes")
            if not data or await self._signed_in(data):
                return message
            if left := messages.without_action(data):
                return {**message, "bytes": left}

    async def _signed_in(self, data: bytes) -> bool:
        try:
            return await visitor.who(self._scope, touch=not messages.automatic(data)) is not None
        except IchscopeError as error:
            _LOG.warning("nobody can be looked up", exc_info=error)
            return False


class _Answer:
    """What is sent back, with the headers that every answer has."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope, self._send, self._id = scope, send, request_id
        self._start, self._status = time.perf_counter(), 0

    @property
    def begun(self) -> bool:
        return bool(self._status)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            response_headers.put(MutableHeaders(scope=message), self._scope, self._id)
        await self._send(message)

    def log(self) -> None:
        route, method = logs.route(self._scope["path"]), self._scope["method"]
        prometheus.REQUESTS.labels(method if method in prometheus.METHODS else "other", str(self._status)).inc()
        seconds = round(time.perf_counter() - self._start, 4)
        if not route.startswith("/static"):
            values = logs.fields(method=method, route=route, status=self._status, seconds=seconds)
            _LOG.info("request", extra=values)


def _in_words(scope: Scope, refusal: Refusal) -> Response:
    """Say why; a stranger who opens a page is led to the sign-in."""
    if refusal is _STRANGER and scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", ""):
        query = scope.get("query_string", b"").decode("latin-1")
        wanted = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/sign-in?next={quote(wanted, safe='/')}", 303)
    headers = {"connection": "close"}
    if scope["path"].startswith(FOR_PROGRAMS):
        return problem(refusal.status, refusal.text, headers)
    return PlainTextResponse(f"{refusal.text}\n", refusal.status, headers)


def _refused(scope: Scope, refusal: Refusal) -> None:
    prometheus.REFUSED.labels(refusal.kind).inc()
    _LOG.info("refused", extra=logs.fields(route=logs.route(scope["path"]), kind=refusal.kind))


def _for_all(path: str) -> bool:
    return path in _FOR_ALL or path.startswith(_STREAMLITS_OWN)
