"""Connections on which the head of a request does not come are closed, so that nobody can hold them all.

Uvicorn has a time-out between requests, and none once a first byte of the next has come. No middleware sees such a
connection; this is the one place that reaches into the server.
"""

from __future__ import annotations

import asyncio
from functools import wraps

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 15.0
_WATCH = "ichscope_watch"


def close_late_ones(seconds: float = SECONDS) -> None:
    """Have every connection closed that has not sent the whole head of its request within so many seconds."""
    made, received = H11Protocol.connection_made, H11Protocol.data_received
    if hasattr(made, "__wrapped__"):
        return

    @wraps(made)
    def connection_made(self: H11Protocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        _watch(self, seconds)

    @wraps(received)
    def data_received(self: H11Protocol, data: bytes) -> None:
        received(self, data)
        _watch(self, seconds)

    setattr(H11Protocol, "connection_made", connection_made)  # noqa: B010 - a method is no plain attribute for mypy
    setattr(H11Protocol, "data_received", data_received)  # noqa: B010


def _watch(connection: H11Protocol, seconds: float) -> None:
    """Look again later, unless somebody does already or a request is being answered."""
    if _waits(connection) and getattr(connection, _WATCH, None) is None:
        setattr(connection, _WATCH, connection.loop.call_later(seconds, _look, connection))


def _look(connection: H11Protocol) -> None:
    setattr(connection, _WATCH, None)
    if _waits(connection) and not connection.transport.is_closing():
        connection.transport.close()


def _waits(connection: H11Protocol) -> bool:
    """Whether the next thing to come is the head of a request."""
    return connection.conn.their_state is h11.IDLE
