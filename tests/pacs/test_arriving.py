"""Head CT that arrives in an archive; the archive is a real one, and a fake one where time must be set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from threading import Event

import pytest

from ichscope import batch, phantom
from ichscope.batch.watch import Queue, watch
from ichscope.batch.work_items import Place
from ichscope.pacs.archives import FoundSeries, FoundStudy, Query
from ichscope.pacs.arriving import ArchiveInbox
from ichscope.pacs.dicomweb import DicomWeb
from ichscope.pacs.servers import DicomWebServer, PacsError
from ichscope.store import Store
from tests.support import tiny_model
from tests.support.orthanc import Orthanc

TODAY = date(2026, 12, 1)


@dataclass
class FakeArchive:
    """What an archive holds: number of slices by series, of one study."""

    held: dict[str, FoundSeries] = field(default_factory=dict)
    server: DicomWebServer = field(default_factory=lambda: DicomWebServer("hospital", "http://h"))
    counts: bool = True
    away: bool = False
    asked: list[Query] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def studies(self, query: Query) -> list[FoundStudy]:
        self.asked.append(query)
        if self.away:
            raise PacsError("hospital: cannot be reached, or broke off")
        count = sum(series.instances or 0 for series in self.held.values())
        return [FoundStudy("1.2.3", instances=count if self.counts else None)] if self.held else []

    def series(self, study_uid: str) -> list[FoundSeries]:
        return list(self.held.values())

    def fetch(self, series: FoundSeries, folder: Path, stop: Event | None = None) -> int:
        self.fetched.append(series.uid)
        for number in range(series.instances or 0):
            (folder / f"{number}.dcm").write_bytes(b"")
        return series.instances or 0

    def holds(self, uid: str, instances: int, modality: str = "CT", body_part: str = "HEAD") -> None:
        self.held[uid] = FoundSeries("1.2.3", uid, modality, body_part, instances=instances)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(home: Path) -> Store:
    return Store.open(home=home)


@pytest.fixture
def queue(store: Store) -> Queue:
    return Queue(store, store.jobs.start("watch", "Archive hospital"))


@pytest.fixture
def fake() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def look(fake: FakeArchive, queue: Queue) -> Callable[[float], list[Place]]:
    """Looks after some seconds; gives what is waiting then."""
    clock = Clock()
    inbox = ArchiveInbox(fake, quiet_s=30, clock=clock, today=lambda: TODAY)  # type: ignore[arg-type]

    def after(seconds: float) -> list[Place]:
        clock.now += seconds
        inbox.take(queue)
        return [task for task in queue.open() if isinstance(task, Place)]

    return after


Look = Callable[[float], list[Place]]


def test_a_study_is_taken_when_it_is_quiet(fake: FakeArchive, look: Look) -> None:
    fake.holds("1", 1)
    assert look(0) == []
    fake.holds("1", 3)
    assert look(20) == []
    assert look(20) == []
    (place,) = look(20)
    assert sorted(file.name for file in place.path.rglob("*.dcm")) == ["0.dcm", "1.dcm", "2.dcm"]
    assert place.path.name.startswith("hospital ")
    assert look(60) == [place]
    assert fake.fetched == ["1"]
    assert fake.asked[0] == Query(date="20261129-")


def test_slices_that_come_late_make_it_another_state(fake: FakeArchive, look: Look) -> None:
    fake.holds("1", 2)
    look(0)
    (first,) = look(30)
    fake.holds("1", 3)
    assert look(10) == [first]
    both = look(30)
    assert len(both) == 2
    assert fake.fetched == ["1", "1"]


@pytest.mark.parametrize("counts", [True, False], ids=["counted by study", "counted by series"])
def test_what_is_no_head_ct_changes_nothing(fake: FakeArchive, look: Look, counts: bool) -> None:
    """As a result that we have stored there ourselves."""
    fake.counts = counts
    fake.holds("1", 2)
    look(0)
    taken = look(30)
    fake.holds("2", 1, "SR", "")
    fake.holds("3", 400, "CT", "CHEST")
    assert look(10) == look(60) == taken
    assert fake.fetched == ["1"]


@pytest.mark.parametrize(
    ("modality", "body_part", "taken"),
    [("CT", "HEAD", True), ("CT", "", True), ("CT", "BRAIN", True), ("CT", "CHEST", False), ("MR", "HEAD", False)],
)
def test_head_ct_is_taken(fake: FakeArchive, look: Look, modality: str, body_part: str, taken: bool) -> None:
    fake.holds("1", 2, modality, body_part)
    look(0)
    assert bool(look(30)) == taken


def test_an_archive_that_comes_back_goes_on(fake: FakeArchive, look: Look) -> None:
    fake.holds("1", 2)
    look(0)
    fake.away = True
    with pytest.raises(PacsError):
        look(30)
    fake.away = False
    assert len(look(30)) == 1


def test_after_a_restart_nothing_is_fetched_twice(fake: FakeArchive, look: Look, queue: Queue) -> None:
    fake.holds("1", 2)
    look(0)
    taken = look(30)
    clock = Clock()
    again = ArchiveInbox(fake, quiet_s=0, clock=clock, today=lambda: TODAY)  # type: ignore[arg-type]
    again.take(queue)
    assert queue.open() == taken
    assert fake.fetched == ["1"]


def test_what_is_analysed_is_removed(fake: FakeArchive, look: Look, queue: Queue) -> None:
    fake.holds("1", 2)
    look(0)
    (place,) = look(30)
    (item,) = queue.store.jobs.claim(queue.job)
    look(10)
    assert place.path.is_dir()
    queue.store.jobs.drop(item.id)
    look(10)
    assert not place.path.exists()


def test_a_half_fetched_series_leaves_nothing(fake: FakeArchive, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(series: FoundSeries, folder: Path, stop: Event | None = None) -> int:
        (folder / "0.dcm").write_bytes(b"")
        raise PacsError("hospital: cannot be reached, or broke off")

    fake.holds("1", 2)
    look(0)
    whole = fake.fetch
    monkeypatch.setattr(fake, "fetch", broken)
    with pytest.raises(PacsError):
        look(30)
    monkeypatch.setattr(fake, "fetch", whole)
    (place,) = look(10)
    assert [path.name for path in place.path.parent.iterdir()] == [place.path.name]


# ---------------------------------------------------------------- a real archive


@pytest.mark.slow
def test_studies_are_analysed_once_though_all_are_killed(
    archive: Orthanc, web: DicomWeb, store: Store, tmp_path: Path
) -> None:
    """The archive dies in the middle, and so does the watch; none is lost, none comes twice."""
    tiny_model.build(tmp_path / "models", name="cranioscan")
    setup = batch.WorkerConfig(tmp_path / "models", provider="cpu")
    today = f"{date.today():%Y%m%d}"
    heads = [phantom.make(None, seed, slices=3, size=32) for seed in range(4)]
    for seed, head in enumerate(heads):
        tags = {"StudyDate": today, "PatientID": f"Q{seed}", "BodyPartExamined": "HEAD"}
        archive.send(phantom.to_bytes(one) for one in phantom.datasets(head, **tags))
        if seed == 1:
            _watch(web, store, setup, until=lambda: store.worklist.counts().total >= 1)
            archive.kill()
            _watch(web, store, setup, until=lambda: True)
            archive.start()
    _watch(web, store, setup, until=lambda: store.worklist.counts().total >= 4)
    assert store.worklist.counts().total == 4
    (job,) = store.jobs.recent()
    assert (job.done, job.failed) == (4, 0)


def _watch(web: DicomWeb, store: Store, setup: batch.WorkerConfig, until: Callable[[], bool]) -> None:
    stop, inbox = Event(), ArchiveInbox(web, quiet_s=0.1)
    inbox._asked_at = -100.0
    with batch.executor(1) as pool:
        thread = threading.Thread(target=watch, args=(inbox, store, pool, setup), kwargs={"stop": stop})
        thread.start()
        end = time.monotonic() + 90
        while not until() and time.monotonic() < end:
            time.sleep(0.1)
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
