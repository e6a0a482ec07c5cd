"""The store: every study that was analysed, what the models and the readers say of it, and the work still to do."""

from __future__ import annotations

from pathlib import Path

from ichscope import home as places
from ichscope.store.arrivals import ArrivalColumns, ArrivalDay, ArrivalResults, Arrivals, ReviewWeek
from ichscope.store.cohort import Cohorts
from ichscope.store.cohort_rows import Bin, Cohort, Day, Prevalence, Reason, Share, Together, Wait
from ichscope.store.columns import Columns
from ichscope.store.jobs import Jobs
from ichscope.store.migrate import migrate
from ichscope.store.priority import PRIORITIES, Priority
from ichscope.store.privacy import content_hash
from ichscope.store.reviewing import Reviewing
from ichscope.store.rows import (
    Agreement,
    Choices,
    Counts,
    Failure,
    Filter,
    Item,
    Job,
    ModelRow,
    Neighbours,
    Order,
    Review,
    Saved,
    Seen,
    WorklistRow,
)
from ichscope.store.session import StoreError, ValueUnfitError, errors_in_words, insert_for, open_engine
from ichscope.store.tables import Setting
from ichscope.store.thresholds import Adjustment, Adjustments, Thresholds, in_force, judged, named_in, point_name
from ichscope.store.truth import SheetInfo, SheetRows, Sheets, Voice, VoiceInfo
from ichscope.store.viewing import Viewing
from ichscope.store.worklist import Worklist

__all__ = [
    "PRIORITIES",
    "Adjustment",
    "Agreement",
    "ArrivalColumns",
    "ArrivalDay",
    "ArrivalResults",
    "Bin",
    "Choices",
    "Cohort",
    "Counts",
    "Day",
    "Failure",
    "Filter",
    "Item",
    "Job",
    "ModelRow",
    "Neighbours",
    "Order",
    "Prevalence",
    "Priority",
    "Reason",
    "Review",
    "ReviewWeek",
    "Saved",
    "Seen",
    "Share",
    "SheetInfo",
    "SheetRows",
    "Store",
    "StoreError",
    "Thresholds",
    "Together",
    "ValueUnfitError",
    "Voice",
    "VoiceInfo",
    "Wait",
    "WorklistRow",
    "content_hash",
    "in_force",
    "judged",
    "named_in",
    "point_name",
]


class Store(Worklist, Reviewing, Viewing, Cohorts, Jobs, Sheets, Columns, Adjustments, Arrivals):
    """An open store; one serves all threads of a process. Every method raises StoreError where the database fails."""

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
        engine = open_engine(places.with_driver(url) if url else places.database_url(folder))
        store = cls(engine, key, folder)
        try:
            with errors_in_words():
                migrate(engine)
            store._check_key(folder)
        except StoreError:
            store.close()
            raise
        return store

    def _check_key(self, folder: Path) -> None:
        """With another key, patients and studies that are in the store already would seem to be new ones."""
        mine = self._hash("key", "check")
        with self._reading() as session:
            found = session.get(Setting, "key")
        if found is None:
            with self._writing() as session:
                session.execute(insert_for(session)(Setting).values(name="key", value=mine).on_conflict_do_nothing())
                found = session.get_one(Setting, "key")
        if found.value != mine:
            path = folder / places.KEY_FILE
            raise StoreError(
                f"The database was made with another key than {path}; put the file it was made with there."
            )
