"""Files that appear whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ichscope.texts import writable


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a neighbour to write to, which takes the file's place at the end; after an error the old file stays.

    The neighbour's name ends as the file's does: NumPy and Keras go by that.

    Raises
    ------
    OSError
        if the folder is missing or cannot be written
    """
    part = path.with_name(f".{secrets.token_hex(4)}.part.{path.name}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, in UTF-8; what that cannot say is written as `texts.writable` gives it.

    Raises
    ------
    OSError
        if the folder is missing or cannot be written
    """
    path, data = path.resolve(), writable(text).encode()
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a pipe or device must not be replaced by a file
        return
    with replacing(path) as part:
        part.write_bytes(data)
