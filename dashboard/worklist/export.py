"""The worklist as a CSV file: one row a study, read from the store while it is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ichscope.labels import LABELS
from ichscope.results import csv_text
from ichscope.store import Filter, ModelRow, Order, Store, WorklistRow

_FACTS = (
    *("study_key", "series_count", "series_reason", "arrived_at", "analysed_at", "status", "priority", "score"),
    *("reasons", "synthetic", "slices", "age_years", "sex", "scanner", "institution", "kvp", "slice_thickness_mm"),
    "kernel",
)
_REVIEW = ("agreement", "reviews", "reviewed_at", "readers", "poor_quality", "comments")
_LISTS = ("reasons", "readers", "comments")


def worklist_csv(store: Store, filter: Filter, order: Order) -> str:
    """The studies that fit, in order.

    `models_*` is what all models together find and `reader_*` what readers say, yes, no or empty;
    `<model>_*` are the probabilities of each model for the whole study, 0..1.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    names = columns(list(dict.fromkeys(name for name, _ in store.worklist.choices().models)))
    return csv_text((csv_row(row, names) for row in store.worklist.export(filter, order)), names)


def columns(models: Sequence[str]) -> list[str]:
    """Names of all columns, with those of these models."""
    labels = [f"{by}_{label}" for by in ("models", "reader") for label in LABELS]
    parts = ("version", "operating_point", "threshold", "flagged", *LABELS)
    return [*_FACTS, *_REVIEW, *labels, *(f"{model}_{part}" for model in models for part in parts)]


def csv_row(row: WorklistRow, names: Sequence[str]) -> dict[str, Any]:
    """One study by column, of these columns; what is not known has no cell."""
    values = {name: getattr(row, name) for name in (*_FACTS, *_REVIEW)}
    values |= {name: "; ".join(values[name]) for name in _LISTS}
    for by, labels in (("models", row.model_labels), ("reader", row.reader_labels)):
        values |= {f"{by}_{label}": value for label, value in labels.items()}
    for model in row.models:
        values |= {f"{model.name}_{part}": value for part, value in _model(model).items()}
    return {name: _text(values[name]) for name in names if values.get(name) is not None}


def _model(model: ModelRow) -> dict[str, Any]:
    facts = {name: getattr(model, name) for name in ("version", "operating_point", "threshold", "flagged")}
    return facts | model.probability


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
