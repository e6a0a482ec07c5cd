"""Bring a database to the newest form of its tables, at every opening."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from ichscope.store.database import NO_TABLES, StoreDamagedError, StoreError

# The newest revision; a test holds it against the files of migrations/versions.
HEAD = "0013"
MIGRATIONS = Path(__file__).parent / "migrations"
# Any number: PostgreSQL lets one process at a time hold it.
_LOCK = 1_229_145_155


def migrate(engine: Engine, folder: Path = MIGRATIONS, head: str = HEAD, expect_tables: bool = False) -> None:
    """Run the migrations that are missing, in one transaction; of two processes that open at once one waits.

    Parameters
    ----------
    expect_tables : refuse a database without any, instead of making them

    Raises
    ------
    StoreDamagedError
        if it has no tables and should have some
    StoreError
        if a newer program made the database
    """
    with engine.connect() as connection:
        found = revision(connection)
        if found == head:
            return
        if found is None and expect_tables:
            raise StoreDamagedError(NO_TABLES)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if revision(connection) != head:
            _upgrade(connection, folder)


def revision(connection: Connection) -> str | None:
    """The revision of a database, or None where it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _upgrade(connection: Connection, folder: Path) -> None:
    # Alembic takes long to load and is needed once in the life of a version.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    current = revision(connection)
    if current and current not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise StoreError(f"A newer ICHScope made this database (revision {current}); this one knows {HEAD} at most.")
    command.upgrade(config, "head")
