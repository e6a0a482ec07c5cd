"""Compressed pixel data into stored values."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

from ichscope.imaging.elements import PARSE_ERRORS, DicomError

_LOG = logging.getLogger(__name__)
# Spectral selection and full progression (PS3.5 A.4.1, retired): the same decoder reads them as JPEG Extended.
_RETIRED = ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")
_DECODE_ERRORS = (*PARSE_ERRORS, RuntimeError, OSError, MemoryError)


@dataclass(frozen=True)
class FrameFormat:
    """What the header says of one frame."""

    rows: int
    columns: int
    allocated: int
    stored: int
    signed: bool


def decode(data: bytes, syntax: UID, frames: int, form: FrameFormat, file: str) -> Iterator[NDArray[np.integer[Any]]]:
    """Decode encapsulated pixel data (PS3.5 A.4) frame by frame.

    Yields
    ------
    (rows, columns) stored values

    Raises
    ------
    DicomError
        if the transfer syntax has no decoder here, or a frame is damaged
    """
    if syntax in _RETIRED:
        syntax = JPEGExtended12Bit
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        decoder = None
    if decoder is None or not decoder.is_available:
        known = "an uncompressed, RLE, JPEG, JPEG-LS or JPEG 2000 image"
        raise DicomError.about(file, "TransferSyntaxUID", syntax.name, known)
    # pylibjpeg-rle is written in Rust and panics on damaged data, which no `except Exception` catches.
    plugin = "pydicom" if syntax == RLELossless else ""
    try:
        for codestream in generate_frames(data, number_of_frames=frames):
            _check_size(codestream, syntax, form, file)
            _check_end(codestream, syntax, file)
            own = _own_precision(codestream, syntax, form)
            if syntax == JPEGExtended12Bit and own.stored > 8:
                yield _gdcm(codestream, syntax, own)
            else:
                alone = encapsulate([codestream], has_bot=False)
                yield decoder.as_array(alone, raw=True, decoding_plugin=plugin, **_options(own))[0]
    except _DECODE_ERRORS as error:
        _LOG.debug("decoding failed: %s", type(error).__name__)
        expected = f"an image of {form.columns} x {form.rows}"
        raise DicomError.about(file, "PixelData", f"damaged {syntax.name} data", expected) from None


def _options(form: FrameFormat) -> dict[str, Any]:
    return {
        "rows": form.rows,
        "columns": form.columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": form.allocated,
        "bits_stored": form.stored,
        "pixel_representation": int(form.signed),
        "pixel_keyword": "PixelData",
        "number_of_frames": 1,
    }


def _check_size(codestream: bytes, syntax: UID, form: FrameFormat, file: str) -> None:
    """A few bytes can announce an image of gigabytes: believe only one of the size that the header says."""
    size = None
    if syntax in JPEG2000TransferSyntaxes:
        size = _j2k_size(codestream)
    elif syntax != RLELossless:
        size = _jpeg_header(codestream)[:2]
    if size and size != (form.rows, form.columns):
        actual = f"an image of {size[1]} x {size[0]}"
        raise DicomError.about(file, "PixelData", actual, f"{form.columns} x {form.rows}")


def _check_end(codestream: bytes, syntax: UID, file: str) -> None:
    """A transfer that broke off leaves zeros where the end marker was; decoders would paint over the hole."""
    end = codestream[-256:].rstrip(b"\0")
    if syntax != RLELossless and len(end) < min(len(codestream), 256) - 16 and not end.endswith(b"\xff\xd9"):
        raise DicomError.about(file, "PixelData", "an image that breaks off", "a whole one")


def _j2k_size(codestream: bytes) -> tuple[int, int] | None:
    """Rows and columns of the SIZ marker segment (ITU-T T.800 A.5.1)."""
    at = codestream.find(b"\xff\x4f\xff\x51", 0, 512)
    if at < 0:
        return None
    columns, rows, left, top = (int.from_bytes(codestream[at + i : at + i + 4], "big") for i in (8, 12, 16, 20))
    return rows - top, columns - left


def _own_precision(codestream: bytes, syntax: UID, form: FrameFormat) -> FrameFormat:
    """Of lossy JPEG, the bits that the codestream has; headers often say 16 where it has 8 or 12.

    Of RLE all bits of a word: which of them count is decided later, as for pixels that are not compressed.
    """
    if syntax == RLELossless:
        return replace(form, stored=form.allocated)
    if syntax not in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return form
    precision = _jpeg_header(codestream)[2]
    return replace(form, allocated=8 if precision == 8 else 16, stored=min(form.stored, precision))


def _jpeg_header(codestream: bytes) -> tuple[int, int, int]:
    """Rows, columns and bits of the frame header (ITU-T T.81 B.2.2; T.87 C.2.2 for JPEG-LS)."""
    at = 2
    while at + 9 < len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = (int.from_bytes(codestream[at + i : at + i + 2], "big") for i in (5, 7))
            return rows, columns, codestream[at + 4]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    raise ValueError("no frame header")


def _gdcm(codestream: bytes, syntax: UID, form: FrameFormat) -> NDArray[np.integer[Any]]:
    """12-bit JPEG Extended, which GDCM decodes and pydicom's use of it refuses."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((form.columns, form.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    image.SetPixelFormat(gdcm.PixelFormat(1, form.allocated, form.stored, form.stored - 1, int(form.signed)))
    pixels = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(pixels, np.int16 if form.signed else np.uint16).reshape(form.rows, form.columns)
