"""Series of one known head whose headers are made wrong, missing or contradictory, and what becomes of each.

A series is given by a number alone. What counts is what a model would be given: it equals that of the untouched head,
or a finding says why not, or there is no result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

from ichscope.analyse import analyse
from ichscope.imaging.findings import FindingLevel, Status
from ichscope.imaging.preprocess import model_input
from ichscope.imaging.series import Series
from ichscope.phantom import datasets, make, to_bytes
from ichscope.results import SeriesResult, StudyResult

SIZE = 64
_AIR_HU = np.int16(-700)  # edges of air take on a little of what is taken for air
_MOST_CHANGES = 3
_MISSING, _GARBAGE = object(), "?!"

Rng = np.random.Generator
# A tag's value in each slice -> the wrong ones.
Wrong = Callable[[list[Any], Rng], list[Any]]


@dataclass(frozen=True)
class Change:
    """One tag made wrong: how, and in which slices."""

    keyword: str
    how: str
    where: str

    @property
    def tag(self) -> str:
        """The tag as findings write it, such as (0020,0032)."""
        number = tag_for_keyword(self.keyword) or 0
        return f"({number >> 16:04X},{number & 0xFFFF:04X})"

    @property
    def kind(self) -> str:
        """What to call this kind of change."""
        return f"{self.keyword} {self.how} in {self.where}"


@dataclass(frozen=True)
class Outcome:
    """What became of a series.

    verdict : "same", "named" (a finding names a changed tag), "said" (another finding is new), "refused", "silent",
        or "lost" (no result at all)
    """

    changes: tuple[Change, ...]
    verdict: str
    findings: tuple[str, ...]


def value(name: str, wrong: Any) -> tuple[str, Wrong]:
    """The same wrong value everywhere."""
    return name, lambda values, rng: [wrong] * len(values)


def scaled(factor: float) -> tuple[str, Wrong]:
    """Every number of the value times a factor."""

    def scale(value: Any) -> Any:
        return [float(part) * factor for part in value] if isinstance(value, Sequence) else float(value) * factor

    return f"times {factor:g}", lambda values, rng: [scale(value) for value in values]


def _shuffled(values: list[Any], rng: Rng) -> list[Any]:
    return [values[place] for place in rng.permutation(len(values))]


_REVERSED = ("reversed", lambda values, rng: values[::-1])
_SHUFFLED = ("shuffled", _shuffled)
_FIRST = ("that of the first", lambda values, rng: values[:1] * len(values))
_DOUBLED = ("each twice", lambda values, rng: [values[i // 2 * 2] for i in range(len(values))])
_ORDERS = (_REVERSED, _SHUFFLED, _FIRST, _DOUBLED)
_OTHER_UID = value("another", "1.2.826.0.1.3680043.8.498.999")

# How a tag goes wrong; missing, empty and garbage are tried of each beside these.
WRONG: dict[str, tuple[tuple[str, Wrong], ...]] = {
    "ImagePositionPatient": (*_ORDERS, scaled(2.0), value("zero", [0, 0, 0])),
    "ImageOrientationPatient": (
        value("turned by 180", [-1, 0, 0, 0, -1, 0]),
        value("mirrored", [-1, 0, 0, 0, 1, 0]),
        value("coronal", [1, 0, 0, 0, 0, -1]),
        value("transposed", [0, 1, 0, 1, 0, 0]),
        value("tilted", [1, 0, 0, 0, 0.94, -0.342]),
        value("zero", [0, 0, 0, 0, 0, 0]),
    ),
    "PixelSpacing": (scaled(2.0), scaled(0.5), scaled(0.0), scaled(-1.0), value("oblong", [3.882549, 1.941274])),
    "SliceThickness": (scaled(2.0), scaled(0.25), scaled(0.0), scaled(-1.0)),
    "SpacingBetweenSlices": (scaled(2.0), scaled(0.5), scaled(0.0)),
    "SliceLocation": _ORDERS,
    "InstanceNumber": (*_ORDERS, value("zero", 0)),
    "AcquisitionNumber": (value("another", 2),),
    "ImagesInAcquisition": (scaled(2.0), scaled(0.5)),
    "GantryDetectorTilt": (value("20", 20),),
    "FrameOfReferenceUID": (_OTHER_UID,),
    "PatientPosition": (value("feet first", "FFS"), value("prone", "HFP")),
    "RescaleIntercept": (*(value(str(number), number) for number in (0, -1000, -8192, 1024)),),
    "RescaleSlope": (scaled(2.0), scaled(0.5), scaled(0.0), scaled(-1.0)),
    "RescaleType": (value("US", "US"), value("OD", "OD"), value("MGML", "MGML")),
    "BitsStored": (*(value(str(number), number) for number in (8, 10, 11, 16)),),
    "HighBit": (*(value(str(number), number) for number in (7, 10, 15)),),
    "PixelRepresentation": (value("signed", 1),),
    "SamplesPerPixel": (value("3", 3),),
    "PhotometricInterpretation": (value("inverted", "MONOCHROME1"), value("colour", "RGB")),
    "Rows": (scaled(0.5), scaled(2.0)),
    "Columns": (scaled(0.5), scaled(2.0)),
    "NumberOfFrames": (value("2", 2), value("0", 0)),
    "PixelPaddingValue": (value("that of air", 24), value("that of brain", 1060)),
    "LossyImageCompression": (value("yes", "01"),),
    "StudyInstanceUID": (_OTHER_UID,),
    "SeriesInstanceUID": (_OTHER_UID,),
    "SOPInstanceUID": (_OTHER_UID, _FIRST, _DOUBLED),
    "SOPClassUID": (value("MR", "1.2.840.10008.5.1.4.1.1.4"), value("capture", "1.2.840.10008.5.1.4.1.1.7")),
    "PatientID": (value("another", "OTHER"),),
    "PatientName": (value("another", "OTHER^NAME"),),
    "PatientBirthDate": (value("another", "19010101"), value("a child's", "20200101")),
    "PatientAge": (value("a child's", "005Y"), value("none", "000Y")),
    "PatientSex": (value("another", "O"),),
    "Modality": (value("MR", "MR"), value("PT", "PT"), value("OT", "OT")),
    "BodyPartExamined": (value("chest", "CHEST"), value("neck", "NECK"), value("knee", "KNEE")),
    "ConvolutionKernel": (value("bone", "H70h"),),
    "ContrastBolusAgent": (value("iodine", "IOMEPROL"),),
    "ImageType": (
        value("localizer", ["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        value("derived", ["DERIVED", "SECONDARY", "MPR"]),
    ),
    "KVP": (value("80", 80), value("zero", 0)),
    "SeriesNumber": (value("another", 9),),
    "AcquisitionTime": (value("another", "040506"),),
    "TemporalPositionIdentifier": (value("another", 2),),
    "StudyDate": (value("another", "20230102"),),
    "Manufacturer": (value("another", "OTHER"),),
}
_WHERE: dict[str, Callable[[int, Rng], list[int]]] = {
    "all": lambda count, rng: list(range(count)),
    "one": lambda count, rng: [int(rng.integers(count))],
    "some": lambda count, rng: sorted(rng.choice(count, count // 4, replace=False).tolist()),
    "every second": lambda count, rng: list(range(1, count, 2)),
    "the upper half": lambda count, rng: list(range(count // 2, count)),
}


@cache
def head() -> tuple[Dataset, ...]:
    """The untouched series: a bleeding head from skull base to vertex, with all the tags that may contradict."""
    slices = datasets(make("subdural", seed=3, size=SIZE))
    for dataset in slices:
        dataset.SpacingBetweenSlices = dataset.SliceThickness
        dataset.ImagesInAcquisition = len(slices)
    return tuple(slices)


@cache
def _head_files() -> tuple[bytes, ...]:
    return tuple(map(_file, _parts()))


@cache
def _parts() -> tuple[dict[int, bytes], ...]:
    """The elements of each file as bytes, by tag; under 0 what comes before them."""
    return tuple(
        {0: _start(dataset), **{int(e.tag): _encoded(e.tag, e.VR, e.value) for e in dataset}} for dataset in head()
    )


def _file(parts: dict[int, bytes]) -> bytes:
    return b"".join(parts[tag] for tag in sorted(parts))


def _start(dataset: Dataset) -> bytes:
    """Preamble and file meta group."""
    file = to_bytes(dataset)
    return file[: file.index(_encoded(0x00080008, "CS", dataset.ImageType))]


def _encoded(tag: int, vr: str, value: Any) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, DataElement(tag, {"OB or OW": "OW", "US or SS": "US"}.get(vr, vr), value))
    return buffer.getvalue()


@cache
def untouched() -> StudyResult:
    """What the untouched series gives."""
    (result,) = analyse(_named(_head_files()), {})
    return result


def changes_of(number: int) -> tuple[Change, ...]:
    """The changes that a number stands for: one to three, of different tags."""
    rng = np.random.default_rng([17, number])
    keywords = rng.choice(list(WRONG), int(rng.integers(1, _MOST_CHANGES + 1)), replace=False)
    changes = []
    for keyword in map(str, keywords):
        ways = ["missing", "empty", "garbage", *(name for name, _ in WRONG[keyword])] + [n for n, _ in WRONG[keyword]]
        changes.append(Change(keyword, str(rng.choice(ways)), str(rng.choice(list(_WHERE)))))
    return tuple(changes)


def single_changes() -> list[Change]:
    """Every change there is, each alone."""
    return [
        Change(keyword, how, where)
        for keyword, wrong in WRONG.items()
        for how in ("missing", "empty", "garbage", *(name for name, _ in wrong))
        for where in _WHERE
    ]


def files_of(changes: Sequence[Change], number: int) -> list[tuple[str, bytes]]:
    """The files of the changed series."""
    rng = np.random.default_rng([18, number])
    changed: dict[int, dict[int, bytes]] = {}
    for change in changes:
        values = _wrong_values(change, rng)
        for place in _WHERE[change.where](len(head()), rng):
            _set(changed.setdefault(place, dict(_parts()[place])), change.keyword, values[place])
    files = list(_head_files())
    for place, parts in changed.items():
        files[place] = _file(parts)
    return _named(files)


def outcome_of(changes: Sequence[Change], number: int) -> Outcome:
    """Read and check the changed series as any other, and judge what became of it."""
    results = list(analyse(files_of(changes, number), {}))
    usual = {(finding.code, finding.text) for finding in untouched().speaks.findings}
    new = [
        finding
        for result in results
        for series in result.series
        for finding in series.findings
        if (finding.code, finding.text) not in usual
    ]
    told = tuple(f"{finding.code}: {finding.text}" for finding in new)
    shown = [result.speaks for result in results if result.status != Status.NOT_ANALYSED]
    names = [name for change in changes for name in (change.tag, dictionary_description(change.keyword))]
    if not results:
        verdict = "lost"
    elif not shown:
        verdict = "refused"
    elif len(shown) == 1 and same_input(shown[0]):
        verdict = "same"
    elif any(name.lower() in text.lower() for name in names for text in told):
        verdict = "named"
    else:
        verdict = "said" if any(finding.level != FindingLevel.OK for finding in new) else "silent"
    return Outcome(tuple(changes), verdict, told)


def same_input(result: SeriesResult) -> bool:
    """Whether a model would be given the very numbers of the untouched series, all air being as good as any."""
    if _same_volume(result.volume, untouched().speaks.volume):
        return True
    given, expected = _model_input(result), _expected_input()
    return given.shape == expected.shape and bool((given == expected).all())


def _same_volume(given: Series | None, expected: Series | None) -> bool:
    assert given is not None
    assert expected is not None
    same_spacing = given.pixel_spacing_mm == expected.pixel_spacing_mm
    return same_spacing and np.array_equal(given.hu, expected.hu)


@cache
def _expected_input() -> NDArray[np.int16]:
    return _model_input(untouched().speaks)


def _model_input(result: SeriesResult) -> NDArray[np.int16]:
    assert result.volume is not None
    return np.maximum(model_input(result.volume.hu, result.volume.pixel_spacing_mm)[0], _AIR_HU)


def _named(files: Sequence[bytes]) -> list[tuple[str, bytes]]:
    return [(f"study/IM{number:04}.dcm", file) for number, file in enumerate(files, start=1)]


def _wrong_values(change: Change, rng: Rng) -> list[Any]:
    plain = {"missing": _MISSING, "empty": None, "garbage": _GARBAGE}
    if change.how in plain:
        return [plain[change.how]] * len(head())
    values = [dataset.get(change.keyword) for dataset in head()]
    return dict(WRONG[change.keyword])[change.how](values, rng)


def _set(parts: dict[int, bytes], keyword: str, wrong: Any) -> None:
    tag, vr = tag_for_keyword(keyword) or 0, dictionary_VR(keyword)
    if wrong is _MISSING:
        parts.pop(tag, None)
    elif wrong is _GARBAGE:
        parts[tag] = _encoded(tag, "LO", _GARBAGE).replace(b"LO", vr[:2].encode(), 1)
    else:
        whole = isinstance(wrong, float) and vr in ("US", "IS")
        parts[tag] = _encoded(tag, vr, int(wrong) if whole else wrong)
