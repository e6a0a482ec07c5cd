"""Readers' reviews: added, never changed, and nobody's word is overwritten by another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ichscope.labels import LABELS, SUBTYPES
from ichscope.store import rows, tables
from ichscope.store.rows import Agreement, Saved
from ichscope.store.session import StoreBase, StoreError


class Reviewing(StoreBase):
    """The part of the Store that readers write to."""

    def reviews(self, study: int) -> tuple[rows.Review, ...]:
        """All reviews of a study, the oldest first."""
        with self._reading() as session:
            return tuple(map(_plain, _history(session, study)))

    def review(
        self,
        study: int,
        reader: str,
        *,
        agree: bool | None = None,
        labels: Mapping[str, bool] | None = None,
        marks: Mapping[int, Sequence[str]] | None = None,
        poor_quality: bool = False,
        comment: str = "",
        based_on: int | None = None,
        at: datetime | None = None,
    ) -> Saved:
        """Add a review.

        Parameters
        ----------
        agree : with what the models say; True affirms their word on `any`, where `labels` does not have it
        labels : those that the reader has set, by name; without a haemorrhage the subtypes are absent, too
        marks : labels of single slices, by index from 0
        based_on : id of the newest review that the reader was shown; None if there was none

        Returns
        -------
        the review, and those of other readers that came after `based_on`

        Raises
        ------
        StoreError
            if the study is not there or the database cannot be written
        ValueError
            if a label is none of ichscope.labels.LABELS, or the reader has no name
        """
        set_labels, slice_marks = dict(labels or {}), {str(i): list(names) for i, names in (marks or {}).items()}
        _check(reader, [*set_labels, *(name for names in slice_marks.values() for name in names)])
        with self._writing() as session:
            # Locked, so that of two readers who save at once the second one sees the first one's review.
            row = session.scalars(select(tables.Study).where(tables.Study.id == study).with_for_update()).first()
            if row is None:
                raise StoreError(f"There is no study number {study}.")
            if agree and row.model_any is not None:
                set_labels.setdefault("any", row.model_any)
            if set_labels.get("any") is False:
                set_labels = dict.fromkeys(SUBTYPES, False) | set_labels
            earlier = _history(session, study)
            new = tables.Review(
                study_id=study,
                reader=reader.strip(),
                created_at=at or datetime.now(UTC),
                agree=agree,
                **{f"label_{label}": value for label, value in set_labels.items()},
                marks=slice_marks,
                poor_quality=poor_quality,
                comment=comment.strip(),
                based_on=based_on,
            )
            session.add(new)
            _summarise(row, [*earlier, new])
            session.flush()
            session.refresh(new)
            unseen = [one for one in earlier if one.id > (based_on or 0) and one.reader != new.reader]
            return Saved(_plain(new), tuple(map(_plain, unseen)))


def _check(reader: str, labels: Sequence[str]) -> None:
    if not reader.strip():
        raise ValueError("expected the reader's name, found none")
    if unknown := [label for label in labels if label not in LABELS]:
        raise ValueError(f"expected labels among {', '.join(LABELS)}, found {unknown[0]!r}")


def _history(session: Session, study: int) -> Sequence[tables.Review]:
    return session.scalars(
        select(tables.Review).where(tables.Review.study_id == study).order_by(tables.Review.id)
    ).all()


def _plain(row: tables.Review) -> rows.Review:
    return rows.Review(
        id=row.id,
        study=row.study_id,
        reader=row.reader,
        created_at=row.created_at,
        agree=row.agree,
        labels={label: value for label in LABELS if (value := getattr(row, f"label_{label}")) is not None},
        marks={int(i): tuple(names) for i, names in row.marks.items()},
        poor_quality=row.poor_quality,
        comment=row.comment,
        based_on=row.based_on,
    )


def _summarise(study: tables.Study, history: Sequence[tables.Review]) -> None:
    """Put the newest review, and whether readers agree, into the columns of the worklist."""
    newest = history[-1]
    study.reviews = len(history)
    study.first_review_at = min(review.created_at for review in history)
    study.reviewed_at = newest.created_at
    study.agreement = _agreement(study, history)
    for label in LABELS:
        setattr(study, f"reader_{label}", getattr(newest, f"label_{label}"))


def _agreement(study: tables.Study, history: Sequence[tables.Review]) -> Agreement:
    """What the last words of all readers amount to, among themselves and against the models of that time."""
    last = {review.reader: review.label_any for review in history}
    if len(set(last.values()) - {None}) == 2:
        return "conflict"
    newest = history[-1]
    if newest.agree is not None:
        return "agree" if newest.agree else "disagree"
    if newest.label_any is None or study.model_any is None:
        return "noted"
    return "agree" if newest.label_any == study.model_any else "disagree"
