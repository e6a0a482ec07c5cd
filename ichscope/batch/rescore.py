"""The models of today for studies of yesterday."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ichscope.batch.ingest import take_up
from ichscope.batch.work_items import Kept, to_text
from ichscope.batch.workers import WorkerConfig
from ichscope.store import Store


def begin_rescore(store: Store, setup: WorkerConfig) -> int:
    """Make a job of the series whose volume is kept and that lack a result of these models' versions.

    The unfinished one of the same versions is taken up.

    `work` does it. Studies without a volume need their files again: begin(..., options={"known only": True}).

    Raises
    ------
    StoreError
        if the store cannot be read or written
    ModelError
        if a model's card cannot be read
    """
    versions = {card.name: card.version for card in setup.cards().values()}
    mark = store.keys.study(f"rescore\0{sorted(versions.items())}")
    job = take_up(store, mark)
    if job is None:
        job = store.jobs.start("rescore", "Models of today for all studies", {"inputs": mark})
    store.jobs.add_items(job, (to_text(Kept(series)) for series in _outdated(store, versions)))
    store.jobs.mark_listed(job)
    return job


def begin_analysis(store: Store, series: int) -> int:
    """Make a job of one series whose volume is kept, that no model has judged yet; `work` does it.

    Raises
    ------
    StoreError
        if the store cannot be read or written
    """
    return store.jobs.start("rescore", "One series on request", locators=[to_text(Kept(series))])


def _outdated(store: Store, versions: Mapping[str, str]) -> Iterator[int]:
    """Page by page, so that no read lasts while items are written."""
    after = 0
    while some := store.results.outdated(versions, after):
        yield from some
        after = some[-1]
