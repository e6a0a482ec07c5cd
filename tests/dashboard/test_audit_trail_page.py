"""The page of the audit trail: lines, filters, whether it is whole."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest

from ichscope.access import Right
from ichscope.access.events import Action, Kind
from ichscope.store import Store, TrailFilter
from tests.dashboard.test_users_page import set_field
from tests.dashboard.test_worklist_page import click, words
from tests.support import store_cases as cases
from tests.support.people import review

pytestmark = pytest.mark.usefixtures("store")
APP = str(Path(__file__).parents[2] / "dashboard/router.py")


def start() -> AppTest:
    return AppTest.from_file(APP, default_timeout=60).switch_page("views/audit_trail.py").run()


def test_a_new_trail_has_the_line_of_who_looks_at_it(store: Store) -> None:
    app = start()
    assert "1 to 1 of 1 lines." in words(app)
    assert "<td>this computer</td><td>admin</td><td>nobody signed in</td><td>trail seen</td>" in words(app)
    app.run()
    assert store.trail.count(TrailFilter(action=Action.TRAIL_SEEN)) == 1, "once a visit"


def test_the_newest_line_is_first_and_names_no_patient(store: Store) -> None:
    study = cases.add(store, "DOE^JANE", 0.9)
    review(store, study, "Ann", agree=True, comment="Mrs Doe, born 1901")
    text = words(start())
    assert text.index("<td>trail seen</td>") < text.index("<td>reviewed</td>") < text.index("<td>analysed</td>")
    assert "Doe" not in text
    assert "DOE" not in text
    assert f"<td>study {store.worklist.row(study).study_key}</td>" in text


def test_filters_narrow_it_and_nothing_says_so(store: Store) -> None:
    study = cases.add(store, "a", 0.9)
    review(store, study, "Ann", agree=True)
    app = set_field(start(), "selectbox", "Who", "Ann")
    assert "1 to 1 of 1 lines." in words(app)
    assert "<td>reviewed</td>" in words(app)
    app = set_field(app, "selectbox", "Action", "analysed")
    assert "No lines match." in words(app)
    app = set_field(set_field(app, "selectbox", "Who", None), "text_input", "Key or number", "0" * 16)
    assert "No lines match." in words(app)
    app = set_field(app, "text_input", "Key or number", store.worklist.row(study).study_key)
    assert "<td>analysed</td>" in words(app)
    app = set_field(app, "date_input", "From day", date.today() + timedelta(days=2))
    assert "No lines match." in words(app)


def test_a_long_trail_comes_in_pages(store: Store) -> None:
    for i in range(60):
        store.trail.record(Right.SEE, Action.STUDY_SEEN, Kind.STUDY, f"{i:016x}")
    app = start()
    assert "1 to 50 of 61 lines." in words(app)
    (pages,) = app.get("pagination")
    pages.set_value(2)
    app.run()
    assert "51 to 61 of 61 lines." in words(app)
    # Another question starts at its first page.
    app = set_field(app, "selectbox", "Action", "study seen")
    assert "1 to 50 of 60 lines." in words(app)


def test_whether_it_is_whole_is_said_in_words(store: Store) -> None:
    cases.add(store, "a", 0.9)
    app = click(start(), "Check that it is whole")
    assert "The audit trail is whole: 2 lines, numbers 1 to 2 since " in words(app)
    with store.database.writing() as session:
        session.execute(sa.text("DROP TRIGGER audit_trail_no_update"))
        session.execute(sa.text("UPDATE audit_trail SET who = 'Eve' WHERE number = 1"))
    app = click(app, "Check that it is whole")
    assert "The audit trail is not whole. Line 1 is not as it was written." in words(app)


def test_a_store_that_cannot_be_opened_is_told(store: Store, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "ichscope.db").write_bytes(b"no database at all " * 100)
    assert "The audit trail cannot be shown." in words(start())
