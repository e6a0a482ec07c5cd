"""Synthetic studies painted by processes of their own, beside those that analyse them.

`python -m ichscope.batch.painting` is such a process. Painting is plain Python for the most part, of which one process
does one thing at a time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ichscope import phantom
from ichscope.atomic import write_text
from ichscope.batch.driver import BatchError
from ichscope.imaging.source import Source
from ichscope.labels import LABELS
from ichscope.models.providers import cores
from ichscope.store.pseudonymiser import content_hash

_LOOK_S = 0.05


@dataclass(frozen=True)
class Order:
    """What one synthetic study is to be: a head with a bleed or without, or a chest; and tags of its files."""

    number: int
    slices: int
    size: int
    bleed: str | None
    chest: bool
    tags: dict[str, Any]


@dataclass(frozen=True)
class PaintedStudy:
    """A synthetic study on disk: the hash of what is in its files, and the truth about it, by label."""

    number: int
    folder: Path
    content: str
    truth: dict[str, bool]


def painted(folder: Path, orders: Sequence[Order]) -> Iterator[list[PaintedStudy]]:
    """Have studies painted into a folder; gives those that have become whole since the last time, until all are.

    What an earlier call left whole is not painted again. The processes end with this generator, and with this process.

    Raises
    ------
    BatchError
        if a study cannot be painted or written
    """
    waiting = {order.number for order in orders}
    painters = [_start(folder, orders[first :: cores()]) for first in range(min(cores(), len(orders)))]
    try:
        while waiting:
            ended = all(painter.poll() is not None for painter in painters)
            fresh = [study for number in sorted(waiting) if (study := _whole(folder, number))]
            waiting -= {study.number for study in fresh}
            if fresh:
                yield fresh
            elif ended or any(painter.poll() for painter in painters):
                raise BatchError("The synthetic studies cannot be made: a process that paints them has ended.")
            else:
                time.sleep(_LOOK_S)
    finally:
        for painter in painters:
            painter.kill()
            painter.communicate()


def _start(folder: Path, orders: Sequence[Order]) -> subprocess.Popen[bytes]:
    text = json.dumps([asdict(order) for order in orders])
    command = [sys.executable, "-m", "ichscope.batch.painting", str(folder), text]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _whole(folder: Path, number: int) -> PaintedStudy | None:
    """A study that is there with its record, which is written last."""
    record, target = _places(folder, number)
    if not record.is_file():
        return None
    return PaintedStudy(number, target, **json.loads(record.read_text(encoding="utf-8")))


def _places(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"study-{number:03}.json", folder / f"study-{number:03}"


def paint(folder: Path, order: Order) -> None:
    """Paint a study into a folder of its own, unless a demonstration that was killed has left it whole."""
    record, target = _places(folder, order.number)
    if record.is_file():
        return
    part = Path(mkdtemp(prefix=f"{target.name}-", dir=folder))
    if order.chest:
        made = phantom.make_chest(order.number, order.slices, order.size)
    else:
        made = phantom.make(order.bleed, order.number, order.slices, order.size)
    files = phantom.write(made, part, **order.tags)
    content = content_hash([Source(file.name, path=file) for file in files])
    truth = {label: bool(made.labels[:, place].any()) for place, label in enumerate(LABELS)}
    try:
        part.rename(target)
    except OSError:  # a demonstration that was killed had just come so far, or another program was quicker
        if not target.is_dir():
            raise
        shutil.rmtree(part)
    write_text(record, json.dumps({"content": content, "truth": truth}))


def _end_with_the_parent() -> None:
    """Where the process that asked is gone, its end of the pipe is closed, and nobody waits for what is painted."""
    # Not through sys.stdin, whose lock this thread would still hold when the interpreter ends.
    os.read(0, 1)
    os._exit(1)


def main(folder: Path, orders: Sequence[Order]) -> None:
    """Paint the studies one after the other."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    for order in orders:
        paint(folder, order)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Order(**order) for order in json.loads(sys.argv[2])])
