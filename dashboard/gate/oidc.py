"""Signing in at the hospital's own server, by OpenID Connect; it ends in a session of ours like any other.

The code flow with PKCE, state and nonce (OpenID Connect Core 1.0, section 3.1; RFC 7636, RFC 9700), by Authlib.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from dashboard.gate import forms
from dashboard.gate.entering import begin, own_address, signed_in
from ichscope.access import Role
from ichscope.errors import IchscopeError

START, BACK = "/sign-in/oidc", "/sign-in/oidc/back"
_LOG = logging.getLogger(__name__)
_AFTER = "ichscope-next"
_PEOPLE = (Role.VIEWER, Role.READER, Role.QA, Role.ADMIN)  # the least first


class ConfigError(IchscopeError):
    """The file that ICHSCOPE_CONFIG names is not what it should be."""


@dataclass(frozen=True)
class Provider:
    """The server that knows the people, as [oidc] of the configuration says.

    name : on the button
    roles : of the groups that it tells
    name_claim, groups_claim : what it calls a person's name and groups
    """

    issuer: str
    client_id: str
    client_secret: str
    name: str
    roles: Mapping[str, Role]
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    scope: str = "openid profile"


@cache
def provider() -> Provider | None:
    """Read it once; None where there is none.

    Raises
    ------
    ConfigError
        if the file cannot be read or says something that is not expected
    """
    file = os.environ.get("ICHSCOPE_CONFIG")
    if not file:
        return None
    try:
        table = tomllib.loads(Path(file).read_text(encoding="utf-8")).get("oidc")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"ICHSCOPE_CONFIG: {file} cannot be read: {error}") from error
    return None if table is None else _provider(table)


def _provider(table: Mapping[str, Any]) -> Provider:
    values = {"client_secret": os.environ.get("ICHSCOPE_OIDC_SECRET", ""), "name": "the hospital's account", **table}
    if unknown := sorted(set(values) - set(Provider.__dataclass_fields__)):
        raise ConfigError(f"ICHSCOPE_CONFIG: [oidc] has {', '.join(unknown)}, which nothing reads.")
    roles = values.pop("roles", None)
    if not isinstance(roles, dict) or not roles:
        raise ConfigError('ICHSCOPE_CONFIG: [oidc.roles] is missing. Expected lines as "ct-readers" = "reader"')
    if wrong := sorted(str(role) for role in roles.values() if role not in _PEOPLE):
        raise ConfigError(f"ICHSCOPE_CONFIG: [oidc.roles] has {wrong[0]}. Expected one of {', '.join(_PEOPLE)}.")
    if missing := [key for key in ("issuer", "client_id", "client_secret") if not values.get(key)]:
        raise ConfigError(f"ICHSCOPE_CONFIG: [oidc] has no {missing[0]}.")
    return Provider(roles={group: Role(role) for group, role in roles.items()}, **values)


def role_of(groups: object, roles: Mapping[str, Role]) -> Role | None:
    """Give the role that somebody's groups lead to, the one with most rights; None where none does."""
    listed = groups if isinstance(groups, list) else [groups]
    held = [roles[group] for group in listed if isinstance(group, str) and group in roles]
    return max(held, key=_PEOPLE.index, default=None)


# ---- the way there and back ----------------------------------------------------------------------------


@cache
def _client() -> Any:
    from authlib.integrations.starlette_client import OAuth

    at = provider()
    assert at is not None
    return OAuth().register(
        "ichscope",
        client_id=at.client_id,
        client_secret=at.client_secret,
        server_metadata_url=f"{at.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": at.scope, "code_challenge_method": "S256", "timeout": 15},
    )


async def start(request: Request) -> Response:
    """Send the browser to the hospital's server."""
    at = provider()
    if at is None:
        return _failed("This server has no such sign-in.", 404)
    request.session.clear()
    request.session[_AFTER] = own_address(request.query_params.get("next", ""))
    back = f"{request.url.scheme}://{request.headers['host']}{BACK}"
    try:
        metadata = await _client().load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != at.issuer.rstrip("/"):
            return _failed(f"The server at {at.issuer} says that it is another.", 502)
        response: Response = await _client().authorize_redirect(request, back)
    except (httpx2.HTTPError, ValueError, KeyError, RuntimeError) as error:
        _LOG.warning("the identity provider cannot be reached", exc_info=error)
        return _failed(f"{at.name} cannot be reached at the moment. Please try again later.", 502)
    return response


async def back(request: Request) -> Response:
    """Take what the hospital's server says of a person, and begin a session."""
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    from ichscope.store import StoreError

    at = provider()
    if at is None:
        return _failed("This server has no such sign-in.", 404)
    after = str(request.session.get(_AFTER, "/"))
    try:
        claims = await _claims(request, at)
    except (AuthlibBaseError, JoseError, httpx2.HTTPError, ValueError, KeyError) as error:
        _LOG.warning("a sign-in by OpenID Connect failed", exc_info=error)
        return _failed("The sign-in was not completed. Please try again.", 401)
    finally:
        request.session.clear()
    role = role_of(claims.get(at.groups_claim), at.roles)
    if role is None:
        return _failed(f"{at.name} knows you, but none of your groups may use ICHScope. Ask its administrator.", 403)
    name = str(claims.get(at.name_claim) or claims.get("name") or claims["sub"])
    try:
        secret = await to_thread.run_sync(_begin, request, at, str(claims["sub"]), name, role)
    except StoreError as error:
        return _failed(str(error), 403)
    return signed_in(request, secret, after)


async def _claims(request: Request, at: Provider) -> dict[str, Any]:
    """Exchange the code, check the ID token, and ask for groups where it has none."""
    token = await _client().authorize_access_token(request)
    claims = dict(token["userinfo"])
    if at.groups_claim not in claims:
        more = dict(await _client().userinfo(token=token))
        # OpenID Connect Core 1.0, section 5.3.2: it may be of somebody else.
        if more.get("sub") == claims["sub"]:
            claims = more | claims
    return claims


def _begin(request: Request, at: Provider, subject: str, name: str, role: Role) -> str:
    from dashboard.shared_store import store

    return begin(request, store().accounts.identified(at.issuer, subject, name, role).id)


def _failed(text: str, status: int) -> Response:
    return forms.page("Sign in", f"{forms.told(text)}<p><a href='/sign-in'>Back to the sign-in</a></p>", status)
