"""Where ICHScope keeps what it writes, and the secret that turns identifiers into keys."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_FILE = "key"
VOLUMES_FOLDER = "volumes"
_KEY_BYTES = 32


def home() -> Path:
    """The folder that everything lives below: ICHSCOPE_HOME, or var/ of the current folder. It may not exist yet."""
    return Path(os.environ.get("ICHSCOPE_HOME") or "var").absolute()


def make(folder: Path) -> Path:
    """Make a folder that only its owner can look into, unless it is there.

    Raises
    ------
    OSError
        if it cannot be made
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def database_url(folder: Path | None = None) -> str:
    """SQLAlchemy's URL of the database: ICHSCOPE_DATABASE_URL, or an SQLite file in the home folder."""
    if url := os.environ.get("ICHSCOPE_DATABASE_URL"):
        return with_driver(url)
    return f"sqlite:///{(folder or home()) / 'ichscope.db'}"


def with_driver(url: str) -> str:
    """The URL with psycopg 3 as the driver, where it is PostgreSQL's and names none."""
    kind, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if kind in ("postgres", "postgresql") else url


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
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
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
