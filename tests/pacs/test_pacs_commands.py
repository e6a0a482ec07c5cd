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


@pytest.fixture(params=["DICOMweb", "network"])
def named(
    archive: orthanc.Orthanc,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> orthanc.Orthanc:
    """The archive, as the file of settings names it."""
    config, port = tmp_path / "ichscope.toml", archive.peers["us"]["Port"]
    ours = f"our_port = {port}\ncommitment = true"
    said = {
        "DICOMweb": f'url = "{archive.dicomweb}"\nuser_from = "TEST_USER"\npassword_from = "TEST_PASSWORD"',
        "network": f'title = "ORTHANC"\nhost = "127.0.0.1"\nport = {archive.dicom}\n{ours}',
    }
    config.write_text(f"[archives.hospital]\n{said[request.param]}\nresults = true\n")
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
    assert any(where in run("pacs", "list").output for where in (named.dicomweb, f"ORTHANC@127.0.0.1:{named.dicom}"))
    result = run("pacs", "test", "hospital")
    assert (result.exit_code, result.output[:17]) == (0, "hospital answers:")


@pytest.mark.slow
def test_a_study_is_found_analysed_and_answered(
    named: orthanc.Orthanc, request: pytest.FixtureRequest, tmp_path: Path, home: Path
) -> None:
    tiny_model.build(tmp_path / "models", name="cranioscan")
    models = ("--models-folder", tmp_path / "models", "--provider", "cpu")
    one, two, none = ("C21", "C22", "C23") if "DICOMweb" in request.node.name else ("C31", "C32", "C33")
    for number in (one, two):
        seed = int(number[1:])
        head = phantom.make("subdural", seed, slices=4, size=64)
        tags = {"PatientName": f"{NAME}{seed // 10}", "AccessionNumber": number}
        named.send(phantom.to_bytes(one) for one in phantom.datasets(head, **tags))
    found = run("pacs", "search", "hospital", "--accession", one)
    assert NAME in found.output
    assert "4 images" in found.output
    both = run("pacs", "analyse", "hospital", "--patient", f"{NAME[:-1]}?{one[1]}", *models)
    assert (both.exit_code, "2 studies were found" in both.output) == (2, True)
    assert run("pacs", "analyse", "hospital", "--accession", none, *models).exit_code == 1
    done = run("pacs", "analyse", "hospital", "--accession", one, *models)
    assert "1 sets of results sent to hospital" in done.output
    assert done.exit_code == 0
    assert run("pacs", "sent").output.startswith("hospital  1 sent, 0 wait")
    assert "0 sets" in run("pacs", "send", "hospital").output
    assert [file for file in (home / "archive").rglob("*") if file.is_file()] == []
    with_sr = [series for series in named.get("series?expand") if series["MainDicomTags"]["Modality"] == "SR"]
    studies = {named.get(f"studies/{series['ParentStudy']}")["MainDicomTags"]["AccessionNumber"] for series in with_sr}
    assert one in studies
    assert two not in studies
    store = Store.open(home=home)
    assert store.worklist.counts().total == 1
    store.close()
