"""Where the bytes of one file come from: a path, memory, or a member of a ZIP archive."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from ichscope.errors import IchscopeError, barrier
from ichscope.texts import writable

# A whole-body Enhanced CT of 2,000 frames of 512x512 has 1 GiB; no file of a head study comes near.
MAX_FILE_BYTES = 2 << 30
_ENCRYPTED = 1


class SourceError(IchscopeError):
    """Bytes that cannot be had; the message is the reason, without the file's name."""


class Archive:
    """A ZIP file that is read member by member and never unpacked to disk; may be sent to another process."""

    def __init__(self, origin: Path | bytes) -> None:
        self.origin = origin
        self._lock = threading.Lock()
        self._zip: zipfile.ZipFile | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"origin": self.origin}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["origin"])  # type: ignore[misc]

    def members(self) -> list[zipfile.ZipInfo]:
        """Every file of the archive.

        Raises
        ------
        SourceError
            if this is not a readable ZIP
        """
        with barrier(lambda kind: SourceError(f"found a damaged ZIP archive ({kind}), expected a complete one")):
            return [info for info in self._open().infolist() if not info.is_dir()]

    def read(self, member: zipfile.ZipInfo, limit: int | None = None) -> bytes:
        """The first `limit` bytes of a member, or all of them.

        Raises
        ------
        SourceError
            if the member is damaged, encrypted or packed in an unknown way
        """
        if member.flag_bits & _ENCRYPTED:
            raise SourceError("is encrypted; unpack the archive with its password first")
        with barrier(lambda kind: SourceError(f"is damaged inside its ZIP archive ({kind})")):
            try:
                with self._lock, self._open().open(member) as file:
                    return file.read(-1 if limit is None else limit)
            except NotImplementedError:
                text = "is packed with a ZIP method that is not supported; unpack the archive first"
                raise SourceError(text) from None

    def _open(self) -> zipfile.ZipFile:
        if self._zip is None:
            self._zip = zipfile.ZipFile(BytesIO(self.origin) if isinstance(self.origin, bytes) else self.origin)
        return self._zip


@dataclass(frozen=True)
class Source:
    """One file, by the name that the user knows, wherever its bytes are; any name can be written (`texts.writable`).

    from_page : whether it came over a page, from where less is taken at once than from a disk
    """

    name: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    archive: Archive | None = field(default=None, repr=False)
    member: zipfile.ZipInfo | None = field(default=None, repr=False)
    from_page: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", writable(self.name))

    @property
    def size(self) -> int:
        """Length in bytes."""
        if self.data is not None:
            return len(self.data)
        if self.member is not None:
            return self.member.file_size
        return self.path.stat().st_size if self.path else 0

    def read(self, limit: int | None = None) -> bytes:
        """The first `limit` bytes, or all of them.

        Raises
        ------
        SourceError
            if they cannot be read
        """
        if self.data is not None:
            return self.data[:limit]
        if self.archive is not None and self.member is not None:
            return self.archive.read(self.member, limit)
        try:
            assert self.path is not None, "a Source has a path, data or an archive"
            with self.path.open("rb") as file:
                return file.read(-1 if limit is None else limit)
        except OSError as error:
            raise SourceError(f"cannot be read ({error.strerror})") from None


def as_sources(items: Sequence[Source | Path | bytes]) -> list[Source]:
    """Give plain paths and bytes a name: the file's own, or their number.

    Examples
    --------
    >>> [source.name for source in as_sources([b"...", Path("a/IM2")])]
    ['image 1', 'IM2']
    """
    return [
        item
        if isinstance(item, Source)
        else Source(f"image {number}", data=item)
        if isinstance(item, bytes)
        else Source(item.name, path=item)
        for number, item in enumerate(items, 1)
    ]


def digest(sources: Sequence[Source]) -> str:
    """SHA-256 over the contents of files in this order, as hexadecimal; of an unreadable one, over its name.

    Examples
    --------
    >>> digest([Source("a", data=b"1")]) == digest([Source("b", data=b"1")])
    True
    """
    total = hashlib.sha256()
    for source in sources:
        try:
            content = source.read()
        except SourceError:
            content = source.name.encode("utf-8", "surrogateescape")
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def name_some(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more.

    Examples
    --------
    >>> name_some(["a", "b", "c", "d"])
    'a; b; c; and 1 more.'
    """
    more = f"; and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more + "."
