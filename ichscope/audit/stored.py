"""What audit pages and reports stand on: truth and models' words from the store, brought together row by row."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.audit.joining import AuditError, Known, Rows, bands, groups, taken
from ichscope.audit.pairing import Pairing, Partners
from ichscope.audit.sheets import by_place, label_key
from ichscope.audit.tables import Level
from ichscope.audit.truths import imported, reviewed
from ichscope.audit.values import Values
from ichscope.audit.words import Words, words
from ichscope.labels import LABELS
from ichscope.metrics import Rule
from ichscope.store import Filter, Store
from ichscope.store.truth import Keys, as_texts

Cell = NDArray[np.float64]
Ints = NDArray[np.intp]

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


@dataclass(frozen=True, eq=False)
class ModelColumn:
    """What one model says.

    probability : label -> (rows,), nan where it says nothing; only labels that the truth has, too
    thresholds : by label, those in force; empty where the model brings none
    operating_point : name of the point that the threshold of `any` belongs to
    sha256 : of the model's files, or of the imported file
    """

    name: str
    version: str
    probability: dict[str, Cell]
    thresholds: dict[str, float]
    operating_point: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Audited:
    """Truth and models' words, a row a study or slice.

    keys : (rows,) keyed hashes of the study or slice
    study : (rows,) its id in the store, -1 where it is not there
    slice : (rows,) its index in that study from 0, -1 at study level and where it is not there
    truth : label -> (rows,) 0, 1 or nan
    models : by key of their source
    group : (rows,) number of the patient that intervals go by
    grouped_by : "patient", "study", or "" where every row is another patient
    columns : (rows,) texts for subgroups, "" where unknown: "scanner", "kvp", "slice thickness", "age", "sex"
    missing : by key of the model's source, rows of truth of which it says nothing
    """

    level: Level
    keys: list[str]
    study: Ints
    slice: Ints
    truth: dict[str, Cell]
    models: dict[str, ModelColumn]
    group: Ints
    grouped_by: str
    columns: dict[str, list[str]]
    notes: list[str]
    missing: dict[str, int]

    def names(self) -> dict[str, str]:
        """What to call each model, by key of its source: name and version, and the source where that is not enough."""
        plain = {key: f"{model.name} {model.version}".strip() for key, model in self.models.items()}
        several = Counter(plain.values())
        return {key: f"{name} ({key})" if several[name] > 1 else name for key, name in plain.items()}

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of all that figures are computed from."""
        thresholds = {name: self.models[key].thresholds for key, name in self.names().items()}
        texts = json.dumps([self.level, self.grouped_by, self.keys, self.columns, thresholds])
        digest = hashlib.sha256(texts.encode())
        said = {
            f"{name}\0{label}": values
            for key, name in self.names().items()
            for label, values in self.models[key].probability.items()
        }
        for name, values in (*self.truth.items(), *said.items(), ("group", self.group.astype(np.float64))):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values, "<f8").data)
        return digest.hexdigest()

    def pairing(self) -> Pairing:
        """The same as `ichscope evaluate` has it, models by their `names`."""
        nobody = [""] * len(self.keys)
        partners = {
            name: Partners(
                labels=self.models[key].probability,
                there=there(self.models[key], len(self.keys)),
                group=self.group,
                grouped_by=self.grouped_by,
                without_truth=[],
                thresholds=self.models[key].thresholds,
                notes=[],
            )
            for key, name in self.names().items()
        }
        return Pairing(self.level, "key", Values(self.keys, nobody, nobody, self.truth, list(self.notes)), partners)

    def csv_rows(self) -> Iterator[dict[str, Any]]:
        """Rows from which every figure can be recomputed; what is unknown is None.

        Columns: key, study, slice, group, truth_<label>; for each model "<source>:<label>" and, where it has one,
        "<source>:threshold_<label>"; then the columns for subgroups.
        """
        columns: dict[str, list[Any]] = {"key": self.keys, "study": _known(self.study), "slice": _known(self.slice)}
        columns["group"] = self.group.tolist()
        columns |= {f"truth_{label}": _numbers(values) for label, values in self.truth.items()}
        for source, model in self.models.items():
            for label, values in model.probability.items():
                columns[f"{source}:{label}"] = _numbers(values)
                if label in model.thresholds:
                    columns[f"{source}:threshold_{label}"] = [model.thresholds[label]] * len(values)
        columns |= self.columns
        names = list(columns)
        for cells in zip(*columns.values(), strict=True):
            yield dict(zip(names, cells, strict=True))


def _known(numbers: Ints) -> list[int | None]:
    return [None if number < 0 else number for number in numbers.tolist()]


def _numbers(values: Cell) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def truth_sources(store: Store) -> list[TruthSource]:
    """What truth there is: reviews, where a reader has given a label, then imported files, the newest first."""
    studies, readers = store.reviewed()
    found = [TruthSource(REVIEWS, "Reviews", studies, readers, None, "study")] if studies else []
    for sheet in store.sheets("truth"):
        names = tuple(voice.name for voice in sheet.voices if voice.name)
        found.append(TruthSource(f"import:{sheet.id}", sheet.name, sheet.rows, names, sheet.imported_at, sheet.level))
    return found


def model_sources(store: Store) -> list[ModelSource]:
    """Whose probabilities there are: models with results in the store, then those of imported files."""
    found = [
        ModelSource(f"model:{one.name}@{one.version}", one.name, one.version, one.studies, one.labels, one.has_slices)
        for one in store.model_versions()
    ]
    for sheet in store.sheets("predictions"):
        for voice in sheet.voices:
            key, by_slice = f"import:{sheet.id}:{voice.name}", sheet.level == "slice"
            found.append(ModelSource(key, voice.name, voice.version, voice.studies, voice.labels, by_slice))
    return found


def load(store: Store, selection: Selection) -> Audited:
    """Bring truth and models' words together.

    Raises
    ------
    AuditError
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


def there(model: ModelColumn, rows: int) -> NDArray[np.bool_]:
    """Of which rows (rows,) a model says anything."""
    found = np.zeros(rows, np.bool_)
    for values in model.probability.values():
        found |= ~np.isnan(values)
    return found


def _sheets(selection: Selection) -> list[int]:
    """Numbers of the imported files that a selection names."""
    found: dict[int, None] = {}
    for key, form in ((selection.truth, _TRUTH_KEY), *((key, _MODEL_KEY) for key in selection.models)):
        if (match := form.fullmatch(key)) is None:
            raise AuditError(f"found {key!r}, expected the key of a source")
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
