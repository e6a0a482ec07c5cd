"""A real archive: Orthanc with its DICOMweb plugin, on this machine, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

PROGRAM = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "scope", "only a test"
_START_S = 60.0


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


@dataclass
class Orthanc:
    """An archive whose files stay when it is killed."""

    folder: Path
    http: int = field(default_factory=free_port)
    dicom: int = field(default_factory=free_port)
    peers: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._config()))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            with suppress(requests.RequestException):
                if self.get("system"):
                    return
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.1)
        pytest.fail("Orthanc does not answer")

    def _config(self) -> dict[str, Any]:
        return {
            "Name": "test",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.http,
            "DicomPort": self.dicom,
            "DicomAet": "ORTHANC",
            "DicomModalities": self.peers,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "HttpThreadsCount": 4,
            "StableAge": 1,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }

    def kill(self) -> None:
        """End it as a loss of power would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, how)
            self._process.wait(60)
        self._process = None

    def send(self, instances: Iterable[bytes]) -> None:
        """Hand over instances, as a scanner would."""
        for instance in instances:
            requests.post(f"{self.url}/instances", data=instance, auth=(USER, PASSWORD), timeout=30).raise_for_status()

    def get(self, path: str) -> Any:
        """One of its own answers."""
        answer = requests.get(f"{self.url}/{path}", auth=(USER, PASSWORD), timeout=30)
        answer.raise_for_status()
        return answer.json()
