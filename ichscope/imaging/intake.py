"""Whatever a user hands over (files, folders, ZIPs, uploads) into groups of files, one a series."""

from __future__ import annotations

import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from pydicom.dataset import Dataset

from ichscope.imaging.elements import DicomError, integer, looks_like_dicom, numbers, parse, text, texts
from ichscope.imaging.facts import ImageFacts, series_facts
from ichscope.imaging.geometry import Shape, clusters
from ichscope.imaging.header import image_facts
from ichscope.imaging.identity import identity_of, picture_identity
from ichscope.imaging.series import Identity, SeriesFacts
from ichscope.imaging.source import MAX_FILE_BYTES, Archive, Source, SourceError, digest
from ichscope.imaging.speaker import speaker

__all__ = ["Group", "Intake", "Rejected", "Source", "collect", "natural_order", "walk"]

# So many files at once from strangers, whose bytes come over the page, and so many on disk, at some 2 KB of memory
# each. What holds more is refused as a whole: a part of it could end in the middle of a series.
MAX_FILES = 100_000
MAX_FILES_ON_DISK = 500_000
# A ZIP may hold this much times its own size where it is large, and from strangers this much when unpacked: deflate
# packs CT about 2:1 and blank images up to 1029:1, so a few blank slices pass and a bomb does not.
MAX_ZIP_RATIO = 100
MAX_ZIP_BYTES = 16 << 30
_SMALL_ZIP_BYTES = 256 << 20
_HEAD_BYTES = 1 << 15
_PIXEL_SPACING = 0x00280030
_COUNTS = {"PixelSpacing": 2, "ImageOrientationPatient": 6, "ImagePositionPatient": 3}

_DICOM_NAMES = (".dcm", ".dicom", ".dic", ".ima")
_PICTURE_NAMES = (".jpg", ".jpeg", ".jpe", ".png")
_ARCHIVE_NAMES = (".zip",)
# ZIP inside, but no archive of images.
_DOCUMENT_NAMES = (
    ".docx",
    ".xlsx",
    ".pptx",
    ".odt",
    ".ods",
    ".odp",
    ".jar",
    ".whl",
    ".epub",
    ".apk",
    ".npz",
    ".keras",
)
_OTHER_FORMATS = {
    ".nii": "NIfTI", ".nii.gz": "NIfTI", ".nrrd": "NRRD", ".mha": "MetaImage", ".mhd": "MetaImage",
    ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF", ".webp": "WebP", ".heic": "HEIC",
    ".7z": "7z", ".rar": "RAR", ".gz": "gzip", ".tar": "tar", ".tgz": "tar", ".bz2": "bzip2", ".xz": "xz",
}  # fmt: skip
_STRAY_NAMES = (
    "dicomdir",
    "thumbs.db",
    "desktop.ini",
    "autorun.inf",
    "lockfile",
    "version",
    "readme",
    "license",
)
STRAY_FOLDERS = ("__macosx", "@eadir", ".git")


@dataclass(frozen=True)
class Group:
    """The files of one series, or one picture; `study` and `key` are short hashes, never identifiers."""

    kind: Literal["ct", "picture"]
    study: str
    key: str
    sources: tuple[Source, ...]
    facts: SeriesFacts = field(default_factory=SeriesFacts, compare=False)

    @property
    def identity(self) -> Identity:
        """The keys, as the reader takes them on."""
        return Identity(self.study, self.key)


@dataclass(frozen=True)
class Rejected:
    """A file that should have been readable and is not."""

    name: str
    reason: str


@dataclass(frozen=True)
class Intake:
    """All that was handed over: series, files that should have been readable, and strays that are no images."""

    groups: tuple[Group, ...]
    rejected: tuple[Rejected, ...]
    ignored: tuple[str, ...]

    @property
    def studies(self) -> tuple[tuple[Group, ...], ...]:
        """The groups of each study, the one that speaks for it first; studies in order of their first name."""
        studies: dict[str, list[Group]] = defaultdict(list)
        for group in self.groups:
            studies[group.study].append(group)
        return tuple(
            tuple(groups[index] for index in speaker([group.facts for group in groups]).order)
            for groups in studies.values()
        )


@dataclass(frozen=True)
class _Image:
    """One DICOM image and what its header says for grouping."""

    source: Source
    study: str
    series: str
    shape: Shape
    facts: ImageFacts


@dataclass
class _Pile:
    images: list[_Image] = field(default_factory=list)
    pictures: list[Source] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    count: int = 0
    most: int = 0

    def reject(self, name: str, reason: str) -> None:
        self.rejected.append(Rejected(name, reason))


class _TooManyFilesError(Exception):
    """More than may be sorted at once."""


def collect(inputs: Iterable[Path | str | Source | tuple[str, bytes]], pictures_as_series: bool = False) -> Intake:
    """Sort files into series without decoding pixels.

    Parameters
    ----------
    inputs : files, folders (searched to the bottom) and ZIP archives, as paths or as (name, bytes); or, as Sources,
        files that a folder was found to hold, where one that is no image is a stray
    pictures_as_series : take all pictures of one folder or archive as one series, in natural name order

    Returns
    -------
    the groups in order of their names; whatever is in none of them is in `rejected` or `ignored`. Of too many files
    none is taken, and one reason says so
    """
    pile = _Pile()
    for item in inputs:
        pile.most = MAX_FILES if isinstance(item, tuple) else MAX_FILES_ON_DISK
        try:
            _sort_item(item, pile)
        except _TooManyFilesError:
            reason = f"holds more than {pile.most} files; expected fewer at once, as in subfolders"
            return Intake((), (Rejected(_top(item), reason),), ())
    groups = _series_groups(pile.images) + _picture_groups(pile, pictures_as_series)
    groups.sort(key=lambda group: natural_order(group.sources[0].name))
    return Intake(tuple(groups), tuple(pile.rejected), tuple(pile.ignored))


def _sort_item(item: Path | str | Source | tuple[str, bytes], pile: _Pile) -> None:
    if isinstance(item, tuple):
        _sort_in(Source(_clean(item[0]), data=item[1]), pile)
    elif isinstance(item, Source):
        _sort_in(item, pile)
    else:
        _sort_path(Path(item), pile)


def _top(item: Path | str | Source | tuple[str, bytes]) -> str:
    """The folder that an item lies in at the top, or is."""
    if isinstance(item, (Path, str)):
        return Path(item).resolve().name
    return PurePosixPath(item.name if isinstance(item, Source) else _clean(item[0])).parts[0]


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sorting key that puts image2 before image10."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name.lower()) if part
    ]


def _sort_path(path: Path, pile: _Pile) -> None:
    if path.is_dir():
        top = path.resolve().name
        for file in walk(path):
            _sort_in(Source(str(PurePosixPath(top, *file.relative_to(path).parts)), path=file), pile)
    elif path.is_file():
        before = len(pile.ignored)
        _sort_in(Source(path.name, path=path), pile)
        if pile.ignored[before:] == [path.name] and not _is_stray(path.name):
            pile.reject(pile.ignored.pop(), "is not an image; expected DICOM, JPEG, PNG, a ZIP or a folder of them")
    else:
        pile.reject(str(path), "does not exist; expected a file or a folder")


def walk(folder: Path) -> Iterator[Path]:
    """All regular files below a folder; links to folders are not followed, devices and pipes not opened."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted((name for name in folders if name.lower() not in STRAY_FOLDERS), key=natural_order)
        for name in sorted(files, key=natural_order):
            if (file := Path(place, name)).is_file():
                yield file


def _sort_in(source: Source, pile: _Pile, inside_zip: bool = False) -> None:
    """Put one file where its content says, not its name."""
    pile.count += 1
    if pile.count > pile.most:
        raise _TooManyFilesError
    if _is_stray(source.name):
        pile.ignored.append(source.name)
        return
    try:
        head = source.read(_HEAD_BYTES)
        if source.size > MAX_FILE_BYTES and not head.startswith(b"PK"):
            raise SourceError(f"has {source.size >> 20} MiB; expected at most {MAX_FILE_BYTES >> 20}")
        _sort_content(source, head, pile, inside_zip)
    except SourceError as error:
        pile.reject(source.name, str(error))


def _sort_content(source: Source, head: bytes, pile: _Pile, inside_zip: bool) -> None:
    name = source.name.lower()
    if looks_like_dicom(head):
        _sort_dicom(source, head, pile)
    elif head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        pile.pictures.append(source)
    elif head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and not name.endswith(_DOCUMENT_NAMES):
        if inside_zip:
            raise SourceError("is a ZIP inside a ZIP; unpack the outer one first")
        _unpack(source, pile)
    elif reason := _complaint(name, head):
        raise SourceError(reason)
    else:
        pile.ignored.append(source.name)


def _complaint(name: str, head: bytes) -> str:
    """Why a file of this name should have been readable, or "" if nobody would expect it."""
    suffix = PurePosixPath(name).suffix
    found = "is empty" if not head else f"holds {'text' if _is_text(head) else 'something else'}"
    if suffix in _DICOM_NAMES or (not head and not suffix):
        return f"{found}; expected a DICOM file ('DICM' at byte 128)"
    if suffix in _PICTURE_NAMES:
        return f"{found}; expected a JPEG or PNG picture"
    if suffix in _ARCHIVE_NAMES:
        return f"{found}; expected a ZIP archive"
    other = next((kind for ending, kind in _OTHER_FORMATS.items() if name.endswith(ending)), None)
    return f"is {other}, which is not read; expected DICOM, JPEG, PNG or ZIP" if other else ""


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 for byte in head[:512])


def _is_stray(name: str) -> bool:
    parts = PurePosixPath(name.lower()).parts
    last = parts[-1] if parts else ""
    return last.startswith(".") or last in _STRAY_NAMES or any(part in STRAY_FOLDERS for part in parts)


def _clean(name: str) -> str:
    """A relative name with forward slashes; drive, root and '..' are gone."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(part for i, part in enumerate(parts) if i or not part.endswith(":")) or "unnamed"


def _unpack(source: Source, pile: _Pile) -> None:
    """Sort in the members of an archive; nothing is written to disk or inflated before it is needed."""
    origin = source.data if source.data is not None else source.path
    assert origin is not None, "archives inside archives are refused before"
    archive = Archive(origin)
    members = archive.members()
    _check_bomb(members, from_stranger=source.data is not None)
    for member in sorted(members, key=lambda member: natural_order(member.filename)):
        inside = f"{source.name}/{_clean(member.filename)}"
        if ".." in member.filename.replace("\\", "/").split("/"):
            pile.reject(inside, "has a path that leaves its archive; expected a path inside")
        else:
            _sort_in(Source(inside, archive=archive, member=member), pile, inside_zip=True)


def _check_bomb(members: Sequence[zipfile.ZipInfo], from_stranger: bool) -> None:
    most = MAX_FILES if from_stranger else MAX_FILES_ON_DISK
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


def _sort_dicom(source: Source, head: bytes, pile: _Pile) -> None:
    try:
        dataset, rest = parse(head, source.name, _PIXEL_SPACING)
        if not rest and source.size > len(head):
            dataset, rest = parse(source.read(), source.name, _PIXEL_SPACING)
        rows, columns = integer(dataset, "Rows", source.name), integer(dataset, "Columns", source.name)
    except DicomError as error:
        raise SourceError(str(error).removeprefix(f"{source.name}: ")) from None
    modality = text(dataset, "Modality")
    if not rows and not rest and "DirectoryRecordSequence" not in dataset:
        raise SourceError("ends inside its header; expected a whole DICOM file")
    if not rows and modality != "CT":
        pile.ignored.append(source.name)
        return
    shape = Shape(
        rows or 0,
        columns or 0,
        _numbers_or_none(dataset, "ImageOrientationPatient"),
        _numbers_or_none(dataset, "PixelSpacing"),
        "LOCALIZER" in texts(dataset, "ImageType"),
    )
    study, series = text(dataset, "StudyInstanceUID"), text(dataset, "SeriesInstanceUID")
    facts = image_facts(dataset, Dataset(), shape.orientation, _numbers_or_none(dataset, "ImagePositionPatient"))
    pile.images.append(_Image(source, study, series, shape, facts))


def _numbers_or_none(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """For grouping only: garbage is named when the series is read."""
    try:
        return numbers(dataset, keyword, "", _COUNTS[keyword])
    except DicomError:
        return None


def _series_groups(images: list[_Image]) -> list[Group]:
    """One group a series, and one more for each part of it that cannot be in one volume with the rest."""
    series: dict[tuple[str, ...], list[_Image]] = defaultdict(list)
    for image in images:
        folder = "" if image.series else str(PurePosixPath(image.source.name).parent)
        series[image.study, image.series, image.facts.modality, folder].append(image)
    groups = []
    for (study, uid, *_), members in series.items():
        volumes = clusters([image.shape for image in members])
        parts = [part for volume in volumes for part in _by_kernel([members[i] for i in volume])]
        files = [image.source for image in members]
        for number, part in enumerate(parts):
            identity = identity_of(study, uid, files, number)
            sources = tuple(image.source for image in part)
            facts = series_facts([image.facts for image in part])
            groups.append(Group("ct", identity.study, identity.series, sources, facts))
    return groups


def _by_kernel(images: list[_Image]) -> list[list[_Image]]:
    """Two reconstructions of the same places are two volumes; a kernel that changes on the way up is not."""
    places = {image.facts.position for image in images}
    kernels: dict[str, list[_Image]] = defaultdict(list)
    for image in images:
        kernels[image.facts.kernel].append(image)
    if len(places) == len(images) or any(
        len({image.facts.position for image in part}) < 2 for part in kernels.values()
    ):
        return [images]
    return sorted(kernels.values(), key=len, reverse=True)


def _picture_groups(pile: _Pile, as_series: bool) -> list[Group]:
    found: dict[str, list[Source]] = defaultdict(list)
    seen: dict[str, str] = {}
    for source in sorted(pile.pictures, key=lambda source: natural_order(source.name)):
        content = digest([source])
        if content in seen:
            pile.ignored.append(f"{source.name} (the same picture as {seen[content]})")
            continue
        seen[content] = source.name
        found[str(PurePosixPath(source.name).parent) if as_series else content].append(source)
    groups = []
    for sources in found.values():
        identity, facts = picture_identity(sources), SeriesFacts("picture", slices=len(sources))
        groups.append(Group("picture", identity.study, identity.series, tuple(sources), facts))
    return groups
