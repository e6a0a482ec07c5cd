"""A store with people, and the gate with its own routes before an application that answers everything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from dashboard import shared_store
from dashboard.gate import server
from dashboard.gate.asgi import Gate
from dashboard.gate.start import LOCAL, Settings
from ichscope.access import Role
from ichscope.store import Store
from tests.support.asgi_client import AsgiClient

PASSWORD = "purple tractor lamp 9"
HOSTS = frozenset({*LOCAL, "ich.example.org"})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store of the process, with ann (reader), adam (admin) and vera (viewer); people must sign in."""
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    monkeypatch.setenv("ICHSCOPE_SIGN_IN", "on")
    st.cache_resource.clear()
    store = shared_store.store()
    for name, role in {"ann": Role.READER, "adam": Role.ADMIN, "vera": Role.VIEWER}.items():
        store.accounts.add(name, role, PASSWORD)
    yield store
    store.close()
    st.cache_resource.clear()


@pytest.fixture
def client(store: Store) -> AsgiClient:
    return visit()


def visit(base_url: str = "http://localhost:8501", address: str = "127.0.0.1") -> AsgiClient:
    """A browser that knows nothing yet."""
    return AsgiClient(Gate(application(), Settings("", HOSTS, sign_in=True, upload_bytes=1000)), base_url, address)


def application() -> Starlette:
    async def inside(request: Request) -> PlainTextResponse:
        return PlainTextResponse("inside")

    everything = Mount("/", routes=[Route("/{path:path}", inside, methods=["GET", "POST", "PUT", "DELETE"])])
    session = Middleware(SessionMiddleware, secret_key="of a test")
    return Starlette(routes=[*server.routes(), everything], middleware=[session])
