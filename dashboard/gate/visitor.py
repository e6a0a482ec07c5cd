"""Who asks: a person by the cookie of a session, a program by its token, or a stranger."""

from __future__ import annotations

from anyio import to_thread
from starlette.requests import HTTPConnection
from starlette.types import Scope

from dashboard.gate.actor import COOKIE, COOKIE_TLS
from dashboard.gate.asked import FOR_PROGRAMS
from ichscope.access import Actor

_BEARER = "bearer "


def secret_of(scope: Scope) -> str:
    """Give the secret of the session that a browser sends; "" where there is none. Behind TLS only the safer cookie."""
    cookies = HTTPConnection(scope).cookies
    return cookies.get(COOKIE_TLS if behind_tls(scope) else COOKIE, "")


def behind_tls(scope: Scope) -> bool:
    """Whether the browser speaks TLS, with this server or with its proxy."""
    return scope["scheme"] in ("https", "wss")


async def who(scope: Scope, *, touch: bool = True) -> Actor | None:
    """Look up who asks; None for a stranger.

    Parameters
    ----------
    touch : whether this counts as something that the person did

    Raises
    ------
    ichscope.store.StoreError
        if the store cannot be read
    """
    return await to_thread.run_sync(_look_up, scope, touch)


def _look_up(scope: Scope, touch: bool) -> Actor | None:
    from dashboard.shared_store import store

    # A page of another site can have a browser send its cookie, and no token.
    if not scope["path"].startswith(FOR_PROGRAMS) and (secret := secret_of(scope)):
        return store().sessions.look_up(secret, touch=touch)
    authorization = HTTPConnection(scope).headers.get("authorization", "")
    if authorization.lower().startswith(_BEARER):
        return store().tokens.look_up(authorization[len(_BEARER) :].strip(), (scope.get("client") or ("",))[0])
    return None
