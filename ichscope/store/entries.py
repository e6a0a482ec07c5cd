"""The rows of one study: facts of its header, findings, results, and what they amount to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ichscope.imaging.series import Header
from ichscope.labels import LABELS
from ichscope.results import ModelResult, SeriesResult
from ichscope.store import priority, reviews
from ichscope.store.adjustments import judged, thresholds_in_force
from ichscope.store.database import UNSEEN
from ichscope.store.pseudonymiser import whole_years, without_names
from ichscope.store.tables import Finding, Result, Study


def fill_facts(study: Study, header: Header) -> None:
    """Write what subgroups need, and nothing that leads back to the patient."""
    study.age_years = whole_years(header.age_years)
    study.sex = header.sex
    study.manufacturer = header.manufacturer
    # Many scanners repeat the maker's name in their own.
    repeats = header.scanner.lower().startswith(header.manufacturer.lower())
    study.scanner = header.scanner if repeats else f"{header.manufacturer} {header.scanner}".strip()
    study.kvp = header.kvp
    study.slice_thickness_mm = header.slice_thickness_mm
    study.kernel = header.kernel


def write_findings(session: Session, study: Study, result: SeriesResult, files: Sequence[str]) -> None:
    """Write the findings in the place of older ones; names of files must not stand in their texts."""
    # Where no file was read as a slice, the result bears the name of the file that was not.
    names = [*files, *(one.file for one in result.slices)] or [result.name]
    session.execute(delete(Finding).where(Finding.study_id == study.id), execution_options=UNSEEN)
    session.add_all(
        Finding(study_id=study.id, place=i, level=one.level, code=one.code, text=without_names(one.text, names))
        for i, one in enumerate(result.findings)
    )


def add_results(session: Session, study: Study, result: SeriesResult, now: datetime) -> None:
    """Write the results of all models, judged by the thresholds in force, and what all current ones amount to."""
    in_force = thresholds_in_force(session)
    for model in result.models.values():
        _add_result(session, study.id, judged(model, in_force), now)
    session.flush()
    _summarise(session, study)


def _add_result(session: Session, study: int, model: ModelResult, now: datetime) -> None:
    """Add or renew the result of this version, which becomes the model's current one."""
    of_model = (Result.study_id == study, Result.model == model.name)
    session.execute(update(Result).where(*of_model).values(current=False), execution_options=UNSEEN)
    session.execute(delete(Result).where(*of_model, Result.version == model.version), execution_options=UNSEEN)
    along = model.slice_probability
    session.add(
        Result(
            study_id=study,
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


def _summarise(session: Session, study: Study) -> None:
    """Put what the current results say into the columns that the worklist sorts and filters by."""
    rows = session.scalars(select(Result).where(Result.study_id == study.id, Result.current)).all()
    opinions = [priority.Opinion(row.flagged, probabilities(row), row.thresholds) for row in rows]
    study.models = "|" + "".join(f"{row.model}|{row.model} {row.version}|" for row in rows)
    study.priority = priority.priority(opinions)
    study.score = priority.score(opinions)
    study.rank = priority.rank(study.priority, study.score)
    for label, value in priority.found(opinions).items():
        setattr(study, f"model_{label}", value)
    if study.reviews:  # readers may agree with what the models say now, or no longer
        reviews.summarise(study, reviews.history(session, study.id))


def probabilities(row: Any) -> dict[str, float]:
    """Probabilities of a row of `results` by label, without those that its model does not know."""
    found = {label: getattr(row, f"probability_{label}") for label in LABELS}
    return {label: value for label, value in found.items() if value is not None}
