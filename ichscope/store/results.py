"""Results into the store: each series in one transaction, once, however often it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Select, exists, or_, select, update
from sqlalchemy.orm import Session

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.imaging.findings import Status
from ichscope.imaging.identity import other_patients_key
from ichscope.imaging.person import hash_of
from ichscope.imaging.series import Header, SeriesFacts
from ichscope.results import SeriesResult
from ichscope.store import clock, priority, volumes
from ichscope.store.database import UNSEEN, Database, StoreError, insert_for
from ichscope.store.entries import add_results, packed, write_findings
from ichscope.store.jobs import finish
from ichscope.store.loading import ResultLoader
from ichscope.store.patients import patient_in_force
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.rows import Seen
from ichscope.store.series import elect, fill_facts
from ichscope.store.tables import Finding, Result, Series, Study, Volume
from ichscope.store.versions import supersede


class Results:
    """Results of series: recorded once, renewed by models of another version, and given back for viewing."""

    def __init__(self, database: Database, keys: Pseudonymiser, volumes_folder: Path) -> None:
        self._database, self._keys, self._volumes = database, keys, volumes_folder
        self._loader = ResultLoader(database, volumes_folder)

    def load(self, study: int, voxels: bool = True) -> SeriesResult:
        """The result of the series that speaks for a study; as ResultLoader.load."""
        with self._database.reading() as session:
            series = session.scalar(select(Study.series_id).where(Study.id == study))
        if series is None:
            raise StoreError(f"There is no study number {study}.")
        return self.load_series(series, voxels)

    def load_series(self, series: int, voxels: bool = True) -> SeriesResult:
        """The result of a series, without names of files and patients; as ResultLoader.load."""
        return self._loader.load(series, voxels)

    def seen(self, content: str) -> Seen | None:
        """What is known of the series with this content (content_hash), or None."""
        known = select(Series.id, Series.study_id, Series.status).where(Series.content == content)
        with self._database.reading() as session:
            series = session.execute(known).first()
            if series is None:
                return None
            results = select(Result.model, Result.version).where(Result.series_id == series.id)
            rows = session.execute(results).all()
            codes = session.scalars(select(Finding.code).where(Finding.series_id == series.id)).all()
        versions = {row.model: frozenset(other.version for other in rows if other.model == row.model) for row in rows}
        return Seen(series.study_id, series.id, series.status, versions, frozenset(codes))

    def record(
        self,
        result: SeriesResult,
        content: str,
        *,
        files: Sequence[str] = (),
        patient_id: str | None = None,
        volume: str | None = None,
        arrived_at: datetime | None = None,
        synthetic: bool = False,
        item: int | None = None,
    ) -> int:
        """Write a result, and that its item is done, in one transaction.

        The same content is the same series: its facts and findings become those of this result, a new version of
        a model adds a result and takes over, and reviews stay. A result without models replaces none that has some.

        Parameters
        ----------
        content : hash of the series' files (content_hash)
        files : names that may stand in the texts; they are not written
        patient_id : written as a keyed hash only
        volume : path given by volumes.save
        item : of a job; see claim()

        Returns
        -------
        the study's id

        Raises
        ------
        StoreError
            if the database cannot be written; then nothing is
        """
        now = datetime.now(UTC)
        with self._database.changing(Right.ANALYSE, Action.ANALYSED, status=result.status) as change:
            session = change.session
            study, series = self._locked(session, result, content, patient_id, arrived_at or now, synthetic)
            if result.models or not _has_results(session, Series.id == series.id):
                if not _has_results(session, Series.study_id == study.id):
                    study.first_result_at = now
                self._describe(session, series, result, files, volume)
                add_results(session, series.id, result, now)
                study.analysed_at = series.analysed_at = now
                supersede(session, series)
                elect(session, study)
            if item is not None:
                finish(session, item, study.id, now)
            change.about(Kind.STUDY, study.study_key, series=series.id)
            return study.id

    def _locked(
        self,
        session: Session,
        result: SeriesResult,
        content: str,
        patient_id: str | None,
        arrived_at: datetime,
        synthetic: bool,
    ) -> tuple[Study, Series]:
        """The rows of a study and of its series with a content, made if they are new, and kept from all others."""
        known = session.execute(select(Series.id, Series.study_id).where(Series.content == content)).first()
        patient = patient_in_force(session, self._keys.patient(patient_id or ""))
        if known is None:
            key = self._keys.study(result.study) if result.study else self._keys.hash("study", content)
            # As the intake does where the files of both patients come at once.
            others = self._keys.study(other_patients_key(result.study or content, hash_of(patient_id or "")))
            study = _study_of(session, (key, others), patient, arrived_at, synthetic)
            new = _new_series(study.id, content, arrived_at)
            session.execute(insert_for(session)(Series).values(new).on_conflict_do_nothing(index_elements=["content"]))
            known = session.execute(select(Series.id, Series.study_id).where(Series.content == content)).one()
        study = session.scalars(select(Study).where(Study.id == known.study_id).with_for_update()).one()
        study.patient_key = study.patient_key or patient or None
        study.arrived_at = min(study.arrived_at, arrived_at)
        return study, session.scalars(select(Series).where(Series.id == known.id).with_for_update()).one()

    def _describe(
        self, session: Session, row: Series, result: SeriesResult, files: Sequence[str], volume: str | None
    ) -> None:
        series = result.volume
        row.series_key = self._keys.hash("series", result.series or row.content)
        row.status = result.status
        row.slices = len(result.slices)
        row.kind = series.kind if series else ""
        header = series.header if series else Header()
        fill_facts(row, header, series.facts if series else SeriesFacts(slices=len(result.slices)))
        row.institution = self._keys.site(header.institution)
        write_findings(session, row.id, result, files)
        kept = session.get(Volume, row.id) or Volume(series_id=row.id, path=None)
        kept.path = volume or kept.path
        kept.oriented = bool(series and series.orientation is not None)
        kept.spacing = list(series.spacing_mm) if series and series.spacing_mm else None
        places = [place.position_mm for place in result.slices]
        kept.positions = packed([np.nan if place is None else place for place in places], "<f8")
        kept.slice_keys = [self._keys.slice(place.sop) for place in result.slices]
        kept.box = [box.top, box.left, box.height, box.width] if (box := result.box) else None
        session.add(kept)

    def rescore(self, series: int, result: SeriesResult, *, item: int | None = None) -> None:
        """Add results of models, as of another version, to a series of the store, which load_series() gave.

        Parameters
        ----------
        result : with the new `models`, `findings` and `status`; nothing else of it is written
        item : as in record()

        Raises
        ------
        StoreError
            if the series is not there, or the database or the evidence cannot be written
        """
        now = datetime.now(UTC)
        with self._database.changing(Right.ANALYSE, Action.ANALYSED, status=result.status) as change:
            session = change.session
            study = session.scalars(_study_of_series(series).with_for_update(of=Study)).first()
            if study is None:
                raise StoreError(f"There is no series number {series}.")
            row = session.get_one(Series, series)
            if path := session.scalar(select(Volume.path).where(Volume.series_id == series)):
                self._keep_evidence(path, result)
            row.status, row.analysed_at, study.analysed_at = result.status, now, now
            write_findings(session, series, result, [])
            add_results(session, series, result, now)
            elect(session, study)
            if item is not None:
                finish(session, item, study.id, now)
            change.about(Kind.STUDY, study.study_key, series=series)

    def _keep_evidence(self, path: str, result: SeriesResult) -> None:
        try:
            volumes.save_evidence(self._volumes, path, result)
        except OSError as error:
            raise StoreError(f"The models' evidence cannot be kept: {error.strerror}.") from None

    def move(self, study: int, arrived_at: datetime) -> None:
        """Let a synthetic study have come at another time, and its results as long after that as they did.

        Raises
        ------
        StoreError
            if it is not there, or not synthetic: when a patient's study came is no matter of choice
        """
        with self._database.changing(Right.ANALYSE, Action.STUDY_MOVED) as change:
            session = change.session
            row = session.scalars(select(Study).where(Study.id == study).with_for_update()).first()
            if row is None or not row.synthetic:
                raise StoreError(f"There is no synthetic study number {study}.")
            change.about(Kind.STUDY, row.study_key)
            shift = arrived_at - row.arrived_at
            row.arrived_at, row.analysed_at = arrived_at, row.analysed_at + shift
            if row.first_result_at:
                row.first_result_at += shift
            for series in session.scalars(select(Series).where(Series.study_id == study)):
                series.arrived_at, series.analysed_at = series.arrived_at + shift, series.analysed_at + shift
            of_study = select(Result).join(Series, Series.id == Result.series_id).where(Series.study_id == study)
            for result in session.scalars(of_study):
                result.created_at += shift

    def outdated(self, versions: Mapping[str, str], after: int = 0, limit: int = 500) -> list[int]:
        """Series that a model has judged, with a kept volume, that lack a result of one of these versions, by id.

        Parameters
        ----------
        versions : version by name of model
        after : the last id of the page before
        """
        lacks = [
            ~exists().where(Result.series_id == Series.id, Result.model == name, Result.version == version)
            for name, version in versions.items()
        ]
        chosen = select(Series.id).join(Volume, Volume.series_id == Series.id)
        # What could not be judged once cannot be judged by another model either.
        judged = exists().where(Result.series_id == Series.id)
        chosen = chosen.where(Volume.path.is_not(None), judged, Series.superseded_by.is_(None))
        chosen = chosen.where(Series.id > after, or_(*lacks))
        with self._database.reading() as session:
            return list(session.scalars(chosen.order_by(Series.id).limit(limit)))

    def prune(self, older_than: timedelta, *, clock_is_right: bool = False) -> int:
        """Remove volumes that were written so long ago, and say in the store that they are gone; rows stay.

        Parameters
        ----------
        clock_is_right : somebody has looked at it; what the audit trail says of the time does not matter then

        Returns
        -------
        how many volumes were removed

        Raises
        ------
        StoreError
            if the clock may be wrong, by which all would be old (see ichscope.store.clock), or they cannot be removed
        """
        self._database.demand(Right.PRUNE, Action.PICTURES_REMOVED)
        now = datetime.now(UTC)
        since = now - older_than

        def forget(paths: Sequence[str]) -> None:
            if not clock_is_right:
                with self._database.reading() as session:
                    clock.check(session, since, "no picture")
            self._forget(paths)

        try:
            return len(volumes.prune(self._volumes, older_than, now.timestamp(), forget))
        except OSError as error:
            raise StoreError(f"Volumes cannot be removed: {error.strerror}.") from None
        finally:
            self._database.tidy()

    def _forget(self, paths: Sequence[str]) -> None:
        """Say that volumes are gone, some at a time: nobody who writes meanwhile waits for long."""
        with self._database.changing(Right.PRUNE, Action.PICTURES_REMOVED, volumes=len(paths)) as change:
            gone = update(Volume).where(Volume.path.in_(paths)).values(path=None)
            change.session.execute(gone, execution_options=UNSEEN)


def _study_of(session: Session, keys: tuple[str, str], patient: str, arrived_at: datetime, synthetic: bool) -> Study:
    """The study of a key, made if it is new. Two patients are two studies, whatever their files say of the study.

    keys : of the study, and of it where another patient's has that one already
    """
    older = _key_until_0_4(keys[0], patient)
    known = session.scalar(select(Study.study_key).where(Study.study_key == older))
    for study_key in (keys[0], known or keys[1]):
        new = _new_study(study_key, patient, arrived_at, synthetic)
        insert = insert_for(session)(Study).values(new).on_conflict_do_nothing(index_elements=["study_key"])
        session.execute(insert)
        study = session.scalars(select(Study).where(Study.study_key == study_key).with_for_update()).one()
        if not patient or study.patient_key in (None, patient):
            break
    return study


def _key_until_0_4(key: str, patient: str) -> str:
    """What stood for a study whose identifier another patient's study had already."""
    return sha256(f"{key}\0{patient}".encode()).hexdigest()[: len(key)]


def _new_study(key: str, patient: str, arrived_at: datetime, synthetic: bool) -> dict[str, Any]:
    return {
        "study_key": key,
        "patient_key": patient or None,
        "synthetic": synthetic,
        **_not_analysed(arrived_at),
        "models": "|",
        "priority": "not analysed",
        "rank": priority.rank("not analysed", None),
    }


def _new_series(study: int, content: str, arrived_at: datetime) -> dict[str, Any]:
    named = {"study_id": study, "content": content, "series_key": "", "institution": "", "kind": "", "facts": {}}
    return named | _not_analysed(arrived_at)


def _not_analysed(arrived_at: datetime) -> dict[str, Any]:
    """What a study or a series is before it has been looked at."""
    texts = dict.fromkeys(("sex", "manufacturer", "scanner", "kernel"), "")
    return {"arrived_at": arrived_at, "analysed_at": arrived_at, "status": Status.NOT_ANALYSED, "slices": 0, **texts}


def _study_of_series(series: int) -> Select[Study]:
    return select(Study).join(Series, Series.study_id == Study.id).where(Series.id == series)


def _has_results(session: Session, of: ColumnElement[bool]) -> bool:
    chosen = select(Result.id).join(Series, Series.id == Result.series_id).where(of)
    return session.scalar(chosen.limit(1)) is not None
