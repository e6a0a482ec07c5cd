"""How much of everything one file, one series, one upload and this process may take; each can be set by a variable."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

MIB = 1 << 20
# Deflate packs CT about 2:1, JPEG 2000 and JPEG-LS 2:1 to 30:1, blank images up to 1000:1: a few of these pass, and a
# file that is nothing else does not.
MAX_RATIO = 100
SMALL_BYTES = 64 * MIB
_VOXEL_BYTES = 2


def setting(name: str, default: int) -> int:
    """A number from the environment, or the default where it is none above zero.

    Examples
    --------
    >>> setting("NO_SUCH_SETTING", 7)
    7
    """
    value = os.environ.get(name, "").strip()
    return int(value) if value.isdecimal() and int(value) > 0 else default


def series_mib() -> int:
    """MiB of voxels that one series may have; the usual 1,024 are 2,000 slices of 512 x 512."""
    return setting("ICHSCOPE_SERIES_MB", 1024)


def session_mib() -> int:
    """MiB of voxels that one session of the pages may hold."""
    return setting("ICHSCOPE_SESSION_MB", 1024)


def upload_mib() -> int:
    """MiB of files that may be handed over to a page at once."""
    return setting("ICHSCOPE_UPLOAD_MB", 2048)


def process_mib() -> int:
    """MiB of voxels that all sessions of a process may hold; by default half of the memory."""
    return setting("ICHSCOPE_PROCESS_MB", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (2 * MIB))


def most_voxels(packed_bytes: int) -> int:
    """How many voxels a file of so many bytes may have."""
    return max(SMALL_BYTES, MAX_RATIO * packed_bytes) // _VOXEL_BYTES


def too_many_voxels(voxels: int, packed_bytes: int) -> str:
    """What is wrong with so many voxels in files of so many bytes, as found and expected; "" for nothing.

    Examples
    --------
    >>> too_many_voxels(32 * 512 * 512, 2 * MIB)
    ''
    >>> too_many_voxels(15 * 8192 * 8192, 40_000)
    'found 1920 MiB of voxels, expected at most 1024'
    >>> too_many_voxels(8192 * 8192, 2_000)
    'found 128 MiB of voxels in 2000 bytes, expected at most 100 times as many'
    """
    size = voxels * _VOXEL_BYTES
    if size > series_mib() * MIB:
        return f"found {size // MIB} MiB of voxels, expected at most {series_mib()}"
    if voxels > most_voxels(packed_bytes):
        return f"found {size // MIB} MiB of voxels in {packed_bytes} bytes, expected at most {MAX_RATIO} times as many"
    return ""


@dataclass(frozen=True)
class DecodingLimits:
    """What a decoder may take for what it is asked at once: a frame, or some of one file, or a picture.

    seconds : of the processor
    mib : of memory, beside what an idle decoder has
    decoders : processes; with the usual number every core has one
    """

    seconds: int = field(default_factory=lambda: setting("ICHSCOPE_DECODE_SECONDS", 10))
    mib: int = field(default_factory=lambda: setting("ICHSCOPE_DECODE_MB", 1024))
    decoders: int = field(default_factory=lambda: setting("ICHSCOPE_DECODERS", min(8, len(os.sched_getaffinity(0)))))


class Holding:
    """The voxels that one session holds, of which only so many may be; all sessions of a process together have a limit,
    too. What nobody refers to any more counts no more.

    Examples
    --------
    >>> import numpy as np
    >>> holding, volume = Holding(1), np.zeros((1, 1024, 1024), np.int16)
    >>> holding.take(volume)
    >>> holding.refusal
    'found more than 1 MiB of voxels at once, expected less; hand them over in parts, or add them to the Worklist'
    >>> del volume
    >>> holding.refusal
    ''
    """

    _of_process = 0
    _lock = threading.RLock()  # a volume may be released while another one is taken

    def __init__(self, most_mib: int) -> None:
        self._most_mib = most_mib
        self.held_bytes = 0

    def take(self, volume: NDArray[Any]) -> None:
        """Count a volume for as long as it lives."""
        self._add(volume.nbytes)
        weakref.finalize(volume, self._add, -volume.nbytes).atexit = False

    def _add(self, size: int) -> None:
        with self._lock:
            self.held_bytes += size
            Holding._of_process += size

    @property
    def refusal(self) -> str:
        """Why no other volume may be held now; "" where one may."""
        if self.held_bytes >= self._most_mib * MIB:
            advice = "hand them over in parts, or add them to the Worklist"
            return f"found more than {self._most_mib} MiB of voxels at once, expected less; {advice}"
        if Holding._of_process >= process_mib() * MIB:
            held = "the studies of all users take the memory that there is for them"
            return f"{held} ({process_mib()} MiB); expected less, as when some have ended"
        return ""
