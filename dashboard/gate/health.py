"""Whether the server is alive, and whether it is ready to work."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from dashboard import warm_up
from dashboard.arrivals import LEAST_FREE_BYTES
from ichscope.errors import IchscopeError
from ichscope.home import home

_LOG = logging.getLogger(__name__)


async def alive(request: Request) -> Response:
    """Say that the process answers."""
    return PlainTextResponse("alive\n")


async def ready(request: Request) -> Response:
    """Say whether store, models and disk are there; what is wrong only to those who may know."""
    if not warm_up.over():
        return JSONResponse({"ready": False, "starting": True}, 503)
    wrong = await to_thread.run_sync(problems)
    answer: dict[str, object] = {"ready": not any(wrong.values())}
    if request.scope.get("ichscope.insider"):
        answer |= {name: text or "ready" for name, text in wrong.items()}
    return JSONResponse(answer, 503 if any(wrong.values()) else 200)


def problems() -> dict[str, str]:
    """What is wrong with each thing that the work needs, in words; "" where nothing is."""
    return {name: _told(look) for name, look in _LOOKS.items()}


def _told(look: Callable[[], str]) -> str:
    try:
        return look()
    except (IchscopeError, OSError) as error:
        return str(error)


def _store() -> str:
    from dashboard.shared_store import store

    store().worklist.page(limit=1)
    return ""


def _models() -> str:
    from ichscope.models.registry import REGISTRY

    return "" if REGISTRY.get().detectors else "There is no model."


def _disk() -> str:
    folder = home()
    if not os.access(folder, os.W_OK):
        return "ICHSCOPE_HOME cannot be written."
    free = shutil.disk_usage(folder).free
    return "" if free >= LEAST_FREE_BYTES else f"Only {free // 1024**2} MB are free at ICHSCOPE_HOME."


_LOOKS: dict[str, Callable[[], str]] = {"store": _store, "models": _models, "disk": _disk}
