"""Where ICHScope keeps what it writes, and the secret that turns identifiers into keys."""

from __future__ import annotations

import errno
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISLNK, S_ISVTX
from urllib.parse import quote

KEY_FILE = "key"
DATABASE_FILE = "ichscope.db"
VOLUMES_FOLDER = "volumes"
_KEY_BYTES = 32
_OTHERS = 0o077
_LOG = logging.getLogger(__name__)
# What files of the user get, as long as nothing was made below a home.
_users_umask: int | None = None


def home() -> Path:
    """The folder that everything lives below: ICHSCOPE_HOME, or var/ of the current folder. It may not exist yet."""
    return Path(os.environ.get("ICHSCOPE_HOME") or "var").absolute()


def make(folder: Path) -> Path:
    """Make a folder of the home, unless it is there; from now on all that this process makes is its owner's alone.

    Files get their rights from the process (its umask): SQLite's, TensorRT's and those of a later version, too.

    Raises
    ------
    OSError
        if it cannot be made
    """
    global _users_umask
    before = os.umask(_OTHERS)
    _users_umask = before if _users_umask is None else _users_umask
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def as_the_user_wants() -> Iterator[None]:
    """Let files that the user has named, as a report to hand on, get the rights that the user's files get."""
    if _users_umask is None:
        yield
        return
    os.umask(_users_umask)
    try:
        yield
    finally:
        os.umask(_OTHERS)


def secure(folder: Path) -> int:
    """Take a home from other accounts, where an older version, a copy or somebody's hand has left it open to them.

    All of it is looked at where the folder, or something that lies directly in it, is open; a warning is logged.

    Returns
    -------
    how many files and folders were open

    Raises
    ------
    OSError
        if the folder cannot be made or read
    """
    make(folder)
    if not any(_is_open(path) for path in (folder, *folder.iterdir())):
        return 0
    closed = sum(map(close_to_others, _all_in(folder)))
    if closed:
        said = "%s was open to other accounts of this computer: %d of its files and folders are now closed to them"
        _LOG.warning(said, folder, closed)
    return closed


def open_to_others(folder: Path) -> int:
    """How many files and folders of a home are open to other accounts."""
    return sum(map(_is_open, _all_in(folder)))


def _all_in(folder: Path) -> Iterator[Path]:
    yield folder
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))


def close_to_others(path: Path) -> bool:
    """Take a file or folder from other accounts, where it is ours; tells whether it was open to them."""
    if not _is_open(path):
        return False
    try:
        path.chmod(path.stat().st_mode & 0o7777 & ~_OTHERS)
    except FileNotFoundError:  # another process has removed it
        return False
    return True


def _is_open(path: Path) -> bool:
    """Whether other accounts may use it; what belongs to somebody else, or to all as /tmp does, is left as it is."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    ours = found.st_uid == os.geteuid() and not S_ISLNK(found.st_mode) and not found.st_mode & S_ISVTX
    return ours and bool(found.st_mode & _OTHERS)


def database_url(folder: Path | None = None) -> str:
    """SQLAlchemy's URL of the database: ICHSCOPE_DATABASE_URL, or an SQLite file in the home folder."""
    if url := os.environ.get("ICHSCOPE_DATABASE_URL"):
        return with_driver(url)
    return f"sqlite:///{quote(str((folder or home()) / DATABASE_FILE))}"


def with_driver(url: str) -> str:
    """The URL with psycopg 3 as the driver, where it is PostgreSQL's and names none."""
    kind, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if kind in ("postgres", "postgresql") else url


def without_driver(url: str) -> str:
    """The URL as PostgreSQL's own programs take it.

    >>> without_driver("postgresql+psycopg://u@h/d"), without_driver("postgres://h/d")
    ('postgresql://u@h/d', 'postgres://h/d')
    """
    kind, separator, rest = url.partition("://")
    return f"{kind.partition('+')[0]}{separator}{rest}"


def keep_volumes() -> bool:
    """Whether volumes are kept for viewing; ICHSCOPE_VOLUMES=off says no."""
    return os.environ.get("ICHSCOPE_VOLUMES", "").strip().lower() not in ("off", "0", "no", "false")


def secret_key(folder: Path | None = None) -> bytes:
    """The key of this installation, made at first use and readable by its owner only.

    Raises
    ------
    OSError
        if it can be neither read nor made
    ValueError
        if the file holds something else
    """
    path = make(folder or home()) / KEY_FILE
    if not path.exists():
        _make_key(path)
    if (key := read_key(path.parent)) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return key


def read_key(folder: Path) -> bytes | None:
    """The key that lies in a folder; None where none does.

    Raises
    ------
    OSError
        if it cannot be read
    ValueError
        if the file holds something else
    """
    path = folder / KEY_FILE
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path}: expected {2 * _KEY_BYTES} hexadecimal digits, found something else")
    return key


def _make_key(path: Path) -> None:
    """Put a new key in place in one step; of two processes that try at once, the first one's key stays."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(part)
        except FileExistsError:
            return
    finally:
        part.unlink(missing_ok=True)


def keyed_hash(key: bytes, *parts: str) -> str:
    """16 hexadecimal digits that stand for an identifier, and that nobody without the key can find it by."""
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:16]
