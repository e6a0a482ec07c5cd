"""Files that programs send: to disk as they come, as those of pages do, and gone when they are done with.

A session of dashboard.arrivals is a token here: all that comes with it at one time has one limit.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from dashboard.api.refusals import RefusalError, too_busy
from dashboard.arrivals import LEAST_BYTES, FullError, arrivals
from ichscope.access import current_actor
from ichscope.imaging.limits import MIB

PARTS = ("multipart/form-data", "multipart/related")
# A path of so many letters fits below any home.
_LONGEST_NAME = 255
_AGAIN_S = 30


@dataclass(frozen=True)
class SentFile:
    """A file as it came: its name as the program knows it, where it lies, and the SHA-256 of what is in it."""

    name: str
    path: Path
    sha256: str


@asynccontextmanager
async def received(request: Request, kinds: Collection[str], most_bytes: int) -> AsyncIterator[Sequence[SentFile]]:
    """Take the files of a request, for as long as they are used.

    Parameters
    ----------
    kinds : what the body may be; PARTS are several files, all else is one
    most_bytes : how much the files may have together; each counts dashboard.arrivals.LEAST_BYTES at least

    Raises
    ------
    RefusalError
        if it is another kind (415), malformed (400), empty (422), too large (413), or more than the token may have on
        its way (429)
    OSError
        if it cannot be written
    starlette.requests.ClientDisconnect
        if the rest does not come
    """
    desk = _Desk(most_bytes)
    try:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RefusalError(415, "Found a Content-Encoding, expected none; a ZIP is packed already.")
        reader = _reader(request.headers.get("content-type", ""), kinds, desk)
        try:
            async for chunk in request.stream():
                if chunk:
                    await to_thread.run_sync(reader.feed, chunk)
            await to_thread.run_sync(reader.end)
        except MultipartParseError:
            raise _malformed() from None
        except FullError:
            raise too_busy("So much cannot be taken at once; what came before is still being read.", _AGAIN_S) from None
        yield tuple(desk.files)
    finally:
        await to_thread.run_sync(desk.close)


class _Desk:
    """Writes files one after the other, and removes them in the end."""

    def __init__(self, most_bytes: int) -> None:
        actor = current_actor()
        self._session = f"program-{actor.session or 'here'}".replace(" ", "-")
        self._most, self._bytes = most_bytes, 0
        self.files: list[SentFile] = []
        self._begun: list[str] = []
        self._open: tuple[str, IO[bytes]] | None = None
        self._hash = hashlib.sha256()

    def begin(self, name: str) -> None:
        """Open the next file."""
        self._count(LEAST_BYTES)
        number = secrets.token_hex(8)
        self._begun.append(number)
        self._open = (name[-_LONGEST_NAME:], arrivals().begin(self._session, number))
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Write what comes next of it."""
        assert self._open is not None
        self._count(len(data))
        arrivals().charge(self._session, len(data))
        self._open[1].write(data)
        self._hash.update(data)

    def end(self) -> None:
        """Close it; an empty one is none."""
        assert self._open is not None
        (name, file), self._open = self._open, None
        file.close()
        path = arrivals().path(self._session, self._begun[-1])
        if path.stat().st_size:
            self.files.append(SentFile(name, path, self._hash.hexdigest()))

    def close(self) -> None:
        """Remove all files."""
        if self._open is not None:
            self._open[1].close()
        for number in self._begun:
            arrivals().remove(self._session, number)

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._most:
            raise RefusalError(413, f"Found more than {self._most // MIB} MB in one request; expected less.")


class _Reader(Protocol):
    def feed(self, chunk: bytes) -> None:
        """Take what comes next of the body."""

    def end(self) -> None:
        """Say that all of it is there."""


def _reader(content_type: str, kinds: Collection[str], desk: _Desk) -> _Reader:
    kind_bytes, options = parse_options_header(content_type)
    kind = kind_bytes.decode("latin-1")
    if kind not in kinds:
        raise RefusalError(415, f"Found another Content-Type; expected {', '.join(kinds)}.")
    if kind not in PARTS:
        return _Whole(desk, kind.rpartition("/")[2])
    if not (boundary := options.get(b"boundary", b"")):
        raise _malformed()
    return _Parts(desk, boundary)


def _malformed() -> RefusalError:
    return RefusalError(400, "The body is not what its Content-Type says; expected files as parts of a multipart body.")


def _nothing() -> RefusalError:
    return RefusalError(422, "Found no file in it, or empty ones alone; expected at least one.")


class _Whole:
    """A body that is one file."""

    def __init__(self, desk: _Desk, ending: str) -> None:
        self._desk = desk
        desk.begin(f"sent.{ending}")

    def feed(self, chunk: bytes) -> None:
        self._desk.write(chunk)

    def end(self) -> None:
        self._desk.end()
        if not self._desk.files:
            raise _nothing()


class _Parts:
    """A body of several files, each a part (RFC 7578, RFC 2387)."""

    def __init__(self, desk: _Desk, boundary: bytes) -> None:
        self._desk, self._over = desk, False
        self._field = self._value = b""
        self._name = ""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._head_over,
                "on_part_data": self._content,
                "on_part_end": desk.end,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def end(self) -> None:
        if not self._over:
            raise _malformed()
        if not self._desk.files:
            raise _nothing()

    def _begin(self) -> None:
        self._name = ""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(self._value.decode("latin-1"))
            self._name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._field = self._value = b""

    def _head_over(self) -> None:
        self._desk.begin(self._name)

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._desk.write(data[start:end])

    def _end(self) -> None:
        self._over = True
