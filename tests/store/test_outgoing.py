from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select, update

from ichscope.access.events import Action, Kind
from ichscope.store import Store, TrailFilter
from ichscope.store.access_tables import Outgoing

CONTENT = b"ZZTOP^TEST"


def rows(store: Store) -> list[Outgoing]:
    with store.database.reading() as session:
        return list(session.scalars(select(Outgoing)))


def test_results_wait_encrypted_and_are_forgotten_when_they_are_sent(store: Store) -> None:
    assert store.outgoing.put("hospital", ["1.2", "1.3"], CONTENT)
    (row,) = rows(store)
    assert row.sealed is not None
    assert CONTENT not in row.sealed
    waiting = store.outgoing.due("hospital")
    assert waiting is not None
    assert (waiting.content, waiting.objects) == (CONTENT, 2)
    assert store.outgoing.due("another") is None
    store.outgoing.sent(waiting, Action.RESULTS_SENT, Kind.ARCHIVE, "hospital", objects=2)
    assert store.outgoing.due("hospital") is None
    (row,) = rows(store)
    assert row.sealed is None
    (line,) = store.trail.events(TrailFilter(action=Action.RESULTS_SENT))
    assert (line.key, line.details["objects"]) == ("hospital", 2)


def test_the_same_results_are_sent_once(store: Store) -> None:
    assert store.outgoing.put("hospital", ["1.2", "1.3"], CONTENT)
    assert not store.outgoing.put("hospital", ["1.3", "1.2"], b"made again")
    waiting = store.outgoing.due("hospital")
    assert waiting is not None
    store.outgoing.sent(waiting, Action.RESULTS_SENT, Kind.ARCHIVE, "hospital", objects=2)
    assert not store.outgoing.put("hospital", ["1.2", "1.3"], CONTENT)
    assert store.outgoing.due("hospital") is None
    assert store.outgoing.put("another", ["1.2", "1.3"], CONTENT)


def test_what_was_not_taken_is_tried_later_and_less_and_less_often(store: Store) -> None:
    store.outgoing.put("hospital", ["1.2"], CONTENT)
    pauses = []
    for _ in range(12):
        with store.database.writing() as session:
            session.execute(update(Outgoing).values(due_at=datetime.now(UTC)))
        waiting = store.outgoing.due("hospital")
        assert waiting is not None
        before = datetime.now(UTC)
        store.outgoing.failed(waiting, "hospital: cannot be reached, or broke off")
        assert store.outgoing.due("hospital") is None
        pauses.append(round((rows(store)[0].due_at - before).total_seconds(), -1))
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[1], pauses[-1]) == (10, 20, 3600)


def test_the_post_says_what_waits_and_why(store: Store) -> None:
    assert store.outgoing.post() == []
    store.outgoing.put("hospital", ["1.2"], CONTENT)
    store.outgoing.put("hospital", ["1.3"], CONTENT)
    first = store.outgoing.due("hospital")
    assert first is not None
    store.outgoing.sent(first, Action.RESULTS_SENT, Kind.ARCHIVE, "hospital")
    second = store.outgoing.due("hospital")
    assert second is not None
    store.outgoing.failed(second, "hospital: away")
    (post,) = store.outgoing.post()
    assert (post.archive, post.waiting, post.sent, post.reason) == ("hospital", 1, 1, "hospital: away")
    assert post.since is not None
