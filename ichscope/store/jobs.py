"""Ingests and their items: what is still to do, by whom, and what became of it, whoever is killed meanwhile."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from ichscope.store import rows
from ichscope.store.database import UNSEEN, Database, StoreError, insert_for
from ichscope.store.pseudonymiser import Pseudonymiser, without_names
from ichscope.store.tables import Job, JobItem

LEASE = timedelta(seconds=90)
# Items that their process did not survive come last in the queue, and after this many times no more.
MAX_ATTEMPTS = 8
_AT_ONCE = 500
_ITEMS = JobItem.__table__


class Jobs:
    """Ingests and their items: what is to do, who does it, and what became of it."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def start(self, kind: str, title: str, options: Mapping[str, Any] | None = None) -> int:
        """Begin an ingest; `title` is for people and must name no patient, `options` is for whoever takes it up."""
        with self._database.writing() as session:
            job = Job(kind=kind, title=title, options=dict(options or {}), created_at=datetime.now(UTC), listed=False)
            session.add(job)
            session.flush()
            return job.id

    def add_items(self, job: int, locators: Iterable[str]) -> int:
        """Add what is to be analysed; a locator that the job has already is left as it is.

        Returns
        -------
        how many were new
        """
        iterator, added = iter(locators), 0
        while some := list(islice(iterator, _AT_ONCE)):
            new = [_new_item(job, locator, self._keys.hash("locator", locator)) for locator in some]
            with self._database.writing() as session:
                insert = insert_for(session)(_ITEMS).values(new).on_conflict_do_nothing()
                added += len(session.scalars(insert.returning(_ITEMS.c.id)).all())
        return added

    def mark_listed(self, job: int) -> None:
        """Say that all items were added: the job ends when none is left."""
        self._set_listed(job, True)

    def reopen(self, job: int) -> None:
        """Say that items may come again."""
        self._set_listed(job, False)

    def _set_listed(self, job: int, listed: bool) -> None:
        with self._database.writing() as session:
            session.execute(update(Job).where(Job.id == job).values(listed=listed))

    def claim(self, job: int, count: int = 1) -> list[rows.Item]:
        """Take on up to `count` items for this process; those of dead processes too."""
        now = datetime.now(UTC)
        with self._database.writing() as session:
            _free_dead(session, job, now)
            chosen = (
                select(JobItem)
                .where(JobItem.job_id == job, JobItem.state == "pending")
                .order_by(JobItem.attempts, JobItem.id)
                .limit(count)
                .with_for_update(skip_locked=True)
            )
            items = session.scalars(chosen).all()
            for item in items:
                item.state, item.owner, item.lease_until = "running", owner(), now + LEASE
                item.attempts, item.started_at = item.attempts + 1, now
            return [rows.Item(item.id, item.job_id, item.locator, item.attempts) for item in items]

    def renew(self, items: Sequence[int]) -> None:
        """Say that this process is alive and at these items; due before LEASE is over."""
        where = (JobItem.id.in_(items), JobItem.state == "running", JobItem.owner == owner())
        with self._database.writing() as session:
            session.execute(update(JobItem).where(*where).values(lease_until=datetime.now(UTC) + LEASE))

    def done(self, item: int, study: int) -> None:
        """Say that the item's study is in the store already; where it is not, record() says so itself."""
        with self._database.writing() as session:
            finish(session, item, study, datetime.now(UTC))

    def fail(self, item: int, reason: str, files: Sequence[str] = ()) -> None:
        """Say why the item could not be analysed; names of files are not written."""
        with self._database.writing() as session:
            _end(session, item, "failed", datetime.now(UTC), reason=without_names(reason, files))

    def drop(self, item: int, left_out: tuple[int, int] = (0, 0)) -> None:
        """Take an item out of its job, as a folder whose series became items themselves; what it was is forgotten.

        left_out : pictures beside DICOM images, and other files, that are no images of a series; counted for the job
        """
        with self._database.writing() as session:
            _end(session, item, "dropped", datetime.now(UTC), reason="", locator="")
            if any(left_out):
                of_item = select(Job).join(JobItem, JobItem.job_id == Job.id).where(JobItem.id == item)
                job = session.scalars(of_item.with_for_update(of=Job)).one()
                before = job.options.get("left out", (0, 0))
                job.options = {**job.options, "left out": [a + b for a, b in zip(before, left_out, strict=True)]}

    def release(self, item: int) -> None:
        """Give an item back untouched, for this process or another one to take."""
        with self._database.writing() as session:
            free = {"state": "pending", "owner": "", "lease_until": None, "attempts": JobItem.attempts - 1}
            session.execute(update(JobItem).where(JobItem.id == item, JobItem.state == "running").values(free))

    def retry(self, job: int, item: int | None = None) -> int:
        """Queue failed items again, all or one.

        Returns
        -------
        how many
        """
        where = [JobItem.job_id == job, JobItem.state == "failed"] + ([JobItem.id == item] if item else [])
        with self._database.writing() as session:
            again = {"state": "pending", "reason": "", "attempts": 0, "finished_at": None}
            return _changed(session, update(JobItem).where(*where).values(again))

    def cancel(self, job: int) -> None:
        """Drop what has not begun; what runs comes to its end."""
        with self._database.writing() as session:
            session.execute(delete(JobItem).where(JobItem.job_id == job, JobItem.state == "pending"))
            session.execute(update(Job).where(Job.id == job).values(listed=True))

    def get(self, job: int) -> rows.Job:
        """One ingest and how far it is.

        Raises
        ------
        StoreError
            if there is none of this number
        """
        with self._database.reading() as session:
            row = session.get(Job, job)
            if row is None:
                raise StoreError(f"There is no job number {job}.")
            return _progress(session, [row])[0]

    def recent(self, limit: int = 20, open_only: bool = False, inputs: str | None = None) -> list[rows.Job]:
        """Ingests, the newest first.

        Parameters
        ----------
        open_only : leave out those with nothing left to do
        inputs : only those with this mark in their options
        """
        left = exists().where(JobItem.job_id == Job.id, JobItem.state.in_(("pending", "running")))
        chosen = select(Job).order_by(Job.id.desc()).limit(limit)
        if inputs is not None:
            chosen = chosen.where(Job.options["inputs"].as_string() == inputs)
        with self._database.reading() as session:
            if open_only:
                chosen = chosen.where(or_(Job.listed.is_(False), left))
            return _progress(session, session.scalars(chosen).all())

    def failures(self, job: int, offset: int = 0, limit: int = 50) -> list[rows.FailedItem]:
        """Items that could not be analysed, and why."""
        where = (JobItem.job_id == job, JobItem.state == "failed")
        with self._database.reading() as session:
            failed = session.scalars(select(JobItem).where(*where).order_by(JobItem.id).offset(offset).limit(limit))
            return [rows.FailedItem(row.id, row.reason, row.attempts, row.finished_at) for row in failed]


def finish(session: Session, item: int, study: int, now: datetime) -> None:
    """Mark an item as done inside a transaction that writes its study; where its files are is forgotten."""
    _end(session, item, "done", now, reason="", study_id=study, locator="")


def _end(session: Session, item: int, state: str, now: datetime, **values: Any) -> None:
    values |= {"state": state, "finished_at": now, "owner": "", "lease_until": None}
    if not _changed(session, update(JobItem).where(JobItem.id == item).values(values)):
        raise StoreError(f"There is no item number {item}.")


def _changed(session: Session, statement: Any) -> int:
    result = session.execute(statement, execution_options=UNSEEN)
    assert isinstance(result, CursorResult)
    return result.rowcount


def _new_item(job: int, locator: str, key: str) -> dict[str, Any]:
    fixed = {"state": "pending", "reason": "", "attempts": 0, "owner": ""}
    return {"job_id": job, "locator": locator, "locator_key": key, **fixed}


def _free_dead(session: Session, job: int, now: datetime) -> None:
    """Queue items again whose process is gone; one that no process survives is given up, so that it stops no batch."""
    running = (JobItem.job_id == job, JobItem.state == "running")
    for item in session.scalars(select(JobItem).where(*running).with_for_update(skip_locked=True)):
        if (item.lease_until and item.lease_until < now) or _gone(item.owner):
            given_up = item.attempts >= MAX_ATTEMPTS
            item.state, item.owner, item.lease_until = "failed" if given_up else "pending", "", None
            if given_up:
                item.reason = f"The program ended {item.attempts} times while it worked on this."
                item.finished_at = now
    session.flush()


def _progress(session: Session, jobs: Sequence[Job]) -> list[rows.Job]:
    chosen = (
        select(
            JobItem.job_id,
            JobItem.state,
            func.count(),
            func.min(JobItem.started_at),
            func.max(JobItem.finished_at),
        )
        .where(JobItem.job_id.in_([job.id for job in jobs]), JobItem.state != "dropped")
        .group_by(JobItem.job_id, JobItem.state)
    )
    counted = session.execute(chosen).all()
    return [_plain(job, [row for row in counted if row.job_id == job.id]) for job in jobs]


def _plain(job: Job, counted: Sequence[Any]) -> rows.Job:
    states = {state: count for _, state, count, _, _ in counted}
    first = min((row[3] for row in counted if row[3]), default=None)
    last = max((row[4] for row in counted if row[4]), default=None)
    return rows.Job(job.id, job.kind, job.title, job.options, job.created_at, job.listed, states, first, last)


def owner() -> str:
    """Name this process so that others can tell whether it lives: host, number, and when it began."""
    return f"{socket.gethostname()}/{os.getpid()}/{_began(os.getpid())}"


def _gone(of: str) -> bool:
    """Whether a process is known to be dead: only one of this host is, and only where the system says so."""
    host, number, began = of.split("/")
    return host == socket.gethostname() and began != "" and _began(int(number)) != began


def _began(process: int) -> str:
    """When a process began, in the kernel's own count; "" where it is dead or the system does not tell."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # proc(5): state is field 3, the beginning field 22; the command before them may hold anything but ends in ")".
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
