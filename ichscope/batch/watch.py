"""Where scans arrive, a folder or an archive: a study is taken once it has been quiet for a while."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

from ichscope.backoff import pause_s
from ichscope.batch import AHEAD, BatchError, WorkerConfig, work
from ichscope.batch.discovery import sources, tasks
from ichscope.batch.driver import Made, Progress
from ichscope.batch.work_items import Files, Place, Refused, Task, from_text, path_of, to_text
from ichscope.errors import IchscopeError
from ichscope.imaging.intake import collect, natural_order, walk
from ichscope.store import Store

QUIET_S = 30.0
_PAUSE_S = 1.0
_AGAIN_S = 30.0
_LONGEST_S = 300.0
_PART_NAMES = (".part", ".tmp", ".partial", ".filepart", ".crdownload")

Say = Callable[[str], object]


class Arrivals(Protocol):
    """Where studies arrive."""

    @property
    def mark(self) -> str:
        """What tells this place from all others."""
        ...

    @property
    def title(self) -> str:
        """Of its job, for people; names no patient."""
        ...

    def take(self, queue: Queue) -> None:
        """Queue what has arrived and is quiet; whatever is raised, the rest comes again.

        Raises
        ------
        IchscopeError, OSError
            if the place cannot be looked into, or the store cannot be written
        """
        ...


@dataclass(frozen=True)
class Queue:
    """The items of the job of one place.

    stop : set when no more is wanted
    """

    store: Store
    job: int
    stop: Event = field(default_factory=Event)

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue tasks; what the job has already is left as it is."""
        self.store.jobs.add_items(self.job, map(to_text, tasks))

    def knows(self, task: Task) -> bool:
        """Whether the job has or had a task."""
        return self.store.jobs.knows(self.job, to_text(task))

    def open(self) -> list[Task]:
        """What is still to do, or has failed and may be tried again."""
        return list(map(from_text, self.store.jobs.open_locators(self.job)))


def watch(
    arrivals: Arrivals,
    store: Store,
    executor: Executor,
    setup: WorkerConfig | None = None,
    *,
    ahead: int = AHEAD,
    progress: Progress | None = None,
    say: Say = lambda text: None,
    stop: Event | None = None,
    made: Made | None = None,
) -> None:
    """Analyse what arrives until `stop` is set; the place, disk or database may go and come back meanwhile.

    Parameters
    ----------
    say : called with what went wrong, in words
    made : as for `batch.work`
    others : as for `batch.run`

    Raises
    ------
    StoreError
        if the store is not there at the beginning
    """
    stop = stop or Event()
    job = _job(store, arrivals)
    looking = Thread(target=_look, args=(arrivals, Queue(store, job, stop), say), daemon=True)
    looking.start()
    try:
        while not stop.is_set():
            try:
                work(store, job, executor, setup, ahead=ahead, progress=progress, stop=stop, made=made)
                stop.wait(_PAUSE_S)
            except BatchError as error:
                say(f"{error} Trying again in {_AGAIN_S:.0f} seconds.")
                stop.wait(_AGAIN_S)
    finally:
        stop.set()
        looking.join()
    store.jobs.mark_listed(job)


def _job(store: Store, arrivals: Arrivals) -> int:
    """Take up the job of an earlier watch of the place: it knows what was taken."""
    mark = store.keys.study(f"watch\0{arrivals.mark}")
    job = next((job.id for job in store.jobs.recent(limit=1, inputs=mark)), None)
    if job is None:
        return store.jobs.start("watch", arrivals.title, {"inputs": mark})
    store.jobs.reopen(job)
    return job


def _look(arrivals: Arrivals, queue: Queue, say: Say) -> None:
    failures = 0
    while not queue.stop.is_set():
        began = time.monotonic()
        told = _problem(arrivals, queue)
        if told and not queue.stop.is_set():
            say(told)
        failures = failures + 1 if told else 0
        # A slow file system is not asked all the time; what is away, less and less often.
        busy = 10 * (time.monotonic() - began)
        queue.stop.wait(pause_s(failures, 2 * _PAUSE_S, _LONGEST_S) if failures else max(_PAUSE_S, busy))


def _problem(arrivals: Arrivals, queue: Queue) -> str:
    """Look once; say what went wrong, if something did."""
    try:
        arrivals.take(queue)
    except IchscopeError as error:
        return str(error)
    except OSError as error:
        return f"The folder cannot be read: {error.strerror}."
    except Exception as error:  # noqa: BLE001 - were the thread to end, the watch would go on and take nothing
        return f"Looking for what has arrived failed ({type(error).__name__})."
    return ""


@dataclass(frozen=True)
class _Since:
    """A stamp and when it was first seen."""

    stamp: str
    at: float


class Inbox:
    """What has arrived in a folder and is quiet.

    A subfolder or a ZIP is taken as a whole. Other files directly in the folder are told apart by study, and each
    study is taken when all its files are quiet. What changes after that is taken again.

    Parameters
    ----------
    quiet_s : seconds without any change
    clock : seconds that only go forward
    """

    def __init__(self, folder: Path, quiet_s: float = QUIET_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder.resolve()
        self._quiet_s, self._clock = quiet_s, clock
        self._since: dict[Path, _Since] = {}
        self._handled: dict[Path, str] = {}

    @property
    def mark(self) -> str:
        """The folder itself."""
        return str(self.folder)

    @property
    def title(self) -> str:
        """The job's."""
        return "Watched folder"

    def take(self, queue: Queue) -> None:
        """Queue what has become quiet since the last call; what could not be queued comes again."""
        stamps = dict(self._stamps())
        self._since = {path: self._first_seen(path, stamp) for path, stamp in stamps.items()}
        self._handled = {path: stamp for path, stamp in self._handled.items() if path in stamps}
        quiet = {path for path, since in self._since.items() if self._clock() - since.at >= self._quiet_s}
        fresh = [path for path in quiet if self._handled.get(path) != stamps[path]]
        arrived: list[Task] = [Place(path, stamps[path]) for path in fresh if _is_whole(path)]
        if any(not _is_whole(path) for path in fresh):
            arrived += self._loose([path for path in stamps if not _is_whole(path)], quiet, set(fresh))
        if arrived:
            queue.add(arrived)
        self._handled |= {path: stamps[path] for path in fresh}

    def taken(self) -> list[Path]:
        """What was taken, as far as the last look has found it there and no different."""
        return list(self._handled)

    def unchanged(self, path: Path) -> bool:
        """Whether something that was taken is still what it was then.

        Raises
        ------
        OSError
            if it cannot be looked at
        """
        return _stamp(path) == self._handled.get(path)

    def _stamps(self) -> Iterator[tuple[Path, str]]:
        for path in sorted(self.folder.iterdir(), key=lambda path: natural_order(path.name)):
            if path.name.startswith(".") or path.is_symlink() or path.name.lower().endswith(_PART_NAMES):
                continue
            try:
                if stamp := _stamp(path):
                    yield path, stamp
            except FileNotFoundError:  # renamed or removed meanwhile: not quiet
                continue

    def _first_seen(self, path: Path, stamp: str) -> _Since:
        known = self._since.get(path)
        return known if known and known.stamp == stamp else _Since(stamp, self._clock())

    def _loose(self, files: list[Path], quiet: set[Path], fresh: set[Path]) -> list[Task]:
        """Sort all loose files, since one that comes late belongs to a study with those that were taken before."""
        arrived: list[Task] = []
        for task in tasks(collect(sources(self.folder, files), stray_pictures=False), self.folder):
            paths = {self.folder / Path(task.name).name} if isinstance(task, Refused) else set()
            if isinstance(task, Files):
                paths = {path_of(source) for source in task.sources}
            # Of too many files none is taken, and the folder's one row says so.
            too_many = isinstance(task, Refused) and task.name == self.folder.name
            if too_many or (paths <= quiet and paths & fresh):
                arrived.append(task)
        return arrived


def _is_whole(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() == ".zip"


def _stamp(path: Path) -> str:
    """What changes when anything in a folder changes, or a file; "" for an empty folder."""
    files = list(walk(path)) if path.is_dir() else [path]
    return _hash(f"{file.relative_to(path)} {(stat := file.stat()).st_size} {stat.st_mtime_ns}" for file in files)


def _hash(parts: Iterable[str]) -> str:
    text = "\n".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16] if text else ""
