"""Where the server would be open to strangers it does not start, however it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit import config

from dashboard.gate import start
from dashboard.gate.start import Settings, problem

ROOT = Path(__file__).parents[3]
LOCAL = Settings("localhost", frozenset(start.LOCAL), sign_in=False, upload_bytes=1)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"address": "127.0.0.1"}, ""),
        ({"address": "0.0.0.0"}, "listen on 0.0.0.0"),
        ({"address": "::"}, "listen on ::"),
        ({"address": ""}, "listen on every address"),
        ({"address": "192.0.2.7"}, "listen on 192.0.2.7"),
        ({"address": "0.0.0.0", "sign_in": True}, ""),
        # A name of somebody else's: a proxy on the same computer.
        ({"hosts": frozenset({"localhost", "ich.example.org"})}, "answer to ich.example.org"),
        ({"hosts": frozenset({"localhost", "ich.example.org"}), "sign_in": True}, ""),
        ({"hosts": frozenset(), "sign_in": True}, "allowedHosts is empty"),
        ({"hosts": frozenset({"*"}), "sign_in": True}, "has *"),
        ({"hosts": frozenset({"*.example.org"}), "sign_in": True}, "has *.example.org"),
    ],
)
def test_what_may_start(changed: dict[str, object], told: str) -> None:
    found = problem(replace(LOCAL, **changed))
    assert told in found if told else not found


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--server.address", "0.0.0.0"], {}),
        ([], {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}),
        ([], {"STREAMLIT_SERVER_ALLOWED_HOSTS": "ich.example.org"}),
    ],
)
def test_the_program_ends_with_what_to_do(tmp_path: Path, arguments: list[str], variables: dict[str, str]) -> None:
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", "0", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ICHSCOPE_HOME": str(tmp_path)} | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "ICHScope does not start." in done.stderr
    assert "ICHSCOPE_SIGN_IN=on" in done.stderr


def test_what_opens_the_page_to_others_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {option: config.get_option(option) for option in start._PINNED}
    try:
        config.set_option("client.allowedOrigins", ["https://evil.example"], "test")
        config.set_option("server.enableAgentApi", True, "test")
        start.pin()
        assert {option: config.get_option(option) for option in start._PINNED} == start._PINNED
    finally:
        for option, value in before.items():
            config.set_option(option, value, "test")
