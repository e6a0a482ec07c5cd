"""Results into the store: each study in one transaction, once, however often it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from ichscope.imaging.series import Header
from ichscope.results import SeriesResult
from ichscope.store import priority, volumes
from ichscope.store.database import UNSEEN, Database, StoreError, insert_for
from ichscope.store.entries import add_results, fill_facts, packed, write_findings
from ichscope.store.jobs import finish
from ichscope.store.loading import ResultLoader
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.rows import Seen
from ichscope.store.tables import Finding, Result, Study, Volume


class Results:
    """Results of series: recorded once, renewed by models of another version, and given back for viewing."""

    def __init__(self, database: Database, keys: Pseudonymiser, volumes_folder: Path) -> None:
        self._database, self._keys, self._volumes = database, keys, volumes_folder
        self._loader = ResultLoader(database, volumes_folder)

    def load(self, study: int, voxels: bool = True) -> SeriesResult:
        """The result of a study, without names of files and patients; as ResultLoader.load."""
        return self._loader.load(study, voxels)

    def seen(self, content: str) -> Seen | None:
        """What is known of the series with this content (content_hash), or None."""
        with self._database.reading() as session:
            study = session.execute(select(Study.id, Study.status).where(Study.content == content)).first()
            if study is None:
                return None
            rows = session.execute(select(Result.model, Result.version).where(Result.study_id == study.id)).all()
            codes = session.scalars(select(Finding.code).where(Finding.study_id == study.id)).all()
        versions = {row.model: frozenset(one.version for one in rows if one.model == row.model) for row in rows}
        return Seen(study.id, study.status, versions, frozenset(codes))

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

        The same content is the same study: its facts and findings become those of this result, a new version of
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
        with self._database.writing() as session:
            study = _locked(session, content, arrived_at or now, synthetic)
            first = not _has_results(session, study.id)
            if result.models or first:
                self._describe(session, study, result, files, patient_id, volume)
                add_results(session, study, result, now)
                study.analysed_at = now
                study.first_result_at = now if first else study.first_result_at
            if item is not None:
                finish(session, item, study.id, now)
            return study.id

    def _describe(
        self,
        session: Session,
        study: Study,
        result: SeriesResult,
        files: Sequence[str],
        patient_id: str | None,
        volume: str | None,
    ) -> None:
        series = result.volume
        study.study_key = self._keys.study(result.study) if result.study else self._keys.hash("study", study.content)
        study.series_key = self._keys.hash("series", result.series or study.content)
        study.patient_key = self._keys.hash("patient", patient_id or "") or study.patient_key
        study.status = result.status
        study.slices = len(result.slices)
        header = series.header if series else Header()
        fill_facts(study, header)
        study.institution = self._keys.site(header.institution)
        write_findings(session, study, result, files)
        kept = session.get(Volume, study.id) or Volume(study_id=study.id, path=None)
        kept.path = volume or kept.path
        kept.kind = series.kind if series else ""
        kept.oriented = bool(series and series.orientation is not None)
        kept.spacing = list(series.spacing_mm) if series and series.spacing_mm else None
        kept.positions = packed([np.nan if (z := one.position_mm) is None else z for one in result.slices], "<f8")
        kept.slice_keys = [self._keys.slice(one.sop) for one in result.slices]
        kept.box = [box.top, box.left, box.height, box.width] if (box := result.box) else None
        session.add(kept)

    def rescore(
        self,
        study: int,
        result: SeriesResult,
        *,
        item: int | None = None,
    ) -> None:
        """Add results of models of another version to a study of the store, which result() gave.

        Parameters
        ----------
        result : with the new `models`, `findings` and `status`; nothing else of it is written
        item : as in record()

        Raises
        ------
        StoreError
            if the study is not there, or the database or the evidence cannot be written
        """
        now = datetime.now(UTC)
        with self._database.writing() as session:
            row = session.scalars(select(Study).where(Study.id == study).with_for_update()).first()
            if row is None:
                raise StoreError(f"There is no study number {study}.")
            if path := session.scalar(select(Volume.path).where(Volume.study_id == study)):
                self._keep_evidence(path, result)
            row.status, row.analysed_at = result.status, now
            write_findings(session, row, result, [])
            add_results(session, row, result, now)
            if item is not None:
                finish(session, item, study, now)

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
        with self._database.writing() as session:
            row = session.scalars(select(Study).where(Study.id == study).with_for_update()).first()
            if row is None or not row.synthetic:
                raise StoreError(f"There is no synthetic study number {study}.")
            shift = arrived_at - row.arrived_at
            row.arrived_at, row.analysed_at = arrived_at, row.analysed_at + shift
            if row.first_result_at:
                row.first_result_at += shift
            for result in session.scalars(select(Result).where(Result.study_id == study)):
                result.created_at += shift

    def outdated(self, versions: Mapping[str, str], after: int = 0, limit: int = 500) -> list[int]:
        """Studies with a kept volume that lack a result of one of these models in this version, by id.

        Parameters
        ----------
        versions : version by name of model
        after : the last id of the page before
        """
        lacks = [
            ~exists().where(Result.study_id == Study.id, Result.model == name, Result.version == version)
            for name, version in versions.items()
        ]
        chosen = select(Study.id).join(Volume, Volume.study_id == Study.id)
        # What could not be judged once cannot be judged by another model either.
        chosen = chosen.where(Volume.path.is_not(None), Study.priority != "not analysed", Study.id > after, or_(*lacks))
        with self._database.reading() as session:
            return list(session.scalars(chosen.order_by(Study.id).limit(limit)))

    def prune(self, older_than: timedelta) -> int:
        """Remove volumes that were written so long ago, and say in the store that they are gone; rows stay.

        Returns
        -------
        how many volumes were removed
        """
        try:
            return len(volumes.prune(self._volumes, older_than, forget=self._forget))
        except OSError as error:
            raise StoreError(f"Volumes cannot be removed: {error.strerror}.") from None

    def _forget(self, paths: Sequence[str]) -> None:
        """Say that volumes are gone, some at a time: nobody who writes meanwhile waits for long."""
        with self._database.writing() as session:
            gone = update(Volume).where(Volume.path.in_(paths)).values(path=None)
            session.execute(gone, execution_options=UNSEEN)


def _locked(session: Session, content: str, arrived_at: datetime, synthetic: bool) -> Study:
    """The row of a content, made if it is new; no other transaction changes it until this one ends."""
    new = {
        "content": content,
        "arrived_at": arrived_at,
        "analysed_at": arrived_at,
        "synthetic": synthetic,
        "status": "not analysed",
        "slices": 0,
        "models": "|",
        "priority": "not analysed",
        "rank": priority.rank("not analysed", None),
        **dict.fromkeys(("study_key", "series_key", "sex", "manufacturer", "scanner", "kernel"), ""),
    }
    session.execute(insert_for(session)(Study).values(new).on_conflict_do_nothing(index_elements=["content"]))
    return session.scalars(select(Study).where(Study.content == content).with_for_update()).one()


def _has_results(session: Session, study: int) -> bool:
    return session.scalar(select(Result.id).where(Result.study_id == study).limit(1)) is not None
