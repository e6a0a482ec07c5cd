"""Processes that paint the demonstration's studies."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from ichscope.batch import painting
from ichscope.batch.painting import Order

SMALL = Order(number=1, slices=2, size=32, bleed=None, chest=False, tags={})


def test_what_is_painted_is_whole(tmp_path: Path) -> None:
    [[study]] = list(painting.painted(tmp_path, [SMALL]))
    assert len(list(study.folder.iterdir())) == 2
    assert study.truth["any"] is False


def test_what_another_program_has_painted_stays(tmp_path: Path) -> None:
    painting.paint(tmp_path, SMALL)
    first = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    painting.paint(tmp_path, SMALL)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == first


def test_a_study_whose_record_is_missing_gets_one_and_leaves_no_copy(tmp_path: Path) -> None:
    painting.paint(tmp_path, SMALL)
    record = tmp_path / "study-001.json"
    before = record.read_text(encoding="utf-8")
    record.unlink()
    painting.paint(tmp_path, SMALL)
    assert record.read_text(encoding="utf-8") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study-001", "study-001.json"]


def test_a_chest_is_painted_with_its_tags(tmp_path: Path) -> None:
    painting.paint(tmp_path, replace(SMALL, chest=True, tags={"SeriesDescription": "THORAX"}))
    files = sorted((tmp_path / "study-001").iterdir())
    assert [dcmread(file).SeriesDescription for file in files] == ["THORAX", "THORAX"]
    assert dcmread(files[0]).BodyPartExamined == "CHEST"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "study-001").write_text("in the way")
    with pytest.raises(OSError, match="study-001"):
        painting.paint(tmp_path, SMALL)


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
