"""The menu above a page that shows one study.

Streamlit keeps the address where the menu's link to the page that is shown already is clicked, and tells the server
nothing of the click. So the browser's part of this listens for it, and asks for the list.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_SCRIPT = Path(__file__).parent / "menu.js"
_component = st.components.v2.component("ichscope_menu", js=_SCRIPT.read_text(encoding="utf-8"))


def on_own_link(act: Callable[[], None]) -> None:
    """Have something done when this page's own link in the menu is clicked; the page is run again after it."""
    _component(key="menu", on_clicked_change=act)
