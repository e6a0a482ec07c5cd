"""What came in and what was found, counted in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Float, Integer, and_, case, cast, func, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from ichscope.imaging.findings import FindingLevel, Status
from ichscope.labels import LABELS, SUBTYPES
from ichscope.store.cohort_rows import By, Cohort, Day, Prevalence, Reason, ScoreBin, Share, Together, Wait
from ichscope.store.database import Database
from ichscope.store.filters import Condition, conditions, label_column
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.rows import Filter
from ichscope.store.tables import EPOCH, Finding, JobItem, Result, Study

_BY: tuple[By, ...] = ("model", "reader")
BINS = 20
_DAY = timedelta(days=1) // timedelta(milliseconds=1)
# Results take seconds, reviews hours: times are counted in these steps.
_RESULT_STEP_S, _REVIEW_STEP_S = 1, 60
# Edges of the times that a study waited, in seconds, all multiples of both steps; the last one is open.
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


def _step(column: InstrumentedAttribute[Any], size: int) -> ColumnElement[Any]:
    """The lower edge of the step that a whole number lies in; nothing of it is negative."""
    return column // size * size


BREAKDOWNS: dict[str, ColumnElement[Any]] = {
    "age": _step(Study.age_years, 10),
    "sex": Study.sex.expression,
    "scanner": Study.scanner.expression,
    "kvp": Study.kvp.expression,
    "slice thickness": floored(Study.slice_thickness_mm * 2) / cast(2, Float),
    "slices": _step(Study.slices, 5),
}


class Cohorts:
    """Counts over all studies that fit a filter."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def state(self, filter: Filter | None = None) -> tuple[int, ...]:
        """Give numbers that change whenever read() may: one quick look, for whoever keeps what it gave."""
        moments = (Study.analysed_at, Study.reviewed_at)
        newest = [func.coalesce(func.max(type_coerce(moment, BigInteger)), 0) for moment in moments]
        chosen = select(func.count(), func.coalesce(func.sum(Study.reviews), 0), *newest).select_from(Study)
        done = select(func.count()).where(JobItem.job_id == (filter.job if filter else None), JobItem.state == "done")
        with self._database.reading() as session:
            return tuple(map(int, (*session.execute(chosen).one(), session.scalar(done) or 0)))

    def read(self, filter: Filter | None = None) -> Cohort:
        """Everything that is counted over the studies that fit."""
        limits = conditions(filter or Filter(), self._keys.study)
        with self._database.reading() as session:
            days = _days(session, limits)
            labels = [_labels(session, limits, by) for by in _BY]
            result = _waits(session, limits, Study.first_result_at, _RESULT_STEP_S)
            review = _waits(session, limits, Study.first_review_at, _REVIEW_STEP_S)
            return Cohort(
                total=sum(day.studies for day in days),
                synthetic=_synthetic(session, limits),
                days=days,
                reasons=_reasons(session, limits),
                prevalence=tuple(prevalence for alone, _ in labels for prevalence in alone),
                together=tuple(pair for _, pairs in labels for pair in pairs),
                scores=_scores(session, limits),
                breakdowns={name: _shares(session, limits, value) for name, value in BREAKDOWNS.items()},
                waits=(*_by_edges("result", result), *_by_edges("review", review)),
                medians={"result": _median(result), "review": _median(review)},
            )


def _synthetic(session: Session, limits: Sequence[Condition]) -> int:
    return session.scalar(select(func.count()).select_from(Study).where(Study.synthetic, *limits)) or 0


def _count(condition: Any) -> ColumnElement[int]:
    return func.count().filter(condition)


def _days(session: Session, limits: Sequence[Condition]) -> tuple[Day, ...]:
    day = type_coerce(Study.arrived_at, BigInteger) // _DAY
    chosen = select(day, Study.status, func.count()).where(*limits).group_by(day, Study.status).order_by(day)
    days = session.execute(chosen.order_by(Study.status))
    return tuple(Day((EPOCH + timedelta(days=number)).date(), status, count) for number, status, count in days)


def _reasons(session: Session, limits: Sequence[Condition]) -> tuple[Reason, ...]:
    studies = func.count(Finding.series_id.distinct())
    chosen = (
        select(Finding.code, Finding.level, studies)
        .join(Study, Study.series_id == Finding.series_id)
        .where(Finding.level.in_((FindingLevel.NOT_ANALYSABLE, FindingLevel.WARNING)))
    )
    if limits:
        chosen = chosen.where(*limits)
    chosen = chosen.group_by(Finding.level, Finding.code).order_by(studies.desc(), Finding.code)
    return tuple(Reason(*row) for row in session.execute(chosen))


def _labels(session: Session, limits: Sequence[Condition], by: By) -> tuple[list[Prevalence], list[Together]]:
    """Labels alone and in pairs, in one scan."""
    columns = {label: label_column(by, label) for label in LABELS}
    pairs = [(a, b) for i, a in enumerate(SUBTYPES) for b in SUBTYPES[i:]]
    counts = [_count(column.is_(True)) for column in columns.values()]
    counts += [func.count(column) for column in columns.values()]
    counts += [_count(and_(columns[a].is_(True), columns[b].is_(True))) for a, b in pairs]
    numbers = iter(session.execute(select(*counts).select_from(Study).where(*limits)).one())
    positives, known = ([next(numbers) for _ in LABELS] for _ in range(2))
    alone = [Prevalence(label, by, *numbers) for label, *numbers in zip(LABELS, positives, known, strict=True)]
    return alone, [Together(a, b, by, count) for (a, b), count in zip(pairs, numbers, strict=True)]


def _scores(session: Session, limits: Sequence[Condition]) -> tuple[ScoreBin, ...]:
    number = case((Result.probability_any >= 1, BINS - 1), else_=floored(Result.probability_any * float(BINS)))
    chosen = select(Result.model, number, func.count()).join(Study, Study.series_id == Result.series_id)
    chosen = chosen.where(Result.current, Result.probability_any.is_not(None))
    if limits:
        chosen = chosen.where(*limits)
    bins = session.execute(chosen.group_by(Result.model, number).order_by(Result.model, number))
    return tuple(ScoreBin(model, at / BINS, (at + 1) / BINS, count) for model, at, count in bins)


def _shares(session: Session, limits: Sequence[Condition], value: ColumnElement[Any]) -> tuple[Share, ...]:
    counts = (func.count(), _count(Study.status != Status.NOT_ANALYSED), _count(Study.model_any.is_(True)))
    shares = [Share(*row) for row in session.execute(select(value, *counts).where(*limits).group_by(value))]
    # Sorted here: databases differ in where they put NULL and how they order text.
    return tuple(sorted(shares, key=lambda share: (share.value is None, share.value if share.value is not None else 0)))


def _waits(session: Session, limits: Sequence[Condition], end: Any, step_s: int) -> list[tuple[int, int]]:
    """How many studies waited how many seconds from their arrival on, in steps; sorted."""
    waited = type_coerce(end - Study.arrived_at, BigInteger) // (1000 * step_s)
    chosen = select(waited, func.count()).where(end.is_not(None), *limits).group_by(waited)
    return sorted((max(0, steps) * step_s, count) for steps, count in session.execute(chosen))


def _by_edges(of: Literal["result", "review"], waits: Sequence[tuple[int, int]]) -> list[Wait]:
    edges: list[tuple[int, int | None]] = [*pairwise((0, *WAIT_EDGES)), (WAIT_EDGES[-1], None)]
    return [
        Wait(of, low, high, sum(count for wait, count in waits if low <= wait and (high is None or wait < high)))
        for low, high in edges
    ]


def _median(waits: Sequence[tuple[int, int]]) -> float | None:
    """The lower median, to the step."""
    left = (sum(count for _, count in waits) + 1) // 2
    for wait, count in waits:
        left -= count
        if left <= 0:
            return float(wait)
    return None
