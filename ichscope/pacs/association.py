"""Associations with an archive that speaks DICOM's network protocol: each is over after its time (PS3.8)."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from threading import Event
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket

from ichscope import tls
from ichscope.errors import barrier
from ichscope.pacs.deadline import ENDED, Connections
from ichscope.pacs.entity import DicomSettings, Handlers
from ichscope.pacs.servers import DicomNetworkServer, PacsError

# PS3.8, table 9-21: source and reason of a refusal.
_CALLING_UNKNOWN, _CALLED_UNKNOWN, _BUSY = (1, 3), (1, 7), ((3, 1), (3, 2))


class Caller:
    """Makes associations with one archive."""

    def __init__(self, server: DicomNetworkServer, us: DicomSettings) -> None:
        self._server, self._us = server, us

    @contextmanager
    def association(
        self,
        contexts: Sequence[PresentationContext],
        seconds: float,
        *,
        answer_s: float | None = None,
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
        handlers: Handlers = (),
        stop: Event | None = None,
    ) -> Iterator[Association]:
        """An association that lasts so long at most, and is released when all went well, else aborted.

        Parameters
        ----------
        contexts : what is asked for; the archive may offer only some of it
        answer_s : how long an answer may take; by default as the archive's settings say
        stop : ends it

        Raises
        ------
        PacsError
            if there is none, or it broke off, in words that name no patient
        """
        name, connections, answer_s = self._server.name, Connections(), answer_s or self._server.answer_s
        with connections.within(seconds, stop) as late, closing(_Entity(self._us.title, connections)) as entity:
            try:
                with barrier(lambda kind: PacsError(f"{name}: its answer is not understood ({kind})")):
                    association = self._associate(entity, list(contexts), answer_s, roles, handlers)
                    with _ended(association):
                        yield association
            except PacsError:
                if stop is not None and stop.is_set():
                    raise PacsError(f"{name}: {ENDED}") from None
                if late.is_set():
                    raise PacsError(f"{name}: not done within {seconds:g} seconds") from None
                raise

    def _associate(
        self,
        entity: _Entity,
        contexts: list[PresentationContext],
        answer_s: float,
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
        handlers: Handlers,
    ) -> Association:
        entity.connection_timeout = entity.acse_timeout = self._server.answer_s
        entity.dimse_timeout = answer_s
        entity.network_timeout = None  # whoever waits here waits for so long, and no longer
        began = time.monotonic()
        association = entity.associate(
            self._server.host,
            self._server.port,
            contexts,
            ae_title=self._server.title,
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, entity.noted), *handlers],
            tls_args=self._tls(),
        )
        if not association.is_established:
            raise PacsError(f"{self._server.name}: {self._why_not(association, time.monotonic() - began)}")
        return association

    def _tls(self) -> tuple[ssl.SSLContext, str] | None:
        server = self._server
        if not server.tls:
            return None
        try:
            return tls.for_calling(server.certificate, server.key, server.ca), server.host
        except OSError:
            raise PacsError(f"{server.name}: the files for TLS that its settings name cannot be used") from None

    def _why_not(self, association: Association, seconds: float) -> str:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            reason = (answer.result_source, answer.diagnostic)
            if reason in _BUSY:
                return "it takes no more associations at the moment"
            words: dict[tuple[int | None, int | None], str] = {
                _CALLING_UNKNOWN: f"it does not know us as {self._us.title}",
                _CALLED_UNKNOWN: f"its title is not {self._server.title}",
            }
            return words.get(reason, "it refuses us")
        if answer is not None:
            return "it offers nothing of what it was asked for"
        if seconds >= self._server.answer_s:
            return f"no answer within {self._server.answer_s:g} seconds"
        return f"cannot be reached, or broke off{', or TLS does not work' if self._server.tls else ''}"


class _Entity(AE):
    """Closes what it has opened: pynetdicom leaves a connection open that could not be made, or was shut."""

    def __init__(self, title: str, connections: Connections) -> None:
        super().__init__(title)
        self._connections, self._sockets = connections, list[socket.socket]()

    def _create_socket(self, *args: Any) -> AssociationSocket:
        made = super()._create_socket(*args)
        self._note(made.socket)
        return made

    def noted(self, event: Any) -> None:
        """Note the connection of an association; with TLS it is another one than was opened."""
        self._note(event.assoc.dul.socket.socket)

    def _note(self, sock: socket.socket | None) -> None:
        if sock is not None:
            self._connections.note(sock)
            self._sockets.append(sock)

    def close(self) -> None:
        """Close all connections."""
        for sock in self._sockets:
            sock.close()


@contextmanager
def _ended(association: Association) -> Iterator[None]:
    try:
        yield
    except BaseException:
        association.abort()
        raise
    association.release()


def offers(association: Association, kind: UID | str) -> bool:
    """Whether the archive has accepted a service."""
    return any(context.abstract_syntax == kind for context in association.accepted_contexts)


def identifier(level: str, fields: Sequence[str], keys: Mapping[str, str]) -> Dataset:
    """What is looked for; values go as they are, since wildcards and ranges would not pass for dates or names.

    Parameters
    ----------
    level : STUDY, SERIES or IMAGE
    fields : what is to be told of each
    """
    wanted = {"QueryRetrieveLevel": level, **dict.fromkeys(fields, ""), **keys}
    if not all(value.isascii() for value in keys.values()):
        wanted["SpecificCharacterSet"] = "ISO_IR 192"
    made = Dataset()
    for name, value in wanted.items():
        tag = tag_for_keyword(name) or 0
        made.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
    return made
