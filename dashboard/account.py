"""Who uses the page, in the corner of every page; without a session there is no page."""

from __future__ import annotations

from html import escape

import streamlit as st

from dashboard import acting
from dashboard.text import plain
from ichscope.access import Actor, NotAllowedError, Via
from ichscope.errors import IchscopeError


def whoever() -> Actor:
    """Give who uses the page, and show it; where nobody does, the run ends with the way to the sign-in."""
    try:
        who = acting.current()
    except NotAllowedError:
        # What was on the page goes with the session.
        st.session_state.clear()
        st.title("You are signed out")
        st.html('<p><a href="/sign-in">Sign in</a> to go on.</p>')
        st.stop()
    except IchscopeError as error:
        st.error(f"**Nobody can be let in at the moment.** {plain(str(error))}")
        st.button("Try again")
        st.stop()
    _corner(who)
    return who


def _corner(who: Actor) -> None:
    if who.via is Via.NOBODY:
        st.html('<div class="account">This computer only, no sign-in</div>')
    else:
        st.html(f'<div class="account"><a href="/account">{escape(who.name)}</a>, {escape(who.role)}</div>')
