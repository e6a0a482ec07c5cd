"""The commands on archives, as a user types them, with a real one."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ichscope import phantom
from ichscope.commands.cli import app
from ichscope.store import Store
from tests.support import orthanc, tiny_model

NAME = "ZZTOP^COMMAND"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def named(archive: orthanc.Orthanc, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> orthanc.Orthanc:
    """The archive, as the file of settings names it."""
    config = tmp_path / "ichscope.toml"
    config.write_text(
        f'[archives.hospital]\nurl = "{archive.dicomweb}"\nuser_from = "TEST_USER"\npassword_from = "TEST_PASSWORD"\n'
        "results = true\n"
    )
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(config))
    monkeypatch.setenv("TEST_USER", orthanc.USER)
    monkeypatch.setenv("TEST_PASSWORD", orthanc.PASSWORD)
    return archive


def test_where_none_is_named_that_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICHSCOPE_CONFIG", raising=False)
    assert "No archive is named" in run("pacs", "list").output
    result = run("pacs", "test", "hospital")
    assert (result.exit_code, "found hospital; there is none" in result.output) == (2, True)
    assert run("watch").exit_code == 2
    assert run("watch", home.parent, "--dicomweb", "hospital").exit_code == 2


def test_archives_are_listed_and_tried(named: orthanc.Orthanc) -> None:
    assert named.dicomweb in run("pacs", "list").output
    result = run("pacs", "test", "hospital")
    assert (result.exit_code, result.output[:17]) == (0, "hospital answers:")


@pytest.mark.slow
def test_a_study_is_found_analysed_and_answered(named: orthanc.Orthanc, tmp_path: Path, home: Path) -> None:
    tiny_model.build(tmp_path / "models", name="cranioscan")
    models = ("--models-folder", tmp_path / "models", "--provider", "cpu")
    for seed in (21, 22):
        head = phantom.make("subdural", seed, slices=4, size=64)
        tags = {"PatientName": NAME, "AccessionNumber": f"C{seed}"}
        named.send(phantom.to_bytes(one) for one in phantom.datasets(head, **tags))
    found = run("pacs", "search", "hospital", "--accession", "C21")
    assert NAME in found.output
    assert "4 images" in found.output
    two = run("pacs", "analyse", "hospital", "--patient", "ZZTOP^COMMAND", *models)
    assert (two.exit_code, "2 studies were found" in two.output) == (2, True)
    assert run("pacs", "analyse", "hospital", "--accession", "C23", *models).exit_code == 1
    one = run("pacs", "analyse", "hospital", "--accession", "C21", *models)
    assert "1 sets of results sent to hospital" in one.output
    assert one.exit_code == 0
    assert run("pacs", "sent").output.startswith("hospital  1 sent, 0 wait")
    assert "0 sets" in run("pacs", "send", "hospital").output
    assert [file for file in (home / "archive").rglob("*") if file.is_file()] == []
    with_sr = [series for series in named.get("series?expand") if series["MainDicomTags"]["Modality"] == "SR"]
    studies = {named.get(f"studies/{series['ParentStudy']}")["MainDicomTags"]["AccessionNumber"] for series in with_sr}
    assert "C21" in studies
    assert "C22" not in studies
    store = Store.open(home=home)
    assert store.worklist.counts().total == 1
    store.close()
