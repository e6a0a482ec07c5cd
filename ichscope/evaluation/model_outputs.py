"""What models say of rows of truth: results of the store, and imported files of other tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.evaluation.joining import EvaluationError, ReferenceRows, StoredData, find, highest, notes_of, taken
from ichscope.levels import Level, rows_of
from ichscope.metrics import Rule, study_score
from ichscope.store import Adjustment, ImportedRows, Rater, named_in
from ichscope.store.audit_columns import InForce
from ichscope.store.imported_tables import Keys
from ichscope.tabular.foreign_table import Floats, Ints
from ichscope.tabular.values import NAMELESS

# More slices than a study has: a study and an index in one number.
_SLICES = 1 << 20


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What one model says.

    labels : label, as the model spells it -> (rows,), nan where nothing is said
    patient : (rows,) keys of patients as its file names them, 0 where it does not
    """

    name: str
    version: str
    labels: dict[str, Floats]
    patient: Keys
    thresholds: dict[str, float]
    operating_point: str = ""
    sha256: str = ""
    set_by_users: tuple[Adjustment, ...] = ()
    notes: list[str] = field(default_factory=list)


def model_outputs(stored: StoredData, key: str, rows: ReferenceRows, level: Level, rule: Rule | None) -> ModelOutputs:
    """What the model of a source's key says of the rows.

    Raises
    ------
    EvaluationError
        if the source is not there, or cannot give what is asked of it
    """
    kind, _, name = key.partition(":")
    if kind == "import":
        table_id, _, model = name.partition(":")
        return _imported(stored, int(table_id), model, rows, level, rule)
    return _own(stored, *name.rpartition("@")[::2], rows, level, rule)


def _own(
    stored: StoredData, name: str, version: str, rows: ReferenceRows, level: Level, rule: Rule | None
) -> ModelOutputs:
    results = stored.store.columns.results(name, version, all_series=level == "series")
    if not len(results.study):
        raise EvaluationError(f"found no result of {name} {version}, expected one of a study")
    study, labels = results.study, results.probability
    if level == "series" and rule:
        raise EvaluationError("found a rule that makes studies of slices, expected none at the level of series")
    if level == "slice" or rule:
        slices = stored.store.columns.slice_probabilities(name, version)
        study, labels = slices.study, slices.probability
    if not labels:
        raise EvaluationError(f"{name} {version}: found no probabilities of slices, expected some")
    if level == "slice":
        at = find(_code(study, slices.index), _code(taken(stored.studies.id, rows.place, 0), rows.index))
        labels = {label: taken(values, at, np.nan) for label, values in labels.items()}
    elif level == "series":
        at = find(results.series, rows.series)
        labels = {label: taken(values, at, np.nan) for label, values in labels.items() if _says(values)}
    else:
        if rule:
            study, labels = _by_rule(labels, study, rule)
        row = taken(stored.row_of_place(rows), stored.place_of_id(study), -1)
        labels = {label: highest(values, row, len(rows)) for label, values in labels.items() if _says(values)}
    if level == "series":
        matched = find(rows.series, results.series) >= 0
    else:
        matched = taken(stored.row_of_place(rows), stored.place_of_id(results.study), -1) >= 0
    (made, others), notes = results.in_force(matched), []
    # Thresholds are on the model's own word for a study.
    thresholds = made.thresholds if study is results.study else {}
    if others:
        notes = [f"{name} {version}: {others} results were made with other thresholds; the newest ones count"]
    nobody = np.zeros(len(rows), np.uint64)
    history = stored.store.adjustments.history("threshold")
    of_model = (adjustment for adjustment in history if (adjustment.model, adjustment.version) == (name, version))
    users = tuple(named_in(made.operating_point, of_model))
    return ModelOutputs(name, version, labels, nobody, thresholds, made.operating_point, _files(made), users, notes)


def _code(study: Ints, index: Ints) -> Ints:
    """One number for a slice, 0 for none."""
    return np.where(index >= 0, study * _SLICES + index, 0)


def _says(values: Floats) -> bool:
    return not bool(np.isnan(values).all())


def _files(made: InForce) -> str:
    both = (("encoder.onnx", made.encoder_sha256), ("head.onnx", made.head_sha256))
    return ", ".join(f"{file} {sha256}" for file, sha256 in both if sha256)


def _imported(
    stored: StoredData, table_id: int, model: str, rows: ReferenceRows, level: Level, rule: Rule | None
) -> ModelOutputs:
    info, keys = stored.tables[table_id]
    raters = stored.store.imported.raters(table_id, [model])
    if info.kind != "predictions" or not raters:
        raise EvaluationError(f"{info.name}: found no predictions of {model!r}, expected some")
    rater = raters[0]
    if level == "series":
        raise EvaluationError(f"{info.name}: found rows by {info.level}, expected the level '{info.level}'")
    if info.level == "study" and (level == "slice" or rule):
        raise EvaluationError(f"{info.name}: found rows by study, expected slices")
    by, labels = (keys.slice if level == "slice" else keys.study)[rater.rows], rater.labels
    wanted = rows.slice if level == "slice" else rows.study
    notes = notes_of(info)
    if info.level == "slice" and level == "study":
        if rule is None:
            raise EvaluationError(
                f"{info.name}: found rows by slice, expected studies, or a rule to make them of slices"
            )
        by = _studies_of(stored, keys, rater)
        if strangers := int(np.count_nonzero(by == 0)):
            notes.append(f"{info.name}: {rows_of(strangers, 'slice')} without a known study")
        studies, labels = _by_rule(labels, by, rule)
        at = find(studies, wanted)
    else:
        at = find(by, wanted)
    patient = taken(keys.patient[rater.rows], find(by, wanted), 0)
    labels = {label: taken(values, at, np.nan) for label, values in labels.items()}
    name = info.name if model == NAMELESS else model
    return ModelOutputs(
        name, rater.version, labels, patient, {} if rule else rater.thresholds, "", info.sha256, (), notes
    )


def _studies_of(stored: StoredData, keys: ImportedRows, rater: Rater) -> Keys:
    """Keys of the studies of a file's slices, 0 where nothing says whose they are."""
    slices, studies = stored.studies_of_slices
    study = keys.study[rater.rows]
    return np.where(study != 0, study, taken(studies, find(slices, keys.slice[rater.rows]), 0))


def _by_rule(labels: Mapping[str, Floats], study: NDArray[Any], rule: Rule) -> tuple[NDArray[Any], dict[str, Floats]]:
    """Put probabilities of slices (slices,) together to studies; gives studies (n,) and scores (n,)."""
    studies = np.unique(study[study != 0])
    scores = {}
    for label, values in labels.items():
        known = ~np.isnan(values) & (study != 0)
        names, score = study_score(values[known], study[known], rule)
        scores[label] = taken(score, find(names, studies), np.nan)
    return studies, scores
