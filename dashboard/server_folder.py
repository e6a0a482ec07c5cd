"""A folder that the server can read: those that an admin has named, or any where whoever sits at it uses the page."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from dashboard.gate.start import sign_in
from dashboard.shared_store import store
from dashboard.text import plain
from ichscope.store import StoreError


def choose(key: str) -> Path | None:
    """Place the fields and their button, and give what exists and is open to this page, once the button is clicked."""
    return _named(key) if sign_in() else _any(key)


def roots() -> tuple[Path, ...]:
    """Folders below which links must lead that are met in what was chosen; none where they may lead anywhere.

    Raises
    ------
    StoreError
        if the store cannot be read
    """
    if sign_in():
        return tuple(folder.path for folder in store().folders.all())
    root = os.environ.get("ICHSCOPE_IMPORT")
    return () if root is None else (Path(root).resolve(),)


def _named(key: str) -> Path | None:
    try:
        names = [folder.name for folder in store().folders.all()]
    except StoreError as error:
        st.error(plain(str(error)))
        return None
    if not names:
        st.write("No folder of the server is open to the pages. An admin opens one with `ichscope folders add`.")
        return None
    name = st.selectbox("Folder", names, key=f"{key}-name")
    below = st.text_input("What in it: a path, or nothing for all of it", key=key, autocomplete="off")
    if not st.button("Analyse this folder", key=f"{key}-go"):
        return None
    try:
        return store().folders.resolve(name, below.strip())
    except StoreError as error:
        st.error(plain(str(error)))
        return None


def _any(key: str) -> Path | None:
    root = os.environ.get("ICHSCOPE_IMPORT")
    text = st.text_input(
        "Path of a folder, file or ZIP", placeholder=root or "/data/studies/0001", key=key, autocomplete="off"
    )
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
