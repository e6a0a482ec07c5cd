"""What is sent to the server has its size and its time."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from dashboard.gate.asked import Refusal
from dashboard.gate.start import Settings
from ichscope.imaging.limits import MIB, upload_mib

_UPLOADS = "/_stcore/upload_file/"
_FORM_BYTES = 64 * 1024
# Around the files of an upload: boundaries and names.
_AROUND = 1024 * 1024
_STUDIES, _PICTURES = "/api/studies", "/api/pictures"
# The same around the thousands of files that a program sends at once.
_AROUND_MANY = 16 * MIB
# A body must come within this time and one second for so many bytes.
_PATIENCE_S = 30.0
_SLOWEST_BYTES_PER_S = 16 * 1024

TOO_LARGE = Refusal(413, "size", "This is larger than the server takes.")
TOO_SLOW = Refusal(408, "slow", "The rest of this did not come in time.")


def most(scope: Scope, settings: Settings) -> int:
    """Give the most bytes that the body of a request may have."""
    if scope["path"] == _STUDIES:
        return upload_mib() * MIB + _AROUND_MANY
    if scope["path"].startswith(_UPLOADS) or scope["path"] == _PICTURES:
        return settings.upload_bytes + _AROUND
    return _FORM_BYTES


class Body:
    """The body of a request, received under limits; once one is broken, `broken` says which, and nothing more comes."""

    def __init__(self, scope: Scope, receive: Receive, most: int, patience_s: float = _PATIENCE_S) -> None:
        self._receive, self._most, self._patience_s = receive, most, patience_s
        self._begun, self._bytes, self._over = time.monotonic(), 0, False
        length = Headers(scope=scope).get("content-length", "0")
        self.broken = TOO_LARGE if length.isdecimal() and int(length) > most else None

    async def receive(self) -> Message:
        """Give the next message; what breaks a limit is a client that has gone."""
        if self._over:  # all of it is there: what comes now is that the client leaves
            return await self._receive()
        if self.broken is None:
            message = await self._next()
            if self.broken is None:
                return message
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        end = self._begun + self._patience_s + self._bytes / _SLOWEST_BYTES_PER_S
        try:
            async with asyncio.timeout(end - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.broken = TOO_SLOW
            return {"type": "http.disconnect"}
        self._bytes += len(message.get("body", b""))
        self._over = not message.get("more_body", False)
        if self._bytes > self._most:
            self.broken = TOO_LARGE
        return message
