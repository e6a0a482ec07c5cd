"""What the runs of a model said about patients that they had not seen: `predictions.csv` of every fold, as arrays."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.study import hospital_of

PREDICTIONS_FILE = "predictions.csv"
# How a run was made, beside them.
CONFIG_FILE = "config.json"
# The fold of a run that trained on all patients.
FINAL = -1
# Real heads with a painted bleed: never counted as real bleeds.
SYNTHETIC = "implanted"
# Collections that only measure, unless they are all there is.
_MEASURING = ("rsna-sample", "pictures-testing")
# The head's verdict on less than this many slices is one on pictures, not on a study.
_FEWEST_SLICES = 5


@dataclass(frozen=True, eq=False)
class Predictions:
    """Rows of predictions.

    source, patient, study : (n,) str
    level : (n,) str, "slice", "study", or "picture" for the study verdict on a few slices
    place : (n,) int64, slice of the study, -1 where the row is not a slice's
    fold : (n,) int64, the run that predicted the row
    truth, logit : (n, labels) float64, truth nan where unknown; logits are not calibrated
    """

    labels: tuple[str, ...]
    source: NDArray[np.str_]
    patient: NDArray[np.str_]
    study: NDArray[np.str_]
    level: NDArray[np.str_]
    place: NDArray[np.int64]
    fold: NDArray[np.int64]
    truth: NDArray[np.float64]
    logit: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.source)

    def where(self, keep: NDArray[Any]) -> Predictions:
        """Keep some rows, by a mask or by their numbers."""
        return replace(self, **{name: getattr(self, name)[keep] for name in _ARRAYS})

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """(n,) rows of collections that are trained on, from the run that did not see the patient."""
        return np.asarray(~np.isin(self.source, self.elsewhere) & (self.fold != FINAL))

    @cached_property
    def elsewhere(self) -> tuple[str, ...]:
        """Collections that no run trains on: several runs, or the final one, predicted most of their patients."""
        sources = np.unique(self.source).tolist()
        found = [source for source in sources if self._is_elsewhere(self.source == source)]
        if len(found) < len(sources) and len(np.unique(self.fold)) == 1:
            found += [source for source in sources if source in _MEASURING]
        return tuple(found)

    def _is_elsewhere(self, mine: NDArray[np.bool_]) -> bool:
        if (self.fold[mine] == FINAL).any():
            return True
        # One patient whom two folds predict is a leak, most of them are a collection that all folds predict.
        names, number = np.unique(self.patient[mine], return_inverse=True)
        pairs = np.unique(np.stack([number, self.fold[mine]]), axis=1)
        return bool(2 * np.count_nonzero(np.bincount(pairs[0]) > 1) > len(names))

    @property
    def hospital(self) -> NDArray[np.str_]:
        """(n,) the collection that the patient is of, which several sources may be drawn from."""
        names, number = np.unique(self.patient, return_inverse=True)
        return np.array([hospital_of(name) for name in names.tolist()], np.str_)[number]

    @property
    def folds(self) -> list[int]:
        """Folds that predicted something."""
        return [int(fold) for fold in np.unique(self.fold) if fold != FINAL]


_ARRAYS = tuple(field.name for field in fields(Predictions) if field.name != "labels")


def read_runs(folder: Path) -> Predictions:
    """Read `fold-*/predictions.csv` and, if there, `final/predictions.csv` below a model's runs.

    Raises
    ------
    FileNotFoundError, ValueError
        if there is none, or one is not what training writes
    """
    paths = {int(path.parent.name[5:]): path for path in sorted(folder.glob(f"fold-[0-9]*/{PREDICTIONS_FILE}"))}
    if not paths:
        raise FileNotFoundError(f"{folder}: expected fold-0/{PREDICTIONS_FILE} and so on, found none")
    if (final := folder / "final" / PREDICTIONS_FILE).is_file():
        paths[FINAL] = final
    parts = [read(path, fold) for fold, path in paths.items()]
    if len({part.labels for part in parts}) > 1:
        raise ValueError(f"{folder}: expected runs with the same labels, found {sorted({p.labels for p in parts})}")
    return Predictions(
        parts[0].labels, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    )


def read(path: Path, fold: int) -> Predictions:
    """Read one run's predictions.csv.

    Raises
    ------
    ValueError
        if a column is missing or a value is not a number; the message names file and line
    """
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        header = list(table.fieldnames or [])
        rows = list(table)
    labels = tuple(name.removeprefix("logit ") for name in header if name.startswith("logit "))
    needed = ["source", "patient", "study", "slice", "logit any", *(f"truth {label}" for label in labels)]
    if missing := [name for name in needed if name not in header]:
        raise ValueError(f"{path}: expected a column {missing[0]!r}, found {', '.join(header) or 'none'}")
    numbers = np.array([_numbers(row, labels, path, line) for line, row in enumerate(rows, 2)])
    numbers = numbers.reshape(len(rows), 1 + 2 * len(labels))
    source, patient, study = (np.array([row[name] for row in rows], np.str_) for name in needed[:3])
    place = numbers[:, 0].astype(np.int64)
    return Predictions(
        labels,
        source,
        patient,
        study,
        _levels(study, place),
        place,
        np.full(len(rows), fold, np.int64),
        numbers[:, 1 : 1 + len(labels)],
        numbers[:, 1 + len(labels) :],
    )


def _numbers(row: dict[str, str], labels: Sequence[str], path: Path, line: int) -> list[float]:
    """Slice (-1 for a whole study), truths, logits."""
    try:
        truth = [float(row[f"truth {label}"] or "nan") for label in labels]
        return [int(row["slice"] or -1), *truth, *(float(row[f"logit {label}"]) for label in labels)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}, line {line}: {error}") from None


def _levels(study: NDArray[np.str_], place: NDArray[np.int64]) -> NDArray[np.str_]:
    names, number = np.unique(study, return_inverse=True)
    slices = np.bincount(number[place >= 0], minlength=len(names))[number]
    return np.where(place >= 0, "slice", np.where(slices < _FEWEST_SLICES, "picture", "study"))
