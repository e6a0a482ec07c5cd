"""The series of a study: which one speaks for it, by the rule or by somebody's choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.imaging.findings import FindingLevel
from ichscope.imaging.series import Header, SeriesFacts
from ichscope.imaging.speaker import speaker
from ichscope.results import OTHER_SERIES
from ichscope.store import entries, tables
from ichscope.store.database import Database, StoreError
from ichscope.store.pseudonymiser import whole_years
from ichscope.store.rows import SeriesChoice, SeriesRow
from ichscope.store.tables import Finding, Result, Series, Study, Volume
from ichscope.store.versions import successor

# What a study takes from the series that speaks for it.
_SPOKEN = (
    *("status", "slices", "age_years", "sex", "manufacturer", "scanner", "institution", "kvp", "slice_thickness_mm"),
    "kernel",
)


class StudySeries:
    """The series of studies, and what users choose among them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, study: int) -> tuple[SeriesRow, ...]:
        """All series of a study: the one that speaks first, the others as they came, earlier versions last."""
        with self._database.reading() as session:
            speaks = session.scalar(select(Study.series_id).where(Study.id == study))
            kept = select(Series.id).join(Volume).where(Series.study_id == study, Volume.path.is_not(None))
            volumes = set(session.scalars(kept))
            rows = _series_of(session, study)
            judged = _judged(session, study)
            reasons = _reasons(session, study)
            of_code = select(Finding.series_id).join(Series).where(Series.study_id == study)
            left = set(session.scalars(of_code.where(Finding.code == OTHER_SERIES)))
        all_series = [
            SeriesRow(
                id=row.id,
                series_key=row.series_key,
                speaks=row.id == speaks,
                status=row.status,
                analysed=row.id in judged,
                left_to_another=row.id in left,
                slices=row.slices,
                slice_thickness_mm=row.slice_thickness_mm,
                kernel=row.kernel,
                soft_tissue=row.facts.get("soft_tissue"),
                arrived_at=row.arrived_at,
                has_volume=row.id in volumes,
                reasons=reasons.get(row.id, ()),
                superseded_by=row.superseded_by,
            )
            for row in rows
        ]
        by_rank = sorted(all_series, key=lambda row: (not row.speaks, row.superseded_by is not None, row.id))
        return tuple(by_rank)

    def choose(self, study: int, series: int | None) -> SeriesChoice:
        """Let a series speak for its study from now on, as whoever acts wants it; None lets the rule decide again.

        A series without results speaks as soon as it is analysed.

        Raises
        ------
        StoreError
            if the study has no such series, or the database cannot be written
        """
        with self._database.changing(Right.REVIEW, Action.SERIES_CHOSEN) as change:
            session = change.session
            row = session.scalars(select(Study).where(Study.id == study).with_for_update()).first()
            known = {None, *(other.id for other in _series_of(session, study))}
            if row is None or series not in known:
                raise StoreError(f"There is no study number {study} with this series.")
            new = tables.SeriesChoice(
                study_id=study,
                series_id=series,
                who=change.actor.name,
                signed=change.actor.signed,
                created_at=datetime.now(UTC),
            )
            session.add(new)
            session.flush()
            elect(session, row)
            session.refresh(new)
            change.about(Kind.STUDY, row.study_key, series=series)
            return _plain(new)

    def choices(self, study: int) -> tuple[SeriesChoice, ...]:
        """What users chose for a study, the oldest first."""
        with self._database.reading() as session:
            return tuple(map(_plain, _choices(session, study)))


def elect(session: Session, study: Study) -> None:
    """Let the right series speak for a study, and put what it says into the study's columns."""
    session.flush()
    versions = _series_of(session, study.id)
    rows = [row for row in versions if row.superseded_by is None]
    judged = _judged(session, study.id)
    choice = speaker([SeriesFacts(**row.facts) for row in rows], [row.id in judged for row in rows])
    speaks, reason = rows[choice.index], choice.reason
    for wanted in _choices(session, study.id)[-1:]:
        chosen = successor(versions, wanted.series_id)
        named = [row for row in rows if row.id == chosen and (row.id in judged or not judged)]
        if named:
            speaks, reason = named[0], f"chosen by {wanted.who} on {wanted.created_at:%Y-%m-%d}"
    study.series_id, study.series_reason, study.series_count = speaks.id, reason, len(rows)
    for name in _SPOKEN:
        setattr(study, name, getattr(speaks, name))
    entries.summarise(session, study)


def fill_facts(row: Series, header: Header, facts: SeriesFacts) -> None:
    """Write what subgroups and the rule need, and nothing that leads back to the patient."""
    row.age_years = whole_years(header.age_years)
    row.sex = header.sex
    row.manufacturer = header.manufacturer
    # Many scanners repeat the maker's name in their own.
    repeats = header.scanner.lower().startswith(header.manufacturer.lower())
    row.scanner = header.scanner if repeats else f"{header.manufacturer} {header.scanner}".strip()
    row.kvp = header.kvp
    row.slice_thickness_mm = header.slice_thickness_mm
    row.kernel = header.kernel
    row.facts = asdict(facts)


def _series_of(session: Session, study: int) -> Sequence[Series]:
    return session.scalars(select(Series).where(Series.study_id == study).order_by(Series.id)).all()


def _judged(session: Session, study: int) -> set[int]:
    """The series of a study that a model gave a result of."""
    has_result = exists().where(Result.series_id == Series.id)
    return set(session.scalars(select(Series.id).where(Series.study_id == study, has_result)))


def _reasons(session: Session, study: int) -> dict[int, tuple[str, ...]]:
    chosen = select(Finding.series_id, Finding.text).join(Series).where(Series.study_id == study)
    chosen = chosen.where((Finding.level != FindingLevel.OK) | (Finding.code == OTHER_SERIES))
    reasons: dict[int, tuple[str, ...]] = {}
    for series, text in session.execute(chosen.order_by(Finding.series_id, Finding.place)):
        reasons[series] = (*reasons.get(series, ()), text)
    return reasons


def _choices(session: Session, study: int) -> Sequence[tables.SeriesChoice]:
    chosen = select(tables.SeriesChoice).where(tables.SeriesChoice.study_id == study)
    return session.scalars(chosen.order_by(tables.SeriesChoice.id)).all()


def _plain(row: tables.SeriesChoice) -> SeriesChoice:
    return SeriesChoice(row.id, row.study_id, row.series_id, row.who, row.created_at, row.signed)
