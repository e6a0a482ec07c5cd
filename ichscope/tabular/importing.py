"""Files of truth and of predictions into the store: whole or not at all, and no identifier but as its keyed hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ichscope.labels import LABELS
from ichscope.levels import Level
from ichscope.models.card import file_sha256
from ichscope.results import CSV_COLUMNS
from ichscope.store import ImportedRows, Rater, Store
from ichscope.store.imported_tables import Keys, Kind, as_numbers, as_texts
from ichscope.tabular.annotations import annotations_by_reader
from ichscope.tabular.foreign_table import ForeignTable, first_rows, number, read_predictions, read_truth
from ichscope.tabular.naming import alike
from ichscope.tabular.shared_labels import by_place, labels_alone
from ichscope.tabular.table import TableError, uncollected, whole
from ichscope.tabular.values import predicted
from ichscope.texts import writable

# What `ichscope analyse` writes beside probabilities would pass for them.
_FACTS = {name for name in CSV_COLUMNS if not name.startswith("probability_")}
_BY_PLACE = "study / slice"


@dataclass(frozen=True)
class Imported:
    """What became of a file.

    new : False where the same file had been imported before, in the same way
    rows : studies or slices; `matched` of them are in the store
    raters : readers or models; a reader may have no name
    """

    id: int
    new: bool
    kind: Kind
    name: str
    level: Level
    rows: int
    matched: int
    raters: tuple[str, ...]
    labels: tuple[str, ...]
    notes: tuple[str, ...]


@whole
@uncollected()
def import_truth(
    store: Store,
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    nameless_readers: bool = False,
    name: str = "",
) -> Imported:
    """Import what readers found, in any form that `ichscope evaluate` reads.

    Parameters
    ----------
    columns : their name -> ours, where names differ; "" leaves the column out
    nameless_readers : rows of the same study or slice that name no reader are several readers'; else they must agree
    name : what people shall call it; the file's own by default

    Raises
    ------
    TableError
        if the file cannot be used, with the lines that are wrong; nothing of it is imported then
    StoreError
        if the store cannot be written
    """
    foreign = read_truth(path, columns)
    by = _identity(foreign, columns)
    labels, others = labels_alone(foreign, foreign.table.truths, readers=True)
    _refuse_none(foreign, labels)
    read = annotations_by_reader(foreign, by, labels, nameless_readers)
    raters = [Rater(rater.reader, rater.rows, rater.labels) for rater in read.by_reader]
    if all(np.isnan(values).all() for rater in raters for values in rater.labels.values()):
        raise TableError(f"{foreign.table.file}: found no row with a truth, expected some")
    reading = _reading(foreign, columns) | {"nameless readers": str(nameless_readers)}
    rows = _rows(store, foreign.level, by, read.keys, read.study, read.patient)
    return _write(store, "truth", path, name, rows, raters, reading, [*read.notes, *_left_out(others)])


@whole
@uncollected()
def import_predictions(
    store: Store,
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    level: Level = "study",
    percent: bool = False,
    name: str = "",
) -> Imported:
    """Import the probabilities of any tool: a row a study or slice, or one of each model.

    Parameters
    ----------
    columns, name : as in import_truth
    level : what to take from the JSON of `ichscope analyse`, which holds both; other files have but one
    percent : whether probabilities are from 0 to 100

    Raises
    ------
    TableError, StoreError
        as import_truth
    """
    foreign = read_predictions(path, level, columns, percent)
    by = _identity(foreign, columns)
    foreign = replace(foreign, labels={label: names for label, names in foreign.labels.items() if not _is_fact(label)})
    labels, others = labels_alone(foreign, foreign.table.probabilities, readers=False)
    _refuse_none(foreign, labels)
    models = predicted(foreign, by, labels)
    if not models:
        raise TableError(f"{foreign.table.file}: found no row with a probability, expected some")
    keys, row = number(foreign.ids[by])
    place = {key: i for i, key in enumerate(keys)}
    raters = [
        Rater(
            *(model, np.fromiter(map(place.__getitem__, values.keys), np.intp), values.labels),
            *(values.version, values.thresholds),
        )
        for model, values in models.items()
    ]
    study, patient = ([texts[i] for i in first_rows(row)] for texts in map(foreign.texts, ("study", "patient")))
    rows = _rows(store, foreign.level, by, keys, study, patient)
    notes = dict.fromkeys(note for values in models.values() for note in values.notes)
    reading = _reading(foreign, columns) | ({"percent": str(percent)} if percent else {})
    return _write(store, "predictions", path, name, rows, raters, reading, [*notes, *_left_out(others)])


def _is_fact(label: str) -> bool:
    return label in _FACTS or label.startswith("threshold")


def _identity(foreign: ForeignTable, columns: Mapping[str, str] | None) -> str:
    """By what the rows are known, of the ways that this table offers; series and names of folders are not kept."""
    if unknown := sorted(set((columns or {}).values()) - {""} - foreign.table.columns.keys()):
        raise TableError(f"{foreign.table.header}: found no column to be read as {unknown[0]!r}, expected one")
    by = next(iter(foreign.ids))
    if by not in ("study", "sop", _BY_PLACE):
        raise TableError(f"{foreign.table.header}: found rows by {by}, expected a column 'study' or 'sop'")
    return by


def _refuse_none(foreign: ForeignTable, labels: Sequence[str]) -> None:
    if not labels:
        raise TableError(f"{foreign.table.header}: found no label, expected columns such as {', '.join(LABELS)}")


def _left_out(others: Sequence[str]) -> list[str]:
    return [f"not read as labels: {', '.join(others)}"] if others else []


def _reading(foreign: ForeignTable, columns: Mapping[str, str] | None) -> dict[str, str]:
    return {"level": foreign.level, **{f"column {theirs}": ours for theirs, ours in (columns or {}).items()}}


def _rows(
    store: Store, level: Level, by: str, keys: Sequence[str], study: Sequence[str], patient: Sequence[str]
) -> ImportedRows:
    """Keyed hashes of what the rows are about; `keys` name the studies or slices."""
    patients = _hashed(store.keys.patient, patient)
    if level == "study":
        return ImportedRows.of(_study_keys(store, keys), np.zeros(len(keys), np.uint64), patients)
    studies, names = _study_keys(store, study), keys
    if by == _BY_PLACE:
        # The study's key, so that its UID in one file and its hash in another give the same slice.
        whose = zip(as_texts(studies), study, keys, strict=True)
        names = [f"{key}{slice_.removeprefix(name)}" for key, name, slice_ in whose]
    return ImportedRows.of(studies, _hashed(store.keys.slice, names), patients)


def _study_keys(store: Store, names: Sequence[str]) -> Keys:
    """Keyed hashes of studies: of the name as it is, if anything is known of it, else as anybody would write it."""
    exact, other = _hashed(store.keys.study, names), _hashed(store.keys.study, alike(names))
    known_studies = [
        store.columns.studies().key,
        *(store.imported.rows(table.id).study for table in store.imported.tables()),
    ]
    return np.where(np.isin(exact, np.concatenate(known_studies)), exact, other)


def _hashed(key: Callable[[str], str], texts: Sequence[str]) -> Keys:
    names, name = number(texts)
    return as_numbers(key(text) if text else "" for text in names)[name]


def _write(
    store: Store,
    kind: Kind,
    path: Path,
    name: str,
    rows: ImportedRows,
    raters: Sequence[Rater],
    reading: Mapping[str, str],
    notes: Sequence[str],
) -> Imported:
    level: Literal["study", "slice"] = "slice" if rows.slice.any() else "study"
    shown = writable(name or path.name)
    id, new = store.imported.add(kind, shown, file_sha256(path), level, rows, raters, reading=reading, notes=notes)
    known_keys = store.columns.slice_keys().key if level == "slice" else store.columns.studies().key
    matched = int(np.isin(rows.slice if level == "slice" else rows.study, known_keys).sum())
    labels = by_place(dict.fromkeys(label for rater in raters for label in rater.labels))
    return Imported(
        *(id, new, kind, shown, level, len(rows.study), matched),
        *(tuple(rater.name for rater in raters), tuple(labels), tuple(notes)),
    )
