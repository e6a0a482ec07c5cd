"""A PostgreSQL server for tests, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from sqlalchemy import create_engine, text

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

    def kill(self) -> None:
        """End all of its processes with -9, as a machine's lack of memory may."""
        first = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # it starts no more of them
        others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for process in (first, *map(int, others)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        # Until they are buried: a new server takes a dead one's number for a living one.
        while any(Path(f"/proc/{process}").exists() for process in (first, *others)):
            time.sleep(0.05)

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


def programs() -> Path | None:
    """Where PostgreSQL's programs lie, of its newest version; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A server, for as long as it is needed."""
    folder = Path(tempfile.mkdtemp(prefix="ichscope-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _UNPRIVILEGED, _UNPRIVILEGED)
    try:
        server = Server(programs, folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
