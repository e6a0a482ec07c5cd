"""What commands on many studies have in common: store and workers for as long as they run, and how they end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ichscope.commands.shared import NONE_ANALYSED, SOME_NOT_ANALYSED, STOPPED, fail
from ichscope.imaging.findings import Status

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from threading import Event
    from types import FrameType

    from ichscope.batch import WorkerConfig
    from ichscope.batch.discovery import Fetch
    from ichscope.batch.driver import Made
    from ichscope.store import Job, Store

GOES_ON = "What is done is kept; the same command goes on later."


def setup(names: list[str] | None, folder: Path | None, provider: str) -> WorkerConfig:
    """Say which models to run, from a command's options."""
    from ichscope.batch import WorkerConfig
    from ichscope.models.registry import default_models_folder

    return WorkerConfig((folder or default_models_folder()).resolve(), tuple(names or ()), provider)


@contextmanager
def store(hint: str = GOES_ON) -> Iterator[Store]:
    """Open the store; where it, the disk or the workers fail, the command says so, with the hint, and ends."""
    from ichscope.batch import BatchError
    from ichscope.store import Store, StoreDamagedError, StoreError

    try:
        opened = Store.open()
        try:
            yield opened
        finally:
            opened.close()
    except StoreDamagedError as error:  # the same command will not go on later
        fail(str(error), STOPPED)
    except (BatchError, StoreError) as error:
        fail(f"{error} {hint}".rstrip(), STOPPED)
    except OSError as error:
        fail(f"{error.strerror}. {hint}".rstrip(), STOPPED)


@contextmanager
def executor(setup: WorkerConfig, workers: int | None, dask: str | None) -> Iterator[tuple[Executor, int]]:
    """Give what computes, with how many series may be on their way at one time: each worker's, and the next ones."""
    from ichscope.batch.workers import detectors, usual_workers
    from ichscope.batch.workers import executor as threads
    from ichscope.models.card import ModelError

    if dask:
        with _dask(dask) as executor_and_ahead:
            yield executor_and_ahead
        return
    try:
        detectors(setup)
    except ModelError as error:
        fail(str(error))
    count = workers or usual_workers()
    pool = threads(count)
    try:
        yield pool, count + 2
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _dask(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        import distributed
    except ImportError:
        fail("--dask needs Dask: `pip install 'ichscope[cluster]'`")
    cluster: Any = distributed  # no types of its own
    try:
        client = cluster.Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        fail(f"no Dask scheduler at {address} ({type(error).__name__})")
    with client:
        yield client.get_executor(), 2 * max(1, sum(client.nthreads().values()))


def work(
    store: Store,
    job: int,
    executor: Executor,
    setup: WorkerConfig,
    ahead: int,
    made: Made | None = None,
    fetch: Fetch | None = None,
) -> Job:
    """Do a job, with progress in the terminal; `made` and `fetch` as for `batch.work`."""
    from ichscope.batch import work
    from ichscope.commands import job_progress

    with job_progress.job_progress() as progress:
        return work(store, job, executor, setup, ahead=ahead, progress=progress, made=made, fetch=fetch)


@contextmanager
def delivery(store: Store, stop: Event, came_from: str = "") -> Iterator[Made | None]:
    """Give what hands over results to the archives that get them, which are sent what is due until `stop` is set.

    came_from : the archive that studies come from; "" where they come from elsewhere
    """
    from ichscope.pacs.delivering import Delivery, receivers
    from ichscope.settings_file import SettingsError

    try:
        made = Delivery(store, receivers(came_from), say=lambda text: typer.echo(text, err=True))
    except SettingsError as error:
        fail(str(error))
    made.go_on_sending(stop)
    try:
        yield made.put if made.wanted else None
    finally:
        stop.set()
        made.wait()


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Come to an orderly end on Ctrl+C and when the system asks for it."""

    def handle(number: int, frame: FrameType | None) -> None:
        end()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(store: Store, job: Job) -> None:
    """Say what became of a job, and leave with the exit code that says it, too."""
    raise typer.Exit(tell(store, job))


def tell(store: Store, job: Job) -> int:
    """Say what became of a job; gives the exit code that says it, too."""
    from ichscope.commands import job_progress
    from ichscope.store import Filter

    job_progress.show(job_progress.summary(store, job))
    counts = store.worklist.counts(Filter(job=job.id))
    missed = counts.status.get(Status.NOT_ANALYSED, 0) + job.failed + job.pending + job.running
    analysed = counts.total - counts.status.get(Status.NOT_ANALYSED, 0)
    return NONE_ANALYSED if not analysed else SOME_NOT_ANALYSED if missed else 0
