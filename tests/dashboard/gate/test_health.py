"""Alive, ready and figures, over an application of the real routes and gate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette

from dashboard import shared_store, warm_up
from dashboard.gate import health, server
from dashboard.gate.asgi import Gate
from dashboard.gate.start import LOCAL, Settings
from ichscope.models.registry import REGISTRY
from tests.support import results_builder as build
from tests.support import store_cases as cases
from tests.support import tiny_model
from tests.support.asgi_client import AsgiClient

SETTINGS = Settings("localhost", frozenset(LOCAL), sign_in=False, upload_bytes=1000)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    models = tmp_path / "models"
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(models, name)
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ICHSCOPE_MODELS", str(models))
    monkeypatch.setattr(warm_up, "over", lambda: True)
    st.cache_resource.clear()
    yield tmp_path / "home"
    shared_store.store().close()
    st.cache_resource.clear()


def client(insider: bool = True, address: str = "127.0.0.1") -> AsgiClient:
    settings = SETTINGS if insider else Settings("", frozenset(LOCAL), sign_in=True, upload_bytes=1)
    application: Any = Gate(Starlette(routes=server.routes()), settings)
    return AsgiClient(application, address=address)


def test_alive_needs_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "over", lambda: False)
    assert client().get("/healthz").text == "alive\n"
    assert client().get("/readyz").status_code == 503


def test_ready_where_all_is_there(home: Path) -> None:
    answer = client().get("/readyz")
    assert answer.json() == {"ready": True, "store": "ready", "models": "ready", "disk": "ready"}
    assert answer.status_code == 200


def test_what_is_wrong_is_said_to_insiders_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> str:
        raise OSError("no such disk: /srv/secret")

    monkeypatch.setitem(health._LOOKS, "disk", failing)
    inside, outside = client().get("/readyz"), client(insider=False).get("/readyz")
    assert inside.status_code == outside.status_code == 503
    assert "secret" in inside.json()["disk"]
    assert outside.json() == {"ready": False}


def test_figures_count_and_name_nobody(home: Path) -> None:
    model = build.model(along=(0.0, 0.9), probability={"subdural": 0.8})
    store = shared_store.store()
    store.results.record(cases.study("ZZTOP^TEST", model), cases.content("a"))
    text = client().get("/metrics").text
    assert 'ichscope_studies{status="analysed"} 1.0' in text
    assert re.search(r'ichscope_result_seconds_total\{model="[a-z]+",provider="[^"]+",version="[^"]+"\} ', text)
    assert "ichscope_store_up 1.0" in text
    assert "ZZTOP" not in text


def test_figures_are_for_this_computer_and_programs(home: Path) -> None:
    assert client(insider=False).get("/metrics").status_code == 200
    assert client(insider=False, address="192.0.2.1").get("/metrics").status_code in (401, 421)
    proxied = {"X-Forwarded-For": "127.0.0.1"}
    assert client(insider=False).get("/metrics", headers=proxied).status_code == 401


def test_a_store_that_cannot_be_read_is_a_figure(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_DATABASE_URL", "sqlite:////proc/none/all.db")
    st.cache_resource.clear()
    text = client().get("/metrics").text
    assert "ichscope_store_up 0.0" in text
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL")


def test_models_that_are_not_there_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_MODELS", str(home / "none"))
    assert client().get("/readyz").json()["ready"] is False
    assert REGISTRY is not None
