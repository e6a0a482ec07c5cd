"""Who opens a study is told in the audit trail: once an opening, and without waiting for the store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import acting, seen
from dashboard.gate import server
from ichscope.access import Role, by_default
from ichscope.access.events import Event
from ichscope.store import Store, TrailFilter, database
from tests.support import tiny_model
from tests.support.page_homes import copied_home
from tests.support.people import person
from tests.support.store_cases import add

APP = str(Path(__file__).parents[2] / "dashboard/router.py")
SEEN = TrailFilter(action="study seen")
VERA = person("Vera", Role.READER)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    tiny_model.build(folder / "models", "cranioscan")
    with closing(Store.open(home=folder / "home")) as store:
        for name in ("a", "b"):
            add(store, name, 0.9)
    return folder


@pytest.fixture(autouse=True)
def home(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with copied_home(filled, tmp_path, monkeypatch) as home:
        monkeypatch.setattr(acting, "current", lambda: VERA)
        by_default(VERA)
        yield home
        assert seen.LINES.wait(60) == 0


def lines(home: Path) -> list[Event]:
    """Of studies that were seen, the oldest first."""
    assert seen.LINES.wait(60) == 0
    by_default(person("Ada", Role.ADMIN))
    with closing(Store.open(home=home)) as store:
        assert store.trail.verify().whole
        found = store.trail.events(SEEN)[::-1]
    by_default(VERA)
    return found


def start(page: str = "worklist", study: int | None = None) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=120)
    if study:
        app.query_params["study"] = str(study)
    app.switch_page(f"views/{page}.py").run()
    assert not app.exception
    return app


def click(app: AppTest, label: str) -> None:
    next(one for one in app.button if one.label.startswith(label)).click().run()
    assert not app.exception


def test_the_list_shows_no_study(home: Path) -> None:
    start()
    assert lines(home) == []


def test_an_opening_is_one_line_however_often_the_page_runs(home: Path) -> None:
    app = start(study=1)
    for _ in range(3):
        app.run()
    click(app, "Correct")
    (line,) = lines(home)
    assert (line.who, line.role, line.kind, line.details) == ("Vera", "reader", "study", {"page": "worklist"})
    with closing(Store.open(home=home)) as store:
        assert line.key == store.worklist.row(1).study_key
    click(app, "Next")
    click(app, "Previous")
    keys = [one.key for one in lines(home)]
    assert (keys[0], keys[1] != keys[0], keys[2]) == (line.key, True, line.key)
    click(app, "List")
    app.query_params["study"] = "2"
    app.run()
    assert len(lines(home)) == 4, "after the list the same study is opened anew"
    app.switch_page("views/cohort.py").run()
    app.query_params["study"] = "2"
    app.switch_page("views/worklist.py").run()
    assert len(lines(home)) == 5, "and after another page, too"


def test_no_study_is_no_line(home: Path) -> None:
    start(study=99)
    assert lines(home) == []


def test_study_check_tells_it_under_the_key_that_the_study_has_in_the_store(home: Path) -> None:
    app = start("study_check")
    click(app, "Subdural")
    app.run()
    (line,) = lines(home)
    assert (line.who, line.details) == ("Vera", {"page": "study check"})
    with closing(Store.open(home=home)) as store:
        assert line.key == store.keys.study(app.session_state["results"][0].study)
    click(app, "New study")
    assert len(lines(home)) == 1
    click(app, "Subdural")
    assert len(lines(home)) == 2


def test_a_study_is_shown_while_the_store_cannot_be_written_and_told_when_it_can(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 1)
    monkeypatch.setattr(seen, "_AGAIN_S", 0.1)
    began = datetime.now(UTC)
    with closing(sqlite3.connect(home / "ichscope.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        app = start(study=1)
        assert any(one.label == "Agree" for one in app.button), "the study is there"
        shown = datetime.now(UTC)
        app.run()
        assert seen.LINES.wait(3) == 1
        monkeypatch.setattr(server, "_END_S", 0.1)
        server._write_what_waits()
        other.execute("ROLLBACK")
    (line,) = lines(home)
    assert began - timedelta(seconds=1) < line.at <= shown, "when it was opened, not when it was written"
    assert [record.getMessage() for record in caplog.records if record.name in ("dashboard.seen", server.__name__)] == [
        "lines of the audit trail wait until the store can be written",
        "1 lines of the audit trail could not be written and are lost",
    ]


def test_a_line_waits_for_a_database_that_is_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_AGAIN_S", 0.1)
    app = start("study_check")
    (home / "ichscope.db").rename(home / "elsewhere")
    click(app, "Normal")
    assert app.get("html"), "the answer is there"
    time.sleep(0.5)
    assert seen.LINES.wait(0.1) == 1
    (home / "elsewhere").rename(home / "ichscope.db")
    assert len(lines(home)) == 1
