"""What scanners send; dcmtk's storescu and echoscu are the peers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE

from ichscope import phantom
from ichscope.batch.watch import Queue
from ichscope.batch.work_items import Place
from ichscope.pacs import entity as entities
from ichscope.pacs.entity import DicomSettings
from ichscope.pacs.receiving import ReceivedInbox, Receiver, receiver_settings
from ichscope.pacs.servers import PacsError
from ichscope.settings_file import SettingsError
from ichscope.store import Store
from tests.encoders import encode
from tests.support.orthanc import free_port

SENDERS = {"CT1": "127.0.0.1", "AWAY": "10.9.8.7"}


@pytest.fixture
def store(home: Path) -> Store:
    return Store.open(home=home)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def receiver(store: Store, said: list[str]) -> Iterator[Receiver]:
    made = Receiver(DicomSettings(port=free_port(), senders=SENDERS), store.keys, said.append)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return phantom.write(phantom.make(None, 3, slices=3, size=32), tmp_path / "scan")


def dcmtk(program: str, receiver: Receiver, *arguments: object, calling: str = "CT1", called: str = "ICHSCOPE") -> int:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed (Debian: dcmtk)")
    titles = ("-aet", calling, "-aec", called)
    where = ("127.0.0.1", str(receiver.port))
    command = [program, *titles, *where, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def received(receiver: Receiver) -> list[Path]:
    return sorted(path for path in receiver.folder.rglob("*.dcm") if ".spool" not in path.parts)


def test_what_is_sent_lies_in_a_folder_of_its_study(receiver: Receiver, files: list[Path], said: list[str]) -> None:
    assert dcmtk("echoscu", receiver) == 0
    assert dcmtk("storescu", receiver, *files) == 0
    came = received(receiver)
    assert len({path.parent for path in came}) == 1
    assert came[0].parent.name.startswith("CT1 ")
    sent = {pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path).PixelData for path in files}
    assert {pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path).PixelData for path in came} == sent
    assert dcmtk("storescu", receiver, *files) == 0
    assert received(receiver) == came
    assert list((receiver.folder / ".spool").iterdir()) == []
    assert said == []


@pytest.mark.parametrize(
    ("titles", "says"),
    [
        ({"calling": "CT2"}, []),
        ({"called": "ANOTHER"}, []),
        ({"calling": "AWAY"}, ["AWAY called from an address that is not its own, and was refused"]),
    ],
    ids=["unknown sender", "called by another title", "wrong address"],
)
def test_strangers_are_refused(
    receiver: Receiver, files: list[Path], said: list[str], titles: dict[str, str], says: list[str]
) -> None:
    assert dcmtk("storescu", receiver, files[0], **titles) != 0
    assert received(receiver) == []
    assert said == says
    assert dcmtk("echoscu", receiver) == 0


@pytest.mark.parametrize(
    ("proposed", "syntax"),
    [
        ("-xi", ImplicitVRLittleEndian),
        ("-xe", ExplicitVRLittleEndian),
        ("-xb", ExplicitVRBigEndian),
        ("-xd", DeflatedExplicitVRLittleEndian),
        ("-xs", JPEGLosslessSV1),
        ("-xx", JPEGExtended12Bit),
        ("-xt", JPEGLSLossless),
        ("-xu", JPEGLSNearLossless),
        ("-xv", JPEG2000Lossless),
        ("-xw", JPEG2000),
        ("-xr", RLELossless),
    ],
    ids=[
        *("implicit", "explicit", "big endian", "deflated", "JPEG lossless", "JPEG 12 bit"),
        *("JPEG-LS", "JPEG-LS near lossless", "JPEG 2000 lossless", "JPEG 2000", "RLE"),
    ],
)
def test_every_transfer_syntax_comes_as_it_was_sent(
    receiver: Receiver, files: list[Path], proposed: str, syntax: UID
) -> None:
    """Of those without compression dcmtk sends any that it has proposed."""
    before = files[0].read_bytes()
    files[0].write_bytes(encode(before, syntax))
    assert dcmtk("storescu", receiver, proposed, files[0]) == 0
    (came,) = received(receiver)
    one, other = pydicom.dcmread(files[0]), pydicom.dcmread(came)
    if syntax.is_encapsulated:
        assert other.file_meta.TransferSyntaxUID == syntax
        assert other.PixelData == one.PixelData
    else:
        assert (other.pixel_array == pydicom.dcmread(BytesIO(before)).pixel_array).all()


def test_a_sender_that_is_killed_in_the_middle_of_a_file_leaves_nothing(
    receiver: Receiver, files: list[Path], tmp_path: Path
) -> None:
    if not shutil.which("storescu"):
        pytest.skip("storescu is not installed (Debian: dcmtk)")
    large = pydicom.dcmread(files[0])
    large.Rows = large.Columns = 4096
    large.PixelData = bytes(2 * 4096 * 4096)
    large.save_as(tmp_path / "large.dcm")
    command = ["storescu", "-aet", "CT1", "-aec", "ICHSCOPE", "127.0.0.1", str(receiver.port), tmp_path / "large.dcm"]
    sender, spool = subprocess.Popen(command), receiver.folder / ".spool"
    assert until(lambda: any(spool.iterdir()))
    sender.kill()
    sender.wait()
    assert until(lambda: not any(spool.iterdir()))
    assert received(receiver) == []
    assert dcmtk("storescu", receiver, files[1]) == 0
    assert len(received(receiver)) == 1


def until(so: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not so() and time.monotonic() < end:
        time.sleep(0.002)
    return so()


def test_an_association_that_breaks_off_leaves_the_others(receiver: Receiver, files: list[Path]) -> None:
    entity = AE(ae_title="CT1")
    entity.add_requested_context(pydicom.uid.CTImageStorage)
    one = entity.associate("127.0.0.1", receiver.port, ae_title="ICHSCOPE")
    other = entity.associate("127.0.0.1", receiver.port, ae_title="ICHSCOPE")
    assert one.send_c_store(pydicom.dcmread(files[0])).Status == 0
    one.abort()
    assert other.send_c_store(pydicom.dcmread(files[1])).Status == 0
    other.release()
    assert len(received(receiver)) == 2


def test_what_has_no_end_is_ended(
    receiver: Receiver, files: list[Path], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entities, "MAX_FILE_BYTES", 500)
    assert dcmtk("storescu", receiver, files[0]) != 0
    assert "was refused" in said[0]
    assert until(lambda: not any((receiver.folder / ".spool").iterdir()))
    monkeypatch.undo()
    assert dcmtk("storescu", receiver, files[0]) == 0


@pytest.mark.parametrize(("free", "status"), [(1 << 31, 0x0000), (1 << 20, 0xA700)], ids=["room", "no room"])
def test_without_room_instances_are_refused(
    receiver: Receiver, files: list[Path], monkeypatch: pytest.MonkeyPatch, free: int, status: int
) -> None:
    usage = type(shutil.disk_usage("/"))(1 << 40, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert send(receiver, pydicom.dcmread(files[0])) == status


def test_what_does_not_say_its_study_is_refused(receiver: Receiver, files: list[Path], said: list[str]) -> None:
    one = pydicom.dcmread(files[0])
    del one.StudyInstanceUID
    assert send(receiver, one) == 0xC000
    assert said == ["an instance cannot be read (AttributeError), and was refused"]


def send(receiver: Receiver, dataset: pydicom.Dataset) -> int:
    entity = AE(ae_title="CT1")
    entity.add_requested_context(dataset.SOPClassUID)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="ICHSCOPE")
    status = int(association.send_c_store(dataset).Status)
    association.release()
    return status


def test_a_study_is_taken_when_it_is_quiet_and_removed_when_it_is_done(
    receiver: Receiver, files: list[Path], store: Store
) -> None:
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    inbox = ReceivedInbox(receiver, 30)
    inbox._clock = clock = Clock()
    queue = Queue(store, store.jobs.start("watch", inbox.title))
    dcmtk("storescu", receiver, files[0])
    inbox.take(queue)
    clock.now = 20
    dcmtk("storescu", receiver, files[1])
    inbox.take(queue)
    assert queue.open() == []
    clock.now = 50
    inbox.take(queue)
    (place,) = queue.open()
    assert isinstance(place, Place)
    (item,) = store.jobs.claim(queue.job)
    store.jobs.drop(item.id)
    dcmtk("storescu", receiver, files[2])
    inbox.take(queue)
    assert len(received(receiver)) == 3, "a slice has come since"
    clock.now = 90
    inbox.take(queue)
    (item,) = store.jobs.claim(queue.job)
    store.jobs.drop(item.id)
    inbox.take(queue)
    assert received(receiver) == []


def test_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "ichscope.toml"
    file.write_text('[dicom]\ntitle = "SCOPE"\nport = 104\n[dicom.senders]\nCT1 = "10.0.0.5"\n')
    read = receiver_settings(file)
    assert (read.title, read.port, read.address, read.senders) == ("SCOPE", 104, "127.0.0.1", {"CT1": "10.0.0.5"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "[dicom.senders] names nobody"),
        ("[dicom]\nport = 'x'", "has port = 'x'; expected a whole number"),
        ("[dicom]\nsenders = 'all'", "expected a table of texts"),
        ("[dicom]\naet = 'S'", "has aet; expected one of title, address"),
    ],
    ids=["nobody", "port", "senders", "unknown"],
)
def test_settings_that_are_not_understood_are_said(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "ichscope.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as told:
        receiver_settings(file)
    assert says in str(told.value)


def test_a_port_that_is_taken_is_said(receiver: Receiver, store: Store) -> None:
    before = tempfile.tempdir
    second = Receiver(DicomSettings(port=receiver.port, senders=SENDERS), store.keys)
    with pytest.raises(PacsError, match="DICOM cannot be received at port"):
        second.start()
    assert tempfile.tempdir == before


def test_what_the_whole_program_shares_is_put_back(store: Store) -> None:
    before = tempfile.tempdir
    made = Receiver(DicomSettings(port=free_port(), senders=SENDERS), store.keys)
    made.start()
    assert tempfile.tempdir == str(made.folder / ".spool")
    made.stop()
    assert tempfile.tempdir == before
