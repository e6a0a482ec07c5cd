"""`ichscope users` and `ichscope tokens`, as an administrator types them."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from typer.testing import CliRunner, Result

from ichscope.access import operator
from ichscope.commands.cli import app
from ichscope.store import SignInError, Store

GOOD, OTHER = "correct horse battery staple", "another horse battery staple"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    return tmp_path


def call(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=typed)


def test_the_first_admin_is_made_by_a_command(home: Path) -> None:
    assert "ichscope users add NAME --role admin" in call("users", "list").output
    done = call("users", "add", "Ann", "--role", "admin", "--password-stdin", typed=f"{GOOD}\n")
    assert (done.exit_code, done.stdout) == (0, "Ann may sign in as admin.\n")
    assert "admin   last here never       Ann\n" in call("users", "list").output
    store = Store.open()
    assert store.accounts.check("Ann", GOOD).role == "admin"
    store.close()


def test_a_password_is_asked_for_twice_and_not_shown(home: Path) -> None:
    done = call("users", "add", "Ann", typed=f"{GOOD}\n{GOOD}\n")
    assert done.exit_code == 0
    assert GOOD not in done.output
    assert call("users", "reset", "Ann", typed=f"{OTHER}\nwrong\n").exit_code != 0


def test_a_password_comes_from_a_file(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{GOOD}\n", encoding="utf-8")
    assert call("users", "add", "Ann", "--password-file", str(file)).exit_code == 0
    assert call("users", "reset", "Ann", "--password-file", str(file), "--password-stdin").exit_code == 2
    file.write_bytes(b"\xff\xfe")
    done = call("users", "reset", "Ann", "--password-file", str(file))
    assert (done.exit_code, done.exception.__class__) == (2, SystemExit)


def test_no_command_takes_a_password_as_an_argument(home: Path) -> None:
    assert "--password " not in call("users", "add", "--help").output
    assert call("users", "add", "Ann", "--password", GOOD).exit_code == 2


def test_what_is_wrong_is_said_and_nothing_is_done(home: Path) -> None:
    for arguments, typed, code, words in (
        (("users", "add", "Ann", "--password-stdin"), "short\n", 2, "5 characters"),
        (("users", "add", "PACS", "--role", "service", "--password-stdin"), f"{GOOD}\n", 2, "tokens"),
        (("users", "role", "Ann", "service"), "", 2, "tokens"),
        (("users", "disable", "Ann"), "", 4, "no account Ann"),
        (("tokens", "add", "PACS", "--right", "users"), "", 2, "expected one of"),
        (("tokens", "revoke", "7"), "", 4, "no token number 7"),
    ):
        done = call(*arguments, typed=typed)
        assert done.exit_code == code, done.output
        assert words in done.output
    assert "Nobody has an account" in call("users", "list").output


def test_people_come_and_go(home: Path) -> None:
    call("users", "add", "Ann", "--password-stdin", typed=f"{GOOD}\n")
    assert call("users", "role", "ann", "qa").exit_code == 0
    assert call("users", "disable", "ann").exit_code == 0
    assert "qa      last here never       Ann (disabled)" in call("users", "list").output
    assert call("users", "enable", "ann").exit_code == 0
    assert call("users", "sign-out", "ann").stdout == "0 sessions ended\n"
    assert call("users", "reset", "ann", "--password-stdin", typed=f"{OTHER}\n").exit_code == 0
    store = Store.open()
    assert store.accounts.check("Ann", OTHER)
    store.close()


def test_who_has_to_wait_is_listed(home: Path) -> None:
    call("users", "add", "Ann", "--password-stdin", typed=f"{GOOD}\n")
    with closing(Store.open()) as store:
        for _ in range(5):
            with pytest.raises(SignInError):
                store.accounts.check("Ann", OTHER)
    assert "Ann (locked until " in call("users", "list").output


def test_a_token_goes_to_stdout_alone(home: Path) -> None:
    assert "no tokens" in call("tokens", "list").output
    done = call("tokens", "add", "PACS", "--right", "analyse", "--right", "see", "--days", "30")
    secret = done.stdout.strip()
    assert "not shown again" in done.stderr
    listed = call("tokens", "list").output
    assert secret not in listed
    assert "PACS: analyse, api, see" in listed
    store = Store.open()
    assert store.tokens.look_up(secret)
    assert store.tokens.all()[0].created_by == operator().name
    store.close()
    assert call("tokens", "revoke", "1").exit_code == 0
    assert "revoked" in call("tokens", "list").output


def test_folders_are_named(home: Path, tmp_path: Path) -> None:
    assert "No folder is named" in call("folders", "list").output
    (tmp_path / "in").mkdir()
    assert call("folders", "add", "inbox", str(tmp_path / "in")).exit_code == 0
    assert call("folders", "list").output.startswith(f"inbox: {tmp_path / 'in'} (by {operator().name}, ")
    assert call("folders", "add", "inbox", str(tmp_path / "in")).exit_code == 4
    assert call("folders", "remove", "inbox").exit_code == 0
    assert call("folders", "remove", "inbox").exit_code == 4


def test_the_trail_is_verified_and_exported(home: Path, tmp_path: Path) -> None:
    assert call("audit", "verify").output == "The audit trail is whole: 0 lines, numbers 0 to 0\n"
    call("tokens", "add", "=PACS", "--right", "see")
    done = call("audit", "verify")
    assert done.exit_code == 0
    assert "1 lines, numbers 1 to 1 since " in done.output
    listed = json.loads(call("audit", "export", "--format", "json").stdout)
    assert [(one["who"], one["action"], one["details"].get("days")) for one in listed] == [
        (operator().name, "token added", 365),
        (operator().name, "trail exported", None),
    ]
    rows = list(csv.DictReader(io.StringIO(call("audit", "export", "--who", operator().name).stdout)))
    assert [row["action"] for row in rows] == ["token added", "trail exported", "trail exported"]
    assert rows[0]["details"] == "days=365; rights=API, SEE"
    assert call("audit", "export", "--format", "xml", "--output", str(tmp_path / "out.xml")).exit_code == 0
    assert len(fromstring((tmp_path / "out.xml").read_bytes())) == 4
    assert call("audit", "export", "--since", "2100-01-01").stdout.count("\n") == 1
    assert call("audit", "prune").stdout == "0 lines removed\n"
    assert call("audit", "prune", "--older-than", "30").exit_code == 4


def test_a_broken_trail_is_said(home: Path) -> None:
    call("tokens", "add", "PACS", "--right", "see")
    with sqlite3.connect(home / "ichscope.db") as database:
        database.execute("DROP TRIGGER audit_trail_no_update")
        database.execute("UPDATE audit_trail SET who = 'Eve'")
    database.close()
    done = call("audit", "verify")
    assert (done.exit_code, "Line 1 is not as it was written." in done.output) == (1, True)
