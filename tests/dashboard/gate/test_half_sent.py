"""A connection that never says what it wants is closed; one that does is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from dashboard.gate import half_sent
from tests.support.asgi_client import finished


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connection_made", "data_received"):
        now = getattr(H11Protocol, name)
        monkeypatch.setattr(H11Protocol, name, getattr(now, "__wrapped__", now))
    half_sent.close_late_ones(0.3)


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    async def slow(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(0.8)
        await PlainTextResponse("late")(scope, receive, send)  # type: ignore[arg-type]

    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(slow, http="h11", lifespan="off", log_config=None))
    task = asyncio.create_task(running.serve(sockets=[listening]))
    while not running.started:
        await asyncio.sleep(0.02)
    yield listening.getsockname()[1]
    running.should_exit = True
    await task


async def answer(sent: bytes, then: bytes = b"") -> bytes:
    async with server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        if then:
            await reader.readuntil(b"late")
            writer.write(then)
        got = await asyncio.wait_for(reader.read(), 4)
        writer.close()
        await writer.wait_closed()
        return got


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: local"])
def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    assert finished(answer(sent)) == b""


def test_a_slow_answer_is_no_slow_question() -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert finished(answer(head)).endswith(b"late")


def test_the_second_head_on_a_connection_has_its_time_too() -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert finished(answer(head, then=b"GET / HT")) == b""
