"""Files where their content says, not their names: DICOM images, pictures, archives, strays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydicom.dataset import Dataset, FileDataset

from ichscope.errors import IchscopeError, UnexpectedError, barrier
from ichscope.imaging.decoding import decoders
from ichscope.imaging.elements import DicomError, integer, looks_like_dicom, numbers, parse, text, texts
from ichscope.imaging.facts import ImageFacts
from ichscope.imaging.geometry import Shape, is_direction, position_mm
from ichscope.imaging.header import image_facts
from ichscope.imaging.person import Person, person_of
from ichscope.imaging.source import MAX_FILE_BYTES, Source, SourceError, name_some
from ichscope.imaging.sources import (
    STRAY_FOLDERS,
    ListedSource,
    Rejected,
    SeriesSource,
    UploadSource,
    ZipSource,
)

_HEAD_BYTES = 1 << 15
_PIXEL_SPACING = 0x00280030
_COUNTS = {"PixelSpacing": 2, "ImageOrientationPatient": 6, "ImagePositionPatient": 3}

# PS3.6 A: JPEG and its kin, RLE.
_COMPRESSED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")

BESIDE = "a picture beside DICOM images"
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


# Storage SOP Classes without pixels of their own (PS3.4 B.5): presentation states, structured reports and key images,
# encapsulated documents, waveforms, raw data, registrations and fiducials, radiotherapy plans; Siemens' CSA.
_NO_IMAGES = (
    *(f"1.2.840.10008.5.1.4.1.1.{number}." for number in (9, 11, 88, 104)),
    *(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("66", "66.1", "66.2", "66.3", "66.5", "481.3", "481.5")),
    "1.3.12.2.1107.5.9.1",
)


@dataclass(frozen=True)
class DicomImage:
    """One DICOM image and what its header says for grouping."""

    source: Source
    study: str
    series: str
    shape: Shape
    facts: ImageFacts
    person: Person = field(default_factory=Person, repr=False)
    frame_of_reference: str = field(default="", repr=False)

    @property
    def place(self) -> float | None:
        """Place along the slice normal in mm, None where the header does not say."""
        position, orientation = self.facts.position, self.shape.orientation
        if position is None or (orientation is not None and not is_direction(orientation)):
            return None
        return position_mm(position, orientation)

    @property
    def folder(self) -> str:
        """Where the file lies."""
        return str(PurePosixPath(self.source.name).parent)

    @property
    def examination(self) -> tuple[str, ...]:
        """What images of one study share: its UID or, where there is none, that of the series and the folder."""
        return (self.study,) if self.study else ("", self.series, self.folder)


@dataclass
class SortedFiles:
    """What files were found to be.

    handed_over : number of what was handed over that is being sorted: pictures beside DICOM images in it are strays
    """

    images: list[DicomImage] = field(default_factory=list)
    pictures: list[Source] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    count: int = 0
    handed_over: int = 0
    _with_images: set[int] = field(default_factory=set)
    _pictures_in: list[int] = field(default_factory=list)

    def add_image(self, image: DicomImage) -> None:
        """Take a DICOM image."""
        self._with_images.add(self.handed_over)
        self.images.append(image)

    def add_picture(self, picture: Source) -> None:
        """Take a picture."""
        self._pictures_in.append(self.handed_over)
        self.pictures.append(picture)

    def reject(self, file: Rejected) -> None:
        """Take a file that should have been readable."""
        self.rejected.append(file)

    def ignore(self, name: str) -> None:
        """Take a file that nobody would expect to be an image."""
        self.ignored.append(name)

    def take_back(self, name: str) -> bool:
        """Forget that a file was ignored, if it was the last one."""
        is_last = self.ignored[-1:] == [name]
        if is_last:
            self.ignored.pop()
        return is_last

    def leave_pictures(self) -> None:
        """Make strays of pictures that were handed over with DICOM images: icons of a viewer, copies of slices."""
        placed = list(zip(self.pictures, self._pictures_in, strict=True))
        self.ignored += [f"{picture.name} ({BESIDE})" for picture, place in placed if place in self._with_images]
        self.pictures = [picture for picture, place in placed if place not in self._with_images]


def left_out(pictures: int, others: int, names: Sequence[str] = ()) -> str:
    """Say how many files were left out that are no images of a series, and a few names; "" for none.

    Examples
    --------
    >>> left_out(2, 1, ["cd/icon.png", "cd/logo.png", "cd/DICOMDIR"])
    '2 pictures beside DICOM images and 1 other file were left out: cd/icon.png; cd/logo.png; cd/DICOMDIR.'
    >>> left_out(0, 1), left_out(0, 0)
    ('1 file that is no image was left out.', '')
    """
    parts = []
    if pictures:
        parts.append(f"{pictures} picture{'s' * (pictures > 1)} beside DICOM images")
    if others:
        kind = "other file" if pictures else "file"
        what = "" if pictures else " that is no image" if others == 1 else " that are no images"
        parts.append(f"{others} {kind}{'s' * (others > 1)}{what}")
    if not parts:
        return ""
    text = f"{' and '.join(parts)} {'was' if pictures + others == 1 else 'were'} left out"
    return f"{text}: {name_some(names)}" if names else f"{text}."


class _TooManyFilesError(IchscopeError):
    """More than may be sorted at once."""


def sort_files(sources: Iterable[SeriesSource], files: SortedFiles | None = None) -> SortedFiles:
    """Sort all files of these sources; of too many none is taken, and one reason says so.

    files : takes them, however many there are

    Examples
    --------
    >>> from ichscope.imaging.sources import UploadSource
    >>> sort_files([UploadSource("a/notes.txt", b"text"), UploadSource("a/1.dcm", b"")]).ignored
    ['a/notes.txt']
    """
    limited = files is None
    files = SortedFiles() if files is None else files
    for number, source in enumerate(sources, 1):
        # Single files that were listed or uploaded are parts of one whole.
        files.handed_over = 0 if isinstance(source, (ListedSource, UploadSource)) else number
        try:
            _take(source, files, source.most if limited else None)
        except _TooManyFilesError:
            reason = f"holds more than {source.most} files; expected fewer at once, as in subfolders"
            return SortedFiles(rejected=[Rejected(source.name, reason)])
    return files


def _take(source: SeriesSource, files: SortedFiles, most: int | None, inside_zip: bool = False) -> None:
    try:
        for file in source.files():
            if isinstance(file, Rejected):
                files.reject(file)
                continue
            files.count += 1
            if most is not None and files.count > most:
                raise _TooManyFilesError
            _sort_file(file, files, most, inside_zip)
            if source.named and not _is_stray(file.name) and files.take_back(file.name):
                reason = "is not an image; expected DICOM, JPEG, PNG, a ZIP or a folder of them"
                files.reject(Rejected(file.name, reason))
    except SourceError as error:
        files.reject(Rejected(source.name, str(error)))


def _sort_file(source: Source, files: SortedFiles, most: int | None, inside_zip: bool) -> None:
    """Put one file where its content says, not its name."""
    if _is_stray(source.name):
        files.ignore(source.name)
        return
    try:
        head = source.read(_HEAD_BYTES)
        if source.size > MAX_FILE_BYTES and not head.startswith(b"PK"):
            raise SourceError(f"has {source.size >> 20} MiB; expected at most {MAX_FILE_BYTES >> 20}")
        with barrier():
            _sort_content(source, head, files, most, inside_zip)
    except (SourceError, UnexpectedError) as error:
        files.reject(Rejected(source.name, str(error)))


def _sort_content(source: Source, head: bytes, files: SortedFiles, most: int | None, inside_zip: bool) -> None:
    name = source.name.lower()
    if looks_like_dicom(head):
        _sort_dicom(source, head, files)
    elif head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        decoders().warm_up()
        files.add_picture(source)
    elif head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and not name.endswith(_DOCUMENT_NAMES):
        if inside_zip:
            raise SourceError("is a ZIP inside a ZIP; unpack the outer one first")
        _take(ZipSource(source), files, most, inside_zip=True)
    elif reason := _complaint(name, head):
        raise SourceError(reason)
    else:
        files.ignore(source.name)


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
        dataset, rest = _beginning(source, head)
        rows, columns = integer(dataset, "Rows", source.name), integer(dataset, "Columns", source.name)
    except DicomError as error:
        raise SourceError(str(error).removeprefix(f"{source.name}: ")) from None
    modality = text(dataset, "Modality")
    if not rows and not rest and "DirectoryRecordSequence" not in dataset:
        raise SourceError("ends inside its header; expected a whole DICOM file")
    if not rows and (modality != "CT" or _is_no_image(text(dataset, "SOPClassUID"))):
        files.ignore(source.name)
        return
    if text(dataset.file_meta, "TransferSyntaxUID").startswith(_COMPRESSED):
        decoders().warm_up()
    shape = Shape(
        rows or 0,
        columns or 0,
        _numbers_or_none(dataset, "ImageOrientationPatient"),
        _numbers_or_none(dataset, "PixelSpacing"),
        "LOCALIZER" in texts(dataset, "ImageType"),
    )
    study, series = text(dataset, "StudyInstanceUID"), text(dataset, "SeriesInstanceUID")
    facts = image_facts(dataset, Dataset(), shape.orientation, _numbers_or_none(dataset, "ImagePositionPatient"))
    reference = text(dataset, "FrameOfReferenceUID")
    files.add_image(DicomImage(source, study, series, shape, facts, person_of(dataset), reference))


def _is_no_image(sop_class: str) -> bool:
    return any(sop_class == known or (known.endswith(".") and sop_class.startswith(known)) for known in _NO_IMAGES)


def _beginning(source: Source, head: bytes) -> tuple[FileDataset, memoryview]:
    """The header up to Pixel Spacing; of one that is longer than `head`, from the whole file."""
    with suppress(DicomError):
        dataset, rest = parse(head, source.name, _PIXEL_SPACING)
        if rest or source.size <= len(head):
            return dataset, rest
    return parse(source.read() if source.size > len(head) else head, source.name, _PIXEL_SPACING)


def _numbers_or_none(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """For grouping only: garbage is named when the series is read."""
    try:
        return numbers(dataset, keyword, "", _COUNTS[keyword])
    except DicomError:
        return None
