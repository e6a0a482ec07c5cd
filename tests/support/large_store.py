"""Stores with so many studies that a test or a benchmark could not record each: a few, and copies of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, insert, literal, select

from ichscope.store import Store
from ichscope.store.tables import Finding, Result, Review, Series, Study, Volume
from tests.support import store_cases

_DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)
_TIMES = ("arrived_at", "analysed_at", "first_result_at", "first_review_at", "reviewed_at")


def fill(home: Path, studies: int, seeds: int = 1000) -> None:
    """Put so many studies into the store of a home folder: a few as any other, and copies of them."""
    store = Store.open(home=home)
    store_cases.many(store, seeds)
    with store.database.engine.connect().execution_options(writes=True) as connection, connection.begin():
        for copy in range(1, studies // seeds):
            copy_studies(connection, seeds, copy)
    store.close()


def copy_studies(connection: Connection, seeds: int, copy: int) -> None:
    """Copy the first studies, with all that belongs to them, as ones that came some days later."""
    shift = {name: Study.__table__.c[name] + literal(copy * 3 * _DAY_MS) for name in _TIMES}
    key = literal(f"{copy:08x}")
    more = literal(copy * seeds)
    named = {"study_key": func.substr(Study.study_key, 1, 8) + key, "series_id": Study.series_id + more}
    _copy(connection, Study.__table__, "id", seeds, copy, shift | named)
    named = {"content": func.substr(Series.content, 1, 56) + key, "study_id": Series.study_id + more}
    _copy(connection, Series.__table__, "id", seeds, copy, named)
    for table in (Volume, Finding, Result):
        _copy(connection, table.__table__, "series_id", seeds, copy, {})
    _copy(connection, Review.__table__, "study_id", seeds, copy, {"series_id": Review.series_id + more})


def _copy(connection: Connection, table: Any, owner: str, seeds: int, copy: int, changed: dict[str, Any]) -> None:
    assert isinstance(table, Table)
    changed = {owner: table.c[owner] + literal(copy * seeds)} | changed
    # Numbers of results and reviews are the database's to give.
    columns = [column for column in table.c if column.name == owner or column.name != "id"]
    values = [changed.get(column.name, column) for column in columns]
    connection.execute(insert(table).from_select(columns, select(*values).where(table.c[owner] <= seeds)))
