"""What objects take over from the files of a series: patient and study as they stand there, and where each slice is.

It is read again, beside the result, since results bear no identifier. It is kept no longer than objects may be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from ichscope.errors import barrier
from ichscope.imaging.elements import DicomError, integer, number, parse, text, texts
from ichscope.imaging.frames import frame_name, functional_groups, grouped
from ichscope.imaging.geometry import Numbers
from ichscope.imaging.intake import Group
from ichscope.imaging.limits import too_many_voxels
from ichscope.imaging.series import Slice
from ichscope.imaging.source import Source, SourceError
from ichscope.objects.refusal import ObjectError
from ichscope.objects.uids import what_is_wrong

# Of the modules Patient, Clinical Trial Subject, General Study, Patient Study and Clinical Trial Study (PS3.3 C.7.1,
# C.7.2), what is no sequence.
PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "PatientBirthDate", "PatientBirthTime",
    "PatientSex", "QualityControlSubject", "OtherPatientNames", "EthnicGroup", "PatientComments",
    "PatientIdentityRemoved", "DeidentificationMethod", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID", "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
    "AccessionNumber", "StudyDescription", "PhysiciansOfRecord", "AdmittingDiagnosesDescription", "PatientAge",
    "PatientSize", "PatientWeight", "Occupation", "AdditionalPatientHistory", "AdmissionID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)  # fmt: skip
# Whoever makes an image of one that was compressed lossily says so (PS3.3 C.7.6.1.1.5).
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_IMAGES = {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}


@dataclass(frozen=True)
class SliceHeader:
    """Which image, and which frame of it, a slice is, and where it lies (PS3.3 C.7.6.2).

    frame : its number in an image of several, from 1; None in a classic image
    position, orientation, spacing_mm : of the file, before any flip; None where absent
    """

    file: str
    sop_class: str
    sop: str
    series: str
    frame: int | None
    rows: int
    columns: int
    frame_of_reference: str = ""
    position: Numbers | None = None
    orientation: Numbers | None = None
    spacing_mm: Numbers | None = None
    thickness_mm: float | None = None


@dataclass(frozen=True, eq=False)
class Headers:
    """Of one series: patient and study as the first file has them, byte for byte, and its slices from foot to head.

    lossy : what the first file says of lossy compression, empty where it says that there was none
    """

    study: str = field(repr=False)
    patient_and_study: Dataset = field(repr=False)
    slices: tuple[SliceHeader, ...] = field(repr=False)
    lossy: Dataset = field(default_factory=Dataset, repr=False)


def headers_of(group: Group, slices: Sequence[Slice]) -> Headers:
    """Read the headers of a series again.

    Parameters
    ----------
    group : the series' files, as the intake has them
    slices : those of its result, from foot to head; files that were left out are not among them

    Raises
    ------
    ObjectError
        if the series is none of DICOM files, a file cannot be read any more, or its identifiers are missing, invalid
        or twice there: no object could refer to it

    Examples
    --------
    >>> from ichscope.imaging.dicom import read_series
    >>> from ichscope.imaging.intake import collect
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = [(f"IM{n}", to_bytes(one)) for n, one in enumerate(datasets(make(slices=4, size=64)))]
    >>> [group] = collect(files).groups
    >>> headers = headers_of(group, read_series(group.sources, group.identity).slices)
    >>> [place.file for place in headers.slices], str(headers.patient_and_study.PatientName)
    (['IM0', 'IM1', 'IM2', 'IM3'], 'SYNTHETIC^PHANTOM')
    """
    if group.kind != "ct":
        raise ObjectError(f"{group.sources[0].name}: found a picture, expected DICOM files: it has no headers")
    if not slices:
        raise ObjectError(f"{group.sources[0].name}: found no slice that could be read, expected at least one")
    with barrier(lambda kind: ObjectError(f"{group.sources[0].name}: unexpected {kind} in the headers of its series")):
        return _read(group, slices)


def _read(group: Group, slices: Sequence[Slice]) -> Headers:
    found: dict[tuple[str, str], tuple[Dataset, SliceHeader]] = {}
    for source in group.sources:
        found.update(_slices_of(source, {(place.file, place.sop) for place in slices}))
    if missing := [place.file for place in slices if (place.file, place.sop) not in found]:
        raise ObjectError(f"{missing[0]}: found another file than when it was analysed, expected the same")
    first = found[slices[0].file, slices[0].sop][0]
    places = tuple(found[place.file, place.sop][1] for place in slices)
    _check_one_study([found[place.file, place.sop][0] for place in slices], places)
    _check_no_repeats(places)
    taken = taken_over(first, ("SpecificCharacterSet", *PATIENT_AND_STUDY))
    lossy = taken_over(first, LOSSY if "01" in texts(first, "LossyImageCompression") else ())
    return Headers(text(first, "StudyInstanceUID"), taken, places, lossy)


def _slices_of(
    source: Source, wanted: set[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], tuple[Dataset, SliceHeader]]]:
    """The slices of one file that are wanted, by their name and SOP Instance UID; none of a file that was left out."""
    try:
        data = source.read()
        dataset, _ = parse(data, source.name)
        sop, frames = text(dataset, "SOPInstanceUID"), int(number(dataset, "NumberOfFrames", source.name) or 1)
        rows, columns = (integer(dataset, keyword, source.name) or 0 for keyword in ("Rows", "Columns"))
        if too_many_voxels(frames * rows * columns, len(data)):
            return  # the reader has left it out, too
        names = [frame_name(source.name, index, frames) for index in range(frames)]
        if any((name, sop) in wanted for name in names):
            shared, own = functional_groups(dataset, frames, source.name)
            _check_image(dataset, source.name)
            for index, name in enumerate(names):
                groups = (own[index], shared) if own else (shared,)
                yield (name, sop), (dataset, _slice_header(dataset, groups, name, index + 1 if frames > 1 else None))
    except SourceError as error:
        raise ObjectError(f"{source.name}: {error}") from None
    except DicomError as error:
        raise ObjectError(str(error)) from None


def _check_image(dataset: Dataset, file: str) -> None:
    """Without these nothing can refer to an image (PS3.3 10.8)."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if wrong := what_is_wrong(text(dataset, keyword)):
            raise ObjectError.about(file, keyword, wrong, "a UID, by which objects refer to the image")
    if text(dataset, "SOPClassUID") not in _IMAGES:
        raise ObjectError.about(file, "SOPClassUID", "another class", "CT Image or Enhanced CT Image Storage")


def _slice_header(dataset: Dataset, groups: tuple[Dataset, ...], name: str, frame: int | None) -> SliceHeader:
    thickness = grouped(dataset, groups, "PixelMeasuresSequence", "SliceThickness", 1, name)
    return SliceHeader(
        file=name,
        sop_class=text(dataset, "SOPClassUID"),
        sop=text(dataset, "SOPInstanceUID"),
        series=text(dataset, "SeriesInstanceUID"),
        frame=frame,
        rows=integer(dataset, "Rows", name) or 0,
        columns=integer(dataset, "Columns", name) or 0,
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        position=grouped(dataset, groups, "PlanePositionSequence", "ImagePositionPatient", 3, name),
        orientation=grouped(dataset, groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6, name),
        spacing_mm=grouped(dataset, groups, "PixelMeasuresSequence", "PixelSpacing", 2, name),
        thickness_mm=thickness[0] if thickness and thickness[0] > 0 else None,
    )


def _check_one_study(datasets: Sequence[Dataset], places: Sequence[SliceHeader]) -> None:
    study = text(datasets[0], "StudyInstanceUID")
    for dataset, place in zip(datasets, places, strict=True):
        if text(dataset, "StudyInstanceUID") != study:
            raise ObjectError.about(place.file, "StudyInstanceUID", "another study", "the same in all slices")


def _check_no_repeats(places: Sequence[SliceHeader]) -> None:
    seen: set[tuple[str, int | None]] = set()
    for place in places:
        if (place.sop, place.frame) in seen:
            raise ObjectError.about(place.file, "SOPInstanceUID", "that of another slice", "one of its own")
        seen.add((place.sop, place.frame))


def taken_over(dataset: Dataset, keywords: Sequence[str]) -> Dataset:
    """Elements of text, byte for byte: nothing is decoded, so nothing can be lost by it."""
    taken = Dataset()
    for keyword in keywords:
        element = dataset.get_item(tag_for_keyword(keyword) or 0)
        if element is not None:
            taken[element.tag] = _raw(element)
    taken.set_original_encoding(False, True, dataset.original_character_set)
    return taken


def _raw(element: RawDataElement | DataElement) -> RawDataElement | DataElement:
    """An element as it stands in the file, with the type that the standard gives it."""
    if isinstance(element, DataElement):
        return element
    value = element.value or b""
    return RawDataElement(BaseTag(element.tag), dictionary_VR(element.tag), len(value), value, 0, False, True)
