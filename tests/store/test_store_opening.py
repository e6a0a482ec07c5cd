"""Opening, migrating, and databases that cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from ichscope.home import with_driver
from ichscope.imaging.series import SeriesFacts
from ichscope.store import Filter, Store, StoreDamagedError, StoreError
from ichscope.store.database import open_engine
from ichscope.store.imported_tables import as_texts
from ichscope.store.migrate import HEAD, MIGRATIONS, migrate, revision
from ichscope.store.tables import Base
from tests.support.postgresql import Server
from tests.support.store_cases import add, content, study

# Written by the first revision, with the program of that time; never to be made anew.
FIRST = Path(__file__).with_name("revision_0001.sql")
FIRST_KEY = "11" * 32
# Written by ICHScope 0.3, whose every series was a study of its own.
SERIES_AS_STUDIES = Path(__file__).with_name("revision_0006.sql")
# Tables that came after all of these, and the one row that a store begins with.
_LATER_TABLES = (
    *("accounts", "sessions", "tokens", "attempts", "folders", "audit_trail"),
    *("outgoing", "patient_merges", "received_reports"),
)
LATER = dict.fromkeys(_LATER_TABLES, 0) | {"audit_ends": 1}

NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "next", "{head}"
def upgrade():
    op.add_column("studies", sa.Column("added", sa.Text(), nullable=False, server_default="x"))
"""


def test_tables_are_what_the_migrations_make(store: Store) -> None:
    with store.database.engine.connect() as connection:
        # Moments are kept as numbers, which the database cannot know.
        context = MigrationContext.configure(connection, opts={"compare_type": lambda *_: None})
        assert compare_metadata(context, Base.metadata) == []
        assert revision(connection) == HEAD


def test_head_is_the_newest_of_one_line_of_revisions() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_a_database_of_the_first_revision_opens_with_all_its_rows(
    url: str, tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    (tmp_path / "key").write_text(FIRST_KEY)
    load(url, tmp_path / "old.db")
    before = count_rows(url)
    store = open_store(url)
    after = count_rows(url)
    assert min(before.values()) > 0, "a table without rows proves nothing"
    # The one row of truth has become a file with one row.
    assert after.pop("imported_tables") == after.pop("raters") == before.pop("truth") == 1
    # Each old row is a study with one series.
    assert after == before | {"adjustments": 0, "series": before["studies"], "series_choices": 0} | LATER
    first, second, third = store.worklist.page(order="oldest")
    assert (first.priority, second.priority, third.priority) == ("likely", "negative", "not analysed")
    assert {row.institution for row in (first, second, third)} == {""}
    assert [model.version for model in first.models] == ["1.0", "2.0"]
    assert [review.reader for review in store.reviews.of(first.id)] == ["Ann", "Bob"]
    assert store.results.load(first.id).models["cranioscan"].slice_probability["any"].tolist() == [0.0, 0.875]
    assert [item.locator for item in store.jobs.claim(1, 5)] == ["two", "three"]
    assert store.worklist.page(Filter(key="1.2.3.4"))[0].id == first.id
    assert third.reasons == ("file 1: holds text",)
    (sheet,) = store.imported.tables("truth")
    assert (sheet.sha256, sheet.level, sheet.rows, sheet.imported_at.year) == ("0" * 64, "study", 1, 2026)
    (voice,) = store.imported.raters(sheet.id)
    assert (voice.name, voice.rows.tolist(), voice.labels["any"].tolist()) == ("x", [0], [1.0])
    assert all(np.isnan(values).all() for label, values in voice.labels.items() if label != "any")
    assert as_texts(store.imported.rows(sheet.id).study) == [first.study_key]


@pytest.mark.parametrize("older", ["0002", "0003", "0004", "0005"])
def test_a_database_of_every_revision_opens_with_all_its_rows(
    older: str, url: str, tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    (tmp_path / "key").write_text(FIRST_KEY)
    load(url, tmp_path / "old.db")
    upgrade(url, older)
    before = count_rows(url)
    store = open_store(url)
    named = {"sheets": "imported_tables", "voices": "raters"}
    before = {named.get(name, name): rows for name, rows in before.items()}
    assert count_rows(url) == {"adjustments": 0, "series": before["studies"], "series_choices": 0} | LATER | before
    assert not any(review.signed for study in (1, 2, 3) for review in store.reviews.of(study)), "names were typed"
    assert [(row.slices, row.institution) for row in store.worklist.page(order="oldest")] == [(2, ""), (2, ""), (0, "")]
    assert sum(wait.studies for wait in store.cohorts.read().waits if wait.of == "result") == 3


def test_series_that_were_studies_become_series_of_their_study(
    url: str, tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    (tmp_path / "key").write_text(FIRST_KEY)
    load(url, tmp_path / "old.db", SERIES_AS_STUDIES, "0006")
    before = count_rows(url)
    store = open_store(url)
    after = count_rows(url)
    assert (before["studies"], after["studies"], after["series"]) == (8, 6, 8)
    for name in ("findings", "results", "volumes", "reviews", "adjustments", "jobs", "job_items", "settings"):
        assert after[name] == before[name] > 0, name
    assert (after["imported_tables"], after["raters"]) == (before["sheets"], before["voices"]) == (1, 1)

    rows = {row.id: row for row in store.worklist.page(order="oldest")}
    examination = rows[1]
    assert (examination.series_id, examination.series_count) == (2, 3), "the thick soft-tissue series speaks"
    assert "a bone kernel" in examination.series_reason
    assert "slices of 0.6 mm" in examination.series_reason
    assert examination.score == pytest.approx(0.9)
    assert [series.id for series in store.series.of(1)] == [2, 1, 3]
    assert store.results.load_series(3).models["cranioscan"].probability["any"] == pytest.approx(0.1)
    # Both reviews are the study's now; their marks stay with the slices that they were made on.
    assert [(review.reader, review.series, review.marks) for review in store.reviews.of(1)] == [
        ("Ann", 1, {1: ("any",)}),
        ("Bob", 2, {2: ("subdural",)}),
    ]
    assert (examination.reviews, examination.readers) == (2, ("Ann", "Bob"))
    # Ann affirmed that the thin series shows nothing, Bob that the thick one does: now they speak of one study.
    assert examination.agreement == "conflict"
    assert rows[1].arrived_at < rows[4].arrived_at


def test_no_study_is_lost_where_two_patients_had_one_identifier(
    url: str, tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    (tmp_path / "key").write_text(FIRST_KEY)
    load(url, tmp_path / "old.db", SERIES_AS_STUDIES, "0006")
    store = open_store(url)
    first, second = (store.worklist.row(number) for number in (6, 7))
    assert (first.series_count, second.series_count) == (1, 1)
    assert first.study_key != second.study_key
    assert (first.priority, second.priority) == ("likely", "negative")
    # What comes in later finds its own patient's study.
    result = study("D", 0.8, study=content("D")[:16], series="a third series")
    assert store.results.record(result, content("a third series"), patient_id="P5") == second.id
    assert store.results.record(result, content("a fourth series"), patient_id="P4") == first.id
    assert store.results.record(result, content("a fifth series")) == first.id, "without a patient: the first"


def test_series_with_the_finding_of_a_contrast_agent_get_it_as_a_fact(
    url: str, tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    (tmp_path / "key").write_text(FIRST_KEY)
    load(url, tmp_path / "old.db", SERIES_AS_STUDIES, "0006")
    upgrade(url, "0009")
    engine = open_engine(with_driver(url))
    found = "INSERT INTO findings (series_id, place, level, code, text) VALUES (:series, :place, 'warning', :code, '')"
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        for place, (series, code) in enumerate(((3, "contrast"), (3, "kvp"), (4, "kvp")), 50):
            connection.execute(sa.text(found), {"series": series, "place": place, "code": code})
        before = dict(connection.execute(sa.text("SELECT id, facts FROM series")).all())
    rows = count_rows(url)
    speak = "SELECT id, series_id, series_reason FROM studies"
    with engine.connect() as connection:
        spoke = connection.execute(sa.text(speak)).all()
    open_store(url)
    assert count_rows(url) == rows | LATER
    with engine.connect() as connection:
        after = dict(connection.execute(sa.text("SELECT id, facts FROM series")).all())
        assert connection.execute(sa.text(speak)).all() == spoke
    engine.dispose()
    facts = {series: as_facts(text) for series, text in after.items()}
    assert {series for series, fact in facts.items() if fact.contrast} == {3, 5}
    facts[3] = replace(facts[3], contrast=False)
    assert facts == {series: as_facts(text) for series, text in before.items()}


def as_facts(text: Any) -> SeriesFacts:
    """Facts of a series as a database keeps them: SQLite as text, PostgreSQL as what it says."""
    return SeriesFacts(**(json.loads(text) if isinstance(text, str) else text))


def test_a_migration_that_is_killed_leaves_the_old_tables(tmp_path: Path) -> None:
    load(f"sqlite:///{tmp_path}/ichscope.db", tmp_path / "old.db", SERIES_AS_STUDIES)
    (tmp_path / "key").write_text(FIRST_KEY)
    killed = (
        "import os, signal, sys; from pathlib import Path; from alembic import op; import ichscope.store.migrate;"
        "real = op.drop_table;"
        "op.drop_table = lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == 'studies' else real(name);"
        "from ichscope.store import Store; Store.open(home=Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert count_rows(f"sqlite:///{tmp_path}/ichscope.db")["studies"] == 8
    store = Store.open(home=tmp_path)
    assert store.worklist.counts().total == 6
    store.close()


def load(url: str, dump: Path, text: Path = FIRST, at: str = "0001") -> None:
    """Make a database of an old revision; a server's gets the rows of SQLite's."""
    connection = sqlite3.connect(dump)
    connection.executescript(text.read_text(encoding="utf-8"))
    connection.close()
    if url.startswith("sqlite"):
        dump.rename(make_url(url).database or "")
        return
    upgrade(url, at)
    here, there = open_engine(f"sqlite:///{dump}"), open_engine(with_driver(url))
    tables = sa.MetaData()
    tables.reflect(there)
    with here.connect() as source, there.begin() as target:
        for table in tables.sorted_tables:
            rows = [dict(row) for row in source.execute(sa.select(table)).mappings()]
            if rows and table.name != "alembic_version":
                target.execute(table.insert(), rows)
    here.dispose()
    there.dispose()


def upgrade(url: str, to: str) -> None:
    """Bring a database to a revision that a program of its time would have made."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = open_engine(with_driver(url))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    engine.dispose()


def count_rows(url: str) -> dict[str, int]:
    engine = sa.create_engine(with_driver(url))
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        counts = {name: connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) for name in names}
    engine.dispose()
    return counts


def with_next_revision(folder: Path) -> Path:
    """The migrations of the program, and one more."""
    (folder / "versions").mkdir(parents=True)
    for path in (MIGRATIONS / "env.py", MIGRATIONS / "script.py.mako", *(MIGRATIONS / "versions").glob("*.py")):
        (folder / path.relative_to(MIGRATIONS)).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "versions" / "next.py").write_text(NEXT.format(head=HEAD), encoding="utf-8")
    return folder


def test_an_upgrade_keeps_rows_and_an_older_program_then_refuses(
    url: str, tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    store = open_store(url)
    ids = [add(store, name, 0.9) for name in ("a", "b")]
    migrate(store.database.engine, with_next_revision(tmp_path / "100% new"), "next")
    with store.database.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT id, added FROM studies ORDER BY id")).all() == [(i, "x") for i in ids]
    with pytest.raises(StoreError, match="A newer ICHScope made this database"):
        open_store(url)


def test_a_failed_upgrade_leaves_the_old_tables(url: str, tmp_path: Path, open_store: Callable[[str], Store]) -> None:
    store = open_store(url)
    add(store, "a", 0.9)
    folder = with_next_revision(tmp_path / "new")
    with (folder / "versions" / "next.py").open("a") as file:
        file.write("    raise RuntimeError\n")
    with pytest.raises(RuntimeError):
        migrate(store.database.engine, folder, "next")
    assert open_store(url).worklist.counts().total == 1
    assert "added" not in {column["name"] for column in sa.inspect(store.database.engine).get_columns("studies")}


def test_several_that_open_at_once_make_the_tables_once(url: str, tmp_path: Path) -> None:
    gate, opened, errors = threading.Barrier(3), [], []

    def open_one() -> None:
        gate.wait()
        try:
            opened.append(Store.open(url, tmp_path))
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(opened) == 3
    for store in opened:
        assert store.worklist.counts().total == 0
        store.close()


def test_a_new_file_that_another_is_turning_to_its_log_is_waited_for(tmp_path: Path) -> None:
    """SQLite says at once that it is busy when two do this together, whatever its time-out."""

    class Busy(sqlite3.Cursor):
        refusals = 2

        def execute(self, sql: str, parameters: Any = ()) -> Busy:
            if sql == "PRAGMA journal_mode = WAL" and Busy.refusals:
                Busy.refusals -= 1
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            super().execute(sql, parameters)
            return self

    class BusyConnection(sqlite3.Connection):
        def cursor(self, factory: Any = Busy) -> Any:
            return super().cursor(factory)

    engine = open_engine(f"sqlite:///{tmp_path}/new.db")
    sa.event.listen(engine, "do_connect", lambda *_: BusyConnection(tmp_path / "new.db", check_same_thread=False))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
    assert not Busy.refusals
    engine.dispose()


def test_another_key_is_refused(url: str, tmp_path: Path, open_store: Callable[[str], Store]) -> None:
    open_store(url)
    key = tmp_path / "elsewhere" / "key"
    with pytest.raises(StoreError, match=f"a key that is not there any more: expected it in {key}"):
        Store.open(url, key.parent)
    assert not key.exists(), "a new key would be no help"
    key.write_text("22" * 32)
    with pytest.raises(StoreError, match="made with another key"):
        Store.open(url, key.parent)
    assert key.read_text() == "22" * 32


def test_everything_lies_at_home_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "new" / "home"))
    store = Store.open()
    try:
        assert store.volumes == tmp_path / "new" / "home" / "volumes"
        assert {path.name for path in store.volumes.parent.iterdir()} >= {"key", "ichscope.db"}
        with store.database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    finally:
        store.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "no database URL"),
        ("sqlite:////proc/none/x.db", "folder cannot be made"),
        ("postgresql://nobody@/none?host=/nowhere", "the connection to it is lost"),
        ("mysql+pymysql://u:secret@h/d", "driver pymysql is not installed"),
        ("oops://u:secret@h/d", "no database URL"),
    ],
)
def test_a_database_that_cannot_be_had_is_said(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        Store.open(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"something else " * 100)
    with pytest.raises(StoreDamagedError, match=r"its file is something else.*ichscope restore"):
        Store.open(f"sqlite:///{tmp_path}/x.db", tmp_path)
    assert (tmp_path / "x.db").read_bytes() == b"something else " * 100


def test_a_database_that_is_gone_is_said_never_made_anew_and_its_return_is_noticed(tmp_path: Path) -> None:
    home, away = tmp_path / "100% a#b", tmp_path / "away"
    store = Store.open(home=home)
    add(store, "a", 0.9)
    home.rename(away)
    home.mkdir()  # as the place of a mount that is gone
    for _ in range(2):
        with pytest.raises(StoreError, match="its file cannot be opened"):
            add(store, "b", 0.9)
    assert list(home.iterdir()) == []
    home.rmdir()
    away.rename(home)
    add(store, "b", 0.9)
    assert store.worklist.counts().total == 2
    # A copy that was put in its place is what counts from then on.
    store.database.tidy()
    database = home / "ichscope.db"
    shutil.copyfile(database, tmp_path / "copy")
    add(store, "c", 0.9)
    for path in home.glob("ichscope.db*"):
        path.unlink()
    (tmp_path / "copy").rename(database)
    assert store.worklist.counts().total == 2
    add(store, "d", 0.9)
    store.close()
    reopened = Store.open(home=home)
    assert reopened.worklist.counts().total == 3
    reopened.close()


@pytest.mark.parametrize("left", ["nothing", "an empty file", "a database without tables"])
def test_an_empty_database_beside_a_key_is_no_new_store(tmp_path: Path, left: str) -> None:
    store = Store.open(home=tmp_path)
    add(store, "a", 0.9)
    store.close()
    database = tmp_path / "ichscope.db"
    database.unlink()
    if left == "an empty file":
        database.touch()
    elif left == "a database without tables":
        sqlite3.connect(database).execute("PRAGMA journal_mode = WAL")
    for _ in range(2):  # nor at the next try
        with pytest.raises(StoreDamagedError, match=r"missing or empty, and yet there is a key.*ichscope restore"):
            Store.open(home=tmp_path)
    (tmp_path / "key").unlink()
    Store.open(home=tmp_path).close()


def test_a_first_opening_that_is_killed_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / "ichscope.db").touch()
    killed = (
        "import os, signal, sys; from pathlib import Path; from ichscope import home; from ichscope.store import Store;"
        "home._make_key = lambda path: os.kill(os.getpid(), signal.SIGKILL); Store.open(home=Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    Store.open(home=tmp_path).close()


def test_a_damaged_database_is_said_with_what_to_do(tmp_path: Path) -> None:
    store = Store.open(home=tmp_path)
    for number in range(20):
        add(store, number, 0.9)
    store.close()
    with (tmp_path / "ichscope.db").open("r+b") as file:
        rest = file.seek(0, 2) - 4096
        file.seek(4096)
        file.write(os.urandom(rest))
    with pytest.raises(StoreDamagedError, match=r"its file is damaged.*ichscope restore"):
        Store.open(home=tmp_path).worklist.page()


def test_a_damaged_key_is_said(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    with pytest.raises(StoreError, match="expected 64 hexadecimal digits"):
        Store.open(f"sqlite:///{tmp_path}/x.db", tmp_path)


def test_a_server_that_goes_away_is_said_and_its_return_is_noticed(
    server: Server, open_store: Callable[[str], Store]
) -> None:
    store = open_store(server.database())
    add(store, "a", 0.9)
    server.stop()
    try:
        with pytest.raises(StoreError, match="the connection to it is lost"):
            add(store, "b", 0.9)
    finally:
        server.start()
    assert [row.slices for row in store.worklist.page()] == [2]
    add(store, "b", 0.9)
    assert store.worklist.counts().total == 2


def test_engine_shows_no_values_in_errors(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError) as caught:
        connection.execute(sa.text("SELECT :name FROM nothing"), {"name": "DOE"})
    engine.dispose()
    assert "DOE" not in str(caught.value)
