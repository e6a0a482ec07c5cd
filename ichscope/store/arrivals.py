"""What came in within a period, as arrays and as counts by day and week: what monitoring is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Integer, Select, and_, func, select, type_coerce

from ichscope.imaging.findings import FindingLevel, Status
from ichscope.store.database import Database
from ichscope.store.imported_tables import Keys, as_numbers
from ichscope.store.tables import EPOCH, Finding, JobItem, Result, Study

Floats = NDArray[np.float64]

_DAY = timedelta(days=1) // timedelta(milliseconds=1)
# 1970-01-01, from which days are counted, was a Thursday; weeks begin on Mondays.
MONDAY = 3
_VERSION = (Result.model, Result.version)


@dataclass(frozen=True)
class ArrivalDay:
    """Studies that arrived on one day (UTC): all, those that a model judged, and of these the flagged ones."""

    day: date
    synthetic: bool
    studies: int
    judged: int
    flagged: int


@dataclass(frozen=True)
class ReviewWeek:
    """Studies whose newest review came in the week from this Monday on (UTC), by whether it affirms the models."""

    week: date
    agree: int
    disagree: int


@dataclass(frozen=True, eq=False)
class ArrivalColumns:
    """Studies that arrived in a period, (studies,) each, the oldest first; numbers are nan where unknown.

    patient : 0 where unknown
    day : of the arrival, since 1970-01-01
    arrived_ms : milliseconds since then
    analysed : 0 or 1
    model_any, reader_any : 0 or 1, what the models and the newest review say
    """

    patient: Keys
    sex: Sequence[str]
    scanner: Sequence[str]
    id: Floats
    day: Floats
    arrived_ms: Floats
    analysed: Floats
    model_any: Floats
    reader_any: Floats
    slices: Floats
    age_years: Floats
    kvp: Floats
    slice_thickness_mm: Floats


@dataclass(frozen=True, eq=False)
class ArrivalResults:
    """Results of one version of a model for the studies of a period, (results,) each.

    current : 0 or 1, whether it is the one that counts
    flagged : 0 or 1
    created_ms : as ArrivalColumns.arrived_ms
    """

    model: str
    version: str
    study: Floats
    current: Floats
    probability: Floats
    flagged: Floats
    seconds: Floats
    created_ms: Floats


class Arrivals:
    """What came in by day and period. Periods are from a moment on, up to another one, excluded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def days(self) -> list[ArrivalDay]:
        """How many studies arrived on each day, patients' and synthetic ones apart, the oldest day first."""
        day = type_coerce(Study.arrived_at, BigInteger) // _DAY
        counts = (func.count(), func.count(Study.model_any), func.count().filter(Study.model_any.is_(True)))
        chosen = select(day, Study.synthetic, *counts).group_by(day, Study.synthetic).order_by(day, Study.synthetic)
        with self._database.reading() as session:
            days = session.execute(chosen).all()
        return [ArrivalDay(_date(number), bool(synthetic), *rest) for number, synthetic, *rest in days]

    def newest(self, synthetic: bool) -> datetime | None:
        """When the last study arrived."""
        with self._database.reading() as session:
            moment: datetime | None = session.scalar(
                select(func.max(Study.arrived_at)).where(Study.synthetic == synthetic)
            )
        return moment

    def review_weeks(self, synthetic: bool) -> list[ReviewWeek]:
        """How many newest reviews affirmed and rejected what the models say, the oldest week first."""
        week = (type_coerce(Study.reviewed_at, BigInteger) // _DAY + MONDAY) // 7
        counts = [func.count().filter(Study.agreement == word) for word in ("agree", "disagree")]
        chosen = select(week, *counts).where(Study.agreement.in_(("agree", "disagree")), Study.synthetic == synthetic)
        with self._database.reading() as session:
            weeks = session.execute(chosen.group_by(week).order_by(week)).all()
        return [ReviewWeek(_date(7 * number - MONDAY), *rest) for number, *rest in weeks]

    def studies(self, since: datetime, until: datetime, synthetic: bool) -> ArrivalColumns:
        """Studies that arrived in a period."""
        flags = (type_coerce(column, Integer) for column in (Study.model_any, Study.reader_any))
        arrived = type_coerce(Study.arrived_at, BigInteger)
        chosen = select(
            *(Study.patient_key, Study.sex, Study.scanner, Study.id, arrived // _DAY, arrived),
            *(type_coerce(Study.status != Status.NOT_ANALYSED, Integer), *flags, Study.slices, Study.age_years),
            *(Study.kvp, Study.slice_thickness_mm),
        )
        chosen = chosen.where(*_within(since, until, synthetic)).order_by(Study.arrived_at, Study.id)
        rows = self._rows(chosen)
        patient, sex, scanner = ([row[i] for row in rows] for i in range(3))
        numbers = np.array([row[3:] for row in rows], np.float64).reshape(-1, len(chosen.selected_columns) - 3)
        return ArrivalColumns(as_numbers(patient), sex, scanner, *numbers.T)

    def results(self, since: datetime, until: datetime, synthetic: bool) -> list[ArrivalResults]:
        """Results of the studies that arrived in a period, those of each version of a model apart."""
        within = _within(since, until, synthetic)
        columns = (
            *(Study.id, type_coerce(Result.current, Integer), Result.probability_any),
            *(type_coerce(Result.flagged, Integer), Result.seconds, type_coerce(Result.created_at, BigInteger)),
        )
        with self._database.reading() as session:
            versions = session.execute(select(*_VERSION).distinct().order_by(*_VERSION)).all()
        results = []
        for model, version in versions:
            chosen = select(*columns).join(Study, Study.series_id == Result.series_id)
            chosen = chosen.where(Result.model == model, Result.version == version, *within)
            numbers = np.array(self._rows(chosen), np.float64).reshape(-1, len(columns))
            results.append(ArrivalResults(model, version, *numbers.T))
        return results

    def reasons(self, since: datetime, until: datetime, synthetic: bool) -> list[tuple[str, int]]:
        """Why studies of a period were not analysed: codes of findings, each with its number of studies."""
        studies = func.count(Study.id.distinct())
        of_study = and_(Finding.series_id == Study.series_id, Finding.level == FindingLevel.NOT_ANALYSABLE)
        chosen = select(Finding.code, studies).join(Study, of_study).where(*_within(since, until, synthetic))
        with self._database.reading() as session:
            reasons = session.execute(chosen.group_by(Finding.code).order_by(studies.desc(), Finding.code))
            return [(code, count) for code, count in reasons]

    def ended_items(self, since: datetime, until: datetime) -> tuple[int, int]:
        """How many items of jobs failed in a period, and how many ended."""
        counts = (func.count().filter(JobItem.state == "failed"), func.count())
        ended = (JobItem.state.in_(("done", "failed")), JobItem.finished_at >= since, JobItem.finished_at < until)
        with self._database.reading() as session:
            failed, all_of_them = session.execute(select(*counts).where(*ended)).one()
        return failed, all_of_them

    def _rows(self, chosen: Select[*tuple[Any, ...]]) -> Sequence[Any]:
        """Rows of plain values as the driver gives them: objects a row would take most of the time."""
        with self._database.reading() as session:
            cursor = session.connection().execute(chosen).cursor
            return cursor.fetchall() if cursor else []


def _within(since: datetime, until: datetime, synthetic: bool) -> tuple[ColumnElement[bool], ...]:
    return Study.arrived_at >= since, Study.arrived_at < until, Study.synthetic == synthetic


def _date(number: int) -> date:
    return (EPOCH + timedelta(days=number)).date()
