"""Two files brought together: which row of the truth is which row of the predictions, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.elements import short_hash
from ichscope.levels import OTHER_SERIES, Level
from ichscope.metrics import Rule
from ichscope.tabular.annotations import Readers, agreed
from ichscope.tabular.foreign_table import ALIKE, Floats, ForeignTable, Ints, number, read_predictions, read_truth
from ichscope.tabular.naming import alike, folders_of
from ichscope.tabular.shared_labels import common_labels, unshared_labels
from ichscope.tabular.table import TableError, uncollected
from ichscope.tabular.values import LabelValues, of_studies, predicted

_HASH = "hash of the study's UID"
_NAME_ALIKE = "name, however it is written"
_FOLDER = "folder in the name, however it is written"
_HASH_OF_SERIES = "hash of the series' UID"


@dataclass(frozen=True)
class Reading:
    """How two files are to be understood.

    level : study, series or slice; None is that of the truth
    only : names of labels; empty is all that both files have
    rule : how slices become studies; None is the model's own word for the study
    columns : their name of a column -> ours; "" leaves it out
    percent : whether the predictions are from 0 to 100
    """

    level: Level | None = None
    readers: Readers | None = None
    only: tuple[str, ...] = ()
    rule: Rule | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    percent: bool = False


@dataclass(frozen=True, eq=False)
class MatchedOutput:
    """What one model says of the rows of the truth.

    labels : label -> (truth rows,), nan where it says nothing
    matched : (truth rows,) whether the row has a partner at all
    group : (truth rows,) number of the patient or study that intervals go by
    grouped_by : "patient", "study", or "" where every row is another patient
    without_truth : keys of predictions that have no partner
    """

    labels: dict[str, Floats]
    matched: NDArray[np.bool_]
    group: Ints
    grouped_by: str
    without_truth: list[str]
    thresholds: dict[str, float]
    notes: list[str]


@dataclass(frozen=True, eq=False)
class Pairing:
    """The truth, and each model's word on it; `matched_by` says what rows of both files share."""

    level: Level
    matched_by: str
    truth: LabelValues
    models: dict[str, MatchedOutput]


@uncollected()
def pair(truth_file: Path, predictions_file: Path, reading: Reading) -> Pairing:
    """Read both files and bring their rows together.

    Raises
    ------
    TableError
        if a file cannot be used or the two do not fit
    """
    truth_table = read_truth(truth_file, reading.columns)
    level = reading.level or truth_table.level
    predictions = read_predictions(
        predictions_file, "slice" if reading.rule else level, reading.columns, reading.percent
    ).spelt_like(truth_table)
    if level == "study":
        predictions = predictions.of_studies()
    _refuse_misfits(truth_table, predictions, level, reading)
    labels = common_labels(truth_table, predictions, reading.only)
    if level == "study":
        truth = _truth_of_studies(truth_table, labels, reading, predictions_file)
        way, names_of_truth, models = _match_studies(truth, predictions, labels, reading)
    elif level == "series":
        truth = agreed(truth_table, "series", labels, reading.readers)
        way, names_of_truth = _match_series(truth, predictions)
        models = predicted(predictions, "series", labels)
    else:
        way = _best({way: (ids, predictions.ids.get(way, [])) for way, ids in truth_table.ids.items()})
        truth, models = agreed(truth_table, way, labels, reading.readers), predicted(predictions, way, labels)
        names_of_truth = truth.keys
    truth.notes.extend(unshared_labels(truth_table, predictions))
    made = _pairing(level, way, truth, names_of_truth, models)
    if not any(output.matched.any() for output in made.models.values()):
        raise TableError(_strangers(level, truth_table, truth, predictions, models))
    return made


def _match_studies(
    truth: LabelValues, predictions: ForeignTable, labels: Sequence[str], reading: Reading
) -> tuple[str, Sequence[str], dict[str, LabelValues]]:
    """By what studies are matched, the truth's keys (rows,) as the predictions write them, and what each model says."""
    ids = {"study": predictions.texts("study")} if reading.rule else predictions.ids
    spelt = alike(truth.keys)
    ways = {way: (spelt if way == ALIKE else truth.keys, theirs) for way, theirs in ids.items()}
    # ICHScope's own results name a study by the hash of its UID, and by the folder in which it lay.
    ways[_HASH] = ([short_hash(key) for key in truth.keys], predictions.texts("study"))
    if "name" in predictions.roles:
        names = predictions.texts("name")
        ways |= {_NAME_ALIKE: (spelt, alike(names)), _FOLDER: (spelt, folders_of(names, spelt))}
    way = _best(ways)
    return way, ways[way][0], _predicted_of_studies(predictions.with_studies(ways[way][1]), labels, reading)


def _match_series(truth: LabelValues, predictions: ForeignTable) -> tuple[str, Sequence[str]]:
    """By what series are matched, and the truth's keys (rows,) as the predictions write them."""
    theirs = predictions.texts("series")
    ways = {"series": (truth.keys, theirs), _HASH_OF_SERIES: ([short_hash(key) for key in truth.keys], theirs)}
    way = _best(ways)
    return way, ways[way][0]


def _strangers(
    level: Level,
    truth_table: ForeignTable,
    truth: LabelValues,
    predictions: ForeignTable,
    models: Mapping[str, LabelValues],
) -> str:
    """Say that no row has a partner, with the first name of either file, which is often written otherwise."""
    keys = [key for values in models.values() for key in values.keys]
    ours, theirs = (f" (first: {names[0]!r})" if names else "" for names in (truth.keys, keys))
    return (
        f"{truth_table.table.file} and {predictions.table.file}: found {len(truth.keys)} rows of truth{ours} "
        f"and {len(keys)} of predictions{theirs}, none of the same {level}, expected some"
    )


def _refuse_misfits(truth: ForeignTable, predictions: ForeignTable, level: Level, reading: Reading) -> None:
    header = predictions.table.header
    if unknown := sorted(set(reading.columns.values()) - {"", *truth.table.columns, *predictions.table.columns}):
        raise TableError(
            f"{truth.table.header}, and {header}: found no column to be read as {unknown[0]!r}, expected one"
        )
    for foreign in (truth, predictions):
        if level == "slice" and foreign.level != "slice":
            raise TableError(
                f"{foreign.table.header}: found a row a {foreign.level}, expected a row a slice (a column 'sop')"
            )
        if level == "series":
            _refuse_other_than_series(foreign, reading)
    if level == "study" and truth.level == "series":
        raise TableError(f"{truth.table.header}: found a row a series, expected a row a study (a column 'study')")
    if level == "study" and predictions.level == "slice" and not reading.rule:
        raise TableError(f"{header}: found a row a slice, expected a row a study, or the rule to make one of slices")
    if reading.rule and predictions.level != "slice":
        raise TableError(f"{header}: found a row a {predictions.level}, expected slices for the rule {reading.rule!r}")


def _refuse_other_than_series(foreign: ForeignTable, reading: Reading) -> None:
    if reading.rule:
        raise TableError(f"found the rule {reading.rule!r} at the level 'series', expected it at the level 'study'")
    if foreign.level == "slice":
        raise TableError(f"{foreign.table.header}: found a row a slice, expected a row a series (a column 'series')")
    foreign.refuse_nameless_series()


def _best(ways: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> str:
    """By which of their names most rows of both files are found; of equals, the first."""
    if len(ways) == 1:
        return next(iter(ways))
    return max(ways, key=lambda way: len(set(ways[way][0]) & set(ways[way][1])))


def _truth_of_studies(
    foreign: ForeignTable, labels: Sequence[str], reading: Reading, predictions_file: Path
) -> LabelValues:
    """Truth by study; that of slices is put together, with the predictions saying whose slices they are if need be."""
    if foreign.level != "slice":
        return agreed(foreign, "study", labels, reading.readers)
    slices = agreed(foreign, next(iter(foreign.ids)), labels, reading.readers)
    if "study" in foreign.roles:
        return of_studies(slices)
    known = read_predictions(predictions_file, "slice", reading.columns)
    row = {key: i for i, key in enumerate(slices.keys)}
    # Of a series that does not speak for its study only those slices count that the truth knows.
    study = {
        sop: of_study
        for sop, of_study, role in zip(known.ids.get("sop", []), known.texts("study"), known.texts("role"), strict=True)
        if role != OTHER_SERIES or sop in row
    }
    # A slice that the truth does not know leaves its study unknown, unless another one bleeds.
    place = np.array([row.get(sop, len(row)) for sop in study], np.intp)
    labels_of = {label: np.append(values, np.nan)[place] for label, values in slices.labels.items()}
    strangers = len(row) - len(row.keys() & study.keys())
    notes = [f"{strangers} slices of {foreign.table.file} belong to no study with predictions"] if strangers else []
    patient = [[*slices.patient, ""][i] for i in place]
    return of_studies(LabelValues(list(study), list(study.values()), patient, labels_of, slices.notes + notes))


def _predicted_of_studies(foreign: ForeignTable, labels: Sequence[str], reading: Reading) -> dict[str, LabelValues]:
    if reading.rule is None:
        return predicted(foreign, "study", labels)
    slices = predicted(foreign, next(iter(foreign.ids)), labels)
    return {name: of_studies(values, reading.rule) for name, values in slices.items()}


def _pairing(
    level: Level, way: str, truth: LabelValues, names_of_truth: Sequence[str], models: Mapping[str, LabelValues]
) -> Pairing:
    """Find partners; `names_of_truth` are the truth's keys as the predictions say them."""
    partners = {name: _partners(level, truth, names_of_truth, values) for name, values in models.items()}
    return Pairing(level, way, truth, partners)


def _partners(level: Level, truth: LabelValues, names_of_truth: Sequence[str], values: LabelValues) -> MatchedOutput:
    place = {key: i for i, key in enumerate(values.keys)}
    row = np.array([place.get(key, -1) for key in names_of_truth], np.intp)
    keys_of_truth = set(names_of_truth)
    group, grouped_by = _groups(level, truth, values, row)
    return MatchedOutput(
        labels={label: np.append(column, np.nan)[row] for label, column in values.labels.items()},
        matched=row >= 0,
        group=group,
        grouped_by=grouped_by,
        without_truth=[key for key in values.keys if key not in keys_of_truth],
        thresholds=values.thresholds,
        notes=values.notes,
    )


def _groups(level: Level, truth: LabelValues, values: LabelValues, row: Ints) -> tuple[Ints, str]:
    """Whose row it is: the patient's, as either file says, else for series and slices the study's, else its own."""
    names: list[Any] = [""] * len(row)
    grouped_by = ""
    for role in ("patient", *(["study"] if level != "study" else [])):
        theirs, ours = getattr(values, role), getattr(truth, role)
        names_of_role = [(theirs[there] if there >= 0 else "") or own for there, own in zip(row, ours, strict=True)]
        if all(names_of_role) and not grouped_by:
            return number(names_of_role)[1], role
        if any(names_of_role):
            grouped_by = grouped_by or role
            # With its role: a study may be called as a patient is.
            names = [name or (text and (role, text)) for name, text in zip(names, names_of_role, strict=True)]
    return number([name or key for name, key in zip(names, truth.keys, strict=True)])[1], grouped_by
