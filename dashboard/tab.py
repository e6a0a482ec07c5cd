"""Which tab a page is in: the gate names each WebSocket, and the page that runs says whose session it has."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

# A name that the gate takes out of what comes from outside.
HEADER = "x-ichscope-tab"

sessions: dict[str, str] = {}  # of Streamlit, by tab


def belongs() -> None:
    """Remember whose tab the page that runs is in."""
    context, tab = get_script_run_ctx(), st.context.headers.get(HEADER)
    if context is not None and tab is not None:
        sessions[tab] = context.session_id
