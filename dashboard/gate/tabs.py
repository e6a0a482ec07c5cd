"""Tabs that are closed: what their pages hold is let go of at once, or soon where it may be the network that failed.

Streamlit keeps a session whose WebSocket has ended for `server.disconnectedSessionTTL`, and until Python collects it.
A browser that closes a tab, or leaves the page, says so (RFC 6455, section 7.4.1): nobody can come back to it.
"""

from __future__ import annotations

import asyncio
import secrets

from anyio import to_thread
from starlette.types import Message, Receive, Scope
from streamlit import runtime

from dashboard import tab, uploads
from dashboard.arrivals import arrivals

# A browser whose network was gone for less finds its page as it was.
RECONNECT_S = 15.0
_GOING_AWAY = 1001
_tasks: set[asyncio.Task[None]] = set()


class Tab:
    """One WebSocket of a page, from its beginning to its end."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive, self._name, self._code = receive, secrets.token_hex(16), 0
        scope["headers"] = [*scope["headers"], (tab.HEADER.encode(), self._name.encode())]

    async def receive(self) -> Message:
        """Give the next message."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._code = message.get("code", 0)
        return message

    def left(self) -> None:
        """Let go of what its page holds, unless the browser comes back in time."""
        session = tab.sessions.pop(self._name, None)
        if session is not None:
            task = asyncio.create_task(_end(session, 0.0 if self._code == _GOING_AWAY else RECONNECT_S))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)


async def _end(session: str, patience_s: float) -> None:
    await asyncio.sleep(patience_s)
    if not runtime.exists() or runtime.get_instance().is_active_session(session):
        return
    runtime.get_instance().close_session(session)
    await to_thread.run_sync(arrivals().remove_session, session)
    await to_thread.run_sync(uploads.give_back)
