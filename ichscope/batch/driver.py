"""The loop that takes items, lets workers compute and writes what comes back; in memory are only those on their way."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from ichscope.analyse import MODEL_FAILED, UNEXPECTED, unreadable, with_models
from ichscope.batch import discovery, workers
from ichscope.batch.discovery import Fetch, PlaceTasks, Ready, StoppedError, Stored
from ichscope.batch.work_items import Files, Refused, to_text
from ichscope.batch.workers import WorkerConfig
from ichscope.errors import IchscopeError
from ichscope.imaging.findings import Status
from ichscope.imaging.intake import Group
from ichscope.imaging.series import Finding
from ichscope.imaging.source import SourceError
from ichscope.models.card import ModelError
from ichscope.results import OTHER_SERIES, ModelResult, SeriesResult
from ichscope.store import Item, Job, Seen, Store, StoreError, ValueUnfitError, volumes

_POLL_S = 0.5
_KEEP_S = 20.0
_TRY_AGAIN = frozenset((MODEL_FAILED, UNEXPECTED))

Progress = Callable[[Job], None]
# What else is to be done with a series and its result, before it is recorded.
Made = Callable[[Group, SeriesResult], object]


class BatchError(IchscopeError):
    """The batch cannot go on; the message says why. What was recorded stays, and the rest can be taken up later."""


@dataclass(frozen=True)
class _Left:
    """What is left to do of a study.

    groups : its series that are still to be looked at, the best first
    judged : whether a model has judged one of those before: the others are then read only
    study : its number in the store, as soon as one of its series is there
    """

    groups: tuple[Group, ...]
    judged: bool = False
    study: int | None = None


class Driver:
    """One process' work on one job. Workers compute, two threads read and write files and
    list what is in places, and only `run` writes all other rows.
    """

    def __init__(
        self,
        store: Store,
        job: int,
        executor: Executor,
        config: WorkerConfig,
        ahead: int,
        progress: Progress | None,
        made: Made | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._store, self._executor, self._config, self._ahead = store, executor, config, ahead
        self._progress, self._made, self._fetch = progress, made, fetch
        self._job = store.jobs.get(job)
        self._files = ThreadPoolExecutor(2, "ichscope-files")
        # An archive may take minutes, in which what has come is gone on with.
        self._starting = self._files if fetch is None else ThreadPoolExecutor(2, "ichscope-fetch")
        self._ended = Event()
        self._suspects = False
        self._doing: dict[Future[Any], tuple[Item, Callable[[Any], None]]] = {}
        self._kept_at = self._told_at = time.monotonic()

    def run(self, stop: Event, wait_for_others: bool) -> None:
        """Do items until none is left, or until `stop` is set and those on their way are done.

        What another process has taken on comes to its end there or, where that process has died, to this one.
        """
        try:
            while True:
                if not stop.is_set():
                    self._take()
                if not self._doing:
                    if stop.is_set() or not wait_for_others or not self._store.jobs.get(self._job.id).running:
                        return
                    stop.wait(_POLL_S)
                finished, _ = wait(self._doing, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._go_on(future)
                self._tell()
        finally:
            self._give_back()

    def _take(self) -> None:
        free = self._ahead - len(self._doing)
        for item in self._store.jobs.claim(self._job.id, free) if free > 0 else ():
            started = self._starting.submit(discovery.start, self._store, item.locator, self._ended, self._fetch)
            self._later(item, started, self._started)

    def _later(self, item: Item, future: Future[Any], then: Callable[..., None], *known: Any) -> None:
        self._doing[future] = (item, partial(then, item, *known))

    def _go_on(self, future: Future[Any]) -> None:
        """Do the next step of an item; it counts as under way until that has begun."""
        item, then = self._doing[future]
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, BrokenExecutor):
            self._suspects = isinstance(error, BrokenExecutor)
            raise BatchError("The workers are gone.")
        if isinstance(error, (BatchError, StoreError, ModelError)):
            raise error
        if isinstance(error, StoppedError):  # whoever comes next begins it anew
            self._store.jobs.release(item.id)
            del self._doing[future]
            return
        if error is None:
            try:
                then(future.result())
            except BrokenExecutor:
                raise BatchError("The workers are gone.") from None
            except (ValueUnfitError, ValueError) as refused:
                error = refused
        if error is not None:
            # What another error says may hold values of a patient's file.
            is_ours = isinstance(error, (SourceError, ValueUnfitError))
            self._store.jobs.fail(item.id, str(error) if is_ours else type(error).__name__)
        del self._doing[future]

    def _started(self, item: Item, started: discovery.Started) -> None:
        match started:
            case PlaceTasks():
                added = self._files.submit(self._store.jobs.add_items, item.job, map(to_text, started))
                self._later(item, added, self._listed, started)
            case Refused():
                self._record_refused(item, started)
            case Stored():
                scored = self._executor.submit(workers.score, self._config, started.seen)
                self._later(item, scored, self._scored, started)
            case Files():
                self._prepare(item, _Left(started.groups))

    def _listed(self, item: Item, listed: PlaceTasks, added: int) -> None:
        """A place is done with when all that is in it is an item; before, it is looked at again."""
        self._store.jobs.drop(item.id, listed.left_out)

    def _prepare(self, item: Item, left: _Left) -> None:
        """Begin with the next series of a study: hash its files."""
        self._later(item, self._files.submit(discovery.prepare, left.groups[0]), self._analyse, left)

    def _analyse(self, item: Item, left: _Left, ready: Ready) -> None:
        seen = self._store.results.seen(ready.content)
        if seen and self._known(seen, left):
            self._go_to_next(item, left, judged=bool(seen.models), study=seen.study)
        elif seen is None and self._job.options.get("known only"):
            self._go_to_next(item, left, judged=False, study=left.study)
        else:
            future = self._executor.submit(workers.analyse, self._config, ready.group, left.judged)
            self._later(item, future, self._analysed, left, ready)

    def _known(self, seen: Seen, left: _Left) -> bool:
        """Whether these models have said all they can: a result each, or the series is unfit, or not to be judged."""
        if seen.status == Status.NOT_ANALYSED:
            return not _TRY_AGAIN & set(seen.findings) and (left.judged or OTHER_SERIES not in seen.findings)
        return all(card.version in seen.models.get(card.name, ()) for card in self._config.cards().values())

    def _go_to_next(self, item: Item, left: _Left, *, judged: bool, study: int | None) -> None:
        """Go on with the study's next series, or end its item."""
        left = _Left(left.groups[1:], left.judged or judged, study)
        if left.groups:
            self._prepare(item, left)
        elif study is None:
            self._store.jobs.drop(item.id)
        else:
            self._store.jobs.done(item.id, study)

    def _analysed(self, item: Item, left: _Left, ready: Ready, result: SeriesResult) -> None:
        if self._made is None and not self._config.voxels:
            self._record(item, left, ready, result, None)
        else:
            future = self._files.submit(self._keep, ready, result)
            self._later(item, future, self._record, left, ready, result)

    def _keep(self, ready: Ready, result: SeriesResult) -> str | None:
        """Do what else is wanted, and keep the voxels where they are kept."""
        if self._made is not None:
            self._made(ready.group, result)
        return save_volume(self._store.volumes, ready.content, result) if self._config.voxels else None

    def _record(self, item: Item, left: _Left, ready: Ready, result: SeriesResult, volume: str | None) -> None:
        failure = _failure(result.findings)
        names = [source.name for source in ready.group.sources]
        is_last = len(left.groups) == 1
        study = self._store.results.record(
            result,
            ready.content,
            files=names,
            patient_id=discovery.patient_id(ready.group, result),
            volume=volume,
            arrived_at=max(self._job.created_at, min(ready.changed_at or self._job.created_at, datetime.now(UTC))),
            synthetic=bool(self._job.options.get("synthetic")),
            item=item.id if is_last and not failure else None,
        )
        if failure:
            self._store.jobs.fail(item.id, failure, names)
        elif not is_last:
            self._go_to_next(item, left, judged=bool(result.models), study=study)

    def _record_refused(self, item: Item, task: Refused) -> None:
        result = unreadable("", "", task.name, task.reason)
        content = discovery.refused_content(task)
        self._store.results.record(result, content, files=[task.name], arrived_at=self._job.created_at, item=item.id)

    def _scored(self, item: Item, kept: Stored, scored: tuple[dict[str, ModelResult], list[Finding]]) -> None:
        models, failures = scored
        if failure := _failure(failures):
            self._store.jobs.fail(item.id, failure)
            return
        self._store.results.rescore(kept.series, with_models(kept.result, models), item=item.id)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._kept_at >= _KEEP_S:
            self._store.jobs.renew([item.id for item, _ in self._doing.values()])
            self._kept_at = now
        if self._progress and now - self._told_at >= _POLL_S:
            self._progress(self._store.jobs.get(self._job.id))
            self._told_at = now

    def _give_back(self) -> None:
        """Leave what was not finished to whoever comes next; where that cannot be written, its lease ends by itself.

        Where a worker has died, each item may be what it died of.
        """
        self._ended.set()
        for future in self._doing:
            future.cancel()
        for threads in (self._files, self._starting):
            threads.shutdown(wait=False, cancel_futures=True)
        with suppress(StoreError):
            for item, _ in self._doing.values():
                (self._store.jobs.abandon if self._suspects else self._store.jobs.release)(item.id)


def save_volume(root: Path, content: str, result: SeriesResult) -> str | None:
    """Keep the voxels of a result.

    Raises
    ------
    BatchError
        if there is no room for them
    """
    try:
        return volumes.save(root, content, result)
    except OSError as error:
        raise BatchError(f"Volumes cannot be written: {error.strerror}.") from None


def _failure(findings: tuple[Finding, ...] | list[Finding]) -> str:
    """Why a model or the program failed, or "": such a study has its row, and its item can be tried again."""
    return next((finding.text for finding in findings if finding.code in _TRY_AGAIN), "")
