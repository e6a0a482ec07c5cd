"""The tables of what the hospital's information system says: patients that are one, and reports."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ichscope.store.tables import Base


class PatientMerge(Base):
    """That two patients are one. No `new_key` is the `old_key` of another row: one look-up says whose something is."""

    __tablename__ = "patient_merges"

    old_key: Mapped[str] = mapped_column(String(16), primary_key=True)
    new_key: Mapped[str] = mapped_column(String(16), index=True)
    merged_at: Mapped[datetime]


class ReceivedReport(Base):
    """A radiology report as it came, encrypted; gone after its time.

    key : of its bytes and its accession number: the same report is kept once
    accession_key, patient_key : keyed hashes of what it is about; None where it does not say
    """

    __tablename__ = "received_reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(16), unique=True)
    accession_key: Mapped[str | None] = mapped_column(String(16), index=True)
    patient_key: Mapped[str | None] = mapped_column(String(16), index=True)
    sealed: Mapped[bytes]
    received_at: Mapped[datetime] = mapped_column(index=True)
