"""The gate before an application that answers everything: what comes through, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboard.gate import bodies
from dashboard.gate.asgi import Gate
from dashboard.gate.start import LOCAL, Settings
from tests.support.asgi_client import finished

SETTINGS = Settings("localhost", frozenset(LOCAL), sign_in=False, upload_bytes=1000)
HOST = {"host": "localhost:8501"}


class Application:
    """Answers 200 with what it got."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [(b"server", b"uvicorn"), (b"content-security-policy", b"")][:1]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"inside"})


def ask(
    headers: Mapping[str, str] = HOST,
    *,
    kind: str = "http",
    method: str = "GET",
    path: str = "/",
    client: str = "127.0.0.1",
    scheme: str = "http",
    chunks: tuple[bytes, ...] = (b"",),
    hangs: bool = False,
    settings: Settings = SETTINGS,
) -> tuple[list[Message], Application]:
    """Ask once; what was sent back, and the application behind."""
    scope: dict[str, Any] = {"type": kind, "path": path, "scheme": scheme, "client": (client, 5000)}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    if kind == "http":
        scope["method"] = method
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if not hangs:
        waiting[-1]["more_body"] = False
    if kind == "websocket":
        waiting = [{"type": "websocket.connect"}]
    sent: list[Message] = []
    behind = Application()

    async def receive() -> Message:
        return waiting.pop(0) if waiting else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Message) -> None:
        sent.append(message)

    finished(Gate(behind, settings)(scope, receive, send))
    return sent, behind


def status(sent: list[Message]) -> int:
    return next(message["status"] for message in sent if message["type"] == "http.response.start")


def headers_of(sent: list[Message]) -> dict[str, str]:
    start = next(message for message in sent if message["type"] == "http.response.start")
    return {name.decode(): value.decode() for name, value in start["headers"]}


REFUSED = [
    # An unknown, missing, doubled or malformed name.
    ({"headers": {"host": "evil.example"}}, 421),
    ({"headers": {}}, 421),
    ({"headers": {"host": "localhost:x"}}, 421),
    ({"headers": {"host": "localhost/a"}}, 421),
    ({"headers": {"host": "evil.example@localhost"}}, 421),
    ({"headers": {"host": "localhost.evil.example"}}, 421),
    # A proxy before a server without a sign-in.
    ({"headers": HOST | {"X-Forwarded-For": "192.0.2.1"}}, 403),
    ({"headers": HOST | {"Forwarded": "for=192.0.2.1"}}, 403),
    ({"headers": HOST | {"Via": "1.1 proxy"}}, 403),
    ({"client": "192.0.2.1"}, 403),
    # A page of another site that would change something.
    ({"headers": HOST | {"origin": "https://evil.example"}, "method": "POST"}, 403),
    ({"headers": HOST | {"origin": "null"}, "method": "PUT"}, 403),
    ({"headers": HOST | {"origin": "http://localhost:1"}, "method": "DELETE"}, 403),
    # What Streamlit has and nobody needs.
    ({"path": "/_stcore/metrics"}, 404),
    ({"path": "/_stcore/metrics/"}, 404),
    ({"path": "/_stcore/agent/interact", "method": "POST"}, 404),
    ({"path": "/auth/login"}, 404),
    # No address of anything.
    ({"path": "/api/studies/\n/evidence"}, 404),
    ({"path": "/worklist\0"}, 404),
    # Nobody has signed in.
    ({"settings": replace(SETTINGS, sign_in=True)}, 401),
    ({"settings": replace(SETTINGS, sign_in=True), "path": "/_stcore/health"}, 401),
    ({"settings": replace(SETTINGS, sign_in=True), "path": "/media/a.png"}, 401),
    ({"settings": replace(SETTINGS, sign_in=True), "path": "/_stcore/upload_file/a/b", "method": "PUT"}, 401),
]


@pytest.mark.parametrize(("asked", "code"), REFUSED)
def test_refused(asked: dict[str, Any], code: int) -> None:
    sent, behind = ask(**asked)
    assert status(sent) == code
    assert not behind.scopes
    assert headers_of(sent)["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"headers": {"host": "LOCALHOST:8501"}},
        {"headers": {"host": "[::1]:8501"}, "client": "::1"},
        {"headers": HOST | {"origin": "https://evil.example"}},  # a link from there
        {"headers": HOST | {"origin": "http://localhost:8501"}, "method": "POST"},
        {"method": "POST"},  # a program
        {"path": "/_stcore/health"},
        {"path": "/auth-of-something-else"},
        {
            "headers": {"host": "ich.example.org", "x-forwarded-for": "192.0.2.1"},
            "client": "192.0.2.1",
            "path": "/healthz",
            "settings": replace(SETTINGS, sign_in=True, hosts=frozenset({"ich.example.org"})),
        },
    ],
)
def test_let_in(asked: dict[str, Any]) -> None:
    sent, behind = ask(**asked)
    assert status(sent) == 200
    assert behind.scopes


@pytest.mark.parametrize(
    ("headers", "client", "inside"),
    [
        (HOST, "127.0.0.1", True),
        (HOST | {"origin": "http://localhost:8501"}, "127.0.0.1", True),
        (HOST | {"origin": "https://evil.example"}, "127.0.0.1", False),
        (HOST | {"origin": "null"}, "127.0.0.1", False),
        ({"host": "evil.example", "origin": "http://evil.example"}, "127.0.0.1", False),
        (HOST | {"x-forwarded-for": "192.0.2.1"}, "127.0.0.1", False),
        (HOST, "192.0.2.1", False),
    ],
)
def test_websockets(headers: dict[str, str], client: str, inside: bool) -> None:
    sent, behind = ask(headers, kind="websocket", client=client)
    assert bool(behind.scopes) == inside
    assert sent[0]["type"] == ("websocket.accept" if inside else "websocket.close")


def test_a_browser_that_is_gone_while_streamlit_answers_is_no_error() -> None:
    async def streamlit(scope: Scope, receive: Receive, send: Send) -> None:
        """Take turns as its endpoint does: the answer fails, then the next message is asked for, and all is closed."""
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        with pytest.raises(WebSocketDisconnect):
            await socket.send_bytes(b"answer")
        try:
            await socket.receive_bytes()
        except RuntimeError:
            await socket.close()

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise OSError

    scope = {"type": "websocket", "path": "/_stcore/stream", "scheme": "ws", "client": ("127.0.0.1", 5000)}
    finished(Gate(streamlit, SETTINGS)(scope | {"headers": [(b"host", b"localhost:8501")]}, receive, send))


def test_every_answer_has_the_headers_of_the_house() -> None:
    headers = headers_of(ask(scheme="https")[0])
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["strict-transport-security"]
    assert "server" not in headers
    assert "strict-transport-security" not in headers_of(ask()[0])


def test_every_request_has_an_id_of_its_own() -> None:
    ids = [headers_of(ask(HOST | {"X-Request-ID": "mine"})[0])["x-request-id"] for _ in range(2)]
    assert len({*ids, "mine"}) == 3


def test_nobody_says_who_somebody_is() -> None:
    forged = {"Remote-User": "root", "X-Forwarded-User": "root", "X-ICHScope-Role": "admin", "Accept": "*/*"}
    _, behind = ask(HOST | forged)
    assert [name for name, _ in behind.scopes[0]["headers"]] == [b"host", b"accept"]


UPLOAD = "/_stcore/upload_file/a/b"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"path": UPLOAD, "chunks": (b"x" * 900,)}, 200),
        ({"path": UPLOAD, "headers": HOST | {"content-length": str(10**9)}}, 413),
        ({"path": UPLOAD, "chunks": (b"x" * 1024**2,) * 3}, 413),
        ({"path": "/api/pictures", "chunks": (b"x" * 1024**2,)}, 200),
        ({"path": "/api/pictures", "chunks": (b"x" * 1024**2,) * 3}, 413),
        ({"path": "/api/queue", "chunks": (b"x" * 60_000,) * 2}, 413),
        ({"path": "/sign-in", "chunks": (b"x" * 60_000,)}, 200),
        ({"path": "/sign-in", "chunks": (b"x" * 60_000,) * 2}, 413),
    ],
)
def test_bodies_have_a_size(asked: dict[str, Any], code: int) -> None:
    sent, behind = ask(method="POST", **asked)
    assert status(sent) == code
    assert len(behind.body) <= 1000 + bodies._AROUND


@pytest.mark.parametrize(
    ("path", "kind"), [("/sign-in", "text/plain; charset=utf-8"), ("/api/studies", "application/problem+json")]
)
def test_bodies_have_a_time(monkeypatch: pytest.MonkeyPatch, path: str, kind: str) -> None:
    monkeypatch.setattr(bodies, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(bodies.Body.__init__, "__defaults__", (0.2,))
    sent, _ = ask(method="POST", path=path, chunks=(b"half",), hangs=True)
    assert (status(sent), headers_of(sent)["content-type"]) == (408, kind)
    assert headers_of(sent)["connection"] == "close"
