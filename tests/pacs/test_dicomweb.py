from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID

from ichscope import phantom
from ichscope.pacs.archives import FoundSeries, Query
from ichscope.pacs.dicomweb import DicomWeb
from ichscope.pacs.servers import DicomWebServer, PacsError
from tests.support.orthanc import Orthanc

NAME = "ZZTOP^TEST"


def scan(seed: int, **tags: str) -> list[bytes]:
    head = phantom.make(None, seed, slices=3, size=32)
    return [phantom.to_bytes(one) for one in phantom.datasets(head, **tags)]


# ---------------------------------------------------------------- a real archive


def test_studies_are_found_fetched_and_stored(archive: Orthanc, web: DicomWeb, tmp_path: Path) -> None:
    instances = scan(7, PatientName=NAME, AccessionNumber="A7", StudyDate="20261130", BodyPartExamined="HEAD")
    archive.send(instances)
    (study,) = web.studies(Query(accession="A7"))
    assert (study.patient_name, study.date, study.instances) == (NAME, "20261130", 3)
    assert web.studies(Query(patient_name="ZZTOP^T*", date="20261130-20261201")) == [study]
    assert web.studies(Query(accession="A8")) == []
    (series,) = web.series(study.uid)
    assert (series.modality, series.body_part, series.instances) == ("CT", "HEAD", 3)
    assert web.fetch(series, tmp_path) == 3
    assert {pydicom.dcmread(file).SOPInstanceUID for file in tmp_path.iterdir()} == {
        pydicom.dcmread(pydicom.filebase.DicomBytesIO(one)).SOPInstanceUID for one in instances
    }
    one = pydicom.dcmread(next(tmp_path.iterdir()))
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    web.store([one])
    assert web.series(study.uid)[0].instances == 4
    assert NAME not in repr(study)
    assert study.uid not in repr(series)


def test_a_wrong_password_is_said(archive: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "another")
    server = DicomWebServer("hospital", archive.dicomweb, user_from="TEST_PASSWORD", password_from="TEST_PASSWORD")
    with pytest.raises(PacsError, match=r"hospital: it does not know us \(status 401\)"):
        DicomWeb(server).studies(Query())


# ---------------------------------------------------------------- archives that misbehave

HEAD = b"HTTP/1.1 200 OK\r\n"
MULTIPART = HEAD + b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
PART = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
ONE = PART + b"DICM\r\n--b--\r\n"
WHOLE = b"Content-Length: %d\r\n\r\n" % len(ONE) + ONE


@contextmanager
def answering(answer: Callable[[socket.socket], None], answer_s: float = 20, whole_s: float = 60) -> Iterator[DicomWeb]:
    """An archive that reads a request and then does as it is told."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            try:
                while True:
                    client, _ = listening.accept()
                    with closing(client):
                        client.recv(1 << 16)
                        answer(client)
            except OSError:  # the test is over
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        yield DicomWeb(DicomWebServer("bad", f"http://127.0.0.1:{port}", answer_s=answer_s, whole_s=whole_s))
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def sends(*parts: bytes, wait_s: float = 0.0) -> Callable[[socket.socket], None]:
    def answer(client: socket.socket) -> None:
        for part in parts:
            client.sendall(part)
            time.sleep(wait_s)

    return answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (sends(), "cannot be reached, or broke off"),
        (sends(b"nonsense\r\n\r\n"), "cannot be reached, or broke off"),
        (sends(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), r"it cannot answer \(status 500\)"),
        (sends(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), r"it does not let us \(status 403\)"),
        (sends(HEAD + b"Content-Length: 3\r\n\r\n<a>"), "its answer is not understood"),
        (sends(HEAD + b'Content-Length: 7\r\n\r\n[{"a"}]'), "its answer is not understood"),
    ],
    ids=["closed", "no HTTP", "500", "403", "no JSON", "bad JSON"],
)
def test_a_bad_answer_is_said(answer: Callable[[socket.socket], None], says: str) -> None:
    with answering(answer) as web, pytest.raises(PacsError, match=f"bad: {says}"):
        web.studies(Query())


def test_an_archive_that_says_nothing_is_given_up() -> None:
    silent = answering(lambda client: time.sleep(2), answer_s=0.5)
    with silent as web, pytest.raises(PacsError, match=r"bad: no answer within 0\.5 seconds"):
        web.studies(Query())


def test_an_archive_that_only_drips_is_given_up() -> None:
    """Each byte comes in time, so that no time-out of a single read ends it."""
    body = MULTIPART + b"Content-Length: 100000\r\n\r\n" + PART + b"x" * 90000
    dripping = sends(*(body[i : i + 1] for i in range(400)), wait_s=0.05)
    with answering(dripping, whole_s=1.5) as web:
        began = time.monotonic()
        with pytest.raises(PacsError, match=r"bad: not done within 1\.5 seconds"):
            web.fetch(FoundSeries("1.2", "1.2.3"), Path())
        assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("body", "instances", "says"),
    [
        (b"Content-Length: 999\r\n\r\n" + PART + b"DICM", 1, "cannot be reached, or broke off"),
        (WHOLE, 2, "1 of 2 slices of a series came"),
    ],
    ids=["cut off", "one missing"],
)
def test_a_series_that_is_not_whole_is_said(tmp_path: Path, body: bytes, instances: int, says: str) -> None:
    with answering(sends(MULTIPART + body)) as web, pytest.raises(PacsError, match=says):
        web.fetch(FoundSeries("1.2", "1.2.3", instances=instances), tmp_path)


def test_what_comes_is_written_as_it_came(tmp_path: Path) -> None:
    with answering(sends(MULTIPART + WHOLE)) as web:
        assert web.fetch(FoundSeries("1.2", "1.2.3", instances=1), tmp_path) == 1
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == b"DICM"


def test_a_fetch_can_be_ended(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with answering(sends(MULTIPART + WHOLE)) as web, pytest.raises(PacsError, match="the transfer was ended"):
        web.fetch(FoundSeries("1.2", "1.2.3"), tmp_path, stop)
