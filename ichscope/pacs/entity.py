"""Who we are to other programs that speak DICOM's network protocol, and how a listener of ours is made."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from ichscope import tls
from ichscope.imaging.source import MAX_FILE_BYTES
from ichscope.pacs.servers import DicomNetworkServer, PacsError
from ichscope.settings_file import check, read_settings

TABLE = "dicom"
CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
# PS3.4, tables B.2-1 and C.4-1, and PS3.7, annex C.
SUCCESS, CANCELLED, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xFE00, 0xA700, 0xC000
# PS3.8, table 9-21: rejected for good, by us as the user of the service, calling AE title not recognised.
_UNKNOWN_CALLER = (0x01, 0x01, 0x03)
_HANDSHAKE_S, _GRACE_S = 5.0, 2.0

# What pynetdicom writes names patients: what is asked for, what is found, and what cannot be read.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False

Say = Callable[[str], object]
Handlers = Sequence[tuple[Any, Callable[[Event], object]]]


@dataclass(frozen=True)
class DicomSettings:
    """Who we are to other programs of DICOM, and who may send.

    title : our AE title, by which we must be called
    address, port : where we listen
    senders : AE titles that may call, each with the address it calls from
    certificate, key : files for TLS; none without them
    ca : file with certificates that senders must show one of
    associations : at one time
    idle_s : seconds of silence after which an association is ended
    """

    title: str = "ICHSCOPE"
    address: str = "127.0.0.1"
    port: int = 11112
    senders: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""
    key: str = ""
    ca: str = ""
    associations: int = 8
    idle_s: float = 60.0


def dicom_settings(file: Path | None = None) -> DicomSettings:
    """Read [dicom] from the file of settings; where it says nothing, all is as usual.

    Raises
    ------
    SettingsError
        if it says what is not understood
    """
    return DicomSettings(**check(DicomSettings, f"[{TABLE}]", read_settings(TABLE, file)))


def known_as(server: DicomNetworkServer, file: Path | None = None) -> DicomSettings:
    """Who we are to one archive, which may know us by another title and port.

    Raises
    ------
    SettingsError
        if the file says what is not understood
    """
    us = dicom_settings(file)
    return replace(us, title=server.our_title or us.title, port=server.our_port or us.port)


class Listener:
    """Listens at our port for callers with the titles and addresses that are named.

    Parameters
    ----------
    callers : AE titles, each with the addresses that it may call from
    say : called with what was refused, in words that name no patient
    """

    # Ports at which this program listens: two listeners at one cannot be, but one can take what is for another.
    ports: ClassVar[set[int]] = set()

    def __init__(self, us: DicomSettings, callers: Mapping[str, Sequence[str]], say: Say = lambda text: None) -> None:
        self._us, self._callers, self._say = us, callers, say
        self.entity = AE(ae_title=us.title)
        self.entity.require_called_aet = True
        self.entity.require_calling_aet = list(callers)
        self.entity.maximum_associations = us.associations
        self.entity.acse_timeout = self.entity.network_timeout = self.entity.dimse_timeout = us.idle_s
        self._bound = Bound(say)
        self._server: ThreadedAssociationServer | None = None

    def start(self, handlers: Handlers) -> None:
        """Listen.

        Raises
        ------
        PacsError
            if that cannot be
        """
        every: list[Any] = [(evt.EVT_REQUESTED, self._requested), *self._bound.handlers, *handlers]
        at = (self._us.address, self._us.port)
        try:
            context: Any = tls.for_serving(self._us.certificate, self._us.key, self._us.ca)
            timed: Any = _Timed(context) if context else None
            self._server = self.entity.start_server(at, block=False, evt_handlers=every, ssl_context=timed)
        except (OSError, ValueError) as error:
            raise PacsError(f"DICOM cannot be received at port {self._us.port}: {error}") from None
        self.ports.add(self.port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1]) if self._server is not None else self._us.port

    def stop(self) -> None:
        """Listen no more; what is under way has a moment to end by itself."""
        if self._server is not None:
            self.ports.discard(self.port)
            until = time.monotonic() + _GRACE_S
            while self._server.active_associations and time.monotonic() < until:
                time.sleep(0.02)
            for association in self._server.active_associations:
                _cut(association)
                association.kill()
            self._server.shutdown()
            self._server = None

    def _requested(self, event: Event) -> None:
        """Refuse a known title from another address; unknown titles are refused by pynetdicom."""
        caller = event.assoc.requestor
        title = str(getattr(caller.primitive, "calling_ae_title", "") or "").strip()
        if (addresses := self._callers.get(title)) is not None and caller.address not in addresses:
            self._say(f"{title} called from an address that is not its own, and was refused")
            event.assoc.acse.send_reject(*_UNKNOWN_CALLER)
            event.assoc.kill()


class _Timed:
    """TLS whose beginning ends in time: pynetdicom waits for it before it takes the next caller."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, sock: socket.socket, server_side: bool) -> ssl.SSLSocket:
        """Begin TLS.

        Raises
        ------
        OSError
            if that has no end, or the caller shows no certificate that it should have
        """
        sock.settimeout(_HANDSHAKE_S)
        wrapped = self._context.wrap_socket(sock, server_side=server_side)
        wrapped.settimeout(None)
        return wrapped


class Bound:
    """Ends an association that sends an instance without an end."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._came: dict[Any, int] = {}

    @property
    def handlers(self) -> Handlers:
        """By which it looks at an association."""
        return [
            (evt.EVT_DATA_RECV, self._data),
            (evt.EVT_DIMSE_RECV, lambda event: self._came.pop(event.assoc, None)),
            (evt.EVT_CONN_CLOSE, lambda event: self._came.pop(event.assoc, None)),
        ]

    def _data(self, event: Event) -> None:
        before = self._came.get(event.assoc, 0)
        self._came[event.assoc] = came = before + len(event.data)
        if before <= MAX_FILE_BYTES < came:
            self._say(f"an instance of more than {MAX_FILE_BYTES >> 20} MiB was refused")
            _cut(event.assoc)


def _cut(association: Association) -> None:
    """Break the connection: an orderly abort would wait for what is still coming."""
    if (connection := association.dul.socket) is not None:
        connection.close()
