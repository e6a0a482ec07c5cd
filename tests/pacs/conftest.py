from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ichscope.pacs.dicomweb import DicomWeb
from ichscope.pacs.servers import DicomWebServer
from tests.support import orthanc


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
