"""Series of an archive as folders below the home, for as long as they are needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock

from ichscope.batch.discovery import StoppedError
from ichscope.batch.watch import Queue
from ichscope.batch.work_items import Asked, Files, Place, Refused, Task, path_of
from ichscope.home import home, make
from ichscope.imaging.source import SourceError
from ichscope.pacs.archives import Archive, FoundSeries, FoundStudy
from ichscope.pacs.opening import opened
from ichscope.pacs.servers import PacsError
from ichscope.settings_file import SettingsError
from ichscope.store import Store
from ichscope.store.pseudonymiser import Pseudonymiser

_FOLDER = "archive"
_ASKED = "asked"


def folder_of(archive: Archive) -> Path:
    """Where what comes from an archive lies until it is analysed."""
    return home() / _FOLDER / archive.server.name


def name_of(archive: Archive, study_uid: str, keys: Pseudonymiser) -> str:
    """What a study is called while it has no other name: nothing of the patient."""
    key = keys.study(f"archive\0{study_uid}")
    return f"{archive.server.name} {key[:8]}"


def fetch(archive: Archive, series: Sequence[FoundSeries], folder: Path, stop: Event | None = None) -> None:
    """Fetch series into a folder, which appears when all of them are there.

    Raises
    ------
    PacsError
        if not all of it has come, or it cannot be written
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        for old in (part, folder):
            shutil.rmtree(old, ignore_errors=True)
        for number, one in enumerate(series, 1):
            if not archive.fetch(one, make(part / f"{number}"), stop):
                raise PacsError(f"{archive.server.name}: a series came without a slice")
        part.rename(folder)
    except OSError as error:
        raise PacsError(f"what {archive.server.name} sends cannot be written: {error.strerror}") from None


def ct_of(archive: Archive, study_uid: str) -> list[FoundSeries]:
    """The CT series of a study.

    Raises
    ------
    PacsError
        if the archive cannot be asked, or the study has none
    """
    if series := [one for one in archive.series(study_uid) if one.modality == "CT"]:
        return series
    raise PacsError(f"{archive.server.name}: a study has no CT series")


class Fetcher:
    """Fetches the studies of a job, each into a folder of its own, which is removed when its study is analysed.

    Parameters
    ----------
    folder : where they lie meanwhile
    stop : ends a transfer; its study is fetched anew by whoever takes up the job
    """

    def __init__(self, store: Store, job: int, folder: Path, stop: Event) -> None:
        self._queue, self._folder = Queue(store, job, stop), folder
        self._given: dict[Asked, Path] = {}
        self._tidying = Lock()

    def __call__(self, asked: Asked) -> Path:
        """Fetch a study.

        Raises
        ------
        SourceError
            if it has not come; the words name archive and cause
        StoppedError
            if it was not waited for
        """
        self._tidy()
        stop = self._queue.stop
        try:
            # A connection for each: one that is late ends all that it has.
            archive = opened(asked.archive)
            folder = self._folder / name_of(archive, asked.study, self._queue.store.keys)
            fetch(archive, ct_of(archive, asked.study), folder, stop)
        except (PacsError, SettingsError) as error:
            if stop.is_set():
                raise StoppedError("the program was stopped") from None
            raise SourceError(str(error)) from None
        self._given[asked] = folder
        return folder

    def _tidy(self) -> None:
        """Remove what is analysed."""
        with self._tidying:
            still = {task for task in self._queue.open() if isinstance(task, Asked)}
            done = [asked for asked in list(self._given) if asked not in still]
            remove_unless_open([self._given.pop(asked) for asked in done], self._queue)


@contextmanager
def fetched(archive: Archive, studies: Sequence[FoundStudy], keys: Pseudonymiser) -> Iterator[list[Path]]:
    """Give the CT of studies as a folder each, which are gone after the block.

    Raises
    ------
    PacsError
        if a study has no CT, or not all of it has come
    """
    folders: list[Path] = []
    try:
        for study in studies:
            series = ct_of(archive, study.uid)
            folders.append(folder_of(archive) / _ASKED / name_of(archive, study.uid, keys))
            fetch(archive, series, folders[-1])
        yield folders
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def not_open(folders: Sequence[Path], queue: Queue) -> list[Path]:
    """Folders of which nothing is still to be analysed, or has failed and may be tried again."""
    needed = {path for task in queue.open() for path in _paths(task)} if folders else set()
    return [folder for folder in folders if not any(path == folder or folder in path.parents for path in needed)]


def remove_unless_open(folders: Sequence[Path], queue: Queue) -> None:
    """Remove folders of which nothing is still to be analysed, or has failed and may be tried again."""
    for folder in not_open(folders, queue):
        shutil.rmtree(folder, ignore_errors=True)


def _paths(task: Task) -> list[Path]:
    match task:
        case Place() | Refused():
            return [task.path]
        case Files():
            return [path_of(source) for source in task.sources]
    return []
