"""Whose session the browser of a page has: looked up anew each time, so that what ended on the server acts no more."""

from __future__ import annotations

import streamlit as st

from ichscope.access import Actor, NotAllowedError, Role, Via

# The prefix makes browsers refuse it from any other host, and without TLS (RFC 6265bis, section 4.1.3.2).
COOKIE, COOKIE_TLS = "ichscope_session", "__Host-ichscope_session"

_NAMELESS = "this computer"


def by_nobody(name: str = "") -> Actor:
    """Give who acts where nobody signs in: whoever sits at this computer, under the name given."""
    return Actor(name or _NAMELESS, Role.ADMIN, Via.NOBODY)


def signed_in() -> Actor:
    """Give who is signed in on the page that runs. Errors as of with_secret."""
    return with_secret(secret_of_page())


def secret_of_page() -> str:
    """Give the secret of the session on the page that runs; "" where there is none."""
    cookies = st.context.cookies
    return cookies.get(COOKIE_TLS) or cookies.get(COOKIE) or ""


def with_secret(secret: str) -> Actor:
    """Give who has the session of this secret.

    Raises
    ------
    NotAllowedError
        if nobody has, or no longer
    StoreError
        if the store cannot be read
    """
    from dashboard.shared_store import store

    # The gate counts what people do; a page that runs by itself keeps nobody signed in.
    if secret and (actor := store().sessions.look_up(secret, touch=False)):
        return actor
    raise NotAllowedError("Nobody is signed in.")
