"""`ichscope analyse --dicom`: the objects of each study, and why there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner, Result

from ichscope import phantom
from ichscope.commands import dicom_objects
from ichscope.commands.cli import app
from tests.support.dicom_results import dciodvfy

FLAGGED = ["capture.dcm", "evidence-1.dcm", "key-images.dcm", "report.dcm"]


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a bleed, one that says not where its slices lie, and one with identifiers as RSNA's files have."""
    folder = tmp_path_factory.mktemp("inbox")
    head = phantom.make(seed=1, slices=8, size=128)
    phantom.write(phantom.make("subdural", slices=8, size=128), folder / "bleed")
    phantom.write(head, folder / "nowhere", FrameOfReferenceUID=None)
    paths = phantom.write(head, folder / "rsna", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    for number, (path, one) in enumerate(zip(paths, phantom.datasets(head), strict=True)):
        uid = one.SOPInstanceUID.encode()
        path.write_bytes(path.read_bytes().replace(uid, f"ID_{number:09x}".encode().ljust(len(uid), b"\0")))
    return folder


@pytest.fixture
def analyse(models: Path):
    def call(*arguments: object) -> Result:
        command = ["analyse", "--models-folder", models, "--provider", "cpu", *arguments]
        return CliRunner().invoke(app, [str(argument) for argument in command])

    return call


def files(folder: Path) -> dict[str, list[str]]:
    return {path.name: sorted(file.name for file in path.iterdir()) for path in folder.iterdir()}


def test_each_study_has_a_folder_with_its_objects(analyse, inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "dicom"
    result = analyse(inbox, "--dicom", out, "--json", tmp_path / "out.json")
    entries = {entry["name"].rsplit("/", 1)[-1]: entry for entry in json.loads((tmp_path / "out.json").read_text())}
    bleed, nowhere = entries["bleed"]["study"], entries["nowhere"]["study"]
    assert files(out)[bleed] == FLAGGED
    assert set(files(out)) == {bleed, nowhere}
    assert "evidence-1.dcm" not in files(out)[nowhere]
    report = dcmread(out / bleed / "report.dcm")
    assert str(report.PatientName) == "SYNTHETIC^PHANTOM"
    for name in FLAGGED:
        assert dciodvfy(out / bleed / name)[0] == []
    words = result.stdout
    assert f"{out / bleed} (report.dcm, key-images.dcm, capture.dcm, evidence-1.dcm)" in words
    assert "no evidence: " in words
    assert "Frame of Reference UID (0020,0052): found none" in words
    refused = "rsna/IM0001.dcm: SOP Instance UID (0008,0018): found a text that is no UID, expected a UID"
    assert "No DICOM objects: " in words
    assert refused in words


def test_the_same_study_gives_the_same_files(analyse, inbox: Path, tmp_path: Path) -> None:
    for out in ("first", "second"):
        assert analyse(inbox / "bleed", "--dicom", tmp_path / out).exit_code == 0
    first, second = (dcmread(next((tmp_path / out).glob("*/report.dcm"))) for out in ("first", "second"))
    assert first.SOPInstanceUID == second.SOPInstanceUID


def test_objects_that_are_not_made_any_more_go_and_other_files_stay(
    analyse, models: Path, inbox: Path, tmp_path: Path
) -> None:
    assert analyse(inbox / "bleed", "--dicom", tmp_path).exit_code == 0
    [folder] = tmp_path.iterdir()
    (folder / "evidence-7.dcm").write_bytes(b"of an earlier run")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert analyse(inbox / "bleed", "--dicom", tmp_path).exit_code == 0
    assert files(tmp_path)[folder.name] == sorted([*FLAGGED, "notes.txt"])


def test_a_folder_that_cannot_be_made_is_told_before_the_work(analyse, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    result = analyse(inbox, "--dicom", tmp_path / "file" / "below")
    assert result.exit_code == 2
    assert "below: could not be created" in result.output
    assert "flagged" not in result.output


def test_a_study_that_cannot_be_written_costs_the_others_nothing(analyse, inbox: Path, tmp_path: Path) -> None:
    assert analyse(inbox / "bleed", "--dicom", tmp_path / "once").exit_code == 0
    [study] = (tmp_path / "once").iterdir()
    out = tmp_path / "out"
    out.mkdir()
    (out / study.name).write_text("in the way", encoding="utf-8")
    result = analyse(inbox, "--dicom", out, "--json", tmp_path / "out.json")
    assert result.exit_code == 2
    assert f"{study.name}: could not be written" in result.output
    assert len(json.loads((tmp_path / "out.json").read_text())) == 3
    assert sum(path.is_dir() for path in out.iterdir()) == 1  # and the third has none


def test_without_highdicom_the_command_says_what_to_install(
    analyse, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_objects, "is_available", lambda: False)
    result = analyse(inbox, "--dicom", tmp_path)
    assert result.exit_code == 2
    assert "pip install 'ichscope[pacs]'" in result.output
