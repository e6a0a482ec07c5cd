"""Users: the people who sign in, the tokens of programs, and who is told of likely bleeds."""

from __future__ import annotations

import streamlit as st

from dashboard import cached
from dashboard.text import plain
from dashboard.users import people, programs, telling, told
from ichscope.access import current_actor
from ichscope.store import StoreError


def page() -> None:
    st.title("Users")
    st.write("Who may sign in, as what. Every change is a line of the audit trail.")
    if not current_actor().signed:
        st.warning(
            "**Nobody signs in at the moment:** whoever uses this computer may do everything, here too. What is made "
            "here counts as soon as sign-in is on (ICHSCOPE_SIGN_IN=on)."
        )
    try:
        store = cached.store()
        told.show()
        people.show(store)
        programs.show(store)
        telling.show(store)
    except StoreError as error:
        st.error(f"**Users cannot be shown or changed.** {plain(str(error))}")
        st.button("Try again")


page()
