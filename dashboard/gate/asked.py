"""What is asked for, by whom and from where, as far as headers tell; and why it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from dashboard.gate.start import LOCAL, Settings

# Set by proxies; a browser on this computer sends none.
_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
# Names under which proxies hand over who somebody is. Nothing here believes them, so nothing gets to see them.
_WHO = (b"remote-user", b"x-remote-user", b"x-forwarded-user", b"x-forwarded-email", b"x-forwarded-groups")
_WHO_TOO = b"x-ichscope-"
_SAFE = ("GET", "HEAD", "OPTIONS")
# Below it is the interface for programs (dashboard/api): for tokens, never for the cookie of a browser.
FOR_PROGRAMS = "/api/"
# Parts of Streamlit that ICHScope does not use.
_CLOSED = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/script-health-check", "/auth", "/oauth2callback")


@dataclass(frozen=True)
class Refusal:
    """Why something is refused: a status of HTTP, and words for the one who asked; `kind` is for the figures."""

    status: int
    kind: str
    text: str


def refusal(scope: Scope, settings: Settings) -> Refusal | None:
    """Refuse what nobody may ask for, signed in or not."""
    headers = Headers(scope=scope)
    host = host_of(headers)
    local = from_here(scope)
    if host not in settings.hosts and not (local and host in LOCAL):
        return Refusal(421, "host", "This server does not go by that name (server.allowedHosts).")
    if not settings.sign_in and (not local or any(name in headers for name in _OF_PROXIES)):
        return Refusal(403, "proxy", "Behind a proxy people must sign in. Start ICHScope with ICHSCOPE_SIGN_IN=on.")
    if not _same_origin(scope, headers):
        return Refusal(403, "origin", "This came from a page of another site.")
    path = scope["path"].rstrip("/") or "/"
    # Routes are told by patterns that end at a line's end.
    if not path.isprintable() or any(path == closed or path.startswith(f"{closed}/") for closed in _CLOSED):
        return Refusal(404, "closed", "There is nothing here.")
    return None


def host_of(headers: Headers) -> str:
    """Give the name by which the server was called, without its port; "" where there is none, or more than one."""
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        return ""
    try:
        parts = urlsplit(f"//{hosts[0]}")
        _ = parts.port  # raises where it is none
    except ValueError:
        return ""
    whole = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return (parts.hostname or "").rstrip(".") if whole else ""


def from_here(scope: Scope) -> bool:
    """Whether it comes from this computer."""
    client = scope.get("client") or ("",)
    return client[0] in LOCAL


def proxied(scope: Scope) -> bool:
    """Whether a proxy has handed it on."""
    headers = Headers(scope=scope)
    return any(name in headers for name in _OF_PROXIES)


def _same_origin(scope: Scope, headers: Headers) -> bool:
    """Whether a page of ours asks, as far as something may be changed; a program names no origin."""
    if scope["type"] == "http" and scope["method"] in _SAFE:
        return True
    origin = headers.get("origin")
    if origin is None:  # a program; a browser that sends cookies says where its page is from
        return "cookie" not in headers
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def strip(scope: Scope) -> None:
    """Take out headers that say who somebody is."""
    scope["headers"] = [
        (name, value) for name, value in scope["headers"] if name not in _WHO and not name.startswith(_WHO_TOO)
    ]
