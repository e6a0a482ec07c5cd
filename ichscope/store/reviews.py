"""Readers' reviews: added, never changed, and nobody's word is overwritten by another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.labels import LABELS, SUBTYPES
from ichscope.store import rows, tables
from ichscope.store.database import Database, StoreError
from ichscope.store.rows import Agreement, Saved


class Reviews:
    """What readers say of studies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, study: int) -> tuple[rows.Review, ...]:
        """All reviews of a study, the oldest first."""
        with self._database.reading() as session:
            return _plain(session, history(session, study))

    def add(
        self,
        study: int,
        *,
        agree: bool | None = None,
        labels: Mapping[str, bool] | None = None,
        marks: Mapping[int, Sequence[str]] | None = None,
        series: int | None = None,
        poor_quality: bool = False,
        comment: str = "",
        based_on: int | None = None,
        at: datetime | None = None,
    ) -> Saved:
        """Add a review of whoever acts.

        Parameters
        ----------
        agree : with what the models say; True affirms their word on `any`, where `labels` does not have it. Labels that
            are set say more: the worklist compares these with the models
        labels : those that the reader has set, by name; without a haemorrhage the subtypes are absent, too
        marks : labels of single slices of the series, by index from 0
        series : the one that the reader saw; by default the one that speaks for the study
        based_on : id of the newest review that the reader was shown; None if there was none

        Returns
        -------
        the review, and those of other readers that came after `based_on`

        Raises
        ------
        StoreError
            if the study is not there or the database cannot be written
        ValueError
            if a label is none of ichscope.labels.LABELS
        """
        set_labels, slice_marks = dict(labels or {}), {str(i): list(names) for i, names in (marks or {}).items()}
        _check([*set_labels, *(name for names in slice_marks.values() for name in names)])
        with self._database.changing(Right.REVIEW, Action.REVIEWED) as change:
            session = change.session
            # Locked, so that of two readers who save at once the second one sees the first one's review.
            row = session.scalars(select(tables.Study).where(tables.Study.id == study).with_for_update()).first()
            if row is None:
                raise StoreError(f"There is no study number {study}.")
            if agree and row.model_any is not None:
                set_labels.setdefault("any", row.model_any)
            if set_labels.get("any") is False:
                set_labels = dict.fromkeys(SUBTYPES, False) | set_labels
            earlier = history(session, study)
            new = tables.Review(
                study_id=study,
                series_id=series or row.series_id,
                reader=change.actor.name,
                signed=change.actor.signed,
                created_at=at or datetime.now(UTC),
                agree=agree,
                **{f"label_{label}": value for label, value in set_labels.items()},
                marks=slice_marks,
                poor_quality=poor_quality,
                comment=comment.strip(),
                based_on=based_on,
            )
            session.add(new)
            summarise(row, [*earlier, new])
            session.flush()
            session.refresh(new)
            change.about(Kind.STUDY, row.study_key, review=new.id)
            unseen = [review for review in earlier if review.id > (based_on or 0) and review.reader != new.reader]
            return Saved(_plain(session, [new])[0], _plain(session, unseen))


def _check(labels: Sequence[str]) -> None:
    if unknown := [label for label in labels if label not in LABELS]:
        raise ValueError(f"expected labels among {', '.join(LABELS)}, found {unknown[0]!r}")


def _plain(session: Session, reviews: Sequence[tables.Review]) -> tuple[rows.Review, ...]:
    """Reviews, with what their readers saw."""
    chosen = select(tables.Series.id, tables.Series.slices, tables.Series.superseded_by)
    chosen = chosen.where(tables.Series.id.in_({review.series_id for review in reviews}))
    seen = {row.id: row for row in session.execute(chosen)}
    return tuple(_plain_review(review, seen[review.series_id]) for review in reviews)


def _plain_review(row: tables.Review, seen: Any) -> rows.Review:
    return rows.Review(
        id=row.id,
        study=row.study_id,
        series=row.series_id,
        reader=row.reader,
        created_at=row.created_at,
        agree=row.agree,
        labels=_labels(row),
        marks={int(i): tuple(names) for i, names in row.marks.items()},
        poor_quality=row.poor_quality,
        comment=row.comment,
        based_on=row.based_on,
        slices=seen.slices,
        superseded=seen.superseded_by is not None,
        signed=row.signed,
    )


def history(session: Session, study: int) -> Sequence[tables.Review]:
    """All reviews of a study, the oldest first."""
    return session.scalars(
        select(tables.Review).where(tables.Review.study_id == study).order_by(tables.Review.id)
    ).all()


def summarise(study: tables.Study, reviews: Sequence[tables.Review]) -> None:
    """Put what readers say, and whether they agree, into the columns of the worklist."""
    study.reviews = len(reviews)
    study.first_review_at = min(review.created_at for review in reviews)
    study.reviewed_at = reviews[-1].created_at
    labels = _newest_labels(reviews)
    study.agreement = _agreement(study, reviews, labels)
    for label in LABELS:
        setattr(study, f"reader_{label}", labels.get(label))


def _labels(review: tables.Review) -> dict[str, bool]:
    return {label: value for label in LABELS if (value := getattr(review, f"label_{label}")) is not None}


def _newest_labels(reviews: Sequence[tables.Review]) -> dict[str, bool]:
    """The newest word on every label. A new word on `any` that is another takes what was said before with it."""
    newest: dict[str, bool] = {}
    for labels in map(_labels, reviews):
        if "any" in newest and labels.get("any", newest["any"]) != newest["any"]:
            newest = {}
        newest |= labels
    return newest


def _agreement(study: tables.Study, reviews: Sequence[tables.Review], labels: Mapping[str, bool]) -> Agreement:
    """What readers' last words amount to, among themselves and against what the models say now."""
    last = {review.reader: review.label_any for review in reviews if review.label_any is not None}
    if len(set(last.values())) == 2:
        return "conflict"
    if "any" in labels and study.model_any is not None:
        # Without a haemorrhage its kinds are no matter of their own.
        compared = labels if labels["any"] else {"any": False}
        same = all(getattr(study, f"model_{label}") in (None, value) for label, value in compared.items())
        return "agree" if same else "disagree"
    words = [review.agree for review in reviews if review.agree is not None]
    return "noted" if not words else "agree" if words[-1] else "disagree"
