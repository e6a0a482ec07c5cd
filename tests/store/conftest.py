"""Stores to test with: each test runs on SQLite and on a real PostgreSQL server of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from ichscope.store import Store

_UNPRIVILEGED = "postgres"  # made by Debian's package; the server refuses to run as root


class Server:
    """A PostgreSQL server in a folder of its own, reached through a socket there; nothing outside can."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self.folder = programs, folder
        self._numbers = count(1)
        data = str(folder / "data")
        # Danish sorts "aa" after "z": whatever relies on the order of bytes must say so.
        locale = ("--locale=C", "--locale-provider=icu", "--icu-locale=da-DK")
        self._run("initdb", "-D", data, "-U", "ichscope", "-A", "trust", "-E", "UTF8", *locale, "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _UNPRIVILEGED, "--", *command]
        # Not captured by a pipe: the server would keep it open. Errors go to the test's output.
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def url(self, database: str) -> str:
        return f"postgresql://ichscope@/{database}?host={self.folder}"

    def database(self) -> str:
        """URL of a new and empty database."""
        name = f"test{next(self._numbers)}"
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is missing; install Debian's postgresql")
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="ichscope-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _UNPRIVILEGED, _UNPRIVILEGED)
    try:
        server = Server(found[-1].parent, folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ichscope.db"
    server: Server = request.getfixturevalue("server")
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
