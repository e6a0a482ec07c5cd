"""Which labels a table has, and which of them it shares with another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np

from ichscope.labels import LABELS
from ichscope.tabular.foreign_table import Floats, ForeignTable
from ichscope.tabular.naming import is_measure, label_key, reader_of_column
from ichscope.tabular.table import TableError, truth


def common_labels(truth_table: ForeignTable, predictions: ForeignTable, only: Collection[str] = ()) -> list[str]:
    """Labels that both have, ours first.

    A column of both that is no truth in any row (a category), or is measured (an age, a score), is no label.

    only : names of the labels wanted; all where empty

    Raises
    ------
    TableError
        if there is none, or a wanted one is missing
    """
    both = [label for label in truth_table.labels if label in predictions.labels]
    for name in only:
        for foreign in (truth_table, predictions):
            if label_key(name) not in map(label_key, foreign.labels):
                raise TableError(f"{foreign.table.header}: found no column of the label {name!r}, expected one")
    wanted = [label_key(name) for name in only]
    shared = [label for label in both if (label_key(label) in wanted if wanted else _is_label(label, truth_table))]
    if not shared:
        files = f"{truth_table.table.header}, and {predictions.table.header}"
        raise TableError(f"{files}: found no label that both have, expected columns such as {', '.join(LABELS)}")
    for foreign in (truth_table, predictions):
        for label in shared:
            refuse_doubles(foreign, label, readers=foreign is truth_table)
    return by_place(shared)


def labels_alone(foreign: ForeignTable, read: Callable[[str], Floats], readers: bool) -> tuple[list[str], list[str]]:
    """Labels of a table that has no partner, ours first, and the other columns that are none.

    Columns that are none of ours are labels where every cell can be read as one and some are not empty.

    read : gives the values of a column (rows,), or raises TableError
    readers : whether a label may have several columns
    """
    labels, others = [], []
    for label in foreign.labels:
        if label in LABELS or all(_can_be_read(read, column) for column in foreign.labels[label]):
            refuse_doubles(foreign, label, readers)
            labels.append(label)
        else:
            others.append(label)
    return by_place(labels), others


def _can_be_read(read: Callable[[str], Floats], column: str) -> bool:
    try:
        return not np.isnan(read(column)).all()
    except TableError:
        return False


def by_place(labels: Iterable[str]) -> list[str]:
    """Our labels in our order, then the others in theirs."""
    return sorted(labels, key=lambda label: LABELS.index(label) if label in LABELS else len(LABELS))


def refuse_doubles(foreign: ForeignTable, label: str, readers: bool) -> None:
    """Refuse two columns of one label, unless they are those of several readers."""
    columns = foreign.labels[label]
    if len(columns) > 1 and not (readers and all(reader_of_column(name) for name in columns)):
        names = " and ".join(map(repr, columns[:2]))
        raise TableError(f"{foreign.table.header}: found the columns {names} of the label {label!r}, expected one")


def unshared_labels(truth_table: ForeignTable, predictions: ForeignTable) -> list[str]:
    """Say which labels only one of the two has: a name may be misspelt. Of others than ours the truth's alone are."""
    of_one = [
        (label, foreign.table.file)
        for label in LABELS
        for foreign, other in ((truth_table, predictions), (predictions, truth_table))
        if label in foreign.labels and label not in other.labels
    ]
    unshared = [f"{label}: only {file} has it" for label, file in of_one]
    others = [label for label in truth_table.labels if label not in {*LABELS, *predictions.labels}]
    if others := [label for label in others if _is_label(label, truth_table)]:
        unshared.append(f"only {truth_table.table.file} has {', '.join(others)}")
    return unshared


def _is_label(label: str, foreign: ForeignTable) -> bool:
    if label in LABELS:
        return True
    cells = {str(cell).strip() for column in foreign.labels[label] for cell in foreign.table.columns[column]} - {""}
    are_truths = [truth(cell) is not None for cell in cells]
    # Of scores and volumes some are 0 or 1 by chance; of "Shift over 5 mm" all are.
    return any(are_truths) and (all(are_truths) or not is_measure(label))
