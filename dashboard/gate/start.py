"""What must be so before the server may start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from streamlit import config

from ichscope.errors import IchscopeError

LOCAL = ("localhost", "127.0.0.1", "::1")
# What would open the page to other sites or programs, whatever a file, a variable or the command line says.
_PINNED = {
    "client.allowedOrigins": [],
    "server.enableAgentApi": False,
    "server.enableCORS": True,
    "server.corsAllowedOrigins": [],
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "server.trustedUserHeaders": {},
    "server.scriptHealthCheckEnabled": False,
    "global.developmentMode": False,
}
_HOW = (
    "Set ICHSCOPE_SIGN_IN=on, and make the first account with `ichscope users add NAME --role admin`. Or have it serve "
    "this computer alone: server.address = localhost, and server.allowedHosts no other names."
)


@dataclass(frozen=True)
class Settings:
    """How the server is reached.

    address : where it listens, "" for everywhere
    hosts : names by which browsers may call it, in small letters
    sign_in : whether people must sign in
    upload_bytes : the most that one upload may hold
    """

    address: str
    hosts: frozenset[str]
    sign_in: bool
    upload_bytes: int


def settings() -> Settings:
    """Read them from Streamlit's options, wherever these are set, and from ICHSCOPE_SIGN_IN."""
    return Settings(
        config.get_option("server.address") or "",
        frozenset(_bare(host) for host in config.get_option("server.allowedHosts")),
        sign_in(),
        config.get_option("server.maxUploadSize") * 1024 * 1024,
    )


class SettingError(IchscopeError):
    """A setting says something that is not expected."""


def sign_in() -> bool:
    """Whether people must sign in: ICHSCOPE_SIGN_IN=on.

    Raises
    ------
    SettingError
        if it is neither on nor off: a slip of the pen must not open the door
    """
    text = os.environ.get("ICHSCOPE_SIGN_IN", "").strip().lower()
    if text not in ("on", "off", ""):
        raise SettingError(f"ICHSCOPE_SIGN_IN is {text}. Expected on or off.")
    return text == "on"


def _bare(host: str) -> str:
    return host.strip().strip("[]").rstrip(".").lower()


def pin() -> None:
    """Set what must not be set otherwise."""
    for option, value in _PINNED.items():
        config.set_option(option, value, "ICHScope")


def problem(settings: Settings) -> str:
    """Say in words why the server must not start so, and what to do; "" where it may."""
    if vague := sorted(host for host in settings.hosts if "*" in host):
        return f"server.allowedHosts has {_named(vague)}. Expected whole names: the gate refuses all others."
    if not settings.hosts:
        return "server.allowedHosts is empty. Expected the names by which browsers call this server."
    if settings.sign_in:
        return ""
    if settings.address not in LOCAL:
        return f"It would listen on {settings.address or 'every address'}, open to others without a sign-in. {_HOW}"
    if others := sorted(settings.hosts.difference(LOCAL)):
        return f"It would answer to {_named(others)}, a name that others call, without a sign-in. {_HOW}"
    return ""


def _named(hosts: Sequence[str]) -> str:
    return ", ".join(hosts)
