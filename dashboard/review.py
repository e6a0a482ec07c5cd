"""The review of one study: agree in one click, or say what is there; and what other readers said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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

# A key that is held down must not agree on one study after the other.
LOOK_S = 1.0
_YES_NO = {True: "Yes", False: "No"}
_READER = "reader"
# What was saved, for the next page that is shown.
SAVED = "review-saved"


@dataclass
class Visit:
    """One study while it is open on one page.

    start : the reviews when it was opened, or when its reader last saved; the form begins with the reader's own
    shown : the reviews that the reader has seen
    news : those of others that came in between
    problem : why nothing was saved, until the next click
    left : the next study is asked for already
    """

    row: WorklistRow
    start: tuple[Review, ...]
    shown: tuple[Review, ...]
    news: list[Review] = field(default_factory=list)
    form: bool = False
    saved: str = ""
    problem: str = ""
    left: bool = False
    opened: float = field(default_factory=time.monotonic)

    def toggle(self) -> None:
        """Open or close the form."""
        self.form = not self.form

    def key(self, name: str) -> str:
        """Key of a button: a press that is still on its way must not count for the study that comes next."""
        return f"review-{self.row.id}-{name}"

    @property
    def own(self) -> Review | None:
        """What this reader said last."""
        return next((one for one in reversed(self.start) if one.reader == _reader()), None)

    def kept(self, name: str) -> dict[str, Any]:
        """Key of a field of the form, which stays as it was typed wherever the reader goes, until it is saved."""
        return {"key": f"review-{self.row.id}-{self.own.id if self.own else 0}-{name}", "persist_state": "session"}

    def value(self, name: str) -> Any:
        """What stands in a field of the form."""
        return st.session_state.get(self.kept(name)["key"])


def leave() -> None:
    """Forget which study was open; its next visit begins anew."""
    st.session_state.pop("visit", None)


def _reader() -> str:
    return str(st.session_state.get(_READER) or "").strip()


@st.fragment
def panel(store: Store, row: WorklistRow, follow: Callable[[], None]) -> None:
    """Place the form and the history.

    Parameters
    ----------
    follow : asks for the next study, or the list; the page is run again after it
    """
    try:
        visit = _visit(store, row)
    except StoreError as error:
        st.error(plain(str(error)))
        return
    st.text_input(
        "Reader",
        key=_READER,
        persist_state="session",
        placeholder="Your name, before you review",
        icon=":material/person:",
        label_visibility="collapsed",
    )
    _buttons(store, visit, follow)
    answers = st.container()
    if visit.form:
        _form(store, visit, follow)
    with answers:
        _refresh(store, visit)
        _messages(visit)
    _history(visit.shown)


def _visit(store: Store, row: WorklistRow) -> Visit:
    visit: Visit | None = st.session_state.get("visit")
    if visit and visit.left and visit.row.id == row.id:
        # Only this part of the page was run again; the whole page shows the next study.
        del st.session_state["visit"]
        st.rerun()
    if visit is None or visit.row.id != row.id:
        reviews = store.reviews(row.id)
        # With nothing to agree with, the labels are what a reader came for.
        visit = st.session_state["visit"] = Visit(row, reviews, reviews, form=row.found["any"] is None)
    return visit


def _buttons(store: Store, visit: Visit, follow: Callable[[], None]) -> None:
    found = visit.row.found["any"]
    off = not _reader() or found is None
    with st.container(horizontal=True):
        click = {"disabled": off, "on_click": _submit}
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
    labels = _said(visit)
    if text := entry.contradiction(labels):
        st.warning(text)
    else:
        st.caption(entry.implied(labels) or "Unset is not said; a second click unsets.")
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
    click = {"disabled": not _reader(), "on_click": _submit}
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
                entry.ranges(entry.slices_with(own.marks, label)) if own else "",
                placeholder="Slices, for instance 12-18, 21",
                **visit.kept(f"slices-{label}"),
            )
        if text := _marked(visit, labels)[1]:
            st.warning(plain(text))


# ---- from the form to the store --------------------------------------------------------------------------


def _said(visit: Visit) -> dict[str, bool]:
    return {label: value for label in LABELS if (value := visit.value(label)) is not None}


def _marked(visit: Visit, labels: Sequence[str]) -> tuple[dict[int, tuple[str, ...]], str]:
    """Labels by slice, and what cannot be read of them."""
    marked, wrong = {}, ""
    for label in labels:
        try:
            marked[label] = entry.slice_numbers(visit.value(f"slices-{label}") or "", visit.row.slices)
        except ValueError as error:
            wrong = f"{DISPLAY_NAMES[label]}: {error}"
    return entry.by_slice(marked), wrong


def _submit(store: Store, visit: Visit, agree: bool, follow: Callable[[], None] | None = None) -> None:
    """Save what the reader says, as a click asks for it, and go on where that is wanted and nothing is in the way."""
    said, visit.problem = Entry(), ""
    if visit.left:
        return
    if visit.form:
        labels = _said(visit)
        marks, visit.problem = _marked(visit, [label for label in LABELS if labels.get(label)])
        said = Entry(labels, marks, bool(visit.value("quality")), visit.value("comment") or "")
    elif time.monotonic() - visit.opened < LOOK_S:
        visit.problem = "Not saved: this study has only just appeared. Look at it, then press again."
    visit.problem = visit.problem or _problem(said, visit.row, agree)
    if not visit.problem and _save(store, visit, said, agree) and follow and not visit.news:
        visit.left = True
        st.session_state[SAVED] = f"Study {visit.row.study_key[:4]}: {visit.saved}"
        follow()


def _problem(said: Entry, row: WorklistRow, agree: bool) -> str:
    """Why this is not saved, as a sentence; "" where nothing is in the way."""
    if not _reader():
        return "Enter your name first."
    if text := entry.contradiction(said.labels):
        return text
    if agree and (against := entry.against_models(said.labels, row.found)):
        names = ", ".join(DISPLAY_NAMES[label] for label in against)
        return f"You set something else than the models for: {names}. Use Save, or unset it."
    return "" if agree or not said.empty else "Nothing is set yet."


def _save(store: Store, visit: Visit, said: Entry, agree: bool) -> bool:
    labels = entry.complete(said.labels)
    try:
        saved = store.review(
            visit.row.id,
            _reader(),
            agree=True if agree else entry.agrees(labels, visit.row.found),
            labels=labels,
            marks=said.marks,
            poor_quality=said.poor_quality,
            comment=said.comment,
            based_on=visit.shown[-1].id if visit.shown else None,
        )
    except StoreError as error:
        visit.problem = f"Not saved. {error} What you entered is still here: try again."
        return False
    # What else there is comes with the next look; this much is certain without one.
    visit.start = visit.shown = (*visit.shown, *saved.unseen, saved.review)
    visit.news, visit.form = list(saved.unseen), False
    visit.saved = f"Saved for {saved.review.reader}, {when(datetime.now(UTC))}: {' '.join(entry.told(saved.review))}"
    return True


# ---- from the store to the page --------------------------------------------------------------------------


def _refresh(store: Store, visit: Visit) -> None:
    """See whether another reader was here meanwhile; the reader is told before the next save."""
    try:
        reviews = store.reviews(visit.row.id)
    except StoreError as error:
        st.error(plain(str(error)))
        return
    known = {one.id for one in visit.shown}
    visit.news += [one for one in reviews if one.id not in known and one.reader != _reader()]
    visit.shown = reviews


def _messages(visit: Visit) -> None:
    if visit.problem:
        st.error(plain(visit.problem))
    elif visit.saved:
        st.success(plain(visit.saved))
    for one in visit.news:
        told = plain(" ".join([*entry.told(one), sentence(one.comment)]))
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
    return f"<div>{who}<br>{escape(' '.join(entry.told(review)))} {comment}</div>"
