"""Header facts of one CT image, classic or Enhanced; absent or garbage means unknown, not an error."""

from __future__ import annotations

import re
from datetime import date

from pydicom.dataset import Dataset

from ichscope.imaging.contrast import contrast_of
from ichscope.imaging.elements import DicomError, items, number, text, texts
from ichscope.imaging.facts import ImageFacts
from ichscope.imaging.geometry import Numbers
from ichscope.imaging.series import Header

_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_AGE = re.compile(r"(\d{1,3})\s*([DWMY])", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"(\d{4})([.-]?)(\d{2})\2(\d{2})(\D.*)?", re.ASCII)
_OLDEST = 130
ADULT_YEARS = 18
_LONGEST = 64


def header_of(dataset: Dataset, shared: Dataset) -> Header:
    """Header facts of an image; `shared` are the shared functional groups of an Enhanced one, or empty.

    References
    ----------
    PS3.3 C.7.1.1 Patient, C.7.2.1 and C.7.2.2 Study, C.7.5.1 Equipment, C.8.2.1 CT Image

    Examples
    --------
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = [to_bytes(dataset) for dataset in datasets(make(slices=4, size=64))]
    >>> from ichscope.imaging.elements import parse
    >>> dataset, _ = parse(files[0], "IM0001")
    >>> header = header_of(dataset, Dataset())
    >>> header.modality, header.kernel
    ('CT', 'SYNTHETIC')
    """
    acquisition = (dataset, *_groups(shared, "CTAcquisitionDetailsSequence"))
    exposure = (dataset, *_groups(shared, "CTXRayDetailsSequence"))
    measures = (dataset, *_groups(shared, "PixelMeasuresSequence"))
    anatomy = (dataset, *_groups(shared, "FrameAnatomySequence"))
    return Header(
        modality=_word(dataset, "Modality"),
        body_part=_body_part(anatomy),
        image_type=texts(dataset, "ImageType"),
        manufacturer=_word(dataset, "Manufacturer"),
        scanner=_word(dataset, "ManufacturerModelName"),
        institution=_word(dataset, "InstitutionName"),
        kernel=_kernel(dataset, shared),
        contrast=contrast_of(dataset, shared),
        kvp=_fact(exposure, "KVP"),
        slice_thickness_mm=_fact(measures, "SliceThickness"),
        gantry_tilt_deg=_fact(acquisition, "GantryDetectorTilt", allow_zero=True),
        age_years=_age(dataset),
        sex=sex if (sex := _word(dataset, "PatientSex")) in ("F", "M", "O") else "",
        study_date=_day(dataset, "StudyDate"),
    )


def image_facts(
    dataset: Dataset, shared: Dataset, orientation: Numbers | None, position: Numbers | None, slices: int | None = None
) -> ImageFacts:
    """What an image, or a frame of it, says of how well its series speaks for the study.

    slices : how many the image holds, if not as many as its Number of Frames
    """
    thickness = _fact((dataset, *_groups(shared, "PixelMeasuresSequence")), "SliceThickness")
    number = _fact((dataset,), "SeriesNumber", allow_zero=True)
    return ImageFacts(
        modality=_word(dataset, "Modality"),
        image_type=texts(dataset, "ImageType"),
        orientation=orientation,
        position=position,
        kernel=_kernel(dataset, shared),
        slice_thickness_mm=thickness if thickness and thickness > 0 else None,
        series_number=None if number is None else int(number),
        slices=slices or max(1, int(_fact((dataset,), "NumberOfFrames") or 1)),
        contrast=bool(contrast_of(dataset, shared)),
    )


def _kernel(dataset: Dataset, shared: Dataset) -> str:
    places = (dataset, *_groups(shared, "CTReconstructionSequence"))
    return next(filter(None, (_word(place, "ConvolutionKernel") for place in places)), "")


def _groups(shared: Dataset, sequence: str) -> list[Dataset]:
    try:
        return items(shared, sequence, "")
    except DicomError:
        return []


def _word(dataset: Dataset, keyword: str) -> str:
    return text(dataset, keyword)[:_LONGEST]


def _fact(places: tuple[Dataset, ...], keyword: str, allow_zero: bool = False) -> float | None:
    for place in places:
        try:
            value = number(place, keyword, "")
        except DicomError:
            continue
        if value is not None and (value != 0 or allow_zero):
            return value
    return None


def _body_part(places: tuple[Dataset, ...]) -> str:
    for place in places:
        if part := _word(place, "BodyPartExamined"):
            return part.upper()
        for region in _groups(place, "AnatomicRegionSequence"):
            if meaning := _word(region, "CodeMeaning"):
                return meaning.upper()
    return ""


def said_age(dataset: Dataset) -> float | None:
    """Patient's Age in years ('034Y', '006M'); in any other form it is unknown.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.PatientAge = "006M"
    >>> said_age(dataset)
    0.5
    """
    said = _AGE.fullmatch(text(dataset, "PatientAge"))
    years = round(int(said[1]) * _YEARS[said[2].upper()], 2) if said else None
    return years if years is not None and years <= _OLDEST else None


def age_by_dates(dataset: Dataset) -> float | None:
    """Years from birth to study, None where either is unknown.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.PatientBirthDate, dataset.StudyDate = "19640102", "20240102"
    >>> age_by_dates(dataset)
    60.0
    """
    born, seen = _day(dataset, "PatientBirthDate"), _day(dataset, "StudyDate")
    years = round((seen - born).days / 365.25, 2) if born and seen else -1
    return years if 0 <= years <= _OLDEST else None


def _age(dataset: Dataset) -> float | None:
    years = said_age(dataset)
    return age_by_dates(dataset) if years is None else years


def _day(dataset: Dataset, keyword: str) -> date | None:
    """A date as 20240131, as ACR-NEMA had it (2024.01.31), or 2024-01-31; in any other form it is unknown."""
    said = _DATE.fullmatch(text(dataset, keyword))
    try:
        return date(int(said[1]), int(said[3]), int(said[4])) if said else None
    except ValueError:
        return None
