"""The audit trail: what it tells, that nobody can change it unseen, and that pruning leaves a whole one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ichscope.access import Actor, NotAllowedError, Right, Role, Via, acting_as, by_default
from ichscope.access.events import Action, Kind
from ichscope.store import RefusedError, Store, StoreError, TrailFilter, chain, clock
from ichscope.store import trail as trail_module
from ichscope.store.access_tables import AuditEnd, AuditRecord
from ichscope.store.trail import FEWEST_DAYS
from tests.support.people import review, set_threshold
from tests.support.store_cases import add

ALL = TrailFilter()


def told(store: Store) -> list[tuple[str, str, str]]:
    """(who, action, outcome), the oldest first."""
    return [(event.who, event.action, event.outcome) for event in reversed(store.trail.events(ALL))]


def filled(store: Store) -> int:
    """A few lines; gives how many."""
    study = add(store, "a", 0.9)
    review(store, study, "Ann", agree=True, comment="ZZTOP^TEST")
    set_threshold(store, "cranioscan", "1.0", "any", 0.7, who="Bob", why="ZZTOP^TEST")
    return 3


def force(store: Store, *statements: str) -> None:
    """What somebody does who can write to the database, and takes its guards away first."""
    with store.database.writing() as session:
        if session.get_bind().dialect.name == "sqlite":
            guards = ("DROP TRIGGER audit_trail_no_update", "DROP TRIGGER audit_trail_no_delete")
        else:
            guards = ("ALTER TABLE audit_trail DISABLE TRIGGER ALL",)
        for statement in (*guards, *statements):
            session.execute(sa.text(statement))


# ---- what it tells


def test_each_change_is_a_line_with_who_and_what(store: Store) -> None:
    filled(store)
    newest, reviewed, analysed = store.trail.events(ALL)
    assert (reviewed.who, reviewed.role, reviewed.via, reviewed.action) == ("Ann", "qa", "page", "reviewed")
    assert (reviewed.kind, reviewed.key) == ("study", store.worklist.page()[0].study_key)
    assert (newest.who, newest.kind, newest.details["value"]) == ("Bob", "adjustment", 0.7)
    assert analysed.details["status"] == "analysed"
    assert abs(reviewed.at - datetime.now(UTC)) < timedelta(minutes=5)
    assert [event.number for event in (analysed, reviewed, newest)] == [1, 2, 3]


def test_no_text_that_a_user_typed_is_in_it(store: Store) -> None:
    filled(store)
    with store.database.reading() as session:
        rows = repr(session.execute(sa.text("SELECT * FROM audit_trail")).all())
    assert "ZZTOP" not in rows


def test_what_fails_leaves_no_line(store: Store) -> None:
    with pytest.raises(StoreError):
        review(store, 99, "Ann", agree=True)
    with pytest.raises(StoreError):
        store.imported.remove(99)
    assert told(store) == []


def test_what_is_refused_leaves_a_line_and_nothing_else(store: Store) -> None:
    study = add(store, "a", 0.9)
    with acting_as(Actor("Vic", Role.VIEWER, Via.PAGE)), pytest.raises(RefusedError, match="may not review"):
        store.reviews.add(study, agree=True)
    assert store.reviews.of(study) == ()
    assert told(store)[-1] == ("Vic", "reviewed", "refused")
    assert store.trail.verify().whole


def test_nobody_can_do_nothing(store: Store) -> None:
    study = add(store, "a", 0.9)
    by_default(None)
    for act in (lambda: store.reviews.add(study, agree=True), lambda: store.trail.events(ALL)):
        with pytest.raises(NotAllowedError, match="Nobody"):
            act()


def test_only_admins_see_it(store: Store) -> None:
    filled(store)
    for role in (Role.VIEWER, Role.READER, Role.QA, Role.SERVICE):
        with acting_as(Actor("x", role, Via.PAGE)):
            for act in (store.trail.events, lambda filter: list(store.trail.export(filter))):
                with pytest.raises(RefusedError, match="may not see the audit trail"):
                    act(ALL)
            for ask in (store.trail.choices, lambda: store.trail.count(ALL)):
                with pytest.raises(RefusedError):
                    ask()


def test_looking_and_exporting_are_told_where_they_matter(store: Store) -> None:
    store.trail.record(Right.SEE, Action.STUDY_SEEN, Kind.STUDY, "0" * 16)
    assert [event.action for event in store.trail.export(ALL)] == ["study seen", "trail exported"]


def test_lines_are_found_by_what_they_say(store: Store) -> None:
    filled(store)
    for filter, numbers in (
        (TrailFilter(who="Ann"), [2]),
        (TrailFilter(action="threshold set"), [3]),
        (TrailFilter(kind="study"), [2, 1]),
        (TrailFilter(outcome="refused"), []),
        (TrailFilter(before=3), [2, 1]),
        (TrailFilter(since=datetime.now(UTC) + timedelta(hours=1)), []),
        (TrailFilter(until=datetime.now(UTC) + timedelta(hours=1)), [3, 2, 1]),
    ):
        assert [event.number for event in store.trail.events(filter)] == numbers, filter
        assert store.trail.count(filter) == len(numbers), filter
    assert store.trail.choices()[1] == ["analysed", "reviewed", "threshold set"]


def test_pages_follow_each_other(store: Store) -> None:
    filled(store)
    pages = [[event.number for event in store.trail.events(ALL, 2, first)] for first in (0, 2, 4)]
    assert pages == [[3, 2], [1], []]


# ---- the chain


def test_a_new_and_a_filled_trail_are_whole(store: Store) -> None:
    empty = store.trail.verify()
    assert (empty.whole, empty.lines) == (True, 0)
    count = filled(store)
    found = store.trail.verify()
    assert (found.problem, found.lines, found.first, found.last) == ("", count, 1, count)


@pytest.mark.parametrize("statement", ["UPDATE audit_trail SET who = 'Eve'", "DELETE FROM audit_trail"])
def test_the_database_refuses_changes(store: Store, statement: str) -> None:
    filled(store)
    with pytest.raises(StoreError), store.database.writing() as session:
        session.execute(sa.text(statement))
    assert store.trail.verify().whole


CHANGES = [
    *(f"UPDATE audit_trail SET {what} WHERE number = 2" for what in (
        "who = 'Eve'", "role = 'admin'", "via = 'job'", "at = at + 1", "action = 'analysed'", "outcome = 'refused'",
        "key = 'x'", "kind = 'job'", "details = '{}'", "session = 'x'", "address = 'x'", "mac = 'x'", "number = 9",
    )),
    *(f"DELETE FROM audit_trail WHERE number = {number}" for number in (1, 2, 3)),
    "DELETE FROM audit_trail",
    "INSERT INTO audit_trail SELECT 4, at, who, role, via, session, address, action, outcome, kind, key, details, mac "
    "FROM audit_trail WHERE number = 3",
    "UPDATE audit_ends SET number = 2",
    "UPDATE audit_ends SET mac = (SELECT mac FROM audit_trail WHERE number = 2), number = 2",
    "DELETE FROM audit_ends",
    "INSERT INTO audit_ends SELECT 'first', 2, mac, 'x' FROM audit_trail WHERE number = 1",
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_writes_to_the_database_is_found_out(store: Store, change: str) -> None:
    filled(store)
    force(store, change)
    assert not store.trail.verify().whole
    # Work goes on, and what was done does not heal.
    add(store, "after", 0.9)
    assert not store.trail.verify().whole


def test_a_tail_that_was_cut_off_is_found_out_even_with_an_end_of_before(store: Store) -> None:
    filled(store)
    with store.database.reading() as session:
        row = session.execute(sa.select(AuditEnd.__table__)).one()._asdict()
    for _ in range(2):
        add(store, "more", 0.9)
    force(store, "DELETE FROM audit_trail WHERE number > 1")
    with store.database.writing() as session:
        session.execute(sa.update(AuditEnd).values(row))
    assert store.trail.verify().problem == "Lines after number 1 are missing."


def test_with_another_key_nothing_fits(store: Store, tmp_path: Path) -> None:
    filled(store)
    store.database.chain = chain.Chain(b"another")
    assert not store.trail.verify().whole


def test_many_writers_make_one_chain(url: str, open_store: Callable[[str], Store]) -> None:
    stores = [open_store(url) for _ in range(2)]
    problems: list[StoreError] = []

    def write(store: Store, name: str) -> None:
        try:
            for number in range(8):
                add(store, f"{name} {number}", 0.9)
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(stores[i % 2], str(i))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    found = stores[0].trail.verify()
    assert (found.problem, found.lines) == ("", 32)


# ---- pruning


class Later:
    """A clock that is ahead."""

    def __init__(self, days: float) -> None:
        self.ahead = timedelta(days=days)

    def now(self, zone: Any) -> datetime:
        return datetime.now(zone) + self.ahead


def at(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    for module in (trail_module, chain, clock):
        monkeypatch.setattr(module, "datetime", Later(days))


def used(store: Store, monkeypatch: pytest.MonkeyPatch, days: int, since: int = 0) -> None:
    """Let days go by in which somebody does something every month."""
    for day in range(since + 30, days + 1, 30):
        at(monkeypatch, day)
        store.trail.record(Right.SEE, Action.STUDY_SEEN)
    at(monkeypatch, days)


def test_pruning_leaves_a_whole_trail_that_tells_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store)
    used(store, monkeypatch, 400)
    assert store.trail.prune() == 4
    found = store.trail.verify()
    assert (found.problem, found.first, found.last) == ("", 5, 17)
    newest = store.trail.events(ALL)[0]
    assert newest.action == "trail pruned"
    assert newest.details == {"days": 365, "removed": 4, "clock_is_right": False}
    assert store.trail.prune(370) == 0
    used(store, monkeypatch, 1000, since=400)
    assert store.trail.prune() == 21
    assert store.trail.verify().whole
    assert store.trail.prune() == 0


def left(store: Store) -> int:
    return len(store.trail.events(ALL, limit=1_000))


@pytest.mark.parametrize("before", [1, 60, 400])
def test_a_clock_that_is_set_ahead_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    filled(store)
    used(store, monkeypatch, before)
    at(monkeypatch, before + 2_000)
    lines = left(store)
    with pytest.raises(
        StoreError, match=r"clock of this computer may be wrong.* no line for [12]\d\d\d days.* --clock"
    ):
        store.trail.prune()
    # Nor after work went on by it.
    used(store, monkeypatch, before + 2_300, since=before + 2_000)
    with pytest.raises(StoreError, match="no line for 20"):
        store.trail.prune()
    assert left(store) == lines + 10
    assert store.trail.prune(clock_is_right=True) == lines
    assert store.trail.events(ALL)[0].details["clock_is_right"] is True
    assert store.trail.verify().whole


def test_a_clock_that_is_behind_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store)
    used(store, monkeypatch, 600)
    at(monkeypatch, 500)
    lines = left(store)
    with pytest.raises(StoreError, match=r"A line of the audit trail is of .*, which is later"):
        store.trail.prune()
    assert left(store) == lines
    assert store.trail.prune(clock_is_right=True) > 0


def test_where_nothing_is_old_a_quiet_time_is_no_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store)
    at(monkeypatch, 300)
    assert store.trail.prune() == 0


@pytest.mark.parametrize("gone", ["audit_trail WHERE number = 4", "audit_ends WHERE name = 'first'"])
def test_a_pruned_trail_is_guarded_like_a_new_one(store: Store, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    filled(store)
    at(monkeypatch, 400)
    add(store, "later", 0.9)
    store.trail.prune(clock_is_right=True)
    with pytest.raises(StoreError), store.database.writing() as session:
        session.execute(sa.delete(AuditRecord))
    force(store, f"DELETE FROM {gone}")
    assert not store.trail.verify().whole


def test_six_months_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store)
    at(monkeypatch, 400)
    for days in (0, FEWEST_DAYS - 1):
        with pytest.raises(StoreError, match="183 days at least"):
            store.trail.prune(days)
    monkeypatch.setenv("ICHSCOPE_AUDIT_DAYS", "30")
    with pytest.raises(StoreError, match="found 30"):
        store.trail.prune()
    monkeypatch.setenv("ICHSCOPE_AUDIT_DAYS", "soon")
    with pytest.raises(StoreError, match="ICHSCOPE_AUDIT_DAYS"):
        store.trail.prune()
    assert store.trail.prune(FEWEST_DAYS, clock_is_right=True) == 3


def test_a_trail_that_is_not_whole_is_not_pruned(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store)
    force(store, "UPDATE audit_trail SET who = 'Eve' WHERE number = 1")
    at(monkeypatch, 400)
    with pytest.raises(StoreError, match="not whole"):
        store.trail.prune()
    assert len(store.trail.events(ALL)) == 3


def test_only_admins_prune(store: Store) -> None:
    with acting_as(Actor("Quinn", Role.QA, Via.PAGE)), pytest.raises(RefusedError):
        store.trail.prune()
