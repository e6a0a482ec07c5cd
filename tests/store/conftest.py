"""Stores to test with: each test runs on SQLite and on a real PostgreSQL server of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ichscope.store import Store
from tests.support import postgresql


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql.Server]:
    programs = postgresql.programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is missing; install Debian's postgresql")
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with postgresql.running(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ichscope.db"
    server: postgresql.Server = request.getfixturevalue("server")
    return server.database()


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """Open stores that are closed after the test."""
    opened = []

    def open_one(url: str) -> Store:
        opened.append(Store.open(url, tmp_path))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(url: str, open_store: Callable[[str], Store]) -> Store:
    return open_store(url)
