"""The review of one study: agree in one click, or say what is there; and what other readers said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import streamlit as st

from dashboard.text import plain, sentence
from dashboard.times import when
from dashboard.worklist import review_draft
from dashboard.worklist.review_session import READER, Visit, chosen, current, marked, reader, refresh, submit
from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.store import Review, Store, StoreError, WorklistRow

_YES_NO = {True: "Yes", False: "No"}


@st.fragment
def panel(store: Store, row: WorklistRow, follow: Callable[[], None]) -> None:
    """Place the form and the history.

    Parameters
    ----------
    follow : asks for the next study, or the list; the page is run again after it
    """
    try:
        now = current(store, row)
    except StoreError as error:
        st.error(plain(str(error)))
        return
    st.text_input(
        "Reader",
        key=READER,
        persist_state="session",
        placeholder="Your name, before you review",
        icon=":material/person:",
        label_visibility="collapsed",
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


def _buttons(store: Store, visit: Visit, follow: Callable[[], None]) -> None:
    found = visit.row.found["any"]
    off = not reader() or found is None
    with st.container(horizontal=True):
        click = {"disabled": off, "on_click": submit}
        st.button(
            "Agree and next",
            type="primary",
            shortcut="A",
            args=(store, visit, True, follow),
            **click,
            key=visit.key("agree-next"),
        )
        st.button("Agree", args=(store, visit, True), **click, key=visit.key("agree"))
        toggle = "Close" if visit.form else "Correct"
        st.button(toggle, shortcut="E", on_click=visit.toggle, key=visit.key("correct"))
    if found is None:
        st.caption("No model has a result here that one could agree with: set the labels.")
    elif not visit.form:
        st.caption(f"To agree is to say: {'a haemorrhage' if found else 'no haemorrhage'}.")


# ---- the form --------------------------------------------------------------------------------------------


def _form(store: Store, visit: Visit, follow: Callable[[], None]) -> None:
    own = visit.own
    _labels(visit, own)
    labels = chosen(visit)
    if text := review_draft.contradiction(labels):
        st.warning(text)
    else:
        st.caption(review_draft.implied(labels) or "Unset is not said; a second click unsets.")
    if present := [label for label in LABELS if labels.get(label)]:
        _slices(visit, own, present)
    st.checkbox("Poor quality", own.poor_quality if own else False, **visit.kept("quality"))
    st.text_area(
        "Comment",
        own.comment if own else "",
        height=68,
        placeholder="Comment; no names, no identifiers",
        label_visibility="collapsed",
        **visit.kept("comment"),
    )
    click = {"disabled": not reader(), "on_click": submit}
    with st.container(horizontal=True):
        st.button(
            "Save and next", shortcut="S", args=(store, visit, False, follow), **click, key=visit.key("save-next")
        )
        st.button("Save", args=(store, visit, False), **click, key=visit.key("save"))


def _labels(visit: Visit, own: Review | None) -> None:
    with st.container(key="labels", gap="xsmall"):
        for label in LABELS:
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown(DISPLAY_NAMES[label])
                st.segmented_control(
                    DISPLAY_NAMES[label],
                    list(_YES_NO),
                    format_func=_YES_NO.get,
                    default=own.labels.get(label) if own else None,
                    label_visibility="collapsed",
                    **visit.kept(label),
                )


def _slices(visit: Visit, own: Review | None, labels: Sequence[str]) -> None:
    with st.expander("Mark slices", key="mark-slices"):
        for label in labels:
            st.text_input(
                DISPLAY_NAMES[label],
                review_draft.ranges(review_draft.slices_with(own.marks, label)) if own else "",
                placeholder="Slices, for instance 12-18, 21",
                **visit.kept(f"slices-{label}"),
            )
        if text := marked(visit, labels)[1]:
            st.warning(plain(text))


# ---- from the store to the page --------------------------------------------------------------------------


def _messages(visit: Visit) -> None:
    if visit.problem:
        st.error(plain(visit.problem))
    elif visit.saved:
        st.success(plain(visit.saved))
    for one in visit.news:
        told = plain(" ".join([*review_draft.told(one), sentence(one.comment)]))
        st.warning(
            f"**{plain(one.reader)} reviewed this study while you had it open** ({when(one.created_at)}): {told} "
            "Nothing was overwritten: both reviews are kept, and the newest counts."
        )
    visit.problem = ""


def _history(reviews: Sequence[Review]) -> None:
    if not reviews:
        st.caption("No review yet.")
        return
    st.subheader("Reviews")
    st.html(f"<div class='reviews'>{''.join(map(_one, reversed(reviews)))}</div>")


def _one(review: Review) -> str:
    comment = f"<q>{escape(sentence(review.comment))}</q>" if review.comment else ""
    who = f"<b>{escape(review.reader)}</b> <small>{when(review.created_at)}</small>"
    return f"<div>{who}<br>{escape(' '.join(review_draft.told(review)))} {comment}</div>"
