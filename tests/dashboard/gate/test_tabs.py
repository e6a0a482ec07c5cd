"""A tab that is closed: its session ends at once; one whose network fails has time to come back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from starlette.types import Message, Scope

from dashboard import tab as known
from dashboard.gate import tabs
from tests.support.asgi_client import finished


class Runtime:
    """Streamlit's, as far as it is asked."""

    def __init__(self) -> None:
        self.active, self.closed = False, list[str]()

    def is_active_session(self, session: str) -> bool:
        return self.active

    def close_session(self, session: str) -> None:
        self.closed.append(session)


@pytest.fixture
def streamlit(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    found = Runtime()
    monkeypatch.setattr(tabs, "runtime", SimpleNamespace(exists=lambda: True, get_instance=lambda: found))
    monkeypatch.setattr(tabs, "RECONNECT_S", 0.5)
    return found


async def leave(code: int, wait_s: float) -> None:
    async def receive() -> Message:
        return {"type": "websocket.disconnect", "code": code}

    scope: Scope = {"type": "websocket", "headers": []}
    tab = tabs.Tab(scope, receive)
    ((_, name),) = scope["headers"]
    known.sessions[name.decode()] = "session"
    await tab.receive()
    tab.left()
    await asyncio.sleep(wait_s)


@pytest.mark.parametrize(
    ("code", "wait_s", "closed"),
    [(1001, 0.2, ["session"]), (1006, 0.2, []), (1006, 1.0, ["session"]), (1005, 0.2, [])],
)
def test_at_once_where_the_browser_says_so_and_soon_elsewhere(
    streamlit: Runtime, code: int, wait_s: float, closed: list[str]
) -> None:
    finished(leave(code, wait_s))
    assert streamlit.closed == closed
    assert not known.sessions


def test_whoever_has_come_back_keeps_the_page(streamlit: Runtime) -> None:
    streamlit.active = True
    finished(leave(1006, 1.0))
    assert streamlit.closed == []
