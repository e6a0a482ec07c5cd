"""The audit trail: who did what, when; read, verified, exported, and pruned without breaking its chain."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.orm import Session

from ichscope.access.events import Action, Detail, Event, Kind
from ichscope.access.roles import Right
from ichscope.store import clock
from ichscope.store.access_tables import AuditEnd, AuditRecord
from ichscope.store.chain import SEALED
from ichscope.store.database import UNSEEN, Database, StoreError, insert_for

DAYS = 365
# Six months: what deployers of such systems keep logs for at least, by the EU AI Act, Art. 26(6).
FEWEST_DAYS = 183
_AT_ONCE = 1_000
_COLUMNS = tuple(getattr(AuditRecord, name) for name in SEALED)


@dataclass(frozen=True)
class TrailFilter:
    """Which lines are wanted; None and "" are all.

    before : only lines with a smaller number
    """

    who: str = ""
    action: str = ""
    outcome: str = ""
    kind: str = ""
    key: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True)
class Verification:
    """Whether the trail is whole.

    problem : what is wrong, with the number of the line; "" where nothing is
    lines : how many were checked; first, last : their numbers, 0 where there are none
    begins : when the first line was written
    """

    problem: str
    lines: int
    first: int
    last: int
    begins: datetime | None

    @property
    def whole(self) -> bool:
        """Whether no line was changed, added or left out."""
        return not self.problem

    def __str__(self) -> str:
        """What people are told of it."""
        if not self.whole:
            return f"The audit trail is not whole. {self.problem}"
        since = f" since {self.begins:%Y-%m-%d %H:%M} UTC" if self.begins else ""
        return f"The audit trail is whole: {self.lines} lines, numbers {self.first} to {self.last}{since}"


class Trail:
    """Who did what, when."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        right: Right,
        action: Action,
        kind: Kind = Kind.NONE,
        key: object = "",
        at: datetime | None = None,
        **details: Detail,
    ) -> None:
        """Tell of what changes nothing, as looking at a study, or an export.

        Parameters
        ----------
        at : when it was; now if not given

        Raises
        ------
        RefusedError
            without the right
        """
        with self._database.changing(right, action, kind, key, **details) as change:
            change.at = at

    def events(self, filter: TrailFilter, limit: int = 100, first: int = 0) -> list[Event]:
        """Lines that fit, the newest first.

        Parameters
        ----------
        first : how many of them to leave out

        Raises
        ------
        RefusedError
            without the right to see the trail
        """
        self._database.demand(Right.TRAIL, Action.TRAIL_SEEN)
        chosen = _chosen(filter).order_by(AuditRecord.number.desc()).limit(limit).offset(first)
        with self._database.reading() as session:
            return [_event(row) for row in session.execute(chosen)]

    def count(self, filter: TrailFilter) -> int:
        """How many lines fit. Errors as of events."""
        self._database.demand(Right.TRAIL, Action.TRAIL_SEEN)
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(AuditRecord).where(*_conditions(filter))) or 0

    def choices(self) -> tuple[list[str], list[str]]:
        """Names and actions that there are to filter by. Errors as of events."""
        self._database.demand(Right.TRAIL, Action.TRAIL_SEEN)
        with self._database.reading() as session:
            names, actions = (
                sorted(session.scalars(select(column).distinct())) for column in (AuditRecord.who, AuditRecord.action)
            )
        return names, actions

    def export(self, filter: TrailFilter) -> Iterator[Event]:
        """All lines that fit, the oldest first, without holding them all; that they left is a line itself.

        Raises
        ------
        RefusedError
            without the right to see the trail
        """
        self.record(Right.TRAIL, Action.TRAIL_EXPORTED, Kind.TRAIL)
        chosen = _chosen(filter).order_by(AuditRecord.number).execution_options(yield_per=_AT_ONCE)
        with self._database.reading() as session, session.execute(chosen) as rows:
            yield from map(_event, rows)

    def verify(self) -> Verification:
        """Check every line's seal, and that none is missing at either end."""
        with self._database.reading() as session:
            ends = {end.name: end for end in session.scalars(select(AuditEnd))}
            first, last = ends.get("first"), ends.get("last")
            for end in ends.values():
                if not self._database.chain.is_mine(end):
                    return Verification(f"The {end.name} end of the trail was not signed here.", 0, 0, 0, None)
            return self._walk(session, first, last)

    def _walk(self, session: Session, first: AuditEnd | None, last: AuditEnd | None) -> Verification:
        number, mac, lines = (first.number - 1, first.mac, 0) if first else (0, "", 0)
        start, begins, problem = number + 1, None, ""
        chosen = select(*_COLUMNS, AuditRecord.mac).order_by(AuditRecord.number)
        # What pruning was about to remove when it was stopped counts no more.
        chosen = chosen.where(AuditRecord.number >= start).execution_options(yield_per=_AT_ONCE)
        with session.execute(chosen) as rows:
            for row in rows:
                if row.number != number + 1:
                    problem = f"Line {number + 1} is missing."
                elif not hmac.compare_digest(row.mac, self._database.chain.seal(mac, row._asdict())):
                    problem = f"Line {row.number} is not as it was written."
                if problem:
                    break
                number, mac, lines, begins = row.number, row.mac, lines + 1, begins or row.at
        if not problem and (last is None or (last.number, last.mac) != (number, mac)):
            problem = f"Lines after number {number} are missing."
        return Verification(problem, lines, start if lines else 0, number if lines else 0, begins)

    def doubt_of_clock(self, since: datetime) -> str:
        """Why the clock may be wrong where what is older than that is to go; "" where no line contradicts it."""
        with self._database.reading() as session:
            return clock.doubt(session, since)

    def prune(self, days: int | None = None, *, clock_is_right: bool = False) -> int:
        """Remove lines that are older than so many days; the chain goes on from the first one that stays.

        Parameters
        ----------
        days : ICHSCOPE_AUDIT_DAYS if not given
        clock_is_right : somebody has looked at it; what lines say of the time does not matter then

        Returns
        -------
        how many were removed

        Raises
        ------
        StoreError
            if that is less than six months, the trail is not whole (what may prove it must stay), or the clock may be
            wrong: a line is of a later time, or none was written for more than clock.QUIET_DAYS after the last one to
            go
        """
        kept = days if days is not None else kept_days()
        if kept < FEWEST_DAYS:
            raise StoreError(f"The audit trail is kept for {FEWEST_DAYS} days at least; found {kept}.")
        self._database.demand(Right.PRUNE, Action.TRAIL_PRUNED)
        if not (found := self.verify()).whole:
            raise StoreError(f"The audit trail is not whole, and nothing of it is removed. {found.problem}")
        since = datetime.now(UTC) - timedelta(days=kept)
        with self._database.changing(Right.PRUNE, Action.TRAIL_PRUNED, Kind.TRAIL) as change:
            session = change.session
            if not clock_is_right:
                clock.check(session, since, "nothing of the audit trail")
            # Where all go, the line that tells of it is the first one.
            stays = clock.first_line(session, since)
            before = select(AuditRecord.mac).where(AuditRecord.number == stays - 1)
            if (mac := session.scalar(before)) is not None:
                row = self._database.chain.end("first", stays, mac)
                of_row = insert_for(session)(AuditEnd).values(row)
                session.execute(of_row.on_conflict_do_update(index_elements=["name"], set_=row))
            gone = delete(AuditRecord).where(AuditRecord.number < stays)
            removed = int(session.execute(gone, execution_options=UNSEEN).rowcount)  # type: ignore[attr-defined]
            change.about(Kind.TRAIL, stays, removed=removed, days=kept, clock_is_right=clock_is_right)
        return removed


def kept_days() -> int:
    """How long lines are kept: ICHSCOPE_AUDIT_DAYS.

    Raises
    ------
    StoreError
        if that is no number
    """
    text = os.environ.get("ICHSCOPE_AUDIT_DAYS", "").strip()
    if not text:
        return DAYS
    if not text.isdecimal():
        raise StoreError("ICHSCOPE_AUDIT_DAYS: expected a number of days, found something else.")
    return int(text)


def _chosen(filter: TrailFilter) -> Select[Any]:
    return select(*_COLUMNS).where(*_conditions(filter))


def _conditions(filter: TrailFilter) -> Iterator[ColumnElement[bool]]:
    wanted = {
        AuditRecord.who: filter.who,
        AuditRecord.action: filter.action,
        AuditRecord.outcome: filter.outcome,
        AuditRecord.kind: filter.kind,
        AuditRecord.key: filter.key,
    }
    yield from (column == text for column, text in wanted.items() if text)
    if filter.since:
        yield AuditRecord.at >= filter.since
    if filter.until:
        yield AuditRecord.at < filter.until
    if filter.before is not None:
        yield AuditRecord.number < filter.before


def _event(row: Any) -> Event:
    return Event(**row._asdict() | {"details": json.loads(row.details)})
