"""The example for nginx, run as it is but for names, ports and places."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "ichscope.hospital.example"


@dataclass(frozen=True)
class Place:
    """Where it runs.

    name : by which it is called
    folder : for all that it writes, with the certificate in it
    """

    name: str
    folder: Path
    http: int
    https: int
    app: int

    @property
    def certificate(self) -> Path:
        """Its certificate, which signs itself."""
        return self.folder / "certificate.pem"


def free_ports(number: int) -> list[int]:
    """Give ports that nobody has."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    found = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return found


@contextmanager
def running(place: Place, instead: Mapping[str, str] | None = None) -> Iterator[None]:
    """Nginx with the example, and texts in it replaced; skipped where it is not installed, but never on CI."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        missing = "nginx is not installed (Debian: apt-get install nginx-light)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    _certify(place)
    (place.folder / "nginx.conf").write_text(_configuration(place, instead or {}))
    command = [nginx, "-p", str(place.folder), "-c", str(place.folder / "nginx.conf")]
    command += ["-e", str(place.folder / "error.log")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    with subprocess.Popen(command) as process:
        try:
            wait(place.http)
            wait(place.https)
            yield
        finally:
            process.terminate()


def wait(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(240):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"nothing listens on port {port}")


def _certify(place: Place) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "1", "-subj", f"/CN={place.name}", "-addext", f"subjectAltName=DNS:{place.name}"]
    command += ["-keyout", str(place.folder / "key.pem"), "-out", str(place.certificate)]
    subprocess.run(command, check=True, capture_output=True)


def _configuration(place: Place, instead: Mapping[str, str]) -> str:
    """What nginx.conf of Debian has around a site, with everything it writes in one folder."""
    site = (ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")
    here = {
        "listen 443": f"listen 127.0.0.1:{place.https}",
        "listen 80": f"listen 127.0.0.1:{place.http}",
        "127.0.0.1:8501": f"127.0.0.1:{place.app}",
        "/etc/ssl/ichscope": str(place.folder),
        NAME: place.name,
    }
    for old, new in {**here, **instead}.items():
        assert old in site
        site = site.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {place.folder}/{kind};" for kind in kinds)
    around = f"daemon off; worker_processes 1; pid {place.folder}/pid; events {{}} http {{ access_log off; {paths} "
    return f"{around}\n{site}\n}}\n"
