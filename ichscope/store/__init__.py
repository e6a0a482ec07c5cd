"""The store: every study that was analysed, what the models and the readers say of it, and the work still to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ichscope import home as places
from ichscope.store.access_tables import AuditEnd
from ichscope.store.accounts import Account, Accounts, SignInError, TooManyAttemptsError
from ichscope.store.adjustments import Adjustment, Adjustments, Thresholds, in_force, judged, named_in, point_name
from ichscope.store.arrivals import ArrivalColumns, ArrivalDay, ArrivalResults, Arrivals, ReviewWeek
from ichscope.store.audit_columns import AuditColumns
from ichscope.store.chain import Chain
from ichscope.store.cohort import Cohorts
from ichscope.store.cohort_rows import Cohort, Day, Prevalence, Reason, ScoreBin, Share, Together, Wait
from ichscope.store.database import (
    Database,
    NotFoundError,
    RefusedError,
    StoreDamagedError,
    StoreError,
    ValueUnfitError,
    errors_in_words,
    insert_for,
    open_engine,
)
from ichscope.store.folders import Folder, Folders
from ichscope.store.imported_tables import ImportedRows, ImportedTableInfo, ImportedTables, Rater, RaterInfo
from ichscope.store.jobs import Jobs
from ichscope.store.migrate import migrate
from ichscope.store.outgoing import OutgoingPost, Unopened
from ichscope.store.patients import Patients
from ichscope.store.priority import PRIORITIES, Priority
from ichscope.store.pseudonymiser import Pseudonymiser, content_hash
from ichscope.store.reports import Reports
from ichscope.store.results import Results
from ichscope.store.reviews import Reviews
from ichscope.store.rows import (
    Agreement,
    Choices,
    Counts,
    FailedItem,
    Filter,
    Item,
    Job,
    ModelRow,
    Neighbours,
    Order,
    Review,
    Saved,
    Seen,
    SeriesChoice,
    SeriesRow,
    WorklistRow,
)
from ichscope.store.series import StudySeries
from ichscope.store.sessions import Sessions
from ichscope.store.tables import Setting
from ichscope.store.tokens import Token, Tokens
from ichscope.store.trail import Trail, TrailFilter, Verification
from ichscope.store.worklist import Worklist

__all__ = [
    "PRIORITIES",
    "Account",
    "Accounts",
    "Adjustment",
    "Adjustments",
    "Agreement",
    "ArrivalColumns",
    "ArrivalDay",
    "ArrivalResults",
    "Arrivals",
    "AuditColumns",
    "Choices",
    "Cohort",
    "Cohorts",
    "Counts",
    "Database",
    "Day",
    "FailedItem",
    "Filter",
    "Folder",
    "Folders",
    "ImportedRows",
    "ImportedTableInfo",
    "ImportedTables",
    "Item",
    "Job",
    "Jobs",
    "ModelRow",
    "Neighbours",
    "NotFoundError",
    "Order",
    "Prevalence",
    "Priority",
    "Pseudonymiser",
    "Rater",
    "RaterInfo",
    "Reason",
    "RefusedError",
    "Results",
    "Review",
    "ReviewWeek",
    "Reviews",
    "Saved",
    "ScoreBin",
    "Seen",
    "SeriesChoice",
    "SeriesRow",
    "Sessions",
    "Share",
    "SignInError",
    "Store",
    "StoreDamagedError",
    "StoreError",
    "StudySeries",
    "Thresholds",
    "Together",
    "Token",
    "Tokens",
    "TooManyAttemptsError",
    "Trail",
    "TrailFilter",
    "Unopened",
    "ValueUnfitError",
    "Verification",
    "Wait",
    "Worklist",
    "WorklistRow",
    "content_hash",
    "in_force",
    "judged",
    "named_in",
    "point_name",
]


T = TypeVar("T")


class Store:
    """An open store; one serves all threads of a process. Every method of its parts raises StoreError where the
    database fails.

    keys : what stands for identifiers
    results, series, worklist, reviews, cohorts, jobs, imported, columns, adjustments, arrivals, accounts, sessions,
        tokens, folders, outgoing, patients, reports, trail : a repository each
    volumes : folder of the voxels that are kept
    """

    def __init__(self, database: Database, keys: Pseudonymiser, folder: Path) -> None:
        self.database, self.keys = database, keys
        self.volumes = folder / places.VOLUMES_FOLDER
        self.results = Results(database, keys, self.volumes)
        self.series = StudySeries(database)
        self.worklist = Worklist(database, keys)
        self.reviews = Reviews(database)
        self.cohorts = Cohorts(database, keys)
        self.jobs = Jobs(database, keys)
        self.imported = ImportedTables(database)
        self.columns = AuditColumns(database, keys)
        self.adjustments = Adjustments(database)
        self.arrivals = Arrivals(database)
        self.accounts = Accounts(database, keys)
        self.sessions = Sessions(database)
        self.tokens = Tokens(database)
        self.folders = Folders(database)
        self.outgoing = OutgoingPost(database, keys)
        self.patients = Patients(database, keys)
        self.reports = Reports(database, keys)
        self.trail = Trail(database)

    @classmethod
    def open(cls, url: str | None = None, home: Path | None = None) -> Store:
        """Open the store, and make or upgrade its tables.

        Parameters
        ----------
        url : SQLAlchemy's; ICHSCOPE_DATABASE_URL or an SQLite file in `home` if not given
        home : the folder of key and volumes; ICHSCOPE_HOME if not given

        Raises
        ------
        StoreError
            if the database cannot be opened, was made by a newer program, or belongs to another key
        StoreDamagedError
            if the database is damaged, or an SQLite file is gone or empty whose key is there
        """
        folder = home or places.home()
        try:
            places.secure(folder)
        except OSError as error:
            raise StoreError(f"The folder {folder} cannot be used: {error.strerror}.") from None
        key = _key(places.read_key, folder)
        # A key is made after its database: where one lies alone, there was a database, or it is elsewhere.
        engine = open_engine(places.with_driver(url) if url else places.database_url(folder), make_file=key is None)
        try:
            with errors_in_words():
                migrate(engine, expect_tables=key is not None and engine.dialect.name == "sqlite")
                key = key or _first_key(engine, folder)
            database, keys = Database(engine, Chain(key)), Pseudonymiser(key)
            _check_key(database, keys, folder)
        except StoreError:
            engine.dispose()
            raise
        return cls(database, keys, folder)

    def close(self) -> None:
        """Give all connections back."""
        self.database.close()


def _key(get: Callable[[Path], T], folder: Path) -> T:
    try:
        return get(folder)
    except (OSError, ValueError) as error:
        raise StoreError(f"The key of the store cannot be had: {error}") from None


def _first_key(engine: Engine, folder: Path) -> bytes:
    """Make the key of a new database; where one was made with a key before, another one would be no help."""
    with Session(engine) as session:
        if session.get(Setting, "key") is None:
            return _key(places.secret_key, folder)
    if (key := _key(places.read_key, folder)) is not None:  # of another process that has opened it meanwhile
        return key
    path = folder / places.KEY_FILE
    raise StoreError(f"The database was made with a key that is not there any more: expected it in {path}.")


def _check_key(database: Database, keys: Pseudonymiser, folder: Path) -> None:
    """With another key, patients and studies that are in the store already would seem to be new ones."""
    mine = keys.hash("key", "check")
    with database.reading() as session:
        row, begun = session.get(Setting, "key"), session.get(AuditEnd, "last")
    if row is None or begun is None:
        with database.writing() as session:
            insert, end = insert_for(session), database.chain.end("last", 0, "")
            session.execute(insert(Setting).values(name="key", value=mine).on_conflict_do_nothing())
            row = session.get_one(Setting, "key")
            if row.value == mine:
                session.execute(insert(AuditEnd).values(end).on_conflict_do_nothing())
    if row.value != mine:
        path = folder / places.KEY_FILE
        raise StoreError(f"The database was made with another key than {path}; put the file it was made with there.")
