"""What an item of a job is, and the text that the store keeps of it until it is done."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipInfo

from ichscope.imaging.intake import Group, Source
from ichscope.imaging.source import Archive, SourceError


@dataclass(frozen=True)
class Place:
    """A file, folder or ZIP that is yet to be taken apart into series.

    stamp : makes the same place a new item, where it is to be looked at again
    shallow : of a folder take only the files directly in it; its subfolders are places of their own
    """

    path: Path
    stamp: str = ""
    pictures_as_series: bool = False
    shallow: bool = False


@dataclass(frozen=True)
class Files:
    """The files of one series; another stamp makes them a new item, as when they have changed."""

    group: Group
    stamp: str = ""


@dataclass(frozen=True)
class Refused:
    """A file that should have been readable and is not; `path` is the place where it was found."""

    path: Path
    name: str
    reason: str


@dataclass(frozen=True)
class Kept:
    """A study whose volume is kept, for the models of today."""

    study: int


Task = Place | Files | Refused | Kept


def to_text(task: Task) -> str:
    """Write a task as JSON. The same task always gives the same text: by it the store tells what it has."""
    match task:
        case Place():
            found: dict[str, Any] = {"place": str(task.path), "stamp": task.stamp}
            found |= {"pictures": task.pictures_as_series, "shallow": task.shallow}
        case Files():
            found = _files(task.group) | {"stamp": task.stamp}
        case Refused():
            found = {"refused": task.name, "reason": task.reason, "place": str(task.path)}
        case Kept():
            found = {"study": task.study}
    return json.dumps(found, separators=(",", ":"))


def from_text(text: str) -> Task:
    """Read what to_text wrote.

    Raises
    ------
    SourceError
        if an archive is no longer what it was
    """
    found = json.loads(text)
    if "study" in found:
        return Kept(found["study"])
    if "refused" in found:
        return Refused(Path(found["place"]), found["refused"], found["reason"])
    if "place" in found:
        return Place(Path(found["place"]), found["stamp"], found["pictures"], found["shallow"])
    sources = tuple(_source(Path(found["root"]), found["prefix"], one) for one in found["files"])
    kind: Literal["ct", "picture"] = found["kind"]
    return Files(Group(kind, found["series"][0], found["series"][1], sources), found["stamp"])


def _files(group: Group) -> dict[str, Any]:
    """Say what the files have in common once: a name is mostly the prefix and the path below the root."""
    paths = [path_of(source) for source in group.sources]
    root = os.path.commonpath([path.parent for path in paths])
    relative = [path.relative_to(root).as_posix() for path in paths]
    prefix = group.sources[0].name.removesuffix(relative[0])
    files = [_entry(source, below, prefix) for source, below in zip(group.sources, relative, strict=True)]
    return {"root": root, "prefix": prefix, "files": files, "kind": group.kind, "series": [group.study, group.key]}


def path_of(source: Source) -> Path:
    """Give the file on disk that a source is, or is a part of."""
    path = source.path or (source.archive.origin if source.archive else None)
    if not isinstance(path, Path):
        raise TypeError("expected files that lie on disk; write uploads to a folder first")
    return path


def _entry(source: Source, below: str, prefix: str) -> str | list[str | int]:
    if source.member is not None:
        return [below, source.name, source.member.header_offset]
    return below if source.name == prefix + below else [below, source.name]


def _source(root: Path, prefix: str, entry: str | list[Any]) -> Source:
    if isinstance(entry, str):
        return Source(prefix + entry, path=root / entry)
    below, name, *offset = entry
    if not offset:
        return Source(name, path=root / below)
    archive, members = _archive(root / below)
    if offset[0] not in members:
        raise SourceError("is no longer in its archive")
    return Source(name, archive=archive, member=members[offset[0]])


def _archive(path: Path) -> tuple[Archive, dict[int, ZipInfo]]:
    try:
        return _opened(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror})") from None


@lru_cache(maxsize=4)
def _opened(path: Path, changed: int) -> tuple[Archive, dict[int, ZipInfo]]:
    """Open an archive once for its many series."""
    archive = Archive(path)
    return archive, {member.header_offset: member for member in archive.members()}
