"""Exchanges that end: whatever an archive does, one is over after its time.

Time-outs of libraries are for a single read or message: who sends a byte now and then keeps a caller for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

ENDED = "the transfer was ended"
_LOOK_S = 0.2


class Connections:
    """Connections of one archive, which all end at once when their time is over."""

    def __init__(self) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()
        self._late = threading.Event()

    def note(self, sock: socket.socket) -> None:
        """Note a connection down that has been made."""
        with self._lock:
            self._sockets.add(sock)
        if self._late.is_set():
            _end(sock)

    @contextlib.contextmanager
    def within(self, seconds: float, stop: threading.Event | None = None) -> Iterator[threading.Event]:
        """Let what is in the block last so long; then its connections break, and the event that it gets is set.

        stop : breaks them, too
        """
        late, done = threading.Event(), threading.Event()
        self._late = late
        looking = threading.Thread(target=self._look, args=(seconds, late, done, stop), daemon=True)
        looking.start()
        try:
            yield late
        finally:
            done.set()

    def _look(self, seconds: float, late: threading.Event, done: threading.Event, stop: threading.Event | None) -> None:
        until = time.monotonic() + seconds
        while not done.wait(min(_LOOK_S, max(0.0, until - time.monotonic()))):
            if time.monotonic() >= until:
                late.set()
            if late.is_set() or (stop is not None and stop.is_set()):
                self._end_all()
                return

    def _end_all(self) -> None:
        with self._lock:
            for sock in self._sockets:
                _end(sock)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        sock.shutdown(socket.SHUT_RDWR)


class DeadlineAdapter(HTTPAdapter):
    """Makes connections of HTTP, and notes them down."""

    def __init__(self) -> None:
        self.connections = Connections()
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool of connections, each of which is noted down."""
        super().init_poolmanager(*args, **kwargs)

        def note(sock: Any) -> None:
            self.connections.note(sock)

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                note(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                note(self.sock)

        plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
        self.poolmanager.pool_classes_by_scheme = {"http": plain, "https": secure}
