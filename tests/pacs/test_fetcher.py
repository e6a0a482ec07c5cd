"""Studies that somebody has asked for: fetched by their job, tried again, and gone from the disk when analysed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from ichscope import batch, phantom
from ichscope.batch.work_items import Asked, from_text
from ichscope.pacs import fetched
from ichscope.pacs.archives import FoundSeries, FoundStudy, Query
from ichscope.pacs.fetched import Fetcher
from ichscope.pacs.searching import search
from ichscope.pacs.servers import DicomWebServer, PacsError
from ichscope.store import RefusedError, Store, TrailFilter
from tests.support import tiny_model
from tests.support.people import person


@dataclass
class FakeArchive:
    """An archive of heads by study UID; each of them has a report that is no CT, too."""

    held: dict[str, list[bytes]] = field(default_factory=dict)
    server: DicomWebServer = field(default_factory=lambda: DicomWebServer("hospital", url="http://h"))
    away: bool = False

    def studies(self, query: Query, most: int = 10) -> list[FoundStudy]:
        if self.away:
            raise PacsError("hospital: cannot be reached, or broke off")
        return [FoundStudy(uid, patient_name="ZZTOP^TEST") for uid in self.held]

    def series(self, study_uid: str) -> list[FoundSeries]:
        if self.away:
            raise PacsError("hospital: cannot be reached, or broke off")
        of = [FoundSeries(study_uid, "9", "SR")]
        return of + [FoundSeries(study_uid, "1", "CT")] * (study_uid in self.held)

    def fetch(self, series: FoundSeries, folder: Path, stop: Event | None = None) -> int:
        if stop is not None and stop.is_set():
            raise PacsError("hospital: the transfer was ended")
        for number, content in enumerate(self.held[series.study_uid]):
            (folder / f"{number}.dcm").write_bytes(content)
        return len(self.held[series.study_uid])


@pytest.fixture
def store(home: Path) -> Store:
    return Store.open(home=home)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeArchive:
    made = FakeArchive()
    for seed in (1, 2):
        slices = phantom.datasets(phantom.make(None, seed, slices=3, size=32))
        made.held[str(slices[0].StudyInstanceUID)] = [phantom.to_bytes(one) for one in slices]
    monkeypatch.setattr(fetched, "opened", lambda name: made)
    return made


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> batch.WorkerConfig:
    folder = tmp_path_factory.mktemp("models")
    tiny_model.build(folder, name="cranioscan")
    return batch.WorkerConfig(folder, provider="cpu")


def work(store: Store, job: int, setup: batch.WorkerConfig, folder: Path, stop: Event | None = None) -> tuple[int, int]:
    """Do a job; gives how many of its studies are done, and how many have failed."""
    stop = stop or Event()
    with batch.executor(1) as pool:
        done = batch.work(store, job, pool, setup, fetch=Fetcher(store, job, folder, stop))
    return done.done, done.failed


def test_studies_are_fetched_analysed_and_removed(
    store: Store, fake: FakeArchive, setup: batch.WorkerConfig, tmp_path: Path
) -> None:
    job = batch.begin_asked(store, "hospital", fake.held)
    assert work(store, job, setup, tmp_path / "here") == (2, 0)
    assert store.worklist.counts().total == 2
    names = [row.study_key for row in store.worklist.page()]
    assert not any(uid in name for uid in fake.held for name in names)


def test_why_a_study_did_not_come_is_said_and_it_can_be_tried_again(
    store: Store, fake: FakeArchive, setup: batch.WorkerConfig, tmp_path: Path
) -> None:
    job = batch.begin_asked(store, "hospital", [next(iter(fake.held)), "1.2.3"])
    fake.away = True
    assert work(store, job, setup, tmp_path) == (0, 2)
    assert {one.reason for one in store.jobs.failures(job)} == {"hospital: cannot be reached, or broke off"}
    fake.away = False
    store.jobs.retry(job)
    assert work(store, job, setup, tmp_path) == (1, 1)
    assert [one.reason for one in store.jobs.failures(job)] == ["hospital: a study has no CT series"]


def test_a_program_that_ends_leaves_the_study_to_the_next_one(
    store: Store, fake: FakeArchive, setup: batch.WorkerConfig, tmp_path: Path
) -> None:
    job = batch.begin_asked(store, "hospital", list(fake.held)[:1])
    stop = Event()
    fetcher = Fetcher(store, job, tmp_path, stop)

    def ends(asked: Asked) -> Path:
        stop.set()
        return fetcher(asked)

    with batch.executor(1) as pool:
        left = batch.work(store, job, pool, setup, stop=stop, wait_for_others=False, fetch=ends)
    assert (left.pending, left.failed) == (1, 0)
    assert work(store, job, setup, tmp_path) == (1, 0)


def test_of_what_is_analysed_nothing_stays_on_the_disk(
    store: Store, fake: FakeArchive, setup: batch.WorkerConfig, tmp_path: Path
) -> None:
    job = batch.begin_asked(store, "hospital", fake.held)
    first, second = store.jobs.claim(job, 2)
    fetcher = Fetcher(store, job, tmp_path, Event())
    folders = [fetcher(from_text(item.locator)) for item in (first, second)]  # type: ignore[arg-type]
    store.jobs.drop(first.id)
    fetcher._tidy()
    assert [folder.exists() for folder in folders] == [False, True]


def test_a_search_is_in_the_audit_trail_without_what_was_looked_for(store: Store, fake: FakeArchive) -> None:
    query = Query(patient_name="ZZTOP*", date="20261201")
    assert len(search(store, fake, query, 10)) == 2
    fake.away = True
    with pytest.raises(PacsError):
        search(store, fake, query, 10)
    lines = store.trail.events(TrailFilter(action="archive searched"))
    assert [dict(line.details) for line in lines] == [
        {"by": "PatientName, StudyDate, ModalitiesInStudy", "found": found} for found in (None, 2)
    ]
    assert {(line.kind, line.key) for line in lines} == {("archive", "hospital")}
    assert "ZZTOP" not in str(lines)


def test_who_may_not_analyse_asks_no_archive(store: Store, fake: FakeArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    from ichscope.access import Role, acting_as

    monkeypatch.setattr(fake, "studies", None)
    with acting_as(person("Vera", Role.VIEWER)), pytest.raises(RefusedError):
        search(store, fake, Query(), 10)
