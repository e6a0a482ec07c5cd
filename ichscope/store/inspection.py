"""A look at a store from outside: nothing is made, upgraded or changed, whatever state it is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, func, inspect, make_url, select, text

from ichscope.store.access_tables import Account
from ichscope.store.database import errors_in_words, open_engine
from ichscope.store.migrate import revision
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.tables import Job, Setting, Study


@dataclass(frozen=True)
class Inspection:
    """What there is of a database.

    kind : "sqlite" or "postgresql"
    there : whether there is one with tables
    revision : of its tables; "" without any
    damage : the first thing that is wrong with its pages or its references; "" where nothing is
    fits : whether the key is the one that it was made with; None where there is no key, or none was noted
    newest : the latest moment that anything was entered
    admins : accounts that may do everything; None where it has no accounts yet
    """

    kind: str
    there: bool = False
    revision: str = ""
    damage: str = ""
    fits: bool | None = None
    studies: int = 0
    newest: datetime | None = None
    admins: int | None = None


def look(folder: Path, url: str, key: bytes | None) -> Inspection:
    """Look at a database.

    Raises
    ------
    StoreError
        if it cannot be opened or read
    """
    kind = make_url(url).get_backend_name()
    with errors_in_words(), _connection(url) as connection:
        if connection is None or (found := revision(connection)) is None:
            return Inspection(kind)
        damage = _damage(connection)
        names = set(inspect(connection).get_table_names())
        noted = connection.scalar(select(Setting.value).where(Setting.name == "key"))
        mine = Pseudonymiser(key).hash("key", "check") if key else None
        moments = [connection.scalar(select(func.max(column))) for column in (Study.analysed_at, Job.created_at)]
        return Inspection(
            kind,
            True,
            found,
            damage,
            noted == mine if noted and mine else None,
            connection.scalar(select(func.count()).select_from(Study)) or 0,
            max(filter(None, moments), default=None),
            _admins(connection) if Account.__tablename__ in names else None,
        )


@contextmanager
def _connection(url: str) -> Iterator[Connection | None]:
    place = make_url(url)
    file = Path(place.database or "") if place.get_backend_name() == "sqlite" else None
    if file is not None and not file.exists():
        yield None
        return
    engine = create_engine(_read_only(place, file)) if file else open_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _read_only(place: URL, file: Path) -> URL:
    """The URL of an SQLite file that is not changed; where no log is, nobody has it open, and none is made."""
    has_log = file.with_name(f"{file.name}-wal").exists()
    how = {"mode": "ro"} if has_log else {"immutable": "1"}
    return place.set(database=file.absolute().as_uri(), query={**how, "uri": "true"})


def _damage(connection: Connection) -> str:
    """SQLite's own look at every page; a server looks after its own."""
    if connection.dialect.name != "sqlite":
        return ""
    if (said := str(connection.scalar(text("PRAGMA integrity_check(1)")))) != "ok":
        return said.splitlines()[0]
    broken = connection.execute(text("PRAGMA foreign_key_check")).first()
    return f"a row of {broken[0]} hangs on one that is not there" if broken else ""


def _admins(connection: Connection) -> int:
    chosen = select(func.count()).select_from(Account).where(Account.role == "admin", Account.disabled.is_(False))
    return connection.scalar(chosen) or 0
