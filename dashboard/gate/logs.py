"""Logs with a request id. ICHSCOPE_LOG=json writes lines of JSON to files that take turns, and no identifier.

A line has what the program says, never what it was given: of an error its kind and where it happened, not its message,
of an address its first parts, not its query.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from ichscope.home import home, make

FOLDER = "logs"
_FILE_BYTES, _FILES = 10 * 1024 * 1024, 10
_PARTS = 2
_KNOWN = re.compile(r"[a-z_]{1,32}")
_PLAIN_SPOKEN = ("dashboard", "ichscope", "streamlit", "uvicorn")
_ROOT = Path(__file__).resolve().parents[2]

_request: ContextVar[str] = ContextVar("ichscope_request", default="")


@contextmanager
def request_id() -> Iterator[str]:
    """Give a new id to everything that is logged meanwhile."""
    token = _request.set(made := secrets.token_hex(8))
    try:
        yield made
    finally:
        _request.reset(token)


def begin() -> None:
    """Write lines of JSON from now on, where ICHSCOPE_LOG asks for them."""
    if os.environ.get("ICHSCOPE_LOG", "").strip().lower() != "json":
        return
    handler = _Private(make(home() / FOLDER) / "dashboard.jsonl", maxBytes=_FILE_BYTES, backupCount=_FILES - 1)
    handler.setFormatter(JsonLines())
    # Streamlit's and Uvicorn's loggers do not hand on to the root.
    for name in ("", "streamlit", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        if not (name and logger.propagate):
            logger.addHandler(handler)
    for name in ("ichscope", "dashboard"):
        logging.getLogger(name).setLevel(logging.INFO)


class _Private(RotatingFileHandler):
    """A file that its owner alone can read."""

    def _open(self) -> Any:
        Path(self.baseFilename).touch(mode=0o600)
        return super()._open()


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _text(record),
        }
        if request := _request.get():
            line["request"] = request
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0]:
            line["error"], line["at"] = record.exc_info[0].__name__, places(record.exc_info[2])
        return json.dumps(line)


def _text(record: logging.LogRecord) -> str:
    """The text of a record before anything is filled in, for that may be somebody's; of other libraries none at all."""
    return str(record.msg) if record.name.startswith(_PLAIN_SPOKEN) else ""


def places(error: TracebackType | None) -> list[str]:
    """Where an error went through, the innermost last, without a text of anybody's."""
    frames = traceback.extract_tb(error)
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else "/".join(path.parts[-2:])


def fields(**values: object) -> Mapping[str, Any]:
    """Put values beside an event, as `logger.info("...", extra=fields(status=200))`; none of a patient."""
    return {"fields": values}


def route(path: str) -> str:
    """Give the first parts of an address, as far as they are words of the program.

    >>> route("/_stcore/upload_file/8c1b/4f"), route("/worklist"), route("/ZZTOP^TEST")
    ('/_stcore/upload_file', '/worklist', '/?')
    """
    parts = [part if _KNOWN.fullmatch(part) else "?" for part in path.strip("/").split("/")[:_PARTS]]
    return f"/{'/'.join(parts)}" if path.strip("/") else "/"
