"""Jobs of files, folders and ZIPs: begun, taken up again, and done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from ichscope.access import acting_as
from ichscope.batch.discovery import Fetch
from ichscope.batch.driver import BatchError, Driver, Made, Progress
from ichscope.batch.work_items import Asked, Place, to_text
from ichscope.batch.workers import WorkerConfig
from ichscope.models.card import ModelError
from ichscope.store import Job, Store, StoreDamagedError, StoreError

# Series on their way at one time: what is in memory is at most these, each some 20 to 50 MB.
AHEAD = 8
# The option of a job that names the archive of its studies.
ARCHIVE = "archive"


def run(
    sources: Iterable[Path],
    executor: Executor,
    store: Store,
    setup: WorkerConfig | None = None,
    *,
    pictures_as_series: bool = False,
    ahead: int = AHEAD,
    progress: Progress | None = None,
) -> Job:
    """Analyse everything in files, folders and ZIPs on any executor, and record it in the store.

    Whatever of it the store knows by its content is not analysed again. A run that was killed is taken up.

    Parameters
    ----------
    executor : threads, processes, or `dask.distributed.Client(...).get_executor()`; the rows are the same
    ahead : series on their way at one time; some more than there are workers
    progress : called about twice a second

    Raises
    ------
    BatchError
        if the store, the disk or the workers are gone
    StoreDamagedError
        if the store is there and cannot be used any more
    """
    try:
        job = begin(store, sources, pictures_as_series=pictures_as_series)
    except StoreDamagedError:
        raise
    except StoreError as error:
        raise BatchError(str(error)) from None
    return work(store, job, executor, setup, ahead=ahead, progress=progress)


def begin(
    store: Store,
    sources: Iterable[Path],
    kind: str = "folder",
    title: str = "",
    *,
    pictures_as_series: bool = False,
    options: Mapping[str, Any] | None = None,
    inside: Sequence[Path] = (),
) -> int:
    """Make a job of files, folders and ZIPs, or take up the unfinished one of the same; `work` does it.

    Parameters
    ----------
    kind, title : as for Store.start_job
    options : "synthetic": the studies are no patients'; "known only": leave out what the store does not know
    inside : folders below which the targets of links must lie; none where they may lie anywhere

    Raises
    ------
    StoreError
        if the store cannot be written
    """
    paths = sorted({path.resolve() for path in sources})
    # Paths may name a patient: the job holds what stands for them.
    mark = store.keys.study("\0".join([kind, str(pictures_as_series), *map(str, paths)]))
    # A new stamp: what has come since the job was begun is found, too.
    stamp = datetime.now(UTC).isoformat()
    locators = [to_text(Place(path, stamp, pictures_as_series, tuple(inside))) for path in paths]
    job = take_up(store, mark)
    if job is None:
        places = "1 file or folder" if len(paths) == 1 else f"{len(paths)} files or folders"
        return store.jobs.start(kind, title or places, {**(options or {}), "inputs": mark}, locators)
    store.jobs.add_items(job, locators)
    store.jobs.mark_listed(job)
    return job


def begin_asked(store: Store, archive: str, studies: Iterable[str], options: Mapping[str, Any] | None = None) -> int:
    """Make a job of studies of an archive; `work` does it, if it is told how to fetch them.

    Parameters
    ----------
    archive : its name in the file of settings
    studies : their UIDs, which the store keeps encrypted until each is done

    Raises
    ------
    StoreError
        if the store cannot be written
    """
    locators = [to_text(Asked(archive, study)) for study in studies]
    return store.jobs.start("archive", f"Archive {archive}", {**(options or {}), ARCHIVE: archive}, locators)


def take_up(store: Store, mark: str) -> int | None:
    """Find the unfinished job of the same inputs."""
    return next((job.id for job in store.jobs.recent(limit=1, open_only=True, inputs=mark)), None)


def work(
    store: Store,
    job: int,
    executor: Executor,
    setup: WorkerConfig | None = None,
    *,
    ahead: int = AHEAD,
    progress: Progress | None = None,
    stop: Event | None = None,
    wait_for_others: bool = True,
    made: Made | None = None,
    fetch: Fetch | None = None,
) -> Job:
    """Do the items of a job until none is left, or `stop` is set.

    Parameters
    ----------
    wait_for_others : whether to stay until other processes, alive or dead, have let go of what they took on
    made : called with the files and the result of each series before it is recorded, perhaps twice, in a thread
    fetch : gives the folder of a study of an archive, in a thread
    others : as for `run`

    Raises
    ------
    BatchError
        if the store, the disk or the workers are gone
    StoreDamagedError
        if the store is there and cannot be used any more
    """
    try:
        with acting_as(store.jobs.get(job).actor):
            driver = Driver(store, job, executor, setup or WorkerConfig(), ahead, progress, made, fetch)
            driver.run(stop or Event(), wait_for_others)
        store.database.tidy()
        return store.jobs.get(job)
    except StoreDamagedError:
        raise
    except (StoreError, ModelError) as error:
        raise BatchError(str(error)) from None
