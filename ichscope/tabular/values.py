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
from ichscope.tabular.foreign_table import Floats, ForeignTable, Ints, first_rows, number, number_pairs, one_each
from ichscope.tabular.naming import reader_of_column
from ichscope.tabular.table import TableError

Readers = Literal["majority", "any"]
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


@dataclass(frozen=True, eq=False)
class Annotation:
    """What one reader says; "" where no reader is named.

    rows : (n,) numbers of the rows that the reader may have said something of, each once
    labels : label -> (n,) 0, 1, or nan where nothing is said
    """

    reader: str
    rows: Ints
    labels: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class AnnotationTable:
    """What all readers say; keys, study and patient as in LabelValues, and one annotation a reader about those rows."""

    keys: list[str]
    study: list[str]
    patient: list[str]
    by_reader: list[Annotation]
    notes: list[str]


def agreed(foreign: ForeignTable, by: str, labels: Sequence[str], readers: Readers | None = None) -> LabelValues:
    """Make one truth of what several readers say, in rows or in columns.

    by : one of `foreign.ids`
    readers : as in agree(). Rows that name no reader and contradict each other are refused unless this is given.

    Raises
    ------
    TableError
        if a cell is no truth, or rows contradict each other
    """
    read = annotations_by_reader(foreign, by, labels, nameless=readers is not None)
    merged, notes = agree(read.by_reader, len(read.keys), readers)
    return LabelValues(read.keys, read.study, read.patient, merged, read.notes + notes)


def agree(
    by_reader: Sequence[Annotation], rows: int, readers: Readers | None = None
) -> tuple[dict[str, Floats], list[str]]:
    """Make one truth (rows,) a label of what readers say, and say where that is not possible.

    readers : "majority" (the default) is more than half of those who say something, a tie being unknown; "any" is
        any of them

    References
    ----------
    Chilamkurthy et al. (2018), "Deep learning algorithms for detection of critical findings in head CT scans",
    Lancet 392: the majority of three readers is the reference standard of CQ500.

    Examples
    --------
    >>> rows = np.arange(3)
    >>> ann = Annotation("Ann", rows, {"any": np.array([1.0, 1.0, 0.0])})
    >>> bob = Annotation("Bob", rows, {"any": np.array([1.0, 0.0, np.nan])})
    >>> truth, notes = agree([ann, bob], 3)
    >>> truth["any"], notes
    (array([ 1., nan,  0.]), ['any: readers are split evenly in 1 row; its truth is unknown'])
    >>> agree([ann, bob], 3, "any")[0]["any"]
    array([1., 1., 0.])
    """
    merged, notes = {}, []
    for label in dict.fromkeys(label for annotation in by_reader for label in annotation.labels):
        positive, known = np.zeros(rows), np.zeros(rows)
        for annotation in by_reader:
            if (values := annotation.labels.get(label)) is not None:
                positive[annotation.rows] += values == 1
                known[annotation.rows] += ~np.isnan(values)
        positive_rows = positive > 0 if readers == "any" else 2 * positive > known
        split = (2 * positive == known) & (known > 0) & (readers != "any")
        merged[label] = np.where((known == 0) | split, np.nan, positive_rows)
        if split.any():
            of = "1 row; its" if split.sum() == 1 else f"{split.sum()} rows; their"
            notes.append(f"{label}: readers are split evenly in {of} truth is unknown")
    return merged, notes


def annotations_by_reader(
    foreign: ForeignTable, by: str, labels: Sequence[str], nameless: bool = False
) -> AnnotationTable:
    """Tell readers apart, be they in rows or in columns.

    by : one of `foreign.ids`
    nameless : rows of the same that name no reader are different readers' and may contradict each other

    Raises
    ------
    TableError
        if a cell is no truth, or rows contradict each other
    """
    keys, key = number(foreign.ids[by])
    names, name = number(_readers_of_rows(foreign, key, nameless))
    voter = number_pairs(key, name)
    first = first_rows(voter)
    by_reader: dict[tuple[int, str], Annotation] = {}
    of_name = [np.flatnonzero(name[first] == i) for i in range(len(names))]
    for label in labels:
        for column in foreign.labels[label]:
            values = one_each(foreign.table, column, foreign.table.truths(column), voter)
            in_column = reader_of_column(column)
            for i, chosen in enumerate(of_name):
                reader = " ".join(filter(None, (names[i], in_column)))
                annotation = by_reader.setdefault((i, in_column), Annotation(reader, key[first[chosen]], {}))
                if label in annotation.labels:
                    raise TableError(
                        f"{foreign.table.header}: found {column!r} beside another column of the label {label!r}, "
                        "expected one a reader"
                    )
                annotation.labels[label] = values[chosen]
    study, patient = _first(foreign.texts("study"), key), _first(foreign.texts("patient"), key)
    return AnnotationTable(keys, study, patient, list(by_reader.values()), list(foreign.table.notes))


def _readers_of_rows(foreign: ForeignTable, key: Ints, nameless: bool) -> Sequence[str]:
    if "reader" in foreign.roles or not nameless:
        return foreign.texts("reader")
    # The first row of each key is the first reader's, the second one the second's.
    order = np.argsort(key, kind="stable")
    sizes = np.bincount(key)
    place = np.empty(len(key), np.intp)
    place[order] = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return [f"row {i + 1}" for i in place]


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
    return LabelValues(keys, _first(study, key), _first(patient, key), highest, notes, thresholds, version)


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


def _first(texts: list[str], key: Ints) -> list[str]:
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
    return LabelValues(studies, studies, _first(slices.patient, of_slice), labels, slices.notes, slices.thresholds)
