"""MLLP, the frame of HL7 v2 on a connection, with an end to everything: time, length and number.

References
----------
HL7 Transport Specification: MLLP, Release 1: <VT> message <FS><CR>
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass

from ichscope.errors import IchscopeError

_START, _END = b"\x0b", b"\x1c\r"
_AT_ONCE = 65_536
# What some senders put between two messages.
_BETWEEN = b"\r\n"


class MllpError(IchscopeError):
    """A connection on which no message comes, or none goes, as it should; nothing of a message is said."""


@dataclass(frozen=True)
class Bounds:
    """What a sender may take.

    most_bytes : of one message
    idle_s : seconds between two messages
    message_s : seconds from the first byte of a message to its last one, and for an answer to be taken
    """

    most_bytes: int = 1 << 20
    idle_s: float = 300.0
    message_s: float = 30.0


class Connection:
    """A connection that speaks MLLP; what has come of the next message is kept between two calls."""

    def __init__(self, sock: socket.socket, bounds: Bounds) -> None:
        self._sock, self._bounds, self._came = sock, bounds, bytearray()

    def receive(self) -> bytes | None:
        """Give the next message without its frame; None where the other side has ended in order, or is idle.

        Raises
        ------
        MllpError
            if it is too long or too slow, has no frame, or breaks off
        """
        self._came = self._came.lstrip(_BETWEEN)
        started, looked = time.monotonic(), 0
        while (end := self._came.find(_END, looked)) < 0:
            self._check(len(self._came))
            looked = max(0, len(self._came) - 1)
            until = started + (self._bounds.message_s if self._came else self._bounds.idle_s)
            if (more := self._more(until)) is None:
                return None
            if not self._came:
                started = time.monotonic()
                more = more.lstrip(_BETWEEN)
            self._came += more
        self._check(end)
        if self._came.find(_START, 1, end) > 0:
            raise MllpError("began a message before the end of another one")
        block = bytes(self._came[1:end])
        del self._came[: end + len(_END)]
        return block

    def send(self, block: bytes) -> None:
        """Send a message.

        Raises
        ------
        MllpError
            if the other side does not take it in time, or is gone
        """
        try:
            self._sock.settimeout(self._bounds.message_s)  # of all of it
            self._sock.sendall(_START + block + _END)
        except OSError as error:
            raise MllpError(f"cannot be written to ({type(error).__name__})") from None

    def _check(self, length: int) -> None:
        if self._came and not self._came.startswith(_START):
            raise MllpError("sent something else than MLLP: expected <VT> first")
        if length > self._bounds.most_bytes:
            raise MllpError(f"sent a message of more than {self._bounds.most_bytes} bytes")

    def _more(self, until: float) -> bytes | None:
        """What comes next; None where nothing has come of a message and nothing does."""
        self._sock.settimeout(max(until - time.monotonic(), 0.001))
        try:
            more = self._sock.recv(_AT_ONCE)
        except TimeoutError:
            if not self._came:
                return None
            raise MllpError(f"has not ended a message within {self._bounds.message_s:g} seconds") from None
        except OSError as error:
            raise MllpError(f"broke off ({type(error).__name__})") from None
        if not more and self._came:
            raise MllpError("broke off within a message")
        return more or None


def ask(host: str, port: int, block: bytes, bounds: Bounds, tls: ssl.SSLContext | None = None) -> bytes:
    """Send one message and give its answer; all in all within four times the time for a message.

    Raises
    ------
    MllpError
        if there is none
    """
    try:
        with socket.create_connection((host, port), bounds.message_s) as plain:
            sock = tls.wrap_socket(plain, server_hostname=host) if tls else plain
            with sock:
                connection = Connection(sock, Bounds(bounds.most_bytes, bounds.message_s, bounds.message_s))
                connection.send(block)
                answer = connection.receive()
    except OSError as error:
        raise MllpError(f"cannot be reached ({type(error).__name__})") from None
    if answer is None:
        raise MllpError("does not answer")
    return answer
