"""The Users page: people and tokens, and how it says what went wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ichscope.access import Right, Role, passwords
from ichscope.store import Store
from tests.dashboard.test_worklist_page import button, click, field, words

pytestmark = pytest.mark.usefixtures("store")
APP = str(Path(__file__).parents[2] / "dashboard/router.py")
GOOD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", fast)


def start() -> AppTest:
    return AppTest.from_file(APP, default_timeout=60).switch_page("views/users.py").run()


def secret(app: AppTest) -> str:
    """What is shown once."""
    (code,) = app.code
    return str(code.value)


def set_field(app: AppTest, kind: str, label: str, value: Any) -> AppTest:
    return field(app, kind, label).set_value(value).run()


def test_an_empty_house_says_what_to_do_and_that_nobody_signs_in() -> None:
    text = words(start())
    assert "Nobody has an account yet." in text
    assert "There are no tokens." in text
    assert "Nobody signs in at the moment" in text


def test_a_person_is_added_with_a_password_that_is_shown_once(store: Store) -> None:
    app = start()
    assert button(app, "Add").disabled
    app = click(set_field(app, "text_input", "Name", " Ann "), "Add")
    assert "Ann may sign in as reader" in words(app)
    assert store.accounts.check("Ann", secret(app)).role is Role.READER
    assert field(app, "text_input", "Name").value == ""
    assert not app.run().code
    assert "<td>Ann</td><td>reader</td><td>may sign in</td><td>with a password</td><td>never</td>" in words(app)


def test_a_name_that_is_taken_changes_nothing_and_shows_no_password(store: Store) -> None:
    store.accounts.add("Ann", Role.VIEWER, GOOD)
    app = click(set_field(start(), "text_input", "Name", "ann"), "Add")
    assert "Nothing was changed. There is an account ann already." in words(app)
    assert not app.code
    assert field(app, "text_input", "Name").value == "ann"
    assert store.accounts.check("Ann", GOOD)


def test_what_can_be_done_about_a_person(store: Store) -> None:
    ann = store.accounts.add("Ann", Role.READER, GOOD)
    kept = store.sessions.begin(ann.id)
    app = start()
    assert "1 computer" in words(app)
    app = click(set_field(app, "selectbox", "Role", Role.QA), "Set role")
    assert "Ann is qa from the next click on." in words(app)
    assert store.accounts.all()[0].role is Role.QA
    app = click(app, "Sign out everywhere")
    assert store.sessions.look_up(kept) is None
    assert button(app, "Sign out everywhere").disabled
    app = click(app, "Disable")
    assert "<td>disabled</td>" in words(app)
    app = click(app, "Enable")
    assert not store.accounts.all()[0].disabled
    app = click(app, "Reset password")
    assert store.accounts.check("Ann", secret(app))


def test_the_last_admin_stays(store: Store) -> None:
    store.accounts.add("Ada", Role.ADMIN, GOOD)
    app = click(start(), "Disable")
    assert "Nothing was changed. Ada is the last admin: make another one first." in words(app)
    app = click(set_field(app, "selectbox", "Role", Role.VIEWER), "Set role")
    assert "last admin" in words(app)
    assert store.accounts.all()[0].role is Role.ADMIN


def test_whoever_comes_from_another_server_has_no_password_here(store: Store) -> None:
    store.accounts.identified("https://id.example", "1", "Olaf", Role.READER)
    app = start()
    assert "at https://id.example" in words(app)
    assert button(app, "Reset password").disabled
    assert "set at every sign-in" in words(app)


def test_who_must_wait_is_told(store: Store) -> None:
    store.accounts.add("Ann", Role.READER, GOOD)
    for _ in range(5):
        with pytest.raises(Exception, match="wrong"):
            store.accounts.check("Ann", "guess")
    assert re.search(r"<td>until 20\d\d-", words(start()))


def test_a_token_is_made_shown_once_and_revoked(store: Store) -> None:
    app = set_field(start(), "text_input", "Program", "PACS")
    assert button(app, "Make").disabled
    app = click(set_field(app, "button_group", "May", [Right.SEE, Right.ANALYSE]), "Make")
    actor = store.tokens.look_up(secret(app))
    assert actor
    assert actor.rights == {Right.SEE, Right.ANALYSE, Right.API}
    app.run()
    assert not app.code
    assert "<td>PACS</td><td>analyse studies, see studies and figures, use the interface for programs</td>" in words(
        app
    )
    app = click(app, "Revoke")
    assert "Token 1 counts no more." in words(app)
    assert not store.tokens.all()[0].valid
    assert not [one for one in app.button if one.label == "Revoke"]


def test_names_are_no_markup(store: Store) -> None:
    store.accounts.add("<b>Ann</b>", Role.READER, GOOD)
    store.tokens.add("<i>PACS</i>", [Right.SEE], timedelta(days=1))
    text = words(start())
    assert "&lt;b&gt;Ann" in text
    assert "<i>PACS" not in text


def test_a_store_that_cannot_be_opened_is_told(store: Store, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "ichscope.db").write_bytes(b"no database at all " * 100)
    assert "Users cannot be shown or changed." in words(start())
