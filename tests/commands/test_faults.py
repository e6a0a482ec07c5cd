"""Faults that are caused for real: each ends in a clear state, and the same command goes on when it is over."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ichscope import phantom
from ichscope.models.card import HEAD_FILE
from ichscope.store import Store
from tests.support import tiny_model
from tests.support.study_folders import write_studies

STUDIES = 3
SLICES, SIZE = 8, 128
# Mounts of its own, as root or as a user who may be root there; nothing outside sees them.
MOUNTS = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--user", "--map-root-user")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some studies, and models."""
    folder = tmp_path_factory.mktemp("night")
    write_studies(folder / "in", STUDIES, SLICES, SIZE)
    tiny_model.build(folder / "models", name="cranioscan")
    return folder


def batch(
    night: Path, home: Path, before: str = "", shell: str = "", after: str = ":"
) -> subprocess.CompletedProcess[str]:
    """`ichscope batch` in a process of its own.

    before : Python that is run first
    shell, after : commands before and after it, in a mount namespace of its own
    """
    program = f"import sys; {before}\nfrom ichscope.commands.cli import app; app()"
    models = ("--models-folder", str(night / "models"), "--provider", "cpu", "--workers", "1")
    command = [sys.executable, "-c", program, "batch", str(night / "in"), *models]
    if shell:
        command = [*MOUNTS, "sh", "-ec", f'{shell}; code=0; "$@" || code=$?; {after}; exit $code', "sh", *command]
    environment = {name: value for name, value in os.environ.items() if name != "ICHSCOPE_DATABASE_URL"}
    return subprocess.run(
        command, env=environment | {"ICHSCOPE_HOME": str(home)}, capture_output=True, text=True, check=False
    )


def stopped(done: subprocess.CompletedProcess[str], says: str) -> None:
    """It ended in the state that the documents promise: code 4, in words, and without a traceback."""
    assert done.returncode == 4, done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def all_there(home: Path) -> None:
    store = Store.open(home=home)
    try:
        rows = list(store.worklist.export())
        assert len(rows) == STUDIES
        assert all(row.models and store.results.load(row.id).volume is not None for row in rows)
        assert not any(job.pending or job.running or job.failed for job in store.jobs.recent())
    finally:
        store.close()
    with sqlite3.connect(home / "ichscope.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def goes_on(night: Path, home: Path) -> None:
    done = batch(night, home)
    assert done.returncode == 0, done.stderr
    all_there(home)


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return not subprocess.run(
        [*MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    ).returncode


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this account may not mount anything, even for itself")


@needs_mounts
def test_a_disk_that_is_full(night: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    Store.open(home=home).close()
    # The store and one volume have room, a second volume has none. What was written is carried over afterwards.
    volume = SLICES * SIZE * SIZE * 2
    room = (home / "ichscope.db").stat().st_size * 3 + volume + volume // 2
    mount = f"mount -t tmpfs -o size={room} none /mnt; cp -a {home}/. /mnt; mount --bind /mnt {home}"
    done = batch(night, home, shell=mount, after=f"cp -a /mnt {tmp_path}/kept")
    stopped(done, "no room left on the disk|No space left on device")
    shutil.rmtree(home)
    (tmp_path / "kept").rename(home)
    assert not list(home.rglob("*.part.*")), "no half of a volume"
    goes_on(night, home)


def test_a_file_that_may_not_grow(night: Path, tmp_path: Path) -> None:
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    done = batch(night, tmp_path / "home", f"{limit} resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))")
    stopped(done, "cannot be written|cannot be read or written|no room left")
    goes_on(night, tmp_path / "home")


@needs_mounts
def test_a_home_that_is_read_only(night: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    read_only = f"mount --bind {home} {home}; mount -o remount,bind,ro {home}"
    stopped(batch(night, home, shell=read_only), "Read-only file system|cannot be opened")
    Store.open(home=home).close()
    stopped(batch(night, home, shell=read_only), "may not be written|cannot be opened")
    goes_on(night, home)


def test_a_database_that_is_locked_for_long(night: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    Store.open(home=home).close()
    other = sqlite3.connect(home / "ichscope.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    short = "from ichscope.store import database; database._BUSY_SECONDS = 1"
    stopped(batch(night, home, short), "another program has kept it locked")
    other.close()
    goes_on(night, home)


def test_a_database_that_is_damaged(night: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    goes_on(night, home)
    good = (home / "ichscope.db").read_bytes()
    (home / "ichscope.db").write_bytes(good[:8192] + os.urandom(len(good) - 8192))
    done = batch(night, home)
    stopped(done, "its file is damaged. .*ichscope restore")
    assert "What is done is kept" not in done.stderr
    (home / "ichscope.db").write_bytes(b"")
    stopped(batch(night, home), "missing or empty, and yet there is a key")
    (home / "ichscope.db").write_bytes(good)
    goes_on(night, home)


def test_a_model_that_is_damaged(night: Path, tmp_path: Path) -> None:
    shutil.copytree(night, tmp_path / "night")
    damaged = tmp_path / "night" / "models" / "cranioscan" / HEAD_FILE
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    done = batch(tmp_path / "night", tmp_path / "home")
    assert (done.returncode, "not loaded" in done.stderr) == (2, True), done.stderr
    damaged.write_bytes(good)
    goes_on(tmp_path / "night", tmp_path / "home")


@pytest.mark.slow
def test_a_worker_that_is_out_of_memory(night: Path, tmp_path: Path) -> None:
    """While it works on one large series the process may not grow: that one fails and can be tried again."""
    shutil.copytree(night, tmp_path / "night")
    for dataset in phantom.datasets(phantom.make("subdural", 0, 12, SIZE)):
        dataset.PixelData = dataset.pixel_array.repeat(16, axis=0).repeat(16, axis=1).tobytes()
        dataset.Rows = dataset.Columns = 16 * SIZE
        dataset.PixelSpacing = [side / 16 for side in dataset.PixelSpacing]
        (tmp_path / "night" / "in" / "x").mkdir(exist_ok=True)
        (tmp_path / "night" / "in" / "x" / f"{dataset.InstanceNumber}.dcm").write_bytes(phantom.to_bytes(dataset))
    limit = (
        "import resource; from ichscope.batch import workers; real = workers.analyse\n"
        "def analyse(setup, group, *more):\n"
        "    if len(group.sources) == 12:\n"
        "        now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + (32 << 20)\n"
        "        resource.setrlimit(resource.RLIMIT_AS, (now, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        return real(setup, group, *more)\n"
        "    finally:\n"
        "        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)\n"
        "workers.analyse = analyse\n"
    )
    done = batch(tmp_path / "night", tmp_path / "home", limit)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    store = Store.open(home=tmp_path / "home")
    rows = list(store.worklist.export())
    store.close()
    assert sum(bool(row.models) for row in rows) == STUDIES, "the others are done"
    assert [row.reasons[0].endswith("unexpected MemoryError") for row in rows if not row.models] == [True]
    done = batch(tmp_path / "night", tmp_path / "home")
    assert done.returncode == 0, done.stderr
    store = Store.open(home=tmp_path / "home")
    assert sum(bool(row.models) for row in store.worklist.export()) == STUDIES + 1
    store.close()
