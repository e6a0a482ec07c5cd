"""DICOM files into datasets, and datasets into numbers and words; errors name file, tag, found and expected.

Values are taken from pydicom's raw elements: no warnings about values that break the standard (RSNA 2019 files
are full of them), and no header value of a patient ever reaches a log.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import Literal

from pydicom.charset import decode_bytes
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from ichscope.errors import IchscopeError, barrier
from ichscope.imaging.decoding import DecodingError, decoders
from ichscope.imaging.limits import MAX_RATIO, SMALL_BYTES

DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0\0\0"
MAX_INFLATED = 1 << 30
# A header that is not over by here is read by a decoder first: what stands in it may take any time and memory.
_USUAL_HEADER = 1 << 20
# Items of sequences: some 40 a frame in an Enhanced image of 2,000.
_MOST_ITEMS = 100_000
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_PIXEL_DATA, _BEFORE_PIXELS, _UNDEFINED_LENGTH = 0x7FE00010, 0x7FE0000F, 0xFFFFFFFF
_NUMERIC = set("0123456789+-.,eE \\")
_TEXT_DELIMITERS = {0x5C}


class DicomError(IchscopeError):
    """A file or series that cannot be read as head CT; the message names file, tag, found and expected."""

    @classmethod
    def about(cls, file: str, keyword: str, actual: object, expected: str) -> DicomError:
        """The error about one tag of one file."""
        return cls(f"{file}: {describe(keyword)}: found {actual}, expected {expected}")


def short_hash(*parts: str) -> str:
    """16 hexadecimal digits that stand for identifiers in every output.

    Examples
    --------
    >>> short_hash("1.2.3")
    'c47f5b18b8a430e6'
    """
    # A path whose bytes are no UTF-8 has surrogates in their place.
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@cache
def _tag(keyword: str) -> BaseTag:
    return BaseTag(tag_for_keyword(keyword) or 0)


def describe(keyword: str) -> str:
    """Name and number of a tag, as 'Rescale Slope (0028,1053)'.

    References
    ----------
    PS3.6 6, the registry of data elements

    Examples
    --------
    >>> describe("RescaleSlope")
    'Rescale Slope (0028,1053)'
    """
    tag = _tag(keyword)
    return f"{dictionary_description(tag)} ({tag.group:04X},{tag.elem:04X})"


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file has 'DICM' at byte 128 or, without preamble, starts with an element of group 0002 or 0008.

    References
    ----------
    PS3.10 7.1, the file meta information

    Examples
    --------
    >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"Dear colleague,")
    (True, False)
    """
    if head[128:132] == b"DICM":
        return True
    group, element = head[:2], head[2:4]
    little = group in (b"\x02\0", b"\x08\0") and element[1:] == b"\0" and element[0] <= 0x70
    big = group in (b"\0\x02", b"\0\x08") and element[:1] == b"\0" and head[4:6].isalpha()
    return len(head) >= 16 and (little or big)


def parse(data: bytes, file: str, last_tag: int = _BEFORE_PIXELS) -> tuple[FileDataset, memoryview]:
    """Read the header of a DICOM file from memory.

    Parameters
    ----------
    data : the file, or its beginning
    file : its name, for messages
    last_tag : stop after this tag

    Returns
    -------
    the dataset, and the bytes from the first tag beyond `last_tag` on (none if `data` ends before)

    Raises
    ------
    DicomError
        if this is not DICOM, or damaged beyond reading

    References
    ----------
    PS3.5 7 for elements, A.5 for deflated files

    Examples
    --------
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = [to_bytes(dataset) for dataset in datasets(make(slices=4, size=64))]
    >>> dataset, rest = parse(files[0], "IM0001")
    >>> text(dataset, "Modality"), pixel_data(dataset, rest) is not None
    ('CT', True)
    """
    if not looks_like_dicom(data[:132]):
        raise DicomError(f"{file}: found no 'DICM' at byte 128, expected a DICOM file")
    if DEFLATED in data[132:1024]:
        data = _inflate(data, file, 1 << 20 if last_tag < _BEFORE_PIXELS else MAX_INFLATED)
    with barrier(lambda kind: DicomError(f"{file}: found a damaged DICOM header ({kind}), expected a whole one")):
        if len(data) > _USUAL_HEADER:
            with suppress(Exception):  # whatever it is, the whole file shows it again
                dataset, end = read_elements(data[:_USUAL_HEADER], last_tag)
                if end:
                    return dataset, memoryview(data)[end:]
            if _too_many_items(data):
                raise DicomError(f"{file}: found more than {_MOST_ITEMS} items of sequences, expected fewer")
            try:
                decoders().check_header(data)
            except DecodingError as error:
                if str(error):
                    raise DicomError(f"{file}: found {error} in its header, expected a CT image's") from None
        dataset, end = read_elements(data, last_tag)
    return dataset, memoryview(data)[end:] if end else memoryview(b"")


def read_elements(data: bytes, last_tag: int = _BEFORE_PIXELS) -> tuple[FileDataset, int]:
    """Read elements up to a tag.

    Returns
    -------
    the dataset, and where the first tag beyond `last_tag` begins, 0 if there is none; damaged data raise anything
    """
    beyond = False

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal beyond
        beyond = int(tag) > last_tag
        return beyond

    stream = BytesIO(data)
    dataset = read_partial(stream, stop, force=True)
    dataset.buffer = None  # or it keeps the whole file in memory
    return dataset, stream.tell() if beyond else 0


def pixel_data(dataset: FileDataset, rest: memoryview) -> memoryview | None:
    """The value of Pixel Data, as far as it is there, if `rest` starts with that element; nothing is copied."""
    implicit, little = dataset.original_encoding
    order: Literal["little", "big"] = "little" if little else "big"
    start = 12 if not implicit and rest[4:6].tobytes() in (b"OB", b"OW", b"UN") else 8
    tag = int.from_bytes(rest[:2], order) << 16 | int.from_bytes(rest[2:4], order)
    if tag != _PIXEL_DATA or len(rest) < start:
        return None
    length = int.from_bytes(rest[start - 4 : start], order)
    return rest[start:] if length == _UNDEFINED_LENGTH else rest[start : start + length]


def _inflate(data: bytes, file: str, limit: int) -> bytes:
    """The same file as Explicit VR Little Endian; at most `limit` bytes, since deflate can expand 1029:1.

    PS3.5 A.5: all behind the file meta group is one deflate stream.
    """
    if data[132:140] != b"\2\0\0\0UL\4\0":
        raise DicomError.about(file, "FileMetaInformationGroupLength", "none", "a length in a deflated file")
    start = 144 + int.from_bytes(data[140:144], "little")
    most = min(MAX_INFLATED, max(SMALL_BYTES, MAX_RATIO * len(data)))
    try:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        body = inflater.decompress(data[start:], min(limit, most))
    except zlib.error:
        raise DicomError(f"{file}: found a damaged deflate stream, expected a whole one") from None
    if len(body) >= most:
        raise DicomError(f"{file}: found more than {most >> 20} MiB when inflated, expected a CT image")
    return data[:start].replace(DEFLATED, _EXPLICIT, 1) + body


def _raw(dataset: Dataset, keyword: str) -> tuple[object, bool]:
    """The value of an element as it stands in the file (None where absent), and whether it is little endian."""
    element: RawDataElement | DataElement | None = dataset.get_item(_tag(keyword), keep_deferred=True)
    if isinstance(element, RawDataElement):
        return element.value, element.is_little_endian
    return (element.value if element else None), True


def raw_value(dataset: Dataset, keyword: str) -> object:
    """The value of an element as it stands in the file, None where absent: for telling whether two are the same.

    Examples
    --------
    >>> raw_value(Dataset(), "KVP") is None
    True
    """
    return _raw(dataset, keyword)[0]


def _encodings(dataset: Dataset) -> list[str]:
    known = dataset.original_character_set
    return [known] if isinstance(known, str) else list(known or ["iso8859"])


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of a text element, without padding and NULs (no database takes them); () where absent or empty.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    >>> texts(dataset, "ImageType"), texts(dataset, "Modality")
    (('ORIGINAL', 'PRIMARY'), ())
    """
    value, _ = _raw(dataset, keyword)
    if isinstance(value, bytes):
        value = decode_bytes(value, _encodings(dataset), _TEXT_DELIMITERS)
    if value is None:
        return ()
    parts = str(value).split("\\") if isinstance(value, str) else [str(part) for part in _listed(value)]
    stripped = tuple(part.strip("\0 \t\r\n").replace("\0", " ") for part in parts)
    return stripped if any(stripped) else ()


def text(dataset: Dataset, keyword: str) -> str:
    """The first value of a text element, or "".

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    >>> text(dataset, "ImageType"), text(dataset, "Modality")
    ('ORIGINAL', '')
    """
    return next(iter(texts(dataset, keyword)), "")


def numbers(dataset: Dataset, keyword: str, file: str, count: int | None = None) -> tuple[float, ...] | None:
    r"""The values of a decimal or integer string element.

    Returns
    -------
    finite numbers, None where the element is absent or empty

    Raises
    ------
    DicomError
        if a value is not a finite number, or there are not `count` of them

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.PixelSpacing = [0.5, 0.5]
    >>> numbers(dataset, "PixelSpacing", "IM0001", 2)
    (0.5, 0.5)
    >>> numbers(dataset, "PixelSpacing", "IM0001", 3)
    Traceback (most recent call last):
    ichscope.imaging.elements.DicomError: IM0001: Pixel Spacing (0028,0030): found 0.5\0.5, expected 3 numbers
    """
    words = texts(dataset, keyword)
    if not words:
        return None
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)) or (count is not None and len(values) != count):
        wanted = "a number" if count in (None, 1) else f"{count} numbers"
        actual = "\\".join(words)[:24]
        raise DicomError.about(file, keyword, actual if set(actual) <= _NUMERIC else "letters", wanted)
    return values


def number(dataset: Dataset, keyword: str, file: str) -> float | None:
    """The value of a decimal or integer string element of one value, None where absent; see `numbers`.

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.SliceThickness = 5
    >>> number(dataset, "SliceThickness", "IM0001"), number(dataset, "KVP", "IM0001")
    (5.0, None)
    """
    values = numbers(dataset, keyword, file, 1)
    return values[0] if values else None


def integer(dataset: Dataset, keyword: str, file: str) -> int | None:
    """The value of a binary 16- or 32-bit unsigned element such as Rows, None where absent.

    Raises
    ------
    DicomError
        if it has another length

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.Rows = 512
    >>> integer(dataset, "Rows", "IM0001"), integer(dataset, "Columns", "IM0001")
    (512, None)
    """
    value, little = _raw(dataset, keyword)
    if value is None or value == b"":
        return None
    if isinstance(value, int):
        return value
    if not isinstance(value, bytes) or len(value) not in (2, 4):
        raise DicomError.about(file, keyword, "a value of another type", "one integer")
    return int.from_bytes(value, "little" if little else "big")


def items(dataset: Dataset, keyword: str, file: str) -> list[Dataset]:
    """The items of a sequence, [] where absent.

    Raises
    ------
    DicomError
        if the sequence is damaged

    Examples
    --------
    >>> items(Dataset(), "SharedFunctionalGroupsSequence", "IM0001")
    []
    """
    value = _raw(dataset, keyword)[0]
    if value is None:
        return []
    if isinstance(value, bytes) and _too_many_items(value):
        raise DicomError.about(file, keyword, f"more than {_MOST_ITEMS} items", "fewer")
    with barrier(lambda kind: DicomError.about(file, keyword, "a damaged sequence", "a whole one")):
        found = list(dataset[_tag(keyword)].value or [])
    if not all(isinstance(item, Dataset) for item in found):
        raise DicomError.about(file, keyword, "a value of another type", "a sequence")
    return found


def _too_many_items(data: bytes) -> bool:
    """Each item takes a hundred times its eight bytes as soon as it is read."""
    return sum(map(data.count, _ITEMS)) > _MOST_ITEMS


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "__iter__") else [value]
