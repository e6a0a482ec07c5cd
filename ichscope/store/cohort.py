"""What came in and what was found, counted in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import ColumnElement, Float, Integer, Select, and_, case, cast, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from ichscope.labels import LABELS, SUBTYPES
from ichscope.store.cohort_rows import Bin, By, Cohort, Day, Prevalence, Reason, Share, Together, Wait
from ichscope.store.filters import Condition, conditions, label_column
from ichscope.store.rows import Filter
from ichscope.store.session import StoreBase
from ichscope.store.tables import EPOCH, Finding, Result, Study

_BY: tuple[By, ...] = ("model", "reader")
BINS = 20
_DAY = timedelta(days=1) // timedelta(milliseconds=1)
# Upper edges of the times that a study waited, in seconds; the last one is open.
WAIT_EDGES = (60, 5 * 60, 15 * 60, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600)


class floored(GenericFunction[int]):  # noqa: N801 - the name that SQL will not see
    """The whole number below one that is not negative. A cast rounds in PostgreSQL and cuts in SQLite."""

    type = Integer()
    inherit_cache = True


@compiles(floored, "sqlite")
def _cut(element: floored, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS INTEGER)"


@compiles(floored)
def _floor(element: floored, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(FLOOR({compiler.process(element.clauses, **options)}) AS INTEGER)"


def _step(column: Any, size: float) -> ColumnElement[Any]:
    """The lower edge of the step that a value lies in."""
    return floored(column / cast(size, Float)) * cast(size, Float)


BREAKDOWNS: dict[str, ColumnElement[Any]] = {
    "age": _step(Study.age_years, 10),
    "sex": Study.sex.expression,
    "scanner": Study.scanner.expression,
    "kvp": Study.kvp.expression,
    "slice thickness": _step(Study.slice_thickness_mm, 0.5),
    "slices": _step(Study.slices, 5),
}


class Cohorts(StoreBase):
    """The part of the Store that the cohort page reads."""

    study_key: Callable[[str], str]

    def cohort(self, filter: Filter | None = None) -> Cohort:
        """Everything that is counted over the studies that fit."""
        limits = conditions(filter or Filter(), self.study_key)
        waits: dict[Literal["result", "review"], ColumnElement[Any]] = {
            "result": _milliseconds(Study.analysed_at, Study.arrived_at),
            "review": _milliseconds(Study.first_review_at, Study.arrived_at),
        }
        with self._reading() as session:
            days = _days(session, limits)
            return Cohort(
                total=sum(day.studies for day in days),
                days=days,
                reasons=_reasons(session, limits),
                prevalence=tuple(one for by in _BY for one in _prevalence(session, limits, by)),
                together=tuple(one for by in _BY for one in _together(session, limits, by)),
                scores=_scores(session, limits),
                breakdowns={name: _shares(session, limits, value) for name, value in BREAKDOWNS.items()},
                waits=tuple(one for of, wait in waits.items() for one in _waits(session, limits, of, wait)),
                medians={of: _median(session, limits, wait) for of, wait in waits.items()},
            )


def _count(condition: Any) -> ColumnElement[int]:
    return func.count().filter(condition)


def _milliseconds(end: Any, start: Any) -> ColumnElement[Any]:
    # Both are milliseconds in the database; their difference is no moment.
    return cast(end, Float) - cast(start, Float)


def _days(session: Session, limits: Sequence[Condition]) -> tuple[Day, ...]:
    day = floored(cast(Study.arrived_at, Float) / float(_DAY))
    chosen = select(day, Study.status, func.count()).where(*limits).group_by(day, Study.status).order_by(day)
    found = session.execute(chosen.order_by(Study.status))
    return tuple(Day((EPOCH + timedelta(days=number)).date(), status, count) for number, status, count in found)


def _reasons(session: Session, limits: Sequence[Condition]) -> tuple[Reason, ...]:
    studies = func.count(Finding.study_id.distinct())
    chosen = select(Finding.code, Finding.level, studies).where(Finding.level.in_(("not analysable", "warning")))
    if limits:
        chosen = chosen.where(Finding.study_id.in_(select(Study.id).where(*limits)))
    chosen = chosen.group_by(Finding.level, Finding.code).order_by(studies.desc(), Finding.code)
    return tuple(Reason(*row) for row in session.execute(chosen))


def _prevalence(session: Session, limits: Sequence[Condition], by: By) -> list[Prevalence]:
    columns = [label_column(by, label) for label in LABELS]
    counts = [_count(column.is_(True)) for column in columns] + [func.count(column) for column in columns]
    found = session.execute(select(*counts).select_from(Study).where(*limits)).one()
    pairs = zip(LABELS, found[: len(LABELS)], found[len(LABELS) :], strict=True)
    return [Prevalence(label, by, positives, studies) for label, positives, studies in pairs]


def _together(session: Session, limits: Sequence[Condition], by: By) -> list[Together]:
    pairs = [(a, b) for i, a in enumerate(SUBTYPES) for b in SUBTYPES[i:]]
    counts = [_count(and_(label_column(by, a).is_(True), label_column(by, b).is_(True))) for a, b in pairs]
    found = session.execute(select(*counts).select_from(Study).where(*limits)).one()
    return [Together(a, b, by, count) for (a, b), count in zip(pairs, found, strict=True)]


def _scores(session: Session, limits: Sequence[Condition]) -> tuple[Bin, ...]:
    number = case((Result.probability_any >= 1, BINS - 1), else_=floored(Result.probability_any * float(BINS)))
    chosen = select(Result.model, number, func.count()).where(Result.current, Result.probability_any.is_not(None))
    if limits:
        chosen = chosen.where(Result.study_id.in_(select(Study.id).where(*limits)))
    found = session.execute(chosen.group_by(Result.model, number).order_by(Result.model, number))
    return tuple(Bin(model, at / BINS, (at + 1) / BINS, count) for model, at, count in found)


def _shares(session: Session, limits: Sequence[Condition], value: ColumnElement[Any]) -> tuple[Share, ...]:
    counts = (func.count(), _count(Study.status != "not analysed"), _count(Study.model_any.is_(True)))
    shares = [Share(*row) for row in session.execute(select(value, *counts).where(*limits).group_by(value))]
    # Sorted here: databases differ in where they put NULL and how they order text.
    return tuple(sorted(shares, key=lambda share: (share.value is None, share.value if share.value is not None else 0)))


def _waits(
    session: Session, limits: Sequence[Condition], of: Literal["result", "review"], wait: ColumnElement[Any]
) -> list[Wait]:
    steps = [*pairwise((0, *WAIT_EDGES)), (WAIT_EDGES[-1], None)]
    counts = [_count(_between(wait, low, high)) for low, high in steps]
    found = session.execute(select(*counts).select_from(Study).where(*limits)).one()
    return [Wait(of, low, high, count) for (low, high), count in zip(steps, found, strict=True)]


def _between(wait: ColumnElement[Any], low_s: int, high_s: int | None) -> ColumnElement[bool]:
    return and_(wait >= 1000.0 * low_s, *([] if high_s is None else [wait < 1000.0 * high_s]))


def _median(session: Session, limits: Sequence[Condition], wait: ColumnElement[Any]) -> float | None:
    known: Select[Any] = select(wait).where(wait.is_not(None), *limits)
    count = session.scalar(select(func.count()).select_from(known.subquery())) or 0
    middle = session.scalars(known.order_by(wait).offset((count - 1) // 2).limit(2 - count % 2)).all() if count else ()
    return sum(middle) / len(middle) / 1000 if middle else None
