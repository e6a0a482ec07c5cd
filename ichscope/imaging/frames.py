"""One DICOM file into frames in HU: stored values, sign, padding, rescale; classic and Enhanced CT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ichscope.imaging import codecs
from ichscope.imaging.elements import (
    DicomError,
    describe,
    integer,
    items,
    number,
    numbers,
    parse,
    pixel_data,
    text,
    texts,
)
from ichscope.imaging.facts import ImageFacts
from ichscope.imaging.geometry import Numbers, Shape, is_direction, position_mm
from ichscope.imaging.header import image_facts
from ichscope.imaging.hounsfield import check_unit, to_hu
from ichscope.imaging.limits import too_many_voxels
from ichscope.imaging.lossy import lossy_findings
from ichscope.imaging.series import Finding, FindingLevel
from ichscope.imaging.stored import PixelFormat, Stored, read_words

_LARGEST_SIDE = 8192
# Philips' private name for Explicit VR Little Endian, as GDCM and dcm4che list it.
_PHILIPS_EXPLICIT = "1.3.46.670589.33.1.4.1"
_NO_GROUPS = Dataset()


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice as read: (rows, columns) int16 HU in the file's own orientation, and where it lies.

    position : Image Position (Patient) in mm, None where absent
    order : Instance Number or number of the frame, for files that say nothing better
    rescale : slope and intercept
    findings : what was assumed where the header does not fit the pixels
    dataset, shared, own : the header without pixels, and the functional groups of an Enhanced image, shared and own
    index : number of the frame in a file of several, from 1; None in a file of one
    """

    file: str
    hu: NDArray[np.int16]
    shape: Shape
    position: Numbers | None
    order: float
    dataset: Dataset
    shared: Dataset
    rescale: tuple[float, float] = (1.0, 0.0)
    findings: tuple[Finding, ...] = ()
    own: Dataset = field(default_factory=Dataset)
    index: int | None = None

    def uid(self, keyword: str) -> str:
        """An identifier from the header, "" where absent."""
        return text(self.dataset, keyword)

    @property
    def place(self) -> float | None:
        """Place along the slice normal in mm, None where unknown."""
        return None if self.position is None else position_mm(self.position, self.shape.orientation)

    @cached_property
    def facts(self) -> ImageFacts:
        """What the header says of how well its series speaks for the study."""
        return image_facts(self.dataset, self.shared, self.shape.orientation, self.position, slices=1)


def read_frames(data: bytes, file: str) -> list[Frame]:
    """Decode all frames of one file to HU.

    Raises
    ------
    DicomError
        if it is no CT image, lacks what HU needs, or is damaged

    References
    ----------
    PS3.3 C.7.6.3 Image Pixel, C.8.2.1 CT Image, C.8.15 Enhanced CT, C.11.1 Modality LUT; PS3.5 8 for pixels

    Examples
    --------
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = [to_bytes(dataset) for dataset in datasets(make(slices=4, size=64))]
    >>> [frame] = read_frames(files[0], "IM0001")
    >>> frame.hu.shape, frame.shape.rows, frame.place is not None
    ((64, 64), 64, True)
    """
    return begin_frames(data, file)()


def begin_frames(data: bytes, file: str) -> Callable[[], list[Frame]]:
    """Begin to read a file: its pixels, where they are compressed, are being decoded when this returns.

    Returns
    -------
    what gives the frames; as `read_frames`, this and that may raise a DicomError
    """
    dataset, rest = parse(data, file)
    _check_modality(dataset, file)
    pixels = _pixels(dataset, len(data), file)
    shared, own = functional_groups(dataset, pixels.frames, file)
    values = pixel_data(dataset, rest)
    syntax, findings = _transfer_syntax(dataset, len(values or b""), pixels, file)
    packed = pixels.frames * pixels.rows * pixels.columns * pixels.stored / 8
    findings += _length_findings(syntax, len(values or b""), pixels)
    findings += lossy_findings(dataset, syntax, len(values or b""), packed)
    first = _instance_number(dataset) if pixels.frames == 1 else None
    stored = _stored(syntax, values, pixels, file)

    def frame(index: int, words: Stored) -> Frame:
        groups = (own[index], shared) if own else (shared,)
        hu, rescale, noticed = _hounsfield(words, dataset, groups, pixels, file)
        return Frame(
            file=frame_name(file, index, pixels.frames),
            hu=hu,
            shape=_shape(dataset, groups, pixels, file),
            position=grouped(dataset, groups, "PlanePositionSequence", "ImagePositionPatient", 3, file),
            order=index if first is None else first,
            dataset=dataset,
            shared=shared,
            rescale=rescale,
            findings=findings + noticed,
            own=own[index] if own else _NO_GROUPS,
            index=None if pixels.frames == 1 else index + 1,
        )

    return lambda: [frame(index, words) for index, words in enumerate(stored)]


def _hounsfield(
    words: Stored, dataset: Dataset, groups: tuple[Dataset, ...], pixels: PixelFormat, file: str
) -> tuple[NDArray[np.int16], tuple[float, float], tuple[Finding, ...]]:
    """HU of one frame, its slope and intercept, and what was noticed."""
    findings = check_unit(_units(dataset, groups, file), file)
    rescale = _rescale(dataset, groups, file)
    stored, bits = read_words(words, pixels, rescale)
    hu, padding = to_hu(stored, rescale, _padding(dataset, pixels, stored.dtype.kind == "i"))
    return hu, rescale, findings + bits + padding


def _check_modality(dataset: Dataset, file: str) -> None:
    modality = text(dataset, "Modality")
    if modality not in ("CT", ""):
        raise DicomError.about(file, "Modality", modality[:16], "CT")


def _instance_number(dataset: Dataset) -> float | None:
    """Instance Number; one that is no number ("1/32") is unknown."""
    try:
        return number(dataset, "InstanceNumber", "")
    except DicomError:
        return None


def _units(dataset: Dataset, groups: tuple[Dataset, ...], file: str) -> list[str]:
    """Rescale Type of the image, and of its frame's Pixel Value Transformation Sequence."""
    inside = [item for group in (*groups, dataset) for item in items(group, "PixelValueTransformationSequence", file)]
    return [text(place, "RescaleType") for place in (dataset, *inside)]


def _pixels(dataset: Dataset, length: int, file: str) -> PixelFormat:
    def required(keyword: str, low: int, high: int, default: int | None = None, by: str = "") -> int:
        value = integer(dataset, keyword, file)
        value = default if value is None else value
        if value is None or not low <= value <= high:
            actual = "none" if value is None else value
            expected = f"{low}" if low == high else f"a number from {low} to {high}"
            raise DicomError.about(file, keyword, actual, f"{expected} by {describe(by)}" if by else expected)
        return value

    rows, columns = required("Rows", 2, _LARGEST_SIDE), required("Columns", 2, _LARGEST_SIDE)
    required("SamplesPerPixel", 1, 1, default=1)
    allocated = required("BitsAllocated", 8, 32)
    if allocated not in (8, 16, 32):
        raise DicomError.about(file, "BitsAllocated", allocated, "8, 16 or 32")
    stored = required("BitsStored", 1, allocated, allocated, by="BitsAllocated")
    high = integer(dataset, "HighBit", file)
    high = stored - 1 if high is None else high
    if not stored <= high + 1 <= allocated:
        raise DicomError.about(file, "HighBit", high, f"{stored - 1} with {describe('BitsStored')} {stored}")
    signed = required("PixelRepresentation", 0, 1, default=0) == 1
    frames = number(dataset, "NumberOfFrames", file) or 1
    if frames < 1:
        raise DicomError.about(file, "NumberOfFrames", frames, "at least 1")
    if problem := too_many_voxels(int(frames) * rows * columns, length):
        named = f"{describe('NumberOfFrames')}: found {int(frames)} of {rows} x {columns}"
        raise DicomError(f"{file}: {named}: {problem}")
    return PixelFormat(rows, columns, int(frames), allocated, stored, high, signed, _overlay_bits(dataset))


def frame_name(file: str, index: int, frames: int) -> str:
    """What a slice is called: as its file, with the number of the frame where the file has several.

    Examples
    --------
    >>> frame_name("IM1", 0, 1), frame_name("IM1", 0, 8)
    ('IM1', 'IM1, frame 1')
    """
    return file if frames == 1 else f"{file}, frame {index + 1}"


def functional_groups(dataset: Dataset, frames: int, file: str) -> tuple[Dataset, list[Dataset]]:
    """Shared functional groups and those of each frame (PS3.3 C.7.6.16); empty for a classic image.

    Raises
    ------
    DicomError
        if there are groups, and not one a frame

    Examples
    --------
    >>> functional_groups(Dataset(), 1, "IM1")[1]
    []
    """
    shared = items(dataset, "SharedFunctionalGroupsSequence", file)
    own = items(dataset, "PerFrameFunctionalGroupsSequence", file)
    if own and len(own) != frames:
        raise DicomError.about(file, "PerFrameFunctionalGroupsSequence", f"{len(own)} items", f"{frames}, one a frame")
    return shared[0] if shared else _NO_GROUPS, own


def grouped(
    dataset: Dataset, groups: tuple[Dataset, ...], sequence: str, keyword: str, count: int, file: str
) -> Numbers | None:
    """Numbers of the frame's own groups, else of the shared ones, else of the image itself; None where absent.

    Raises
    ------
    DicomError
        if they are no numbers, or not `count` of them

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.PixelSpacing = [0.5, 0.5]
    >>> grouped(dataset, (), "PixelMeasuresSequence", "PixelSpacing", 2, "IM1")
    (0.5, 0.5)
    """
    for group in groups:
        for item in items(group, sequence, file):
            if values := numbers(item, keyword, file, count):
                return values
    return numbers(dataset, keyword, file, count)


def _shape(dataset: Dataset, groups: tuple[Dataset, ...], pixels: PixelFormat, file: str) -> Shape:
    orientation = grouped(dataset, groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6, file)
    if orientation is not None and not is_direction(orientation):
        expected = "two directions at a right angle"
        raise DicomError.about(file, "ImageOrientationPatient", list(orientation), expected)
    spacing = grouped(dataset, groups, "PixelMeasuresSequence", "PixelSpacing", 2, file)
    if spacing is not None and not all(0.01 < value < 20 for value in spacing):
        raise DicomError.about(file, "PixelSpacing", list(spacing), "two distances in mm")
    kinds = [texts(item, "FrameType") for group in groups for item in items(group, "CTImageFrameTypeSequence", file)]
    kind = next(filter(None, kinds), None) or texts(dataset, "ImageType")
    return Shape(pixels.rows, pixels.columns, orientation, spacing, "LOCALIZER" in kind)


def _rescale(dataset: Dataset, groups: tuple[Dataset, ...], file: str) -> tuple[float, float]:
    def required(keyword: str, low: float, high: float) -> float:
        values = grouped(dataset, groups, "PixelValueTransformationSequence", keyword, 1, file)
        if values is None:
            expected = "a number; without it there are no Hounsfield units"
            raise DicomError.about(file, keyword, "none", expected)
        if not low <= abs(values[0]) <= high:
            raise DicomError.about(file, keyword, values[0], f"a size from {low:g} to {high:g}")
        return values[0]

    return required("RescaleSlope", 1e-4, 1e4), required("RescaleIntercept", 0, 1e6)


def _overlay_bits(dataset: Dataset) -> int:
    """Mask of the bits that hold an old overlay (PS3.3 C.9.2, retired): Overlay Bit Position (60xx,0102)."""
    mask = 0
    for group in range(0x6000, 0x6020, 2):
        element = dataset.get_item((group, 0x0102))
        if element is not None and isinstance(element.value, bytes | int):
            position = element.value if isinstance(element.value, int) else int.from_bytes(element.value[:2], "little")
            mask |= 1 << (position & 15) if position else 0
    return mask


def _padding(dataset: Dataset, pixels: PixelFormat, signed: bool) -> tuple[int, ...]:
    """Pixel Padding Value and Range Limit (PS3.3 C.7.5.1.1.2), written with whichever sign."""
    ends = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        try:
            value = integer(dataset, keyword, "")
        except DicomError:
            value = None
        if value is not None:
            half = 1 << (pixels.allocated - 1)
            ends.append((value + half) % (2 * half) - half if signed else value)
    return tuple(ends)


def _stored(syntax: UID, data: memoryview | None, pixels: PixelFormat, file: str) -> Iterator[Stored]:
    """(rows, columns) stored values of each frame; compressed ones are being decoded when this returns."""
    if not data:
        raise DicomError.about(file, "PixelData", "none", f"an image of {pixels.columns} x {pixels.rows}")
    if syntax.is_encapsulated:
        frame = codecs.FrameFormat(pixels.rows, pixels.columns, pixels.allocated, pixels.stored, pixels.signed)
        return codecs.decode(bytes(data), syntax, pixels.frames, frame, file)
    kind = np.dtype(f"{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    kind = kind.newbyteorder("<" if syntax.is_little_endian else ">")
    length = pixels.frames * pixels.rows * pixels.columns
    if len(data) < length * kind.itemsize:
        expected = f"{length * kind.itemsize} bytes by {_size_tags()}"
        raise DicomError.about(file, "PixelData", f"{len(data)} bytes", expected)
    if len(data) >= 2 * length * kind.itemsize:
        held = len(data) // (length // pixels.frames * kind.itemsize)
        expected = f"{held} as Pixel Data holds by {describe('Rows')} and {describe('Columns')}"
        raise DicomError.about(file, "NumberOfFrames", pixels.frames, expected)
    words = np.frombuffer(data, kind, length).reshape(pixels.frames, pixels.rows, pixels.columns)
    return iter(words.astype(kind.newbyteorder("="), copy=False))


def _length_findings(syntax: UID, length: int, pixels: PixelFormat) -> tuple[Finding, ...]:
    """More pixels than Rows, Columns and Number of Frames say: one of them is wrong."""
    expected = pixels.frames * pixels.rows * pixels.columns * pixels.allocated // 8
    if syntax.is_encapsulated or length <= expected + 1:
        return ()
    words = (
        f"{describe('PixelData')}: found {length} bytes, expected {expected} by {_size_tags()}; the rest is left out"
    )
    return (Finding(FindingLevel.WARNING, "pixel-length", words),)


def _size_tags() -> str:
    """The tags that say how long Pixel Data is."""
    return ", ".join(map(describe, ("Rows", "Columns", "BitsAllocated", "NumberOfFrames")))


def _transfer_syntax(
    dataset: FileDataset, length: int, pixels: PixelFormat, file: str
) -> tuple[UID, tuple[Finding, ...]]:
    """The file's transfer syntax; of a file without meta group, the one that its encoding shows.

    A private one whose pixels have the length of uncompressed ones is taken as the encoding shows it; other makers'
    than Philips' with a reservation.
    """
    uid = text(dataset.file_meta, "TransferSyntaxUID")
    implicit, little = dataset.original_encoding
    shown = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    if not uid or uid == _PHILIPS_EXPLICIT:
        return shown, ()
    syntax = UID(uid, validation_mode=IGNORE)
    if syntax.is_transfer_syntax:
        return syntax, ()
    whole = pixels.frames * pixels.rows * pixels.columns * pixels.allocated // 8
    if length - whole not in (0, 1):
        raise DicomError.about(file, "TransferSyntaxUID", "an unknown one", "one of DICOM PS3.6")
    words = f"{describe('TransferSyntaxUID')}: found an unknown one, expected one of DICOM PS3.6; pixels of just "
    words += "the length of uncompressed ones are read as such"
    return shown, (Finding(FindingLevel.WARNING, "transfer-syntax", words),)
