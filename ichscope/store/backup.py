"""Backups of a store: database, key and volumes in one encrypted file, made while others go on writing.

The file is a TAR archive in a sealed stream. Its last member, the manifest, has size and SHA-256 of all others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO, Literal

from sqlalchemy import make_url

from ichscope import __version__
from ichscope import home as places
from ichscope.access import events
from ichscope.access.actor import current_actor
from ichscope.access.roles import Right
from ichscope.atomic import replacing
from ichscope.errors import IchscopeError
from ichscope.store import Store
from ichscope.store.database import SIDE_FILES, StoreError
from ichscope.store.migrate import HEAD
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.sealed_stream import SealedReader, SealedStreamError, SealedWriter

SHORTEST_PASSPHRASE = 12
_FORMAT = 1
_MANIFEST = "manifest.json"
_DUMP = "ichscope.dump"
# What a backup may hold; a name decides where a file is put.
_NAMES = re.compile(rf"{places.KEY_FILE}|{re.escape(places.DATABASE_FILE)}|{re.escape(_DUMP)}|volumes/../[^/]+\.nii")
_SCRATCH = ".backup-"
_ASIDE = "before-restore"
_COPY_BYTES = 1 << 20

Kind = Literal["sqlite", "postgresql"]


class BackupError(IchscopeError):
    """A backup that cannot be made, read or put back; the message says why, and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself.

    revision : of the database's tables
    files : name -> (bytes, SHA-256)
    """

    format: int
    made_by: str
    created_at: str
    database: Kind
    revision: str
    studies: int
    files: dict[str, tuple[int, str]]

    @classmethod
    def read(cls, text: bytes) -> Manifest:
        """Read what `asdict` has as JSON; ValueError or TypeError where it is none."""
        values = json.loads(text)
        return cls(**values | {"files": {name: (size, sha256) for name, (size, sha256) in values["files"].items()}})

    @property
    def volumes(self) -> int:
        """How many files of volumes and evidence it holds."""
        return sum(name.startswith(f"{places.VOLUMES_FOLDER}/") for name in self.files)

    @property
    def bytes(self) -> int:
        """How many bytes it holds, unpacked."""
        return sum(size for size, _ in self.files.values())


# ---- making ------------------------------------------------------------------------------------------------


def backup(
    target: Path, passphrase: bytes, home: Path | None = None, url: str | None = None
) -> tuple[Manifest, StoreError | None]:
    """Write database, key and volumes of a store to a file, whole or not at all; programs may go on meanwhile.

    The database is as it was at one moment. Volumes that are removed meanwhile are missing, as they would be anyway.

    Parameters
    ----------
    home, url : as for Store.open

    Returns
    -------
    what is in it, and why the audit trail does not tell of it; None where it does. A backup of a store that cannot be
    written is worth most

    Raises
    ------
    BackupError
        if there is no store, its database cannot be read, or what is needed for it is not installed
    NotAllowedError
        if whoever acts may not make one
    OSError
        if files cannot be read or written
    """
    folder, url = home or places.home(), url or places.database_url(home)
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise BackupError(f"The passphrase is too short: expected {SHORTEST_PASSPHRASE} characters or more.")
    if not (folder / places.KEY_FILE).is_file():
        raise BackupError(f"There is no store in {folder}: it has no key.")
    current_actor().require(Right.BACKUP)
    places.secure(folder)
    with _scratch(folder) as scratch, replacing(target.absolute()) as part, part.open("xb") as file:
        kind, name, revision, studies = _copy_database(url, scratch)
        sealed = SealedWriter(file, passphrase)
        files: dict[str, tuple[int, str]] = {}
        with tarfile.open(fileobj=sealed, mode="w|", bufsize=_COPY_BYTES) as archive:
            _add(archive, files, name, scratch / name)
            (scratch / name).unlink()
            _add(archive, files, places.KEY_FILE, folder / places.KEY_FILE)
            # After the database: whatever that one knows of is there, unless it is being pruned.
            for path in sorted((folder / places.VOLUMES_FOLDER).glob("??/*.nii")):
                _add(archive, files, path.relative_to(folder).as_posix(), path)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            manifest = Manifest(_FORMAT, __version__, now, kind, revision, studies, files)
            text = json.dumps(asdict(manifest)).encode()
            archive.addfile(_member(_MANIFEST, len(text)), BytesIO(text))
        sealed.finish()
    return manifest, _tell(manifest, folder, url)


def _tell(made: Manifest, folder: Path, url: str) -> StoreError | None:
    """Let the audit trail tell of a backup; gives why it cannot."""
    if made.revision != HEAD:
        return StoreError("The database is of another version than this program, which leaves it as it is.")
    try:
        with closing(Store.open(url, folder)) as store:
            store.trail.record(
                *(Right.BACKUP, events.Action.BACKUP_MADE, events.Kind.STORE, made.created_at),
                studies=made.studies,
                volumes=made.volumes,
                bytes=made.bytes,
            )
    except StoreError as error:
        return error
    return None


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder in the home for what is not encrypted yet; those of killed backups and restores are removed."""
    for left in folder.glob(f"{_SCRATCH}*"):
        if _is_left(left):
            shutil.rmtree(left, ignore_errors=True)
    scratch = places.make(folder / f"{_SCRATCH}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether the process that made a folder is gone."""
    number = folder.name.removeprefix(_SCRATCH).partition("-")[0]
    return not number.isdigit() or not Path(f"/proc/{number}").exists()


def _copy_database(url: str, scratch: Path) -> tuple[Kind, str, str, int]:
    place = make_url(url)
    if place.get_backend_name() == "sqlite" and place.database:
        revision, studies = _copy_sqlite(Path(place.database), scratch / places.DATABASE_FILE)
        return "sqlite", places.DATABASE_FILE, revision, studies
    if place.get_backend_name() != "postgresql":
        raise BackupError(f"Backups are made of SQLite and PostgreSQL, not of {place.get_backend_name()}.")
    revision, studies = _ask_postgresql(url)
    _run_postgresql("pg_dump", url, "--format=custom", "--no-owner", f"--file={scratch / _DUMP}")
    return "postgresql", _DUMP, revision, studies


def _copy_sqlite(database: Path, copy: Path) -> tuple[str, int]:
    try:
        with (
            closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            # In one step, which sees one moment of the database; in several it would begin again at each change.
            source.backup(target, pages=-1)
        return check_sqlite(copy)
    except sqlite3.Error as error:
        raise BackupError(f"The database cannot be read ({error}): nothing was backed up.") from None


def check_sqlite(database: Path) -> tuple[str, int]:
    """Look at every page of an SQLite file; gives the revision of its tables, and how many studies it holds.

    Raises
    ------
    sqlite3.Error
        if it is damaged or no store
    """
    with closing(sqlite3.connect(database)) as connection:
        if (found := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(str(found).splitlines()[0])
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (studies,) = connection.execute("SELECT count(*) FROM studies").fetchone()
    return revision, studies


def _add(archive: tarfile.TarFile, files: dict[str, tuple[int, str]], name: str, path: Path) -> None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        if path.suffix == ".nii":  # pruned meanwhile
            return
        raise
    with file:
        size = os.fstat(file.fileno()).st_size
        hashing = _Hashing(file)
        archive.addfile(_member(name, size), hashing)
    files[name] = (size, hashing.sha256.hexdigest())


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


class _Hashing(BytesIO):
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO | IO[bytes]) -> None:
        super().__init__()
        self._file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._file.read(-1 if size is None else size)
        self.sha256.update(data)
        return data


# ---- reading and putting back ------------------------------------------------------------------------------


def check(source: Path, passphrase: bytes) -> Manifest:
    """Read a backup to its end, and compare every file with its checksum; nothing is written.

    Raises
    ------
    BackupError
        if it is damaged, cut off, no backup, or was made with another passphrase
    OSError
        if it cannot be read
    """
    return _unpack(source, passphrase, None)


@dataclass(frozen=True)
class Restored:
    """What was put back.

    aside : where the store lies now that was there; None where there was none
    sessions, tokens : how many of the backup were ended and revoked
    """

    manifest: Manifest
    aside: Path | None
    sessions: int
    tokens: int


def restore(
    source: Path, passphrase: bytes, home: Path | None = None, url: str | None = None, replace: bool = False
) -> Restored:
    """Put a store back from a backup; where anything is wrong with that, all stays as it was.

    Sessions that have ended since the backup and tokens that were revoked would let people and programs in again: all
    of both end. The audit trail goes on after the last line of the backup, and tells of it.

    Parameters
    ----------
    home, url : as for Store.open
    replace : move a store that is there aside, into a folder of the home

    Raises
    ------
    BackupError
        if the backup is not whole, a store is there, or a program has it open
    NotAllowedError
        if whoever acts may not restore one
    StoreError
        if what was put back cannot be used
    OSError
        if files cannot be written
    """
    folder, url = home or places.home(), url or places.database_url(home)
    place = make_url(url)
    database = Path(place.database or "") if place.get_backend_name() == "sqlite" else None
    old = _there(folder, database)
    if old and not replace:
        raise BackupError(f"There is a store in {folder} already; --replace moves it aside.")
    current_actor().require(Right.BACKUP)
    places.secure(folder)
    with _scratch(folder) as scratch:
        manifest = _unpack(source, passphrase, scratch)
        _check_unpacked(scratch, manifest, url)
        if database is None:
            _restore_postgresql(url, scratch / _DUMP, replace)
            ended = _let_nobody_in(scratch, url, manifest)
        else:
            if database.exists():
                _check_unused(database)
            ended = _let_nobody_in(scratch, f"sqlite:///{scratch / places.DATABASE_FILE}", manifest)
        aside = _move_aside(folder, database) if old else None
        _put(folder, database, scratch)
    return Restored(manifest, aside, *ended)


def _let_nobody_in(scratch: Path, url: str, manifest: Manifest) -> tuple[int, int]:
    """End the sessions and revoke the tokens of what was unpacked, before it is in its place; gives how many."""
    with closing(Store.open(url, scratch)) as store:
        sessions = store.sessions.end_of_everybody()
        valid = [token for token in store.tokens.all() if token.revoked_at is None]
        for token in valid:
            store.tokens.revoke(token.id)
        store.trail.record(
            *(Right.BACKUP, events.Action.STORE_RESTORED, events.Kind.STORE, manifest.created_at),
            sessions=sessions,
            tokens=len(valid),
        )
    return sessions, len(valid)


def _unpack(source: Path, passphrase: bytes, folder: Path | None) -> Manifest:
    """Read a backup; its files go to a folder, if one is given."""
    files: dict[str, tuple[int, str]] = {}
    text = b""
    try:
        with source.open("rb") as file:
            sealed = SealedReader(file, passphrase)
            with tarfile.open(fileobj=sealed, mode="r|", bufsize=_COPY_BYTES) as archive:
                for member in archive:
                    data = archive.extractfile(member)
                    if data is None or text or not (member.name == _MANIFEST or _NAMES.fullmatch(member.name)):
                        raise BackupError(f"{source}: it holds what no backup of this version does.")
                    if member.name == _MANIFEST:
                        text = data.read()
                    else:
                        files[member.name] = _extract(data, folder / member.name if folder else None)
            sealed.finish()
        manifest = Manifest.read(text)
    except SealedStreamError as error:
        raise BackupError(f"{source}: {error}. Nothing was restored.") from None
    except (tarfile.TarError, ValueError, TypeError, KeyError) as error:
        raise BackupError(f"{source}: it is no backup that this version can read ({type(error).__name__}).") from None
    if manifest.format != _FORMAT or manifest.files != files:
        raise BackupError(f"{source}: its files are not what its manifest says. Nothing was restored.")
    return manifest


def _extract(data: IO[bytes], path: Path | None) -> tuple[int, str]:
    hashing = _Hashing(data)
    if path is None:
        size = sum(len(part) for part in iter(lambda: hashing.read(_COPY_BYTES), b""))
    else:
        places.make(path.parent)
        with path.open("xb") as file:
            shutil.copyfileobj(hashing, file, _COPY_BYTES)
            size = file.tell()
            os.fsync(file.fileno())
    return size, hashing.sha256.hexdigest()


def _check_unpacked(scratch: Path, manifest: Manifest, url: str) -> None:
    """Refuse what Store.open would refuse, before anything is moved."""
    here = make_url(url).get_backend_name()
    if here != manifest.database:
        raise BackupError(f"The backup is of a {manifest.database} database, and ICHSCOPE_DATABASE_URL says {here}.")
    if manifest.revision > HEAD:
        raise BackupError(f"A newer ICHScope made the backup ({manifest.made_by}); this one is {__version__}.")
    try:
        key = places.read_key(scratch)
    except ValueError:
        key = None
    if key is None:
        raise BackupError("The backup holds no key.")
    if manifest.database == "postgresql":
        return
    try:
        check_sqlite(scratch / places.DATABASE_FILE)
        with closing(sqlite3.connect(scratch / places.DATABASE_FILE)) as connection:
            (said,) = connection.execute("SELECT value FROM settings WHERE name = 'key'").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise BackupError(f"The database of the backup is damaged ({error}).") from None
    if said != Pseudonymiser(key).hash("key", "check"):
        raise BackupError("The key of the backup is not the one of its database.")


def _there(folder: Path, database: Path | None) -> bool:
    """Whether anything of a store is there that would be lost."""
    volumes = any((folder / places.VOLUMES_FOLDER).glob("??/*.nii"))
    return volumes or (folder / places.KEY_FILE).exists() or (database is not None and database.exists())


def _check_unused(database: Path) -> None:
    """Refuse to take a database away from a program: it would go on writing to what was moved aside."""
    try:
        with closing(sqlite3.connect(database, timeout=1, isolation_level=None)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise BackupError("Another program has the store open: stop all of them first.") from None
    except sqlite3.Error:
        pass  # a damaged one is what backups are for


def _move_aside(folder: Path, database: Path | None) -> Path:
    """Move a store aside. Its key stays until the new one takes its place: whoever opens half a store is refused."""
    aside = places.make(folder / f"{_ASIDE}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    for path in _files_of(database) if database else ():
        if path.exists():
            shutil.move(path, aside / path.name)
    if (folder / places.VOLUMES_FOLDER).exists():
        (folder / places.VOLUMES_FOLDER).rename(aside / places.VOLUMES_FOLDER)
    if (folder / places.KEY_FILE).exists():
        shutil.copyfile(folder / places.KEY_FILE, aside / places.KEY_FILE)
    return aside


def _put(folder: Path, database: Path | None, scratch: Path) -> None:
    """Put what was unpacked in its place; with its key, which comes last, the store is whole."""
    if (scratch / places.VOLUMES_FOLDER).exists():
        (scratch / places.VOLUMES_FOLDER).rename(folder / places.VOLUMES_FOLDER)
    if database is not None:
        places.make(database.parent)
        shutil.move(scratch / places.DATABASE_FILE, database)
    (scratch / places.KEY_FILE).replace(folder / places.KEY_FILE)


def _files_of(database: Path) -> tuple[Path, ...]:
    return (database, *(database.with_name(database.name + side) for side in SIDE_FILES))


# ---- PostgreSQL --------------------------------------------------------------------------------------------

_VARIABLES = {
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
    "dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY", "service": "PGSERVICE", "passfile": "PGPASSFILE",
}  # fmt: skip


def _ask_postgresql(url: str) -> tuple[str, int]:
    from sqlalchemy import text

    from ichscope.store.database import errors_in_words, open_engine

    engine = open_engine(places.with_driver(url))
    try:
        with errors_in_words(), engine.connect() as connection:
            revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return str(revision), int(connection.scalar(text("SELECT count(*) FROM studies")) or 0)
    except StoreError as error:
        raise BackupError(f"{error} Nothing was backed up.") from None
    finally:
        engine.dispose()


def _restore_postgresql(url: str, dump: Path, replace: bool) -> None:
    """Put a dump into a database, all of it or nothing; tables that are there go only where that was asked for."""
    clean = ("--clean", "--if-exists") if replace else ()
    _run_postgresql("pg_restore", url, "--single-transaction", "--no-owner", "--exit-on-error", *clean, str(dump))


def _run_postgresql(program: str, url: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's; where to is said in its environment, since all users see its arguments."""
    from psycopg.conninfo import conninfo_to_dict

    said = conninfo_to_dict(places.without_driver(url))
    if unknown := sorted(set(said) - set(_VARIABLES)):
        raise BackupError(f"{program} cannot be told of {unknown[0]!r} in ICHSCOPE_DATABASE_URL.")
    found = shutil.which(program)
    if found is None:
        raise BackupError(f"{program} is not installed, which backups of PostgreSQL need (Debian: postgresql-client).")
    environment = {_VARIABLES[name]: str(value) for name, value in said.items()}
    where = ("--dbname", str(said["dbname"])) if program == "pg_restore" else ()
    done = subprocess.run(
        [found, *where, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # What it says of a row may hold values; its first line names the cause.
        raise BackupError(f"{program} failed: {(done.stderr.strip().splitlines() or ['it says nothing'])[0]}")
