from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from ichscope import batch, phantom
from ichscope.analyse import analyse
from ichscope.batch import BatchError, Throughput, WorkerConfig, discovery, driver, workers
from ichscope.batch.work_items import Files, Kept, Place, Refused, from_text, to_text
from ichscope.imaging import sources
from ichscope.imaging.intake import collect
from ichscope.imaging.preprocess import Box
from ichscope.imaging.slabs import Seen
from ichscope.imaging.source import SourceError
from ichscope.labels import SUBTYPES
from ichscope.models.card import ModelCard, file_sha256
from ichscope.models.detector import Detector
from ichscope.models.registry import REGISTRY
from ichscope.store import Filter, Job, Jobs, Results, Store, StoreError, volumes
from ichscope.store.jobs import MAX_ATTEMPTS
from ichscope.store.tables import Result
from tests.support import tiny_model
from tests.support.killed_runs import survive

STUDIES = 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_model.build(folder, name="cranioscan")
    return folder


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small heads, each in its folder."""
    folder = tmp_path_factory.mktemp("in") / "night"
    for seed in range(STUDIES):
        head = phantom.make(SUBTYPES[seed], seed, slices=3, size=48)
        phantom.write(head, folder / f"SMITH^JOHN {seed}", InstitutionName="Saint Elsewhere")
    return folder


@pytest.fixture
def setup(models: Path) -> WorkerConfig:
    return WorkerConfig(models, provider="cpu")


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    Store.open(home=folder).close()
    return folder


@pytest.fixture
def store(empty_home: Path, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(home=Path(shutil.copytree(empty_home, tmp_path / "home")))
    yield opened
    opened.close()


@pytest.fixture
def pool() -> Iterator[Counting]:
    with Counting() as threads:
        yield threads


class Counting(ThreadPoolExecutor):
    """Threads that remember how much they were asked for, and how much at most at one time."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked = self.most = 0
        self._under_way: set[Future[Any]] = set()

    def submit(self, *args: Any, **options: Any) -> Future[Any]:
        future = super().submit(*args, **options)
        self.asked += 1
        self._under_way = {one for one in self._under_way if not one.done()} | {future}
        self.most = max(self.most, len(self._under_way))
        return future


def table(store: Store) -> set[tuple[object, ...]]:
    """What must be the same whoever computed it."""
    return {
        (
            row.study_key,
            row.series_count,
            row.status,
            row.slices,
            row.scanner,
            row.reasons,
            str(row.model_labels),
            str(row.reader_labels),
        )
        for row in store.worklist.export()
    } | {
        (row.study_key, one.name, one.version, one.threshold, one.flagged, str(one.probability))
        for row in store.worklist.export()
        for one in row.models
    }


def test_a_folder_becomes_rows_that_say_what_analyse_says(store: Store, night: Path, pool, setup: WorkerConfig) -> None:
    job = batch.run([night], pool, store, setup)
    assert (job.done, job.failed, job.total, job.finished_at is not None) == (STUDIES, 0, STUDIES, True)
    rows = {row.study_key: row for row in store.worklist.page()}
    assert store.worklist.counts(Filter(job=job.id)).total == len(rows) == STUDIES
    for study in analyse([night], workers.detectors(setup)):
        expected = study.speaks
        row = rows[store.keys.study(expected.study)]
        assert (row.status, row.slices) == (expected.status, 3)
        assert row.models[0].probability == pytest.approx(expected.models["cranioscan"].probability)
        assert row.has_volume
        assert not row.synthetic
        assert store.results.load(row.id).volume.hu.shape == (3, 48, 48)


def test_nothing_in_the_database_names_the_patient(
    store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path
) -> None:
    batch.run([night], pool, store, setup)
    with sqlite3.connect(tmp_path / "home" / "ichscope.db") as database:
        dump = "\n".join(database.iterdump())
    assert "synthetic phantom" in dump.lower(), "the dump has the scanner, so it would have the name"
    assert store.worklist.choices().institutions[0] in dump, "the dump has what stands for the institution"
    for word in ("SMITH", "JOHN", "Elsewhere", "PHANTOM-", "IM0001", str(night)):
        assert word not in dump


def test_the_same_again_is_neither_analysed_nor_written_twice(
    store: Store, night: Path, pool, setup: WorkerConfig
) -> None:
    batch.run([night], pool, store, setup)
    before = table(store)
    job = batch.run([night, night / "SMITH^JOHN 1"], pool, store, setup)
    assert pool.asked == STUDIES
    assert job.done == STUDIES + 1
    assert table(store) == before
    assert store.worklist.counts().total == STUDIES


def test_a_new_version_is_another_result(
    store: Store, night: Path, pool, models: Path, setup: WorkerConfig, tmp_path: Path
) -> None:
    batch.run([night], pool, store, setup)
    newer = new_version(models, tmp_path)
    batch.run([night], pool, store, newer)
    assert pool.asked == 2 * STUDIES
    assert {row.models[0].version for row in store.worklist.page()} == {"2"}
    assert store.worklist.counts().total == STUDIES


def new_version(models: Path, folder: Path) -> WorkerConfig:
    shutil.copytree(models, folder / "newer")
    card = folder / "newer" / "cranioscan" / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"version": "2"}))
    return WorkerConfig(folder / "newer", provider="cpu")


def test_a_model_replaced_while_the_process_runs_leaves_each_result_with_the_files_that_gave_it(
    store: Store, night: Path, pool, models: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(models / "cranioscan", tmp_path / "models" / "cranioscan"))
    setup = WorkerConfig(tmp_path / "models", provider="cpu")
    batch.run([night / "SMITH^JOHN 0"], pool, store, setup)
    before = ModelCard.read(folder)
    with (folder / "head.onnx").open("ab") as file:
        file.write(b"\x3a\x00")  # an empty graph, which protobuf joins with the one there is
    after = replace(before, version="2", sha256=before.sha256 | {"head.onnx": file_sha256(folder / "head.onnx")})
    after.write(folder)
    batch.run([night], pool, store, setup)
    expected = {(card.version, card.sha256["encoder.onnx"], card.sha256["head.onnx"]) for card in (before, after)}
    assert stored_hashes(store) == expected
    assert {row.models[0].version for row in store.worklist.page()} == {"2"}


def stored_hashes(store: Store) -> set[tuple[str, str, str]]:
    """Version, and hashes of encoder and head, of every result."""
    with store.database.reading() as session:
        rows = session.execute(select(Result.version, Result.encoder_sha256, Result.head_sha256))
        return {(version, encoder, head) for version, encoder, head in rows}


def test_rescore_takes_the_kept_volumes(
    store: Store, night: Path, pool, models: Path, setup: WorkerConfig, tmp_path: Path
) -> None:
    batch.run([night], pool, store, setup)
    before = {row.id: row for row in store.worklist.page()}
    newer = new_version(models, tmp_path)
    job = batch.work(store, batch.begin_rescore(store, newer), pool, newer)
    assert (job.done, job.failed) == (STUDIES, 0)
    for row in store.worklist.page():
        (model,) = row.models
        assert model.version == "2"
        assert model.probability == pytest.approx(before[row.id].models[0].probability)
        assert (row.study_key, row.age_years, row.reasons) == (
            before[row.id].study_key,
            before[row.id].age_years,
            before[row.id].reasons,
        )
    assert batch.work(store, batch.begin_rescore(store, newer), pool, newer).total == 0


def test_a_rescore_that_was_killed_is_taken_up(
    store: Store, night: Path, pool, models: Path, setup: WorkerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_POLL_S", 0.0)
    batch.run([night], pool, store, setup)
    newer = new_version(models, tmp_path)
    stop = Event()
    killed = batch.begin_rescore(store, newer)
    batch.work(store, killed, pool, newer, ahead=1, progress=lambda job: stop.set(), stop=stop)
    assert batch.begin_rescore(store, newer) == killed
    assert batch.work(store, killed, pool, newer).done == STUDIES
    assert store.jobs.recent(open_only=True) == []


def test_known_only_leaves_out_strangers(
    store: Store, night: Path, pool, models: Path, setup: WorkerConfig, tmp_path: Path
) -> None:
    batch.run([night / "SMITH^JOHN 0"], pool, store, setup)
    newer = new_version(models, tmp_path)
    job = batch.work(store, batch.begin(store, [night], "rescore", options={"known only": True}), pool, newer)
    assert (job.total, job.done, store.worklist.counts().total) == (1, 1, 1)
    assert store.worklist.page()[0].models[0].version == "2"


def test_bad_files_are_rows_and_stop_nothing(
    store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path
) -> None:
    shutil.copytree(night, tmp_path / "in" / "good")
    (tmp_path / "in" / "secret.dcm").write_bytes(b"this is a text, not a scan")
    (tmp_path / "in" / "notes.txt").write_text("a stray")
    phantom.write(phantom.make_chest(slices=2, size=48), tmp_path / "in" / "chest")
    job = batch.run([tmp_path / "in"], pool, store, setup)
    assert (job.done, job.failed) == (STUDIES + 2, 0)
    refused = store.worklist.page(Filter(status=("not analysed",)))
    assert len(refused) == 2
    assert all(row.reasons and "secret" not in "".join(row.reasons) for row in refused)
    batch.run([tmp_path / "in"], pool, store, setup)
    assert (store.worklist.counts().total, pool.asked) == (STUDIES + 2, STUDIES + 1)


def test_a_model_that_fails_is_a_row_and_can_be_tried_again(
    store: Store, night: Path, pool, setup: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ichscope.models.card import ModelError

    def out_of_memory(*args: object) -> object:
        raise ModelError("cranioscan on CPU fp32 failed: out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(Detector, "run", out_of_memory)
        job = batch.run([night], pool, store, setup)
    assert (job.done, job.failed) == (0, STUDIES)
    assert {row.status for row in store.worklist.page()} == {"not analysed"}
    assert "out of memory" in store.jobs.failures(job.id)[0].reason
    assert store.jobs.retry(job.id) == STUDIES
    again = batch.work(store, job.id, pool, setup)
    assert (again.done, again.failed) == (STUDIES, 0)
    assert all(row.models for row in store.worklist.page())


def test_what_a_worker_raises_fails_one_series(
    store: Store, night: Path, pool, setup: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = workers.analyse, []

    def analyse_or_break(setup: WorkerConfig, group: Any, read_only: bool) -> Any:
        asked.append(group)
        if len(asked) == 1:
            raise MemoryError("SMITH^JOHN")
        return real(setup, group, read_only)

    monkeypatch.setattr(workers, "analyse", analyse_or_break)
    job = batch.run([night], pool, store, setup)
    assert (job.done, job.failed) == (STUDIES - 1, 1)
    assert [one.reason for one in store.jobs.failures(job.id)] == ["MemoryError"]


def test_files_that_are_gone_meanwhile(store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path) -> None:
    shutil.copytree(night, tmp_path / "in")
    job = batch.begin(store, [tmp_path / "in"])
    (look,) = store.jobs.claim(job)
    store.jobs.add_items(job, map(to_text, discovery.start(store, look.locator)))
    store.jobs.drop(look.id)
    shutil.rmtree(tmp_path / "in" / "SMITH^JOHN 2")
    done = batch.work(store, job, pool, setup)
    assert (done.done, done.failed) == (STUDIES - 1, 1)
    assert store.jobs.failures(job)[0].reason == "a file is no longer there"


@pytest.mark.parametrize("where", ["record", "claim", "volume"])
def test_a_full_disk_is_said_and_survived(
    store: Store, night: Path, pool, setup: WorkerConfig, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    calls = []

    def full_after_one(real: Any, error: Exception) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            calls.append(args)
            if len(calls) > 1:
                raise error
            return real(*args, **options)

        return call

    with monkeypatch.context() as patched:
        if where == "volume":
            full = full_after_one(volumes.save, OSError(28, "No space left on device"))
            patched.setattr(volumes, "save", full)
        else:
            owner = {"claim": Jobs, "record": Results}[where]
            full = full_after_one(getattr(owner, where), StoreError("The database failed: there is no room left."))
            patched.setattr(owner, where, full)
        with pytest.raises(BatchError, match=r"(?i)no (space|room) left"):
            batch.run([night], pool, store, setup, ahead=1)
    kept = store.worklist.counts().total
    assert kept < STUDIES
    job = batch.run([night], pool, store, setup)
    assert store.worklist.counts().total == STUDIES
    assert (job.done, job.failed) == (STUDIES, 0)
    assert len(store.jobs.recent()) == 1, "the same job was taken up"


@pytest.mark.parametrize("at_once", [False, True])
def test_workers_that_are_gone_stop_the_batch(store: Store, night: Path, setup: WorkerConfig, at_once: bool) -> None:
    class Broken(Counting):
        def submit(self, *args: Any, **options: Any) -> Future[Any]:
            if at_once:
                raise BrokenExecutor("a process died")
            future: Future[Any] = Future()
            future.set_exception(BrokenExecutor("a process died"))
            return future

    with Broken() as pool, pytest.raises(BatchError, match="workers are gone"):
        batch.run([night], pool, store, setup)
    (job,) = store.jobs.recent(open_only=True)
    assert (job.pending, job.running) == (STUDIES, 0)


def test_of_studies_that_were_with_a_worker_that_died_the_guilty_alone_fails(
    store: Store, night: Path, pool, setup: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = workers.analyse

    def analyse_or_die(setup: WorkerConfig, group: Any, read_only: bool) -> Any:
        if "JOHN 1" in group.sources[0].name:
            raise BrokenExecutor("a process died")
        return real(setup, group, read_only)

    monkeypatch.setattr(workers, "analyse", analyse_or_die)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(BatchError, match="workers are gone"):
            batch.run([night], pool, store, setup)
    [job] = store.jobs.recent()
    assert (job.done, job.failed, job.pending) == (STUDIES - 1, 1, 0)
    [failure] = store.jobs.failures(job.id)
    assert failure.reason == "The program ended 3 times while it worked on this, at last alone."


def test_a_model_that_does_not_load_fails_no_study(
    store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path
) -> None:
    shutil.copytree(setup.models_folder, tmp_path / "models")
    with (tmp_path / "models" / "cranioscan" / "head.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BatchError, match="SHA-256"):
        batch.run([night], pool, store, WorkerConfig(tmp_path / "models", provider="cpu"))
    assert store.jobs.recent()[0].failed == 0


def test_memory_is_bounded_by_what_is_under_way(store: Store, night: Path, pool, setup: WorkerConfig) -> None:
    batch.run([night], pool, store, setup, ahead=2)
    assert pool.most <= 2


def test_encoders_take_turns_and_a_head_alone_waits_for_none(setup: WorkerConfig) -> None:
    (detector,) = workers.detectors(setup).values()
    hu = np.zeros((2, 224, 224), np.int16)
    encoding = detector.encode(hu)
    with ThreadPoolExecutor(1) as thread:
        with REGISTRY.scheduler.study("background"):  # as while another study is encoded
            head_alone = thread.submit(detector.run, hu, encoding=encoding, priority="background")
            assert len(head_alone.result(60).slice_probability) == 2
            waiting = thread.submit(workers.score, setup, Seen(hu, Box(0, 0, 224, 224)))
            assert not wait([waiting], 0.2).done
        models, _ = waiting.result(60)
    assert len(models["cranioscan"].slice_probability["any"]) == 2


def test_progress_and_stop(
    store: Store, night: Path, pool, setup: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_POLL_S", 0.0)
    seen: list[Job] = []
    stop = Event()

    def look(job: Job) -> None:
        seen.append(job)
        if job.done:
            stop.set()

    job = batch.begin(store, [night])
    batch.work(store, job, pool, setup, ahead=1, progress=look, stop=stop)
    assert 1 <= store.jobs.get(job).done < STUDIES
    assert seen[-1].total == STUDIES
    assert batch.work(store, job, pool, setup).done == STUDIES


def test_pace_tells_rate_and_time_left() -> None:
    pace = Throughput()
    for at in range(11):
        pace.see(Job(1, "folder", "", {}, None, True, {"done": 2 * at, "pending": 100 - 2 * at}), at=float(at))
    assert (pace.rate, pace.left_s) == (2.0, 40.0)


def test_a_zip_of_studies(store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "night.zip", "w") as archive:
        for file in sorted(night.rglob("*.dcm")):
            archive.write(file, file.relative_to(night))
    assert batch.run([tmp_path / "night.zip"], pool, store, setup).done == STUDIES
    batch.run([night], pool, store, setup)
    assert (store.worklist.counts().total, pool.asked) == (STUDIES, STUDIES)


def test_tasks_survive_being_written(night: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(next(night.rglob("*.dcm")), "deep/IM1.dcm")
    found = [*collect([night]).groups, *collect([tmp_path]).groups, *collect([tmp_path / "a.zip"]).groups]
    assert len(found) == STUDIES + 2
    for group in found:
        back = from_text(to_text(Files((group,), "now")))
        assert isinstance(back, Files)
        (same,) = back.groups
        assert (back.stamp, same.key, same.kind, same.facts) == ("now", group.key, group.kind, group.facts)
        assert [(s.name, s.read()) for s in back.sources] == [(s.name, s.read()) for s in group.sources]
    for task in (
        Place(night, "x", True),
        Place(night, inside=(tmp_path,)),
        Refused(night, "a.dcm", "is empty"),
        Kept(3),
    ):
        assert from_text(to_text(task)) == task


def test_items_that_waited_when_a_study_was_a_series_are_read(night: Path) -> None:
    (group, *_) = collect([night]).groups
    written = json.loads(to_text(Files((group,), "now")))
    before = {name: value for name, value in written["groups"][0].items() if name != "facts"} | {"stamp": "now"}
    back = from_text(json.dumps(before))
    assert isinstance(back, Files)
    assert [(source.name, source.read()) for source in back.sources] == [(s.name, s.read()) for s in group.sources]
    assert from_text('{"study":7}') == Kept(7)


def test_an_archive_that_was_replaced_is_noticed(night: Path, tmp_path: Path) -> None:
    file = next(night.rglob("*.dcm"))
    for names in (["b", "a.dcm"], ["a.dcm"]):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name in names:
                archive.write(file, name)
        if len(names) == 2:
            text = to_text(Files(collect([tmp_path / "a.zip"]).groups[:1]))
    os.utime(tmp_path / "a.zip", (1, 1))
    changed = json.loads(text)
    changed["groups"][0]["files"][0][2] += 1
    with pytest.raises(SourceError, match="no longer in its archive"):
        from_text(json.dumps(changed))


Scatter = Callable[[list[Path], Path], object]


def hashed(files: list[Path], folder: Path) -> None:
    """As an archive keeps them: each in a folder of its own, named by a hash, beside a small file."""
    for number, file in enumerate(files):
        name = hashlib.md5(str(number).encode()).hexdigest()
        place = folder / name[:2] / name[2:4]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place / name)
        (place / f"{name}.json").write_text("{}")


def flat(files: list[Path], folder: Path) -> None:
    """All in one folder, whose names tell nothing."""
    for number, file in enumerate(files):
        shutil.copy(file, folder / f"{hashlib.md5(str(number).encode()).hexdigest()}")


def zips(files: list[Path], folder: Path) -> None:
    """Each in a ZIP of its own."""
    for number, file in enumerate(files):
        with zipfile.ZipFile(folder / f"{number}.ZIP", "w") as archive:
            archive.write(file, file.name)


def turned(files: list[Path], folder: Path) -> None:
    """The first slices of all studies in one folder, the second ones in another, a few hidden."""
    for number, file in enumerate(files):
        place = folder / f".part {number % 3}"
        place.mkdir(exist_ok=True)
        shutil.copy(file, place / f"{number}.dcm")
        (place / f"{number}.png").write_bytes(file.read_bytes()[:0])


@pytest.mark.parametrize("scatter", [hashed, flat, zips, turned])
def test_a_large_tree_gives_the_series_that_analyse_gives_however_its_files_lie(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scatter: Scatter
) -> None:
    scatter(sorted(night.rglob("*.dcm")), tmp_path)
    (tmp_path / "broken.dcm").write_bytes(b"no scan")
    (tmp_path / "notes.txt").write_text("a stray")
    whole = collect([tmp_path])
    assert [len(group.sources) for group in whole.groups] == [3] * STUDIES
    monkeypatch.setattr(discovery, "LARGE_FOLDER", 5)
    found = discovery.look(Place(tmp_path), tmp_path)
    tasks = list(found)
    assert found.left_out == whole.left_out
    assert {to_text(task) for task in tasks} == {to_text(task) for task in discovery.tasks(whole, tmp_path)}
    assert not list(tmp_path.glob("*.index*")), "nothing is left on the disk"


def test_a_large_tree_becomes_the_same_rows(
    store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed(sorted(night.rglob("*.dcm")), tmp_path / "in")
    (tmp_path / "in" / "icon.png").write_bytes(picture())
    monkeypatch.setattr(discovery, "LARGE_FOLDER", 5)
    job = batch.run([tmp_path / "in"], pool, store, setup)
    assert (job.done, job.failed, job.total) == (STUDIES, 0, STUDIES)
    assert [row.slices for row in store.worklist.page()] == [3] * STUDIES
    assert job.left_out == (1, 3 * STUDIES)
    before = table(store)
    batch.run([night], pool, store, setup)
    assert table(store) == before


def test_pictures_of_a_large_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        (tmp_path / str(number % 2) / f"{number}.png").write_bytes(picture(number // 3))
    for as_series in (False, True):
        whole = collect([tmp_path], as_series)
        with monkeypatch.context() as patched:
            patched.setattr(discovery, "LARGE_FOLDER", 5)
            found = discovery.look(Place(tmp_path, pictures_as_series=as_series))
            tasks = {to_text(task) for task in found}
        assert tasks == {to_text(task) for task in discovery.tasks(whole, tmp_path)}
        assert found.left_out == whole.left_out == (0, 6)


def picture(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((80, 80), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_patients_with_one_uid_are_told_apart_in_a_large_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seed in (("A", 1), ("B", 2)):
        tags = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "PatientID": name}
        phantom.write(phantom.make(None, seed, slices=3, size=48), tmp_path / name, **tags)
    monkeypatch.setattr(discovery, "LARGE_FOLDER", 2)
    studies = list(discovery.look(Place(tmp_path)))
    assert {to_text(task) for task in studies} == {
        to_text(task) for task in discovery.tasks(collect([tmp_path]), tmp_path)
    }
    assert len(studies) == 2


def test_a_study_uid_that_takes_slices_away_is_said_of_a_large_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, part in (("1.2.3", slice(4)), ("1.2.4", slice(4, 6))):
        for number, one in enumerate(phantom.datasets(phantom.make(slices=6, size=48), StudyInstanceUID=name)[part]):
            (tmp_path / f"{name}-{number}.dcm").write_bytes(phantom.to_bytes(one))
    whole = collect([tmp_path])
    assert [[finding.code for finding in group.findings] for group in whole.groups] == [["set-apart"]] * 2
    monkeypatch.setattr(discovery, "LARGE_FOLDER", 2)
    found = {to_text(task) for task in discovery.look(Place(tmp_path))}
    assert found == {to_text(task) for task in discovery.tasks(whole, tmp_path)}


def test_a_look_into_a_large_tree_can_be_given_up_and_taken_up(
    store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "LARGE_FOLDER", 2)
    ended = Event()
    ended.set()
    with pytest.raises(discovery.StoppedError):
        discovery.look(Place(night), tmp_path, ended)
    # Killed when some of its studies were items already: those are not made twice.
    job = batch.begin(store, [night])
    (item,) = store.jobs.claim(job)
    found = discovery.start(store, item.locator)
    store.jobs.add_items(job, (to_text(task) for task, _ in zip(found, range(2), strict=False)))
    store.jobs.release(item.id)
    done = batch.work(store, job, pool, setup)
    assert (done.done, done.total, store.worklist.counts().total) == (STUDIES, STUDIES, STUDIES)


def test_a_flat_folder_may_be_of_any_size(
    store: Store, night: Path, pool, setup: WorkerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flat").mkdir()
    flat(sorted(night.rglob("*.dcm")), tmp_path / "flat")
    monkeypatch.setattr(sources, "MAX_FILES_ON_DISK", 10)
    monkeypatch.setattr(sources, "MAX_FILES", 10)  # for strangers only
    monkeypatch.setattr(discovery, "LARGE_FOLDER", 8)
    assert batch.run([tmp_path / "flat"], pool, store, setup).done == STUDIES
    assert [row.slices for row in store.worklist.page() if row.models] == [3] * STUDIES


@pytest.mark.slow
@pytest.mark.parametrize("way", ["batch", "watch"])
def test_killed_at_any_moment_and_started_again(
    way: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small form of benchmarks/kill.py."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = ["--models-folder", str(models), "--provider", "cpu", "--workers", "1"]
    found = survive(way, tmp_path, 12, 2, options, seed=10, size=32, longer_s=0.0)
    assert found["kills"], "nothing was killed; this test would prove nothing"
    assert (found["exit_code"], found["jobs"], found["integrity"]) == (0, 1, "ok")
    assert (found["rows"], found["missing"], found["twice"], found["failed"], found["left"]) == (12, 0, 0, 0, 0)
    assert found["with_results"] == found["with_pictures"] == 12
