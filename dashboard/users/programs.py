"""Tokens of programs: which ones there are, one more, one less."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import streamlit as st

from dashboard.text import count, words
from dashboard.times import when
from dashboard.users import told
from dashboard.users.told import KEY
from ichscope.access import RIGHTS, Right, Role
from ichscope.store import Store, Token
from ichscope.store.tokens import LONGEST

_SCOPES = sorted(RIGHTS[Role.SERVICE] - {Right.API}, key=list(Right).index)
_DAYS = 365
_COLUMNS = ("No.", "Program", "May", "State", "Until", "Last used", "Made by")


def show(store: Store) -> None:
    """Place the list of tokens, and what can be changed."""
    tokens = store.tokens.all()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header("Tokens of programs")
        _add(store)
    if not tokens:
        st.info("There are no tokens. A program that sends studies or reads figures needs one.")
        return
    st.html(list_of(tokens))
    _revoke(store, [token for token in tokens if token.valid])


def list_of(tokens: Sequence[Token]) -> str:
    """Give all tokens as a table, without their secrets."""
    return words(_COLUMNS, [_row(token) for token in tokens])


def _row(token: Token) -> Sequence[str]:
    return (
        str(token.id),
        token.name,
        ", ".join(sorted(right.value for right in token.rights)),
        "valid" if token.valid else "revoked" if token.revoked_at else "expired",
        when(token.revoked_at or token.expires_at),
        when(token.used_at) if token.used_at else "never",
        token.created_by,
    )


def _add(store: Store) -> None:
    with st.popover("Make a token", icon=":material/key:", key=f"{KEY}-make"):
        name = st.text_input("Program", key=f"{KEY}-program", help="Its name, for people.", autocomplete="off")
        rights = st.pills("May", _SCOPES, selection_mode="multi", format_func=str, key=f"{KEY}-rights")
        days = st.number_input("Valid for, in days", 1, LONGEST.days, _DAYS, key=f"{KEY}-days")
        ready = bool(name and name.strip() and rights)
        st.button("Make", type="primary", disabled=not ready, on_click=_added, args=(store, name, rights, days))


def _added(store: Store, name: str, rights: Sequence[Right], days: int) -> None:
    then = f"The token of {name.strip()} is valid for {count(days, 'day')}. It is not shown again:"
    if made := told.act(then, store.tokens.add, name, rights, timedelta(days=days)):
        told.keep(made[1])
        st.session_state[f"{KEY}-program"] = ""


def _revoke(store: Store, valid: Sequence[Token]) -> None:
    if not valid:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = {token.id: f"{token.id}: {token.name}" for token in valid}
        number = st.selectbox("Token", list(names), format_func=names.__getitem__, key=f"{KEY}-token", width=240)
        st.button("Revoke", key=f"{KEY}-revoke", on_click=_revoked, args=(store, number))


def _revoked(store: Store, number: int) -> None:
    told.act(f"Token {number} counts no more.", store.tokens.revoke, number)
