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

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.store import rows
from ichscope.store.database import UNSEEN, Database, NotFoundError, StoreError, insert_for
from ichscope.store.pseudonymiser import Pseudonymiser, without_names
from ichscope.store.tables import Job, JobItem

LEASE = timedelta(seconds=90)
# Clocks of several computers may differ by so much; a lease that is longer is from before a clock was set back.
_CLOCK_SLACK = timedelta(minutes=10)
# An item that its process did not survive may be innocent: it comes last in the queue and is tried alone. One that its
# process does not survive alone may have been ended from outside: it is given up the next time.
MAX_ATTEMPTS = 3
# The option of a job that holds the mark of what is in its files.
CONTENT = "content"
_AT_ONCE = 500
_ITEMS = JobItem.__table__


class Jobs:
    """Ingests and their items: what is to do, who does it, and what became of it.

    Users start jobs, try them again and stop them; the rest is the program's own queue.
    """

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def start(
        self, kind: str, title: str, options: Mapping[str, Any] | None = None, locators: Iterable[str] | None = None
    ) -> int:
        """Begin an ingest.

        Parameters
        ----------
        title : for people; must name no patient
        options : for whoever takes it up
        locators : all that is to be analysed, where that is known: then the job is there with all of it or not at all
        """
        with self._database.changing(Right.ANALYSE, Action.JOB_STARTED) as change:
            job = Job(
                kind=kind,
                title=title,
                options=dict(options or {}),
                created_at=datetime.now(UTC),
                who=change.actor.name,
                role=change.actor.role.value,
                listed=locators is not None,
            )
            change.session.add(job)
            change.session.flush()
            self._add(change.session, job.id, locators or ())
            change.about(Kind.JOB, job.id, of=kind)
            return job.id

    def add_items(self, job: int, locators: Iterable[str]) -> int:
        """Add what is to be analysed; a locator that the job has already is left as it is.

        Returns
        -------
        how many were new
        """
        iterator, added = iter(locators), 0
        while some := list(islice(iterator, _AT_ONCE)):
            with self._database.writing() as session:
                added += self._add(session, job, some)
        return added

    def _add(self, session: Session, job: int, locators: Iterable[str]) -> int:
        iterator, added = iter(locators), 0
        while new := [self._new_item(job, locator) for locator in islice(iterator, _AT_ONCE)]:
            insert = insert_for(session)(_ITEMS).values(new).on_conflict_do_nothing()
            added += len(session.scalars(insert.returning(_ITEMS.c.id)).all())
        return added

    def _new_item(self, job: int, locator: str) -> dict[str, Any]:
        fixed = {"state": "pending", "reason": "", "attempts": 0, "owner": ""}
        key = self._keys.hash("locator", locator)
        # Names of files may be a patient's: nobody without the key reads them in the database, its log or a backup.
        return {"job_id": job, "locator": self._keys.seal(locator), "locator_key": key, **fixed}

    def knows(self, job: int, locator: str) -> bool:
        """Whether a job has, or had, an item of this locator."""
        key = self._keys.hash("locator", locator)
        found = exists().where(JobItem.job_id == job, JobItem.locator_key == key)
        with self._database.reading() as session:
            return bool(session.scalar(select(found)))

    def open_locators(self, job: int) -> list[str]:
        """Locators of what a job has still to do, or could not do and may be asked to try again."""
        where = (JobItem.job_id == job, JobItem.state.in_(("pending", "running", "failed")), JobItem.locator != "")
        with self._database.reading() as session:
            return [self._keys.unseal(locator) for locator in session.scalars(select(JobItem.locator).where(*where))]

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
        """Take on up to `count` items for this process; those of dead processes too, but each of them alone."""
        now = datetime.now(UTC)
        with self._database.writing() as session:
            _free_dead(session, job, now)
            mine = (JobItem.job_id == job, JobItem.state == "running", JobItem.owner == owner())
            running = session.scalars(select(JobItem.attempts).where(*mine)).all()
            if any(attempts > 1 for attempts in running):
                return []
            waiting = select(JobItem).where(JobItem.job_id == job, JobItem.state == "pending")
            waiting = waiting.order_by(JobItem.attempts, JobItem.id).with_for_update(skip_locked=True)
            items = session.scalars(waiting.where(JobItem.attempts == 0).limit(count)).all()
            if not items and not running:
                items = session.scalars(waiting.limit(1)).all()
            return [item for row in items if (item := self._taken(row, now))]

    def _taken(self, item: JobItem, now: datetime) -> rows.Item | None:
        """Take an item on; one that cannot say any more where its files are fails by itself, and holds up no other."""
        item.attempts, item.started_at = item.attempts + 1, now
        try:
            locator = self._keys.unseal(item.locator)
        except StoreError as error:
            item.state, item.reason, item.finished_at = "failed", str(error), now
            return None
        item.state, item.owner, item.lease_until = "running", owner(), now + LEASE
        return rows.Item(item.id, item.job_id, locator, item.attempts)

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

    def abandon(self, item: int) -> None:
        """Say that the worker on the item has died: it is a suspect, as after the death of this process."""
        with self._database.writing() as session:
            row = session.get(JobItem, item)
            if row is not None and row.state == "running":
                _suspect(row, datetime.now(UTC))

    def retry(self, job: int, item: int | None = None) -> int:
        """Queue failed items again, all or one.

        Returns
        -------
        how many
        """
        where = [JobItem.job_id == job, JobItem.state == "failed"] + ([JobItem.id == item] if item else [])
        with self._database.changing(Right.ANALYSE, Action.JOB_RETRIED, Kind.JOB, job) as change:
            again = {"state": "pending", "reason": "", "attempts": 0, "finished_at": None}
            queued = _changed(change.session, update(JobItem).where(*where).values(again))
            change.about(Kind.JOB, job, items=queued)
            return queued

    def cancel(self, job: int) -> None:
        """Drop what has not begun; what runs comes to its end. The same content may come again."""
        with self._database.changing(Right.ANALYSE, Action.JOB_CANCELLED, Kind.JOB, job) as change:
            session = change.session
            session.execute(delete(JobItem).where(JobItem.job_id == job, JobItem.state == "pending"))
            if (row := session.get(Job, job, with_for_update=True)) is not None:
                row.listed = True
                row.options = {name: value for name, value in row.options.items() if name != CONTENT}

    def get(self, job: int) -> rows.Job:
        """One ingest and how far it is.

        Raises
        ------
        NotFoundError
            if there is none of this number
        """
        with self._database.reading() as session:
            row = session.get(Job, job)
            if row is None:
                raise NotFoundError(f"There is no job number {job}.")
            return _progress(session, [row])[0]

    def recent(
        self, limit: int = 20, open_only: bool = False, inputs: str | None = None, content: str | None = None
    ) -> list[rows.Job]:
        """Ingests, the newest first.

        Parameters
        ----------
        open_only : leave out those with nothing left to do
        inputs, content : only those with this mark in their options: of where their files are, or what is in them
        """
        left = exists().where(JobItem.job_id == Job.id, JobItem.state.in_(("pending", "running")))
        chosen = select(Job).order_by(Job.id.desc()).limit(limit)
        for option, mark in (("inputs", inputs), (CONTENT, content)):
            if mark is not None:
                chosen = chosen.where(Job.options[option].as_string() == mark)
        with self._database.reading() as session:
            if open_only:
                chosen = chosen.where(or_(Job.listed.is_(False), left))
            return _progress(session, session.scalars(chosen).all())

    def marked(self, option: str, marks: Iterable[str]) -> list[rows.Job]:
        """Ingests that have one of these marks as an option, however old."""
        iterator, found = iter(marks), []
        while some := list(islice(iterator, _AT_ONCE)):
            with self._database.reading() as session:
                chosen = select(Job).where(Job.options[option].as_string().in_(some))
                found += _progress(session, session.scalars(chosen).all())
        return found

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


def _free_dead(session: Session, job: int, now: datetime) -> None:
    """Queue items again whose process is gone; one that no process survives alone is given up: it stops no batch."""
    running = (JobItem.job_id == job, JobItem.state == "running")
    for item in session.scalars(select(JobItem).where(*running).with_for_update(skip_locked=True)):
        lives = _lives(item.owner)
        if lives is not False and _lasts(item.lease_until, now):
            continue
        if lives:  # it has not died of this: it does not come to it
            item.attempts -= 1
        _suspect(item, now)
    session.flush()


def _suspect(item: JobItem, now: datetime) -> None:
    item.state, item.owner, item.lease_until = "pending", "", None
    if item.attempts >= MAX_ATTEMPTS:
        item.state, item.finished_at = "failed", now
        item.reason = f"The program ended {item.attempts} times while it worked on this, at last alone."


def _lasts(until: datetime | None, now: datetime) -> bool:
    return until is None or now <= until <= now + LEASE + _CLOCK_SLACK


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
    return rows.Job(
        job.id, job.kind, job.title, job.options, job.created_at, job.listed, states, first, last, job.who, job.role
    )


def owner() -> str:
    """Name this process so that others can tell whether it lives: host, number, and when it began."""
    return f"{socket.gethostname()}/{os.getpid()}/{_began(os.getpid())}"


def _lives(of: str) -> bool | None:
    """Whether a process lives: known only of one of this host, and only where the system tells."""
    host, number, began = of.split("/")
    return _began(int(number)) == began if host == socket.gethostname() and began else None


def _began(process: int) -> str:
    """When a process began, in the kernel's own count; "" where it is dead or the system does not tell."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # proc(5): state is field 3, the beginning field 22; the command before them may hold anything but ends in ")".
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
