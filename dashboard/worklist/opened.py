"""One study of the worklist, open: answer, viewer, review, and the way to its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import streamlit as st

from dashboard import acting, cached, menu, panels, seen, series
from dashboard.text import count, plain
from dashboard.times import when
from dashboard.worklist import review, review_session
from ichscope.access import Right, named
from ichscope.results import SeriesResult
from ichscope.store import Filter, Neighbours, Order, SeriesRow, Store, StoreError, WorklistRow

_NO_PICTURES = (
    "**The images of this study are not stored.** They were removed to save space, or storing them is switched off. "
    "Results and reviews are kept."
)
_NO_SLICES = "No images: nothing could be read as a slice."
# The series that was last asked for here.
_ASKED = "series-asked-for"

Open = Callable[[int | None], None]


def show(store: Store, study: int, filter: Filter, order: Order, open_study: Open) -> None:
    """Place the whole study.

    Parameters
    ----------
    filter, order : of the list that it was opened from
    open_study : opens another one, or the list

    Raises
    ------
    ichscope.store.StoreError
        if there is no such study, or the database fails
    """
    row = store.worklist.row(study)
    seen.opened("worklist", study, lambda _: row.study_key)
    menu.on_own_link(partial(open_study, None))
    rows = store.series.of(study)
    left, right = st.columns([7, 3], gap="medium")
    with right:
        _way(store.worklist.neighbours(study, filter, order), open_study)
        shown = rows[series.choose(series.names_of_rows(rows), f"series-{study}", _reason(store, row))]
        result, damage = _result(store, shown)
        panels.identity(result, row.synthetic)
        if not shown.speaks:
            _other_series(store, row, shown)
    # Answer and pictures are sent before the buttons that judge them.
    with left:
        panels.headline(result)
        if damage:
            st.warning(plain(damage))
        elif shown.has_volume:
            panels.pictures(result)
        else:
            st.info(_NO_PICTURES if shown.slices else _NO_SLICES)
    with right:
        review.panel(store, row, shown, partial(_follow, store, study, filter, order, open_study))
        panels.models(result)
        panels.quality(result)
        st.caption(plain(_facts(row)))


def _reason(store: Store, row: WorklistRow) -> str:
    """Why the series speaks that does; the name of who chose it is marked where nothing proves it."""
    if not row.series_reason.startswith("chosen by "):
        return row.series_reason
    choice = store.series.choices(row.id)[-1]
    when_and_more = row.series_reason.removeprefix(f"chosen by {choice.who}")
    return f"chosen by {named(choice.who, choice.signed)}{when_and_more}"


def _result(store: Store, shown: SeriesRow) -> tuple[SeriesResult, str]:
    """The result, and why its pictures cannot be had: a damaged file must not hide what was found."""
    try:
        return store.results.load_series(shown.id, voxels=shown.has_volume), ""
    except StoreError as error:
        return store.results.load_series(shown.id, voxels=False), str(error)


def _other_series(store: Store, row: WorklistRow, shown: SeriesRow) -> None:
    """What can be done with a series that does not speak for its study."""
    if shown.superseded_by is not None:
        st.caption("A fuller version of this series came later and counts in its place.")
        return
    if not acting.current().may(Right.REVIEW):
        return
    if shown.left_to_another and shown.has_volume:
        if st.button("Analyse this series", key=f"analyse-{shown.id}"):
            cached.background().analyse_series(shown.id)
            st.session_state[_ASKED] = shown.id
        if st.session_state.get(_ASKED) == shown.id:
            st.caption("Being analysed. Open the study again in a few seconds to see the result.")
    elif shown.analysed:
        name = review_session.reader()
        help_text = None if name else "Enter your name below first: the choice is kept with it."
        if st.button("Let this series speak for the study", disabled=not name, help=help_text):
            store.series.choose(row.id, shown.id)
            st.session_state.pop(f"series-{row.id}", None)
            st.rerun()


def _way(near: Neighbours, open_study: Open) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("List", icon=":material/arrow_back:", shortcut="B", on_click=open_study, args=(None,))
        for name, key, to in (("Previous", "P", near.previous), ("Next", "N", near.next)):
            st.button(name, shortcut=key, disabled=to is None, on_click=open_study, args=(to,))
    # A review may have taken the last study out of its own list.
    st.caption(f"{min(near.position, near.total):,} of {near.total:,} in the list")
    saved()


def saved() -> None:
    """What was saved of the study before."""
    if text := st.session_state.pop(review_session.SAVED, ""):
        st.caption(f":material/check: {plain(text)}")


def _follow(store: Store, study: int, filter: Filter, order: Order, open_study: Open) -> None:
    """Open the next study, or the list where this was the last one."""
    # Asked again: the list may have changed while the study was read. Without an answer the study stays open.
    with suppress(StoreError):
        open_study(store.worklist.neighbours(study, filter, order).next)


def _facts(row: WorklistRow) -> str:
    age = f"{row.age_years} years" if row.age_years is not None else ""
    kv = f"{row.kvp:g} kV" if row.kvp else ""
    thickness = f"{row.slice_thickness_mm:g} mm" if row.slice_thickness_mm else ""
    facts = (count(row.slices, "slice"), row.sex, age, row.scanner, row.institution, kv, thickness, row.kernel)
    return f"{', '.join(filter(None, facts))}. Arrived {when(row.arrived_at)}, analysed {when(row.analysed_at)}."
