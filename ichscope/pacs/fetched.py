"""Series of an archive as folders below the home, for as long as they are needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from ichscope.batch.watch import Queue
from ichscope.batch.work_items import Files, Place, Refused, Task, path_of
from ichscope.home import home, make
from ichscope.pacs.archives import Archive, FoundSeries, FoundStudy
from ichscope.pacs.servers import PacsError
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
            series = [one for one in archive.series(study.uid) if one.modality == "CT"]
            if not series:
                raise PacsError(f"{archive.server.name}: a study has no CT series")
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
