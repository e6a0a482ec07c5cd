"""Searches of archives for somebody, who is in the audit trail with it; what was looked for is not."""

from __future__ import annotations

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.pacs.archives import Archive, FoundStudy, Query
from ichscope.store import Store


def search(store: Store, archive: Archive, query: Query, most: int) -> list[FoundStudy]:
    """Studies that fit a query, at most so many; the audit trail says by which fields they were looked for.

    Raises
    ------
    PacsError
        if the archive cannot be asked
    RefusedError
        if whoever asks may not analyse
    StoreError
        if the audit trail cannot be written: then nothing is given
    """
    name = archive.server.name
    store.database.demand(Right.ANALYSE, Action.ARCHIVE_SEARCHED, Kind.ARCHIVE, name)
    found: list[FoundStudy] | None = None
    try:
        found = archive.studies(query, most)
        return found
    finally:
        by, number = ", ".join(query.keys()), None if found is None else len(found)
        store.trail.record(Right.ANALYSE, Action.ARCHIVE_SEARCHED, Kind.ARCHIVE, name, by=by, found=number)
