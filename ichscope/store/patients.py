"""Patients that the hospital has found to be one: all that bears the old one's key bears the new one's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from ichscope.access.actor import Actor
from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.store.database import UNSEEN, Database
from ichscope.store.hospital_tables import PatientMerge, ReceivedReport
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.tables import ImportedTable, Study


class Patients:
    """Who is one with whom. Whoever may analyse may say it."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def merge(self, pairs: Sequence[tuple[str, str]]) -> int:
        """Make one patient of two, for each pair, all of them in one transaction.

        What comes later under the old Patient ID is the new one's, too. What is said a second time changes nothing.

        Parameters
        ----------
        pairs : the old Patient ID, which is given up, and the one that stays; neither is empty

        Returns
        -------
        how many studies have another patient's key now

        Raises
        ------
        RefusedError
            without the right to analyse
        """
        actor = self._database.demand(Right.ANALYSE, Action.PATIENTS_MERGED, Kind.PATIENT)
        with self._database.writing() as session:
            _hold(session, "SHARE ROW EXCLUSIVE")
            keyed = [(self._keys.patient(old), self._keys.patient(new)) for old, new in pairs]
            return sum(self._merge(session, actor, old, new) for old, new in keyed)

    def _merge(self, session: Session, actor: Actor, old: str, new: str) -> int:
        old, new = _merged(session, old), _merged(session, new)
        if old == new:
            return 0
        session.execute(update(PatientMerge).where(PatientMerge.new_key == old).values(new_key=new))
        session.execute(insert(PatientMerge).values(old_key=old, new_key=new, merged_at=datetime.now(UTC)))
        moved = {}
        for name, table in (("studies", Study), ("reports", ReceivedReport)):
            theirs = update(table).where(table.patient_key == old).values(patient_key=new)
            moved[name] = session.execute(theirs, execution_options=UNSEEN).rowcount  # type: ignore[attr-defined]
        moved["imported"] = _rename_imported(session)
        self._database.tell(session, actor, Action.PATIENTS_MERGED, Kind.PATIENT, new, was=old, **moved)
        return int(moved["studies"])


def patient_in_force(session: Session, key: str) -> str:
    """The key under which a patient's things are kept now; until the transaction ends nobody merges any."""
    _hold(session, "SHARE")
    return _merged(session, key)


def renamed(session: Session, patients: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Patients' keys as numbers, (rows,), those that were given up replaced by the ones that stay."""
    _hold(session, "SHARE")
    merges = session.execute(select(PatientMerge.old_key, PatientMerge.new_key).order_by(PatientMerge.old_key)).all()
    if not merges:
        return patients
    old, new = (np.array([int(key, 16) for key in keys], np.uint64) for keys in zip(*merges, strict=True))
    place = np.minimum(np.searchsorted(old, patients), len(old) - 1)
    return np.where(old[place] == patients, new[place], patients)


def _merged(session: Session, key: str) -> str:
    return session.scalar(select(PatientMerge.new_key).where(PatientMerge.old_key == key)) or key


def _rename_imported(session: Session) -> int:
    """Rename patients of imported tables; gives how many tables had them."""
    count = 0
    for sheet, keys in session.execute(select(ImportedTable.id, ImportedTable.patient_keys)).all():
        before = np.frombuffer(keys, ">u8").astype(np.uint64)
        if (after := renamed(session, before)) is not before and (after != before).any():
            values = {"patient_keys": after.astype(">u8").tobytes()}
            session.execute(update(ImportedTable).where(ImportedTable.id == sheet).values(values))
            count += 1
    return count


def _hold(session: Session, mode: Literal["SHARE", "SHARE ROW EXCLUSIVE"]) -> None:
    """Keep merges and what is recorded of patients apart; SQLite lets only one transaction write anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"LOCK TABLE {PatientMerge.__tablename__} IN {mode} MODE"))
