"""A tree of any number of files, sorted by headers in little memory: what is known of each waits on disk for its study.

An archive may keep every file in a folder of its own, so no folder tells which files belong together.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

from ichscope.batch.work_items import path_of, source_at
from ichscope.imaging.intake import Group, picture_groups, studies_of, study_groups
from ichscope.imaging.sorting import DicomImage, SortedFiles
from ichscope.imaging.source import Source
from ichscope.imaging.sources import Rejected

_CACHE_KIB = 32 << 10
_NOWHERE = Source("")
_TABLES = """
CREATE TABLE images (number INTEGER PRIMARY KEY, examination TEXT, frame TEXT, image BLOB);
CREATE TABLE pictures (number INTEGER PRIMARY KEY, folder TEXT, picture BLOB);
CREATE TABLE rejected (number INTEGER PRIMARY KEY, file BLOB);
CREATE INDEX of_examination ON images (examination, number);
CREATE INDEX of_frame ON images (frame, examination) WHERE frame != '';
"""
# Images of other examinations in the same frame of reference: those that a wrong Study Instance UID took away.
_ELSEWHERE = """
SELECT image FROM images WHERE examination != ?1
AND frame IN (SELECT DISTINCT frame FROM images WHERE examination = ?1 AND frame != '') ORDER BY number LIMIT 2000
"""


class TreeIndex(SortedFiles):
    """Files of a tree as they are sorted, in a database that only this process can open and that goes with it.

    Parameters
    ----------
    folder : where the database is put; by default where temporary files are
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        handle, path = tempfile.mkstemp(prefix="ichscope-", suffix=".index", dir=folder)
        os.close(handle)
        # Looked at in one thread, then in another one, never in both.
        self._rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._rows.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE_KIB};")
        self._rows.executescript(_TABLES)
        self._rows.execute("BEGIN")
        self._path = Path(path)
        if os.name == "posix":  # whoever is killed leaves nothing behind
            self._path.unlink()
        self.others = self.pictures_beside = 0
        self._has_images = False

    def close(self) -> None:
        """Forget all."""
        self._rows.close()
        self._path.unlink(missing_ok=True)

    def add_image(self, image: DicomImage) -> None:
        """Take a DICOM image."""
        self._has_images = True
        packed = _packed(image.source, replace(image, source=_NOWHERE))
        row = ("\0".join(image.examination), image.frame_of_reference, packed)
        self._rows.execute("INSERT INTO images (examination, frame, image) VALUES (?, ?, ?)", row)

    def add_picture(self, picture: Source) -> None:
        """Take a picture."""
        row = (str(PurePosixPath(picture.name).parent), _packed(picture, None))
        self._rows.execute("INSERT INTO pictures (folder, picture) VALUES (?, ?)", row)

    def reject(self, file: Rejected) -> None:
        """Take a file that should have been readable."""
        row = pickle.dumps((file.name, file.reason))  # a name may hold what is no UTF-8
        self._rows.execute("INSERT INTO rejected (file) VALUES (?)", (row,))

    def ignore(self, name: str) -> None:
        """Count a file that nobody would expect to be an image."""
        self.others += 1

    def take_back(self, name: str) -> bool:
        """Leave it: of a tree nobody named each file."""
        return False

    def studies(self, pictures_as_series: bool = False) -> Iterator[tuple[Group, ...]]:
        """The groups of each study, the one that speaks for it first, in the order in which they were found.

        Raises
        ------
        SourceError
            if an archive is gone meanwhile
        """
        first = "SELECT examination FROM images GROUP BY examination ORDER BY min(number)"
        for (examination,) in self._rows.execute(first):
            of_one = "SELECT image FROM images WHERE examination = ? ORDER BY number"
            images, elsewhere = (
                [_image(row) for (row,) in self._rows.execute(rows, (examination,))] for rows in (of_one, _ELSEWHERE)
            )
            yield from studies_of(study_groups(images, elsewhere))
        if self._has_images and not pictures_as_series:
            (self.pictures_beside,) = self._rows.execute("SELECT count(*) FROM pictures").fetchone()
            return
        seen: dict[str, str] = {}
        key = "folder" if pictures_as_series else "number"
        rows = self._rows.execute(f"SELECT {key}, picture FROM pictures ORDER BY {key}, number")
        for _, some in groupby(rows, key=itemgetter(0)):
            groups, copies = picture_groups([_unpacked(row)[0] for _, row in some], pictures_as_series, seen)
            self.others += len(copies)
            yield from studies_of(groups)

    def refused(self) -> Iterator[Rejected]:
        """The files that should have been readable."""
        for (row,) in self._rows.execute("SELECT file FROM rejected ORDER BY number"):
            yield Rejected(*pickle.loads(row))


def _packed(source: Source, more: object) -> bytes:
    """A file by its place on disk and, of an archive's member, where in it that begins."""
    offset = source.member.header_offset if source.member is not None else None
    return pickle.dumps((source.name, str(path_of(source)), offset, more))


def _unpacked(row: bytes) -> tuple[Source, Any]:
    name, path, offset, more = pickle.loads(row)
    return source_at(name, Path(path), offset), more


def _image(row: bytes) -> DicomImage:
    image: DicomImage
    source, image = _unpacked(row)
    return replace(image, source=source)
