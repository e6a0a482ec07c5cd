"""Radiology reports that the hospital sends: kept encrypted for a time, found by keyed hashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.store import clock
from ichscope.store.database import UNSEEN, Database, insert_for
from ichscope.store.hospital_tables import ReceivedReport
from ichscope.store.patients import patient_in_force
from ichscope.store.pseudonymiser import Pseudonymiser

_TABLE = ReceivedReport.__table__


class Reports:
    """Reports as they came, each once for each examination that it is about."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def put(self, content: bytes, accession: str, patient_id: str) -> bool:
        """Keep a report.

        Parameters
        ----------
        accession, patient_id : what it is about, "" where it does not say; only their keyed hashes are written

        Returns
        -------
        whether it is new
        """
        row = {
            "key": self._keys.hash("report", f"{sha256(content).hexdigest()} {accession}"),
            "accession_key": self._keys.hash("accession", accession) or None,
            "sealed": self._keys.seal_bytes(content),
            "received_at": datetime.now(UTC),
        }
        with self._database.writing() as session:
            row["patient_key"] = patient_in_force(session, self._keys.patient(patient_id)) or None
            insert = insert_for(session)(_TABLE).values(row).on_conflict_do_nothing(index_elements=["key"])
            return session.scalar(insert.returning(_TABLE.c.id)) is not None

    def count(self) -> int:
        """How many there are."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(ReceivedReport)) or 0

    def of(self, accession: str) -> Sequence[bytes]:
        """The reports on an examination, the oldest first; the audit trail has a line of it.

        Raises
        ------
        RefusedError
            without the right to import truth, which is what reports are
        """
        key = self._keys.hash("accession", accession)
        with self._database.changing(Right.TRUTH, Action.REPORTS_SEEN, Kind.REPORT, key) as change:
            chosen = select(ReceivedReport.sealed).where(ReceivedReport.accession_key == key)
            found = change.session.scalars(chosen.order_by(ReceivedReport.id)).all()
            change.about(Kind.REPORT, key, reports=len(found))
            return [self._keys.unseal_bytes(sealed) for sealed in found]

    def prune(self, days: float) -> int:
        """Remove reports that came so many days ago.

        Returns
        -------
        how many were removed

        Raises
        ------
        RefusedError
            without the right to remove
        StoreError
            if the clock may be wrong (see ichscope.store.clock)
        """
        self._database.demand(Right.PRUNE, Action.REPORTS_REMOVED, Kind.REPORT)
        since = datetime.now(UTC) - timedelta(days=days)
        old = ReceivedReport.received_at < since
        with self._database.reading() as session:
            if not session.scalar(select(exists().where(old))):
                return 0
        with self._database.changing(Right.PRUNE, Action.REPORTS_REMOVED, Kind.REPORT) as change:
            clock.check(change.session, since, "no report")
            removed = _delete(change.session, old)
            change.about(Kind.REPORT, "", removed=removed, days=days)
        self._database.tidy()
        return removed


def _delete(session: Session, old: object) -> int:
    gone = delete(ReceivedReport).where(old)  # type: ignore[arg-type]
    return int(session.execute(gone, execution_options=UNSEEN).rowcount)  # type: ignore[attr-defined]
