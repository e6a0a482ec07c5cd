"""`ichscope doctor`: what is wrong with an installation is said with what to do, and nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from ichscope.commands import checkup
from ichscope.commands.checkup import Check
from ichscope.commands.cli import app
from ichscope.models.card import HEAD_FILE
from ichscope.store import Store
from tests.support import tiny_model
from tests.support.store_cases import add


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a study, and models."""
    folder = tmp_path_factory.mktemp("installation")
    tiny_model.build(folder / "models", name="cranioscan")
    store = Store.open(home=folder / "home")
    add(store, "a", 0.9)
    store.close()
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(good, tmp_path / "x")
    for name in ("ICHSCOPE_DATABASE_URL", "ICHSCOPE_SIGN_IN", "STREAMLIT_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "x" / "home"))
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path / "x" / "models"))
    monkeypatch.setitem(checkup._LOOKS, "Packages", lambda: iter(()))  # of whatever runs the tests
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=50e9, total=100e9))
    return tmp_path / "x"


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mode) for path in files}


def test_all_is_well_and_nothing_is_touched(folder: Path) -> None:
    before = everything(folder)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.output
    assert "0 warning, 0 error" in done.output
    assert "Database: sqlite, 1 studies, whole, revision" in done.output
    assert everything(folder) == before
    done = CliRunner().invoke(app, ["doctor", "--json", "-"])
    checks = json.loads(done.stdout)
    assert {check["name"] for check in checks} >= {"Python", "Model", "Home", "Disk", "Key", "Database", "Clock"}
    assert all(set(check) == {"name", "state", "found", "to_do"} for check in checks)


def test_before_the_first_start_all_is_well(folder: Path) -> None:
    shutil.rmtree(folder / "home")
    assert {check.state for check in checkup.all_checks()} == {"ok"}
    assert not (folder / "home").exists()


def edit(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "home" / "ichscope.db") as connection:
        connection.execute(statement)
    connection.close()


def damage(folder: Path) -> None:
    with (folder / "home" / "ichscope.db").open("r+b") as file:
        rest = file.seek(0, 2) - 8192
        file.seek(8192)
        file.write(os.urandom(rest))


def swap_key(folder: Path) -> None:
    (folder / "home" / "key").write_text("22" * 32)


def later(folder: Path) -> None:
    moment = int((datetime.now(UTC) + timedelta(days=2)).timestamp() * 1000)
    edit(folder, f"UPDATE studies SET analysed_at = {moment}")


FAULTS: dict[str, tuple[Callable[[Path], object], str, str, str, str]] = {
    "model": (
        lambda folder: (folder / "models" / "cranioscan" / HEAD_FILE).write_bytes(b"x"),
        *("Model", "error", "not loaded", "models of a release"),
    ),
    "no model": (lambda folder: shutil.rmtree(folder / "models"), "Model", "error", "at least one model", "release"),
    "open home": (lambda folder: (folder / "home").chmod(0o755), "Home", "warning", "1 files and folders", "chmod -R"),
    "home is a file": (
        lambda folder: (shutil.rmtree(folder / "home"), (folder / "home").touch()),
        *("Home", "error", "is no folder", "ICHSCOPE_HOME"),
    ),
    "aside": (
        lambda folder: (folder / "home" / "before-restore-1").mkdir(mode=0o700),
        *("Home", "warning", "before-restore-1", "Remove"),
    ),
    "no database": (
        lambda folder: (folder / "home" / "ichscope.db").unlink(),
        *("Database", "error", "missing or empty", "ichscope restore"),
    ),
    "empty database": (
        lambda folder: (folder / "home" / "ichscope.db").write_bytes(b""),
        *("Database", "error", "missing or empty", "ichscope restore"),
    ),
    "no database at all": (
        lambda folder: (folder / "home" / "ichscope.db").write_bytes(b"text" * 999),
        *("Database", "error", "something else", ""),
    ),
    "damage": (damage, "Database", "error", "damaged", ""),
    "broken reference": (
        lambda folder: edit(folder, "DELETE FROM series"),
        *("Database", "error", "hangs on one that is not there", "ichscope restore"),
    ),
    "newer": (
        lambda folder: edit(folder, "UPDATE alembic_version SET version_num = '9999'"),
        *("Database", "error", "newer ICHScope (revision 9999", "Install"),
    ),
    "older": (
        lambda folder: edit(folder, "UPDATE alembic_version SET version_num = '0008'"),
        *("Database", "warning", "of an older ICHScope (revision 0008)", "ichscope backup"),
    ),
    "no key": (lambda folder: (folder / "home" / "key").unlink(), "Key", "error", "missing", "ichscope restore"),
    "another key": (swap_key, "Key", "error", "not the one", "backup"),
    "damaged key": (
        lambda folder: (folder / "home" / "key").write_text("x"),
        *("Key", "error", "hexadecimal digits", "ichscope restore"),
    ),
    "clock": (later, "Clock", "warning", "and something is from", "time server"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_said_with_what_to_do(folder: Path, fault: str) -> None:
    break_it, name, state, found, to_do = FAULTS[fault]
    break_it(folder)
    checks = [check for check in checkup.all_checks() if check.state != "ok"]
    assert [(check.name, check.state) for check in checks] == [(name, state)], checks
    assert found in checks[0].found
    assert to_do in checks[0].to_do + checks[0].found
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == (state == "error")
    assert checks[0].to_do in done.output


@pytest.mark.parametrize(("free", "state"), [(0.5e9, "error"), (5e9, "warning"), (50e9, "ok")])
def test_room_on_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free, total=100e9))
    (check,) = [check for check in checkup.all_checks() if check.name == "Disk"]
    assert (check.state, bool(check.to_do)) == (state, state != "ok")


@pytest.mark.parametrize(
    ("address", "sign_in", "admin", "state", "found"),
    [
        ("localhost", "", False, "ok", "listens on localhost only"),
        ("0.0.0.0", "", False, "error", "would listen on 0.0.0.0"),
        ("", "off", False, "error", "would listen on every address"),
        ("0.0.0.0", "on", False, "error", "nobody can administer"),
        ("0.0.0.0", "on", True, "ok", "on, 1 that may administer"),
    ],
)
def test_sign_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, address: str, sign_in: str, admin: bool, state: str, found: str
) -> None:
    if admin:
        values = "'Ann', 'ann', 'admin', 0, 1"
        edit(folder, f"INSERT INTO accounts (name, name_key, role, disabled, created_at) VALUES ({values})")
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", address)
    monkeypatch.setenv("ICHSCOPE_SIGN_IN", sign_in)
    (check,) = [check for check in checkup.all_checks() if check.name == "Sign-in"]
    assert (check.state, found in check.found) == (state, True), check


def test_packages_are_compared_with_the_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (check,) = checkup._packages()
    assert check.state in ("ok", "warning")
    (tmp_path / "requirements.lock").write_text(
        "# x\nNumPy==0.1 \\\n    --hash=sha256:ab\nnot_here==1 ; extra == 'x'\n"
    )
    monkeypatch.setattr(checkup, "ROOT", tmp_path)
    (check,) = checkup._packages()
    assert check.state == "warning"
    assert check.found.startswith("1 at other versions than tested: numpy ")
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["nothing-like-it>=1", "also-none ; extra == 'y'"])
    (check,) = checkup._packages()
    assert (check.state, check.found) == ("error", "not installed: nothing-like-it")


@pytest.mark.parametrize("fault", ["none starts", "one dies", "no library"])
def test_decoders_are_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    (check,) = checkup._decoders()
    assert (check.state, "in a process of their own" in check.found) == ("ok", True)
    if fault == "no library":
        monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", False)
    else:
        (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "python").chmod(0o755 if fault == "one dies" else 0o644)
        monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (check,) = checkup._decoders()
    assert (check.state, bool(check.to_do)) == ("error", True)


def test_a_check_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(checkup, "_LOOKS", {"Odd": broken, "Clock": lambda: checkup._clock(None)})
    odd, clock = checkup.all_checks()
    assert odd == Check("Odd", "error", "ZeroDivisionError")
    assert clock.state == "ok"


def test_a_clock_far_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Early(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(checkup, "datetime", Early)
    (check,) = checkup._clock(None)
    assert check.state == "warning"
    assert time.tzname
