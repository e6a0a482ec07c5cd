"""A stream of bytes under a passphrase: encrypted, and whole or refused.

A file is a header and chunks. Each chunk is AES-256-GCM with its number and whether it is the last as the nonce: none
can be changed, moved, left out or added (STREAM, Hoang et al., CRYPTO 2015; as in age, https://age-encryption.org/v1).
The key comes from the passphrase and a salt of this file alone by Argon2id (RFC 9106).
"""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ichscope.errors import IchscopeError

MAGIC = b"ICHScope backup\x01"
CHUNK_BYTES = 1 << 20
_TAG_BYTES = 16
_SALT_BYTES = 16
_COUNTER_BYTES = 11
# Salt, memory in KiB, iterations, lanes.
_HEADER = struct.Struct(f">{_SALT_BYTES}sIII")
# RFC 9106, section 4: the second recommended option, for machines with little memory.
_MEMORY_KIB, _ITERATIONS, _LANES = 64 << 10, 3, 4
# A foreign header must not be able to ask for more.
_MOST_MEMORY_KIB, _MOST_ITERATIONS, _MOST_LANES = 1 << 20, 16, 16


class SealedStreamError(IchscopeError):
    """A file that is no such stream, is damaged, or was made with another passphrase."""


class SealedWriter(io.RawIOBase):
    """Writes to a file, encrypted; without `finish` what was written is refused as cut off."""

    def __init__(self, file: BinaryIO, passphrase: bytes) -> None:
        self._file, self._number = file, 0
        self._header = MAGIC + _HEADER.pack(os.urandom(_SALT_BYTES), _MEMORY_KIB, _ITERATIONS, _LANES)
        self._cipher = _cipher(self._header, passphrase)
        self._waiting = bytearray()
        file.write(self._header)

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Take bytes; they reach the file a chunk at a time."""
        self._waiting += data
        # One byte more than a chunk: the last one is not known before the end, and is not empty.
        while len(self._waiting) > CHUNK_BYTES:
            self._put(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, chunk: bytes, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), chunk, self._header))
        self._number += 1


class SealedReader(io.RawIOBase):
    """Reads what `SealedWriter` has written; gives out no byte that was not proven to be as it was written.

    Raises
    ------
    SealedStreamError
        at the beginning, or by `read` and `finish`, where the file is not whole, or the passphrase another one
    """

    def __init__(self, file: BinaryIO, passphrase: bytes) -> None:
        self._file, self._number, self._ended = file, 0, False
        self._header = file.read(len(MAGIC) + _HEADER.size)
        if not self._header.startswith(MAGIC) or len(self._header) < len(MAGIC) + _HEADER.size:
            raise SealedStreamError("expected a backup of ICHScope, found another file or a part of one")
        self._cipher = _cipher(self._header, passphrase)
        self._next = self._sealed_chunk()
        self._opened = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Give so many bytes, fewer only at the end; all that is left without a size."""
        parts, left = [], size
        while left and (self._opened or self._open_next()):
            part = self._opened if left < 0 else self._opened[:left]
            self._opened = self._opened[len(part) :]
            left -= len(part) if left > 0 else 0
            parts.append(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Read to the end, which is proven to be the end."""
        while self._open_next():
            pass

    def _open_next(self) -> bool:
        if self._ended:
            return False
        sealed, self._next = self._next, self._sealed_chunk()
        self._ended = not self._next
        try:
            opened = self._cipher.decrypt(_nonce(self._number, self._ended), sealed, self._header)
        except InvalidTag:
            at = len(self._header) + self._number * (CHUNK_BYTES + _TAG_BYTES)
            wrong = "the passphrase is another one, or the file is" if not self._number else "it is"
            raise SealedStreamError(f"{wrong} damaged or cut off, at byte {at:,} or up to 1 MB behind it") from None
        self._number += 1
        self._opened = memoryview(opened)
        return True

    def _sealed_chunk(self) -> bytes:
        return self._file.read(CHUNK_BYTES + _TAG_BYTES)


def _cipher(header: bytes, passphrase: bytes) -> AESGCM:
    salt, memory, iterations, lanes = _HEADER.unpack(header[len(MAGIC) :])
    in_bounds = 8 * lanes <= memory <= _MOST_MEMORY_KIB and 1 <= iterations <= _MOST_ITERATIONS
    if not (in_bounds and 1 <= lanes <= _MOST_LANES):
        raise SealedStreamError("its header is damaged")
    derive = Argon2id(salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory)
    return AESGCM(derive.derive(passphrase))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES) + bytes([last])
