"""What the Users page says of the last click: how it went, and a secret that is shown this once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from dashboard.text import plain
from ichscope.access.passwords import PasswordError
from ichscope.store import StoreError

KEY = "users"
T = TypeVar("T")
_TOLD, _SECRET = f"{KEY}-told", f"{KEY}-secret"


def act(then: str, do: Callable[..., T], *arguments: object, secret: str = "") -> T | None:
    """Do what was clicked, and have it told.

    Parameters
    ----------
    then : what is so from now on
    secret : shown with it

    Returns
    -------
    what `do` gives; None where it failed
    """
    st.session_state.pop(_SECRET, None)
    try:
        done = do(*arguments)
    except (StoreError, PasswordError) as error:
        st.session_state[_TOLD] = (False, f"Nothing was changed. {error}")
        return None
    st.session_state[_TOLD] = (True, then)
    keep(secret)
    return done


def keep(secret: str) -> None:
    """Have a secret shown with what is told."""
    st.session_state[_SECRET] = secret


def show() -> None:
    """Say how the last click went. A secret stays until the next click on this page; it is kept nowhere else."""
    if (told := st.session_state.pop(_TOLD, None)) and not told[0]:
        st.error(plain(told[1]))
    elif told:
        st.success(plain(told[1]))
    if secret := st.session_state.pop(_SECRET, None):
        st.code(secret, language=None)
