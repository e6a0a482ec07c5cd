"""One value a row and label: readers brought to agree, models told apart, slices put together to studies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ichscope.metrics import Rule, study_score, study_truth
from ichscope.tabular.imported_table import Floats, Ints, Sheet, first_rows, number, number_pairs, one_each
from ichscope.tabular.naming import reader_of_column
from ichscope.tabular.table import TableError

Readers = Literal["majority", "any"]
# What a model is known by whose file does not name it.
NAMELESS = "model"


@dataclass(frozen=True, eq=False)
class Values:
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


@dataclass(frozen=True, eq=False)
class Voice:
    """What one reader says; "" where no reader is named.

    rows : (n,) numbers of the rows that the reader may have said something of, each once
    labels : label -> (n,) 0, 1, or nan where nothing is said
    """

    reader: str
    rows: Ints
    labels: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class Votes:
    """What all readers say; keys, study and patient as in Values, and voices about those rows."""

    keys: list[str]
    study: list[str]
    patient: list[str]
    voices: list[Voice]
    notes: list[str]


def agreed(sheet: Sheet, by: str, labels: Sequence[str], readers: Readers | None = None) -> Values:
    """Make one truth of what several readers say, in rows or in columns.

    by : one of `sheet.ids`
    readers : as in agree(). Rows that name no reader and contradict each other are refused unless this is given.

    Raises
    ------
    TableError
        if a cell is no truth, or rows contradict each other
    """
    said = votes(sheet, by, labels, nameless=readers is not None)
    merged, notes = agree(said.voices, len(said.keys), readers)
    return Values(said.keys, said.study, said.patient, merged, said.notes + notes)


def agree(voices: Sequence[Voice], rows: int, readers: Readers | None = None) -> tuple[dict[str, Floats], list[str]]:
    """Make one truth (rows,) a label of what readers say, and say where that is not possible.

    readers : "majority" (the default) is more than half of those who say something, a tie being unknown; "any" is
        any of them
    """
    merged, notes = {}, []
    for label in dict.fromkeys(label for voice in voices for label in voice.labels):
        positive, said = np.zeros(rows), np.zeros(rows)
        for voice in voices:
            if (values := voice.labels.get(label)) is not None:
                positive[voice.rows] += values == 1
                said[voice.rows] += ~np.isnan(values)
        found = positive > 0 if readers == "any" else 2 * positive > said
        split = (2 * positive == said) & (said > 0) & (readers != "any")
        merged[label] = np.where((said == 0) | split, np.nan, found)
        if split.any():
            of = "1 row; its" if split.sum() == 1 else f"{split.sum()} rows; their"
            notes.append(f"{label}: readers are split evenly in {of} truth is unknown")
    return merged, notes


def votes(sheet: Sheet, by: str, labels: Sequence[str], nameless: bool = False) -> Votes:
    """Tell readers apart, be they in rows or in columns.

    by : one of `sheet.ids`
    nameless : rows of the same that name no reader are different readers' and may contradict each other

    Raises
    ------
    TableError
        if a cell is no truth, or rows contradict each other
    """
    keys, key = number(sheet.ids[by])
    names, name = number(_readers_of_rows(sheet, key, nameless))
    voter = number_pairs(key, name)
    first = first_rows(voter)
    voices: dict[tuple[int, str], Voice] = {}
    of_name = [np.flatnonzero(name[first] == i) for i in range(len(names))]
    for label in labels:
        for column in sheet.labels[label]:
            values = one_each(sheet.table, column, sheet.table.truths(column), voter)
            in_column = reader_of_column(column)
            for i, chosen in enumerate(of_name):
                said = " ".join(filter(None, (names[i], in_column)))
                voice = voices.setdefault((i, in_column), Voice(said, key[first[chosen]], {}))
                if label in voice.labels:
                    raise TableError(
                        f"{sheet.table.header}: found {column!r} beside another column of the label {label!r}, "
                        "expected one a reader"
                    )
                voice.labels[label] = values[chosen]
    study, patient = _first(sheet.texts("study"), key), _first(sheet.texts("patient"), key)
    return Votes(keys, study, patient, list(voices.values()), list(sheet.table.notes))


def _readers_of_rows(sheet: Sheet, key: Ints, nameless: bool) -> Sequence[str]:
    if "reader" in sheet.roles or not nameless:
        return sheet.texts("reader")
    # The first row of each key is the first reader's, the second one the second's.
    order = np.argsort(key, kind="stable")
    sizes = np.bincount(key)
    place = np.empty(len(key), np.intp)
    place[order] = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return [f"row {i + 1}" for i in place]


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
    version = sheet.texts("version")[rows[0]]
    return Values(keys, _first(study, key), _first(patient, key), highest, notes, thresholds, version)


def _models(sheet: Sheet, there: NDArray[np.bool_]) -> dict[str, Ints]:
    """Rows of each model, of those that are there; its version is added where a model comes in several."""
    rows = np.flatnonzero(there)
    names, versions = ([texts[row] for row in rows] for texts in map(sheet.texts, ("model", "version")))
    pairs = list(zip(names, versions, strict=True))
    count = Counter(name for name, _ in set(pairs))
    if max(count.values(), default=0) > 1:
        names = [f"{name} {version}" if count[name] > 1 else name for name, version in pairs]
    models, of_row = number(names)
    return {model or NAMELESS: rows[of_row == i] for i, model in enumerate(models)}


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
                found[label] = math.nan
            if not math.isfinite(found[label]):
                raise sheet.table.wrong(rows[:1].tolist(), column, "a threshold")
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
