"""Files where their content says, not their names: DICOM images, pictures, archives, strays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydicom.dataset import Dataset

from ichscope.imaging.elements import DicomError, integer, looks_like_dicom, numbers, parse, text, texts
from ichscope.imaging.facts import ImageFacts
from ichscope.imaging.geometry import Shape
from ichscope.imaging.header import image_facts
from ichscope.imaging.source import MAX_FILE_BYTES, Source, SourceError
from ichscope.imaging.sources import STRAY_FOLDERS, Rejected, SeriesSource, ZipSource

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


@dataclass(frozen=True)
class DicomImage:
    """One DICOM image and what its header says for grouping."""

    source: Source
    study: str
    series: str
    shape: Shape
    facts: ImageFacts


@dataclass
class SortedFiles:
    """What files were found to be."""

    images: list[DicomImage] = field(default_factory=list)
    pictures: list[Source] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    count: int = 0


class _TooManyFilesError(Exception):
    """More than may be sorted at once."""


def sort_files(sources: Iterable[SeriesSource]) -> SortedFiles:
    """Sort all files of these sources; of too many none is taken, and one reason says so.

    Examples
    --------
    >>> from ichscope.imaging.sources import UploadSource
    >>> sort_files([UploadSource("a/notes.txt", b"text"), UploadSource("a/1.dcm", b"")]).ignored
    ['a/notes.txt']
    """
    files = SortedFiles()
    for source in sources:
        try:
            _take(source, files, source.most)
        except _TooManyFilesError:
            reason = f"holds more than {source.most} files; expected fewer at once, as in subfolders"
            return SortedFiles(rejected=[Rejected(source.name, reason)])
    return files


def _take(source: SeriesSource, files: SortedFiles, most: int, inside_zip: bool = False) -> None:
    try:
        for file in source.files():
            if isinstance(file, Rejected):
                files.rejected.append(file)
                continue
            files.count += 1
            if files.count > most:
                raise _TooManyFilesError
            _sort_file(file, files, most, inside_zip)
            if source.named and files.ignored[-1:] == [file.name] and not _is_stray(file.name):
                reason = "is not an image; expected DICOM, JPEG, PNG, a ZIP or a folder of them"
                files.rejected.append(Rejected(files.ignored.pop(), reason))
    except SourceError as error:
        files.rejected.append(Rejected(source.name, str(error)))


def _sort_file(source: Source, files: SortedFiles, most: int, inside_zip: bool) -> None:
    """Put one file where its content says, not its name."""
    if _is_stray(source.name):
        files.ignored.append(source.name)
        return
    try:
        head = source.read(_HEAD_BYTES)
        if source.size > MAX_FILE_BYTES and not head.startswith(b"PK"):
            raise SourceError(f"has {source.size >> 20} MiB; expected at most {MAX_FILE_BYTES >> 20}")
        _sort_content(source, head, files, most, inside_zip)
    except SourceError as error:
        files.rejected.append(Rejected(source.name, str(error)))


def _sort_content(source: Source, head: bytes, files: SortedFiles, most: int, inside_zip: bool) -> None:
    name = source.name.lower()
    if looks_like_dicom(head):
        _sort_dicom(source, head, files)
    elif head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        files.pictures.append(source)
    elif head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and not name.endswith(_DOCUMENT_NAMES):
        if inside_zip:
            raise SourceError("is a ZIP inside a ZIP; unpack the outer one first")
        _take(ZipSource(source), files, most, inside_zip=True)
    elif reason := _complaint(name, head):
        raise SourceError(reason)
    else:
        files.ignored.append(source.name)


def _complaint(name: str, head: bytes) -> str:
    """Why a file of this name should have been readable, or "" if nobody would expect it."""
    suffix = PurePosixPath(name).suffix
    content = "is empty" if not head else f"holds {'text' if _is_text(head) else 'something else'}"
    if suffix in _DICOM_NAMES or (not head and not suffix):
        return f"{content}; expected a DICOM file ('DICM' at byte 128)"
    if suffix in _PICTURE_NAMES:
        return f"{content}; expected a JPEG or PNG picture"
    if suffix in _ARCHIVE_NAMES:
        return f"{content}; expected a ZIP archive"
    other = next((kind for ending, kind in _OTHER_FORMATS.items() if name.endswith(ending)), None)
    return f"is {other}, which is not read; expected DICOM, JPEG, PNG or ZIP" if other else ""


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 for byte in head[:512])


def _is_stray(name: str) -> bool:
    parts = PurePosixPath(name.lower()).parts
    last = parts[-1] if parts else ""
    return last.startswith(".") or last in _STRAY_NAMES or any(part in STRAY_FOLDERS for part in parts)


def _sort_dicom(source: Source, head: bytes, files: SortedFiles) -> None:
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
        files.ignored.append(source.name)
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
    files.images.append(DicomImage(source, study, series, shape, facts))


def _numbers_or_none(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """For grouping only: garbage is named when the series is read."""
    try:
        return numbers(dataset, keyword, "", _COUNTS[keyword])
    except DicomError:
        return None
