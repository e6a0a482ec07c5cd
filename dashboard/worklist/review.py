"""The review of one study: agree in one click, or say what is there; and what other readers said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import streamlit as st

from dashboard import acting
from dashboard.text import plain, sentence
from dashboard.times import when
from dashboard.worklist import review_draft
from dashboard.worklist.review_session import ReviewSession, chosen, current, marked, reader, refresh, submit
from ichscope.access import Right
from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.store import Review, SeriesRow, Store, StoreError, WorklistRow

_YES_NO = {True: "Yes", False: "No"}


@st.fragment
def panel(store: Store, row: WorklistRow, series: SeriesRow, follow: Callable[[], None]) -> None:
    """Place the form and the history.

    Parameters
    ----------
    series : the one that is shown, whose slices can be marked
    follow : asks for the next study, or the list; the page is run again after it
    """
    try:
        now = current(store, row, series)
    except StoreError as error:
        st.error(plain(str(error)))
        return
    if not acting.current().may(Right.REVIEW):
        st.caption("Your role may look at studies, not review them.")
        _history(now.shown)
        return
    acting.name_field(
        "Reader", placeholder="Your name, to review", icon=":material/person:", label_visibility="collapsed"
    )
    _buttons(store, now, follow)
    answers = st.container()
    if now.form:
        _form(store, now, follow)
    with answers:
        try:
            refresh(store, now)
        except StoreError as error:
            st.error(plain(str(error)))
        _messages(now)
    _history(now.shown)


def _buttons(store: Store, session: ReviewSession, follow: Callable[[], None]) -> None:
    by_models = session.row.model_labels["any"]
    off = not reader() or by_models is None
    with st.container(horizontal=True):
        click: dict[str, Any] = {"disabled": off, "on_click": submit}
        st.button(
            "Agree and next",
            type="primary",
            shortcut="A",
            args=(store, session, True, follow),
            **click,
            key=session.key("agree-next"),
        )
        st.button("Agree", args=(store, session, True), **click, key=session.key("agree"))
        toggle = "Close" if session.form else "Correct"
        st.button(toggle, shortcut="E", on_click=session.toggle, key=session.key("correct"))
    if by_models is None:
        st.caption("No model result to agree with: set the labels yourself.")
    elif not session.form:
        st.caption(f"Agree means: {'haemorrhage' if by_models else 'no haemorrhage'}.")


# ---- the form --------------------------------------------------------------------------------------------


def _form(store: Store, session: ReviewSession, follow: Callable[[], None]) -> None:
    own = session.own
    _labels(session, own)
    labels = chosen(session)
    if text := review_draft.contradiction(labels):
        st.warning(text)
    else:
        st.caption(review_draft.implied(labels) or "Unset means no answer. Click again to unset.")
    if present := [label for label in LABELS if labels.get(label)]:
        _slices(session, own, present)
    st.checkbox("Poor quality", own.poor_quality if own else False, **session.kept("quality"))
    st.text_area(
        "Comment",
        own.comment if own else "",
        height=68,
        placeholder="Comment (no names or identifiers)",
        label_visibility="collapsed",
        **session.kept("comment"),
    )
    click: dict[str, Any] = {"disabled": not reader(), "on_click": submit}
    with st.container(horizontal=True):
        st.button(
            "Save and next", shortcut="S", args=(store, session, False, follow), **click, key=session.key("save-next")
        )
        st.button("Save", args=(store, session, False), **click, key=session.key("save"))


def _labels(session: ReviewSession, own: Review | None) -> None:
    with st.container(key="labels", gap="xsmall"):
        for label in LABELS:
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown(DISPLAY_NAMES[label])
                st.segmented_control(
                    DISPLAY_NAMES[label],
                    list(_YES_NO),
                    format_func=_YES_NO.__getitem__,
                    default=own.labels.get(label) if own else None,
                    label_visibility="collapsed",
                    **session.kept(label),
                )


def _slices(session: ReviewSession, own: Review | None, labels: Sequence[str]) -> None:
    with st.expander("Mark slices", key="mark-slices"):
        for label in labels:
            st.text_input(
                DISPLAY_NAMES[label],
                review_draft.ranges(review_draft.slices_with(own.marks, label)) if own else "",
                placeholder="Slices, e.g. 12-18, 21",
                autocomplete="off",
                **session.kept(f"slices-{label}"),
            )
        if text := marked(session, labels)[1]:
            st.warning(plain(text))


# ---- from the store to the page --------------------------------------------------------------------------


def _messages(session: ReviewSession) -> None:
    if session.problem:
        st.error(plain(session.problem))
    elif session.saved:
        st.success(plain(session.saved))
    for review in session.news:
        told = plain(" ".join([*review_draft.told(review), sentence(review.comment)]))
        st.warning(
            f"**{plain(review.reader)} reviewed this study while you had it open** ({when(review.created_at)}): {told} "
            "Nothing was overwritten: both reviews are kept, and the newest counts."
        )
    session.problem = ""


def _history(reviews: Sequence[Review]) -> None:
    if not reviews:
        st.caption("No reviews yet.")
        return
    st.subheader("Reviews")
    st.html(f"<div class='reviews'>{''.join(map(_review, reversed(reviews)))}</div>")


def _review(review: Review) -> str:
    comment = f"<q>{escape(sentence(review.comment))}</q>" if review.comment else ""
    typed = "" if review.signed else ", name as typed"
    who = f"<b>{escape(review.reader)}</b> <small>{when(review.created_at)}{typed}</small>"
    return f"<div>{who}<br>{escape(' '.join(review_draft.told(review)))} {comment}</div>"
