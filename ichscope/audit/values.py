"""One value a row and label: readers brought to agree, models told apart, slices put together to studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ichscope.audit.sheets import Floats, Ints, Sheet, first_rows, number, number_pairs, one_each
from ichscope.audit.tables import TableError
from ichscope.metrics import Rule, study_score, study_truth

Readers = Literal["majority", "any"]


@dataclass(frozen=True, eq=False)
class Values:
    """One value a row and label.

    keys : (rows,) what each row is about, all different
    study, patient : (rows,) "" where unknown
    labels : label -> (rows,), nan where unknown
    thresholds : by label, where a model brings its own
    """

    keys: list[str]
    study: list[str]
    patient: list[str]
    labels: dict[str, Floats]
    notes: list[str] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)


def agreed(sheet: Sheet, by: str, labels: Sequence[str], readers: Readers | None = None) -> Values:
    """Make one truth of what several readers say, in rows or in columns.

    by : one of `sheet.ids`
    readers : "majority" (the default) is more than half of those who say something, a tie being unknown; "any" is
        any of them. Rows that name no reader and contradict each other are refused unless this is given.

    Raises
    ------
    TableError
        if a cell is no truth, or rows contradict each other
    """
    keys, key = number(sheet.ids[by])
    if "reader" in sheet.roles:
        who: Sequence[Any] = sheet.texts("reader")
    else:
        who = range(sheet.rows) if readers else [""] * sheet.rows
    voter = number_pairs(key, who)
    key_of_voter = key[first_rows(voter)]
    merged, notes = {}, list(sheet.table.notes)
    for label in labels:
        positive, said = np.zeros(len(keys)), np.zeros(len(keys))
        for column in sheet.labels[label]:
            votes = one_each(sheet.table, column, sheet.table.truths(column), voter)
            positive += np.bincount(key_of_voter, votes == 1, len(keys))
            said += np.bincount(key_of_voter, ~np.isnan(votes), len(keys))
        found = positive > 0 if readers == "any" else 2 * positive > said
        split = (2 * positive == said) & (said > 0) & (readers != "any")
        merged[label] = np.where((said == 0) | split, np.nan, found)
        if split.any():
            notes.append(f"{label}: readers are split evenly in {np.count_nonzero(split)} rows; their truth is unknown")
    return Values(keys, _first(sheet.texts("study"), key), _first(sheet.texts("patient"), key), merged, notes)


def predicted(sheet: Sheet, by: str, labels: Sequence[str]) -> dict[str, Values]:
    """Probabilities of each model in a sheet; rows without any probability are left out.

    Where a study has several series the highest probability counts, as a flag on any of them would.

    Raises
    ------
    TableError
        if a cell is no probability, or rows contradict each other
    """
    values = {label: sheet.table.probabilities(sheet.labels[label][0]) for label in labels}
    there = np.any([~np.isnan(one) for one in values.values()], axis=0)
    return {model: _of_model(sheet, by, values, rows) for model, rows in _models(sheet, there).items()}


def _of_model(sheet: Sheet, by: str, values: dict[str, Floats], rows: Ints) -> Values:
    ids, series, study, patient = (
        [texts[row] for row in rows] for texts in (sheet.ids[by], *map(sheet.texts, ("series", "study", "patient")))
    )
    keys, key = number(ids)
    group = number_pairs(key, series)
    key_of_group = key[first_rows(group)]
    highest = {}
    for label, found in values.items():
        highest[label] = np.full(len(keys), np.nan)
        once = one_each(sheet.table, sheet.labels[label][0], found[rows], group, rows)
        np.fmax.at(highest[label], key_of_group, once)
    several = np.count_nonzero(np.bincount(key_of_group) > 1)
    notes = list(sheet.table.notes)
    if several:
        notes.append(f"{several} studies have several series; the highest probability counts")
    thresholds = _own_thresholds(sheet, list(values), rows)
    return Values(keys, _first(study, key), _first(patient, key), highest, notes, thresholds)


def _models(sheet: Sheet, there: NDArray[np.bool_]) -> dict[str, Ints]:
    """Rows of each model, of those that are there; its version is added where a model comes in several."""
    rows = np.flatnonzero(there)
    names, versions = ([texts[row] for row in rows] for texts in map(sheet.texts, ("model", "version")))
    pairs = list(zip(names, versions, strict=True))
    count = Counter(name for name, _ in set(pairs))
    if max(count.values(), default=0) > 1:
        names = [f"{name} {version}" if count[name] > 1 else name for name, version in pairs]
    models, of_row = number(names)
    return {model or "model": rows[of_row == i] for i, model in enumerate(models)}


def _own_thresholds(sheet: Sheet, labels: Sequence[str], rows: Ints) -> dict[str, float]:
    """Thresholds that predictions bring along, by label, where all rows have the same."""
    found = {}
    for label in labels:
        column = f"threshold_{label}"
        if label == "any" and column not in sheet.table.columns:
            column = "threshold"
        cells = sheet.table.columns.get(column, ())
        if len(said := {cells[row] for row in rows} - {""} if cells else set()) == 1:
            try:
                found[label] = float(said.pop())
            except ValueError:
                raise sheet.table.wrong(rows[:1].tolist(), column, "a threshold") from None
    return found


def _first(texts: list[str], key: Ints) -> list[str]:
    """Text of the first row of each key."""
    return [texts[row] for row in first_rows(key)]


def of_studies(slices: Values, rule: Rule | None = None) -> Values:
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
    return Values(studies, studies, _first(slices.patient, of_slice), labels, slices.notes, slices.thresholds)
