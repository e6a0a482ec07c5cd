"""Where the interface hangs: its modules are loaded when a first program asks, not when the server starts."""

from __future__ import annotations

from contextlib import suppress

from anyio import to_thread
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard import warm_up
from dashboard.gate.actor import by_nobody
from ichscope.access import acting_as
from ichscope.errors import UnexpectedError, barrier


class Api:
    """Loads the application at the first request; lets the program that asks act for as long as it is answered."""

    def __init__(self) -> None:
        self._application: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. What nobody foresaw is logged without its message, which may hold a patient's values."""
        if self._application is None:
            self._application = await to_thread.run_sync(_load)
        with acting_as(scope.get("ichscope.actor") or by_nobody()), suppress(UnexpectedError), barrier():
            await self._application(scope, receive, send)


def _load() -> ASGIApp:
    warm_up.wait()  # two threads that import at once see halves of modules
    from dashboard.api.app import application

    return application()


def mount() -> Mount:
    """Give the route below which the interface is."""
    return Mount("/api", app=Api())
