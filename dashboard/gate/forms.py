"""Plain pages of the gate: they work without a script, by keyboard, in the theme that is set."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

import streamlit
from starlette.responses import HTMLResponse
from streamlit import config

_LOGO = Path(__file__).resolve().parents[1] / "logo.svg"
_STYLE = Path(__file__).with_name("forms.css")
_COLOURS = {
    "dark": {"back": "#171614", "field": "#2d2b27", "text": "#fafafa", "accent": "#3d9bd4", "on-accent": "#171614"},
    "light": {"back": "#ffffff", "field": "#f0f2f6", "text": "#101418", "accent": "#1b6ca0", "on-accent": "#ffffff"},
}
_LINES = {"dark": "#8fa3b3", "light": "#5b6b78"}


def page(title: str, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Give a page of our own; `body` is HTML, in which whatever came from outside is escaped."""
    style = _style("light" if "light" in str(config.get_option("theme.base")) else "dark")
    html = (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)} - ICHScope</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{style}</style></head>"
        f"<body><main><img src='{_logo()}' alt='ICHScope' height='36'><h1>{escape(title)}</h1>{body}</main>"
        "</body></html>"
    )
    return HTMLResponse(html, status, {"content-security-policy": _policy(style), **(headers or {})})


def form(action: str, inside: str, button: str, *, quiet: bool = False) -> str:
    """Give a form that is sent to an address of ours."""
    kind = " class='quiet'" if quiet else ""
    return f"<form method='post' action='{escape(action)}'>{inside}<button{kind}>{escape(button)}</button></form>"


def field(name: str, label: str, complete: str, *, kind: str = "text", value: str = "", focus: bool = False) -> str:
    """Give a field that must be filled in."""
    first = " autofocus" if focus else ""
    return (
        f"<label for='{name}'>{escape(label)}</label><input id='{name}' name='{name}' type='{kind}' required"
        f" autocomplete='{complete}' autocapitalize='none' spellcheck='false' value='{escape(value)}'{first}>"
    )


def hidden(name: str, value: str) -> str:
    """Give a value that goes with a form."""
    return f"<input type='hidden' name='{name}' value='{escape(value)}'>"


def told(text: str, *, good: bool = False) -> str:
    """Say how it went; a screen reader says it at once."""
    kind = "good" if good else "problem"
    return f"<p class='{kind}' role='{'status' if good else 'alert'}'>{escape(text)}</p>" if text else ""


@cache
def _style(theme: str) -> str:
    colours = _COLOURS[theme] | {"line": _LINES[theme]}
    variables = "".join(f"--{name}:{value};" for name, value in colours.items())
    font = f"@font-face{{font-family:'Source Sans';src:url('{_font()}');font-weight:200 900}}" if _font() else ""
    return f"{font}:root{{color-scheme:{theme};{variables}}}{_STYLE.read_text(encoding='utf-8')}"


@cache
def _font() -> str:
    """The address of the font that the pages have."""
    folder = Path(streamlit.__file__).with_name("static") / "static" / "media"
    return next((f"/static/media/{file.name}" for file in sorted(folder.glob("SourceSansVF-Upright*.woff2"))), "")


@cache
def _logo() -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(_LOGO.read_bytes()).decode()}"


@cache
def _policy(style: str) -> str:
    sha256 = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{sha256}'; img-src data:; font-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
