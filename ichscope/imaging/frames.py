"""One DICOM file into frames in HU: stored values, sign, padding, rescale; classic and Enhanced CT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from scipy import ndimage

from ichscope.imaging import codecs
from ichscope.imaging.elements import DicomError, integer, items, number, numbers, parse, pixel_data, text, texts
from ichscope.imaging.facts import ImageFacts
from ichscope.imaging.geometry import Numbers, Shape, is_direction, position_mm
from ichscope.imaging.header import header_of, image_facts
from ichscope.imaging.series import Header

Stored = NDArray[np.integer[Any]]
AIR_HU = -1024
_LOWEST, _HIGHEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max
_LARGEST_SIDE = 8192
MAX_VOXELS = 1 << 30
_BODY_HU = (-500, 3000)
_NO_GROUPS = Dataset()


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice as read: (rows, columns) int16 HU in the file's own orientation, and where it lies.

    position : Image Position (Patient) in mm, None where absent
    order : Instance Number or number of the frame, for files that say nothing better
    dataset, shared : the header without pixels, and the shared functional groups of an Enhanced image
    """

    file: str
    hu: NDArray[np.int16]
    shape: Shape
    position: Numbers | None
    order: float
    dataset: Dataset
    shared: Dataset

    def uid(self, keyword: str) -> str:
        """An identifier from the header, "" where absent."""
        return text(self.dataset, keyword)

    @property
    def place(self) -> float | None:
        """Place along the slice normal in mm, None where unknown."""
        return None if self.position is None else position_mm(self.position, self.shape.orientation)

    @property
    def header(self) -> Header:
        """Facts of the header."""
        return header_of(self.dataset, self.shared)

    @property
    def facts(self) -> ImageFacts:
        """What the header says of how well its series speaks for the study."""
        return image_facts(self.dataset, self.shared, self.shape.orientation, self.position, slices=1)


@dataclass(frozen=True)
class _Pixels:
    """How the stored values of one file are laid out."""

    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool


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
    dataset, rest = parse(data, file)
    _check_kind(dataset, file)
    pixels = _pixels(dataset, file)
    shared, own = _functional_groups(dataset, pixels.frames, file)
    padding = _padding(dataset, pixels)
    first = number(dataset, "InstanceNumber", file) if pixels.frames == 1 else None
    frames = []
    for index, stored in enumerate(_stored(dataset, pixel_data(dataset, rest), pixels, file)):
        groups = (own[index], shared) if own else (shared,)
        frames.append(
            Frame(
                file=file if pixels.frames == 1 else f"{file}, frame {index + 1}",
                hu=_to_hu(stored, pixels, _rescale(dataset, groups, file), padding),
                shape=_shape(dataset, groups, pixels, file),
                position=_grouped(dataset, groups, "PlanePositionSequence", "ImagePositionPatient", 3, file),
                order=index if first is None else first,
                dataset=dataset,
                shared=shared,
            )
        )
    return frames


def _check_kind(dataset: Dataset, file: str) -> None:
    modality = text(dataset, "Modality")
    if modality not in ("CT", ""):
        raise DicomError.about(file, "Modality", modality[:16], "CT")
    unit = text(dataset, "RescaleType")
    if unit not in ("", "HU", "HU_MOD", "US"):
        raise DicomError.about(file, "RescaleType", unit[:16], "HU (Hounsfield units)")


def _pixels(dataset: Dataset, file: str) -> _Pixels:
    def required(keyword: str, low: int, high: int, default: int | None = None) -> int:
        value = integer(dataset, keyword, file)
        value = default if value is None else value
        if value is None or not low <= value <= high:
            actual = "none" if value is None else value
            expected = f"{low}" if low == high else f"a number from {low} to {high}"
            raise DicomError.about(file, keyword, actual, expected)
        return value

    rows, columns = required("Rows", 2, _LARGEST_SIDE), required("Columns", 2, _LARGEST_SIDE)
    required("SamplesPerPixel", 1, 1, default=1)
    allocated = required("BitsAllocated", 8, 32)
    if allocated not in (8, 16, 32):
        raise DicomError.about(file, "BitsAllocated", allocated, "8, 16 or 32")
    stored = required("BitsStored", 1, allocated, default=allocated)
    high = required("HighBit", stored - 1, allocated - 1, default=stored - 1)
    signed = required("PixelRepresentation", 0, 1, default=0) == 1
    frames = number(dataset, "NumberOfFrames", file) or 1
    if not 1 <= frames <= MAX_VOXELS // (rows * columns):
        raise DicomError.about(file, "NumberOfFrames", frames, "a number of frames that fits in memory")
    return _Pixels(rows, columns, int(frames), allocated, stored, high, signed)


def _functional_groups(dataset: Dataset, frames: int, file: str) -> tuple[Dataset, list[Dataset]]:
    """Shared functional groups and those of each frame (PS3.3 C.7.6.16); empty for a classic image."""
    shared = items(dataset, "SharedFunctionalGroupsSequence", file)
    own = items(dataset, "PerFrameFunctionalGroupsSequence", file)
    if own and len(own) != frames:
        raise DicomError.about(file, "PerFrameFunctionalGroupsSequence", f"{len(own)} items", f"{frames}, one a frame")
    return shared[0] if shared else _NO_GROUPS, own


def _grouped(
    dataset: Dataset, groups: tuple[Dataset, ...], sequence: str, keyword: str, count: int, file: str
) -> Numbers | None:
    """Numbers of the frame's own groups, else of the shared ones, else of the image itself."""
    for group in groups:
        for item in items(group, sequence, file):
            if values := numbers(item, keyword, file, count):
                return values
    return numbers(dataset, keyword, file, count)


def _shape(dataset: Dataset, groups: tuple[Dataset, ...], pixels: _Pixels, file: str) -> Shape:
    orientation = _grouped(dataset, groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6, file)
    if orientation is not None and not is_direction(orientation):
        expected = "two directions at a right angle"
        raise DicomError.about(file, "ImageOrientationPatient", list(orientation), expected)
    spacing = _grouped(dataset, groups, "PixelMeasuresSequence", "PixelSpacing", 2, file)
    if spacing is not None and not all(0.01 < value < 20 for value in spacing):
        raise DicomError.about(file, "PixelSpacing", list(spacing), "two distances in mm")
    kinds = [texts(item, "FrameType") for group in groups for item in items(group, "CTImageFrameTypeSequence", file)]
    kind = next(filter(None, kinds), None) or texts(dataset, "ImageType")
    return Shape(pixels.rows, pixels.columns, orientation, spacing, "LOCALIZER" in kind)


def _rescale(dataset: Dataset, groups: tuple[Dataset, ...], file: str) -> tuple[float, float]:
    def required(keyword: str, low: float, high: float) -> float:
        values = _grouped(dataset, groups, "PixelValueTransformationSequence", keyword, 1, file)
        if values is None:
            expected = "a number; without it there are no Hounsfield units"
            raise DicomError.about(file, keyword, "none", expected)
        if not low <= abs(values[0]) <= high:
            raise DicomError.about(file, keyword, values[0], f"a size from {low:g} to {high:g}")
        return values[0]

    return required("RescaleSlope", 1e-4, 1e4), required("RescaleIntercept", 0, 1e6)


def _padding(dataset: Dataset, pixels: _Pixels) -> tuple[int, int] | None:
    """Stored values from..to that mean 'no pixel' (PS3.3 C.7.5.1.1.2), written with whichever sign."""
    ends = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        try:
            value = integer(dataset, keyword, "")
        except DicomError:
            value = None
        if value is not None:
            half = 1 << (pixels.allocated - 1)
            ends.append((value + half) % (2 * half) - half if pixels.signed else value)
    return (min(ends), max(ends)) if ends else None


def _stored(dataset: FileDataset, data: memoryview | None, pixels: _Pixels, file: str) -> Iterator[Stored]:
    """(rows, columns) stored values of each frame."""
    expected = f"an image of {pixels.columns} x {pixels.rows}"
    if not data:
        raise DicomError.about(file, "PixelData", "none", expected)
    syntax = _transfer_syntax(dataset, file)
    if syntax.is_encapsulated:
        frame = codecs.FrameFormat(pixels.rows, pixels.columns, pixels.allocated, pixels.stored, pixels.signed)
        yield from codecs.decode(bytes(data), syntax, pixels.frames, frame, file)
        return
    kind = np.dtype(f"{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    kind = kind.newbyteorder("<" if syntax.is_little_endian else ">")
    length = pixels.frames * pixels.rows * pixels.columns
    if len(data) < length * kind.itemsize:
        actual = f"{len(data)} bytes"
        raise DicomError.about(file, "PixelData", actual, f"{length * kind.itemsize} bytes ({expected})")
    yield from np.frombuffer(data, kind, length).reshape(pixels.frames, pixels.rows, pixels.columns)


def _transfer_syntax(dataset: FileDataset, file: str) -> UID:
    """The file's transfer syntax; of a file without meta group, the one that its encoding shows."""
    uid = text(dataset.file_meta, "TransferSyntaxUID")
    if uid:
        syntax = UID(uid, validation_mode=IGNORE)
        if not syntax.is_transfer_syntax:
            raise DicomError.about(file, "TransferSyntaxUID", "an unknown one", "one of DICOM PS3.6")
        return syntax
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _to_hu(
    stored: Stored, pixels: _Pixels, rescale: tuple[float, float], padding: tuple[int, int] | None
) -> NDArray[np.int16]:
    """Hounsfield units in int16; nothing lies below air, and padding is air."""
    slope, intercept = rescale
    stored = _drop_unused_bits(stored, pixels)
    low, high = int(stored.min()), int(stored.max())
    whole = slope == 1 and intercept == int(intercept) and abs(intercept) < -_LOWEST + AIR_HU
    if whole and low >= _LOWEST and max(high, high + intercept) <= _HIGHEST:
        same_size = stored.dtype.isnative and stored.dtype.itemsize == 2
        values = stored.view(np.int16) if same_size else stored.astype(np.int16)
        if low + intercept < AIR_HU:
            values = np.maximum(values, np.int16(AIR_HU - intercept))
        hu = values + np.int16(intercept)
    else:
        wide = stored.astype(np.float64) * slope + intercept
        hu = np.rint(np.clip(wide, AIR_HU, _HIGHEST)).astype(np.int16)
    if padding is not None:
        hu[_padded(stored, padding, slope, intercept)] = AIR_HU
    return hu


def _drop_unused_bits(stored: Stored, pixels: _Pixels) -> Stored:
    """The bits from High Bit down; those around them may hold anything, old overlays too (PS3.5 8.1.1)."""
    bits = 8 * stored.dtype.itemsize
    if pixels.stored >= bits:
        return stored
    half = 1 << (pixels.stored - 1)
    lowest, highest = (-half, half - 1) if pixels.signed else (0, 2 * half - 1)
    if pixels.high == pixels.stored - 1 and lowest <= stored.min() and stored.max() <= highest:
        return stored
    shifted = stored << (bits - 1 - min(pixels.high, bits - 1))
    shifted >>= bits - pixels.stored
    return shifted


def _padded(stored: Stored, padding: tuple[int, int], slope: float, intercept: float) -> NDArray[np.bool_]:
    """Where padding is: of a padding value that is also a tissue's HU, only what touches the border."""
    low, high = padding
    mask: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    hu = sorted((low * slope + intercept, high * slope + intercept))
    if hu[1] < _BODY_HU[0] or hu[0] > _BODY_HU[1] or not mask.any():
        return mask
    border = np.ones_like(mask)
    border[1:-1, 1:-1] = False
    outside: NDArray[np.bool_] = ndimage.binary_propagation(mask & border, mask=mask)
    return outside
