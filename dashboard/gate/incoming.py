"""Uploads go to disk as they come: Streamlit's route gets an empty file of the same name, and keeps that in memory.

A browser sends one file a request, as multipart/form-data to an address that names Streamlit's session and the file.
"""

from __future__ import annotations

import re
from typing import IO

from anyio import to_thread
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime

from dashboard.arrivals import Arrivals, FullError

_ID = "([0-9a-f-]{36})"
_UPLOAD = re.compile(f"/_stcore/upload_file/{_ID}/{_ID}")
_STORED = 204


class MalformedError(Exception):
    """A body that is not one file as multipart/form-data."""


class Incoming:
    """Takes the files out of uploads; hands all else on."""

    def __init__(self, app: ASGIApp, arrivals: Arrivals) -> None:
        self._app, self._arrivals = app, arrivals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = _UPLOAD.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found and scope["method"] == "PUT" and _open(found[1]):
            await self._put(scope, receive, send, found[1], found[2])
            return
        if found and scope["method"] == "DELETE":
            await to_thread.run_sync(self._arrivals.remove, found[1], found[2])
        await self._app(scope, receive, send)

    async def _put(self, scope: Scope, receive: Receive, send: Send, session: str, file: str) -> None:
        answer = _Answer(send)
        try:
            rest = await self._take(scope, receive, session, file)
            if rest is not None:
                await self._app(_with_length(scope, len(rest)), _body(rest, receive), answer.send)
        except (MalformedError, MultipartParseError):
            await _refusal(400, "Expected one file as multipart/form-data.")(scope, receive, send)
        except FullError:
            await _refusal(413, "So much cannot be taken at once.")(scope, receive, send)
        except OSError:
            await _refusal(507, "There is no room on the server's disk.")(scope, receive, send)
        finally:
            if answer.status != _STORED:
                await to_thread.run_sync(self._arrivals.remove, session, file)

    async def _take(self, scope: Scope, receive: Receive, session: str, file: str) -> bytes | None:
        """Write the file to disk; gives the body without it, or None where the browser has gone."""
        with self._arrivals.begin(session, file) as target:
            part = _Part(Headers(scope=scope).get("content-type", ""), target)
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunk = message.get("body", b"")
                self._arrivals.charge(session, len(chunk))
                await to_thread.run_sync(part.feed, chunk)
                if not message.get("more_body", False):
                    return part.without_file()


class _Part:
    """The one part of a body, whose content goes into a file."""

    def __init__(self, content_type: str, target: IO[bytes]) -> None:
        kind, options = parse_options_header(content_type)
        self._boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not self._boundary:
            raise MalformedError
        self._target, self._head, self._name, self._value = target, b"", b"", b""
        self._parts, self._over = 0, False
        self._parser = MultipartParser(
            self._boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_part_data": self._content,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Take what comes next of the body."""
        self._parser.write(chunk)

    def without_file(self) -> bytes:
        """The whole body once more, with nothing in the file."""
        if not self._over:
            raise MalformedError
        line = b"--" + self._boundary
        return line + b"\r\n" + self._head + b"\r\n\r\n" + line + b"--\r\n"

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise MalformedError

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._head += self._name + b": " + self._value + b"\r\n"
        self._name = self._value = b""

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._target.write(data[start:end])

    def _end(self) -> None:
        self._over = True


class _Answer:
    """What is sent back, and its status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _refusal(status: int, text: str) -> PlainTextResponse:
    """Say why, and read no more of what is still being sent."""
    return PlainTextResponse(f"{text}\n", status, {"connection": "close"})


def _open(session: str) -> bool:
    """Whether a page of this session is open; Streamlit refuses what comes for any other."""
    return runtime.exists() and runtime.get_instance().is_active_session(session)


def _with_length(scope: Scope, length: int) -> Scope:
    headers = MutableHeaders(raw=list(scope["headers"]))
    headers["content-length"] = str(length)
    del headers["transfer-encoding"]
    return {**scope, "headers": headers.raw}


def _body(whole: bytes, receive: Receive) -> Receive:
    """Give a body at once, and then what else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": whole, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
