"""The rows of one series: findings and results; and what those of the speaking one amount to for its study."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ichscope.labels import LABELS
from ichscope.results import ModelResult, SeriesResult
from ichscope.store import priority, reviews
from ichscope.store.adjustments import judged, thresholds_in_force
from ichscope.store.database import UNSEEN
from ichscope.store.pseudonymiser import without_names
from ichscope.store.tables import Finding, Result, Study


def write_findings(session: Session, series: int, result: SeriesResult, files: Sequence[str]) -> None:
    """Write the findings in the place of older ones; names of files must not stand in their texts."""
    # Where no file was read as a slice, the result bears the name of the file that was not.
    names = [*files, *(place.file for place in result.slices)] or [result.name]
    session.execute(delete(Finding).where(Finding.series_id == series), execution_options=UNSEEN)
    session.add_all(
        Finding(
            series_id=series,
            place=place,
            level=finding.level,
            code=finding.code,
            text=without_names(finding.text, names),
        )
        for place, finding in enumerate(result.findings)
    )


def add_results(session: Session, series: int, result: SeriesResult, now: datetime) -> None:
    """Write the results of all models, judged by the thresholds in force."""
    in_force = thresholds_in_force(session)
    for model in result.models.values():
        _add_result(session, series, judged(model, in_force), now)


def _add_result(session: Session, series: int, model: ModelResult, now: datetime) -> None:
    """Add or renew the result of this version, which becomes the model's current one."""
    of_model = (Result.series_id == series, Result.model == model.name)
    session.execute(update(Result).where(*of_model).values(current=False), execution_options=UNSEEN)
    session.execute(delete(Result).where(*of_model, Result.version == model.version), execution_options=UNSEEN)
    along = model.slice_probability
    session.add(
        Result(
            series_id=series,
            model=model.name,
            version=model.version,
            current=True,
            encoder_sha256=model.encoder_sha256,
            head_sha256=model.head_sha256,
            provider=model.provider,
            seconds=float(model.seconds),
            operating_point=model.operating_point,
            threshold=float(model.threshold),
            flagged=bool(model.flagged),
            decides=model.decides,
            **{
                f"probability_{label}": float(model.probability[label])
                for label in LABELS
                if label in model.probability
            },
            thresholds={label: float(value) for label, value in model.thresholds.items()},
            slice_labels=list(along),
            slice_probability=packed(list(along.values()), "<f4"),
            created_at=now,
        )
    )


def packed(values: Sequence[Any], kind: str) -> bytes:
    """Numbers as bytes of a NumPy type that names its byte order."""
    return np.asarray(values, kind).tobytes()


def summarise(session: Session, study: Study) -> None:
    """Put what the speaking series' current results say into the columns that the worklist sorts and filters by."""
    rows = session.scalars(select(Result).where(Result.series_id == study.series_id, Result.current)).all()
    opinions = [priority.Opinion(row.flagged, probabilities(row), row.thresholds, row.decides) for row in rows]
    study.models = "|" + "".join(f"{row.model}|{row.model} {row.version}|" for row in rows)
    study.priority = priority.priority(opinions)
    study.score = priority.score(opinions)
    study.rank = priority.rank(study.priority, study.score)
    for label, value in priority.model_labels(opinions).items():
        setattr(study, f"model_{label}", value)
    if study.reviews:  # readers may agree with what the models say now, or no longer
        reviews.summarise(study, reviews.history(session, study.id))


def probabilities(row: Any) -> dict[str, float]:
    """Probabilities of a row of `results` by label, without those that its model does not know."""
    by_label = {label: getattr(row, f"probability_{label}") for label in LABELS}
    return {label: value for label, value in by_label.items() if value is not None}
