"""The worklist's table: what each row says of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboard.filters import AGREEMENT_WORDS, PRIORITY_WORDS, STATUS_WORDS
from dashboard.table import linked
from dashboard.text import count
from dashboard.times import when
from ichscope.imaging.findings import Status
from ichscope.labels import SUBTYPES
from ichscope.reporting.figures.theme import SHORT_NAMES, number
from ichscope.store import ModelRow, WorklistRow

Cell = dict[str, str]


def show(rows: Sequence[WorklistRow], key: str, last: int | None = None) -> int | None:
    """Place a page of the worklist.

    Parameters
    ----------
    last : the study that was open before; its row gets the focus

    Returns
    -------
    the study that was opened just now
    """
    opened = linked(content(rows) | {"last": last}, key)
    return opened[0] if opened else None


def content(rows: Sequence[WorklistRow]) -> dict[str, Any]:
    """What the browser shows: a head, and the cells of every row with the number of its study."""
    models = _model_names(rows)
    head = ["Priority", "Study", "Arrived", *models, "Subtypes", "Slices", "Review", "Notes"]
    return {"head": head, "rows": [{"id": row.id, "cells": _cells(row, models)} for row in rows]}


def _model_names(rows: Sequence[WorklistRow]) -> list[str]:
    """Models of these rows, the one with the most labels first."""
    models = {model.name: model for row in rows for model in row.models}
    return sorted(models, key=lambda name: (-len(models[name].probability), name))


def _cells(row: WorklistRow, models: Sequence[str]) -> list[Cell]:
    by_name = {model.name: model for model in row.models}
    return [
        _cell(PRIORITY_WORDS[row.priority], f"priority {row.priority.split()[0]}"),
        _cell(row.study_key, "study"),
        _cell(when(row.arrived_at), "time"),
        *(_probability(by_name.get(name)) for name in models),
        _cell(subtypes(row), "subtypes"),
        _cell(str(row.slices), "number"),
        _cell(AGREEMENT_WORDS[row.agreement], f"review {row.agreement}", _reviewed(row)),
        _cell("; ".join(notes(row)), "notes", "\n".join(notes(row))),
    ]


def _cell(text: str, kind: str, title: str = "") -> Cell:
    return {"text": text, "kind": kind, "title": title}


def _probability(model: ModelRow | None) -> Cell:
    if model is None:
        return _cell("", "number")
    value = number(model.probability["any"])
    flagged = "flagged" if model.flagged else "not flagged"
    title = f"{model.name} {model.version}: {value}, threshold {number(model.threshold)}, {flagged}"
    return _cell(value, "number flagged" if model.flagged else "number", title)


def subtypes(row: WorklistRow) -> str:
    """Short names of the subtypes that the models find."""
    return ", ".join(SHORT_NAMES[label] for label in SUBTYPES if row.model_labels[label])


def _reviewed(row: WorklistRow) -> str:
    if row.reviewed_at is None:
        return ""
    return f"{count(row.reviews, 'review')}, the latest {when(row.reviewed_at)}"


def notes(row: WorklistRow) -> list[str]:
    """What else a reader must know before opening a study."""
    texts = ["Synthetic"] if row.synthetic else []
    if row.series_count > 1:
        texts.append(count(row.series_count, "series", "series"))
    if row.status != Status.ANALYSED:
        texts.append(": ".join([STATUS_WORDS[row.status], *row.reasons[:1]]))
        texts.extend(row.reasons[1:])
    return texts
