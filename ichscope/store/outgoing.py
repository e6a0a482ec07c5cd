"""Results on their way to archives and messages to people: kept encrypted, and gone when they are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import exists, func, select, update

from ichscope.access.events import Action, Detail, Kind, Outcome
from ichscope.access.roles import Right, roles_with
from ichscope.backoff import pause_s
from ichscope.store.access_tables import AuditRecord, Outgoing
from ichscope.store.database import UNSEEN, Database, NotFoundError, insert_for
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.tables import Series, Study

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10, 3600
_TABLE = Outgoing.__table__
# In the place of an archive's name.
_REPORTS = "reports for programs"


@dataclass(frozen=True)
class Waiting:
    """Results that are due; `content` is what was put in."""

    id: int
    objects: int
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Unopened:
    """A likely bleed that no reader has opened: number and key of the study, when it was analysed, and its score."""

    id: int
    key: str
    since: datetime
    score: float | None


@dataclass(frozen=True)
class Post:
    """What became of what was for one archive, or for one way to people.

    waiting, sent : sets of results, or messages
    since : when the oldest that waits was made
    reason : why it could not be sent, where it was tried
    """

    archive: str
    waiting: int
    sent: int
    since: datetime | None
    reason: str


class OutgoingPost:
    """Results for archives, messages for people. Whoever may analyse may have them sent."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def put(self, archive: str, uids: Sequence[str], content: bytes) -> bool:
        """Keep results until the archive has taken them; the same ones, by the objects' UIDs, only once.

        Returns
        -------
        whether they are new
        """
        key = self._keys.hash("outgoing", "\0".join(sorted(uids)))
        with self._database.reading() as session:  # asked again and again: most are there, and nothing is written
            if session.scalar(select(exists().where(Outgoing.archive == archive, Outgoing.key == key))):
                return False
        now = datetime.now(UTC)
        row = {"archive": archive, "key": key, "objects": len(uids)}
        row |= {"sealed": self._keys.seal_bytes(content), "attempts": 0, "reason": "", "made_at": now, "due_at": now}
        with self._database.writing() as session:
            insert = insert_for(session)(_TABLE).values(row).on_conflict_do_nothing()
            return session.scalar(insert.returning(_TABLE.c.id)) is not None

    def due(self, archive: str) -> Waiting | None:
        """The results that have waited longest of those that are due; None where there are none."""
        waits = (Outgoing.archive == archive, Outgoing.sent_at.is_(None), Outgoing.due_at <= datetime.now(UTC))
        with self._database.reading() as session:
            row = session.scalar(select(Outgoing).where(*waits).order_by(Outgoing.due_at, Outgoing.id).limit(1))
            if row is None or row.sealed is None:
                return None
            return Waiting(row.id, row.objects, self._keys.unseal_bytes(row.sealed))

    def sent(self, waiting: Waiting, action: Action, kind: Kind, key: str, **details: Detail) -> None:
        """Say that it was taken: it is forgotten here, and the audit trail has a line of it."""
        with self._database.changing(Right.ANALYSE, action, kind, key) as change:
            done = {"sealed": None, "reason": "", "sent_at": datetime.now(UTC)}
            change.session.execute(
                update(Outgoing).where(Outgoing.id == waiting.id).values(done), execution_options=UNSEEN
            )
            change.about(kind, key, **details)

    def failed(self, waiting: Waiting, reason: str) -> None:
        """Say why they were not taken; they are tried again, less and less often."""
        with self._database.writing() as session:
            row = session.get_one(Outgoing, waiting.id)
            row.attempts, row.reason = row.attempts + 1, reason
            row.due_at = datetime.now(UTC) + timedelta(seconds=pause_s(row.attempts, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))

    def keep_report(self, content: str, report: bytes, time: timedelta) -> None:
        """Keep the report of a series for the program that has sent it; a newer one takes the place of an older one.

        Parameters
        ----------
        content : hash of the series' files (content_hash)
        time : how long
        """
        now = datetime.now(UTC)
        new = {"objects": 1, "sealed": self._keys.seal_bytes(report), "attempts": 0, "reason": ""}
        new |= {"made_at": now, "due_at": now + time, "sent_at": None}
        row = {"archive": _REPORTS, "key": self._keys.hash("report", content), **new}
        with self._database.writing() as session:
            insert = insert_for(session)(_TABLE).values(row)
            session.execute(insert.on_conflict_do_update(index_elements=["archive", "key"], set_=new))

    def report(self, series: int) -> bytes | None:
        """The report of a series; None where it is kept no longer.

        Raises
        ------
        NotFoundError
            if there was none
        """
        with self._database.reading() as session:
            content = session.scalar(select(Series.content).where(Series.id == series))
            key = self._keys.hash("report", content or "")
            kept = select(Outgoing).where(Outgoing.archive == _REPORTS, Outgoing.key == key)
            if not content or (row := session.scalar(kept)) is None:
                raise NotFoundError("There is no report of this series.")
            gone = row.sealed is None or row.due_at <= datetime.now(UTC)
            return None if gone or row.sealed is None else self._keys.unseal_bytes(row.sealed)

    def forget_reports(self) -> None:
        """Forget those whose time is over."""
        now = datetime.now(UTC)
        over = (Outgoing.archive == _REPORTS, Outgoing.sealed.is_not(None), Outgoing.due_at <= now)
        with self._database.reading() as session:  # asked often, and mostly there is nothing to do
            if not session.scalar(select(exists().where(*over))):
                return
        with self._database.writing() as session:
            gone = {"sealed": None, "sent_at": now}
            session.execute(update(Outgoing).where(*over).values(gone), execution_options=UNSEEN)

    def post(self) -> list[Post]:
        """What became of all of them, by archive."""
        waits = Outgoing.sent_at.is_(None)
        counted = select(
            Outgoing.archive,
            func.count().filter(waits),
            func.count(Outgoing.sent_at),
            func.min(Outgoing.made_at).filter(waits),
            func.max(Outgoing.reason),
        )
        counted = counted.where(Outgoing.archive != _REPORTS)
        with self._database.reading() as session:
            rows = session.execute(counted.group_by(Outgoing.archive).order_by(Outgoing.archive)).all()
            return [Post(*row) for row in rows]

    def unopened(self, after: timedelta, within: timedelta) -> list[Unopened]:
        """Likely bleeds that were analysed so long ago, but not longer than `within`, and that no reader has opened.

        A study is opened when the audit trail says that a person with the right to review has seen it, or when it has
        a review. Synthetic ones are left out.
        """
        now = datetime.now(UTC)
        seen = exists().where(
            AuditRecord.action == Action.STUDY_SEEN,
            AuditRecord.outcome == Outcome.DONE,
            AuditRecord.key == Study.study_key,
            AuditRecord.role.in_([role.value for role in roles_with(Right.REVIEW)]),
        )
        wanted = (
            Study.priority == "likely",
            Study.synthetic.is_(False),
            Study.reviews == 0,
            Study.first_result_at <= now - after,
            Study.first_result_at > now - within,
            ~seen,
        )
        columns = (Study.id, Study.study_key, Study.first_result_at, Study.score)
        with self._database.reading() as session:
            rows = session.execute(select(*columns).where(*wanted).order_by(Study.first_result_at, Study.id)).all()
            return [Unopened(id, key, since, score) for id, key, since, score in rows if since is not None]
