"""People who sign in: who they are, and what can be done about them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.text import count, words
from dashboard.times import when
from dashboard.users import told
from dashboard.users.told import KEY
from ichscope.access import RIGHTS, Role, current_actor
from ichscope.access.passwords import generated
from ichscope.store import Account, Store

_ROLES: list[Role] = [role for role in Role if role is not Role.SERVICE]
_NOBODY = (
    "Nobody has an account yet. Add the first person here, an admin, or on the server: `ichscope users add NAME --role "
    "admin`."
)
_COLUMNS = ("Name", "Role", "State", "Signs in", "Last sign-in", "Signed in on", "Wait after wrong passwords")


def show(store: Store) -> None:
    """Place the list of people, and below it what can be changed."""
    people = store.accounts.all()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header("People")
        _add(store)
    if not people:
        st.info(_NOBODY)
        return
    st.html(list_of(people))
    _change(store, people)


def list_of(people: Sequence[Account]) -> str:
    """Give everybody as a table; pure, but for the reader's clock."""
    return words(_COLUMNS, [_row(person) for person in people])


def _row(person: Account) -> Sequence[str]:
    return (
        person.name,
        person.role,
        "disabled" if person.disabled else "may sign in",
        f"at {person.issuer}" if person.issuer else "with a password",
        when(person.signed_in_at) if person.signed_in_at else "never",
        count(person.sessions, "computer") if person.sessions else "",
        f"until {when(person.locked_until)}" if person.locked_until else "",
    )


def _role_words(role: Role) -> str:
    """A role with what it may do that the one before may not."""
    before = _ROLES[_ROLES.index(role) - 1] if role is not _ROLES[0] else None
    rights = RIGHTS[role] - (RIGHTS[before] if before else frozenset())
    what = ", ".join(sorted(right.value for right in rights))
    return f"{role}: {f'as {before}, and ' if before else ''}{what}"


# ---- add -----------------------------------------------------------------------------------------------


def _add(store: Store) -> None:
    with st.popover("Add a person", icon=":material/person_add:", key=f"{KEY}-add"):
        name = st.text_input(
            "Name", key=f"{KEY}-name", help="As the person signs in, and signs reviews.", autocomplete="off"
        )
        role = st.radio("Role", _ROLES, format_func=_role_words, index=1, key=f"{KEY}-role")
        ready = bool(name and name.strip())
        st.button("Add", type="primary", disabled=not ready, on_click=_added, args=(store, name, role))


def _added(store: Store, name: str, role: Role) -> None:
    password = generated()
    then = f"{name.strip()} may sign in as {role}, with this password. It is not shown again:"
    if told.act(then, store.accounts.add, name, role, password, secret=password):
        st.session_state[f"{KEY}-name"] = ""


# ---- change --------------------------------------------------------------------------------------------


def _change(store: Store, people: Sequence[Account]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by_name = {person.name: person for person in people}
        person = by_name[st.selectbox("Account", list(by_name), key=f"{KEY}-account", width=240)]
        _role(store, person)
        own = person.id == current_actor().account
        for title, off, do in (
            # It would end this session, and nobody would see the new one.
            ("Reset password", own or bool(person.issuer), _reset),
            ("Sign out everywhere", not person.sessions, _sign_out),
            ("Enable", False, _enable) if person.disabled else ("Disable", False, _disable),
        ):
            st.button(title, key=f"{KEY}-{title}", disabled=off, on_click=do, args=(store, person.name))
    if own:
        st.caption("This is you. Your own password is changed under your name in the corner.")
    elif person.issuer:
        st.caption("The password is kept, and the role is set at every sign-in, by the server that vouches for them.")
    elif person.disabled:
        st.caption("What a disabled person did stays under their name.")


def _role(store: Store, person: Account) -> None:
    key = f"{KEY}-role-of-{person.id}-{person.role}"
    role = st.selectbox("Role", _ROLES, index=_ROLES.index(person.role), key=key, width=140)
    off = role == person.role
    st.button("Set role", disabled=off, key=f"{KEY}-set", on_click=_set_role, args=(store, person.name, role))


def _set_role(store: Store, name: str, role: Role) -> None:
    told.act(f"{name} is {role} from the next click on.", store.accounts.set_role, name, role)


def _disable(store: Store, name: str) -> None:
    told.act(f"{name} is signed out and may sign in no more.", store.accounts.disable, name)


def _enable(store: Store, name: str) -> None:
    told.act(f"{name} may sign in again.", store.accounts.enable, name)


def _reset(store: Store, name: str) -> None:
    password = generated()
    then = f"{name} is signed out, and signs in with this password. It is not shown again:"
    told.act(then, store.accounts.reset, name, password, secret=password)


def _sign_out(store: Store, name: str) -> None:
    told.act(f"{name} is signed out everywhere.", store.accounts.sign_out, name)
