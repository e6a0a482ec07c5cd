"""A reader's visit to one study: what was shown, what is entered, and saving it so that nobody's word is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboard.times import when
from dashboard.worklist import review_draft
from dashboard.worklist.review_draft import Entry
from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.store import Review, Store, StoreError, WorklistRow

# A key that is held down must not agree on one study after the other.
LOOK_S = 1.0
READER = "reader"
# What was saved, for the next page that is shown.
SAVED = "review-saved"
_VISIT = "review-visit"


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
        return next((one for one in reversed(self.start) if one.reader == reader()), None)

    def kept(self, name: str) -> dict[str, Any]:
        """Key of a field of the form, which stays as it was typed wherever the reader goes, until it is saved."""
        return {"key": f"review-{self.row.id}-{self.own.id if self.own else 0}-{name}", "persist_state": "session"}

    def value(self, name: str) -> Any:
        """What stands in a field of the form."""
        return st.session_state.get(self.kept(name)["key"])


def leave() -> None:
    """Forget which study was open; its next visit begins anew."""
    st.session_state.pop(_VISIT, None)


def reader() -> str:
    """The name that stands in the field, for as long as the session lasts."""
    return str(st.session_state.get(READER) or "").strip()


def current(store: Store, row: WorklistRow) -> Visit:
    """The visit that goes on, or a new one.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    now: Visit | None = st.session_state.get(_VISIT)
    if now and now.left and now.row.id == row.id:
        # Only this part of the page was run again; the whole page shows the next study.
        leave()
        st.rerun()
    if now is None or now.row.id != row.id:
        reviews = store.reviews.of(row.id)
        # With nothing to agree with, the labels are what a reader came for.
        now = st.session_state[_VISIT] = Visit(row, reviews, reviews, form=row.found["any"] is None)
    now.row = row
    return now


def refresh(store: Store, visit: Visit) -> None:
    """See whether another reader was here meanwhile; the reader is told before the next save.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    reviews = store.reviews.of(visit.row.id)
    known = {one.id for one in visit.shown}
    visit.news += [one for one in reviews if one.id not in known and one.reader != reader()]
    visit.shown = reviews


# ---- from the form to the store --------------------------------------------------------------------------


def chosen(visit: Visit) -> dict[str, bool]:
    """Labels that are set in the form."""
    return {label: value for label in LABELS if (value := visit.value(label)) is not None}


def marked(visit: Visit, labels: Sequence[str]) -> tuple[dict[int, tuple[str, ...]], str]:
    """Labels by slice, and what cannot be read of them."""
    found, wrong = {}, ""
    for label in labels:
        try:
            found[label] = review_draft.slice_numbers(visit.value(f"slices-{label}") or "", visit.row.slices)
        except ValueError as error:
            wrong = f"{DISPLAY_NAMES[label]}: {error}"
    return review_draft.by_slice(found), wrong


def submit(store: Store, visit: Visit, agree: bool, follow: Callable[[], None] | None = None) -> None:
    """Save what the reader says, as a click asks for it, and go on where that is wanted and nothing is in the way."""
    entered, visit.problem = Entry(), ""
    if visit.left:
        return
    if visit.form:
        labels = chosen(visit)
        marks, visit.problem = marked(visit, [label for label in LABELS if labels.get(label)])
        entered = Entry(labels, marks, bool(visit.value("quality")), visit.value("comment") or "")
    elif time.monotonic() - visit.opened < LOOK_S:
        visit.problem = "Not saved: this study has only just appeared. Look at it, then press again."
    visit.problem = visit.problem or _problem(entered, visit.row, agree)
    if not visit.problem and _save(store, visit, entered, agree) and follow and not visit.news:
        visit.left = True
        st.session_state[SAVED] = f"Study {visit.row.study_key[:4]}: {visit.saved}"
        follow()


def _problem(said: Entry, row: WorklistRow, agree: bool) -> str:
    """Why this is not saved, as a sentence; "" where nothing is in the way."""
    if not reader():
        return "Enter your name first."
    if text := review_draft.contradiction(said.labels):
        return text
    if agree and (against := review_draft.against_models(said.labels, row.found)):
        names = ", ".join(DISPLAY_NAMES[label] for label in against)
        return f"You set something else than the models for: {names}. Use Save, or unset it."
    return "" if agree or not said.empty else "Nothing is set yet."


def _save(store: Store, visit: Visit, said: Entry, agree: bool) -> bool:
    labels = dict(said.labels)
    if agree and visit.row.found["any"] is not None:
        # What this page showed: the models may have said something else meanwhile.
        labels.setdefault("any", visit.row.found["any"])
    labels = review_draft.complete(labels)
    try:
        saved = store.reviews.add(
            visit.row.id,
            reader(),
            agree=True if agree else review_draft.agrees(labels, visit.row.found),
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
    visit.saved = (
        f"Saved for {saved.review.reader}, {when(datetime.now(UTC))}: {' '.join(review_draft.told(saved.review))}"
    )
    return True
