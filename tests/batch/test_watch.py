from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ichscope import batch, phantom
from ichscope.batch import watch as watching
from ichscope.batch.watch import Inbox, watch
from ichscope.batch.work_items import Files, Place, Refused, Task
from ichscope.imaging import sources
from ichscope.store import Store
from tests.support import tiny_model


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path, clock: Clock) -> Inbox:
    (tmp_path / "inbox").mkdir()
    return Inbox(tmp_path / "inbox", quiet_s=30, clock=clock)


@dataclass
class Waiting:
    """A queue that hands on what is added."""

    add: Callable[[list[Task]], object]


def taken(inbox: Inbox, clock: Clock, seconds: float) -> list[Task]:
    clock.now += seconds
    found: list[Task] = []
    inbox.take(Waiting(found.extend))
    return found


def scan(seed: int = 0) -> list[bytes]:
    return [phantom.to_bytes(one) for one in phantom.datasets(phantom.make(None, seed, slices=3, size=32))]


def test_a_folder_is_taken_when_it_has_been_quiet(inbox: Inbox, clock: Clock) -> None:
    study = inbox.folder / "study"
    study.mkdir()
    assert taken(inbox, clock, 0) == []
    for number, data in enumerate(scan()):
        (study / f"{number}.dcm").write_bytes(data)
        assert taken(inbox, clock, 29) == []
    assert taken(inbox, clock, 29) == []
    (place,) = taken(inbox, clock, 1)
    assert isinstance(place, Place)
    assert place.path == study
    assert taken(inbox, clock, 100) == []


def test_what_comes_late_is_taken_too(inbox: Inbox, clock: Clock) -> None:
    study = inbox.folder / "study"
    study.mkdir()
    first, second, third = scan()
    (study / "1.dcm").write_bytes(first)
    taken(inbox, clock, 0)
    (before,) = taken(inbox, clock, 30)
    (study / "2.dcm").write_bytes(second)
    assert taken(inbox, clock, 5) == []
    (after,) = taken(inbox, clock, 30)
    assert before != after
    (inbox.folder / "3.dcm").write_bytes(third)
    taken(inbox, clock, 0)
    (loose,) = taken(inbox, clock, 30)
    assert isinstance(loose, Files)


def test_loose_files_are_taken_by_series(inbox: Inbox, clock: Clock) -> None:
    for number, data in enumerate(scan(0)):
        (inbox.folder / f"a{number}.dcm").write_bytes(data)
    taken(inbox, clock, 0)
    other = scan(1)
    clock.now += 20
    (inbox.folder / "b0.dcm").write_bytes(other[0])
    assert taken(inbox, clock, 0) == []
    (first,) = taken(inbox, clock, 10)
    assert isinstance(first, Files)
    assert {source.name for source in first.sources} == {f"inbox/a{i}.dcm" for i in range(3)}
    (inbox.folder / "b1.dcm").write_bytes(other[1])
    assert taken(inbox, clock, 20) == []
    assert [len(task.sources) for task in taken(inbox, clock, 30) if isinstance(task, Files)] == [2]


def test_zips_broken_files_and_what_is_still_being_written(inbox: Inbox, clock: Clock) -> None:
    with zipfile.ZipFile(inbox.folder / "night.zip", "w") as archive:
        archive.writestr("1.dcm", scan()[0])
    (inbox.folder / "broken.dcm").write_bytes(b"not a scan")
    (inbox.folder / "half.dcm.part").write_bytes(scan()[0])
    (inbox.folder / ".hidden").write_bytes(b"")
    (inbox.folder / "empty").mkdir()
    taken(inbox, clock, 0)
    zipped, broken = sorted(taken(inbox, clock, 30), key=lambda task: type(task).__name__)
    assert isinstance(zipped, Place)
    assert zipped.path.name == "night.zip"
    assert isinstance(broken, Refused)
    assert broken.name == "inbox/broken.dcm"


def test_too_many_loose_files_are_said(inbox: Inbox, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES_ON_DISK", 2)
    for number, data in enumerate(scan()):
        (inbox.folder / f"{number}.dcm").write_bytes(data)
    taken(inbox, clock, 0)
    (refused,) = taken(inbox, clock, 30)
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("holds more than 2 files")


def test_what_could_not_be_handed_over_comes_again(inbox: Inbox, clock: Clock) -> None:
    (inbox.folder / "study").mkdir()
    (inbox.folder / "study" / "1.dcm").write_bytes(scan()[0])
    taken(inbox, clock, 0)

    def refuse(tasks: list[Task]) -> None:
        raise OSError("no room")

    clock.now += 30
    with pytest.raises(OSError, match="no room"):
        inbox.take(Waiting(refuse))
    assert len(taken(inbox, clock, 1)) == 1


def test_whatever_looking_raises_is_said_and_the_watch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model.build(tmp_path / "models", name="cranioscan")
    setup = batch.WorkerConfig(tmp_path / "models", provider="cpu")
    store = Store.open(home=tmp_path / "home")
    (tmp_path / "inbox").mkdir()
    stop, said, asked = threading.Event(), [], []

    def take(inbox: Inbox, add: object) -> None:
        asked.append(inbox)
        if len(asked) == 1:
            raise ValueError("unexpected")
        stop.set()

    monkeypatch.setattr(Inbox, "take", take)
    monkeypatch.setattr(watching, "_PAUSE_S", 0.01)
    with batch.executor(1) as pool:
        options = {"say": said.append, "stop": stop}
        thread = threading.Thread(target=watch, args=(Inbox(tmp_path / "inbox"), store, pool, setup), kwargs=options)
        thread.start()
        thread.join(60)
        alive = thread.is_alive()
        stop.set()
        thread.join()
    assert not alive
    assert len(asked) == 2
    assert "ValueError" in said[0]
    store.close()


def test_a_watched_folder_survives_restarts(tmp_path: Path) -> None:
    tiny_model.build(tmp_path / "models", name="cranioscan")
    setup = batch.WorkerConfig(tmp_path / "models", provider="cpu")
    store = Store.open(home=tmp_path / "home")
    for life in range(2):
        phantom.write(phantom.make(None, life, slices=2, size=32), tmp_path / "inbox" / str(life))
        stop = threading.Event()
        with batch.executor(1) as pool:
            inbox = Inbox(tmp_path / "inbox", quiet_s=0.2)
            thread = threading.Thread(target=watch, args=(inbox, store, pool, setup), kwargs={"stop": stop})
            thread.start()
            until = time.monotonic() + 60
            while store.worklist.counts().total <= life and time.monotonic() < until:
                time.sleep(0.05)
            stop.set()
            thread.join()
    (job,) = store.jobs.recent()
    assert (job.done, job.failed, store.worklist.counts().total) == (2, 0, 2)
    assert job.finished_at is not None
    store.close()
