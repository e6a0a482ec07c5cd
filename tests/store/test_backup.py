"""Backups: made while others write, put back row for row, refused where one byte is another."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from ichscope.access import NotAllowedError, Right, Role, acting_as, operator
from ichscope.commands.cli import app
from ichscope.home import with_driver
from ichscope.store import Store, StoreError, TrailFilter, database, volumes
from ichscope.store import backup as backups
from ichscope.store.backup import BackupError
from ichscope.store.sealed_stream import CHUNK_BYTES, MAGIC
from tests.support.people import person
from tests.support.postgresql import Server
from tests.support.store_cases import add, content, many, study

PASSPHRASE = b"correct horse battery"
WORDS = "correct horse battery\n"
CHANGED = ("sessions", "tokens", "audit_trail", "audit_ends")


def filled(home: Path, url: str | None = None, studies: int = 12) -> dict[str, Any]:
    """A store with rows of every kind that matter, volumes, and a job with failed and waiting items."""
    store = Store.open(url, home)
    many(store, studies)
    for name in ("a", "b"):
        result = study(name, 0.9)
        path = volumes.save(store.volumes, content(name), result)
        store.results.record(result, content(name), patient_id="P1", volume=path)
    job = store.jobs.start("folder", "night")
    store.jobs.add_items(job, ["/in/ZZTOP", "/in/other"])
    store.jobs.fail(store.jobs.claim(job)[0].id, "damaged")
    store.close()
    return all_of(home, url)


def all_of(home: Path, url: str | None = None) -> dict[str, Any]:
    """Every row of every table but those that a restore changes, every volume, and the key."""
    engine = sa.create_engine(with_driver(url) if url else f"sqlite:///{home}/ichscope.db")
    tables = sa.MetaData()
    tables.reflect(engine)
    kept = {name: table for name, table in tables.tables.items() if name not in CHANGED}
    with engine.connect() as connection:
        rows = {name: sorted(map(repr, connection.execute(sa.select(table)))) for name, table in kept.items()}
    engine.dispose()
    files = sorted(path for path in (home / "volumes").rglob("*") if path.is_file())
    return {"rows": rows, "key": (home / "key").read_text()} | {
        str(path.relative_to(home)): path.read_bytes() for path in files
    }


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "night.ichscope"


def test_every_row_and_volume_comes_back(tmp_path: Path, target: Path) -> None:
    before = filled(tmp_path / "home")
    made, not_told = backups.backup(target, PASSPHRASE, tmp_path / "home")
    assert (made.studies, made.volumes, made.database, not_told) == (14, 4, "sqlite", None)
    assert target.stat().st_mode & 0o077 == 0
    assert backups.check(target, PASSPHRASE) == made
    raw = target.read_bytes()
    assert not [word for word in (b"SQLite", b"cranioscan", before["key"].encode(), b"volumes/") if word in raw]
    restored = backups.restore(target, PASSPHRASE, tmp_path / "new" / "home")
    assert (restored.manifest, restored.aside) == (made, None)
    assert all_of(tmp_path / "new" / "home") == before == all_of(tmp_path / "home")
    assert min(map(len, (before["rows"][name] for name in ("studies", "results", "reviews", "job_items")))) > 1
    assert not [path for home in ("home", "new/home") for path in (tmp_path / home).glob(".*")], "nothing is left"
    store = Store.open(home=tmp_path / "new" / "home")
    assert {item.locator for item in store.jobs.claim(store.jobs.recent()[0].id)} == {"/in/other"}
    assert sum(store.results.load(row.id).volume is not None for row in store.worklist.export()) == 2
    store.close()


def test_a_server_is_dumped_and_put_back(server: Server, tmp_path: Path, target: Path) -> None:
    if not (shutil.which("pg_dump") and shutil.which("pg_restore")):
        pytest.skip("PostgreSQL's client programs are not installed")
    old, new = server.database(), server.database()
    before = filled(tmp_path / "home", old)
    made, not_told = backups.backup(target, PASSPHRASE, tmp_path / "home", old)
    assert (made.studies, made.volumes, made.database, not_told) == (14, 4, "postgresql", None)
    backups.restore(target, PASSPHRASE, tmp_path / "new", new)
    assert all_of(tmp_path / "new", new) == before
    with pytest.raises(BackupError, match=r"is of a postgresql database, and ICHSCOPE_DATABASE_URL says sqlite"):
        backups.restore(target, PASSPHRASE, tmp_path / "other", f"sqlite:///{tmp_path}/other/ichscope.db")
    add(store := Store.open(new, tmp_path / "new"), "later", 0.9)
    store.close()
    backups.restore(target, PASSPHRASE, tmp_path / "new", new, replace=True)
    assert all_of(tmp_path / "new", new) == before


def test_without_pg_dump_a_server_is_not_backed_up(
    server: Server, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.database()
    Store.open(url, tmp_path / "home").close()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match="pg_dump is not installed"):
        backups.backup(target, PASSPHRASE, tmp_path / "home", url)
    assert not target.exists()


def test_a_backup_is_of_one_moment_while_others_write(tmp_path: Path, target: Path) -> None:
    store, ended, written = Store.open(home=tmp_path / "home"), threading.Event(), []

    def write() -> None:
        while not ended.is_set():
            written.append(add(store, f"w{len(written)}", 0.9))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            before = len(written)
            made, _ = backups.backup(target, PASSPHRASE, tmp_path / "home")
            assert before <= made.studies <= len(written) + 1
            backups.restore(target, PASSPHRASE, tmp_path / f"restored {number}")
            rows = all_of(tmp_path / f"restored {number}")["rows"]
            assert len(rows["studies"]) == len(rows["series"]) == len(rows["results"]) == made.studies
    finally:
        ended.set()
        writer.join()
        store.close()
    assert len(written) > 4


def test_one_wrong_byte_anywhere_is_refused(tmp_path: Path, target: Path) -> None:
    filled(tmp_path / "home", studies=1)
    (tmp_path / "home" / "volumes" / "aa").mkdir(exist_ok=True)
    (tmp_path / "home" / "volumes" / "aa" / "large.nii").write_bytes(os.urandom(2 * CHUNK_BYTES))
    backups.backup(target, PASSPHRASE, tmp_path / "home")
    whole = target.read_bytes()
    places = [0, 20, 40, 100, CHUNK_BYTES, CHUNK_BYTES + 100, 2 * CHUNK_BYTES + 50, len(whole) - 20, len(whole) - 1]
    for place in places:
        target.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BackupError):
            backups.restore(target, PASSPHRASE, tmp_path / "new")
    chunk = CHUNK_BYTES + 16
    header = len(MAGIC) + 28
    cut = [whole[: header + chunk], whole[:-1], whole[:header], b"", whole + b"x", whole + whole[header:]]
    swapped = whole[:header] + whole[header + chunk : header + 2 * chunk] + whole[header : header + chunk]
    for other in (*cut, swapped + whole[header + 2 * chunk :]):
        target.write_bytes(other)
        with pytest.raises(BackupError):
            backups.restore(target, PASSPHRASE, tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(), "nothing of it was put anywhere"
    target.write_bytes(whole)
    with pytest.raises(BackupError, match="the passphrase is another one, or"):
        backups.restore(target, b"another passphrase", tmp_path / "new")
    backups.restore(target, PASSPHRASE, tmp_path / "new")


def test_a_store_that_is_there_is_moved_aside_only_when_asked(tmp_path: Path, target: Path) -> None:
    home = tmp_path / "home"
    before = filled(home)
    backups.backup(target, PASSPHRASE, home)
    store = Store.open(home=home)
    add(store, "later", 0.9)
    later = all_of(home)
    with pytest.raises(BackupError, match=r"There is a store .* already; --replace"):
        backups.restore(target, PASSPHRASE, home)
    with pytest.raises(BackupError, match="Another program has the store open"):
        backups.restore(target, PASSPHRASE, home, replace=True)
    store.close()
    assert all_of(home) == later
    aside = backups.restore(target, PASSPHRASE, home, replace=True).aside
    assert all_of(home) == before
    assert aside is not None
    assert all_of(aside) == later


@pytest.mark.parametrize("what", ["a damaged database", "an empty one", "none", "no key"])
def test_a_damaged_store_is_replaced(tmp_path: Path, target: Path, what: str) -> None:
    home = tmp_path / "home"
    before = filled(home)
    backups.backup(target, PASSPHRASE, home)
    path = home / ("key" if what == "no key" else "ichscope.db")
    path.unlink()
    if what == "a damaged database":
        path.write_bytes(os.urandom(50_000))
    elif what == "an empty one":
        path.touch()
    backups.restore(target, PASSPHRASE, home, replace=True)
    assert all_of(home) == before


def test_a_newer_backup_is_refused(tmp_path: Path, target: Path) -> None:
    filled(tmp_path / "home")
    with sqlite3.connect(tmp_path / "home" / "ichscope.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    backups.backup(target, PASSPHRASE, tmp_path / "home")
    with pytest.raises(BackupError, match="A newer ICHScope made the backup"):
        backups.restore(target, PASSPHRASE, tmp_path / "new")


def test_a_damaged_database_is_not_backed_up_over_a_good_backup(tmp_path: Path, target: Path) -> None:
    filled(tmp_path / "home")
    backups.backup(target, PASSPHRASE, tmp_path / "home")
    good = target.read_bytes()
    with (tmp_path / "home" / "ichscope.db").open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(40_000))
    with pytest.raises(BackupError, match=r"The database cannot be read .* nothing was backed up"):
        backups.backup(target, PASSPHRASE, tmp_path / "home")
    assert target.read_bytes() == good


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from ichscope.access import by_default, operator
from ichscope.store import backup as backups
by_default(operator)
home, file, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
steps = iter(range(1_000_000))
def dying(real):
    def call(*args, **kwargs):
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
if sys.argv[4] == "backup":
    backups._copy_database, backups._add = dying(backups._copy_database), dying(backups._add)
    backups._member = dying(backups._member)
    backups.backup(file, b"correct horse battery", home)
else:
    backups._extract, backups.shutil.move = dying(backups._extract), dying(backups.shutil.move)
    backups.shutil.copyfile = dying(backups.shutil.copyfile)
    Path.rename, Path.replace = dying(Path.rename), dying(Path.replace)
    backups.restore(file, b"correct horse battery", home, replace=True)
"""


def kill(home: Path, file: Path, step: int, what: str) -> bool:
    """Whether it was killed before it came to its end."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(home), str(file), str(step), what], check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


@pytest.mark.slow
def test_a_backup_that_is_killed_leaves_the_old_one_and_no_plain_text(tmp_path: Path, target: Path) -> None:
    before = filled(tmp_path / "home", studies=2)
    target.write_bytes(b"the one before")
    steps = 0
    while kill(tmp_path / "home", target, steps, "backup"):
        assert target.read_bytes() == b"the one before"
        assert all_of(tmp_path / "home") == before
        steps += 1
    assert steps > 6
    backups.restore(target, PASSPHRASE, tmp_path / "new")
    assert all_of(tmp_path / "new") == before
    assert not list((tmp_path / "home").glob(".*")), "what killed ones left is gone"


@pytest.mark.slow
def test_a_restore_that_is_killed_is_never_taken_for_a_new_store(tmp_path: Path, target: Path) -> None:
    home = tmp_path / "home"
    before = filled(home, studies=2)
    backups.backup(target, PASSPHRASE, home)
    steps = 0
    while kill(home, target, steps, "restore"):
        studies = None
        with suppress(StoreError):  # half a store is refused
            store = Store.open(home=home)
            studies = store.worklist.counts().total
            store.close()
        assert studies in (None, 4)
        steps += 1
    assert steps > 6
    assert all_of(home) == before


# ---- who is let in, and what the audit trail tells --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_lets_nobody_in_and_the_trail_goes_on(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, target: Path
) -> None:
    server = request.getfixturevalue("server") if kind == "postgresql" else None
    old, new = (server.database(), server.database()) if server else (None, None)
    with closing(Store.open(old, tmp_path / "home")) as store:
        ann = store.accounts.add("Ann", Role.READER, WORDS.strip()).id
        session = store.sessions.begin(ann)
        program = store.tokens.add("PACS", [Right.SEE], timedelta(days=9))[1]
        store.tokens.revoke(store.tokens.add("Old", [Right.SEE], timedelta(days=9))[0].id)
    made, _ = backups.backup(target, PASSPHRASE, tmp_path / "home", old)
    with closing(Store.open(old, tmp_path / "home")) as store:
        (line,) = store.trail.events(TrailFilter(action="backup made"))
        assert (line.who, line.via, line.key) == (operator().name, "command", made.created_at)
        assert line.details == {"studies": 0, "volumes": 0, "bytes": made.bytes}
        assert store.sessions.look_up(session), "a backup signs nobody out"
        assert store.tokens.look_up(program)
    done = backups.restore(target, PASSPHRASE, tmp_path / "new", new)
    assert (done.sessions, done.tokens) == (1, 1)
    with closing(Store.open(new, tmp_path / "new")) as store:
        assert store.sessions.look_up(session) is None
        assert store.tokens.look_up(program) is None
        restored, revoked, ended = store.trail.events(TrailFilter(), limit=3)
        assert (restored.action, restored.key) == ("store restored", made.created_at)
        assert restored.details == {"sessions": 1, "tokens": 1}
        assert (revoked.action, ended.action, ended.details["sessions"]) == ("token revoked", "signed out", 1)
        found = store.trail.verify()
        assert (found.problem, found.lines) == ("", 8)
        assert store.accounts.check("Ann", WORDS.strip()), "who has a password signs in anew"


def test_a_backup_is_kept_where_its_line_cannot_be_written(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "home", studies=1)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 1)
    with closing(sqlite3.connect(tmp_path / "home" / "ichscope.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        made, not_told = backups.backup(target, PASSPHRASE, tmp_path / "home")
    assert "another program has kept it locked" in str(not_told)
    assert backups.check(target, PASSPHRASE) == made


def test_a_backup_before_an_upgrade_changes_nothing(tmp_path: Path, target: Path) -> None:
    filled(tmp_path / "home", studies=1)
    with closing(sqlite3.connect(tmp_path / "home" / "ichscope.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0008'")
    before = all_of(tmp_path / "home")
    made, not_told = backups.backup(target, PASSPHRASE, tmp_path / "home")
    assert (made.revision, "another version" in str(not_told)) == ("0008", True)
    assert all_of(tmp_path / "home") == before


def test_only_admins_make_and_restore_backups(tmp_path: Path, target: Path) -> None:
    filled(tmp_path / "home", studies=1)
    with acting_as(person("Quinn", Role.QA)):
        with pytest.raises(NotAllowedError, match="only admin may"):
            backups.backup(target, PASSPHRASE, tmp_path / "home")
        with pytest.raises(NotAllowedError, match="only admin may"):
            backups.restore(target, PASSPHRASE, tmp_path / "new")
    assert not target.exists()


# ---- the commands --------------------------------------------------------------------------------------------


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    monkeypatch.delenv("ICHSCOPE_BACKUP_PASSPHRASE", raising=False)
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


def test_the_commands(
    call: Callable[..., Result], tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("backup", target).exit_code == 2, "without a passphrase"
    words = tmp_path / "words"
    words.write_text(WORDS)
    done = call("backup", target, "--passphrase-file", words)
    assert (done.exit_code, "There is no store" in done.output) == (1, True)
    before = filled(tmp_path / "home")
    assert "written, 14 studies, 4 files of volumes" in call("backup", target, "--passphrase-file", words).output
    monkeypatch.setenv("ICHSCOPE_BACKUP_PASSPHRASE", WORDS.strip())
    assert "whole, 14 studies" in call("backup", target, "--check").output
    assert call("restore", target).exit_code == 1
    done = call("restore", target, "--replace")
    assert done.exit_code == 0, done.output
    assert "Restored: 14 studies" in done.output
    assert "All sessions have ended (0), all tokens are revoked (0)" in done.output
    assert all_of(tmp_path / "home") == before
    monkeypatch.setenv("ICHSCOPE_BACKUP_PASSPHRASE", "short")
    assert "too short" in call("backup", target).output
    monkeypatch.setenv("ICHSCOPE_BACKUP_PASSPHRASE", "another passphrase")
    assert "the passphrase is another one" in call("restore", target, "--replace").output
    assert call("backup", tmp_path / "nowhere" / "x").exit_code == 2


def test_a_full_disk_leaves_no_backup_and_says_so(tmp_path: Path, target: Path) -> None:
    filled(tmp_path / "home")
    command = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); from ichscope.commands.cli import app; app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, "backup", str(target)],
        env={**os.environ, "ICHSCOPE_HOME": str(tmp_path / "home"), "ICHSCOPE_BACKUP_PASSPHRASE": WORDS.strip()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "No backup was made" in done.stderr or "nothing was backed up" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(target.parent.iterdir()) == []


def test_passphrases_are_slow_to_try(tmp_path: Path, target: Path) -> None:
    """OWASP asks for 19 MiB and 2 rounds at least; that is no matter of microseconds."""
    filled(tmp_path / "home", studies=1)
    backups.backup(target, PASSPHRASE, tmp_path / "home")
    began = time.process_time()
    with pytest.raises(BackupError):
        backups.check(target, b"another passphrase")
    assert time.process_time() - began > 0.02
