"""Archives that speak DICOM's network protocol: a real one, and peers that misbehave."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from ichscope import phantom
from ichscope.pacs.archives import FoundSeries, Query
from ichscope.pacs.association import identifier
from ichscope.pacs.entity import DicomSettings
from ichscope.pacs.network import DicomNetwork
from ichscope.pacs.receiving import Receiver
from ichscope.pacs.servers import DicomNetworkServer, PacsError
from ichscope.store import Store
from tests.support.orthanc import Orthanc, free_port

NAME = "ZZTOP^MÜLLER"
FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet
MOVE, KEEP = StudyRootQueryRetrieveInformationModelMove, StorageCommitmentPushModel
SERIES = FoundSeries("1.2", "1.2.3", "CT", instances=2)


def scan(seed: int, **tags: str) -> list[Dataset]:
    return list(phantom.datasets(phantom.make(None, seed, slices=3, size=32), **tags))


def another(one: Dataset, uid: str) -> Dataset:
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    return one


# ---------------------------------------------------------------- a real archive


@pytest.fixture(params=[True, False], ids=["C-GET", "C-MOVE"])
def network(archive: Orthanc, request: pytest.FixtureRequest) -> DicomNetwork:
    server = DicomNetworkServer("hospital", "ORTHANC", "127.0.0.1", archive.dicom, get=request.param, commitment=True)
    return DicomNetwork(replace(server, whole_s=60.0), DicomSettings(port=archive.peers["us"]["Port"]))


def test_studies_are_found_fetched_and_stored(
    archive: Orthanc, network: DicomNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    number = "N7" if network.server.get else "N8"
    sent = scan(int(number[1]), PatientName=NAME, AccessionNumber=number, StudyDate="20261130", BodyPartExamined="HEAD")
    archive.send(map(phantom.to_bytes, sent))
    network.echo()
    (study,) = network.studies(Query(accession=number))
    assert (study.patient_name, study.date, study.instances) == (NAME, "20261130", 3)
    assert network.studies(Query("ZZTOP^M*", accession=number, date="20261130-20261201")) == [study]
    assert network.studies(Query("ZZTOP^MÜLL?R", accession=number, date="20261130-")) == [study]
    assert network.studies(Query(accession="N9")) == []
    assert network.studies(Query(accession=number, modality="MR")) == []
    (series,) = network.series(study.uid)
    assert (series.modality, series.body_part, series.instances) == ("CT", "HEAD", 3)
    assert network.fetch(series, tmp_path) == 3
    came = {(one := pydicom.dcmread(file)).SOPInstanceUID: one.PixelData for file in tmp_path.iterdir()}
    assert came == {one.SOPInstanceUID: one.PixelData for one in sent}
    network.store([another(sent[0], f"1.2.3.4.{number[1]}")])
    assert network.series(study.uid)[0].instances == 4
    network.store([sent[0]])
    assert network.series(study.uid)[0].instances == 4, "the same once more"
    for named in (NAME, "MÜLLER", number, study.uid, series.uid):
        assert named not in caplog.text


def test_an_archive_that_is_not_to_send_to_us_is_named(archive: Orthanc, network: DicomNetwork, tmp_path: Path) -> None:
    if network.server.get:
        pytest.skip("of moves only")
    archive.send(map(phantom.to_bytes, scan(6, AccessionNumber="N6")))
    stranger = DicomNetwork(network.server, DicomSettings(title="STRANGER", port=free_port()))
    with pytest.raises(PacsError, match="hospital: "):
        stranger.studies(Query(accession="N6"))
    (study,) = network.studies(Query(accession="N6"))
    (series,) = network.series(study.uid)
    elsewhere = DicomNetwork(network.server, DicomSettings(port=free_port()))
    with pytest.raises(PacsError, match="hospital: "):
        elsewhere.fetch(series, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- dcmtk's archive, which counts nothing


@pytest.fixture
def dcmqrscp(tmp_path: Path) -> Iterator[DicomNetwork]:
    if not shutil.which("dcmqrscp"):
        pytest.skip("dcmqrscp is not installed (Debian: dcmtk)")
    folder, port, ours = tmp_path / "dcmtk", free_port(), free_port()
    folder.mkdir()
    (folder / "config").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\n"
        f"us = (ICHSCOPE, localhost, {ours})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMTK {folder} RW (200, 1024mb) us\nAETable END\n"
    )
    with (folder / "log").open("wb") as log:
        program = subprocess.Popen(["dcmqrscp", "-c", folder / "config"], stdout=log, stderr=log)
    server = DicomNetworkServer("old", "DCMTK", "localhost", port, whole_s=60.0)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.1)
    yield DicomNetwork(server, DicomSettings(port=ours))
    program.terminate()
    program.wait(30)


@pytest.mark.parametrize("get", [True, False], ids=["C-GET", "C-MOVE"])
def test_an_archive_of_dcmtk_gives_and_takes(dcmqrscp: DicomNetwork, tmp_path: Path, get: bool) -> None:
    archive = DicomNetwork(replace(dcmqrscp.server, get=get), dcmqrscp._us)
    archive.store(scan(5, PatientName="ZZTOP^OLD", AccessionNumber="N5", StudyDate="20261130"))
    (study,) = archive.studies(Query(accession="N5"))
    (series,) = archive.series(study.uid)
    assert (study.patient_name, series.instances) == ("ZZTOP^OLD", 3)
    (tmp_path / "came").mkdir()
    assert archive.fetch(series, tmp_path / "came") == 3


@pytest.mark.parametrize(
    ("title", "us", "says"),
    [("ANOTHER", "ICHSCOPE", "old: "), ("DCMTK", "STRANGER", "old: ")],
    ids=["its title", "ours"],
)
def test_a_wrong_title_is_refused(dcmqrscp: DicomNetwork, title: str, us: str, says: str) -> None:
    server: Any = replace(dcmqrscp.server, title=title)
    with pytest.raises(PacsError, match=says):
        DicomNetwork(server, replace(dcmqrscp._us, title=us)).studies(Query())


# ---------------------------------------------------------------- peers that misbehave

Handler = Callable[[Event], Any]


@contextmanager
def peer(
    handlers: dict[Any, Handler], kinds: Sequence[Any] = (FIND,), callers: Sequence[str] = (), **settings: Any
) -> Iterator[DicomNetwork]:
    """An archive that does as it is told."""
    entity = AE(ae_title="PEER")
    entity.require_called_aet, entity.require_calling_aet = True, list(callers)
    for kind in kinds:
        entity.add_supported_context(kind, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers.items()))
    assert server is not None
    title = settings.pop("title", "PEER")
    known = {"answer_s": 20.0, "whole_s": 20.0} | settings
    yield DicomNetwork(
        DicomNetworkServer("bad", title, "127.0.0.1", server.server_address[1], **known),
        DicomSettings(port=free_port()),
    )
    for association in server.active_associations:
        association.abort()
    server.shutdown()


def study(uid: str = "1.2.3", **tags: str) -> Dataset:
    return identifier("STUDY", (), {"StudyInstanceUID": uid, **tags})


def finds(*results: tuple[int, Dataset | None]) -> dict[Any, Handler]:
    return {evt.EVT_C_FIND: lambda event: iter(results)}


def test_odd_values_are_taken_as_they_are() -> None:
    """Without a warning, which would repeat them."""
    odd = study(PatientName="A" * 70, StudyDate="yesterday", AccessionNumber="x" * 20)
    odd.add(DataElement(0x00201208, "LO", "many"))
    with peer(finds((0xFF00, odd), (0xFF01, study("")))) as archive:
        (found,) = archive.studies(Query())
    assert (found.patient_name, found.date, found.instances) == ("A" * 70, "yesterday", None)


def test_too_many_results_are_cut_off() -> None:
    cancelled = threading.Event()

    def many(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        for number in range(10_000):
            if event.is_cancelled:
                cancelled.set()
                yield 0xFE00, None
                return
            yield 0xFF00, study(f"1.2.{number}")

    with peer({evt.EVT_C_FIND: many}) as archive:
        assert len(archive.studies(Query(), most=5)) == 5
    assert cancelled.is_set()


@pytest.mark.parametrize(
    ("handlers", "says"),
    [
        (finds((0xA700, None)), r"it cannot search \(status A700\)"),
        (finds((0xFF00, study()), (0xC001, None)), r"it cannot search \(status C001\)"),
        ({evt.EVT_C_FIND: lambda event: event.assoc.abort()}, "broke off"),
    ],
    ids=["out of resources", "fails in the middle", "aborts"],
)
def test_a_bad_answer_is_said(handlers: dict[Any, Handler], says: str) -> None:
    with peer(handlers) as archive, pytest.raises(PacsError, match=f"^bad: {says}$"):
        archive.studies(Query())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"title": "ANOTHER"}, "its title is not ANOTHER"),
        ({"callers": ["CT1"]}, "it does not know us as ICHSCOPE"),
        ({"kinds": [Verification]}, "it offers nothing of what it was asked for"),
    ],
    ids=["title", "unknown", "no C-FIND"],
)
def test_a_refusal_is_said(settings: dict[str, Any], says: str) -> None:
    with peer(finds(), **settings) as archive, pytest.raises(PacsError, match=f"^bad: {says}$"):
        archive.studies(Query())


def test_a_busy_archive_is_said() -> None:
    def busy(event: Event) -> None:
        event.assoc.acse.send_reject(0x02, 0x03, 0x02)
        event.assoc.kill()

    with peer({evt.EVT_REQUESTED: busy}) as archive, pytest.raises(PacsError, match="no more associations"):
        archive.studies(Query())


def test_an_archive_that_is_not_there_is_said() -> None:
    server = DicomNetworkServer("bad", "PEER", "127.0.0.1", free_port())
    with pytest.raises(PacsError, match=r"^bad: cannot be reached, or broke off$"):
        DicomNetwork(server, DicomSettings()).echo()


@contextmanager
def answering(answer: Callable[[socket.socket], None], answer_s: float) -> Iterator[DicomNetwork]:
    """Something that reads a request and then does as it is told."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            with suppress(OSError):  # the test is over, or the caller is gone
                client, _ = listening.accept()
                with closing(client):
                    client.recv(1 << 16)
                    answer(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        server = DicomNetworkServer("bad", "PEER", "127.0.0.1", listening.getsockname()[1], answer_s=answer_s)
        yield DicomNetwork(server, DicomSettings())
    thread.join(10)


def drips(client: socket.socket) -> None:
    """An answer to a request for an association, a byte now and then: each read comes in time."""
    for byte in b"\x02\x00\x00\x00\xff\xff" + bytes(200):
        client.sendall(bytes([byte]))
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda client: None, "cannot be reached, or broke off"),
        (lambda client: client.sendall(b"HTTP/1.1 400 No\r\n\r\n"), "cannot be reached, or broke off"),
        (lambda client: time.sleep(3), r"no answer within 0\.6 seconds"),
        (drips, r"not done within 1\.8 seconds"),
    ],
    ids=["closes", "no DICOM", "says nothing", "drips"],
)
def test_what_gives_no_association_is_given_up(answer: Callable[[socket.socket], None], says: str) -> None:
    began = time.monotonic()
    with answering(answer, answer_s=0.6) as archive, pytest.raises(PacsError, match=f"^bad: {says}$"):
        archive.studies(Query())
    assert time.monotonic() - began < 15


def dripping(event: Event) -> Iterator[Any]:
    """The beginning of a message, and then a byte now and then."""
    connection: Any = event.assoc.dul.socket
    with suppress(Exception):
        for byte in b"\x04\x00\x00\x00\xff\xff" + bytes(400):
            connection.socket.sendall(bytes([byte]))
            time.sleep(0.05)
    yield 0


def silent(event: Event) -> Iterator[Any]:
    time.sleep(4)
    yield 0


@pytest.mark.parametrize("handler", [dripping, silent])
def test_a_transfer_that_does_not_end_is_given_up(tmp_path: Path, handler: Handler) -> None:
    began = time.monotonic()
    with peer({evt.EVT_C_GET: handler}, [GET, CTImageStorage], whole_s=1.5) as archive:
        with pytest.raises(PacsError, match=r"^bad: (not done within 1.5 seconds|broke off)$"):
            archive.fetch(SERIES, tmp_path)
        assert time.monotonic() - began < 15


def test_a_transfer_can_be_ended(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    ended = pytest.raises(PacsError, match=r"^bad: the transfer was ended$")
    with peer({evt.EVT_C_GET: silent}, [GET, CTImageStorage]) as archive, ended:
        archive.fetch(SERIES, tmp_path, stop)


def gives(*uids: str, failed: int = 0) -> dict[Any, Handler]:
    def give(event: Event) -> Iterator[Any]:
        yield len(uids)
        for number, uid in enumerate(uids):
            one = another(scan(1)[0], f"1.2.3.4.{number}")
            one.SeriesInstanceUID = UID(uid)
            yield 0xFF00, one
        if failed:
            yield 0xB000, identifier("SERIES", (), {})

    return {evt.EVT_C_GET: give}


@pytest.mark.parametrize(
    ("handlers", "says"),
    [
        (gives("1.2.3"), "1 of 2 slices of a series came"),
        (gives("1.2.3", "1.2.9"), "an instance of another series came"),
        ({evt.EVT_C_GET: lambda event: iter([2, (0xA702, None)])}, "status A702"),
    ],
    ids=["one missing", "another series", "out of resources"],
)
def test_a_series_that_is_not_whole_is_said(tmp_path: Path, handlers: dict[Any, Handler], says: str) -> None:
    with peer(handlers, [GET, CTImageStorage]) as archive, pytest.raises(PacsError, match=f"^bad: .*{says}$"):
        archive.fetch(SERIES, tmp_path)


def test_what_comes_is_a_file_each(tmp_path: Path) -> None:
    with peer(gives("1.2.3", "1.2.3"), [GET, CTImageStorage]) as archive:
        assert archive.fetch(SERIES, tmp_path) == 2
    assert len({pydicom.dcmread(file).SOPInstanceUID for file in tmp_path.iterdir()}) == 2


def test_without_room_that_is_said(tmp_path: Path) -> None:
    told = pytest.raises(PacsError, match=r"^bad: what it sends cannot be written: No such file or directory$")
    with peer(gives("1.2.3", "1.2.3"), [GET, CTImageStorage]) as archive, told:
        archive.fetch(SERIES, tmp_path / "gone")


def test_where_we_listen_already_a_move_is_refused(tmp_path: Path) -> None:
    told = pytest.raises(PacsError, match="DICOM cannot be received at port")
    with peer({}, [MOVE]) as archive, socket.create_server(("127.0.0.1", archive._us.port)), told:
        archive.fetch(SERIES, tmp_path)


def test_a_place_that_it_does_not_know_is_said(tmp_path: Path) -> None:
    def nowhere(event: Event) -> Iterator[Any]:
        yield None, None

    told = pytest.raises(PacsError, match=r"^bad: does not know where ICHSCOPE is, to send to it$")
    with peer({evt.EVT_C_MOVE: nowhere}, [MOVE]) as archive, told:
        archive.fetch(SERIES, tmp_path)


# ---------------------------------------------------------------- results


def takes(event: Event) -> int:
    return 0


@pytest.mark.parametrize(
    ("handlers", "kinds", "says"),
    [
        ({evt.EVT_C_STORE: lambda event: 0xA700}, [CTImageStorage], r"took 0 of 3 objects \(status A700\)"),
        ({evt.EVT_C_STORE: lambda event: event.assoc.abort()}, [CTImageStorage], r"took 0 of 3 objects \(broke off\)"),
        ({}, [SecondaryCaptureImageStorage], "it offers nothing of what it was asked for"),
    ],
    ids=["refuses", "aborts", "another kind"],
)
def test_what_it_does_not_take_is_said(handlers: dict[Any, Handler], kinds: Sequence[Any], says: str) -> None:
    with peer(handlers, kinds) as archive, pytest.raises(PacsError, match=f"^bad: {says}$"):
        archive.store(scan(2))


def keeps(kind: int, status: int = 0) -> Handler:
    """Answers a request to keep objects, and reports over the same association."""

    def keep(event: Event) -> tuple[int, None]:
        asked = event.action_information

        def report() -> None:
            time.sleep(0.2)
            event.assoc.send_n_event_report(asked, kind, KEEP, StorageCommitmentPushModelInstance)

        if kind:
            threading.Thread(target=report, daemon=True).start()
        return status, None

    return keep


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (keeps(1), ""),
        (keeps(2), "does not keep all of the results"),
        (keeps(0), "has not said within 1.5 seconds|not done within 1.5 seconds"),
        (keeps(0, 0x0110), r"it was not to be asked to keep the results \(status 0110\)"),
    ],
    ids=["kept", "not all", "says nothing", "refused"],
)
def test_results_are_there_when_the_archive_keeps_them(answer: Handler, says: str) -> None:
    handlers = {evt.EVT_C_STORE: takes, evt.EVT_N_ACTION: answer}
    with peer(handlers, [CTImageStorage, KEEP], commitment=True, whole_s=1.5 if "within" in says else 20.0) as archive:
        if not says:
            archive.store(scan(2))
            return
        with pytest.raises(PacsError, match=f"^bad: ({says})"):
            archive.store(scan(2))


def test_without_commitment_that_is_said() -> None:
    told = pytest.raises(PacsError, match=r"^bad: offers no Storage Commitment$")
    with peer({evt.EVT_C_STORE: takes}, [CTImageStorage], commitment=True) as archive, told:
        archive.store(scan(2))


def test_a_receiver_takes_what_is_reported_to_its_port(archive: Orthanc, home: Path) -> None:
    """`pacs receive` has the port; reports come to it."""
    us = DicomSettings(port=archive.peers["us"]["Port"], senders={"ORTHANC": "127.0.0.1"})
    server = DicomNetworkServer("hospital", "ORTHANC", "127.0.0.1", archive.dicom, commitment=True, whole_s=30.0)
    store = Store.open(home=home)
    receiver = Receiver(us, store.keys)
    receiver.start()
    try:
        DicomNetwork(server, us).store([another(scan(4)[0], "1.2.3.4.44")])
        nobody = Receiver(replace(us, senders={"CT1": "127.0.0.1"}), store.keys)
        receiver.stop()
        nobody.start()
        receiver = nobody
        with pytest.raises(PacsError, match=r"^hospital: (has not said|not done) within 2 seconds"):
            DicomNetwork(replace(server, whole_s=2.0), us).store([another(scan(4)[0], "1.2.3.4.45")])
    finally:
        receiver.stop()
        store.close()


def test_over_tls_both_show_who_they_are(tmp_path: Path, home: Path) -> None:
    """A receiver of ours is the peer; a caller that says nothing holds up nobody else."""
    file = tmp_path / "both.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "-", "-days", "2"]
    file.write_bytes(subprocess.run(["openssl", "req", "-x509", *names, *made], capture_output=True, check=True).stdout)
    ours: dict[str, Any] = {"certificate": str(file), "ca": str(file)}
    store = Store.open(home=home)
    receiver = Receiver(DicomSettings(port=free_port(), senders={"CT1": "127.0.0.1"}, **ours), store.keys)
    receiver.start()
    server, us = DicomNetworkServer("tls", "ICHSCOPE", "127.0.0.1", receiver.port), DicomSettings(title="CT1")
    try:
        with socket.create_connection(("127.0.0.1", receiver.port)):
            DicomNetwork(replace(server, **ours), us).echo()
        for wrong in ({"ca": str(file)}, {}):
            with pytest.raises(PacsError, match=r"^tls: (cannot be reached, or broke off|no answer)"):
                DicomNetwork(replace(server, **wrong), us).echo()
        with pytest.raises(PacsError, match="files for TLS that its settings name cannot be used"):
            DicomNetwork(replace(server, ca=str(tmp_path)), us).echo()
        DicomNetwork(replace(server, **ours), us).echo()
    finally:
        receiver.stop()
        store.close()
