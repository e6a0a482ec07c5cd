"""The background work of the server process: one thread that does the jobs of the pages, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from dashboard.deliveries import Deliveries
from dashboard.upload_queue import UploadQueue
from ichscope import batch
from ichscope.access import Actor, Right, Role, Via, acting_as
from ichscope.access.events import Action
from ichscope.batch import ARCHIVE, BatchError, Throughput, WorkerConfig, demo
from ichscope.batch.discovery import Fetch
from ichscope.models.card import ModelError
from ichscope.settings_file import SettingsError
from ichscope.store import Job, Store, StoreDamagedError, StoreError
from ichscope.store.jobs import CONTENT, LEASE

# How long a thread waits that could not do what is left, before it looks again.
_AGAIN_S = 5.0
_AFTER_FAILURE_S = 30.0
_TICK_S = 0.5
_MOST_JOBS = 1_000
# The option of a job that names its upload; older versions called it a ticket.
_UPLOAD_ID = "upload_id"
_UPLOAD_ID_BEFORE = "ticket"
# An upload that has failed series is kept so long for another try.
_KEEP_FAILED = timedelta(days=7)
_ORPHAN = timedelta(minutes=1)
# Takes up what an ended server left of an upload, whose user is not known any more.
_SERVER = Actor("this server", Role.SERVICE, Via.JOB, frozenset({Right.ANALYSE}))


@dataclass(frozen=True)
class OpenJob:
    """An open job as the pages show it.

    here : this server works on it, or will
    stalled : nobody seems to work on it: its program was ended, and nothing takes it up by itself
    """

    job: Job
    throughput: Throughput
    here: bool
    stalled: bool


class Background:
    """Jobs of the pages, done by one thread for as long as there are any.

    It takes up what a killed server left (jobs whose upload is in this home), and does not touch the jobs of other
    programs and servers unless it is asked to.

    problem : why it does not get on, in words; "" where all is well
    damaged : whether that is a database that needs its backup
    making : (made, all) phantoms of a demonstration, until it is over
    """

    def __init__(self, store: Store, config: WorkerConfig | None = None) -> None:
        self.store, self._config = store, config
        self.uploads = UploadQueue(store.volumes.parent)
        self.problem, self.damaged = "", False
        self.making: tuple[int, int] | None = None
        self._asked: set[int] = set()
        self._demonstrate: Actor | None = None
        self._throughputs: dict[int, Throughput] = {}
        self._lock, self._one_at_a_time = threading.Lock(), threading.Lock()
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._deliveries = Deliveries(store, self._closed)

    # ---- for the pages -------------------------------------------------------------------------------------

    def upload(
        self,
        files: Iterable[tuple[str, BinaryIO | Path]],
        title: str,
        pictures_as_series: bool = False,
        content: str = "",
    ) -> int:
        """Put named files on disk and have them analysed; gives the job.

        Parameters
        ----------
        content : stands for what is in the files. The same again is the same job, whose failed studies are tried again

        Raises
        ------
        OSError
            if there is no room for them
        StoreError
            if the store cannot be written; then the files are not kept either
        """
        if not content:
            return self._take(files, title, pictures_as_series)
        with self._one_at_a_time:  # of two that come at once, one begins the job
            known = self._known(content)
            return self._take(files, title, pictures_as_series, content) if known is None else known

    def _take(
        self,
        files: Iterable[tuple[str, BinaryIO | Path]],
        title: str,
        pictures_as_series: bool,
        content: str = "",
    ) -> int:
        upload_id = self.uploads.keep(files)
        folder = self.uploads.folder(upload_id)
        return self._begin(upload_id, folder, "upload", title, pictures_as_series, content=content)

    def _known(self, content: str) -> int | None:
        """Find the job that has had this content, where it has done it or can still do so; set it to work again."""
        for job in self.store.jobs.recent(1, content=content):
            if job.finished_at and not job.failed:
                return job.id
            if self.uploads.holds(_upload_id(job)):
                if job.failed:
                    self.store.jobs.retry(job.id)
                self.ask(job.id)
                return job.id
        return None

    def folder(self, path: Path, title: str, pictures_as_series: bool = False, inside: Sequence[Path] = ()) -> int:
        """Have a folder, file or ZIP on the server analysed; gives the job.

        inside : as for `batch.begin`

        Raises
        ------
        OSError, StoreError
            as `upload`
        """
        return self._begin(self.uploads.keep(()), path, "folder", title, pictures_as_series, inside)

    def _begin(
        self,
        upload_id: str,
        path: Path,
        kind: str,
        title: str,
        pictures_as_series: bool,
        inside: Sequence[Path] = (),
        content: str = "",
    ) -> int:
        kept = None
        try:
            job = batch.begin(
                *(self.store, [path], kind, title),
                pictures_as_series=pictures_as_series,
                options={_UPLOAD_ID: upload_id} | ({CONTENT: content} if content else {}),
                inside=inside,
            )
            kept = _upload_id(self.store.jobs.get(job))
        finally:
            if kept != upload_id:  # an unfinished job of the same folder was taken up
                self.uploads.remove(upload_id)
        self.ask(job)
        return job

    def fetch(self, archive: str, studies: Iterable[str]) -> int:
        """Have studies of an archive fetched and analysed; gives the job.

        Parameters
        ----------
        archive : its name in the file of settings
        studies : their UIDs

        Raises
        ------
        OSError, StoreError
            as `upload`
        """
        upload_id = self.uploads.keep(())
        try:
            job = batch.begin_asked(self.store, archive, studies, {_UPLOAD_ID: upload_id})
        except StoreError:
            self.uploads.remove(upload_id)
            raise
        self.ask(job)
        return job

    def analyse_series(self, series: int) -> int:
        """Have a stored series analysed that no model has judged; gives the job.

        Raises
        ------
        StoreError
            if the store cannot be written
        """
        job = batch.begin_analysis(self.store, series)
        self.ask(job)
        return job

    def demonstrate(self) -> None:
        """Have the demonstration made and analysed.

        Raises
        ------
        StoreError
            if whoever acts may not analyse
        """
        actor = self.store.database.demand(Right.ANALYSE, Action.JOB_STARTED)
        self._demonstrate, self.making = actor.at_work(), (0, demo.STUDIES)
        self.start()

    def ask(self, job: int) -> None:
        """Have a job done here, whoever began it."""
        if self.store.jobs.get(job).kind == "demo":
            self.demonstrate()
        else:
            self._asked.add(job)
            self.start()

    def start(self) -> None:
        """Look for work; without any, the thread ends again."""
        with self._lock:
            self._wake.set()
            if self._thread is None and not self._closed.is_set():
                # No daemon: what is on its way comes to its end when the server is asked to stop.
                self._thread = threading.Thread(target=self._run, name="ichscope-ingest", daemon=False)
                self._thread.start()

    def look(self) -> list[OpenJob]:
        """Open jobs with their throughput, the oldest first.

        Raises
        ------
        StoreError
            if the store cannot be read
        """
        jobs = [job for job in self.store.jobs.recent(_MOST_JOBS, open_only=True) if _unfinished(job)]
        with self._lock:
            self._throughputs = {job.id: self._throughputs.get(job.id, Throughput()) for job in jobs}
            return [self._seen(job) for job in reversed(jobs)]

    def close(self) -> None:
        """End the thread; what is on its way comes to its end, the rest waits for the next server."""
        self._closed.set()
        self._wake.set()
        if (thread := self._thread) is not None:
            thread.join()
        self._deliveries.close()

    def _seen(self, job: Job) -> OpenJob:
        throughput = self._throughputs[job.id]
        throughput.see(job)
        here = job.id in self._asked or self.uploads.holds(_upload_id(job))
        here = here or (job.kind == "demo" and self._demonstrate is not None)
        moved = max(filter(None, (job.created_at, job.first_at, job.last_at)))
        return OpenJob(job, throughput, here, not here and datetime.now(UTC) - moved > LEASE)

    # ---- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with acting_as(_SERVER):
                while self._wanted():
                    self._rest(self._attempt())
        except Exception as error:
            self.problem = f"Work has stopped ({type(error).__name__}); see the server's log."
            raise
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _wanted(self) -> bool:
        """Tell whether there may be work; where not, the next one to start makes another thread."""
        with self._lock:
            if self._wake.is_set() and not self._ended():
                self._wake.clear()
                return True
            self._thread = None
            return False

    def _attempt(self) -> float:
        """Do what there is to do; gives the seconds to wait before the next look, 0 where nothing is left."""
        try:
            left = self._do_all()
        except (BatchError, StoreError, ModelError, SettingsError) as error:
            self.problem, self.damaged = str(error), isinstance(error, StoreDamagedError)
        except OSError as error:
            self.problem, self.damaged = f"Files cannot be written: {error.strerror}.", False
        except RuntimeError:
            # An interpreter that ends lets no thread begin anything.
            if not self._ended():
                raise
            return 0.0
        else:
            self.problem = ""
            return _AGAIN_S if left else 0.0
        return _AFTER_FAILURE_S

    def _rest(self, seconds: float) -> None:
        if not seconds:
            return
        for _ in range(int(seconds / _TICK_S)):
            if self._wake.wait(_TICK_S) or self._ended():
                break
        self._wake.set()

    def _ended(self) -> bool:
        return self._closed.is_set() or not threading.main_thread().is_alive()

    def _do_all(self) -> bool:
        """Do what there is to do; tell whether something of it is left, which other programs may be working on."""
        self._tidy()
        if self._demonstrate:
            with acting_as(self._demonstrate):
                self._do_demo()
        self._deliveries.begin()
        with self._workers() as workers:
            for job in self._mine():
                delivery = self._deliveries.of(job)
                batch.work(
                    *(self.store, job.id, workers, self._config),
                    progress=self._tick,
                    stop=self._closed,
                    wait_for_others=False,
                    made=delivery.put if delivery.wanted else None,
                    fetch=self._fetch_of(job),
                )
                self._asked.discard(job.id)
        self._tidy()
        return bool(self._mine())

    def _fetch_of(self, job: Job) -> Fetch | None:
        """Give what fetches the studies of a job, where they are in an archive."""
        if not job.options.get(ARCHIVE):
            return None
        from ichscope.pacs.fetched import Fetcher  # takes seconds to load

        return Fetcher(self.store, job.id, self.uploads.folder(_upload_id(job)), self._closed)

    def _mine(self) -> list[Job]:
        """Give the jobs that are to be done here, the oldest first."""
        jobs = reversed(self.store.jobs.recent(_MOST_JOBS, open_only=True))
        return [job for job in jobs if job.id in self._asked or self.uploads.holds(_upload_id(job))]

    def _do_demo(self) -> None:
        """Make the demonstration; where that fails it is not tried again by itself, for it takes long."""
        try:
            # Before heads are painted that no model reads.
            batch.workers.detectors(self._config or WorkerConfig())
            with self._workers() as workers:
                demo.make(self.store, workers, self._config, painted=self._painted, progress=self._tick)
        finally:
            self._demonstrate, self.making = None, None

    def _painted(self, done: int, total: int) -> None:
        self.making = (done, total)
        if self._ended():
            raise BatchError("The server has ended.")

    def _tick(self, job: Job) -> None:
        if self._ended():
            self._closed.set()
            if job.kind == "demo":
                raise BatchError("The server has ended.")

    @contextmanager
    def _workers(self) -> Iterator[Executor]:
        pool = batch.executor()
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    # ---- uploads on disk -----------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Remove the files of jobs that are done, and begin the job of an upload whose server was killed before."""
        self.store.outgoing.forget_reports()
        upload_ids = list(self.uploads.upload_ids())
        # Programs hand over more than one could look through: these alone are asked for.
        found = (self.store.jobs.marked(option, upload_ids) for option in (_UPLOAD_ID_BEFORE, _UPLOAD_ID))
        jobs = {_upload_id(job): job for some in found for job in some}
        for upload_id in upload_ids:
            job, age = jobs.get(upload_id), self.uploads.age(upload_id)
            if job is None and age > _ORPHAN:
                self._begin(upload_id, self.uploads.folder(upload_id), "upload", "Upload, taken up again", False)
            elif job is not None and job.finished_at and (not job.failed or (age > _KEEP_FAILED and self._can_go())):
                self.uploads.remove(upload_id)

    def _can_go(self) -> bool:
        """Whether the clock is right that says that an upload is old; where that is in doubt, it stays."""
        return not self.store.trail.doubt_of_clock(datetime.now(UTC) - _KEEP_FAILED)


def _upload_id(job: Job) -> str:
    """Which upload of this home a job reads; "" where it has none."""
    return str(job.options.get(_UPLOAD_ID, job.options.get(_UPLOAD_ID_BEFORE)) or "")


def _unfinished(job: Job) -> bool:
    """Whether something of a job is left; a demonstration has none waiting while its next study is painted."""
    return bool(job.pending or job.running) or (job.kind == "demo" and not job.listed)
