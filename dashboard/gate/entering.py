"""The last step of every way in: a session in the store, its secret in a cookie, and on to the page that was wanted."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.gate.actor import COOKIE, COOKIE_TLS
from dashboard.gate.visitor import behind_tls, secret_of


def begin(request: Request, account: int) -> str:
    """Begin a session of an account and give its secret: always a new one, and the one that came along ends.

    Raises
    ------
    ichscope.store.StoreError
        if the account is disabled, or the store cannot be written
    """
    from dashboard.shared_store import store

    sessions = store().sessions
    sessions.end(secret_of(request.scope))
    return sessions.begin(account, address_of(request), request.headers.get("user-agent", ""))


def signed_in(request: Request, secret: str, after: str) -> Response:
    """Give the cookie of a session, and the way to the page that was asked for."""
    response = RedirectResponse(own_address(after), 303)
    tls = behind_tls(request.scope)
    # Lax, not Strict: links from a report or a worklist elsewhere lead to the page, and what changes something is
    # checked for its origin.
    response.set_cookie(COOKIE_TLS if tls else COOKIE, secret, path="/", secure=tls, httponly=True, samesite="lax")
    return response


def own_address(address: str) -> str:
    """Give an address of this server to go on to; "/" in the place of any other.

    >>> own_address("/worklist?study=3"), own_address("//evil.example"), own_address("https://evil.example")
    ('/worklist?study=3', '/', '/')
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    inside = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return address if inside and address.isprintable() and not (parts.scheme or parts.netloc) else "/"


def address_of(request: Request) -> str:
    """Give the address of the other computer, as far as a proxy that is trusted has told it."""
    return request.client.host if request.client else ""
