"""A listener that answers every message that comes in a frame, and that no connection can stop."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import BoundedSemaphore, Thread
from typing import Any

from ichscope import tls
from ichscope.errors import IchscopeError, barrier
from ichscope.hl7.messages import INTERNAL, Envelope, Hl7Error, Message, answer, read, read_envelope
from ichscope.hl7.mllp import Connection, MllpError
from ichscope.hl7.settings import Hl7Settings

Take = Callable[[Message], object]
Say = Callable[[str], object]


def answered(block: bytes, settings: Hl7Settings, take: Take) -> tuple[bytes, str]:
    """Take a message.

    Parameters
    ----------
    take : does what there is to do; raises Hl7Error for what is wrong with the message, and any other IchscopeError
        where it cannot be done now

    Returns
    -------
    the acknowledgment, and why it was not taken, in words that name no patient; "" where it was
    """
    envelope: Envelope | None = None
    try:
        with barrier(lambda kind: Hl7Error("AR", INTERNAL, f"unexpected {kind}")):
            envelope = read_envelope(block)
            take(read(block, envelope, settings.charset, settings.processing))
    except Hl7Error as error:
        return answer(envelope, error), f"{error.code} {error.number}: {error}"
    except IchscopeError as error:
        # "Internal error, queue error": the sender may try again (2.9.2.2).
        refusal = Hl7Error("AR", INTERNAL, "it cannot be taken now")
        return answer(envelope, refusal), f"{refusal.code} {refusal.number}: {error}"
    return answer(envelope), ""


class Listener:
    """Listens for senders that are named, each in a thread of its own.

    Parameters
    ----------
    say : called with what was refused, in words that name no patient
    """

    def __init__(self, settings: Hl7Settings, take: Take, say: Say = lambda text: None) -> None:
        self.settings, self._take, self._say = settings, take, say
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Listen.

        Raises
        ------
        MllpError
            if that cannot be
        """
        settings = self.settings
        try:
            context = tls.for_serving(settings.certificate, settings.key, settings.ca)
            self._server = _Server(settings, context, self._serve, self._say)
        except (OSError, ValueError) as error:
            raise MllpError(f"HL7 cannot be received at port {settings.port}: {error}") from None
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "start() comes first"
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Listen no more, and end all connections; a message that is being taken is still answered."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.end_all()
            self._server.server_close()

    def _serve(self, sock: socket.socket, caller: str) -> None:
        connection = Connection(sock, self.settings.bounds)
        while (block := connection.receive()) is not None:
            reply, why = answered(block, self.settings, self._take)
            if why:
                self._say(f"{caller}: a message was not taken ({why})")
            connection.send(reply)


class _Server(ThreadingTCPServer):
    """Takes connections of who may call, as many as there may be."""

    allow_reuse_address = True
    block_on_close = True
    daemon_threads = False

    def __init__(
        self,
        settings: Hl7Settings,
        context: ssl.SSLContext | None,
        serve: Callable[[socket.socket, str], None],
        say: Say,
    ) -> None:
        self._settings, self._context, self._serve, self._say = settings, context, serve, say
        self._places = BoundedSemaphore(settings.connections)
        self._open: set[socket.socket] = set()
        self._ending = False
        self.address_family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
        super().__init__((settings.address, settings.port), BaseRequestHandler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let in who may call, while there is a place."""
        caller = str(client_address[0])
        if not self._settings.admits(caller):
            self._say("somebody called from an address that is not named, and was refused")
            return False
        if not self._places.acquire(blocking=False):
            self._say(f"{caller}: more than {self._settings.connections} connections at one time, and was refused")
            return False
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no room for one
            self._places.release()
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection could not be served; the next one can."""
        self._say(f"{client_address[0]} could not be served")

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its thread."""
        caller = str(client_address[0])
        try:
            with barrier(lambda kind: MllpError(f"failed ({kind})")):
                request.settimeout(self._settings.message_s)
                with self._context.wrap_socket(request, server_side=True) if self._context else request as sock:
                    self._serve_until_end(sock, caller)
        except IchscopeError as error:
            self._say(f"{caller} {error}, and was let go")
        finally:
            self._places.release()

    def _serve_until_end(self, sock: socket.socket, caller: str) -> None:
        self._open.add(sock)
        try:
            if not self._ending:
                self._serve(sock, caller)
        finally:
            self._open.discard(sock)

    def end_all(self) -> None:
        """Wake up who waits for a message."""
        self._ending = True
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RD)
