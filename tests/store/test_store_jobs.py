from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from ichscope.store import Store, StoreError, jobs
from ichscope.store.tables import Job, JobItem
from ichscope.store.tallies import items, tallies
from tests.support.store_cases import add, content, study

ROOT = Path(__file__).parents[2]


def started(store: Store, *locators: str) -> int:
    job = store.jobs.start("folder", "night", {"pictures": True})
    store.jobs.add_items(job, locators)
    store.jobs.mark_listed(job)
    return job


def give_to(store: Store, owner: str, lease: timedelta = jobs.LEASE) -> None:
    """Make it look as if another process had taken on all that runs."""
    with store.database.writing() as session:
        session.execute(
            update(JobItem).where(JobItem.state == "running").values(owner=owner, lease_until=datetime.now(UTC) + lease)
        )


def test_a_job_from_start_to_end(store: Store) -> None:
    job = store.jobs.start("folder", "night", {"pictures": True})
    assert store.jobs.add_items(job, ["a", "b", "a"]) == 2
    assert store.jobs.add_items(job, ["b", "c"]) == 1
    first, second = store.jobs.claim(job, 2)
    assert (first.locator, second.locator, first.attempts) == ("a", "b", 1)
    id = store.results.record(study("a", 0.9), content("a"), item=first.id)
    store.jobs.fail(second.id, "/in/DOE: out of memory", files=["/in/DOE"])
    [third] = store.jobs.claim(job, 5)
    assert third.locator == "c"
    now = store.jobs.get(job)
    assert (now.pending, now.running, now.done, now.failed, now.total) == (0, 1, 1, 1, 3)
    assert (now.kind, now.title, now.options, now.finished_at) == ("folder", "night", {"pictures": True}, None)
    [failure] = store.jobs.failures(job)
    assert (failure.item, failure.reason) == (second.id, "file 1: out of memory")
    assert store.jobs.retry(job) == 1
    assert store.jobs.failures(job) == []
    [again] = store.jobs.claim(job)
    assert again.id == second.id
    store.jobs.done(again.id, id)
    store.jobs.done(third.id, id)
    assert store.jobs.get(job).finished_at is None, "more may be listed"
    assert [one.id for one in store.jobs.recent(open_only=True)] == [job]
    store.jobs.mark_listed(job)
    ended = store.jobs.get(job)
    assert ended.first_at <= ended.finished_at == ended.last_at
    assert store.jobs.recent(open_only=True) == []
    assert [one.id for one in store.jobs.recent()] == [job]


def test_a_job_whose_items_are_known_is_there_with_all_of_them(store: Store) -> None:
    job = store.jobs.start("folder", "night", locators=["a", "b", "a"])
    assert (store.jobs.get(job).listed, store.jobs.get(job).pending) == (True, 2)
    with pytest.raises(RuntimeError):
        store.jobs.start("folder", "night", locators=stopped())
    assert [found.id for found in store.jobs.recent()] == [job]


def stopped() -> Iterator[str]:
    yield "a"
    raise RuntimeError


def test_names_of_files_are_forgotten_when_the_item_is_done(store: Store) -> None:
    job = started(store, "/in/DOE")
    [item] = store.jobs.claim(job)
    store.results.record(study("a", 0.9), content("a"), item=item.id)
    with store.database.reading() as session:
        assert session.scalars(select(JobItem.locator)).all() == [""]


def test_names_of_files_are_never_readable_without_the_key(store: Store, tmp_path: Path) -> None:
    job = started(store, "/in/ZZTOP", "/in/ZZTOP_2")
    store.jobs.fail(store.jobs.claim(job)[0].id, "damaged")  # its files are known until somebody tries again
    with store.database.reading() as session:
        assert not [text for text in session.scalars(select(JobItem.locator)) if "ZZTOP" in text]
    assert not [path for path in tmp_path.glob("ichscope.db*") if b"ZZTOP" in path.read_bytes()]
    assert store.jobs.retry(job) == 1
    assert {item.locator for item in store.jobs.claim(job, 2)} == {"/in/ZZTOP", "/in/ZZTOP_2"}


def test_an_item_whose_place_cannot_be_read_holds_up_no_other(store: Store) -> None:
    job = started(store, "a", "b", "c")
    with store.database.writing() as session:
        first, second = session.scalars(select(JobItem).order_by(JobItem.id).limit(2))
        first.locator, second.locator = first.locator[:-1], second.locator.replace(second.locator[-9:], '"' * 9)
    assert [item.locator for item in store.jobs.claim(job, 3)] == ["c"]
    assert {failure.reason for failure in store.jobs.failures(job)} == {
        "A sealed text is damaged, or was sealed with another key."
    }


def test_what_was_deleted_is_overwritten(tmp_path: Path) -> None:
    """A folder's name that is short-lived, as titles and comments are, stays nowhere in the files."""
    store = Store.open(home=tmp_path)
    other = sqlite3.connect(tmp_path / "ichscope.db")  # the log lives as long as any program has the database open
    other.execute("SELECT count(*) FROM jobs").fetchall()
    jobs = [store.jobs.start("folder", f"ZZTOP {number} " * 20) for number in range(200)]
    store.database.tidy()
    files = [tmp_path / "ichscope.db", tmp_path / "ichscope.db-wal"]
    assert files[0].read_bytes().count(b"ZZTOP") >= len(jobs)
    with store.database.writing() as session:
        session.execute(delete(Job).where(Job.id.in_(jobs[::2])))
        session.execute(update(Job).values(title="night"))
    assert b"ZZTOP" in files[1].read_bytes() + files[0].read_bytes()
    store.database.tidy()
    assert [b"ZZTOP" in path.read_bytes() for path in files] == [False, False]
    other.close()
    store.close()


def test_tidying_waits_for_no_reader(tmp_path: Path) -> None:
    store = Store.open(home=tmp_path)
    reader = sqlite3.connect(tmp_path / "ichscope.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM jobs").fetchall()
    store.jobs.start("folder", "night")
    began = time.monotonic()
    store.database.tidy()
    assert time.monotonic() - began < 20
    assert reader.execute("SELECT count(*) FROM jobs").fetchall() == [(0,)]
    reader.close()
    store.close()


def test_jobs_are_found_by_their_inputs_however_old(store: Store) -> None:
    first = store.jobs.start("watch", "Watched folder", {"inputs": "a"})
    other = store.jobs.start("watch", "Watched folder", {"inputs": "b"})
    store.jobs.start("upload", "no inputs")
    assert [job.id for job in store.jobs.recent(limit=1, inputs="a")] == [first]
    store.jobs.mark_listed(other)
    assert store.jobs.recent(open_only=True, inputs="b") == store.jobs.recent(inputs="c") == []


def test_living_processes_keep_their_items(store: Store) -> None:
    job = started(store, "a", "b")
    [item] = store.jobs.claim(job)
    assert [one.id for one in store.jobs.claim(job, 5)] != [item.id]
    assert store.jobs.claim(job) == []


@pytest.mark.parametrize(
    "owner",
    [
        jobs.owner().rpartition("/")[0] + "/1",  # the number was given to another process since
        jobs.owner().split("/")[0] + "/4194305/77",  # larger than Linux gives out
    ],
    ids=["another process", "no process"],
)
def test_items_of_a_dead_process_are_taken_up_at_once(store: Store, owner: str) -> None:
    job = started(store, "a")
    [item] = store.jobs.claim(job)
    give_to(store, owner)
    [again] = store.jobs.claim(job)
    assert (again.id, again.attempts) == (item.id, 2)


def test_items_of_another_host_are_taken_up_when_their_lease_is_over(store: Store) -> None:
    job = started(store, "a")
    [item] = store.jobs.claim(job)
    give_to(store, "elsewhere/1/1")
    assert store.jobs.claim(job) == []
    give_to(store, "elsewhere/1/1", timedelta(seconds=-1))
    assert [one.id for one in store.jobs.claim(job)] == [item.id]


@pytest.mark.parametrize(
    ("jump", "free"), [(timedelta(days=1), True), (timedelta(minutes=-9), False), (-timedelta(days=1), True)]
)
def test_a_clock_that_jumps_holds_no_item_for_long(store: Store, jump: timedelta, free: bool) -> None:
    """Of another host, whose process may live or not: nothing but the lease tells."""
    job = started(store, "a")
    store.jobs.claim(job)
    give_to(store, "elsewhere/1/1", jobs.LEASE - jump)  # as written before this clock was set on
    assert [item.locator for item in store.jobs.claim(job)] == (["a"] if free else [])


def test_keep_renews_the_lease(store: Store) -> None:
    job = started(store, "a", "b")
    [item, left] = store.jobs.claim(job, 2)
    give_to(store, jobs.owner(), timedelta(seconds=-1))
    store.jobs.renew([item.id])
    assert [one.id for one in store.jobs.claim(job, 2)] == [left.id], "what nobody is at any more is free again"


def die(store: Store) -> None:
    """What ran runs in a process that is gone."""
    give_to(store, jobs.owner().split("/")[0] + "/4194305/77")


def test_what_kills_its_process_comes_last_and_is_given_up_in_the_end(store: Store) -> None:
    job = started(store, "bad", "good")
    [bad] = store.jobs.claim(job)
    die(store)
    [good] = store.jobs.claim(job, 5)
    assert good.locator == "good"
    assert store.jobs.claim(job, 5) == [], "a suspect waits until it is alone"
    store.jobs.drop(good.id)
    for _ in range(jobs.MAX_ATTEMPTS - 1):
        [item] = store.jobs.claim(job)
        assert item.id == bad.id
        die(store)
    assert store.jobs.claim(job) == []
    [failure] = store.jobs.failures(job)
    assert failure.reason == "The program ended 3 times while it worked on this, at last alone."
    assert store.jobs.retry(job, bad.id) == 1
    assert [item.attempts for item in store.jobs.claim(job)] == [1]


def test_a_death_is_charged_to_the_guilty_alone(store: Store) -> None:
    """One of four kills whatever process works on it; the others are done, each once."""
    job = started(store, "a", "bad", "c", "d")
    done: list[str] = []
    deaths = 0
    while items := store.jobs.claim(job, 4):
        if any(item.locator == "bad" for item in items):
            die(store)
            deaths += 1
            continue
        assert len(items) == 1, "nothing is tried beside a suspect"
        assert store.jobs.claim(job, 4) == []
        done += [item.locator for item in items]
        store.jobs.drop(items[0].id)
    assert (sorted(done), deaths) == (["a", "c", "d"], jobs.MAX_ATTEMPTS)
    assert len(store.jobs.failures(job)) == 1


def test_new_items_do_not_wait_for_suspects_nor_run_beside_them(store: Store) -> None:
    job = started(store, "a", "b")
    assert len(store.jobs.claim(job, 2)) == 2
    die(store)
    [suspect] = store.jobs.claim(job, 2)
    store.jobs.add_items(job, ["new"])
    assert store.jobs.claim(job, 2) == []
    store.jobs.release(suspect.id)
    assert [item.locator for item in store.jobs.claim(job, 2)] == ["new"]


def test_release_leaves_no_trace(store: Store) -> None:
    job = started(store, "a")
    [item] = store.jobs.claim(job)
    store.jobs.release(item.id)
    assert store.jobs.claim(job) == [item]


def test_jobs_are_found_by_their_content_unless_they_were_stopped(store: Store) -> None:
    first, second = (store.jobs.start("upload", "", {"content": "a", "kept": 1}, ["x"]) for _ in range(2))
    assert [job.id for job in store.jobs.recent(limit=1, content="a")] == [second]
    store.jobs.cancel(second)
    assert [job.id for job in store.jobs.recent(content="a")] == [first]
    assert store.jobs.get(second).options == {"kept": 1}
    assert store.jobs.recent(content="b") == []


def test_jobs_are_found_by_any_mark(store: Store) -> None:
    numbers = [store.jobs.start("upload", "", {"upload_id": mark}) for mark in "abc"]
    assert [job.id for job in store.jobs.marked("upload_id", ["c", "a", "x"])] == [numbers[0], numbers[2]]
    many = [str(number) for number in range(jobs._AT_ONCE)]
    assert [job.id for job in store.jobs.marked("upload_id", [*many, "b"])] == [numbers[1]]
    assert store.jobs.marked("upload_id", []) == store.jobs.marked("other", ["a"]) == []


def test_items_are_counted_by_state(store: Store) -> None:
    job = started(store, "a", "b", "c")
    store.jobs.done(store.jobs.claim(job)[0].id, add(store, "a", 0.9))
    assert items(store.database) == tallies(store.database).items == {"done": 1, "pending": 2}


def test_cancel_drops_what_waits(store: Store) -> None:
    job = started(store, "a", "b", "c")
    [item] = store.jobs.claim(job)
    store.jobs.cancel(job)
    store.jobs.done(item.id, add(store, "a", 0.9))
    ended = store.jobs.get(job)
    assert (ended.total, ended.done) == (1, 1)
    assert ended.finished_at


def test_jobs_and_items_that_are_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match="no job number 7"):
        store.jobs.get(7)
    for end in (lambda: store.jobs.done(7, 1), lambda: store.jobs.fail(7, "x")):
        with pytest.raises(StoreError, match="no item number 7"):
            end()
    assert store.jobs.claim(7) == []


KILLED = """
import sys
from pathlib import Path
from ichscope.access import by_default, operator
from ichscope.store import Store
from tests.support.store_cases import content, study
by_default(operator)
store = Store.open(home=Path(sys.argv[1]))
while items := store.jobs.claim(1, 2):
    for item in items:
        store.results.record(study(item.locator, 0.9), content(item.locator), item=item.id)
        print(item.id, flush=True)
"""


def test_killed_at_any_moment_exactly_the_missing_ones_are_done(
    tmp_path: Path, open_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    store = open_store(f"sqlite:///{tmp_path}/ichscope.db")
    job = started(store, *map(str, range(12)))
    for lines in (1, 4, 3):
        worker = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(lines):
            worker.stdout.readline()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    before = store.jobs.get(job)
    assert 8 <= before.done < 12
    while items := store.jobs.claim(job, 3):
        for item in items:
            store.results.record(study(item.locator, 0.9), content(item.locator), item=item.id)
    assert store.jobs.get(job).done == store.worklist.counts().total == 12
    assert store.jobs.get(job).finished_at
    found = store.trail.verify()
    assert (found.problem, found.lines) == ("", 13), "a line of each result and of the job, and no other"
    store.close()
    with sqlite3.connect(tmp_path / "ichscope.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
