"""What readers say, told apart and brought to agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ichscope.levels import rows_of
from ichscope.tabular.foreign_table import Floats, ForeignTable, Ints, first_rows, number, number_pairs, one_each
from ichscope.tabular.naming import reader_of_column
from ichscope.tabular.table import TableError
from ichscope.tabular.values import LabelValues, first_texts

Readers = Literal["majority", "any"]


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
    study, patient = first_texts(foreign.texts("study"), key), first_texts(foreign.texts("patient"), key)
    notes = [*foreign.table.notes, *_notes_of_nameless(foreign, names, len(keys))]
    return AnnotationTable(keys, study, patient, list(by_reader.values()), notes)


def _notes_of_nameless(foreign: ForeignTable, readers: Sequence[str], keys: int) -> list[str]:
    """Say how many rows were taken as of the same: they may be of several studies that lost their names."""
    if "reader" in foreign.roles or foreign.rows == keys:
        return []
    if len(readers) < 2:
        repeated = foreign.rows - keys
        return [
            f"{foreign.table.file}: {repeated:,} {'row repeats' if repeated == 1 else 'rows repeat'} an earlier one"
        ]
    of = rows_of(keys, foreign.level)
    return [f"{foreign.table.file}: {foreign.rows} rows name no reader; taken as {of} of up to {len(readers)} readers"]


def _readers_of_rows(foreign: ForeignTable, key: Ints, nameless: bool) -> Sequence[str]:
    if "reader" in foreign.roles or not nameless:
        return foreign.texts("reader")
    # The first row of each key is the first reader's, the second one the second's.
    order = np.argsort(key, kind="stable")
    sizes = np.bincount(key)
    place = np.empty(len(key), np.intp)
    place[order] = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return [f"row {i + 1}" for i in place]
