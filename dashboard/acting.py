"""Who acts on the pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from dashboard.gate.actor import by_nobody, secret_of_page, signed_in, with_secret
from dashboard.gate.start import sign_in
from dashboard.text import plain
from ichscope.access import Actor, NotAllowedError, current_actor, named

# The one name that a browser's session has where nobody signs in; it stays as typed.
NAME = "reader"


def current() -> Actor:
    """Who clicks: whoever is signed in there; without sign-in, who sits at this computer, under the name given.

    Streamlit runs a button's function and a fragment without the router, so nothing is kept from one run to the next.

    Raises
    ------
    NotAllowedError
        outside the run of a page, or where nobody is signed in any more
    """
    from streamlit.runtime.scriptrunner import get_script_run_ctx  # loads much; the first page has painted by now

    if get_script_run_ctx(suppress_warning=True) is None:
        raise NotAllowedError("Nobody is signed in.")
    if sign_in():
        return signed_in()
    return by_nobody(typed_name())


def later() -> Callable[[], Actor]:
    """Give what finds who clicks now when the run of the page is over, as for a download; errors as of `current`."""
    if sign_in():
        return partial(with_secret, secret_of_page())
    who = current()
    return lambda: who


def typed_name() -> str:
    """The name that was given, "" where none was."""
    return " ".join(str(st.session_state.get(NAME) or "").split())


def name() -> str:
    """The name of whoever acts; "" where nobody signs in and none was given."""
    actor = current_actor()
    return actor.name if actor.signed else typed_name()


def author() -> str:
    """The name of whoever acts for what they make, marked where nothing proves it; "" where none was given."""
    return named(name(), current_actor().signed)


def name_field(label: str, **looks: Any) -> str:
    """Place what says who acts, one name for all pages, and give it: a field where nobody signs in."""
    if current_actor().signed:
        st.caption(f"Signed in as {plain(name())}")
    else:
        st.text_input(label, key=NAME, persist_state="session", autocomplete="name", **looks)
    return name()
