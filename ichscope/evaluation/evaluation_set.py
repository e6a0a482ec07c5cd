"""Truth and model outputs as rows: what every page and report of an audit is computed from."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.evaluation.pairing import MatchedOutput, Pairing
from ichscope.levels import Level
from ichscope.store import Adjustment
from ichscope.tabular.values import LabelValues

Cell = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ModelColumn:
    """What one model says.

    probability : label -> (rows,), nan where it says nothing; only labels that the truth has, too
    thresholds : by label, those in force; empty where the model brings none
    operating_point : name of the point that the threshold of `any` belongs to
    sha256 : of the model's files, or of the imported file
    set_by_users : those of the thresholds that the operating point tells of, with who, when and why
    """

    name: str
    version: str
    probability: dict[str, Cell]
    thresholds: dict[str, float]
    operating_point: str
    sha256: str
    set_by_users: tuple[Adjustment, ...] = ()


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Truth and model outputs, a row a study or slice.

    keys : (rows,) keyed hashes of the study or slice
    study : (rows,) its id in the store, -1 where it is not there
    slice : (rows,) its index in that study from 0, -1 at study level and where it is not there
    truth : label -> (rows,) 0, 1 or nan
    models : by key of their source
    group : (rows,) number of the patient that intervals go by
    grouped_by : "patient", "study", or "" where every row is another patient
    columns : (rows,) texts for subgroups, "" where unknown, by "scanner", "institution", "kvp", "slice thickness",
        "age", "sex"
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
        probability = {
            f"{name}\0{label}": values
            for key, name in self.names().items()
            for label, values in self.models[key].probability.items()
        }
        for name, values in (*self.truth.items(), *probability.items(), ("group", self.group.astype(np.float64))):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values, "<f8").data)
        return digest.hexdigest()

    def pairing(self) -> Pairing:
        """The same as `ichscope evaluate` has it, models by their `names`."""
        nobody = [""] * len(self.keys)
        partners = {
            name: MatchedOutput(
                labels=self.models[key].probability,
                matched=has_output(self.models[key], len(self.keys)),
                group=self.group,
                grouped_by=self.grouped_by,
                without_truth=[],
                thresholds=self.models[key].thresholds,
                notes=[],
            )
            for key, name in self.names().items()
        }
        return Pairing(
            self.level, "key", LabelValues(self.keys, nobody, nobody, self.truth, list(self.notes)), partners
        )

    def csv_rows(self) -> Iterator[dict[str, Any]]:
        """ReferenceRows from which every figure can be recomputed; what is unknown is None.

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


def has_output(model: ModelColumn, rows: int) -> NDArray[np.bool_]:
    """Of which rows (rows,) a model says anything."""
    known = np.zeros(rows, np.bool_)
    for values in model.probability.values():
        known |= ~np.isnan(values)
    return known
