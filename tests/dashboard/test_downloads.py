"""Files leave the pages for whoever has their session and right at that moment, and not without their line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import streamlit as st

from dashboard import downloads, shared_store
from dashboard.gate.actor import with_secret
from ichscope.access import Actor, NotAllowedError, Right, Role
from ichscope.store import RefusedError, Store, StoreError, TrailFilter, database
from tests.support.people import person

GOOD = "correct horse battery staple"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 1)
    st.cache_resource.clear()
    yield shared_store.store()
    shared_store.store().close()
    st.cache_resource.clear()


def given(who: object, right: Right = Right.EXPORT) -> str | bytes:
    return downloads._given(who, lambda: "a,b\n", right, "worklist", "csv")  # type: ignore[arg-type]


def told(store: Store) -> list[tuple[str, str, str]]:
    events = store.trail.events(TrailFilter(action="exported"))[::-1]
    return [(event.who, event.key, event.outcome) for event in events]


def test_a_file_leaves_with_its_line(store: Store) -> None:
    assert given(lambda: person("Quinn")) == "a,b\n"
    assert told(store) == [("Quinn", "worklist", "done")]
    assert store.trail.events(TrailFilter())[0].details == {"format": "csv"}
    assert store.trail.verify().whole


@pytest.mark.parametrize("role", [Role.VIEWER, Role.READER])
def test_whose_role_is_another_by_now_gets_none(store: Store, role: Role) -> None:
    with pytest.raises(RefusedError, match="may not export tables"):
        given(lambda: person("Rita", role))
    assert told(store) == [("Rita", "worklist", "refused")]


def test_whose_session_has_ended_gets_none(store: Store) -> None:
    secret = store.sessions.begin(store.accounts.add("Quinn", Role.QA, GOOD).id)
    who = partial(with_secret, secret)
    assert given(who) == "a,b\n"
    store.accounts.set_role("Quinn", Role.READER)
    with pytest.raises(RefusedError):
        given(who)
    store.sessions.end(secret)
    with pytest.raises(NotAllowedError, match="Nobody is signed in"):
        given(who)
    assert [outcome for _, _, outcome in told(store)] == ["done", "refused"]


def test_without_its_line_no_file_leaves(store: Store, tmp_path: Path) -> None:
    def who() -> Actor:
        return person("Quinn")

    with closing(sqlite3.connect(tmp_path / "ichscope.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="kept it locked"):
            given(who)
    assert told(store) == []
    assert given(who) == "a,b\n"
