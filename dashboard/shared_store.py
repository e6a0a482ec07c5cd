"""The one store of the process: pages, their background work and the gate have the same."""

from __future__ import annotations

import streamlit as st

from ichscope.store import Store


@st.cache_resource(max_entries=1, show_spinner=False)
def store() -> Store:
    """One store for the whole process; it is for threads.

    Raises
    ------
    ichscope.store.StoreError
        if its database cannot be opened
    """
    return Store.open()
