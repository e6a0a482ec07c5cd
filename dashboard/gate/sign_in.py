"""Signing in and out, and one's own account: plain forms, one cookie, the session itself in the store."""

from __future__ import annotations

import logging
from html import escape
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.gate import forms, oidc
from dashboard.gate.actor import COOKIE, COOKIE_TLS
from dashboard.gate.entering import address_of, begin, own_address, signed_in
from dashboard.gate.visitor import secret_of
from dashboard.text import NOT_FOR_DIAGNOSIS
from ichscope.access import Actor, acting_as
from ichscope.access.passwords import SHORTEST, PasswordError
from ichscope.store import SignInError, StoreError, TooManyAttemptsError

SIGN_IN, ACCOUNT = "/sign-in", "/account"
PASSWORD, OUT, OUT_EVERYWHERE = "/account/password", "/sign-out", "/sign-out-everywhere"
_LOG = logging.getLogger(__name__)


# ---- in ------------------------------------------------------------------------------------------------


async def show(request: Request) -> Response:
    """Show the form; who is signed in goes on to the pages."""
    if request.scope.get("ichscope.actor"):
        return RedirectResponse(own_address(request.query_params.get("next", "")), 303)
    return await _form(request.query_params.get("next", ""))


async def enter(request: Request) -> Response:
    """Check name and password, and begin a session: always a new one, whatever cookie came along."""
    sent = await request.form()
    name, password, after = (str(sent.get(key, "")) for key in ("name", "password", "next"))
    try:
        secret = await to_thread.run_sync(_begin, request, name, password)
    except TooManyAttemptsError as error:
        return await _form(after, name, str(error), 429)
    except SignInError as error:
        return await _form(after, name, str(error), 401)
    except StoreError as error:
        _LOG.warning("nobody can sign in", exc_info=error)
        return await _form(after, name, "The store cannot be used at the moment. Please try again later.", 503)
    return signed_in(request, secret, after)


def _begin(request: Request, name: str, password: str) -> str:
    from dashboard.shared_store import store

    return begin(request, store().accounts.check(name, password, address_of(request)).id)


async def _form(after: str, name: str = "", problem: str = "", status: int = 200) -> Response:
    provider = oidc.provider()
    fields = forms.field("name", "Name", "username", value=name, focus=not name)
    fields += forms.field("password", "Password", "current-password", kind="password", focus=bool(name))
    body = forms.told(problem) + forms.form(SIGN_IN, forms.hidden("next", own_address(after)) + fields, "Sign in")
    if provider:
        way = f"{oidc.START}?next={quote(own_address(after))}"
        body += f"<a class='button quiet' href='{escape(way)}'>Sign in with {escape(provider.name)}</a>"
    elif not await to_thread.run_sync(_anybody):
        body = forms.told(
            "There is no account yet. Make the first one on the server: ichscope users add NAME --role admin"
        )
    return forms.page("Sign in", f"{body}<small>{NOT_FOR_DIAGNOSIS}.</small>", status)


def _anybody() -> bool:
    from dashboard.shared_store import store

    try:
        return store().accounts.exist()
    except StoreError:
        return True


# ---- one's own account ---------------------------------------------------------------------------------


async def account(request: Request) -> Response:
    """Show who one is, and the ways out."""
    return _account(request.scope["ichscope.actor"])


async def change_password(request: Request) -> Response:
    """Take a new password; every session ends, and this browser gets a new one."""
    actor: Actor = request.scope["ichscope.actor"]
    sent = await request.form()
    try:
        old, new = str(sent.get("old", "")), str(sent.get("new", ""))
        secret = await to_thread.run_sync(_change, request, actor, old, new)
    except TooManyAttemptsError as error:
        return _account(actor, str(error), 429)
    except (PasswordError, StoreError) as error:
        return _account(actor, str(error), 400)
    return signed_in(request, secret, ACCOUNT)


def _change(request: Request, actor: Actor, old: str, new: str) -> str:
    from dashboard.shared_store import store

    if actor.account is None:
        raise StoreError("Only a person has a password.")
    with acting_as(actor):
        store().accounts.change_password(actor.account, old, new, address_of(request))
    return begin(request, actor.account)


def _account(actor: Actor, problem: str = "", status: int = 200) -> Response:
    rights = ", ".join(sorted(right.value for right in actor.rights))
    fields = forms.field("old", "Current password", "current-password", kind="password")
    fields += forms.field("new", f"New password, {SHORTEST} characters or more", "new-password", kind="password")
    body = (
        f"{forms.told(problem)}<p><b>{escape(actor.name)}</b>, {actor.role}</p><p>May {escape(rights)}.</p>"
        f"<p><a href='/'>Back to the pages</a></p>{forms.form(OUT, '', 'Sign out')}"
        f"{forms.form(OUT_EVERYWHERE, '', 'Sign out on all computers', quiet=True)}"
        f"<h2>Password</h2>{forms.form(PASSWORD, fields, 'Change password', quiet=True)}"
    )
    return forms.page("Account", body, status)


# ---- out -----------------------------------------------------------------------------------------------


async def leave(request: Request) -> Response:
    """End this session."""
    await to_thread.run_sync(_end, secret_of(request.scope))
    return _gone()


async def leave_everywhere(request: Request) -> Response:
    """End all sessions of this person."""
    from dashboard.shared_store import store

    await to_thread.run_sync(store().sessions.end_everywhere, request.scope["ichscope.actor"])
    return _gone()


def _end(secret: str) -> None:
    from dashboard.shared_store import store

    store().sessions.end(secret)


def _gone() -> Response:
    response = RedirectResponse(SIGN_IN, 303)
    for name, secure in ((COOKIE, False), (COOKIE_TLS, True)):
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    # What the browser keeps of this site goes, too.
    response.headers["clear-site-data"] = '"cache", "storage"'
    return response
