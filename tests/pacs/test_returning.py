from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from pathlib import Path
from threading import Event

import pydicom
import pytest
from pydicom.dataset import Dataset

from ichscope import analyse, batch, phantom
from ichscope.batch.watch import watch
from ichscope.imaging.intake import Group
from ichscope.pacs.archives import Archive
from ichscope.pacs.arriving import ArchiveInbox
from ichscope.pacs.dicomweb import DicomWeb
from ichscope.pacs.entity import DicomSettings
from ichscope.pacs.network import DicomNetwork
from ichscope.pacs.returning import Returns, packed, unpacked
from ichscope.pacs.servers import DicomNetworkServer, DicomWebServer, PacsError
from ichscope.results import SeriesResult
from ichscope.store import Store
from tests.support import tiny_model
from tests.support.orthanc import Orthanc


@dataclass
class FakeArchive:
    server: DicomWebServer = field(default_factory=lambda: DicomWebServer("hospital", "http://h"))
    away: bool = False
    taken: list[Dataset] = field(default_factory=list)

    def store(self, objects: list[Dataset]) -> None:
        if self.away:
            raise PacsError("hospital: cannot be reached, or broke off")
        self.taken += objects


@pytest.fixture
def store(home: Path) -> Store:
    return Store.open(home=home)


@pytest.fixture
def fake() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def returns(store: Store, fake: FakeArchive, said: list[str]) -> Returns:
    return Returns(store, fake, said.append)  # type: ignore[arg-type]


Judged = tuple[Group, SeriesResult]


def test_results_are_made_kept_and_sent(returns: Returns, fake: FakeArchive, store: Store, judged: Judged) -> None:
    returns.put(*judged)
    assert fake.taken == []
    assert returns.send() == 1
    first = pydicom.dcmread(BytesIO(judged[0].sources[0].read()))
    assert {one.StudyInstanceUID for one in fake.taken} == {first.StudyInstanceUID}
    assert {one.PatientID for one in fake.taken} == {first.PatientID}
    assert "SR" in {one.Modality for one in fake.taken}
    assert "CT" not in {one.Modality for one in fake.taken}, "they would look like another series to analyse"
    returns.put(*judged)
    assert returns.send() == 0


def test_what_the_archive_does_not_take_waits(
    returns: Returns, fake: FakeArchive, store: Store, judged: Judged
) -> None:
    fake.away = True
    returns.put(*judged)
    with pytest.raises(PacsError):
        returns.send()
    (post,) = store.outgoing.post()
    assert (post.waiting, post.reason) == (1, "hospital: cannot be reached, or broke off")
    assert returns.send() == 0, "it is tried again later"


def test_of_what_no_model_has_judged_nothing_is_sent(
    returns: Returns, store: Store, judged: Judged, said: list[str]
) -> None:
    group, _ = judged
    returns.put(group, analyse.unreadable(group.study, group.key, "IM", "no pixels"))
    assert store.outgoing.post() == []
    assert said == []


def test_why_there_are_no_objects_is_said(returns: Returns, store: Store, judged: Judged, said: list[str]) -> None:
    group, result = judged
    returns.put(Group("picture", group.study, group.key, group.sources), result)
    assert store.outgoing.post() == []
    assert said[0].startswith("No DICOM results for hospital: IM0: found a picture")


def test_packed_objects_are_what_they_were() -> None:
    one = phantom.datasets(phantom.make(None, 0, slices=2, size=32))
    (first, second) = unpacked(packed(one))  # type: ignore[arg-type]
    assert (first, second) == tuple(one)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["DICOMweb", "network"])
def test_results_stand_beside_the_images_of_a_real_archive(
    archive: Orthanc, web: DicomWeb, store: Store, tmp_path: Path, language: str
) -> None:
    """They go back by themselves, and what comes back is no reason to analyse again."""
    tiny_model.build(tmp_path / "models", name="cranioscan")
    setup = batch.WorkerConfig(tmp_path / "models", provider="cpu")
    title = DicomNetworkServer("hospital", "ORTHANC", "127.0.0.1", archive.dicom, commitment=True)
    network = DicomNetwork(title, DicomSettings(port=archive.peers["us"]["Port"]))
    place: Archive = web if language == "DICOMweb" else network
    before = {series["ID"] for series in archive.get("series?expand")}
    first = 11 if language == "DICOMweb" else 13
    for seed in (first, first + 1):
        head = phantom.make("subdural", seed, slices=4, size=64)
        tags = {"StudyDate": f"{date.today():%Y%m%d}", "BodyPartExamined": "HEAD", "PatientID": f"R{seed}"}
        archive.send(phantom.to_bytes(one) for one in phantom.datasets(head, **tags))
    stop = Event()
    said: list[str] = []
    inbox, returns = ArchiveInbox(place, quiet_s=0.1), Returns(store, place, said.append)
    with batch.executor(1) as pool:
        options = {"stop": stop, "made": returns.put}
        watching = threading.Thread(target=watch, args=(inbox, store, pool, setup), kwargs=options)
        watching.start()
        returns.go_on_sending(stop)
        end = time.monotonic() + 120
        while sum(post.sent for post in store.outgoing.post()) < 2 and time.monotonic() < end:
            time.sleep(0.2)
        time.sleep(7)  # a look more
        stop.set()
        watching.join(60)
        returns.wait()
    assert said == []
    new = [series for series in archive.get("series?expand") if series["ID"] not in before]
    by_study: dict[str, list[str]] = {}
    for series in new:
        by_study.setdefault(series["ParentStudy"], []).append(series["MainDicomTags"]["Modality"])
    mine = [sorted(modalities) for modalities in by_study.values() if "SR" in modalities]
    assert len(mine) == 2
    assert all(modalities.count("SR") == modalities.count("CT") == 1 for modalities in mine)
    (post,) = store.outgoing.post()
    assert (post.sent, post.waiting) == (2 if language == "DICOMweb" else 4, 0)
