"""Worklist: what came in, the likely bleeds first; one study after the other is opened and reviewed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import streamlit as st

from dashboard import cached, downloads, filters, ingest, seen
from dashboard.text import NOT_FOR_DIAGNOSIS, plain
from dashboard.worklist import opened, review_session, table
from dashboard.worklist.export import worklist_csv
from ichscope.store import Counts, Filter, Order, Store, StoreError

KEY = "worklist"
ROWS = 50
ORDERS: dict[Order, str] = {
    "priority": "Most urgent first",
    "score": "Highest probability first",
    "newest": "Newest first",
    "oldest": "Oldest first",
}


def page() -> None:
    try:
        store = cached.store()
        if (study := _asked()) is None:
            _list(store)
        else:
            opened.show(store, study, filters.current(KEY), _order(), _open)
    except StoreError as error:
        st.error(f"**The worklist cannot be shown.** {plain(str(error))}")
        st.button("Try again")
        if _asked() is not None:
            st.button("Back to the list", on_click=_open, args=(None,))


def _asked() -> int | None:
    """The study that the address names, by its number in the database, which says nothing of the patient."""
    asked = st.query_params.get("study", "")
    # No database counts further.
    return int(asked) if asked.isdecimal() and len(asked) < 19 else None


def _open(study: int | None) -> None:
    # The slice of the study before goes, too; the viewer writes and reads it.
    st.query_params.from_dict({} if study is None else {"study": str(study)})
    if study is None:
        return
    st.session_state[f"{KEY}-last"] = study


def _order() -> Order:
    order: Order = st.session_state.get(f"{KEY}-order") or "priority"
    return order


# ---- the list --------------------------------------------------------------------------------------------


def _list(store: Store) -> None:
    review_session.leave()
    seen.closed()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Worklist", width="content")
        st.write(f"**{NOT_FOR_DIAGNOSIS}.**")
    opened.saved()
    if not ingest.panel():
        return
    top = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    with top:
        filter = filters.choose(store, KEY, states=False)
    # Each different question is asked once a run.
    counts = cache(store.worklist.counts)
    total = counts(filter).total
    _states(counts, filter)
    if not total:
        _nothing_fits()
        return
    with top:
        order = _order_and_export(store, filter)
    _page(store, filter, order, total)


def _states(counts: Callable[[Filter], Counts], filter: Filter) -> None:
    """Counts by state that filter by it; each says how many there would be, given all the other filters."""
    states: dict[str, tuple[Mapping[Any, str], Mapping[Any, int]]] = {
        "priority": (filters.PRIORITY_WORDS, counts(replace(filter, priority=())).priority),
        "agreement": (filters.AGREEMENT_WORDS, counts(replace(filter, agreement=None)).agreement),
        "status": (filters.STATUS_WORDS, counts(replace(filter, status=())).status),
    }
    with st.container(horizontal=True, key="states"):
        for name, (names, numbers) in states.items():
            filters.pills(KEY, name, names, numbers)


def _order_and_export(store: Store, filter: Filter) -> Order:
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        order = st.selectbox(
            "Order",
            list(ORDERS),
            format_func=ORDERS.__getitem__,
            key=f"{KEY}-order",
            persist_state="session",
            label_visibility="collapsed",
            width=220,
        )
        downloads.button(
            "CSV",
            partial(worklist_csv, store, filter, order),
            "ichscope-worklist.csv",
            "text/csv",
            what="worklist",
            help="All studies in this list, not just this page",
        )
    return order


def _page(store: Store, filter: Filter, order: Order, total: int) -> None:
    last_page = -(-total // ROWS)
    key = _page_key(filter, order)
    place = st.container()
    page = 1
    if last_page > 1:
        page = st.pagination(last_page, key=key, persist_state="session")
    first = (page - 1) * ROWS
    with place:
        rows = store.worklist.page(filter, order, first, ROWS)
        st.caption(f"{first + 1:,} to {first + len(rows):,} of {total:,}. Click or press Enter to open a study.")
        study = table.show(rows, f"{KEY}-table", st.session_state.get(f"{KEY}-last"))
    if study is not None:
        _open(study)
        st.rerun()


def _page_key(filter: Filter, order: Order) -> str:
    """Another list has another key, and so begins at its first page."""
    number, *listed = st.session_state.get(f"{KEY}-listed", (0, filter, order))
    if listed != [filter, order]:
        number += 1
    st.session_state[f"{KEY}-listed"] = (number, filter, order)
    return f"{KEY}-page-{number}"


def _nothing_fits() -> None:
    st.info("**No studies match these filters.**")
    st.button("Show all studies", type="primary", on_click=filters.clear, args=(KEY,))


page()
