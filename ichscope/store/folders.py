"""Folders of the server that an admin has named: pages read below these, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.store import access_tables as tables
from ichscope.store.database import Database, StoreError


@dataclass(frozen=True)
class Folder:
    """A folder of the server that pages may read from, by a name that says nothing of where it is."""

    id: int
    name: str
    path: Path
    created_by: str
    created_at: datetime


class Folders:
    """Folders of the server that pages may read from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Folder]:
        """All of them, by name."""
        with self._database.reading() as session:
            rows = session.scalars(select(tables.Folder).order_by(tables.Folder.name))
            return [Folder(row.id, row.name, Path(row.path), row.created_by, row.created_at) for row in rows]

    def add(self, name: str, path: Path) -> Folder:
        """Name a folder.

        Raises
        ------
        StoreError
            if it is none, is the whole disk, or the name is empty or taken
        """
        shown = " ".join(name.split())
        with self._database.changing(Right.FOLDERS, Action.FOLDER_ADDED) as change:
            try:
                place = path.expanduser().resolve(strict=True)
            except (OSError, RuntimeError, ValueError):
                raise StoreError("There is no such folder.") from None
            if not place.is_dir() or place.parent == place:
                raise StoreError("Expected a folder, and not the whole disk.")
            if not shown or not shown.isprintable():
                raise StoreError("A folder needs a name that can be seen.")
            session = change.session
            if session.scalar(select(tables.Folder.id).where(tables.Folder.name == shown)):
                raise StoreError(f"There is a folder {shown} already.")
            now = datetime.now(UTC)
            row = tables.Folder(name=shown, path=str(place), created_by=change.actor.name, created_at=now)
            session.add(row)
            session.flush()
            change.about(Kind.FOLDER, row.id)
            return Folder(row.id, shown, place, row.created_by, now)

    def remove(self, name: str) -> None:
        """Let pages read there no more; nothing in it is touched.

        Raises
        ------
        StoreError
            if there is none of this name
        """
        with self._database.changing(Right.FOLDERS, Action.FOLDER_REMOVED) as change:
            row = change.session.scalars(select(tables.Folder).where(tables.Folder.name == name)).first()
            if row is None:
                raise StoreError(f"There is no folder {name}.")
            change.about(Kind.FOLDER, row.id)
            change.session.delete(row)

    def resolve(self, name: str, below: str = "") -> Path:
        """Give what lies in a named folder, where whoever acts may have it analysed.

        Parameters
        ----------
        below : path in it; "" for all of it

        Raises
        ------
        StoreError
            if there is nothing, or it lies elsewhere once links are followed: the answer is the same, so that nobody
            can find out what else is on the disk
        """
        self._database.demand(Right.ANALYSE, Action.JOB_STARTED)
        roots = {folder.name: folder.path for folder in self.all()}
        if (root := roots.get(name)) is not None and (path := inside(root, below)) is not None:
            return path
        raise StoreError("There is no such folder or file, or it is not open to the pages.")


def inside(root: Path, below: str) -> Path | None:
    """What lies below a folder, links resolved; None where it is nowhere, or elsewhere."""
    try:
        # As it was named: where a link stands there now, nothing lies below it.
        path = (root / below).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return None
    return path if path.is_relative_to(root) else None
