"""What audit pages and reports stand on: truth and model outputs from the store, brought together row by row."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ichscope.evaluation.evaluation_set import EvaluationSet, ModelColumn, has_output
from ichscope.evaluation.joining import EvaluationError, ReferenceRows, StoredData, bands, find, groups, taken
from ichscope.evaluation.model_outputs import ModelOutputs, model_outputs
from ichscope.evaluation.reference_standard import imported, reviewed
from ichscope.labels import LABELS
from ichscope.levels import Level
from ichscope.metrics import Rule
from ichscope.store import Filter, Store
from ichscope.store.imported_tables import Keys, as_texts
from ichscope.tabular.naming import label_key
from ichscope.tabular.shared_labels import by_place
from ichscope.tabular.values import NAMELESS

__all__ = [
    "REVIEWS",
    "EvaluationError",
    "EvaluationSet",
    "ModelColumn",
    "ModelSource",
    "Selection",
    "TruthSource",
    "load",
    "model_sources",
    "truth_sources",
]

REVIEWS = "reviews"
_TRUTH_KEY = re.compile(r"reviews|import:(\d+)")
_MODEL_KEY = re.compile(r"import:(\d+):.*|model:.+@.*")
_EVERYTHING = Filter()


@dataclass(frozen=True)
class TruthSource:
    """Where truth can come from.

    key : "reviews", or "import:<id>"
    rows : studies or slices with truth
    imported_at : None for reviews
    """

    key: str
    name: str
    rows: int
    readers: tuple[str, ...]
    imported_at: datetime | None
    level: Level


@dataclass(frozen=True)
class ModelSource:
    """Whose probabilities can be evaluation_set.

    key : "model:<name>@<version>" for results of the store, "import:<id>:<name>" for an imported file
    studies : rows with probabilities; of an import by slice, its studies, or its slices where it names no study
    has_slices : whether it says something of single slices
    """

    key: str
    name: str
    version: str
    studies: int
    labels: tuple[str, ...]
    has_slices: bool


@dataclass(frozen=True)
class Selection:
    """What to audit.

    truth, models : keys of sources
    readers : whose truth counts where several say something: "majority", "any", "newest" (of reviews), or a
        reader's name
    rule : how slices become studies; None is the model's own word for the study
    filter : only studies of the store that fit; rows whose study is not in the store stay only without a filter
    """

    truth: str
    models: tuple[str, ...]
    level: Level = "study"
    readers: str = "majority"
    rule: Rule | None = None
    filter: Filter = _EVERYTHING


def truth_sources(store: Store) -> list[TruthSource]:
    """What truth there is: reviews, where a reader has given a label, then imported files, the newest first."""
    studies, readers = store.columns.reviewed()
    sources = [TruthSource(REVIEWS, "Reviews", studies, readers, None, "study")] if studies else []
    for table in store.imported.tables("truth"):
        names = tuple(rater.name for rater in table.raters if rater.name)
        sources.append(TruthSource(f"import:{table.id}", table.name, table.rows, names, table.imported_at, table.level))
    return sources


def model_sources(store: Store) -> list[ModelSource]:
    """Whose probabilities there are: models with results in the store, then those of imported files."""
    sources = [
        ModelSource(
            f"model:{version.name}@{version.version}",
            version.name,
            version.version,
            version.studies,
            version.labels,
            version.has_slices,
        )
        for version in store.columns.model_versions()
    ]
    for table in store.imported.tables("predictions"):
        for rater in table.raters:
            key, by_slice = f"import:{table.id}:{rater.name}", table.level == "slice"
            name = table.name if rater.name == NAMELESS else rater.name
            sources.append(ModelSource(key, name, rater.version, rater.studies, rater.labels, by_slice))
    return sources


def load(store: Store, selection: Selection) -> EvaluationSet:
    """Bring truth and model outputs together.

    Raises
    ------
    EvaluationError
        if a source is not there, or cannot give what is asked of it
    StoreError
        if the database fails
    """
    level = selection.level
    stored = StoredData(store, selection.filter, _table_ids(selection))
    rows, notes = _truth(stored, selection)
    rows, left_out = _chosen(rows, selection.filter)
    if level == "series":
        rows = rows.by_series(stored)
        notes = [*notes, "each series that a model judged is a row of its own, with the truth of its study"]
    outputs = {key: model_outputs(stored, key, rows, level, selection.rule) for key in selection.models}
    labels = _labels(rows, outputs.values())
    models = {key: _column(output, labels) for key, output in outputs.items()}
    group, grouped_by = groups(rows, _patients(stored, rows, outputs.values()), level == "slice")
    of_models = [note for output in outputs.values() for note in output.notes]
    return EvaluationSet(
        level=level,
        keys=as_texts(_keys(stored, rows, level)),
        study=taken(stored.studies.id, rows.place, -1),
        slice=rows.index,
        truth={label: rows.truth[label] for label in labels},
        models=models,
        group=group,
        grouped_by=grouped_by,
        columns=bands(stored, rows),
        notes=list(dict.fromkeys([*notes, *left_out, *of_models, *_synthetic(stored, rows)])),
        missing={key: int(np.count_nonzero(~has_output(model, len(rows)))) for key, model in models.items()},
    )


def _keys(stored: StoredData, rows: ReferenceRows, level: Level) -> Keys:
    """What the rows are called (rows,)."""
    if level == "series":
        return taken(stored.series.key, find(stored.series.id, rows.series), 0)
    return rows.slice if level == "slice" else rows.study


def _table_ids(selection: Selection) -> list[int]:
    """Numbers of the imported files that a selection names."""
    ids: dict[int, None] = {}
    for key, form in ((selection.truth, _TRUTH_KEY), *((key, _MODEL_KEY) for key in selection.models)):
        if (match := form.fullmatch(key)) is None:
            raise EvaluationError(f"found {key!r}, expected the key of a source")
        if match[1]:
            ids[int(match[1])] = None
    return list(ids)


def _truth(stored: StoredData, selection: Selection) -> tuple[ReferenceRows, list[str]]:
    if selection.truth == REVIEWS:
        return reviewed(stored, selection.level, selection.readers)
    return imported(stored, int(selection.truth.partition(":")[2]), selection.level, selection.readers)


def _chosen(rows: ReferenceRows, filter: Filter) -> tuple[ReferenceRows, list[str]]:
    """Rows of studies that fit the filter; without one also those of studies that are not in the store."""
    outside = int(np.count_nonzero(rows.place < 0))
    if filter == _EVERYTHING or not outside:
        return rows, []
    note = f"{outside} rows of truth are left out: their studies do not fit the filter or are not in the store"
    return rows.chosen(rows.place >= 0), [note]


def _labels(rows: ReferenceRows, outputs: Collection[ModelOutputs]) -> list[str]:
    """Labels of the truth: ours that are known anywhere, and others that a model knows, too."""
    theirs = {label_key(label) for output in outputs for label in output.labels}
    known = [label for label, values in rows.truth.items() if not np.isnan(values).all()]
    return by_place(label for label in known if label in LABELS or not outputs or label_key(label) in theirs)


def _column(output: ModelOutputs, labels: Sequence[str]) -> ModelColumn:
    own = {label_key(label): label for label in output.labels}
    shared = {label: own[label_key(label)] for label in labels if label_key(label) in own}
    return ModelColumn(
        name=output.name,
        version=output.version,
        probability={label: output.labels[name] for label, name in shared.items()},
        thresholds={label: output.thresholds[name] for label, name in shared.items() if name in output.thresholds},
        operating_point=output.operating_point,
        sha256=output.sha256,
        set_by_users=output.set_by_users,
    )


def _patients(stored: StoredData, rows: ReferenceRows, outputs: Iterable[ModelOutputs]) -> Keys:
    """Keys of patients (rows,), as the truth, the models' files or the store know them; 0 where none does."""
    patient = rows.patient
    for other in (*(output.patient for output in outputs), taken(stored.studies.patient, rows.place, 0)):
        patient = np.where(patient == 0, other, patient)
    return patient


def _synthetic(stored: StoredData, rows: ReferenceRows) -> list[str]:
    count = int(np.count_nonzero(taken(stored.studies.synthetic, rows.place, False)))
    return [f"{count} of {len(rows)} rows are of synthetic studies"] if count else []
