"""Places into studies: one item a study, one a file that should have been readable, none for strays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from threading import Event
from typing import TypeVar

from ichscope.batch.tree_index import TreeIndex
from ichscope.batch.work_items import Asked, Files, Kept, Place, Refused, Task, from_text, path_of
from ichscope.errors import IchscopeError
from ichscope.imaging.elements import DicomError, parse, short_hash, text
from ichscope.imaging.intake import Group, Intake, Source, collect, walk
from ichscope.imaging.slabs import Seen, seen_by_models
from ichscope.imaging.sorting import sort_files
from ichscope.imaging.source import SourceError
from ichscope.imaging.sources import series_source
from ichscope.results import SeriesResult
from ichscope.store import Store, StoreError, content_hash

# A larger tree is sorted with the help of an index on disk: what is known of its files is not kept in memory.
LARGE_FOLDER = 5_000
MANY_ZIPS = 10
_HEAD_BYTES = 1 << 15
T = TypeVar("T")


@dataclass(frozen=True)
class Ready:
    """A series that may be analysed: its files, the hash of what is in them, and what the store wants to know."""

    group: Group
    content: str
    changed_at: datetime | None


@dataclass(frozen=True, eq=False)
class Stored:
    """A series whose volume is kept, with what its models see."""

    series: int
    result: SeriesResult
    seen: Seen


class PlaceTasks:
    """What is to do in a place: studies, and files that are refused; may be gone through once.

    left_out : how many pictures beside DICOM images, and how many other files, are no images of a series; known when
        the tasks are
    """

    def __init__(self, tasks: Iterable[Task], left_out: Callable[[], tuple[int, int]]) -> None:
        self._tasks, self._left_out = tasks, left_out

    def __iter__(self) -> Iterator[Task]:
        yield from self._tasks

    @property
    def left_out(self) -> tuple[int, int]:
        """Pictures and others."""
        return self._left_out()


Started = PlaceTasks | Files | Refused | Stored
# Fetches a study of an archive, and gives the folder that it lies in then. SourceError says why it has not come,
# StoppedError that it was not waited for.
Fetch = Callable[[Asked], Path]


def start(store: Store, locator: str, stop: Event | None = None, fetch: Fetch | None = None) -> Started:
    """Read from disk, or from an archive, what the next step of an item needs.

    stop : ends a long look into a place
    fetch : where the job is of studies of an archive

    Raises
    ------
    SourceError
        if files, archive or volume are gone
    """
    match task := from_text(locator):
        case Asked():
            return fetched(task, fetch, stop)
        case Place():
            return look(task, store.volumes.parent, stop)
        case Kept():
            return load(store, task.series)
        case Files() | Refused():
            return task


def fetched(asked: Asked, fetch: Fetch | None, stop: Event | None = None) -> PlaceTasks | Files:
    """Fetch a study; what comes as one is gone on with at once, anything else as a place's tasks are.

    Raises
    ------
    SourceError
        if it has not come
    """
    if fetch is None:
        raise SourceError("it is in an archive, and nobody has said how to fetch it")
    listed = look(Place(fetch(asked)), stop=stop)
    match found := list(listed):
        case [Files() as study]:
            return study
    return PlaceTasks(found, lambda: listed.left_out)


def look(place: Place, scratch: Path | None = None, stop: Event | None = None) -> PlaceTasks:
    """Take a place apart into studies, told apart by their headers alone, however many files there are.

    Parameters
    ----------
    scratch : folder for the index of a large tree
    stop : ends the look

    Raises
    ------
    StoppedError
        if it was stopped
    """
    if not place.path.is_dir():
        return _sorted([place.path], place)
    files = walk(place.path, place.inside)
    some = list(islice(files, LARGE_FOLDER + 1))
    if len(some) <= LARGE_FOLDER and sum(map(_is_zip, some)) <= MANY_ZIPS:
        return _sorted(sources(place.path, some), place)
    index = TreeIndex(scratch if scratch and scratch.is_dir() else None)
    tree = sources(place.path, _until(stop, chain(some, files)))
    sort_files(map(series_source, tree), index)
    return PlaceTasks(_indexed(index, place, stop), lambda: (index.pictures_beside, index.others))


def _sorted(inputs: Iterable[Path | Source], place: Place) -> PlaceTasks:
    intake = collect(inputs, place.pictures_as_series)
    return PlaceTasks(tasks(intake, place.path), lambda: intake.left_out)


def _indexed(index: TreeIndex, place: Place, stop: Event | None) -> Iterator[Task]:
    with closing(index):
        for groups in _until(stop, index.studies(place.pictures_as_series)):
            yield _stamped(groups)
        for file in index.refused():
            yield Refused(place.path, file.name, file.reason)


def _until(stop: Event | None, given: Iterable[T]) -> Iterator[T]:
    for each in given:
        if stop is not None and stop.is_set():
            raise StoppedError("the program was stopped")
        yield each


class StoppedError(IchscopeError):
    """A look into a place that was given up."""


def sources(folder: Path, files: Iterable[Path]) -> Iterator[Source]:
    """Name files as `ichscope analyse` does: from the folder that was given on."""
    top = folder.resolve().name
    return (Source(str(PurePosixPath(top, *file.relative_to(folder).parts)), path=file) for file in files)


def tasks(intake: Intake, place: Path) -> list[Task]:
    """Give the tasks of what was found in a place."""
    refused = [Refused(place, file.name, file.reason) for file in intake.rejected]
    return [*map(_stamped, intake.studies), *refused]


def _stamped(groups: tuple[Group, ...]) -> Files:
    study = Files(groups)
    return replace(study, stamp=stamp(study.sources))


def stamp(files: Sequence[Source]) -> str:
    """Sizes and times of files: what makes a study that has changed another item; one that has not, the same."""
    try:
        stats = [path_of(source).stat() for source in files]
    except OSError:  # gone meanwhile, which the next step will tell
        return ""
    return short_hash(*(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats))


def prepare(group: Group) -> Ready:
    """Hash a series.

    Raises
    ------
    SourceError
        if a file is gone; a damaged one is for the analysis to tell
    """
    for source in group.sources:
        if source.path is not None and not source.path.is_file():
            raise SourceError("a file is no longer there")
    return Ready(group, content_hash(group.sources), _changed_at(group))


def load(store: Store, series: int) -> Stored:
    """Read a kept volume and make the models' input of it.

    Raises
    ------
    SourceError
        if it is not kept any more, or damaged
    StoreError
        if the store cannot be read
    """
    store.results.load_series(series, voxels=False)  # where the store itself fails, all fail, not this one
    try:
        result = store.results.load_series(series)
    except StoreError as error:
        raise SourceError(str(error)) from None
    if (volume := result.volume) is None:
        raise SourceError("its volume is no longer kept")
    return Stored(series, replace(result, volume=None), seen_by_models(volume))


def patient_id(group: Group, result: SeriesResult) -> str | None:
    """Patient ID, from what was read or, of a series that could not be, from the first header of it."""
    if result.volume is not None:
        return result.volume.patient_id or None
    if group.kind != "ct":
        return None
    try:
        dataset, _ = parse(group.sources[0].read(_HEAD_BYTES), "")
    except (SourceError, DicomError):
        return None
    return text(dataset, "PatientID") or None


def refused_content(task: Refused) -> str:
    """A stand-in for the hash of a file that is refused: its place, its name and the reason."""
    text = "\0".join(("refused", str(task.path), task.name, task.reason))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def _changed_at(group: Group) -> datetime | None:
    """When the last file came here: its inode's change, since copying may keep the time of the last writing."""
    try:
        times = [source.path.stat().st_ctime for source in group.sources if source.path is not None]
    except OSError:
        return None
    return datetime.fromtimestamp(max(times), UTC) if times else None
