"""All kinds of writes at once by one program, which is killed with -9, or its server: is all there that it confirmed?

What a call has returned of is confirmed: the program tells it. A backup counts with its file.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless
from sqlalchemy import select

from dashboard.background import Background
from ichscope import phantom
from ichscope.access import Role, by_default, operator
from ichscope.access.events import Action, Outcome
from ichscope.batch import WorkerConfig
from ichscope.home import database_url, read_key
from ichscope.store import ImportedRows, Store, StoreError, TrailFilter, inspection, volumes
from ichscope.store import backup as backups
from ichscope.store.tables import Volume
from tests import encoders
from tests.support import store_cases as cases
from tests.support.postgresql import Server
from tests.support.study_folders import study_uid

PASSWORD = "purple tractor lamp 9"
PASSPHRASE = b"a passphrase of tests"
_BACKUP_EVERY_S = 3.0
_RETRY_S = 0.2
_LONGEST_S = 6.0
_KEPT = timedelta(days=1)
_MOST_JOBS = 10_000
Confirmed = list[tuple[str, Any]]


# ---- the program that writes -------------------------------------------------------------------------------


class _Writer:
    """Every kind of write of a store, each over and over in a thread of its own, until the process is killed."""

    def __init__(self, home: Path, url: str, models: Path, run: str, tell: Connection) -> None:
        self.store, self._home, self._url, self._run, self._tell = Store.open(url, home), home, url, run, tell
        self._background = Background(self.store, WorkerConfig(models, provider="cpu"))
        self._background.start()
        self._one_at_a_time = threading.Lock()
        self._heads = [_compressed(seed) for seed in range(2)]

    def work(self) -> None:
        """Write for ever."""
        for way in (self.record, self.review, self.table, self.threshold, self.account, self.upload, self.backup):
            threading.Thread(target=self._for_ever, args=(way,), daemon=True).start()
        threading.Event().wait()

    def _for_ever(self, way: Callable[[str], Iterator[tuple[str, Any]]]) -> None:
        for number in range(sys.maxsize):
            try:
                for confirmed in way(f"{self._run}-{number}"):
                    self._say(confirmed)
            except (StoreError, backups.BackupError):
                time.sleep(_RETRY_S)
            except Exception:  # noqa: BLE001 - whatever it is, the one who counts is to know
                self._say(("error", traceback.format_exc()))
                time.sleep(_RETRY_S)

    def _say(self, confirmed: tuple[str, Any]) -> None:
        with self._one_at_a_time:
            self._tell.send(confirmed)

    def record(self, name: str) -> Iterator[tuple[str, Any]]:
        result, content = cases.study(name, 0.9), cases.content(name)
        path = volumes.save(self.store.volumes, content, result)
        study = self.store.results.record(result, content, volume=path)
        if not _even(name) and path:
            long_ago = time.time() - 2 * _KEPT.total_seconds()
            os.utime(self.store.volumes / path, (long_ago, long_ago))
            self.store.results.prune(_KEPT)
            yield "study without picture", study
        yield "study", study

    def review(self, name: str) -> Iterator[tuple[str, Any]]:
        if page := self.store.worklist.page():
            yield "review", self.store.reviews.add(page[0].id, agree=True, comment=name).review.id

    def table(self, name: str) -> Iterator[tuple[str, Any]]:
        keys, sha256 = np.arange(500, dtype=np.uint64), cases.content(name)
        table, _ = self.store.imported.add("truth", name, sha256, "study", ImportedRows.of(keys, keys, keys), [])
        if _even(name):
            yield "table", name
        else:
            self.store.imported.remove(table)
            yield "removed table", name

    def threshold(self, name: str) -> Iterator[tuple[str, Any]]:
        yield "threshold", self.store.adjustments.set_threshold("m", "1", "any", random.random(), why=name).id

    def account(self, name: str) -> Iterator[tuple[str, Any]]:
        account = self.store.accounts.add(name, Role.READER, PASSWORD).id
        yield "account", account
        secret = self.store.sessions.begin(account)
        if _even(name):
            yield "session", secret
        else:
            self.store.sessions.end(secret)
            yield "ended session", secret
            self.store.accounts.disable(name)
            yield "disabled account", account

    def upload(self, name: str) -> Iterator[tuple[str, Any]]:
        number = int(cases.content(name)[:8], 16)
        files = _renamed(self._heads[_even(name)], number)
        job = self._background.upload(((path, io.BytesIO(data)) for path, data in files), "Upload")
        yield "upload", (number, job)
        while self._background.look():
            time.sleep(_RETRY_S)

    def backup(self, name: str) -> Iterator[tuple[str, Any]]:
        backups.backup(self._home.parent / f"{name}.backup", PASSPHRASE, self._home, self._url)
        yield "backup", name
        time.sleep(_BACKUP_EVERY_S)


def _even(name: str) -> bool:
    return int(cases.content(name), 16) % 2 == 0


def _compressed(seed: int) -> list[bytes]:
    head = phantom.make("subdural" if seed else None, seed, 8, 64)
    return [encoders.encode(phantom.to_bytes(one), JPEGLSLossless) for one in phantom.datasets(head)]


def _renamed(slices: list[bytes], number: int) -> Iterator[tuple[str, bytes]]:
    for place, data in enumerate(slices):
        one = dcmread(io.BytesIO(data))
        one.StudyInstanceUID, one.SeriesInstanceUID = study_uid(number), f"{study_uid(number)}.1"
        one.PatientID = f"P{number}"
        yield f"study/{place}.dcm", phantom.to_bytes(one)


def _write(home: Path, url: str, models: Path, run: str, tell: Connection) -> None:
    by_default(operator)
    _Writer(home, url, models, run, tell).work()


# ---- the one that kills and counts -------------------------------------------------------------------------


def endure(folder: Path, kills: int, models: Path, seed: int = 0, server: Server | None = None) -> dict[str, Any]:
    """Have everything written, kill so many times at random, and count after each kill what there is.

    Parameters
    ----------
    folder : an empty one
    server : of the database, which is killed while the program goes on; without one it is the program that is killed
    """
    home, chance, began = folder / "home", random.Random(seed), time.monotonic()
    url = server.database() if server else database_url(home)
    confirmed: Confirmed = []
    report: dict[str, Any] = {"kills": 0, "wrong": []}
    program = _Program(home, url, models, "0", confirmed)
    for number in range(kills):
        program.wait_for_more()
        time.sleep(chance.uniform(0, _LONGEST_S))
        report["kills"] += program.lives()
        if server:
            server.kill()
            server.start()
        else:
            program.kill()
        report["wrong"] += [f"kill {number}: {what}" for what in wrong(home, url, list(confirmed), quiet=not server)]
        if not server:
            program = _Program(home, url, models, f"{number + 1}", confirmed)
    program.wait_for_more()
    program.kill()
    report |= _finish(home, url, models)
    report["wrong"] += [f"in the end: {what}" for what in wrong(home, url, confirmed, quiet=True, finished=True)]
    report["confirmed"] = dict(Counter(kind for kind, _ in confirmed))
    report["seconds"] = round(time.monotonic() - began)
    return report | {"good": not report["wrong"] and report["kills"] == kills}


class _Program:
    """The program that writes, and what it has confirmed."""

    def __init__(self, home: Path, url: str, models: Path, run: str, confirmed: Confirmed) -> None:
        # Forked from one that has everything imported: what is killed is no start of Python.
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload([__name__])
        self._told, tell = processes.Pipe(duplex=False)
        self._process = processes.Process(target=_write, args=(home, url, models, run, tell))
        self._process.start()
        tell.close()
        self._confirmed, self._more = confirmed, threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._confirmed.append(self._told.recv())
                self._more.set()

    def wait_for_more(self) -> None:
        self._more.clear()
        while self.lives() and not self._more.wait(0.5):
            pass

    def lives(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._reader.join()


def _finish(home: Path, url: str, models: Path) -> dict[str, dict[str, int]]:
    """Do what is left of all uploads, as the next server does, and try again what was given up.

    Returns
    -------
    how many were given up at first, and how many are still, by the reason that the pages show
    """
    by_default(operator)
    with closing(Store.open(url, home)) as store:
        background = Background(store, WorkerConfig(models, provider="cpu"))
        _wait_for_all(background)
        given_up = _failures(store)
        for job in (job for job in store.jobs.recent(_MOST_JOBS) if job.failed):
            store.jobs.retry(job.id)
            background.ask(job.id)
        _wait_for_all(background)
        background.close()
        return {"given up": given_up, "failed again": _failures(store)}


def _failures(store: Store) -> dict[str, int]:
    failed = [job.id for job in store.jobs.recent(_MOST_JOBS) if job.failed]
    return dict(Counter(failure.reason for job in failed for failure in store.jobs.failures(job)))


def _wait_for_all(background: Background) -> None:
    background.start()
    while background.look():
        time.sleep(_RETRY_S)


def wrong(home: Path, url: str, confirmed: Confirmed, *, quiet: bool, finished: bool = False) -> list[str]:
    """What is not as it was confirmed to be, in words; nothing where all is well.

    quiet : whether nobody writes meanwhile
    finished : whether all uploads should be studies
    """
    found = [f"error: {what}" for kind, what in confirmed if kind == "error"]
    if damage := inspection.look(home, url, read_key(home)).damage:
        return [*found, damage]
    by_default(operator)
    with closing(Store.open(url, home)) as store:
        if not (trail := store.trail.verify()).whole:
            found.append(f"the trail: {trail}")
        there = _there(store, confirmed, finished)
        lost = [(kind, what) for kind, what in confirmed if kind in there and what not in there[kind]]
        found += [f"lost: {kind} {what}{_fate(store, what[1]) if kind == 'upload' else ''}" for kind, what in lost]
        gone = {"removed table": "table", "ended session": "session"}
        found += [f"still there: {kind}" for kind, what in confirmed if kind in gone and what in there[gone[kind]]]
        found += _without_picture(store)
        if quiet:
            found += _one_without_the_other(store, there)
    backup = next((what for kind, what in reversed(confirmed) if kind == "backup"), None)
    return found if backup is None else found + _bad_backup(home.parent / f"{backup}.backup")


def _there(store: Store, confirmed: Confirmed, finished: bool) -> dict[str, set[Any]]:
    """What is in the store, by kind of what is confirmed."""
    rows, accounts = list(store.worklist.export()), store.accounts.all()
    there: dict[str, set[Any]] = {
        "study": {row.id for row in rows},
        "review": {review.id for row in rows if row.reviews for review in store.reviews.of(row.id)},
        "table": {table.name for table in store.imported.tables()},
        "threshold": {one.id for one in store.adjustments.history("threshold")},
        "account": {one.id for one in accounts},
        "disabled account": {one.id for one in accounts if one.disabled},
    }
    secrets = [what for kind, what in confirmed if kind in ("session", "ended session")]
    there["session"] = {secret for secret in secrets if store.sessions.look_up(secret, touch=False)}
    if finished:
        keys = {row.study_key for row in rows}
        uploads = [what for kind, what in confirmed if kind == "upload"]
        there["upload"] = {what for what in uploads if store.keys.study(study_uid(what[0])) in keys}
    return there


def _fate(store: Store, job: int) -> str:
    """What the store says of a job whose study is not there."""
    try:
        states = store.jobs.get(job).states
    except StoreError as error:
        return f" ({error})"
    return f" ({states}; {'; '.join(failure.reason for failure in store.jobs.failures(job))})"


def _without_picture(store: Store) -> list[str]:
    """Pictures that the store names and that are no files, now and a moment later."""
    missing = [path for path in _pictures(store) if not (store.volumes / path).is_file()]
    return [f"no picture {path}" for path in missing if path in _pictures(store)]


def _pictures(store: Store) -> set[str]:
    with store.database.reading() as session:
        return {path for path in session.scalars(select(Volume.path)) if path}


def _one_without_the_other(store: Store, there: dict[str, set[Any]]) -> list[str]:
    """Changes that are no line of the trail, and lines without their change."""
    told = Counter(event.action for event in store.trail.export(TrailFilter()) if event.outcome == Outcome.DONE)
    pairs = {
        "review": told[Action.REVIEWED],
        "threshold": told[Action.THRESHOLD_SET],
        "account": told[Action.ACCOUNT_ADDED],
        "disabled account": told[Action.ACCOUNT_DISABLED],
        "table": told[Action.IMPORTED] - told[Action.IMPORT_REMOVED],
    }
    return [f"{len(there[k])} of {k}, {lines} told" for k, lines in pairs.items() if len(there[k]) != lines]


def _bad_backup(path: Path) -> list[str]:
    try:
        backups.check(path, PASSPHRASE)
    except (backups.BackupError, OSError) as error:
        return [f"backup: {error}"]
    return []
