"""Storage Commitment: an archive says, at once or later, that it keeps what it has taken (PS3.4, annex J)."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, Queue
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from ichscope.imaging.elements import text
from ichscope.pacs.entity import SUCCESS, DicomSettings, Listener
from ichscope.pacs.servers import DicomNetworkServer, PacsError

# PS3.4, table J.3-2: the event type of a report in which nothing has failed.
_ALL_KEPT = 1
_NO_SUCH_ARGUMENT = 0x0114
_REST_S = 0.1


class Reports:
    """What archives report, by transaction: it comes on any association, also on one that another part listens to."""

    def __init__(self) -> None:
        self._expected: dict[str, Queue[int]] = {}

    @property
    def handler(self) -> tuple[Any, Any]:
        """By which an association hands reports over."""
        return (evt.EVT_N_EVENT_REPORT, self._reported)

    @contextmanager
    def expected(self, transaction: str) -> Iterator[Queue[int]]:
        """Let the report of a transaction come, its type, as long as the block lasts."""
        came = self._expected[transaction] = Queue()
        try:
            yield came
        finally:
            del self._expected[transaction]

    def _reported(self, event: Event) -> tuple[int, None]:
        came = self._expected.get(text(event.event_information, "TransactionUID"))
        if came is None:
            return _NO_SUCH_ARGUMENT, None
        came.put(event.event_type or 0)
        return SUCCESS, None


REPORTS = Reports()


@contextmanager
def listening(server: DicomNetworkServer, us: DicomSettings) -> Iterator[None]:
    """Let an archive report to our port; what this program receives there already (`pacs receive`) takes it, too.

    Raises
    ------
    PacsError
        if nothing can listen there
    """
    if us.port in Listener.ports:
        yield
        return
    listener = Listener(us, {server.title: addresses(server)})
    listener.entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    listener.start([REPORTS.handler])
    try:
        yield
    finally:
        listener.stop()


def ask_to_keep(association: Association, objects: Sequence[Dataset], name: str, seconds: float) -> None:
    """Ask an archive to keep objects that it has taken, and wait until it says so.

    Raises
    ------
    PacsError
        if it does not, or not in time
    """
    transaction = UID(f"2.25.{uuid.uuid4().int}")
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = [_reference(one) for one in objects]
    # pynetdicom's own thread takes the answer for itself where it is not at rest when the question goes out; that it is
    # at rest it says a moment too early.
    association._reactor_checkpoint.clear()
    time.sleep(_REST_S)
    with REPORTS.expected(transaction) as came:
        status, _ = association.send_n_action(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        if (code := status.get("Status")) != SUCCESS:
            said = "no answer" if code is None else f"status {code:04X}"
            raise PacsError(f"{name}: it was not to be asked to keep the results ({said})")
        try:
            kind = came.get(timeout=seconds)
        except Empty:
            raise PacsError(f"{name}: has not said within {seconds:g} seconds that it keeps the results") from None
    if kind != _ALL_KEPT:
        raise PacsError(f"{name}: does not keep all of the results")


def addresses(server: DicomNetworkServer) -> list[str]:
    """The addresses that an archive may call from.

    Raises
    ------
    PacsError
        if its host has none
    """
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(server.host, server.port)})
    except OSError:
        raise PacsError(f"{server.name}: its host has no address") from None


def _reference(one: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    return reference
