"""What is done with messages: patients are merged, reports kept where that is wanted; of all others nothing is kept."""

from __future__ import annotations

from ichscope.hl7.messages import Message, identifier, merges
from ichscope.hl7.settings import Hl7Settings
from ichscope.store import Store


class Taking:
    """Does what a message says to the store.

    Orders (ORM, OMI) and admissions (ADT A01, A04, A08) are acknowledged, so that a sender may send all that it has:
    the store holds nothing that they could change.
    """

    def __init__(self, settings: Hl7Settings, store: Store) -> None:
        self._settings, self._store = settings, store

    def __call__(self, message: Message) -> None:
        """Take a message.

        Raises
        ------
        Hl7Error
            if it lacks what is needed
        StoreError
            if the store cannot be written
        """
        match message.envelope.kind:
            case ("ADT", "A40"):
                self._store.patients.merge(merges(message, self._settings.authority))
            case ("ORU", _) if self._settings.reports:
                self._keep(message)

    def _keep(self, message: Message) -> None:
        patient = next(message.segments("PID"), None)
        who = identifier(message, patient, 3, self._settings.authority) if patient else ""
        number = self._settings.accession_field
        about = {message.repetitions(order, number)[0][0] for order in message.segments("OBR")} - {""}
        for accession in sorted(about) or [""]:
            self._store.reports.put(message.content, accession, who)
