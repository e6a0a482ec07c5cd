"""What the pages need is loaded once, by one thread.

So no two pages import at once, where one could see the half of a module that the other has begun. The thread begins
when a first page has its heading on the screen, which comes sooner that way, or soon after the start.
"""

from __future__ import annotations

import ast
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

_DASHBOARD = Path(__file__).resolve().parent
_LOG = logging.getLogger(__name__)

_PATIENCE_S = 3.0

_awaited = threading.Event()
_imported = threading.Event()
_imported.set()  # without a server, as in tests, pages import for themselves
_done = threading.Event()


def begin() -> None:
    """Start the thread."""
    _imported.clear()
    threading.Thread(target=_run, name="ichscope-warm-up", daemon=True).start()


def wait() -> None:
    """Wait until everything is imported."""
    _awaited.set()
    _imported.wait()


def over() -> bool:
    """Whether everything is loaded, models included."""
    return _done.is_set()


def _run() -> None:
    _awaited.wait(_PATIENCE_S)
    try:
        for module, names in imports():
            __import__(module, fromlist=names)
    finally:
        _imported.set()
    try:
        _load()
    except Exception as error:  # noqa: BLE001 - the pages meet the same and say what to do
        _LOG.warning("warm-up ended early: %s", type(error).__name__)
    finally:
        _done.set()


def imports() -> Iterator[tuple[str, list[str]]]:
    """What the pages import: modules, each with the names that are taken from it."""
    for page in (_DASHBOARD / "router.py", *sorted((_DASHBOARD / "views").glob("*.py"))):
        for node in ast.walk(ast.parse(page.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name, []) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module, [alias.name for alias in node.names]


def _load() -> None:
    """Load the models, draw a first chart, and take up what an ended server left."""
    from dashboard import ingest
    from ichscope.models.registry import REGISTRY
    from ichscope.reporting.figures import study

    ingest.take_up()
    study.probability_bars({}, {})
    REGISTRY.get()
