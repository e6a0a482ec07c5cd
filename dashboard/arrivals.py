"""Uploads on their way in: files on disk, below ICHSCOPE_HOME, for as long as the page that took them needs them.

A session is an open page, or a program that uses the interface.

Streamlit would keep them in memory. The gate (dashboard/gate/incoming.py) writes each here as it comes and hands
Streamlit an empty one of the same name; a page finds it by the ids that Streamlit gave its session and the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import threading
from collections import Counter
from functools import cache
from pathlib import Path
from typing import IO

from ichscope.home import home, make
from ichscope.imaging.limits import MIB, upload_mib

FOLDER = "incoming"
_LOCK = "in use"
# What a file counts at least: many empty ones cost, too.
LEAST_BYTES = 64 * 1024
# One large study and its pictures: so much of the disk stays free.
LEAST_FREE_BYTES = 1 << 30
# An upload that is being read and the next one.
_UPLOADS = 2


class FullError(OSError):
    """A session has as much here as it may have."""


class Arrivals:
    """The uploads of one server process, in a folder of its own; the next server removes it if this is killed."""

    def __init__(self, home: Path) -> None:
        self._all, self._own = home / FOLDER, home / FOLDER / secrets.token_hex(8)
        self._held: Counter[str] = Counter()
        self._mutex = threading.Lock()
        self._lock: int | None = None

    def path(self, session: str, file: str) -> Path:
        """Where a file lies, if it does."""
        return self._own / session / file

    def begin(self, session: str, file: str) -> IO[bytes]:
        """Open a new file for writing.

        Raises
        ------
        OSError
            if it cannot be made, or the disk is almost full
        """
        with self._mutex:
            if self._lock is None:
                self._lock = self._take_folder()
        if shutil.disk_usage(self._own).free < LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.charge(session, LEAST_BYTES)
        return (make(self._own / session) / file).open("wb")

    def charge(self, session: str, size: int) -> None:
        """Count bytes that are about to be written.

        Raises
        ------
        FullError
            if the session would have too many
        """
        with self._mutex:
            if self._held[session] + size > _UPLOADS * upload_mib() * MIB:
                raise FullError("a session has too much on its way")
            self._held[session] += size

    def remove(self, session: str, file: str) -> None:
        """Remove a file, where it is there."""
        path = self.path(session, file)
        with self._mutex:
            try:
                size = path.stat().st_size
                path.unlink()
            except OSError:
                return
            self._held[session] -= size + LEAST_BYTES

    def remove_session(self, session: str) -> None:
        """Remove all that a session has here."""
        with self._mutex:
            self._held.pop(session, None)
        shutil.rmtree(self._own / session, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what servers have left that are no more: the lock on their folder ended with them."""
        for folder in self._all.iterdir() if self._all.is_dir() else ():
            if folder == self._own:
                continue
            try:
                with (folder / _LOCK).open("ab") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue

    def close(self) -> None:
        """Remove all that is here, at the end of the process."""
        shutil.rmtree(self._own, ignore_errors=True)
        with self._mutex:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _take_folder(self) -> int:
        """Make the folder of this process, and lock it for as long as the process lives."""
        for folder in (self._all.parent, self._all, self._own):
            make(folder)
        lock = os.open(self._own / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock


@cache
def arrivals() -> Arrivals:
    """Give those of this process."""
    return Arrivals(home())
