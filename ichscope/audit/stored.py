"""What audit pages and reports stand on: truth and models' words from the store, brought together row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.audit.tables import Level
from ichscope.metrics import Rule
from ichscope.store import Filter

Cell = NDArray[np.float64]
Ints = NDArray[np.intp]

_EVERYTHING = Filter()


class AuditError(Exception):
    """A selection that cannot be loaded; the message says what was found and what is expected."""


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
