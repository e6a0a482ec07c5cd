"""A study as it was analysed, put together again for the viewer and for models of a later version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ichscope.imaging.preprocess import Box
from ichscope.imaging.series import Finding, Header, Series, SeriesFacts, Slice
from ichscope.labels import LABELS
from ichscope.results import ModelResult, Role, SeriesResult, reasons_of
from ichscope.store import tables, volumes
from ichscope.store.database import Database, StoreError
from ichscope.store.entries import probabilities


class ResultLoader:
    """Results as the store has them, given back whole."""

    def __init__(self, database: Database, volumes_folder: Path) -> None:
        self._database, self._volumes = database, volumes_folder

    def load(self, series: int, voxels: bool = True) -> SeriesResult:
        """The result of a series, as `ichscope.analyse` made it, but without names of files and patients.

        Parameters
        ----------
        voxels : also read them and the models' evidence, where they are kept

        Raises
        ------
        StoreError
            if there is no such series, or its volume is damaged
        """
        with self._database.reading() as session:
            row = session.get(tables.Series, series)
            if row is None:
                raise StoreError(f"There is no series number {series}.")
            study = session.get_one(tables.Study, row.study_id)
            rows = _all(session, tables.Finding, series, tables.Finding.place)
            results = [result for result in _all(session, tables.Result, series, tables.Result.model) if result.current]
            volume = session.get_one(tables.Volume, series)
        findings = tuple(Finding(finding.level, finding.code, finding.text) for finding in rows)
        slices = _slices(volume)
        path = volume.path if voxels else None
        try:
            models = {result.model: self._model(result, path, len(slices)) for result in results}
            kept = self._series(study.study_key, row, volume, path, slices) if path else None
        except volumes.VolumeError as error:
            raise StoreError(f"Study {study.study_key} cannot be shown: {error}.") from None
        speaks = study.series_id == series
        return SeriesResult(
            study=study.study_key,
            series=row.series_key,
            name=study.study_key,
            status=row.status,
            role=Role.SPEAKS if speaks else Role.OTHER,
            role_reason=study.series_reason if speaks else "",
            reasons=reasons_of(findings),
            findings=findings,
            slices=slices,
            models=models,
            box=Box(*volume.box) if volume.box else None,
            volume=kept,
        )

    def _model(self, row: tables.Result, path: str | None, slices: int) -> ModelResult:
        evidence = volumes.read_evidence(self._volumes, path, row.model) if path else None
        along = np.frombuffer(row.slice_probability, "<f4").reshape(len(row.slice_labels), -1)
        probability = probabilities(row)
        return ModelResult(
            name=row.model,
            version=row.version,
            provider=row.provider,
            seconds=row.seconds,
            operating_point=row.operating_point,
            probability=probability,
            thresholds=dict(row.thresholds),
            slice_probability={label: along[row.slice_labels.index(label)] for label in LABELS if label in probability},
            evidence=np.zeros((slices, 1, 1), np.float32) if evidence is None else evidence,
            encoder_sha256=row.encoder_sha256,
            head_sha256=row.head_sha256,
            decides=row.decides,
        )

    def _series(
        self, study: str, row: tables.Series, volume: tables.Volume, path: str, slices: tuple[Slice, ...]
    ) -> Series:
        header = Header(
            manufacturer=row.manufacturer,
            scanner=row.scanner,
            kernel=row.kernel,
            kvp=row.kvp,
            slice_thickness_mm=row.slice_thickness_mm,
            age_years=row.age_years,
            sex=row.sex,
        )
        spacing: Any = tuple(volume.spacing) if volume.spacing else None
        return Series(
            study=study,
            key=row.series_key,
            kind="picture" if row.kind == "picture" else "ct",
            hu=volumes.read(self._volumes, path),
            slices=slices,
            spacing_mm=spacing,
            # Rows, columns and slices of every kept volume run as imaging.series says, whatever the files' did.
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0) if volume.oriented else None,
            header=header,
            facts=SeriesFacts(**row.facts),
        )


def _all(session: Session, table: Any, series: int, order: Any) -> Sequence[Any]:
    return session.scalars(select(table).where(table.series_id == series).order_by(order)).all()


def _slices(volume: tables.Volume) -> tuple[Slice, ...]:
    positions = np.frombuffer(volume.positions, "<f8").tolist()
    return tuple(Slice(f"slice {i}", "", None if math.isnan(z) else z) for i, z in enumerate(positions, 1))
