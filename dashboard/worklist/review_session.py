"""A reader's session with one study: what was shown, what is entered, and saving it so that nobody's word is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboard import acting
from dashboard.times import when
from dashboard.worklist import review_draft
from dashboard.worklist.review_draft import ReviewDraft
from ichscope.labels import DISPLAY_NAMES, LABELS
from ichscope.store import Review, SeriesRow, Store, StoreError, WorklistRow

# A key that is held down must not agree on one study after the other.
LOOK_S = 1.0
# What was saved, for the next page that is shown.
SAVED = "review-saved"
_SESSION = "review-session"


@dataclass
class ReviewSession:
    """One study while it is open on one page.

    series : the one that is shown, whose slices the reader marks
    start : the reviews when it was opened, or when its reader last saved; the form begins with the reader's own
    shown : the reviews that the reader has seen
    news : those of others that came in between
    problem : why nothing was saved, until the next click
    left : the next study is asked for already
    """

    row: WorklistRow
    series: SeriesRow
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
        return next((review for review in reversed(self.start) if review.reader == reader()), None)

    def kept(self, name: str) -> dict[str, Any]:
        """Key of a field of the form, which stays as it was typed wherever the reader goes, until it is saved."""
        return {"key": f"review-{self.row.id}-{self.own.id if self.own else 0}-{name}", "persist_state": "session"}

    def value(self, name: str) -> Any:
        """What stands in a field of the form."""
        return st.session_state.get(self.kept(name)["key"])


def leave() -> None:
    """Forget which study was open; the next session begins anew."""
    st.session_state.pop(_SESSION, None)


def reader() -> str:
    """The name of who reviews; "" where none is given yet."""
    return acting.name()


def current(store: Store, row: WorklistRow, series: SeriesRow) -> ReviewSession:
    """The session that goes on, or a new one.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    now: ReviewSession | None = st.session_state.get(_SESSION)
    if now and now.left and now.row.id == row.id:
        # Only this part of the page was run again; the whole page shows the next study.
        leave()
        st.rerun()
    if now is None or now.row.id != row.id:
        reviews = store.reviews.of(row.id)
        # With nothing to agree with, the labels are what a reader came for.
        now = st.session_state[_SESSION] = ReviewSession(
            row, series, reviews, reviews, form=row.model_labels["any"] is None
        )
    now.row, now.series = row, series
    return now


def refresh(store: Store, session: ReviewSession) -> None:
    """See whether another reader was here meanwhile; the reader is told before the next save.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    reviews = store.reviews.of(session.row.id)
    known = {review.id for review in session.shown}
    session.news += [review for review in reviews if review.id not in known and review.reader != reader()]
    session.shown = reviews


# ---- from the form to the store --------------------------------------------------------------------------


def chosen(session: ReviewSession) -> dict[str, bool]:
    """Labels that are set in the form."""
    return {label: value for label in LABELS if (value := session.value(label)) is not None}


def marked(session: ReviewSession, labels: Sequence[str]) -> tuple[dict[int, tuple[str, ...]], str]:
    """Labels by slice, and what cannot be read of them."""
    slices: dict[str, list[int]] = {}
    wrong = ""
    for label in labels:
        try:
            slices[label] = review_draft.slice_numbers(session.value(f"slices-{label}") or "", session.series.slices)
        except ValueError as error:
            wrong = f"{DISPLAY_NAMES[label]}: {error}"
    return review_draft.by_slice(slices), wrong


def submit(store: Store, session: ReviewSession, agree: bool, follow: Callable[[], None] | None = None) -> None:
    """Save what the reader says, as a click asks for it, and go on where that is wanted and nothing is in the way."""
    draft, session.problem = ReviewDraft(), ""
    if session.left:
        return
    if session.form:
        labels = chosen(session)
        marks, session.problem = marked(session, [label for label in LABELS if labels.get(label)])
        draft = ReviewDraft(labels, marks, bool(session.value("quality")), session.value("comment") or "")
    elif time.monotonic() - session.opened < LOOK_S:
        session.problem = "Not saved: this study has only just appeared. Look at it, then press again."
    session.problem = session.problem or _problem(draft, session.row, agree)
    if not session.problem and _save(store, session, draft, agree) and follow and not session.news:
        session.left = True
        st.session_state[SAVED] = f"Study {session.row.study_key[:4]}: {session.saved}"
        follow()


def _problem(draft: ReviewDraft, row: WorklistRow, agree: bool) -> str:
    """Why this is not saved, as a sentence; "" where nothing is in the way."""
    if not reader():
        return "Enter your name first."
    if text := review_draft.contradiction(draft.labels):
        return text
    if agree and (against := review_draft.against_models(draft.labels, row.model_labels)):
        names = ", ".join(DISPLAY_NAMES[label] for label in against)
        return f"Your labels differ from the models' for: {names}. Use Save, or unset them."
    return "" if agree or not draft.empty else "Nothing is set yet."


def _save(store: Store, session: ReviewSession, draft: ReviewDraft, agree: bool) -> bool:
    labels = dict(draft.labels)
    if agree and session.row.model_labels["any"] is not None:
        # What this page showed: the models may have said something else meanwhile.
        labels.setdefault("any", session.row.model_labels["any"])
    labels = review_draft.complete(labels)
    try:
        saved = store.reviews.add(
            session.row.id,
            agree=True if agree else review_draft.agrees(labels, session.row.model_labels),
            labels=labels,
            marks=draft.marks,
            series=session.series.id,
            poor_quality=draft.poor_quality,
            comment=draft.comment,
            based_on=session.shown[-1].id if session.shown else None,
        )
    except StoreError as error:
        session.problem = f"Not saved. {error} What you entered is still here: try again."
        return False
    # What else there is comes with the next look; this much is certain without one.
    session.start = session.shown = (*session.shown, *saved.unseen, saved.review)
    session.news, session.form = list(saved.unseen), False
    session.saved = (
        f"Saved for {saved.review.reader}, {when(datetime.now(UTC))}: {' '.join(review_draft.told(saved.review))}"
    )
    return True
