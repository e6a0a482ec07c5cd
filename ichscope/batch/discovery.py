"""Places into studies: one item a study, one a file that should have been readable, none for strays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ichscope.batch.work_items import Files, Kept, Place, Refused, Task, from_text, path_of
from ichscope.imaging.elements import DicomError, parse, short_hash, text
from ichscope.imaging.intake import STRAY_FOLDERS, Group, Intake, Source, collect, natural_order, walk
from ichscope.imaging.preprocess import model_input
from ichscope.imaging.source import SourceError
from ichscope.results import SeriesResult
from ichscope.store import Store, StoreError, content_hash

# A larger folder is cut at its subfolders and ZIPs: then series are told apart within each of them, not across.
LARGE_FOLDER = 5_000
MANY_ZIPS = 10
_HEAD_BYTES = 1 << 15


@dataclass(frozen=True)
class Ready:
    """A series that may be analysed: its files, the hash of what is in them, and what the store wants to know."""

    group: Group
    content: str
    changed_at: datetime | None


@dataclass(frozen=True, eq=False)
class Stored:
    """A series whose volume is kept, with what its models see: (slices, size, size) int16 HU."""

    series: int
    result: SeriesResult
    hu: NDArray[np.int16]


Started = list[Task] | Files | Refused | Stored


def start(store: Store, locator: str) -> Started:
    """Read from disk what the next step of an item needs.

    Raises
    ------
    SourceError
        if files, archive or volume are gone
    """
    match task := from_text(locator):
        case Place():
            return look(task)
        case Kept():
            return load(store, task.series)
        case Files() | Refused():
            return task


def look(place: Place) -> list[Task]:
    """Take a place apart.

    Returns
    -------
    what is there to do: studies, files that are refused, and parts of a folder that is too large to be sorted at once
    """
    if not place.path.is_dir():
        return tasks(collect([place.path], place.pictures_as_series), place.path)
    paths = _directly_in(place.path) if place.shallow else walk(place.path)
    files = list(islice(paths, LARGE_FOLDER + 1))
    large = len(files) > LARGE_FOLDER or sum(map(_is_zip, files)) > MANY_ZIPS
    if large and not place.shallow and (parts := _parts(place.path)):
        return [*(replace(place, path=part) for part in parts), replace(place, shallow=True)]
    return tasks(collect(sources(place.path, [*files, *paths]), place.pictures_as_series), place.path)


def sources(folder: Path, files: Sequence[Path]) -> Iterator[Source]:
    """Name files as `ichscope analyse` does: from the folder that was given on."""
    top = folder.resolve().name
    return (Source(str(PurePosixPath(top, *file.relative_to(folder).parts)), path=file) for file in files)


def tasks(intake: Intake, place: Path) -> list[Task]:
    """Give the tasks of what was found in a place."""
    refused = [Refused(place, file.name, file.reason) for file in intake.rejected]
    studies = (Files(groups) for groups in intake.studies)
    return [*(replace(study, stamp=stamp(study.sources)) for study in studies), *refused]


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
    hu, _ = model_input(volume.hu, volume.spacing_mm[1:] if volume.spacing_mm else None)
    return Stored(series, replace(result, volume=None), hu)


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


def _parts(folder: Path) -> list[Path]:
    """Subfolders, as `walk` takes them, and ZIPs."""
    parts = [part for part in folder.iterdir() if _is_folder(part) or _is_zip(part)]
    return sorted(parts, key=lambda part: natural_order(part.name))


def _directly_in(folder: Path) -> Iterator[Path]:
    """Files of a folder that are in none of its parts."""
    files = (file for file in folder.iterdir() if file.is_file() and not _is_zip(file))
    return iter(sorted(files, key=lambda file: natural_order(file.name)))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and path.name.lower() not in STRAY_FOLDERS


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def _changed_at(group: Group) -> datetime | None:
    """When the last file came here: its inode's change, since copying may keep the time of the last writing."""
    try:
        times = [source.path.stat().st_ctime for source in group.sources if source.path is not None]
    except OSError:
        return None
    return datetime.fromtimestamp(max(times), UTC) if times else None
