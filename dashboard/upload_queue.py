"""What pages take in, as folders below ICHSCOPE_HOME: a server that is killed, or loses its power, loses nothing, and
the next one goes on.

Each ingest of a page has a folder here, named by its upload ID, which its job remembers. As long as the folder is
there, the job is this home's to do. Uploaded files lie in it; for a folder on the server it is empty.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from ichscope.home import make

FOLDER = "uploads"
_PART = ".part"
# Letters; a name may have 255 bytes, and a letter up to four.
_LONGEST_NAME = 60
_COPY_BYTES = 1 << 20


class UploadQueue:
    """The uploads of a home folder, each under its upload ID."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._being_written: set[str] = set()

    def keep(self, files: Iterable[tuple[str, BinaryIO | Path]]) -> str:
        """Write named files into a folder of their own, all of them or, after an error, none.

        Those that lie below the home already are not copied.

        Returns
        -------
        the upload ID

        Raises
        ------
        OSError
            if there is no room for them
        """
        upload_id = secrets.token_hex(8)
        # Each by itself: folders that are made on the way to another one are open to all.
        part = self._folder / f"{upload_id}{_PART}"
        self._being_written.add(part.name)
        try:
            for folder in (self._folder.parent, self._folder, part):
                make(folder)
            for number, (name, data) in enumerate(files):
                _write(_place(part, name, number), data)
            os.utime(part)  # its age counts from now on
            for path in (*part.rglob("*"), part):
                _sync(path)
            part.rename(self._folder / upload_id)
            _sync(self._folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            self._being_written.discard(part.name)
        return upload_id

    def folder(self, upload_id: str) -> Path:
        """Where the files of an upload lie."""
        return self._folder / upload_id

    def holds(self, upload_id: str) -> bool:
        """Whether there is such an upload."""
        return upload_id != "" and (self._folder / upload_id).is_dir()

    def upload_ids(self) -> Iterator[str]:
        """All upload IDs; what a killed server left half-written is removed when it is a day old."""
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if not folder.name.endswith(_PART):
                yield folder.name
            elif folder.name not in self._being_written and self.age(folder.name) > timedelta(days=1):
                shutil.rmtree(folder, ignore_errors=True)

    def age(self, upload_id: str) -> timedelta:
        """How long ago an upload came in, or how far ahead of a clock that was set back; zero where it is gone."""
        try:
            return timedelta(seconds=abs(time.time() - (self._folder / upload_id).stat().st_mtime))
        except OSError:
            return timedelta()

    def remove(self, upload_id: str) -> None:
        """Remove an upload and its files."""
        shutil.rmtree(self._folder / upload_id, ignore_errors=True)


def _place(folder: Path, name: str, number: int) -> Path:
    """Give a path inside the folder that no other file has; folders and endings stay, as series are told by them."""
    parts = [part[-_LONGEST_NAME:] for part in name.replace("\\", "/").replace("\0", "").split("/")]
    path = folder.joinpath(*(part for part in parts if part not in ("", ".", "..")))
    if path == folder or path.exists() or any(parent.is_file() for parent in path.parents):
        path = folder / f"{number}.{secrets.token_hex(4)}" / (path.name if path != folder else "unnamed")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _sync(path: Path) -> None:
    """Have what a file or folder holds on the disk: its job in the database will be, whenever the power fails."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _write(path: Path, data: BinaryIO | Path) -> None:
    if isinstance(data, Path):
        path.hardlink_to(data)
        return
    data.seek(0)
    with path.open("xb") as file:
        shutil.copyfileobj(data, file, _COPY_BYTES)
