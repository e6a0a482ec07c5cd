"""Ways in: whatever holds the files of series hands them over one by one, by the name that the user knows.

A new way in (DICOMweb, a PACS query) is one class more with the members of `SeriesSource`.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from ichscope.imaging.source import Archive, Source, SourceError
from ichscope.texts import writable

# So many files at once from strangers, whose bytes come over the page, and so many on disk, at some 2 KB of memory
# each. What holds more is refused as a whole: a part of it could end in the middle of a series.
MAX_FILES = 100_000
MAX_FILES_ON_DISK = 500_000
# A ZIP may hold this much times its own size where it is large, and from strangers this much when unpacked: deflate
# packs CT about 2:1 and blank images up to 1029:1, so a few blank slices pass and a bomb does not.
MAX_ZIP_RATIO = 100
MAX_ZIP_BYTES = 16 << 30
_SMALL_ZIP_BYTES = 256 << 20
STRAY_FOLDERS = ("__macosx", "@eadir", ".git")


@dataclass(frozen=True)
class Rejected:
    """A file that should have been readable and is not."""

    name: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", writable(self.name))


class SeriesSource(Protocol):
    """A way in: what holds files, and says how they are to be taken."""

    @property
    def name(self) -> str:
        """What was handed over, as the user knows it."""
        ...

    @property
    def most(self) -> int:
        """So many files are taken at once; of more none is."""
        ...

    @property
    def named(self) -> bool:
        """Whether the user named each file, so that one that is no image is an error and not a stray."""
        ...

    def files(self) -> Iterator[Source | Rejected]:
        """Every file, in natural order; nothing is read of it yet.

        Raises
        ------
        SourceError
            if the whole cannot be had
        """
        ...


@dataclass(frozen=True)
class FolderSource:
    """A folder, searched to the bottom; of links those that `walk` follows."""

    path: Path
    named: bool = False
    inside: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """What was handed over, as the user knows it."""
        return self.path.resolve().name

    @property
    def most(self) -> int:
        """So many files are taken at once."""
        return MAX_FILES_ON_DISK

    def files(self) -> Iterator[Source | Rejected]:
        """Every file, in natural order."""
        top = self.name
        for file in walk(self.path, self.inside):
            yield Source(str(PurePosixPath(top, *file.relative_to(self.path).parts)), path=file)


@dataclass(frozen=True)
class FileSource:
    """One file on disk, be it an archive."""

    path: Path
    named: bool = True

    @property
    def name(self) -> str:
        """What was handed over, as the user knows it."""
        return self.path.resolve().name if self.path.is_file() else str(self.path)

    @property
    def most(self) -> int:
        """So many files are taken at once."""
        return MAX_FILES_ON_DISK

    def files(self) -> Iterator[Source | Rejected]:
        """Every file, in natural order."""
        if not self.path.is_file():
            raise SourceError("does not exist; expected a file or a folder")
        yield Source(self.path.name, path=self.path)


@dataclass(frozen=True)
class ListedSource:
    """One of the files that a folder was found to hold."""

    source: Source
    named: bool = False

    @property
    def name(self) -> str:
        """What was handed over, as the user knows it."""
        return PurePosixPath(self.source.name).parts[0]

    @property
    def most(self) -> int:
        """So many files are taken at once."""
        return MAX_FILES_ON_DISK

    def files(self) -> Iterator[Source | Rejected]:
        """Every file, in natural order."""
        yield self.source


@dataclass(frozen=True)
class UploadSource:
    """One file that came over the page, in memory or on disk, under the name that its sender gave it."""

    given_name: str
    content: bytes | Path = field(repr=False)
    named: bool = False

    @property
    def name(self) -> str:
        """What was handed over, as the user knows it."""
        return PurePosixPath(clean_name(self.given_name)).parts[0]

    @property
    def most(self) -> int:
        """So many files are taken at once."""
        return MAX_FILES

    def files(self) -> Iterator[Source | Rejected]:
        """Every file, in natural order."""
        name = clean_name(self.given_name)
        if isinstance(self.content, Path):
            yield Source(name, path=self.content, from_page=True)
        else:
            yield Source(name, data=self.content, from_page=True)


@dataclass(frozen=True)
class ZipSource:
    """The members of an archive; nothing is written to disk or inflated before it is needed."""

    source: Source
    named: bool = False

    @property
    def name(self) -> str:
        """What was handed over, as the user knows it."""
        return self.source.name

    @property
    def most(self) -> int:
        """So many files are taken at once."""
        return MAX_FILES if self._from_stranger else MAX_FILES_ON_DISK

    @property
    def _from_stranger(self) -> bool:
        return self.source.from_page or self.source.data is not None

    def files(self) -> Iterator[Source | Rejected]:
        """Every file, in natural order."""
        origin = self.source.data if self.source.data is not None else self.source.path
        assert origin is not None, "archives inside archives are refused before"
        archive = Archive(origin)
        members = archive.members()
        _check_bomb(members, self.most, from_stranger=self._from_stranger)
        for member in sorted(members, key=lambda member: natural_order(member.filename)):
            inside = f"{self.name}/{clean_name(member.filename)}"
            if ".." in member.filename.replace("\\", "/").split("/"):
                yield Rejected(inside, "has a path that leaves its archive; expected a path inside")
            else:
                yield Source(inside, archive=archive, member=member)


def series_source(item: Path | str | Source | tuple[str, bytes | Path] | SeriesSource) -> SeriesSource:
    """The way in for what a user hands over: a path, an upload as (name, content), or one of a folder's files.

    Examples
    --------
    >>> series_source(("../a/IM1", b"")).name
    'a'
    """
    if isinstance(item, tuple):
        return UploadSource(*item)
    if isinstance(item, Source):
        return ListedSource(item)
    if isinstance(item, (Path, str)):
        path = Path(item)
        return FolderSource(path) if path.is_dir() else FileSource(path)
    return item


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sorting key that puts image2 before image10.

    Examples
    --------
    >>> sorted(["image10", "image2"], key=natural_order)
    ['image2', 'image10']
    """
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name.lower()) if part
    ]


def walk(folder: Path, inside: Sequence[Path] = ()) -> Iterator[Path]:
    """All regular files below a folder; links to folders are not followed, devices and pipes not opened.

    inside : folders, links resolved; where there are any, a link to a file that lies below none of them is left out

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("IM10", "IM2"):
    ...         _ = Path(folder, name).write_bytes(b"")
    ...     [file.name for file in walk(Path(folder))]
    ['IM2', 'IM10']
    """
    for place, folders, files in os.walk(folder):
        folders[:] = sorted((name for name in folders if name.lower() not in STRAY_FOLDERS), key=natural_order)
        for name in sorted(files, key=natural_order):
            if (file := Path(place, name)).is_file() and not _leads_out(file, inside):
                yield file


def _leads_out(file: Path, inside: Sequence[Path]) -> bool:
    """Whether a file is a link to somewhere that lies below none of these folders, of which there are some."""
    if not inside or not file.is_symlink():
        return False
    target = file.resolve()
    return not any(target.is_relative_to(folder) for folder in inside)


def clean_name(name: str) -> str:
    r"""A relative name with forward slashes; drive, root and '..' are gone.

    Examples
    --------
    >>> clean_name("C:\\..\\a/./IM1")
    'a/IM1'
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(part for i, part in enumerate(parts) if i or not part.endswith(":")) or "unnamed"


def _check_bomb(members: Sequence[zipfile.ZipInfo], most: int, from_stranger: bool) -> None:
    if len(members) > most:
        raise SourceError(f"holds {len(members)} files; expected at most {most}")
    if any(member.flag_bits & 1 for member in members):
        raise SourceError("is encrypted; unpack it with its password first")
    unpacked = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if unpacked > _SMALL_ZIP_BYTES and unpacked > MAX_ZIP_RATIO * packed:
        raise SourceError(f"would unpack from {packed >> 10} KiB to {unpacked >> 20} MiB; expected a ZIP of CT images")
    if from_stranger and unpacked > MAX_ZIP_BYTES:
        raise SourceError(f"holds {unpacked >> 30} GiB; expected at most {MAX_ZIP_BYTES >> 30} GiB in one ZIP")
