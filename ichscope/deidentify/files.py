"""Files without their patients: each is written whole, or its reason is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import pydicom
from pydicom import config
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ichscope.atomic import replacing
from ichscope.deidentify.kept import CT, SECONDARY_CAPTURE
from ichscope.deidentify.rewriting import Deidentifier
from ichscope.errors import IchscopeError, barrier
from ichscope.home import as_the_user_wants
from ichscope.imaging.elements import DicomError, looks_like_dicom, parse, pixel_data, text, texts
from ichscope.imaging.source import MAX_FILE_BYTES, Source, SourceError
from ichscope.imaging.sources import Rejected, SeriesSource, ZipSource, series_source

BurnedIn = Literal["refuse", "keep"]
_DIRECTORY = "1.2.840.10008.1.3.10"
# What scanners call pictures of words.
_SCREENS = (
    *("SCREEN SAVE", "SCREENSAVE", "SCREEN CAPTURE", "SCREENSHOT"),
    *("DOSE REPORT", "DOSE INFO", "DOSE SHEET", "DOSE SUMMARY", "DOSE RECORD"),
    *("PATIENT PROTOCOL", "PROTOCOL PAGE", "SOM5 PROT", "SOM7 PROT", "EXAM SUMMARY"),
)
_ARCHIVE = b"PK\x03\x04"
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True)
class Outcome:
    """What became of a file: written to `path`, or not, for a reason; a stray is no image.

    name : as the user knows it
    """

    name: str
    path: Path | None = None
    reason: str = ""
    stray: bool = False


def deidentify(
    paths: Iterable[Path], out: Path, deidentifier: Deidentifier, burned_in: BurnedIn = "refuse"
) -> Iterator[Outcome]:
    """Write the images of files, folders and ZIP archives without their patients.

    A patient is a folder, a study one in it, a series one in that; their names come from the keyed hashes.

    Parameters
    ----------
    out : an empty folder
    burned_in : whether images that may have words in their pixels are written

    Raises
    ------
    OSError
        if the folder cannot be written
    """
    for path in paths:
        for source in _files(series_source(path)):
            if isinstance(source, Rejected):
                yield Outcome(source.name, reason=f"{source.name}: {source.reason}")
            else:
                yield _one(source, out, deidentifier, burned_in)


def _files(source: SeriesSource, inside_zip: bool = False) -> Iterator[Source | Rejected]:
    """Every file, and of ZIP archives every member; an archive that cannot be read is one that is rejected."""
    try:
        for file in source.files():
            if isinstance(file, Rejected) or not _is_archive(file):
                yield file
            elif inside_zip:
                yield Rejected(file.name, "is a ZIP inside a ZIP; unpack the outer one first")
            else:
                yield from _files(ZipSource(file), inside_zip=True)
    except SourceError as error:
        yield Rejected(source.name, str(error))


def _is_archive(source: Source) -> bool:
    try:
        return source.read(len(_ARCHIVE)).startswith(_ARCHIVE)
    except SourceError:  # which says itself why, when it is read
        return False


def _one(source: Source, out: Path, deidentifier: Deidentifier, burned_in: BurnedIn) -> Outcome:
    name = source.name
    try:
        with barrier(lambda kind: DicomError(f"{name}: cannot be read ({kind})")):
            if not looks_like_dicom(source.read(132)):
                return Outcome(name, stray=True)
            if source.size > MAX_FILE_BYTES:
                raise DicomError(f"{name}: found more than {MAX_FILE_BYTES >> 20} MiB, expected fewer")
            dataset, rest = parse(source.read(), name)
            if _class_of(dataset) == _DIRECTORY:
                return Outcome(name, stray=True)
            _check(dataset, name, burned_in)
            made, data = _made(dataset, rest, name, deidentifier)
    except IchscopeError as error:
        said = str(error)
        return Outcome(name, reason=said if said.startswith(name) else f"{name}: {said}")
    uids = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    study, series, image = (_short(uid) for uid in uids)
    path = out / str(made.PatientID) / study / series / f"{image}.dcm"
    if path.exists() and path.read_bytes() != data:
        expected = "another one for each image"
        return Outcome(name, reason=str(DicomError.about(name, "SOPInstanceUID", "that of another file", expected)))
    with as_the_user_wants():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(data)
    return Outcome(name, path)


def _check(dataset: FileDataset, name: str, burned_in: BurnedIn) -> None:
    """Refuse what is no image of a kind that is known here, and what may have words in its pixels."""
    kind = _class_of(dataset)
    if kind not in CT and kind != SECONDARY_CAPTURE:
        found = UID(kind).name if kind.startswith("1.2.840.10008.") and UID(kind).name != kind else "another one"
        raise DicomError.about(name, "SOPClassUID", found if kind else "none", "a CT image's")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if not text(dataset, keyword):
            raise DicomError.about(name, keyword, "none", "a UID")
    if burned_in == "refuse" and (problem := _burned_in(dataset, kind)):
        raise DicomError.about(name, *problem)


def _burned_in(dataset: FileDataset, kind: str) -> tuple[str, str, str] | None:
    """The tag by which an image may have words in its pixels, what was found and what is expected."""
    said = text(dataset, "BurnedInAnnotation")
    if said == "NO":
        return None
    if said:
        return "BurnedInAnnotation", "YES" if said == "YES" else "another word", "NO"
    if kind == SECONDARY_CAPTURE:
        return "BurnedInAnnotation", "none, in a secondary capture", "NO"
    for keyword in ("ImageType", "SeriesDescription"):
        words = " ".join(texts(dataset, keyword)).upper().replace("_", " ")
        for screen in _SCREENS:
            if screen in words:
                return keyword, f"{screen}, and no Burned In Annotation", "an image of a patient's head"
    if kind == next(iter(CT)) and not text(dataset, "ImagePositionPatient"):
        return "ImagePositionPatient", "none, and no Burned In Annotation", "that of a slice"
    return None


def _made(dataset: FileDataset, rest: memoryview, name: str, deidentifier: Deidentifier) -> tuple[Dataset, bytes]:
    """The image that stays, and its file."""
    syntax = _syntax(dataset, name)
    with config.disable_value_validation():
        made = deidentifier(dataset)
        made.SOPClassUID = _class_of(dataset)
        _add_pixels(made, dataset, rest, name, syntax)
        made.file_meta = FileMetaDataset()
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.file_meta.TransferSyntaxUID = syntax
        with BytesIO() as file:
            pydicom.dcmwrite(file, made, enforce_file_format=True)
            return made, file.getvalue()


def _syntax(dataset: FileDataset, name: str) -> UID:
    if not (said := _meta(dataset, "TransferSyntaxUID")):  # a file without meta information
        implicit, little = dataset.original_encoding
        return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    if not UID(said).is_transfer_syntax or UID(said).is_private:
        raise DicomError.about(name, "TransferSyntaxUID", "an unknown one", "one of DICOM's")
    return UID(said)


def _add_pixels(made: Dataset, dataset: FileDataset, rest: memoryview, name: str, syntax: UID) -> None:
    """Take over the pixels and not a byte more: what stands behind them may be anything."""
    value = pixel_data(dataset, rest)
    if value is None:
        raise DicomError.about(name, "PixelData", "none", "an image's")
    if syntax.is_encapsulated:
        made.add_new("PixelData", "OB", _fragments(value, name))
        return
    planes = (made.get(keyword) or 1 for keyword in ("NumberOfFrames", "SamplesPerPixel"))
    length = int(made.get("Rows") or 0) * int(made.get("Columns") or 0) * int(made.get("BitsAllocated") or 0) // 8
    for count in planes:
        length *= int(count)
    if not 0 < length <= len(value):
        raise DicomError.about(name, "PixelData", f"{len(value)} bytes", f"{length}, as rows and columns say")
    made.add_new("PixelData", "OW", value[:length].tobytes() + b"\0" * (length % 2))


def _fragments(value: memoryview, name: str) -> bytes:
    """The items of encapsulated pixels, without what follows them (PS3.5 A.4)."""
    at = 0
    while value[at : at + 4] == _ITEM:
        at += 8 + int.from_bytes(value[at + 4 : at + 8], "little")
    if not at or at > len(value) or value[at : at + 4] != _DELIMITER:
        raise DicomError.about(name, "PixelData", "damaged items", "items and their end")
    return value[:at].tobytes()


def _class_of(dataset: FileDataset) -> str:
    return text(dataset, "SOPClassUID") or _meta(dataset, "MediaStorageSOPClassUID")


def _meta(dataset: FileDataset, keyword: str) -> str:
    """A UID of the file's own header, "" where there is none."""
    return str(getattr(dataset, "file_meta", Dataset()).get(keyword, "")).strip("\0 ")


def _short(uid: str) -> str:
    """The end of a random number, long enough to be nobody else's."""
    return uid[-16:]
