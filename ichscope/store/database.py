"""The way to the database: engine, transactions, and errors in words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from ichscope.access.actor import Actor, NotAllowedError, current_actor
from ichscope.access.events import Action, Detail, Kind, Outcome
from ichscope.access.roles import Right
from ichscope.errors import IchscopeError
from ichscope.home import close_to_others, make
from ichscope.store.chain import Chain, Change

_BUSY_SECONDS = 30
_LOG_PAUSE = 0.01
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
}
_DAMAGE = {"malformed": "its file is damaged", "not a database": "its file is something else"}
_WHAT_TO_DO = "Stop all programs that use it and put a backup in its place: `ichscope restore FILE --replace`."
NO_TABLES = (
    "The database is missing or empty, and yet there is a key that was made with one. Put the database back, or a"
    " backup: `ichscope restore FILE --replace`. For a new store, take another folder as ICHSCOPE_HOME or move the"
    " file `key` away."
)
# What SQLite keeps beside a database.
SIDE_FILES = ("-wal", "-shm", "-journal")
# How long a log waits to be emptied while others read; the next one to try will do.
_TIDY_MS = 1_000


class StoreError(IchscopeError):
    """The store cannot do what was asked; the message says why, and names no patient."""


class StoreDamagedError(StoreError):
    """The database is not what was written: waiting or trying again does not help, a backup does."""


class NotFoundError(StoreError):
    """There is no such study, job or series."""


class ValueUnfitError(StoreError):
    """A single value that the database cannot hold; all else can still be written."""


class RefusedError(StoreError, NotAllowedError):
    """Whoever acts may not do this; the message says who may."""


class Database:
    """An open database: its engine, and the kinds of transaction that all repositories use.

    What a user causes is written by `changing`; `writing` is for what the program does for itself, as its queue.
    """

    def __init__(self, engine: Engine, chain: Chain) -> None:
        self.engine, self.chain = engine, chain
        # All that is read together is of one moment. In SQLite this is so anyway.
        level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
        self._snapshots = engine.execution_options(**level)

    def close(self) -> None:
        """Give all connections back."""
        self.tidy()
        self.engine.dispose()

    def tidy(self) -> None:
        """Empty SQLite's write-ahead log, which holds what rows said before they were changed.

        It stays as it is while another program reads, and where it cannot be written: the next time will do.
        """
        if self.engine.dialect.name != "sqlite":
            return
        with suppress(SQLAlchemyError, sqlite3.Error), closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {_TIDY_MS}")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
            cursor.close()

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

    @contextmanager
    def changing(
        self,
        right: Right,
        action: Action,
        kind: Kind = Kind.NONE,
        key: object = "",
        **details: Detail,
    ) -> Iterator[Change]:
        """One transaction that changes something for somebody, if they may, with its line in the audit trail.

        Raises
        ------
        RefusedError
            without the right
        """
        actor = self.demand(right, action, kind, key)
        with self.writing() as session:
            change = Change(session, actor, kind, str(key), dict(details))
            yield change
            session.flush()
            self.chain.append(change, action)

    def demand(self, right: Right, action: Action, kind: Kind = Kind.NONE, key: object = "") -> Actor:
        """Give who acts, if they may do this.

        Raises
        ------
        RefusedError
            if they may not; the audit trail tells of it, unless nobody is signed in
        """
        try:
            actor = current_actor()
            if not actor.may(right):
                self.note(actor, action, Outcome.REFUSED, kind, key)
            actor.require(right)
        except NotAllowedError as error:
            raise RefusedError(str(error)) from None
        return actor

    def tell(
        self,
        session: Session,
        actor: Actor,
        action: Action,
        kind: Kind = Kind.NONE,
        key: object = "",
        **details: Detail,
    ) -> None:
        """Add a line to the audit trail inside a transaction that needs no right, as signing in."""
        session.flush()
        self.chain.append(Change(session, actor, kind, str(key), dict(details)), action)

    def note(self, actor: Actor, action: Action, outcome: Outcome, kind: Kind = Kind.NONE, key: object = "") -> None:
        """Add a line that stands for itself: of what was refused, or only looked at."""
        with self.writing() as session:
            self.chain.append(Change(session, actor, kind, str(key)), action, outcome)


def open_engine(url: str, make_file: bool = True) -> Engine:
    """Make an engine; SQLite's file gets its folder, write-ahead logging and foreign keys.

    Parameters
    ----------
    make_file : make an SQLite file that is not there. Later on none is made: one that is gone is on its way back

    Raises
    ------
    StoreError
        if the URL is none, or its driver is not installed
    StoreDamagedError
        if an SQLite file is missing or empty that should not be
    """
    try:
        place = make_url(url)
        if place.get_backend_name() == "sqlite" and place.database:
            place = _sqlite_place(place, make_file)
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
        event.listen(engine, "checkout", _check_file)
    return engine


def _sqlite_place(place: URL, make_file: bool) -> URL:
    """The URL of an SQLite file that a connection opens and never makes, its own and its log's rights put right."""
    file = Path(place.database or "").absolute()
    if make_file:
        make(file.parent)
        file.touch()
    elif not file.exists() or not file.stat().st_size:
        raise StoreDamagedError(NO_TABLES)
    for path in (file, *(file.with_name(file.name + side) for side in SIDE_FILES)):
        close_to_others(path)
    return place.set(database=file.as_uri(), query={**place.query, "mode": "rw", "uri": "true"})


def _check_file(connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
    """Let go of a file that was moved away or replaced: what is written to it would be lost."""
    found = _file_of(connection)
    if record.info.setdefault("file", found) != found:
        raise DisconnectionError


def _file_of(connection: DBAPIConnection) -> tuple[int, int] | None:
    cursor = connection.cursor()
    try:
        path = cursor.execute("PRAGMA database_list").fetchone()[2]
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    finally:
        cursor.close()
    return found.st_dev, found.st_ino


def _prepare_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late; _begin_sqlite sends it
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    _log_ahead(cursor)
    # Reviews must survive a power cut: every commit reaches the disk.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.execute("PRAGMA cache_size = -32768")
    cursor.close()


def _log_ahead(cursor: DBAPICursor) -> None:
    """Turn the write-ahead log on. SQLite itself waits for no other that opens a new file at the same time."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_LOG_PAUSE)
        else:
            return


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
        if damage := _known(error, _DAMAGE):
            raise StoreDamagedError(f"The database cannot be used: {damage}. {_WHAT_TO_DO}") from None
        raise StoreError(f"The database failed: {_cause(error)}.") from None
    except SQLAlchemyError as error:
        raise StoreError(f"The database failed: {type(error).__name__}.") from None


def _cause(error: DBAPIError) -> str:
    if known := _known(error, _CAUSES):
        return known
    if error.connection_invalidated or "connection" in str(error.orig).lower():
        return "the connection to it is lost"
    # What the driver says of a constraint may hold values; its kind does not.
    return type(error.orig).__name__


def _known(error: DBAPIError, causes: Mapping[str, str]) -> str:
    message = str(error.orig).lower()
    return next((words for sign, words in causes.items() if sign.lower() in message), "")


def insert_for(session: Session) -> Any:
    """The dialect's own `insert`, which knows what to do about a row that is there already."""
    from sqlalchemy.dialects import postgresql, sqlite

    return sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
