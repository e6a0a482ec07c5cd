from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from dashboard import background, cached, warm_up
from dashboard.background import Background
from dashboard.upload_queue import UploadQueue
from ichscope import batch, phantom
from ichscope.batch import demo
from ichscope.store import Filter, Job, Jobs, Store, StoreError, clock, tables
from tests.support import tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, and a home whose store is empty."""
    folder = tmp_path_factory.mktemp("prepared")
    tiny_model.build(folder / "models")
    Store.open(home=folder / "home").close()
    return folder


@pytest.fixture(autouse=True)
def home(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for each test, and no thread that outlives it."""
    shutil.copytree(prepared / "home", tmp_path / "home")
    monkeypatch.setenv("ICHSCOPE_MODELS", str(prepared / "models"))
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    monkeypatch.delenv("ICHSCOPE_IMPORT", raising=False)
    monkeypatch.setattr(background, "_TICK_S", 0.02)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path / "home"
    st.cache_resource.clear()
    # Decoders are the whole process's.
    ours = {thread.name for thread in threading.enumerate() if thread.name.startswith("ichscope")}
    assert not {name for name in ours if not name.startswith("ichscope-decoder")}


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store.open(home=home)
    yield opened
    opened.close()


@pytest.fixture
def work(store: Store) -> Iterator[Background]:
    made = Background(store)
    yield made
    made.close()


@cache
def heads(number: int = 2, first: int = 0) -> dict[str, bytes]:
    """Files of small heads, each in its folder."""
    made = ((seed, phantom.make(None, seed, slices=3, size=48)) for seed in range(first, first + number))
    return {
        f"SMITH^{seed}/IM{i}.dcm": phantom.to_bytes(one)
        for seed, head in made
        for i, one in enumerate(phantom.datasets(head))
    }


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def opened(files: dict[str, bytes]) -> list[tuple[str, io.BytesIO]]:
    return [(name, io.BytesIO(data)) for name, data in files.items()]


def wait(true: Callable[[], object], seconds: float = 30) -> None:
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    while not true():
        assert datetime.now(UTC) < end, "nothing came of it"
        threading.Event().wait(0.02)


def idle(work: Background) -> bool:
    return work._thread is None


# ---- uploads on disk -----------------------------------------------------------------------------------


def names(queue: UploadQueue, upload_id: str) -> list[str]:
    folder = queue.folder(upload_id)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_are_kept_under_their_names(home: Path) -> None:
    queue = UploadQueue(home)
    upload_id = queue.keep(opened({"a/IM1.dcm": b"1", "a/IM2.dcm": b"2", "b.zip": b"3"}))
    assert names(queue, upload_id) == ["a/IM1.dcm", "a/IM2.dcm", "b.zip"]
    assert (queue.folder(upload_id) / "a/IM2.dcm").read_bytes() == b"2"
    assert queue.holds(upload_id)
    assert not (home / "uploads").stat().st_mode & 0o077, "only the owner may look"
    queue.remove(upload_id)
    assert not queue.holds(upload_id)


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "a/../../evil", "..\\evil", "", "..", "x" * 300, "\0", "ä" * 200 + ".dcm"]
)
def test_no_name_leaves_the_folder(home: Path, name: str) -> None:
    queue = UploadQueue(home)
    upload_id = queue.keep([(name, io.BytesIO(b"data"))])
    (found,) = names(queue, upload_id)
    assert (queue.folder(upload_id) / found).read_bytes() == b"data"
    assert [path.name for path in home.parent.rglob("*evil*") if upload_id not in path.parts] == []


def test_files_of_one_name_are_all_kept(home: Path) -> None:
    queue = UploadQueue(home)
    upload_id = queue.keep([("IM1", io.BytesIO(b"1")), ("IM1", io.BytesIO(b"2")), ("IM1/IM1", io.BytesIO(b"3"))])
    assert {(queue.folder(upload_id) / name).read_bytes() for name in names(queue, upload_id)} == {b"1", b"2", b"3"}


def test_a_full_disk_leaves_nothing_half_written(home: Path) -> None:
    class Full(io.BytesIO):
        def read(self, *args: object) -> bytes:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        UploadQueue(home).keep([("a", io.BytesIO(b"1")), ("b", Full())])
    assert list((home / "uploads").iterdir()) == []


# ---- the thread ----------------------------------------------------------------------------------------


def test_an_upload_is_analysed_and_its_files_are_removed(work: Background, store: Store) -> None:
    job = work.upload(opened(heads()), "Upload of 6 files")
    wait(lambda: idle(work))
    assert (store.jobs.get(job).done, store.jobs.get(job).failed, work.problem) == (2, 0, "")
    assert store.worklist.counts(Filter(job=job)).total == 2
    assert list(work.uploads.upload_ids()) == []
    assert work.look() == []


def test_a_killed_server_loses_nothing(store: Store) -> None:
    dead = Background(store)
    dead.start = lambda: None  # type: ignore[method-assign]
    job = dead.upload([("night.zip", io.BytesIO(zipped(heads())))], "Upload of 1 file")
    assert store.jobs.get(job).pending
    work = Background(store)
    (seen,) = work.look()
    assert (seen.job.id, seen.here, seen.stalled) == (job, True, False)
    work.start()
    wait(lambda: idle(work))
    assert (store.jobs.get(job).done, list(work.uploads.upload_ids())) == (2, [])


def test_the_same_content_is_the_same_job(work: Background, store: Store) -> None:
    first = work.upload(opened(heads()), "Upload of 6 files", content="a")
    assert work.upload(opened(heads()), "Upload of 6 files", content="a") == first
    wait(lambda: idle(work))
    assert work.upload(opened(heads()), "Upload of 6 files", content="a") == first
    assert work.upload(opened(heads(1, 5)), "Upload of 3 files", content="b") != first
    wait(lambda: idle(work))
    assert [(job.done, job.options["content"]) for job in store.jobs.recent()] == [(1, "b"), (2, "a")]
    assert list(work.uploads.upload_ids()) == []


def test_more_jobs_than_are_looked_through_are_each_done_once(
    work: Background, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_MOST_JOBS", 1)
    with monkeypatch.context() as dead:
        dead.setattr(work, "start", lambda: None)
        begun = [work.upload(opened(heads(1, first)), "Upload of 3 files") for first in range(3)]
    for upload_id in work.uploads.upload_ids():
        os.utime(work.uploads.folder(upload_id), (0, 0))  # older than what waits for its job
    work.start()
    wait(lambda: idle(work))
    assert [(job.id, job.done) for job in reversed(store.jobs.recent())] == [(number, 1) for number in begun]
    assert list(work.uploads.upload_ids()) == []


@pytest.mark.parametrize(
    ("becomes", "same"),
    [
        (lambda work, job: work.store.jobs.cancel(job), False),
        (lambda work, job: shutil.rmtree(work.uploads._folder), False),  # of another server's home
        (lambda work, job: work.store.jobs.fail(work.store.jobs.claim(job)[0].id, "the program ended"), True),
        (lambda work, job: None, True),
    ],
    ids=["stopped", "files-gone", "failed", "waiting"],
)
def test_content_that_was_not_analysed_is_tried_again(
    work: Background, store: Store, becomes: Callable[[Background, int], object], same: bool
) -> None:
    dead = Background(store)
    dead.start = lambda: None  # type: ignore[method-assign]
    first = dead.upload(opened(heads()), "Upload of 6 files", content="a")
    becomes(dead, first)
    again = work.upload(opened(heads()), "Upload of 6 files", content="a")
    assert (again == first) == same
    wait(lambda: store.jobs.get(again).finished_at and idle(work))
    assert (store.jobs.get(again).done, store.jobs.get(again).failed) == (2, 0)


DASHBOARD = """
import sys, time
from pathlib import Path
from dashboard.background import Background
from ichscope.store import Store
store = Store.open(home=Path(sys.argv[1]))
work = Background(store)
print("ready", flush=True)
sys.stdin.readline()
work.start()
while any(work.uploads.upload_ids()):
    assert not work.problem, work.problem
    time.sleep(0.05)
work.close()
store.close()
"""


def test_two_dashboards_on_one_store_do_each_study_once(store: Store, home: Path) -> None:
    command = [sys.executable, "-c", DASHBOARD, str(home)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    two = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    here = Background(store)
    here.start = lambda: None  # type: ignore[method-assign]
    for dashboard in two:
        assert dashboard.stdout.readline() == "ready\n"
    jobs = [here.upload(opened(heads(4, first)), "Upload of 12 files") for first in (0, 4)]
    for dashboard in two:
        dashboard.stdin.write("go\n")
        dashboard.stdin.flush()
    for dashboard in two:
        dashboard.communicate(timeout=300)
        assert dashboard.returncode == 0
    assert [(store.jobs.get(job).done, store.jobs.get(job).failed) for job in jobs] == [(4, 0), (4, 0)]
    assert store.worklist.counts().total == 8
    assert len(store.jobs.recent()) == 2
    with store.database.reading() as session:
        attempts = session.scalars(select(tables.JobItem.attempts)).all()
    assert set(attempts) == {1}, "no item was taken by both"


def test_an_upload_without_a_job_gets_one(work: Background, store: Store) -> None:
    upload_id = work.uploads.keep(opened(heads(1)))
    os.utime(work.uploads.folder(upload_id), (0, 0))
    work.start()
    wait(lambda: idle(work))
    assert store.worklist.counts().total == 1
    assert not work.uploads.holds(upload_id)


def age(store: Store, job: int) -> None:
    with store.database.writing() as session:
        session.get_one(tables.Job, job).created_at = datetime.now(UTC) - timedelta(minutes=5)


def test_jobs_of_others_are_left_alone_until_asked_for(work: Background, store: Store, tmp_path: Path) -> None:
    phantom.write(phantom.make(None, slices=3, size=48), tmp_path / "in")
    job = batch.begin(store, [tmp_path / "in"])
    work.start()
    wait(lambda: idle(work))
    assert store.jobs.get(job).pending == 1
    assert [(seen.here, seen.stalled) for seen in work.look()] == [(False, False)], "its program may be at it"
    age(store, job)
    assert [(seen.here, seen.stalled) for seen in work.look()] == [(False, True)]
    work.ask(job)
    wait(lambda: idle(work))
    assert store.jobs.get(job).done == 1


def test_a_folder_on_the_server_stays_as_it_is(work: Background, store: Store, tmp_path: Path) -> None:
    files = phantom.write(phantom.make(None, slices=3, size=48), tmp_path / "in")
    job = work.folder(tmp_path / "in", "Folder on the server")
    wait(lambda: idle(work))
    assert store.jobs.get(job).done == 1
    assert all(file.exists() for file in files)
    assert list(work.uploads.upload_ids()) == []


def test_a_failure_keeps_the_files_for_another_try(
    work: Background, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> object:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(batch.workers, "analyse", broken)
        job = work.upload(opened(heads(1)), "Upload of 3 files")
        wait(lambda: idle(work))
    assert (store.jobs.get(job).failed, len(list(work.uploads.upload_ids()))) == (1, 1)
    store.jobs.retry(job)
    work.ask(job)
    wait(lambda: idle(work))
    assert (store.jobs.get(job).done, store.jobs.get(job).failed, list(work.uploads.upload_ids())) == (1, 0, [])


@pytest.mark.parametrize("wrong", [True, False], ids=["clock ahead", "clock right"])
def test_failed_files_are_removed_when_they_are_old_and_the_clock_is_right(
    work: Background, store: Store, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    upload_id = work.uploads.keep(opened(heads(1)))
    job = store.jobs.start("upload", "Upload", {"upload_id": upload_id}, ["x"])
    (item,) = store.jobs.claim(job)
    store.jobs.fail(item.id, "damaged")
    monkeypatch.setattr(type(work.uploads), "age", lambda self, upload_id: timedelta(days=400))
    if wrong:
        monkeypatch.setattr(clock, "datetime", Ahead())
        monkeypatch.setattr(background, "datetime", Ahead())
    work.start()
    wait(lambda: idle(work))
    assert work.uploads.holds(upload_id) == wrong


class Ahead:
    """A clock that is set ahead."""

    def now(self, zone: Any) -> datetime:
        return datetime.now(zone) + timedelta(days=400)


def test_what_is_being_written_is_not_taken_for_what_was_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = UploadQueue(home)
    monkeypatch.setattr(UploadQueue, "age", lambda self, upload_id: timedelta(days=400))
    (home / "uploads" / "left.part").mkdir(parents=True)

    def files() -> Iterator[tuple[str, io.BytesIO]]:
        yield "a", io.BytesIO(b"a")
        assert list(queue.upload_ids()) == []
        yield "b", io.BytesIO(b"b")

    kept = queue.folder(queue.keep(files()))
    assert sorted(path.name for path in kept.iterdir()) == ["a", "b"]
    assert [path.name for path in (home / "uploads").iterdir()] == [kept.name]


def test_a_server_that_is_killed_while_it_begins_a_job_loses_no_upload(
    work: Background, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Jobs, "add_items", killed)
        patched.setattr(Jobs, "mark_listed", killed)
        upload_id = work.uploads.keep(opened(heads(1)))
        with suppress(KeyboardInterrupt):
            batch.begin(store, [work.uploads.folder(upload_id)], "upload", options={"upload_id": upload_id})
    work.start()
    wait(lambda: idle(work))
    assert store.worklist.counts().total == 1
    assert list(work.uploads.upload_ids()) == []


def killed(*args: object) -> None:
    raise KeyboardInterrupt


def test_what_holds_the_work_up_is_said_and_it_goes_on_by_itself(
    work: Background, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_AFTER_FAILURE_S", 0.02)
    said: list[str] = []
    real = Jobs.claim

    def gone_at_first(self: Store, job: int, count: int = 1) -> object:
        if len(said) < 2:
            said.append(work.problem)
            raise StoreError("The database failed: the connection to it is lost.")
        said.append(work.problem)
        return real(self, job, count)

    monkeypatch.setattr(Jobs, "claim", gone_at_first)
    job = work.upload(opened(heads(1)), "Upload of 3 files")
    wait(lambda: idle(work))
    assert said[1] == "The database failed: the connection to it is lost."
    assert (store.jobs.get(job).done, work.problem) == (1, "")


def test_closing_comes_to_an_orderly_end(store: Store) -> None:
    work = Background(store)
    job = work.upload(opened(heads(6)), "Upload of 18 files")
    wait(lambda: store.jobs.get(job).running)
    work.close()
    found = store.jobs.get(job)
    assert found.running == 0
    assert found.pending + found.done == found.total
    work.start()
    assert idle(work), "what is closed does not begin again"


def test_the_demonstration(work: Background, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_SIZE", 48)
    monkeypatch.setattr(demo, "_SLICES", (3,))
    real, made = demo.make, []

    def few(store: Store, workers: Executor, config: object, **callbacks: object) -> Job:
        made.append(work.making)
        return real(store, workers, config, 4, **callbacks)

    monkeypatch.setattr(demo, "make", few)
    work.demonstrate()
    wait(lambda: idle(work))
    assert (made, work.making, work.problem) == ([(0, demo.STUDIES)], None, "")
    assert store.worklist.counts(Filter(synthetic=True)).total == store.worklist.counts().total == 4
    assert set(store.worklist.choices().readers) <= set(demo.READERS)
    assert store.worklist.choices().readers


def test_a_demonstration_that_fails_says_why_and_is_not_begun_again(
    work: Background, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path / "none"))
    monkeypatch.setattr(demo, "make", lambda *args, **options: pytest.fail("heads that no model reads"))
    work.demonstrate()
    wait(lambda: work.problem)
    assert "model" in work.problem
    assert work.making is None
    assert store.jobs.recent() == []


# ---- the panel -----------------------------------------------------------------------------------------


def page() -> None:
    import streamlit as st

    from dashboard import ingest

    st.write(f"any studies: {ingest.panel()}")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    return AppTest.from_function(page, default_timeout=60)


def words(app: AppTest) -> str:
    assert not app.exception
    texts = [one.value for kind in ("header", "markdown", "caption", "error") for one in app.get(kind)]
    return "\n".join([*texts, *(one.proto.text for one in app.get("progress"))])


def run_to_the_end(app: AppTest) -> AppTest:
    wait(lambda: idle(cached.background()))
    return app.run()


def test_an_empty_store_says_what_to_do(app: AppTest) -> None:
    text = words(app.run())
    assert "any studies: False" in text
    assert "No studies yet" in text
    assert "200 MB a file" in text
    assert [button.label for button in app.button] == ["Make a demonstration"]


def test_a_demonstration_that_was_asked_for_is_shown_from_the_first_moment(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Background, "start", lambda self: None)
    app.run().button[0].click()
    assert f"Demonstration: 0 of {demo.STUDIES} heads generated" in words(app.run())
    assert not app.button, "it is not offered twice"


def test_a_zip_is_uploaded_analysed_and_the_uploader_emptied(app: AppTest) -> None:
    app.run().file_uploader[0].set_value([("night.zip", zipped(heads()), "application/zip")])
    text = words(run_to_the_end(app.run()))
    assert "any studies: True" in text
    assert "2 of 2 studies done" in text
    assert "SMITH" not in text
    assert app.file_uploader[0].value == []
    assert len(cached.store().jobs.recent()) == 1
    app.run().run()
    assert len(cached.store().jobs.recent()) == 1


def test_a_running_job_is_seen_by_a_new_session(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Background, "start", lambda self: None)
    work = cached.background()
    work.upload(opened(heads()), "Upload of 6 files")
    for _ in range(2):
        text = words(app.run())
        assert "Upload of" in text
        assert "waiting" in text
    (fragment,) = [one.proto for one in app.get("progress")]
    assert fragment.value == 0
    next(button for button in app.button if button.label == "Stop").click()
    assert "waiting" not in words(app.run())
    assert work.look() == []


def test_a_server_that_starts_takes_up_what_was_left(home: Path) -> None:
    upload_id = UploadQueue(home).keep(opened(heads(1)))
    os.utime(home / "uploads" / upload_id, (0, 0))
    warm_up.begin()
    warm_up.wait()
    wait(lambda: cached.store().worklist.counts().total == 1)


def test_failures_are_listed_with_reasons_and_tried_again(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> object:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(batch.workers, "analyse", broken)
        app.run().file_uploader[0].set_value([("night.zip", zipped(heads()), "application/zip")])
        text = words(run_to_the_end(app.run()))
    assert app.expander[0].label.endswith("2 of 2 studies failed")
    assert "2 x MemoryError" in text
    next(button for button in app.button if button.label == "Try again").click()
    assert "2 of 2 studies done" in words(run_to_the_end(app.run()))
    assert not app.expander


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (StoreError("The database failed: it may not be written."), "it may not be written"),
    ],
)
def test_what_cannot_be_taken_in_is_said(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*args: object) -> int:
        raise error

    monkeypatch.setattr(Background, "upload", fail)
    app.run().file_uploader[0].set_value([("night.zip", b"data", "application/zip")])
    text = words(app.run())
    assert "Nothing was added" in text
    assert said in text


def test_a_folder_on_the_server_is_analysed(app: AppTest, tmp_path: Path) -> None:
    phantom.write(phantom.make(None, slices=3, size=48), tmp_path / "in")
    app.run().segmented_control[0].set_value("Folder on the server")
    app.run().text_input[0].set_value(str(tmp_path / "in"))
    app.run()
    next(button for button in app.button if button.label == "Analyse this folder").click()
    assert "1 of 1 studies done" in words(run_to_the_end(app.run()))


def test_failures_of_a_watched_folder_are_listed_with_another_try(app: AppTest) -> None:
    store = cached.store()
    job = store.jobs.start("watch", "Watched folder")
    store.jobs.add_items(job, ["a"])
    (item,) = store.jobs.claim(job)
    store.jobs.fail(item.id, "a file is no longer there")
    for _ in range(12):
        store.jobs.mark_listed(store.jobs.start("folder", "later"))
    text = words(app.run())
    assert app.expander[0].label.endswith("1 of 1 studies failed")
    assert "file is no longer there" in text
    assert [button.label for button in app.expander[0].button] == ["Try again"]


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "/" + "x" * 300, "/tmp/\0"])
def test_a_path_that_is_none_is_said(app: AppTest, path: str) -> None:
    app.run().segmented_control[0].set_value("Folder on the server")
    app.run().text_input[0].set_value(path)
    app.run()
    next(button for button in app.button if button.label == "Analyse this folder").click()
    assert "cannot be opened" in words(app.run())


def test_a_job_that_stands_still_can_be_taken_over(app: AppTest, tmp_path: Path) -> None:
    phantom.write(phantom.make(None, slices=3, size=48), tmp_path / "in")
    store = cached.store()
    job = batch.begin(store, [tmp_path / "in"])
    age(store, job)
    assert "The program doing this has ended" in words(app.run())
    next(button for button in app.button if button.label == "Resume").click()
    words(run_to_the_end(app.run()))
    assert isinstance(store.jobs.get(job), Job)
    assert store.jobs.get(job).done == 1
