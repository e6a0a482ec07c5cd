"""Processes that paint the demonstration's studies."""

import os
import subprocess
import sys
from pathlib import Path

from ichscope.batch import painting
from ichscope.batch.painting import Order

SMALL = Order(number=1, slices=2, size=32, bleed=None, chest=False, tags={})


def test_what_is_painted_is_whole(tmp_path: Path) -> None:
    [[study]] = list(painting.painted(tmp_path, [SMALL]))
    assert len(list(study.folder.iterdir())) == 2
    assert study.truth["any"] is False


def test_a_painter_ends_quietly_while_its_parent_lives(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    try:
        command = [sys.executable, "-m", "ichscope.batch.painting", str(tmp_path), "[]"]
        done = subprocess.run(command, stdin=read_end, capture_output=True, timeout=120, check=False)
    finally:
        os.close(read_end)
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_painter_ends_with_its_parent(tmp_path: Path) -> None:
    orders = '[{"number": 1, "slices": 400, "size": 512, "bleed": null, "chest": false, "tags": {}}]'
    command = [sys.executable, "-m", "ichscope.batch.painting", str(tmp_path), orders]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, timeout=120, check=False).returncode == 1
