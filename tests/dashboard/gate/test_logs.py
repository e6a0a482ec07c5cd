"""Lines of JSON that help, and name nobody."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.gate import logs

PATIENT = "ZZTOP^TEST"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    monkeypatch.setenv("ICHSCOPE_LOG", "json")
    loggers = [logging.getLogger(name) for name in ("", "streamlit", "uvicorn", "uvicorn.error")]
    before = [list(logger.handlers) for logger in loggers]
    logs.begin()
    yield tmp_path / "logs" / "dashboard.jsonl"
    for logger, handlers in zip(loggers, before, strict=True):
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers = handlers


def test_an_error_says_where_and_not_whom(log: Path) -> None:
    with logs.request_id() as request:
        try:
            raise ValueError(f"{PATIENT}: found nothing")
        except ValueError:
            logging.getLogger("dashboard.views").exception("the page failed")
        logging.getLogger("dashboard.views").warning("series of %s", PATIENT)
        logging.getLogger("pydicom").warning(f"bad name {PATIENT}")
    text = log.read_text()
    assert PATIENT not in text
    first, second, third = map(json.loads, text.splitlines())
    assert first["event"] == "the page failed"
    assert first["error"] == "ValueError"
    assert first["at"][-1].startswith("tests/dashboard/gate/test_logs.py:")
    assert first["request"] == second["request"] == request
    assert third["logger"] == "pydicom"


def test_a_log_is_its_owners(log: Path) -> None:
    logging.getLogger("dashboard").warning("here")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_every_line_is_written_once(log: Path) -> None:
    for name in ("streamlit.runtime", "uvicorn.error", "ichscope.store"):
        logging.getLogger(name).warning("once")
    assert [json.loads(line)["logger"] for line in log.read_text().splitlines()].count("uvicorn.error") == 1


def test_files_take_turns(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = next(h for h in logging.getLogger().handlers if isinstance(h, logs._Private))
    handler.maxBytes = 2_000
    for _ in range(200):
        logging.getLogger("dashboard").warning("again")
    files = sorted(log.parent.iterdir())
    assert len(files) == logs._FILES
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_nothing_is_written_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    monkeypatch.delenv("ICHSCOPE_LOG", raising=False)
    logs.begin()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/worklist", "/worklist"),
        ("/_stcore/upload_file/1f/2e", "/_stcore/upload_file"),
        ("/media/8c1bf0.png", "/media/?"),
        (f"/{PATIENT}", "/?"),
        ("/1.2.840.113619", "/?"),
    ],
)
def test_an_address_is_logged_by_its_route(path: str, route: str) -> None:
    assert logs.route(path) == route
