"""Imported files of truth and of other tools' predictions: whole files in, whole columns out."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select

from ichscope.access import events
from ichscope.access.roles import Right
from ichscope.store import tables
from ichscope.store.database import Database, StoreError, insert_for
from ichscope.store.patients import renamed

Kind = Literal["truth", "predictions"]
Level = Literal["study", "series", "slice"]
# Keyed hashes as numbers; 0 is none.
Keys = NDArray[np.uint64]

_DIGITS = 16
_NONE = "0" * _DIGITS
_RIGHTS = {"truth": Right.TRUTH, "predictions": Right.IMPORT}
# What a row may be about, in the order of ImportedRows.
_KEYS = ("study", "slice", "patient", "series")


@dataclass(frozen=True, eq=False)
class ImportedRows:
    """What the rows of an imported table are about, (rows,) each, 0 where unknown."""

    study: Keys
    slice: Keys
    patient: Keys
    series: Keys

    @classmethod
    def of(cls, study: Keys, slice: Keys, patient: Keys, series: Keys | None = None) -> ImportedRows:
        """Rows that may name no series."""
        return cls(study, slice, patient, np.zeros_like(study) if series is None else series)


@dataclass(frozen=True, eq=False)
class Rater:
    """What one reader, or one model, says.

    rows : (n,) numbers of the sheet's rows
    labels : label -> (n,) truth 0 or 1, or probability 0 to 1; nan where nothing is said
    """

    name: str
    rows: NDArray[np.intp]
    labels: dict[str, NDArray[np.float64]]
    version: str = ""
    thresholds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RaterInfo:
    """One reader or model of a sheet, and of how many studies it says something."""

    name: str
    version: str
    studies: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ImportedTableInfo:
    """A file that was imported, by `who` ("" before this was kept, `signed` as of a review); `rows` of it."""

    id: int
    kind: Kind
    name: str
    sha256: str
    level: Level
    rows: int
    imported_at: datetime
    raters: tuple[RaterInfo, ...]
    notes: tuple[str, ...]
    who: str = ""
    signed: bool = False


class ImportedTables:
    """Files of truth and of other tools' predictions, as they were imported."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        kind: Kind,
        name: str,
        file_sha256: str,
        level: Level,
        rows: ImportedRows,
        raters: Sequence[Rater],
        *,
        reading: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
    ) -> tuple[int, bool]:
        """Write an imported file, in one transaction; the same file, read in the same way, is written once.

        Parameters
        ----------
        name : what people call it
        reading : all that makes a difference in how the file was read

        Returns
        -------
        its id, and whether it is new
        """
        how = "\0".join(f"{key}={value}" for key, value in sorted((reading or {}).items()))
        new = {
            "kind": kind,
            "name": name,
            "sha256": file_sha256,
            "content": sha256(f"{kind}\0{file_sha256}\0{how}".encode()).hexdigest(),
            "level": level,
            "imported_at": datetime.now(UTC),
            "rows": len(rows.study),
            "notes": list(notes),
            **{f"{what}_keys": getattr(rows, what).astype(">u8").tobytes() for what in _KEYS},
        }
        with self._database.changing(_RIGHTS[kind], events.Action.IMPORTED, of=kind, rows=len(rows.study)) as change:
            session = change.session
            new["patient_keys"] = renamed(session, rows.patient).astype(">u8").tobytes()
            new |= {"who": change.actor.name, "signed": change.actor.signed}
            insert = (
                insert_for(session)(tables.ImportedTable).values(new).on_conflict_do_nothing(index_elements=["content"])
            )
            made = session.scalar(insert.returning(tables.ImportedTable.id))
            if made is None:
                there = select(tables.ImportedTable.id).where(tables.ImportedTable.content == new["content"])
                known = session.scalars(there).one()
                change.about(events.Kind.IMPORT, known, new=False)
                return known, False
            change.about(events.Kind.IMPORT, made, new=True)
            session.add_all(_rater_row(made, rater, rows) for rater in raters)
            return made, True

    def tables(self, kind: Kind | None = None) -> list[ImportedTableInfo]:
        """All imported files, the newest first."""
        sheet, rater = tables.ImportedTable, tables.Rater
        chosen = select(
            *(
                sheet.id,
                sheet.kind,
                sheet.name,
                sheet.sha256,
                sheet.level,
                sheet.rows,
                sheet.imported_at,
                sheet.notes,
                sheet.who,
                sheet.signed,
            )
        ).order_by(sheet.id.desc())
        if kind:
            chosen = chosen.where(sheet.kind == kind)
        of_raters = select(rater.table_id, rater.name, rater.version, rater.studies, rater.labels).order_by(rater.id)
        with self._database.reading() as session:
            infos = session.execute(chosen).all()
            raters: dict[int, list[RaterInfo]] = {}
            for row in session.execute(of_raters):
                info = RaterInfo(row.name, row.version, row.studies, tuple(row.labels))
                raters.setdefault(row.table_id, []).append(info)
        return [
            ImportedTableInfo(**row._asdict() | {"raters": tuple(raters.get(row.id, ())), "notes": tuple(row.notes)})
            for row in infos
        ]

    def rows(self, sheet: int) -> ImportedRows:
        """What the rows of an imported file are about.

        Raises
        ------
        StoreError
            if there is no such file
        """
        columns = [getattr(tables.ImportedTable, f"{what}_keys") for what in _KEYS]
        with self._database.reading() as session:
            keys_of_rows = session.execute(select(*columns).where(tables.ImportedTable.id == sheet)).first()
        if keys_of_rows is None:
            raise StoreError(f"There is no imported file number {sheet}.")
        return ImportedRows(*(np.frombuffer(keys, ">u8").astype(np.uint64) for keys in keys_of_rows))

    def raters(self, sheet: int, names: Sequence[str] | None = None) -> list[Rater]:
        """What readers or models of an imported file say: all, or those of these names."""
        chosen = select(tables.Rater).where(tables.Rater.table_id == sheet).order_by(tables.Rater.id)
        if names is not None:
            chosen = chosen.where(tables.Rater.name.in_(names))
        with self._database.reading() as session:
            return [_rater(row) for row in session.scalars(chosen)]

    def remove(self, sheet: int) -> None:
        """Remove an imported file and all that it says.

        Raises
        ------
        StoreError
            if there is no such file
        """
        with self._database.reading() as session:
            kind: Kind | None = session.scalar(
                select(tables.ImportedTable.kind).where(tables.ImportedTable.id == sheet)
            )
        right = _RIGHTS[kind or "truth"]
        with self._database.changing(right, events.Action.IMPORT_REMOVED, events.Kind.IMPORT, sheet) as change:
            session = change.session
            session.execute(delete(tables.Rater).where(tables.Rater.table_id == sheet))
            statement = delete(tables.ImportedTable).where(tables.ImportedTable.id == sheet)
            gone = session.scalar(statement.returning(tables.ImportedTable.id))
            if gone is None:
                raise StoreError(f"There is no imported file number {sheet}.")
        self._database.tidy()


def as_numbers(keys: Iterable[str | None]) -> Keys:
    """Keyed hashes, 16 hexadecimal digits each or nothing, as numbers (keys,)."""
    return np.frombuffer(bytes.fromhex("".join([key or _NONE for key in keys])), ">u8").astype(np.uint64)


def as_texts(keys: Keys) -> list[str]:
    """Numbers (keys,) as the 16 hexadecimal digits that stand in the store."""
    text = keys.astype(">u8").tobytes().hex()
    return [text[at : at + _DIGITS] for at in range(0, len(text), _DIGITS)]


def _rater_row(sheet: int, rater: Rater, rows: ImportedRows) -> tables.Rater:
    study = rows.study[rater.rows]
    return tables.Rater(
        table_id=sheet,
        name=rater.name,
        version=rater.version,
        studies=len(np.unique(np.where(study == 0, rows.slice[rater.rows], study))),
        thresholds=rater.thresholds,
        labels=list(rater.labels),
        places=_packed(rater.rows, "<i4"),
        values=_packed(list(rater.labels.values()), "<f8"),
    )


def _rater(row: tables.Rater) -> Rater:
    values = _unpacked(row.values, "<f8").reshape(len(row.labels), -1)
    labels = dict(zip(row.labels, values, strict=True))
    return Rater(row.name, _unpacked(row.places, "<i4").astype(np.intp), labels, row.version, dict(row.thresholds))


def _packed(values: Any, kind: str) -> bytes:
    # Truth is nearly all zeros, and probabilities have few digits: the quickest level saves most of the room.
    return zlib.compress(np.asarray(values, kind).tobytes(), 1)


def _unpacked(data: bytes, kind: str) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(data), kind)
