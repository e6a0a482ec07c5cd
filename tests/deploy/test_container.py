"""What the container's files promise: nobody's password, no right too many, a sign of life."""

import http.server
import re
import subprocess
import sys
import threading
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_nothing_has_a_default_that_opens_it() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = re.findall(r"\$\{(\w+)(.*?)\}", text)
    assert {name for name, _ in asked} == {"ICHSCOPE_VERSION", "ICHSCOPE_HOST", "ICHSCOPE_DATABASE_PASSWORD"}
    assert all(rest.startswith(":?") for _, rest in asked), "a missing one ends with what is missing"
    assert not re.search(r"(?i)password: (?!\$\{)", text)


def test_the_program_may_little_and_the_database_is_out_of_reach(compose: dict[str, Any]) -> None:
    program, database = compose["services"]["ichscope"], compose["services"]["database"]
    assert program["read_only"] is True
    assert program["cap_drop"] == ["ALL"]
    assert program["volumes"] == ["home:/var/lib/ichscope"]
    assert all(port.startswith("127.0.0.1:") for port in program["ports"])
    assert "ports" not in database
    assert [compose["networks"][name] for name in database["networks"]] == [{"internal": True}]


def test_the_program_believes_its_own_network_alone(compose: dict[str, Any]) -> None:
    (front,) = compose["networks"]["front"]["ipam"]["config"]
    assert compose["services"]["ichscope"]["environment"]["FORWARDED_ALLOW_IPS"] == front["gateway"]
    assert ip_address(front["gateway"]) in ip_network(front["subnet"])


def test_the_image_runs_as_nobody_special_and_asks_for_a_sign_in() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (\d+):\1$", last, re.MULTILINE)
    assert "ICHSCOPE_SIGN_IN=on" in last
    assert "HEALTHCHECK" in last


class _Alive(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_health_check_tells_a_server_from_none() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Alive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = str(server.server_port)
        assert _health(port) == 0
        server.shutdown()
    assert _health(port) == 1


def _health(port: str) -> int:
    command = [sys.executable, "-m", "deploy.healthcheck", port]
    return subprocess.run(command, cwd=DEPLOY.parent, capture_output=True).returncode
