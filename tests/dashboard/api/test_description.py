"""The description of the interface: it is valid, its examples are what it says, and it costs nothing at the start."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dashboard.api.app import application
from dashboard.gate import logs
from tests.dashboard.api.conftest import Program

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return application().openapi()


def answers(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                yield f"{method} {path}", status, response


def test_every_answer_in_json_has_an_example_that_fits(description: dict[str, Any]) -> None:
    found = 0
    for where, status, response in answers(description):
        for kind, content in response["content"].items():
            if kind.endswith("json"):
                found += 1
                jsonschema.validate(content["example"], content["schema"] | {"components": description["components"]})
                given = (
                    {"application/json", "application/fhir+json"} if status < "300" else {"application/problem+json"}
                )
                assert kind in given, where
    assert found > 40


def test_every_refusal_of_the_gate_is_described(description: dict[str, Any]) -> None:
    for where, bodies in (("get", set()), ("post", {"400", "408", "413", "415", "429"})):
        for methods in description["paths"].values():
            if where in methods:
                assert set(methods[where]["responses"]) >= {"401", "403", "421", "503"} | bodies


def test_every_operation_and_parameter_says_what_it_is(description: dict[str, Any]) -> None:
    for methods in description["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]


def test_every_route_and_refusal_is_in_the_documentation(description: dict[str, Any]) -> None:
    page = (ROOT / "docs/http.md").read_text(encoding="utf-8")
    names = {"{key}": "KEY", "{job}": "NUMBER"}
    for path, methods in description["paths"].items():
        for method in methods:
            shown = functools.reduce(lambda text, name: text.replace(name, names[name]), names, path)
            assert f"| `{method.upper()} /api{shown}` |" in page
    told = set(re.findall(r"\b\d{3}\b", " ".join(re.findall(r"^\| (\d[\d, ]+) \|", page, re.MULTILINE))))
    assert told == {status for _, status, _ in answers(description) if status >= "400"}


def test_tokens_are_described_where_they_are_needed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.get("/api/openapi.json").json()["security"] == [{"token": []}]
    monkeypatch.setenv("ICHSCOPE_SIGN_IN", "off")
    assert "security" not in Program(sign_in=False).get("/api/openapi.json").json()


@pytest.mark.parametrize("path", ["/api/studies/3f2a91c07d5be846", "/api/studies/3f2a91c07d5be846/evidence"])
def test_a_key_is_in_no_log(path: str) -> None:
    assert logs.route(path) == "/api/studies"


def test_the_server_starts_without_the_interface() -> None:
    code = "import sys; from dashboard import app; print(*sorted(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "dashboard.api.mount" in loaded
    assert not loaded & {"fastapi", "pydantic", "dashboard.api.app"}
