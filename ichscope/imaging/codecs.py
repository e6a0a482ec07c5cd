"""Compressed pixel data into stored values: what can be checked is checked here, a decoder does the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from ichscope.errors import barrier
from ichscope.imaging.decoding import DecodingError, NoDecoderError, decoders
from ichscope.imaging.elements import DicomError

# Spectral selection and full progression (PS3.5 A.4.1, retired): the same decoder reads them as JPEG Extended.
_RETIRED = ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")

_JPEG = frozenset((*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes))
# So many bytes of decoded frames are asked for at once: enough for what asking costs not to count.
_AT_ONCE = 4 << 20
# No encoder makes an image larger than twice its pixels, and its own tables and comments.
_LARGEST_RATIO = 2
_LARGEST_REST = 1 << 16

Words = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FrameFormat:
    """What the header says of one frame."""

    rows: int
    columns: int
    allocated: int
    stored: int
    signed: bool


def decode(data: bytes, syntax: UID, frames: int, form: FrameFormat, file: str) -> Iterator[Words]:
    """Decode encapsulated pixel data (PS3.5 A.4); the first frames are on their way when this returns.

    Returns
    -------
    (rows, columns) stored values of each frame

    Raises
    ------
    DicomError
        at once or by the iterator, if the transfer syntax has no decoder here, or a frame is damaged
    """
    syntax = UID(JPEGExtended12Bit) if syntax in _RETIRED else syntax
    expected = f"an image of {form.columns} x {form.rows}"
    refusal = partial(DicomError.about, file, "PixelData", expected=expected)
    damaged = f"damaged {syntax.name} data"
    asked = _asked(data, syntax, frames, form, file)
    with barrier(lambda kind: refusal(damaged)):
        ahead = deque(islice(asked, decoders().limits.decoders))

    def answers() -> Iterator[Words]:
        try:
            with barrier(lambda kind: refusal(damaged)):
                while ahead:
                    some = ahead.popleft().result()
                    ahead.extend(islice(asked, 1))
                    yield from some
        except NoDecoderError:
            known = "an uncompressed, RLE, JPEG, JPEG-LS or JPEG 2000 image"
            raise DicomError.about(file, "TransferSyntaxUID", syntax.name, known) from None
        except DecodingError as error:
            raise refusal(str(error) or damaged) from None
        finally:
            for answer in ahead:
                answer.cancel()

    return answers()


def _asked(data: bytes, syntax: UID, frames: int, form: FrameFormat, file: str) -> Iterator[Future[list[Words]]]:
    """Ask for frames, some at a time."""
    checked = _checked(data, syntax, frames, form, file)
    at_once = max(1, _AT_ONCE // (form.rows * form.columns * form.allocated // 8))
    for own, codestreams in groupby(checked, key=lambda frame: frame[0]):
        by_gdcm = syntax == JPEGExtended12Bit and own.stored > 8
        while some := [codestream for _, codestream in islice(codestreams, at_once)]:
            yield decoders().frames(some, syntax=str(syntax), by_gdcm=by_gdcm, **asdict(own))


def _checked(
    data: bytes, syntax: UID, frames: int, form: FrameFormat, file: str
) -> Iterator[tuple[FrameFormat, bytes]]:
    """Every frame's own format, and its codestream."""
    for codestream in generate_frames(data, number_of_frames=frames):
        _check_length(codestream, form, file)
        if syntax in _JPEG:
            _check_size(codestream, syntax, form, file)
            _check_end(codestream, file)
        yield _own_precision(codestream, syntax, form), codestream


def _check_length(codestream: bytes, form: FrameFormat, file: str) -> None:
    """A decoder may go on behind the end of its image for as long as there is data."""
    most = _LARGEST_RATIO * form.rows * form.columns * form.allocated // 8 + _LARGEST_REST
    if len(codestream) > most:
        actual = f"{len(codestream)} bytes for an image of {form.columns} x {form.rows}"
        raise DicomError.about(file, "PixelData", actual, f"at most {most}")


def _check_size(codestream: bytes, syntax: UID, form: FrameFormat, file: str) -> None:
    """A few bytes can announce an image of gigabytes: believe only one of the size that the header says."""
    size = _j2k_size(codestream) if syntax in JPEG2000TransferSyntaxes else _jpeg_header(codestream)[:2]
    if size and size != (form.rows, form.columns):
        actual = f"an image of {size[1]} x {size[0]}"
        raise DicomError.about(file, "PixelData", actual, f"{form.columns} x {form.rows}")


def _check_end(codestream: bytes, file: str) -> None:
    """A transfer that broke off leaves zeros where the end marker was; decoders would paint over the hole."""
    end = codestream[-256:].rstrip(b"\0")
    if len(end) < min(len(codestream), 256) - 16 and not end.endswith(b"\xff\xd9"):
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
