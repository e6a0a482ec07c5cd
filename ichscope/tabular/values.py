"""One value a row and label: models told apart, slices put together to studies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ichscope.metrics import Rule, study_score, study_truth
from ichscope.tabular.foreign_table import Floats, ForeignTable, Ints, first_rows, number, number_pairs, one_each
from ichscope.tabular.table import TableError

# What a model is known by whose file does not name it.
NAMELESS = "model"


@dataclass(frozen=True, eq=False)
class LabelValues:
    """One value a row and label.

    keys : (rows,) what each row is about, all different
    study, patient : (rows,) "" where unknown
    labels : label -> (rows,), nan where unknown
    thresholds, version : where a model brings its own
    """

    keys: list[str]
    study: list[str]
    patient: list[str]
    labels: dict[str, Floats]
    notes: list[str] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    version: str = ""


def predicted(foreign: ForeignTable, by: str, labels: Sequence[str]) -> dict[str, LabelValues]:
    """Probabilities of each model in a table; rows without any probability are left out.

    Where a study has several series the highest probability counts, as a flag on any of them would.

    Raises
    ------
    TableError
        if a cell is no probability, or rows contradict each other
    """
    values = {label: foreign.table.probabilities(foreign.labels[label][0]) for label in labels}
    there = np.any([~np.isnan(column) for column in values.values()], axis=0)
    return {model: _of_model(foreign, by, values, rows) for model, rows in _models(foreign, there).items()}


def _of_model(foreign: ForeignTable, by: str, values: dict[str, Floats], rows: Ints) -> LabelValues:
    ids, series, study, patient = (
        [texts[row] for row in rows] for texts in (foreign.ids[by], *map(foreign.texts, ("series", "study", "patient")))
    )
    keys, key = number(ids)
    group = number_pairs(key, series)
    key_of_group = key[first_rows(group)]
    highest = {}
    for label, column in values.items():
        highest[label] = np.full(len(keys), np.nan)
        once = one_each(foreign.table, foreign.labels[label][0], column[rows], group, rows)
        np.fmax.at(highest[label], key_of_group, once)
    several = np.count_nonzero(np.bincount(key_of_group) > 1)
    notes = list(foreign.table.notes)
    if several:
        have = "1 study has" if several == 1 else f"{several} studies have"
        notes.append(f"{have} several series; the highest probability counts")
    thresholds = _own_thresholds(foreign, list(values), rows)
    version = foreign.texts("version")[rows[0]]
    return LabelValues(keys, first_texts(study, key), first_texts(patient, key), highest, notes, thresholds, version)


def _models(foreign: ForeignTable, there: NDArray[np.bool_]) -> dict[str, Ints]:
    """Rows of each model, of those that are there; its version is added where a model comes in several."""
    rows = np.flatnonzero(there)
    names, versions = ([texts[row] for row in rows] for texts in map(foreign.texts, ("model", "version")))
    pairs = list(zip(names, versions, strict=True))
    count = Counter(name for name, _ in set(pairs))
    if max(count.values(), default=0) > 1:
        names = [f"{name} {version}" if count[name] > 1 else name for name, version in pairs]
    models, of_row = number(names)
    return {model or NAMELESS: rows[of_row == i] for i, model in enumerate(models)}


def _own_thresholds(foreign: ForeignTable, labels: Sequence[str], rows: Ints) -> dict[str, float]:
    """Thresholds that predictions bring along, by label, where all rows have the same."""
    thresholds = {}
    for label in labels:
        column = f"threshold_{label}"
        if label == "any" and column not in foreign.table.columns:
            column = "threshold"
        cells = foreign.table.columns.get(column, ())
        if len(distinct := {cells[row] for row in rows} - {""} if cells else set()) == 1:
            try:
                thresholds[label] = float(distinct.pop())
            except ValueError:
                thresholds[label] = math.nan
            if not math.isfinite(thresholds[label]):
                raise foreign.table.wrong(rows[:1].tolist(), column, "a threshold")
    return thresholds


def first_texts(texts: list[str], key: Ints) -> list[str]:
    """Text of the first row of each key."""
    return [texts[row] for row in first_rows(key)]


def of_studies(slices: LabelValues, rule: Rule | None = None) -> LabelValues:
    """Put slices together to studies: probabilities by the rule, truths (no rule) by what slices are known to be.

    Raises
    ------
    TableError
        if a slice names no study
    """
    studies, of_slice = number(slices.study)
    if "" in studies:
        raise TableError("found slices whose study is not known, expected a column 'study'")
    labels = {}
    for label, values in slices.labels.items():
        if rule is None:
            labels[label] = study_truth(values, of_slice)[1]
            continue
        known = ~np.isnan(values)
        there, score = study_score(values[known], of_slice[known], rule)
        labels[label] = np.full(len(studies), np.nan)
        labels[label][there] = score
    return LabelValues(studies, studies, first_texts(slices.patient, of_slice), labels, slices.notes, slices.thresholds)
