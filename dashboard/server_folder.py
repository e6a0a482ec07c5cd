"""A folder that the server can read: any on one's own computer, else what the administrator opens."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from dashboard.text import plain

_LOCAL = ("localhost", "127.0.0.1", "::1")


def choose(key: str) -> Path | None:
    """Place the field and its button, and give what exists and is open to this page, once the button is clicked."""
    root = os.environ.get("ICHSCOPE_IMPORT")
    if root is None and st.get_option("server.address") not in _LOCAL:
        st.write("An administrator can allow a folder by setting `ICHSCOPE_IMPORT`.")
        return None
    text = st.text_input("Path of a folder, file or ZIP", placeholder=root or "/data/studies/0001", key=key)
    if not st.button("Analyse this folder", disabled=not text, key=f"{key}-go"):
        return None
    path = _existing(text)
    if path is None or (root is not None and not path.is_relative_to(Path(root).resolve())):
        st.error(f"{plain(text)} cannot be opened: no such folder or file, or no access from this page.")
        return None
    return path


def _existing(text: str) -> Path | None:
    try:
        path = Path(text).expanduser().resolve()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):  # no permission, too long a name; nobody's home; no name at all
        return None
