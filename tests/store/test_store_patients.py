"""Patients that are one, and reports on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import select, update

from ichscope.access.events import Action, Kind
from ichscope.store import ImportedRows, Store, TrailFilter
from ichscope.store.hospital_tables import ReceivedReport
from ichscope.store.imported_tables import as_numbers
from ichscope.store.tables import Study
from tests.support.store_cases import content, study

REPORT = b"MSH|^~\\&|RIS\rOBX|1|TX|||No haemorrhage."


def add(store: Store, name: str, patient: str) -> int:
    return store.results.record(study(name, 0.9), content(name), patient_id=patient)


def patient_of(store: Store, study: int) -> str | None:
    with store.database.reading() as session:
        return session.scalar(select(Study.patient_key).where(Study.id == study))


def imported(store: Store, *patients: str) -> list[int]:
    sheet, _ = store.imported.add("truth", "file", content(patients), "study", rows(store, patients), [])
    return store.imported.rows(sheet).patient.tolist()


def rows(store: Store, patients: tuple[str, ...]) -> ImportedRows:
    keys = as_numbers([store.keys.patient(patient) for patient in patients])
    return ImportedRows.of(np.arange(1, len(keys) + 1, dtype=np.uint64), np.zeros_like(keys), keys)


def test_studies_of_the_old_patient_become_the_new_ones(store: Store) -> None:
    old, other, new = add(store, "a", "P1"), add(store, "b", "P2"), add(store, "c", "P3")
    store.reviews.add(old, agree=True)
    assert store.patients.merge([("P1", "P3")]) == 1
    key = store.keys.patient("P3")
    assert [patient_of(store, one) for one in (old, other, new)] == [key, store.keys.patient("P2"), key]
    assert store.worklist.row(old).reviews == 1
    (line,) = store.trail.events(TrailFilter(action=Action.PATIENTS_MERGED))
    assert (line.kind, line.key) == (Kind.PATIENT, key)
    assert line.details == {"was": store.keys.patient("P1"), "studies": 1, "reports": 0, "imported": 0}
    assert store.trail.verify().whole


def test_what_comes_later_under_the_old_id_is_the_new_patients(store: Store) -> None:
    store.patients.merge([("P1", "P3")])
    assert patient_of(store, add(store, "a", "P1")) == store.keys.patient("P3")
    assert imported(store, "P1", "P2") == as_numbers([store.keys.patient("P3"), store.keys.patient("P2")]).tolist()


def test_imported_tables_follow(store: Store) -> None:
    sheet, _ = store.imported.add("truth", "f", content(1), "study", rows(store, ("P1", "", "P2")), [])
    store.patients.merge([("P1", "P3")])
    expected = as_numbers([store.keys.patient("P3"), None, store.keys.patient("P2")])
    assert store.imported.rows(sheet).patient.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "pairs",
    [
        [("P1", "P2"), ("P2", "P3")],
        [("P2", "P3"), ("P1", "P2")],
        [("P1", "P2"), ("P2", "P1"), ("P3", "P1")],
        [("P1", "P2"), ("P1", "P2"), ("P1", "P3")],
        [("P1", "P1"), ("P1", "P2"), ("P3", "P2")],
    ],
    ids=["chain", "chain backwards", "there and back", "twice", "itself"],
)
def test_however_it_is_said_all_are_one(store: Store, pairs: list[tuple[str, str]]) -> None:
    studies = [add(store, name, name) for name in ("P1", "P2", "P3")]
    store.patients.merge(pairs[:1])
    store.patients.merge(pairs[1:])
    later = [add(store, f"{name} later", name) for name in ("P1", "P2", "P3")]
    assert len({patient_of(store, one) for one in (*studies, *later)}) == 1
    before = len(store.trail.events(TrailFilter(action=Action.PATIENTS_MERGED)))
    assert store.patients.merge(pairs) == 0
    assert len(store.trail.events(TrailFilter(action=Action.PATIENTS_MERGED))) == before == 2


def test_reports_are_kept_once_and_encrypted(store: Store) -> None:
    assert store.reports.put(REPORT, "A1", "P1")
    assert not store.reports.put(REPORT, "A1", "P1")
    assert store.reports.put(REPORT + b" ", "A1", "")
    assert store.reports.put(REPORT + b"  ", "", "P1")
    assert store.reports.count() == 3
    with store.database.reading() as session:
        kept = session.scalars(select(ReceivedReport).order_by(ReceivedReport.id)).all()
    assert not any(b"haemorrhage" in row.sealed for row in kept)
    assert [row.patient_key for row in kept] == [store.keys.patient("P1"), None, store.keys.patient("P1")]
    assert store.reports.of("A1") == [REPORT, REPORT + b" "]
    assert store.reports.of("A2") == []
    assert [line.details["reports"] for line in store.trail.events(TrailFilter(action=Action.REPORTS_SEEN))] == [0, 2]
    store.patients.merge([("P1", "P2")])
    assert store.trail.events(TrailFilter(action=Action.PATIENTS_MERGED))[0].details["reports"] == 2


def test_old_reports_go(store: Store) -> None:
    store.reports.put(REPORT, "A1", "P1")
    store.reports.put(REPORT + b" ", "A1", "P1")
    assert store.reports.prune(days=30) == 0
    with store.database.writing() as session:
        old = datetime.now(UTC) - timedelta(days=31)
        session.execute(update(ReceivedReport).where(ReceivedReport.id == 1).values(received_at=old))
    assert store.reports.prune(days=30) == 1
    assert store.reports.of("A1") == [REPORT + b" "]
    (line,) = store.trail.events(TrailFilter(action=Action.REPORTS_REMOVED))
    assert line.details == {"removed": 1, "days": 30}
