"""What every answer tells the browser: nothing from elsewhere, no frame around it, no guessing, no telling others."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import Scope

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_FEATURES = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb", "serial", "hid", "midi")


@cache
def content_policy() -> str:
    """What the browser may load and run.

    Streamlit's own inline scripts by their hash; components (and Plotly's workers) are loaded from blobs that its
    scripts make; styles are written by scripts, so they stay open.
    """
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in _inline_scripts())
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' blob: {hashes}".rstrip(),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' blob:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _inline_scripts() -> list[str]:
    page = Path(streamlit.__file__).with_name("static") / "index.html"
    return _SCRIPT.findall(page.read_text(encoding="utf-8"))


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _always() -> dict[str, str]:
    return {
        "content-security-policy": content_policy(),
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "permissions-policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


def put(headers: MutableHeaders, scope: Scope, request_id: str) -> None:
    """Put them into an answer; a stricter policy of its own stays."""
    own_policy = headers.get("content-security-policy")
    headers.update(_always())
    if own_policy:
        headers["content-security-policy"] = own_policy
    headers["x-request-id"] = request_id
    if scope["scheme"] == "https":
        headers["strict-transport-security"] = "max-age=31536000"
    # Streamlit's own scripts and fonts, named by their content, may be kept; what shows patients may not.
    if not scope["path"].startswith("/static/"):
        headers["cache-control"] = "no-store"
    for telling in ("server", "access-control-allow-origin"):
        if telling in headers:
            del headers[telling]
