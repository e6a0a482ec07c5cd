"""Whatever is asked: no mistake of the server, and no answer that the description does not have (Schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.applications import Starlette

from dashboard.gate import server
from dashboard.gate.asgi import Gate
from dashboard.gate.start import LOCAL, Settings
from tests.dashboard.api.conftest import ALL, Program, own_store, study, zipped

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# The same cases every time, and no more than take a minute in all.
BOUNDED = settings(
    max_examples=12, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
ROUTES = [
    ("POST", "/studies"),
    ("GET", "/studies"),
    ("GET", "/studies/{key}"),
    ("GET", "/studies/{key}/evidence"),
    ("GET", "/studies/{key}/fhir"),
    ("GET", "/studies/{key}/sr"),
    ("GET", "/jobs/{job}"),
    ("GET", "/queue"),
    ("POST", "/pictures"),
]
every_route = pytest.mark.parametrize(("method", "path"), ROUTES, ids=[" ".join(route) for route in ROUTES])
every_mode = pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)


@dataclass(frozen=True)
class Server:
    """What is asked, with what to ask it."""

    schema: Any
    headers: dict[str, str]
    known: dict[str, Any]


@pytest.fixture(scope="module")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a study in its store."""
    with pytest.MonkeyPatch.context() as patch, own_store(tmp_path_factory.mktemp("home"), models, patch) as store:
        token = store.tokens.add("PACS", ALL, timedelta(days=1))[1]
        job = Program(token).hand_over(zipped(study())).json()
        hosts = frozenset({*LOCAL, "testserver"})
        gate = Gate(Starlette(routes=server.routes()), Settings("", hosts, sign_in=True, upload_bytes=1 << 20))
        headers = {"authorization": f"Bearer {token}"}
        schema = schemathesis.openapi.from_asgi("/api/openapi.json", gate, headers=headers)
        yield Server(schema, headers, {"key": job["studies"][0], "job": job["job"]})


def ask(served: Server, method: str, path: str, mode: GenerationMode, known: bool = False, **options: Any) -> None:
    """Ask a route for much, as it is described or otherwise, and check every answer."""

    @given(case=served.schema[path][method].as_strategy(generation_mode=mode))
    @BOUNDED
    def ask_once(case: schemathesis.Case) -> None:
        if known:
            case.path_parameters = {name: served.known[name] for name in case.path_parameters}
        case.call_and_validate(checks=CHECKS, **options)

    ask_once()


def test_every_route_is_asked(served: Server) -> None:
    assert {(one.ok().method.upper(), one.ok().path) for one in served.schema.get_all_operations()} == set(ROUTES)


@every_route
@every_mode
def test_whatever_is_asked(served: Server, method: str, path: str, mode: GenerationMode) -> None:
    ask(served, method, path, mode, headers=served.headers)


@pytest.mark.parametrize("path", [path for _, path in ROUTES if "{" in path])
def test_whatever_is_asked_of_what_is_there(served: Server, path: str) -> None:
    ask(served, "GET", path, GenerationMode.POSITIVE, known=True, headers=served.headers)


@every_route
def test_a_stranger_gets_what_is_described_too(served: Server, method: str, path: str) -> None:
    ask(served, method, path, GenerationMode.POSITIVE)
