"""Native decoders, in processes of their own: what a damaged file does to them costs one answer, not the program.

GDCM, OpenJPEG, Pillow and the like are C and C++ that end their process on some wrong bytes, or take all its memory.
So a pool of decoders (`decoder.py`) does for this process whatever compressed pixels need, each request within limits
of time and memory, and one that dies is replaced. The bytes that decoders send are taken as numbers and never as
objects: one that a file has taken over can lie about its pixels, and no more.

All decoders are forked from one process that has the libraries loaded, so that a new one is there within
milliseconds. It is started by its own command, without what this process holds, and ends with this process, also by
kill -9; so do they.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.errors import IchscopeError
from ichscope.imaging.limits import MIB, DecodingLimits

_LOG = logging.getLogger(__name__)
# One that dies may have been ended from outside, as for want of memory: what it did is tried once more, alone.
_ATTEMPTS = 2
# A decoder counts its own seconds of the processor. The clock is the last resort, for one that is stopped or waits for
# ever: on a busy computer a good file may take many times as long by it.
_WALL_TIMES = 60
_START_S = 600
_BUFFER_BYTES = MIB
_HEAD_BYTES = 4
PID_BYTES = 4
_LONGEST_HEAD = 1 << 16
NO_DECODER, OUT_OF_MEMORY = "no decoder", "out of memory"
_KINDS = frozenset(("u1", "i1", "u2", "i2", "u4", "i4"))
# Grey 0..1 of the full range is taken as the brain window, level 40, width 80.
WINDOW_WIDTH_HU = 80
# Nothing else of the environment is a decoder's business: passwords stand there.
_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")

# Decoders keep the memory of a frame for the next one: asking the system for it anew takes longer than to fill it.
_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * MIB),
    "MALLOC_TRIM_THRESHOLD_": str(128 * MIB),
}


class DecodingError(IchscopeError):
    """Data that no decoder could do anything with; the message is what was found, without the file's name, or ""
    where it is just damaged.
    """


class NoDecoderError(DecodingError):
    """A transfer syntax that nothing here decodes."""


@dataclass(frozen=True)
class Picture:
    """A JPEG or PNG picture: (height, width) int16 HU of a brain window, None where it is too large or too small."""

    width: int
    height: int
    hu: NDArray[np.int16] | None
    coloured: bool


class _EndedError(Exception):
    """The decoder is gone."""


class _StuckError(Exception):
    """The decoder did not answer for so long that it was ended."""


def send(to: socket.socket, about: dict[str, Any], data: bytes | memoryview = b"") -> None:
    """Send a message: what it is about, as JSON, and bytes."""
    head = json.dumps({**about, "bytes": len(data)}).encode()
    to.sendall(len(head).to_bytes(_HEAD_BYTES, "big") + head)
    to.sendall(data)


def receive(sender: socket.socket, most: int) -> tuple[dict[str, Any], bytearray]:
    """Receive a message of at most so many bytes.

    Raises
    ------
    EOFError
        if the other end is closed
    ValueError
        if it is none
    """
    length = int.from_bytes(_exactly(sender, _HEAD_BYTES), "big")
    if length > _LONGEST_HEAD:
        raise ValueError("a message that is none")
    about = json.loads(_exactly(sender, length))
    if not isinstance(about, dict) or not isinstance(size := about.get("bytes"), int) or not 0 <= size <= most:
        raise ValueError("a message that is none")
    return about, _exactly(sender, size)


def _exactly(sender: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = sender.recv_into(view, len(view), socket.MSG_WAITALL)
        if not count:
            raise EOFError
        view = view[count:]
    return data


class Decoders:
    """A pool of decoders; nothing of it is started before there is something to decode."""

    def __init__(self, limits: DecodingLimits | None = None) -> None:
        self.limits = limits or DecodingLimits()
        self._nursery = _Nursery(self.limits)
        self._free: list[_Decoder] = []
        self._warm = False
        self._threads = ThreadPoolExecutor(self.limits.decoders, "ichscope-decoder")

    def warm_up(self) -> None:
        """Load the libraries meanwhile, because something to decode has been seen."""
        if not self._warm:
            self._warm = True
            self._nursery.start()

    def close(self) -> None:
        """End all decoders."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._nursery.close()
        while self._free:
            self._free.pop().close()

    def frames(self, codestreams: Sequence[bytes], **form: Any) -> Future[list[NDArray[np.integer[Any]]]]:
        """Have frames decoded that are of one form, as `decoder.decode_frames` takes it.

        Returns
        -------
        (rows, columns) stored values of each; or a DecodingError
        """
        return self._threads.submit(self._frames, codestreams, form)

    def _frames(self, codestreams: Sequence[bytes], form: dict[str, Any]) -> list[NDArray[np.integer[Any]]]:
        shape = (len(codestreams), form["rows"], form["columns"])
        about = {"task": "frames", **form, "lengths": [len(codestream) for codestream in codestreams]}
        data = codestreams[0] if len(codestreams) == 1 else b"".join(codestreams)
        answer, pixels = self._ask(about, data, 4 * int(np.prod(shape)))
        kind = str(answer.get("kind"))
        if kind not in _KINDS or len(pixels) != np.dtype(kind).itemsize * np.prod(shape):
            raise DecodingError("data that does not give the announced pixels")
        return list(np.frombuffer(pixels, kind).reshape(shape))

    def picture(self, data: bytes, most_pixels: int, smallest_side: int) -> Picture:
        """Have a JPEG or PNG picture decoded, as `decoder.decode_picture` does.

        Raises
        ------
        DecodingError
            if it is none, or damaged
        """
        about = {"task": "picture", "most": most_pixels, "least": smallest_side}
        answer, pixels = self._threads.submit(self._ask, about, data, 2 * most_pixels).result()
        width, height = int(answer["width"]), int(answer["height"])
        hu = None
        if pixels:
            if len(pixels) != 2 * width * height:
                raise DecodingError("data that does not give the announced pixels")
            hu = np.frombuffer(pixels, np.int16).reshape(height, width)
        return Picture(width, height, hu, bool(answer.get("coloured")))

    def check_header(self, data: bytes) -> None:
        """Have a decoder read the header of a DICOM file first, because it is a large one.

        Raises
        ------
        DecodingError
            if that takes more than a decoder has
        """
        self._threads.submit(self._ask, {"task": "header"}, data, 0).result()

    # ---- in the pool's threads ---------------------------------------------------------------------------------

    def _ask(self, about: dict[str, Any], data: bytes, most: int) -> tuple[dict[str, Any], bytearray]:
        if len(data) > self.limits.mib * MIB // 2:
            raise DecodingError(self._too_much)
        for _ in range(_ATTEMPTS):
            decoder = None
            try:
                decoder = self._idle() or self._nursery.decoder()
                answer, result = decoder.ask(about, data, most)
            except _StuckError:
                raise DecodingError(f"data that takes more than {_WALL_TIMES * self.limits.seconds} s") from None
            except _EndedError:
                if decoder is not None and self._nursery.signal_of(decoder.pid) == signal.SIGPROF:
                    raise DecodingError(f"data that takes more than {self.limits.seconds} s") from None
                _LOG.info("a decoder has ended")
                continue
            self._free.append(decoder)
            if error := answer.get("error"):
                if error == NO_DECODER:
                    raise NoDecoderError
                raise DecodingError(self._too_much if error == OUT_OF_MEMORY else "")
            return answer, result
        raise DecodingError("data that ends the decoder")

    def _idle(self) -> _Decoder | None:
        with suppress(IndexError):  # another thread may take the last one
            return self._free.pop()
        return None

    @property
    def _too_much(self) -> str:
        return f"data that needs more than {self.limits.mib} MB"


class _Decoder:
    """One decoder, as it is seen from here."""

    def __init__(self, connection: socket.socket, seconds: int) -> None:
        self._connection = connection
        self.pid = 0
        _wait_at_most(connection, _START_S)
        try:
            self.pid = int(receive(connection, 0)[0]["pid"])
        except (EOFError, OSError, ValueError, LookupError):
            connection.close()
            raise _EndedError from None
        _wait_at_most(connection, _WALL_TIMES * seconds)

    def ask(self, about: dict[str, Any], data: bytes, most: int) -> tuple[dict[str, Any], bytearray]:
        try:
            send(self._connection, about, data)
            return receive(self._connection, most)
        except (EOFError, OSError, ValueError) as error:
            # It may still wait, or have said what is no answer; one that is about to end keeps the reason for it.
            with suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            self.close()
            raise (_StuckError if isinstance(error, BlockingIOError) else _EndedError) from None

    def close(self) -> None:
        self._connection.close()


class _Nursery:
    """The process that has the libraries loaded, and that decoders are forked from."""

    def __init__(self, limits: DecodingLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        with self._lock:
            self._started()

    def decoder(self) -> _Decoder:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        with theirs:
            try:
                with self._lock:
                    socket.send_fds(self._started(), [bytes(PID_BYTES)], [theirs.fileno()])
            except OSError:
                ours.close()
                self.close()
                raise _EndedError from None
        return _Decoder(ours, self._limits.seconds)

    def signal_of(self, decoder: int) -> int:
        """The signal that a decoder was ended by, given its number; 0 where it was none or is not known."""
        with self._lock:
            try:
                if self._control is not None:
                    self._control.sendall(decoder.to_bytes(PID_BYTES, "big"))
                    return _exactly(self._control, 1)[0]
            except (EOFError, OSError):  # it is gone, too
                pass
        return 0

    def _started(self) -> socket.socket:
        if self._control is None or self._process is None or self._process.poll() is not None:
            self._stop()
            self._control, theirs = socket.socketpair()
            variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
            variables |= {"PYTHONPATH": os.pathsep.join(sys.path), **_SETTINGS}
            with theirs:
                numbers = map(str, (theirs.fileno(), self._limits.seconds, self._limits.mib))
                self._process = subprocess.Popen(
                    # Not the folder that this process happens to be in, and not its signals.
                    [sys.executable, "-P", "-m", "ichscope.imaging.decoder", *numbers],
                    pass_fds=[theirs.fileno()],
                    env=variables,
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        return self._control

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


def _wait_at_most(connection: socket.socket, seconds: int) -> None:
    """Let the system end a wait: with Python's own time-outs every read would be several."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))


_pool: Decoders | None = None
_lock = threading.Lock()


def decoders() -> Decoders:
    """The one pool of this process."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = Decoders()
        return _pool


def _forget() -> None:
    """A fork of this process makes a pool of its own: threads are not forked with it."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


@atexit.register
def _close() -> None:
    if _pool is not None:
        _pool.close()


os.register_at_fork(after_in_child=_forget)
