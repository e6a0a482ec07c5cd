from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ichscope import analyse, phantom
from ichscope.imaging.intake import Group, collect
from ichscope.models.detector import Detector
from ichscope.pacs.dicomweb import DicomWeb
from ichscope.pacs.servers import DicomWebServer
from ichscope.results import SeriesResult
from tests.support import orthanc, tiny_model


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[orthanc.Orthanc]:
    if not (orthanc.PROGRAM.is_file() and orthanc.PLUGIN.is_file()):
        pytest.skip("Orthanc with its DICOMweb plugin is not installed (Debian: orthanc orthanc-dicomweb)")
    us = {"AET": "ICHSCOPE", "Host": "127.0.0.1", "Port": orthanc.free_port()}
    allowed = {f"Allow{what}": True for what in ("Find", "Get", "Move", "StorageCommitment")}
    made = orthanc.Orthanc(tmp_path_factory.mktemp("orthanc"), peers={"us": us | allowed})
    made.start()
    yield made
    made.stop()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def web(archive: orthanc.Orthanc, monkeypatch: pytest.MonkeyPatch) -> DicomWeb:
    monkeypatch.setenv("TEST_USER", orthanc.USER)
    monkeypatch.setenv("TEST_PASSWORD", orthanc.PASSWORD)
    return DicomWeb(DicomWebServer("hospital", archive.dicomweb, user_from="TEST_USER", password_from="TEST_PASSWORD"))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Group, SeriesResult]:
    models = tmp_path_factory.mktemp("models")
    tiny_model.build(models, name="cranioscan")
    head = phantom.make("subdural", 1, slices=4, size=64)
    (group,) = collect((f"IM{n}", phantom.to_bytes(one)) for n, one in enumerate(phantom.datasets(head))).groups
    return group, analyse.analyse_group(group, {"cranioscan": Detector(models / "cranioscan", "cpu")})
