"""Filters and orders of the worklist as conditions in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from ichscope.labels import LABELS
from ichscope.store.rows import Filter, Order
from ichscope.store.tables import JobItem, Review, Study

Condition = ColumnElement[bool]

# The columns of each order, and whether they descend. The id comes last, so that no two studies share a place.
ORDERS: dict[Order, tuple[tuple[SQLColumnExpression[Any], ...], bool]] = {
    "priority": ((Study.rank, Study.id), False),
    "newest": ((Study.arrived_at, Study.id), True),
    "oldest": ((Study.arrived_at, Study.id), False),
    # Databases differ in where they sort NULL.
    "score": ((func.coalesce(Study.score, -1.0), Study.id), True),
}


def conditions(wanted: Filter, study_key: Callable[[str], str]) -> list[Condition]:
    """What a filter asks of the rows of `studies`; `study_key` turns an identifier into the key that is stored."""
    limits: list[Condition] = []
    if wanted.status:
        limits.append(Study.status.in_(wanted.status))
    if wanted.priority:
        limits.append(Study.priority.in_(wanted.priority))
    if wanted.label:
        limits.append(label_column(wanted.by, wanted.label).is_(True))
    if wanted.since:
        limits.append(Study.arrived_at >= wanted.since)
    if wanted.until:
        limits.append(Study.arrived_at < wanted.until)
    if wanted.model or wanted.version:
        start = f"|{wanted.model}" if wanted.model else ""
        end = f" {wanted.version}|" if wanted.version else "|"
        limits.append(Study.models.contains(start + end, autoescape=True))
    if wanted.scanner is not None:
        limits.append(Study.scanner == wanted.scanner)
    if wanted.institution is not None:
        limits.append(Study.institution == wanted.institution)
    if wanted.synthetic is not None:
        limits.append(Study.synthetic.is_(wanted.synthetic))
    return [*limits, *_agreement(wanted), *_elsewhere(wanted), *_key(wanted.key.strip(), study_key)]


def label_column(by: str, label: str) -> InstrumentedAttribute[bool | None]:
    """The column that says whether a study has a label, by "model" or by "reader"."""
    if label not in LABELS:
        raise ValueError(f"expected a label among {', '.join(LABELS)}, found {label!r}")
    column: InstrumentedAttribute[bool | None] = getattr(Study, f"{by}_{label}")
    return column


def _agreement(wanted: Filter) -> Sequence[Condition]:
    if wanted.agreement == "reviewed":
        return [Study.agreement != "unreviewed"]
    return [Study.agreement == wanted.agreement] if wanted.agreement else []


def _elsewhere(wanted: Filter) -> Sequence[Condition]:
    """Conditions on rows that belong to a study in other tables."""
    limits: list[Condition] = []
    if wanted.reader:
        limits.append(Study.id.in_(select(Review.study_id).where(Review.reader == wanted.reader)))
    if wanted.poor_quality is not None:
        poor = Study.id.in_(select(Review.study_id).where(Review.poor_quality))
        limits.append(poor if wanted.poor_quality else ~poor)
    if wanted.job is not None:
        limits.append(
            Study.id.in_(select(JobItem.study_id).where(JobItem.job_id == wanted.job, JobItem.state == "done"))
        )
    return limits


def _key(text: str, study_key: Callable[[str], str]) -> Sequence[Condition]:
    if not text:
        return []
    starts = text.lower()
    # A range, because an index serves it in both databases, which LIKE is not.
    here = (Study.study_key >= starts) & (Study.study_key < f"{starts}~")
    return [or_(here, Study.study_key == study_key(text))]
