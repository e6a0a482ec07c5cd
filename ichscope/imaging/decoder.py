"""A process that decodes for another one: `decoding.py` says why, starts it and asks it.

It is started with the number of a socket, loads the decoders, and forks for every connection that comes over the
socket a process that answers what is asked there. A number that comes without a connection is that of one of these
processes that has ended: the signal that ended it goes back.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import warnings
from io import BytesIO
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from ichscope.imaging.decoding import NO_DECODER, OUT_OF_MEMORY, PID_BYTES, WINDOW_WIDTH_HU, receive, send
from ichscope.imaging.elements import read_elements
from ichscope.imaging.limits import MIB

_LARGEST_REQUEST = 1 << 31
_SET_DEATH_SIGNAL = 1  # prctl(2), PR_SET_PDEATHSIG
_PAGE = resource.getpagesize()
# Rows of a picture that are made grey at a time.
_STRIP = 256
# Channels that differ by more than JPEG noise, in more pixels than a caption or a scale bar has.
_COLOUR_STEP = 0.1
_COLOURED_SHARE = 0.05


def decode_frames(
    data: memoryview,
    lengths: list[int],
    syntax: str,
    rows: int,
    columns: int,
    allocated: int,
    stored: int,
    signed: bool,
    by_gdcm: bool,
) -> dict[str, Any] | tuple[dict[str, Any], bytes]:
    """Decode codestreams, one behind the other in `data`, to stored values.

    by_gdcm : 12-bit JPEG Extended, which GDCM decodes and pydicom's use of it refuses
    """
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        decoder = None
    if decoder is None or not decoder.is_available:
        return {"error": NO_DECODER}
    options: dict[str, Any] = {
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": allocated,
        "bits_stored": stored,
        "pixel_representation": int(signed),
        "pixel_keyword": "PixelData",
        "number_of_frames": 1,
    }
    frames, start = [], 0
    for length in lengths:
        codestream = bytes(data[start : start + length])
        start += length
        if by_gdcm:
            frames.append(_gdcm(codestream, syntax, rows, columns, allocated, stored, signed))
        else:
            frames.append(decoder.as_array(encapsulate([codestream], has_bot=False), raw=True, **options)[0])
    kinds = {frame.dtype.newbyteorder("<").str[1:] for frame in frames}
    if len(kinds) != 1:
        return {"error": "frames of several kinds"}
    pixels = frames[0].tobytes() if len(frames) == 1 else b"".join(frame.tobytes() for frame in frames)
    return {"kind": kinds.pop()}, pixels


def _gdcm(
    codestream: bytes, syntax: str, rows: int, columns: int, allocated: int, stored: int, signed: bool
) -> NDArray[np.integer[Any]]:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(1, allocated, stored, stored - 1, int(signed)))
    pixels = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(pixels, np.int16 if signed else np.uint16).reshape(rows, columns)


def decode_picture(data: memoryview, most: int, least: int) -> dict[str, Any] | tuple[dict[str, Any], bytes]:
    """Decode a JPEG or PNG picture to int16 HU of a brain window, and tell whether it is coloured.

    most, least : pixels that it may have, and that a side must have; of others only the size is told
    """
    # Pillow goes by content, so only these two decoders are let near it.
    with Image.open(BytesIO(data), formats=["JPEG", "PNG"]) as picture:
        if picture.width * picture.height > most or min(picture.size) < least:
            return {"width": picture.width, "height": picture.height}
        upright = ImageOps.exif_transpose(picture)
    hu = np.empty((upright.height, upright.width), np.int16)
    coloured = 0
    for top in range(0, upright.height, _STRIP):
        grey, count = _grey(upright.crop((0, top, upright.width, min(top + _STRIP, upright.height))))
        hu[top : top + _STRIP] = np.rint(grey * WINDOW_WIDTH_HU)
        coloured += count
    about = {"width": upright.width, "height": upright.height, "coloured": coloured > _COLOURED_SHARE * hu.size}
    return about, hu.tobytes()


def _grey(picture: Image.Image) -> tuple[NDArray[np.float32], int]:
    """Grey 0..1 of any mode, transparent parts black, and how many pixels are coloured."""
    if picture.mode.startswith(("I", "F")):
        return np.clip(np.asarray(picture, np.float32) / np.float32(65535), 0, 1), 0
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"), np.float32) / np.float32(255), 0
    black = Image.new("RGBA", picture.size, "black")
    flat = Image.alpha_composite(black, picture.convert("RGBA")).convert("RGB")
    channels = np.asarray(flat, np.float32) / np.float32(255)
    spread = channels.max(axis=2) - channels.min(axis=2)
    grey: NDArray[np.float32] = channels @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey, int(np.count_nonzero(spread > _COLOUR_STEP))


def read_header(data: memoryview) -> dict[str, Any]:
    """Read a header as the other process will do; where that goes wrong it goes wrong here."""
    read_elements(bytes(data))
    return {}


_TASKS: dict[str, Any] = {"frames": decode_frames, "picture": decode_picture, "header": read_header}


def answer(connection: socket.socket, seconds: int) -> None:
    """Answer what is asked until the other side closes; a request that takes too long ends this process."""
    send(connection, {"pid": os.getpid()})
    while True:
        try:
            about, data = receive(connection, _LARGEST_REQUEST)
        except EOFError:
            return
        del about["bytes"]
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            done = _TASKS[about.pop("task")](memoryview(data), **about)
        except BaseException as error:  # noqa: BLE001 - what a library in Rust panics with is no Exception
            done = {"error": OUT_OF_MEMORY if isinstance(error, MemoryError) else type(error).__name__}
        signal.setitimer(signal.ITIMER_PROF, 0)
        said, pixels = done if isinstance(done, tuple) else (done, b"")
        send(connection, said, pixels)
        del data, done, pixels


def _confine(mib: int) -> None:
    """Leave this process memory and time for its work, and no file to write; not even a core, which has pixels."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - as light as can be
        used = int(file.read().split()[0]) * _PAGE
    for what, most in (
        (resource.RLIMIT_AS, used + mib * MIB),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _signal_of(process: int) -> int:
    """The signal that a process was ended by; 0 where it was none or is not known. Waits for its end."""
    try:
        return os.WTERMSIG(os.waitpid(process, 0)[1])
    except (ChildProcessError, OverflowError):
        return 0


def main(number: int, seconds: int, mib: int) -> None:
    """Fork a decoder for each connection that comes, until the process that sends them is gone."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with the process that asks, and not before
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # `decode_picture` knows the limit
    gc.freeze()
    with socket.socket(fileno=number) as control:
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, PID_BYTES, 1)
            if not message:
                return
            if not descriptors:
                control.sendall(bytes([_signal_of(int.from_bytes(message, "big"))]))
                continue
            if os.fork() == 0:
                control.close()
                _confine(mib)
                answer(socket.socket(fileno=descriptors[0]), seconds)
                os._exit(0)
            for descriptor in descriptors:
                os.close(descriptor)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
