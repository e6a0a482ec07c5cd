"""`ichscope monitor` as cron would call it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ichscope.access import operator
from ichscope.commands.cli import app
from ichscope.store import Store
from tests.support import monitor_builder as builder
from tests.support.people import set_limit
from tests.support.store_cases import add


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a store in which the newest study has just arrived."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=84)
        patch.setattr(builder, "START", start)
        store = Store.open(home=folder)
        builder.fill(store, 500, seed=2)
        store.close()
    return folder


@pytest.fixture(autouse=True)
def environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_HOME", str(home))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["monitor", *map(str, arguments)])


def test_quiet_is_zero_and_an_alert_is_one(home: Path, tmp_path: Path) -> None:
    quiet = call("--check", "--json", tmp_path / "out.json")
    assert (quiet.exit_code, quiet.stdout.splitlines()[-1]) == (0, "No alert.")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["alerts"] == []
    assert found["limits"]["latency"] == 3600.0
    assert {one["name"] for one in found["drifts"]} >= {"age", "scanner", "flagged"}
    store = Store.open(home=home)
    set_limit(store, "latency", 1.0, who="Ann", why="test")
    try:
        loud, told = call("--check", "--json", "-"), call()
    finally:
        set_limit(store, "latency", None, who="Ann", why="back")
        store.close()
    assert (loud.exit_code, told.exit_code) == (1, 0)
    assert [one["rule"] for one in json.loads(loud.stdout)["alerts"]] == ["latency"]
    assert "ALERT latency" in loud.stderr
    assert "ALERT latency" in told.stdout


def test_each_table_is_a_csv_with_the_figures_of_the_json(tmp_path: Path) -> None:
    assert call("--json", tmp_path / "out.json", "--tables", tmp_path / "tables").exit_code == 0
    found = json.loads((tmp_path / "out.json").read_text())
    files = {path.stem: list(csv.DictReader(io.StringIO(path.read_text()))) for path in (tmp_path / "tables").iterdir()}
    assert {"comparisons", "bins", "agreement", "expected", "flag_rate", "times", "no_result", "limits"} <= set(files)
    for row, one in zip(files["comparisons"], found["drifts"], strict=True):
        assert (row["name"], row["p"]) == (one["name"], str(one["p"]))
    flags = next(row for row in files["agreement"] if (row["period"], row["name"]) == ("now", "both flag"))
    assert float(flags["share low"]) == found["agreement"][0]["share"]["low"]
    assert [row["period"] for row in files["times"]] == ["before", "now"]
    assert float(files["times"][1]["result_p95_s"]) == found["current_times"]["result_p95_s"]


def test_the_current_period_begins_where_asked(tmp_path: Path) -> None:
    assert call("--since", "10d", "--json", tmp_path / "out.json").exit_code == 0
    found = json.loads((tmp_path / "out.json").read_text())["current"]
    assert found["first"] == str(datetime.now(UTC).date() - timedelta(days=10))


def test_a_limit_is_set_with_name_and_reason(home: Path) -> None:
    set_it = ("--why", "a stroke unit")
    assert call("--check", "--set", "latency=1", *set_it).exit_code == 1
    assert call("--check", "--set", "latency=default", *set_it).exit_code == 0
    store = Store.open(home=home)
    made = [(one.name, one.value, one.who, one.why) for one in store.adjustments.history("alert")[:2]]
    store.close()
    me = operator().name
    assert made == [("latency", None, me, "a stroke unit"), ("latency", 1.0, me, "a stroke unit")]


@pytest.mark.parametrize("wrong", ["latency", "latency=soon", "speed=1", "failures=2", "failures=nan"])
def test_a_wrong_limit_is_not_set(home: Path, wrong: str) -> None:
    found = call("--set", wrong, "--why", "x")
    assert (found.exit_code, "--set" in found.stderr) == (2, True)
    assert call("--set", "failures=0.5").exit_code == 2


def test_studies_of_one_day_do_not_hide_the_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    store = Store.open(home=tmp_path)
    add(store, "a", 0.9)
    store.close()
    found = call("--check")
    assert found.exit_code == 1
    assert "All studies arrived on one day" in found.stdout
    assert "ALERT silence" in found.stdout


@pytest.mark.parametrize("since", ["soon", "2026-13-01", "-3d"])
def test_wrong_use_is_two(since: str) -> None:
    assert call(f"--since={since}", "--check").exit_code == 2


def test_nothing_to_compare_is_quiet_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "new"))
    found = call("--check", "--json", tmp_path / "out.json")
    assert found.exit_code == 0
    assert "Not estimable" in found.stderr
    assert "no study yet" in json.loads((tmp_path / "out.json").read_text())["reason"]


def test_a_store_that_cannot_be_read_is_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ichscope.db").write_bytes(b"no database at all " * 100)
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    assert call("--check").exit_code == 4
