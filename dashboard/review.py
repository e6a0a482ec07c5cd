"""The review of one study: agree in one click, or say what is there; and what other readers said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from dashboard import entry
from dashboard.entry import Entry
from dashboard.text import plain, sentence
from dashboard.times import when
from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.store import Review, Store, StoreError, WorklistRow

_YES_NO = {True: "Yes", False: "No"}
_MARKS_HELP = "Numbers as in the viewer, for instance 12-18, 21"


@dataclass
class Visit:
    """One study while it is open on one page.

    start : the reviews when it was opened, or when its reader last saved; the form begins with the reader's own
    shown : the reviews that the reader has seen
    news : those of others that came in between
    """

    study: int
    start: tuple[Review, ...]
    shown: tuple[Review, ...]
    news: list[Review] = field(default_factory=list)
    form: bool = False
    saved: str = ""


@st.fragment
def panel(store: Store, row: WorklistRow, follow: Callable[[], None]) -> None:
    """Place the form and the history.

    Parameters
    ----------
    follow : opens the next study
    """
    try:
        visit = _visit(store, row)
    except StoreError as error:
        st.error(plain(str(error)))
        return
    reader = st.text_input(
        "Reader",
        key="reader",
        persist_state="session",
        placeholder="Your name, before you review",
        icon=":material/person:",
        label_visibility="collapsed",
    ).strip()
    agree, on = _buttons(row, visit, reader)
    answers = st.container()
    said, save = Entry(), False
    if visit.form:
        said, wrong, save, and_next = _form(row, visit, reader)
        on = on or and_next
        save = save or and_next
    if agree or save:
        problem = wrong if visit.form and wrong else _problem(said, row, agree)
        if problem:
            answers.error(plain(problem))
        elif _save(store, row, visit, reader, said, agree, answers):
            follow() if on and not visit.news else st.rerun(scope="fragment")
    _refresh(store, visit, reader, answers)
    _messages(visit, answers)
    _history(visit.shown)


def _visit(store: Store, row: WorklistRow) -> Visit:
    visit: Visit | None = st.session_state.get("visit")
    if visit is None or visit.study != row.id:
        reviews = store.reviews(row.id)
        # With nothing to agree with, the labels are what a reader came for.
        visit = st.session_state["visit"] = Visit(row.id, reviews, reviews, form=row.found["any"] is None)
    return visit


def _buttons(row: WorklistRow, visit: Visit, reader: str) -> tuple[bool, bool]:
    """Whether the reader agrees, and wants to go on."""
    found = row.found["any"]
    off = not reader or found is None
    with st.container(horizontal=True):
        and_next = st.button("Agree and next", type="primary", shortcut="A", disabled=off, key="agree-next")
        agree = st.button("Agree", disabled=off, key="agree")
        if st.button("Close" if visit.form else "Correct", shortcut="E", key="correct"):
            visit.form = not visit.form
            st.rerun(scope="fragment")
    if found is None:
        st.caption("No model has a result here that one could agree with: set the labels.")
    else:
        st.caption(f"To agree is to say: {'a haemorrhage' if found else 'no haemorrhage'}.")
    return agree or and_next, and_next


# ---- the form --------------------------------------------------------------------------------------------


def _form(row: WorklistRow, visit: Visit, reader: str) -> tuple[Entry, str, bool, bool]:
    """What is entered, what is wrong with its slices, and whether to save it, or save it and go on."""
    own = next((one for one in reversed(visit.start) if one.reader == reader), None)
    # A review that was saved begins a new form; until then what was typed stays, wherever the reader goes.
    prefix = f"review-{row.id}-{own.id if own else 0}"
    labels = _labels(prefix, own.labels if own else {})
    if text := entry.contradiction(labels):
        st.warning(text)
    else:
        st.caption(entry.implied(labels) or "Unset is not said; a second click unsets.")
    marks, wrong = _marks(prefix, [label for label in LABELS if labels.get(label)], row.slices, own)
    poor = st.checkbox("Poor quality", own.poor_quality if own else False, **_kept(prefix, "quality"))
    comment = st.text_area(
        "Comment",
        own.comment if own else "",
        height=68,
        placeholder="Comment; no names, no identifiers",
        label_visibility="collapsed",
        **_kept(prefix, "comment"),
    )
    with st.container(horizontal=True):
        and_next = st.button("Save and next", shortcut="S", disabled=not reader, key="save-next")
        save = st.button("Save", disabled=not reader, key="save")
    return Entry(labels, marks, poor, comment), wrong, save, and_next


def _kept(prefix: str, name: str) -> dict[str, Any]:
    return {"key": f"{prefix}-{name}", "persist_state": "session"}


def _labels(prefix: str, own: Mapping[str, bool]) -> dict[str, bool]:
    found = {}
    with st.container(key="labels", gap="xsmall"):
        for label in LABELS:
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown(DISPLAY_NAMES[label])
                found[label] = st.segmented_control(
                    DISPLAY_NAMES[label],
                    list(_YES_NO),
                    format_func=_YES_NO.get,
                    default=own.get(label),
                    label_visibility="collapsed",
                    **_kept(prefix, label),
                )
    return {label: value for label, value in found.items() if value is not None}


def _marks(
    prefix: str, labels: Sequence[str], slices: int, own: Review | None
) -> tuple[dict[int, tuple[str, ...]], str]:
    """Labels by slice, and what cannot be read of them."""
    marked, wrong = {}, ""
    if labels:
        with st.expander("Mark slices", key=f"{prefix}-slices"):
            for label in labels:
                before = entry.ranges(entry.slices_with(own.marks, label)) if own else ""
                text = st.text_input(
                    DISPLAY_NAMES[label], before, placeholder=_MARKS_HELP, **_kept(prefix, f"slices-{label}")
                )
                try:
                    marked[label] = entry.slice_numbers(text, slices)
                except ValueError as error:
                    wrong = f"{DISPLAY_NAMES[label]}: {error}"
                    st.warning(plain(wrong))
    return entry.by_slice(marked), wrong


def _problem(said: Entry, row: WorklistRow, agree: bool) -> str:
    """Why this is not saved, as a sentence; "" where nothing is in the way."""
    if text := entry.contradiction(said.labels):
        return text
    if agree and (against := entry.against_models(said.labels, row.found)):
        names = ", ".join(DISPLAY_NAMES[label] for label in against)
        return f"You set something else than the models for: {names}. Use Save, or unset it."
    return "" if agree or not said.empty else "Nothing is set yet."


# ---- the store -------------------------------------------------------------------------------------------


def _save(store: Store, row: WorklistRow, visit: Visit, reader: str, said: Entry, agree: bool, answers: Any) -> bool:
    """Save a review; on failure the reader is told, and the form stays as it is."""
    labels = entry.complete(said.labels)
    try:
        saved = store.review(
            row.id,
            reader,
            agree=True if agree else entry.agrees(labels, row.found),
            labels=labels,
            marks=said.marks,
            poor_quality=said.poor_quality,
            comment=said.comment,
            based_on=visit.shown[-1].id if visit.shown else None,
        )
        visit.start = visit.shown = store.reviews(row.id)
    except StoreError as error:
        answers.error(f"**Not saved.** {plain(str(error))} What you entered is still here: try again.")
        return False
    visit.news, visit.form = list(saved.unseen), False
    visit.saved = f"Saved for {reader}, {when(datetime.now(UTC))}: {' '.join(entry.told(saved.review))}"
    st.session_state["said"] = visit.saved
    return True


def _refresh(store: Store, visit: Visit, reader: str, answers: Any) -> None:
    """See whether another reader was here meanwhile; the reader is told before the next save."""
    try:
        reviews = store.reviews(visit.study)
    except StoreError as error:
        answers.error(plain(str(error)))
        return
    visit.news += [one for one in reviews[len(visit.shown) :] if one.reader != reader]
    visit.shown = reviews


def _messages(visit: Visit, answers: Any) -> None:
    if visit.saved:
        answers.success(plain(visit.saved))
    for one in visit.news:
        told = plain(" ".join([*entry.told(one), one.comment]))
        answers.warning(
            f"**{plain(one.reader)} reviewed this study while you had it open** ({when(one.created_at)}): {told} "
            "Nothing was overwritten: both reviews are kept, and the newest counts."
        )


def _history(reviews: Sequence[Review]) -> None:
    if not reviews:
        st.caption("No review yet.")
        return
    st.subheader("Reviews")
    st.html(f"<div class='reviews'>{''.join(map(_one, reversed(reviews)))}</div>")


def _one(review: Review) -> str:
    comment = f"<q>{escape(sentence(review.comment))}</q>" if review.comment else ""
    who = f"<b>{escape(review.reader)}</b> <small>{when(review.created_at)}</small>"
    return f"<div>{who}<br>{escape(' '.join(entry.told(review)))} {comment}</div>"
