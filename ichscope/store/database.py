"""The way to the database: engine, transactions, and errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from ichscope.errors import IchscopeError
from ichscope.home import make

_BUSY_SECONDS = 30
# For statements on rows that the session holds no objects of: it need not look for them.
UNSEEN = {"synchronize_session": False}
_CAUSES = {
    "disk is full": "there is no room left on the disk",
    "no space left": "there is no room left on the disk",
    "disk I/O": "the disk cannot be read or written",
    "locked": f"another program has kept it locked for {_BUSY_SECONDS} seconds",
    "readonly": "its file may not be written",
    "read-only": "it may not be written",
    "unable to open": "its file cannot be opened",
    "malformed": "its file is damaged",
    "not a database": "its file is something else",
}


class StoreError(IchscopeError):
    """The store cannot do what was asked; the message says why, and names no patient."""


class ValueUnfitError(StoreError):
    """A single value that the database cannot hold; all else can still be written."""


class Database:
    """An open database: its engine, and the two kinds of transaction that all repositories use."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # All that is read together is of one moment. In SQLite this is so anyway.
        level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
        self._snapshots = engine.execution_options(**level)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that sees the database as it was at its beginning."""
        with errors_in_words(), Session(self._snapshots) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that holds SQLite's only write lock from its start, so it never fails half-way for it."""
        with (
            errors_in_words(),
            self.engine.connect().execution_options(writes=True) as connection,
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session


def open_engine(url: str) -> Engine:
    """Make an engine; SQLite's file gets its folder, write-ahead logging and foreign keys.

    Raises
    ------
    StoreError
        if the URL is none, or its driver is not installed
    """
    try:
        place = make_url(url)
        if place.get_backend_name() == "sqlite" and place.database:
            make(Path(place.database).parent)
        # Statements carry what was found in files: no error message may repeat it.
        engine = create_engine(place, hide_parameters=True, pool_pre_ping=place.get_backend_name() != "sqlite")
    except ArgumentError:
        raise StoreError("ICHSCOPE_DATABASE_URL is no database URL; expected postgresql://user@host/name") from None
    except ImportError as error:
        text = f"the driver {error.name} is not installed; `pip install 'ichscope[postgres]'` brings PostgreSQL's"
        raise StoreError(text) from None
    except OSError as error:
        raise StoreError(f"the database's folder cannot be made: {error.strerror}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late; _begin_sqlite sends it
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # Reviews must survive a power cut: every commit reaches the disk.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA cache_size = -32768")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn whatever the database says into a StoreError."""
    try:
        yield
    except DataError:
        # What the driver says of a value may repeat it.
        raise ValueUnfitError("The database cannot hold a value that was found in the file.") from None
    except DBAPIError as error:
        raise StoreError(f"The database failed: {_cause(error)}.") from None
    except SQLAlchemyError as error:
        raise StoreError(f"The database failed: {type(error).__name__}.") from None


def _cause(error: DBAPIError) -> str:
    message = str(error.orig)
    known = next((words for sign, words in _CAUSES.items() if sign.lower() in message.lower()), None)
    if known:
        return known
    if error.connection_invalidated or "connection" in message.lower():
        return "the connection to it is lost"
    # What the driver says of a constraint may hold values; its kind does not.
    return type(error.orig).__name__


def insert_for(session: Session) -> Any:
    """The dialect's own `insert`, which knows what to do about a row that is there already."""
    from sqlalchemy.dialects import postgresql, sqlite

    return sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
