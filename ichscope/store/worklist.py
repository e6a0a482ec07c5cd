"""The worklist: pages, counts and neighbours, found in SQL however many studies there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, SQLColumnExpression, func, select, tuple_
from sqlalchemy.orm import Session

from ichscope.imaging.findings import FindingLevel
from ichscope.labels import LABELS
from ichscope.store.database import Database, NotFoundError, StoreError
from ichscope.store.entries import probabilities
from ichscope.store.filters import ORDERS, Condition, conditions
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.rows import Choices, Counts, Filter, ModelRow, Neighbours, Order, WorklistRow
from ichscope.store.tables import Finding, Result, Review, Study, Volume

_AT_ONCE = 200
_EVERYTHING = Filter()
_COLUMNS = (
    Study.id, Study.study_key, Study.series_id, Study.series_reason, Study.series_count,
    Study.arrived_at, Study.analysed_at, Study.status, Study.priority,
    Study.score, Study.slices, Study.age_years, Study.sex, Study.scanner, Study.institution, Study.kvp,
    Study.slice_thickness_mm, Study.kernel, Study.agreement, Study.reviews, Study.reviewed_at, Study.synthetic,
)  # fmt: skip


class Worklist:
    """Studies in the order in which they are to be read, and what there is to filter them by."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def page(
        self, filter: Filter = _EVERYTHING, order: Order = "priority", offset: int = 0, limit: int = 50
    ) -> list[WorklistRow]:
        """One page of the studies that fit, in order."""
        with self._database.reading() as session:
            ids = session.scalars(self._ids(filter, order).offset(offset).limit(limit)).all()
            return _rows(session, ids)

    def after(self, study: int, since: datetime | None = None, limit: int = 50) -> list[WorklistRow]:
        """The studies that came into the store after the one of this number (0: all), in the order in which they did.

        Parameters
        ----------
        since : leave out those that arrived before
        """
        limits = self._conditions(Filter(since=since))
        chosen = select(Study.id).where(Study.id > study, *limits).order_by(Study.id).limit(limit)
        with self._database.reading() as session:
            return _rows(session, session.scalars(chosen).all())

    def keyed(self, key: str) -> WorklistRow:
        """The study of a key.

        Raises
        ------
        NotFoundError
            if there is none
        """
        with self._database.reading() as session:
            ids = session.scalars(select(Study.id).where(Study.study_key == key)).all()
            if not ids:
                raise NotFoundError("There is no study of this key.")
            return _rows(session, ids)[0]

    def export(self, filter: Filter = _EVERYTHING, order: Order = "priority") -> Iterator[WorklistRow]:
        """All studies that fit, in order and as they were at the beginning, without holding them all at once."""
        with self._database.reading() as session:
            ids = session.scalars(self._ids(filter, order)).all()
            for at in range(0, len(ids), _AT_ONCE):
                yield from _rows(session, ids[at : at + _AT_ONCE])

    def row(self, study: int) -> WorklistRow:
        """One study.

        Raises
        ------
        StoreError
            if there is none of this number
        """
        with self._database.reading() as session:
            return _one(_rows(session, [study]), study)

    def counts(self, filter: Filter = _EVERYTHING) -> Counts:
        """How many studies fit, in all and by state."""
        states = (Study.status, Study.priority, Study.agreement)
        chosen = select(*states, func.count()).where(*self._conditions(filter)).group_by(*states)
        with self._database.reading() as session:
            counted = session.execute(chosen).all()
        tables: tuple[dict[Any, int], ...] = ({}, {}, {})
        for *values, count in counted:
            for table, value in zip(tables, values, strict=True):
                table[value] = table.get(value, 0) + count
        return Counts(sum(row[3] for row in counted), *tables)

    def choices(self) -> Choices:
        """What there is to filter by."""
        with self._database.reading() as session:
            columns = (Study.scanner, Study.institution)
            # Sorted here: a server sorts by its own language.
            scanners, institutions = (
                tuple(sorted(session.scalars(select(column).where(column != "").distinct()))) for column in columns
            )
            names = (Result.model, Result.version)
            models = session.execute(select(*names).where(Result.current).distinct()).all()
            readers = session.scalars(select(Review.reader).distinct()).all()
        return Choices(
            scanners, institutions, tuple(sorted((row[0], row[1]) for row in models)), tuple(sorted(readers))
        )

    def neighbours(self, study: int, filter: Filter = _EVERYTHING, order: Order = "priority") -> Neighbours:
        """The studies before and after one, which itself may have dropped out of the filter meanwhile.

        Raises
        ------
        StoreError
            if there is no such study
        """
        columns, descends = ORDERS[order]
        limits = self._conditions(filter)
        with self._database.reading() as session:
            here = session.execute(select(*columns).where(Study.id == study)).first()
            if here is None:
                raise StoreError(f"There is no study number {study}.")
            before, after = _sides(columns, tuple(here), descends)
            previous = session.scalar(_sorted(select(Study.id).where(before, *limits), columns, not descends).limit(1))
            following = session.scalar(_sorted(select(Study.id).where(after, *limits), columns, descends).limit(1))
            counts = select(func.count(), func.count().filter(before)).select_from(Study).where(*limits)
            total, earlier = session.execute(counts).one()
        return Neighbours(previous, following, earlier + 1, total)

    def _conditions(self, filter: Filter) -> list[Condition]:
        return conditions(filter, self._keys.study)

    def _ids(self, filter: Filter, order: Order) -> Select[int]:
        # Ids alone come from an index; the rows of a page are fetched afterwards.
        columns, descends = ORDERS[order]
        return _sorted(select(Study.id).where(*self._conditions(filter)), columns, descends)


def _sorted(
    chosen: Select[*tuple[Any, ...]], columns: Sequence[SQLColumnExpression[Any]], descends: bool
) -> Select[*tuple[Any, ...]]:
    return chosen.order_by(*(column.desc() if descends else column.asc() for column in columns))


def _sides(
    columns: Sequence[SQLColumnExpression[Any]], here: tuple[Any, ...], descends: bool
) -> tuple[Condition, Condition]:
    """What holds for the studies before a place of an order, and for those after it."""
    place = tuple_(*columns)
    lower, higher = place < here, place > here
    return (higher, lower) if descends else (lower, higher)


def _one(rows: Sequence[WorklistRow], study: int) -> WorklistRow:
    if not rows:
        raise StoreError(f"There is no study number {study}.")
    return rows[0]


def _rows(session: Session, ids: Sequence[int]) -> list[WorklistRow]:
    """The rows of these studies, in this order, with their reasons and models."""
    labels = [getattr(Study, f"{by}_{label}") for by in ("model", "reader") for label in LABELS]
    kept = Volume.path.is_not(None).label("has_volume")
    spoken = Volume.series_id == Study.series_id
    chosen = select(*_COLUMNS, kept, *labels).outerjoin(Volume, spoken).where(Study.id.in_(ids))
    reasons = _grouped(
        session,
        select(Study.id.label("study_id"), Finding.text)
        .join(Finding, Finding.series_id == Study.series_id)
        .where(Study.id.in_(ids), Finding.level != FindingLevel.OK)
        .order_by(Study.id, Finding.place),
    )
    models = _grouped(session, _current(ids))
    words = (Review.study_id, Review.reader, Review.comment, Review.poor_quality)
    reviews = _grouped(session, select(*words).where(Review.study_id.in_(ids)).order_by(Review.id))
    rows = {}
    for row in session.execute(chosen):
        rows[row.id] = _plain(row, *(of.get(row.id, []) for of in (reasons, models, reviews)))
    return [rows[id] for id in ids if id in rows]


def _grouped(session: Session, chosen: Select[*tuple[Any, ...]]) -> dict[int, list[Any]]:
    by_study: dict[int, list[Any]] = {}
    for row in session.execute(chosen):
        by_study.setdefault(row.study_id, []).append(row)
    return by_study


def _current(ids: Sequence[int]) -> Select[*tuple[Any, ...]]:
    probability = [getattr(Result, f"probability_{label}") for label in LABELS]
    columns = (
        Study.id.label("study_id"), Result.model, Result.version, Result.provider, Result.seconds,
        Result.operating_point, Result.threshold, Result.flagged, Result.thresholds,
    )  # fmt: skip
    chosen = select(*columns, *probability).join(Result, Result.series_id == Study.series_id)
    return chosen.where(Study.id.in_(ids), Result.current).order_by(Result.model)


def _plain(row: Any, reasons: Sequence[Any], models: Sequence[Any], reviews: Sequence[Any]) -> WorklistRow:
    values = row._asdict()
    model_labels = {label: values.pop(f"model_{label}") for label in LABELS}
    reader_labels = {label: values.pop(f"reader_{label}") for label in LABELS}
    return WorklistRow(
        **values,
        model_labels=model_labels,
        reader_labels=reader_labels,
        reasons=tuple(finding.text for finding in reasons),
        models=tuple(map(model_row, models)),
        readers=tuple(dict.fromkeys(review.reader for review in reviews)),
        comments=tuple(review.comment for review in reviews if review.comment),
        poor_quality=any(review.poor_quality for review in reviews) if reviews else None,
    )


def model_row(row: Any) -> ModelRow:
    """A row of `results` as a plain value."""
    return ModelRow(
        row.model, row.version, row.provider, row.seconds, row.operating_point, row.threshold, row.flagged,
        probabilities(row), dict(row.thresholds),
    )  # fmt: skip
