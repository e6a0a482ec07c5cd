"""What an item of a job is, and the text that the store keeps of it until it is done."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import ZipInfo

from ichscope.imaging.intake import Group, Source
from ichscope.imaging.series import Finding, SeriesFacts
from ichscope.imaging.source import Archive, SourceError


@dataclass(frozen=True)
class Place:
    """A file, folder or ZIP that is yet to be taken apart into series.

    stamp : makes the same place a new item, where it is to be looked at again
    inside : folders below which the targets of links must lie; none where they may lie anywhere
    """

    path: Path
    stamp: str = ""
    pictures_as_series: bool = False
    inside: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Files:
    """The files of one study, by series, the one that speaks for it first.

    stamp : another one makes them a new item, as when they have changed
    """

    groups: tuple[Group, ...]
    stamp: str = ""

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files of all series."""
        return tuple(source for group in self.groups for source in group.sources)


@dataclass(frozen=True)
class Refused:
    """A file that should have been readable and is not; `path` is the place where it was found."""

    path: Path
    name: str
    reason: str


@dataclass(frozen=True)
class Kept:
    """A series whose volume is kept, for the models of today."""

    series: int


@dataclass(frozen=True)
class Asked:
    """A study of an archive that is yet to be fetched: the archive's name, and the study's UID."""

    archive: str
    study: str = field(repr=False)


Task = Place | Files | Refused | Kept | Asked


def to_text(task: Task) -> str:
    """Write a task as JSON. The same task always gives the same text: by it the store tells what it has."""
    match task:
        case Place():
            values: dict[str, Any] = {"place": str(task.path), "stamp": task.stamp}
            values |= {"pictures": task.pictures_as_series}
            values |= {"inside": list(map(str, task.inside))} if task.inside else {}
        case Files():
            values = {"groups": [_group_to_json(group) for group in task.groups], "stamp": task.stamp}
        case Refused():
            values = {"refused": task.name, "reason": task.reason, "place": str(task.path)}
        case Kept():
            values = {"kept": task.series}
        case Asked():
            values = {"archive": task.archive, "uid": task.study}
    return json.dumps(values, separators=(",", ":"))


def from_text(text: str) -> Task:
    """Read what to_text wrote, also before a study could have several series.

    Raises
    ------
    SourceError
        if an archive is no longer what it was
    """
    values = json.loads(text)
    match values:
        case {"kept": series} | {"study": series}:
            return Kept(series)
        case {"archive": archive, "uid": study}:
            return Asked(archive, study)
        case {"refused": name, "reason": reason, "place": place}:
            return Refused(Path(place), name, reason)
        case {"place": place, "stamp": stamp}:
            return Place(Path(place), stamp, values["pictures"], tuple(map(Path, values.get("inside", ()))))
        case {"groups": groups, "stamp": stamp}:
            return Files(tuple(map(_group_from_json, groups)), stamp)
    return Files((_group_from_json(values),), values["stamp"])


def _group_to_json(group: Group) -> dict[str, Any]:
    """Say what the files have in common once: a name is mostly the prefix and the path below the root."""
    paths = [path_of(source) for source in group.sources]
    root = os.path.commonpath([path.parent for path in paths])
    relative = [path.relative_to(root).as_posix() for path in paths]
    prefix = group.sources[0].name.removesuffix(relative[0])
    files = [_entry(source, below, prefix) for source, below in zip(group.sources, relative, strict=True)]
    series = [group.study, group.key]
    facts = asdict(group.facts)
    values = {"root": root, "prefix": prefix, "files": files, "kind": group.kind, "series": series, "facts": facts}
    remarks = [[finding.level, finding.code, finding.text] for finding in group.findings]
    return values | ({"findings": remarks} if remarks else {})


def _group_from_json(values: dict[str, Any]) -> Group:
    sources = tuple(_source(Path(values["root"]), values["prefix"], entry) for entry in values["files"])
    study, series = values["series"]
    findings = tuple(Finding(*words) for words in values.get("findings", ()))
    return Group(values["kind"], study, series, sources, SeriesFacts(**values.get("facts", {})), findings)


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
    return source_at(name, root / below, *offset)


def source_at(name: str, path: Path, offset: int | None = None) -> Source:
    """Give the file at a path or, in an archive there, the member that begins at an offset.

    Raises
    ------
    SourceError
        if an archive is no longer what it was
    """
    if offset is None:
        return Source(name, path=path)
    archive, members = _archive(path)
    if offset not in members:
        raise SourceError("is no longer in its archive")
    return Source(name, archive=archive, member=members[offset])


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
