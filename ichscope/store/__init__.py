"""The store: every study that was analysed, what the models and the readers say of it, and the work still to do."""

from __future__ import annotations

from pathlib import Path

from ichscope import home as places
from ichscope.store.adjustments import Adjustment, Adjustments, Thresholds, in_force, judged, named_in, point_name
from ichscope.store.arrivals import ArrivalColumns, ArrivalDay, ArrivalResults, Arrivals, ReviewWeek
from ichscope.store.audit_columns import AuditColumns
from ichscope.store.cohort import Cohorts
from ichscope.store.cohort_rows import Cohort, Day, Prevalence, Reason, ScoreBin, Share, Together, Wait
from ichscope.store.database import Database, StoreError, ValueUnfitError, errors_in_words, insert_for, open_engine
from ichscope.store.imported_tables import ImportedRows, ImportedTableInfo, ImportedTables, Rater, RaterInfo
from ichscope.store.jobs import Jobs
from ichscope.store.migrate import migrate
from ichscope.store.priority import PRIORITIES, Priority
from ichscope.store.pseudonymiser import Pseudonymiser, content_hash
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
from ichscope.store.tables import Setting
from ichscope.store.worklist import Worklist

__all__ = [
    "PRIORITIES",
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
    "ImportedRows",
    "ImportedTableInfo",
    "ImportedTables",
    "Item",
    "Job",
    "Jobs",
    "ModelRow",
    "Neighbours",
    "Order",
    "Prevalence",
    "Priority",
    "Pseudonymiser",
    "Rater",
    "RaterInfo",
    "Reason",
    "Results",
    "Review",
    "ReviewWeek",
    "Reviews",
    "Saved",
    "ScoreBin",
    "Seen",
    "SeriesChoice",
    "SeriesRow",
    "Share",
    "Store",
    "StoreError",
    "StudySeries",
    "Thresholds",
    "Together",
    "ValueUnfitError",
    "Wait",
    "Worklist",
    "WorklistRow",
    "content_hash",
    "in_force",
    "judged",
    "named_in",
    "point_name",
]


class Store:
    """An open store; one serves all threads of a process. Every method of its parts raises StoreError where the
    database fails.

    keys : what stands for identifiers
    results, series, worklist, reviews, cohorts, jobs, imported, columns, adjustments, arrivals : a repository each
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
        """
        folder = home or places.home()
        try:
            key = places.secret_key(folder)
        except (OSError, ValueError) as error:
            raise StoreError(f"The key of the store cannot be had: {error}") from None
        database = Database(open_engine(places.with_driver(url) if url else places.database_url(folder)))
        keys = Pseudonymiser(key)
        try:
            with errors_in_words():
                migrate(database.engine)
            _check_key(database, keys, folder)
        except StoreError:
            database.close()
            raise
        return cls(database, keys, folder)

    def close(self) -> None:
        """Give all connections back."""
        self.database.close()


def _check_key(database: Database, keys: Pseudonymiser, folder: Path) -> None:
    """With another key, patients and studies that are in the store already would seem to be new ones."""
    mine = keys.hash("key", "check")
    with database.reading() as session:
        row = session.get(Setting, "key")
    if row is None:
        with database.writing() as session:
            session.execute(insert_for(session)(Setting).values(name="key", value=mine).on_conflict_do_nothing())
            row = session.get_one(Setting, "key")
    if row.value != mine:
        path = folder / places.KEY_FILE
        raise StoreError(f"The database was made with another key than {path}; put the file it was made with there.")
