"""What an open page sends after its session has ended does nothing any more."""

from __future__ import annotations

from starlette.types import Message
from streamlit.proto.BackMsg_pb2 import BackMsg

from dashboard.gate import messages
from dashboard.gate.actor import COOKIE
from dashboard.gate.asgi import _Watched
from ichscope.store import Store
from tests.support.asgi_client import finished


def click() -> bytes:
    message = BackMsg()
    asked = message.rerun_script
    asked.page_script_hash, asked.fragment_id, asked.query_string = "page", "fragment", "study=3"
    asked.context_info.timezone = "Europe/Zurich"
    asked.widget_states.widgets.add(id="agree", trigger_value=True)
    return message.SerializeToString()


def parsed(data: bytes | None) -> BackMsg:
    assert data is not None
    message = BackMsg()
    message.ParseFromString(data)
    return message


def test_a_click_becomes_the_wish_to_see_the_page() -> None:
    left = parsed(messages.without_action(click())).rerun_script
    assert left.page_script_hash == "page"
    assert left.context_info.timezone == "Europe/Zurich"
    assert not left.fragment_id
    assert not left.widget_states.widgets


def test_everything_else_is_dropped() -> None:
    for kind in ("clear_cache", "stop_script", "app_heartbeat", "file_urls_request"):
        message = BackMsg()
        field = getattr(message, kind)
        if hasattr(field, "SetInParent"):
            field.SetInParent()
        else:
            setattr(message, kind, True)
        assert messages.without_action(message.SerializeToString()) is None
    assert messages.without_action(b"\xff\xff") is None


def test_what_a_page_asks_by_itself_is_no_sign_of_life() -> None:
    message = parsed(click())
    assert not messages.automatic(message.SerializeToString())
    message.rerun_script.is_auto_rerun = True
    assert messages.automatic(message.SerializeToString())
    heartbeat = BackMsg()
    heartbeat.app_heartbeat = True
    assert messages.automatic(heartbeat.SerializeToString())


def test_an_open_page_is_watched_at_every_message(store: Store) -> None:
    ann = next(account for account in store.accounts.all() if account.name == "ann")
    secret = store.sessions.begin(ann.id)
    cookie = (b"cookie", f"{COOKIE}={secret}".encode())
    scope = {"type": "websocket", "scheme": "ws", "path": "/_stcore/stream", "headers": [cookie]}
    waiting = [click(), click(), b"\xff\xff", click()]

    async def receive() -> Message:
        return {"type": "websocket.receive", "bytes": waiting.pop(0)}

    async def run() -> list[Message]:
        watched = _Watched(scope, receive)
        first = await watched.receive()
        store.sessions.end(secret)
        return [first, await watched.receive(), await watched.receive()]

    first, *later = finished(run())
    assert first["bytes"] == click()
    assert [message["bytes"] for message in later] == [messages.without_action(click())] * 2
