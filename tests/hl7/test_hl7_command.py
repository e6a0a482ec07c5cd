"""The command, as a process that is asked to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from ichscope.store import Store
from tests.support.hl7_messages import message, outcome
from tests.support.orthanc import free_port


def start(settings: Path, home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "ICHSCOPE_CONFIG": str(settings), "ICHSCOPE_HOME": str(home)}
    command = [sys.executable, "-m", "ichscope.cli", "hl7", "listen"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_it_listens_until_it_is_asked_to_end(tmp_path: Path) -> None:
    settings, port = tmp_path / "ichscope.toml", free_port()
    settings.write_text(f'[hl7]\nsenders = ["127.0.0.1"]\nport = {port}\n')
    with start(settings, tmp_path / "home") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"Listening to HL7 at port {port}; end with Ctrl+C\n"
        assert outcome(port, message("ADT^A40^ADT_A39").encode()) == "AA"
        assert outcome(port, message("ADT^A03").encode()) == "AR"
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode == 0
    assert said == (
        "127.0.0.1: a message was not taken (AR 201: MSH-9: found A03, expected one of A01, A04, A08, A40)\n"
    )
    store = Store.open(home=tmp_path / "home")
    assert store.patients.merge([("P1", "P3")]) == 0
    store.close()


def test_without_settings_it_says_what_is_wrong(tmp_path: Path) -> None:
    settings = tmp_path / "ichscope.toml"
    settings.write_text("")
    with start(settings, tmp_path / "home") as process:
        _, said = process.communicate()
    assert (process.returncode, "[hl7] names nobody" in said) == (2, True)
