"""What is in the store and what waits, counted for those who watch the server; no row of anybody's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, func, select

from ichscope.store.database import Database
from ichscope.store.tables import JobItem, Result, Study

_ITEMS = select(JobItem.state, func.count()).group_by(JobItem.state)


@dataclass(frozen=True)
class Tallies:
    """Counts of one moment.

    studies : by status
    items : of all jobs, by state: pending, running, done, failed, dropped
    results : (model, version, provider) -> how many results, and the seconds that they took together
    """

    studies: Mapping[str, int]
    items: Mapping[str, int]
    results: Mapping[tuple[str, str, str], tuple[int, float]]


def tallies(database: Database) -> Tallies:
    """Count.

    Raises
    ------
    StoreError
        if the database fails
    """
    version = (Result.model, Result.version, Result.provider)
    measured = select(*version, func.count(), func.sum(Result.seconds)).group_by(*version)
    with database.reading() as session:
        studies = session.execute(select(Study.status, func.count()).group_by(Study.status)).all()
        items = session.execute(_ITEMS).all()
        results = session.execute(measured).all()
    by_version = {(model, version, provider): (count, seconds) for model, version, provider, count, seconds in results}
    return Tallies(_numbers(studies), _numbers(items), by_version)


def items(database: Database) -> Mapping[str, int]:
    """Count the items of all jobs by state alone; errors as of `tallies`."""
    with database.reading() as session:
        return _numbers(session.execute(_ITEMS).all())


def _numbers(rows: Sequence[Row[str, int]]) -> dict[str, int]:
    return {name: number for name, number in rows}  # noqa: C416 - a row is no tuple for mypy
