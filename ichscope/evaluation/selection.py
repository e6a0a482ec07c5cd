"""What audit pages and reports stand on: truth and models' words from the store, brought together row by row."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ichscope.evaluation.evaluation_set import Audited, ModelColumn, there
from ichscope.evaluation.joining import EvaluationError, Known, Rows, bands, groups, taken
from ichscope.evaluation.model_outputs import Words, words
from ichscope.evaluation.reference_standard import imported, reviewed
from ichscope.labels import LABELS
from ichscope.metrics import Rule
from ichscope.store import Filter, Store
from ichscope.store.imported_tables import Keys, as_texts
from ichscope.tabular.imported_table import by_place
from ichscope.tabular.naming import label_key
from ichscope.tabular.table import Level
from ichscope.tabular.values import NAMELESS

__all__ = [
    "REVIEWS",
    "Audited",
    "EvaluationError",
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
    """Whose probabilities can be audited.

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
    found = [TruthSource(REVIEWS, "Reviews", studies, readers, None, "study")] if studies else []
    for sheet in store.imported.tables("truth"):
        names = tuple(voice.name for voice in sheet.raters if voice.name)
        found.append(TruthSource(f"import:{sheet.id}", sheet.name, sheet.rows, names, sheet.imported_at, sheet.level))
    return found


def model_sources(store: Store) -> list[ModelSource]:
    """Whose probabilities there are: models with results in the store, then those of imported files."""
    found = [
        ModelSource(f"model:{one.name}@{one.version}", one.name, one.version, one.studies, one.labels, one.has_slices)
        for one in store.columns.model_versions()
    ]
    for sheet in store.imported.tables("predictions"):
        for voice in sheet.raters:
            key, by_slice = f"import:{sheet.id}:{voice.name}", sheet.level == "slice"
            name = sheet.name if voice.name == NAMELESS else voice.name
            found.append(ModelSource(key, name, voice.version, voice.studies, voice.labels, by_slice))
    return found


def load(store: Store, selection: Selection) -> Audited:
    """Bring truth and models' words together.

    Raises
    ------
    EvaluationError
        if a source is not there, or cannot give what is asked of it
    StoreError
        if the database fails
    """
    level = selection.level
    known = Known(store, selection.filter, _sheets(selection))
    rows, notes = _truth(known, selection)
    rows, left_out = _chosen(rows, selection.filter)
    said = {key: words(known, key, rows, level, selection.rule) for key in selection.models}
    labels = _labels(rows, said.values())
    models = {key: _column(one, labels) for key, one in said.items()}
    group, grouped_by = groups(rows, _patients(known, rows, said.values()), level == "slice")
    of_models = [note for one in said.values() for note in one.notes]
    return Audited(
        level=level,
        keys=as_texts(rows.slice if level == "slice" else rows.study),
        study=taken(known.studies.id, rows.place, -1),
        slice=rows.index,
        truth={label: rows.truth[label] for label in labels},
        models=models,
        group=group,
        grouped_by=grouped_by,
        columns=bands(known, rows.place),
        notes=list(dict.fromkeys([*notes, *left_out, *of_models, *_synthetic(known, rows)])),
        missing={key: int(np.count_nonzero(~there(model, len(rows)))) for key, model in models.items()},
    )


def _sheets(selection: Selection) -> list[int]:
    """Numbers of the imported files that a selection names."""
    found: dict[int, None] = {}
    for key, form in ((selection.truth, _TRUTH_KEY), *((key, _MODEL_KEY) for key in selection.models)):
        if (match := form.fullmatch(key)) is None:
            raise EvaluationError(f"found {key!r}, expected the key of a source")
        if match[1]:
            found[int(match[1])] = None
    return list(found)


def _truth(known: Known, selection: Selection) -> tuple[Rows, list[str]]:
    if selection.truth == REVIEWS:
        return reviewed(known, selection.level, selection.readers)
    return imported(known, int(selection.truth.partition(":")[2]), selection.level, selection.readers)


def _chosen(rows: Rows, filter: Filter) -> tuple[Rows, list[str]]:
    """Rows of studies that fit the filter; without one also those of studies that are not in the store."""
    outside = int(np.count_nonzero(rows.place < 0))
    if filter == _EVERYTHING or not outside:
        return rows, []
    note = f"{outside} rows of truth are left out: their studies do not fit the filter or are not in the store"
    return rows.chosen(rows.place >= 0), [note]


def _labels(rows: Rows, said: Collection[Words]) -> list[str]:
    """Labels of the truth: ours that are known anywhere, and others that a model knows, too."""
    theirs = {label_key(label) for one in said for label in one.labels}
    known = [label for label, values in rows.truth.items() if not np.isnan(values).all()]
    return by_place(label for label in known if label in LABELS or not said or label_key(label) in theirs)


def _column(said: Words, labels: Sequence[str]) -> ModelColumn:
    own = {label_key(label): label for label in said.labels}
    shared = {label: own[label_key(label)] for label in labels if label_key(label) in own}
    return ModelColumn(
        name=said.name,
        version=said.version,
        probability={label: said.labels[name] for label, name in shared.items()},
        thresholds={label: said.thresholds[name] for label, name in shared.items() if name in said.thresholds},
        operating_point=said.operating_point,
        sha256=said.sha256,
        set_by_users=said.set_by_users,
    )


def _patients(known: Known, rows: Rows, said: Iterable[Words]) -> Keys:
    """Keys of patients (rows,), as the truth, the models' files or the store know them; 0 where none does."""
    found = rows.patient
    for other in (*(one.patient for one in said), taken(known.studies.patient, rows.place, 0)):
        found = np.where(found == 0, other, found)
    return found


def _synthetic(known: Known, rows: Rows) -> list[str]:
    count = int(np.count_nonzero(taken(known.studies.synthetic, rows.place, False)))
    return [f"{count} of {len(rows)} rows are of synthetic studies"] if count else []
