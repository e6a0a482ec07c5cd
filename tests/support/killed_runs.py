"""A batch, or the watch of a folder, that is killed with -9 at random moments, started again, and counted."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ichscope.store import Store
from tests.support.study_folders import study_uid, write_studies

SLICES, SIZE = 4, 64
_START_S = 6.0
_QUIET_S = 0.5
_POLL_S = 0.05


def survive(
    way: str,
    folder: Path,
    studies: int,
    kills: int,
    options: Sequence[str],
    seed: int = 0,
    size: int = SIZE,
    longer_s: float = 0.3,
) -> dict[str, Any]:
    """Have so many studies analysed by a program that is killed so many times, and count what there is.

    Parameters
    ----------
    way : "batch" or "watch"
    folder : an empty one
    options : of the command
    longer_s : how long at most after its number of studies the program is killed
    """
    inputs, inbox, home = (folder / name for name in ("in", "inbox", "home"))
    write_studies(inputs, studies, SLICES, size)
    inbox.mkdir()
    place = [str(inputs)] if way == "batch" else [str(inbox), "--quiet", str(_QUIET_S)]
    command = [sys.executable, "-m", "ichscope.commands.cli", way, *place, *options]
    began = time.monotonic()
    store = Store.open(home=home)
    try:
        with _arriving(inputs, inbox if way == "watch" else None):
            done = _kill(command, home, store, studies, kills, random.Random(seed), longer_s)
            code = _finish(command, home, store, studies, way)
        # What several kills have hit is given up: a user tries it again.
        given_up = sum(job.failed for job in store.jobs.recent())
        if given_up:
            code = _start([*command[:3], "retry", *options], home).wait()
        report = {"kills": done, "exit_code": code, "given_up": given_up, **count(store, home, studies)}
    finally:
        store.close()
    report["seconds"] = round(time.monotonic() - began)
    return report | {"good": good(report, studies, kills)}


def good(report: dict[str, Any], studies: int, kills: int) -> bool:
    """Whether every study is there once, and whole."""
    whole = (report["rows"], report["with_results"], report["with_pictures"]) == (studies,) * 3
    nothing = not any(report[name] for name in ("exit_code", "missing", "twice", "failed", "left"))
    return whole and nothing and report["kills"] == kills and report["jobs"] == 1 and report["integrity"] == "ok"


def count(store: Store, home: Path, studies: int) -> dict[str, Any]:
    """What there is, and what there should be."""
    expected = {store.keys.study(study_uid(number)) for number in range(studies)}
    rows = list(store.worklist.export())
    keys = [row.study_key for row in rows]
    jobs = store.jobs.recent()
    models = {name for name, _ in store.worklist.choices().models}
    return {
        "rows": len(rows),
        "missing": len(expected - set(keys)),
        "twice": len(keys) - len(set(keys)),
        "with_results": sum({model.name for model in row.models} == models for row in rows),
        "with_pictures": sum(store.results.load(row.id).volume is not None for row in rows),
        "jobs": len(jobs),
        "failed": sum(job.failed for job in jobs),
        "left": sum(job.pending + job.running for job in jobs),
        "integrity": _integrity(home / "ichscope.db"),
    }


def _integrity(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        return "; ".join(row[0] for row in connection.execute("PRAGMA integrity_check"))


@contextmanager
def _arriving(inputs: Path, inbox: Path | None) -> Iterator[None]:
    """Copy one file after the other into the inbox, if there is one, for as long as it takes."""
    ended = threading.Event()

    def copy(inbox: Path) -> None:
        for study in sorted(inputs.iterdir()):
            (inbox / study.name).mkdir()
            for file in sorted(study.iterdir()):
                if ended.is_set():
                    return
                shutil.copyfile(file, inbox / study.name / file.name)

    thread = threading.Thread(target=copy, args=(inbox,), daemon=True) if inbox else None
    if thread:
        thread.start()
    yield
    ended.set()
    if thread:
        thread.join()


def _start(command: Sequence[str], home: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "ICHSCOPE_DATABASE_URL"}
    with _output(home).open("wb") as output:
        return subprocess.Popen(
            command,
            env=environment | {"ICHSCOPE_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def _output(home: Path) -> Path:
    """What the program that was started last has printed."""
    return home.with_name("output.txt")


def _kill(
    command: Sequence[str], home: Path, store: Store, studies: int, kills: int, chance: random.Random, longer_s: float
) -> int:
    """Start the program and kill it at each moment in turn; tell how often it had something left to do then."""
    done = 0
    # Not too late, or the work would be done before the last kill.
    for number, goal in enumerate(sorted(chance.sample(range(1, 3 * studies // 4), kills))):
        process = _start(command, home)
        if number % 3 == 2:
            time.sleep(chance.uniform(0, _START_S))
        else:
            while process.poll() is None and store.worklist.counts().total < goal:
                time.sleep(_POLL_S)
            time.sleep(chance.uniform(0, longer_s))
        done += process.poll() is None and store.worklist.counts().total < studies
        process.send_signal(signal.SIGKILL)
        process.wait()
    return done


def _finish(command: Sequence[str], home: Path, store: Store, studies: int, way: str) -> int:
    """Start the program once more and let it do what is left; a watch ends when asked to. Gives the exit code."""
    process = _start(command, home)
    if way == "watch":
        while process.poll() is None and not (_complete(store, studies) and b"Watching" in _output(home).read_bytes()):
            time.sleep(10 * _POLL_S)
        process.send_signal(signal.SIGTERM)
    return process.wait()


def _complete(store: Store, studies: int) -> bool:
    jobs = store.jobs.recent()
    there = store.worklist.counts().total + sum(job.failed for job in jobs)
    return there >= studies and not any(job.pending or job.running for job in jobs)
