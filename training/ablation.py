"""What each part of the training is worth: runs without it beside the whole, fold by fold on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.metrics import roc_auc
from training.bootstrap import draw, interval, ranking
from training.calibration import LEVELS
from training.estimates import value_of
from training.out_of_fold import FINAL, PREDICTIONS_FILE, SYNTHETIC, Predictions, read_runs

WITHOUT = "without-"
_Rows = NDArray[np.intp]


def ablations(folder: Path, whole: Predictions) -> list[dict[str, Any]]:
    """Compare every `without-*` below the runs of a model with the runs themselves.

    AUC of raw logits within a fold, the mean over folds (and subtypes); their difference with its 95 % interval, from
    the same patients drawn for both. Above 0, the part that was left out helps.
    """
    compared = []
    for path, runs in runs_without(folder):
        a, b = _same_rows(whole, runs)
        measures: dict[str, list[tuple[_Rows, int]]] = {}
        for name, rows, label in _cells(a):
            measures.setdefault(name, []).append((rows, label))
        compared.append(
            {
                "without": path.name.removeprefix(WITHOUT),
                "folds": a.folds,
                "auc": {name: _difference(a, b, cells) for name, cells in measures.items()},
            }
        )
    return compared


def runs_without(folder: Path) -> Iterator[tuple[Path, Predictions]]:
    """Folders below the runs of a model that were trained without something, and what their runs said."""
    # One that is still training has nothing to say yet.
    for path in sorted({table.parents[1] for table in folder.glob(f"{WITHOUT}*/fold-*/{PREDICTIONS_FILE}")}):
        yield path, read_runs(path)


def _same_rows(a: Predictions, b: Predictions) -> tuple[Predictions, Predictions]:
    """Rows that both have from the same fold, in the same order."""
    place_a, place_b = _places(a), _places(b)
    both = [key for key in place_a if key in place_b]
    return a.where(np.array([place_a[key] for key in both], int)), b.where(
        np.array([place_b[key] for key in both], int)
    )


def _places(some: Predictions) -> dict[tuple[int, str, str, int], int]:
    keys = zip(some.fold.tolist(), some.source.tolist(), some.study.tolist(), some.place.tolist(), strict=True)
    return {key: i for i, key in enumerate(keys) if key[0] != FINAL}


def _cells(some: Predictions) -> Iterator[tuple[str, _Rows, int]]:
    """Name of a measure, rows of one fold and label; a measure is the mean over its cells."""
    for fold, level in product(some.folds, LEVELS):
        here = (some.fold == fold) & (some.level == level)
        sources = {str(source): here & (some.source == source) for source in np.unique(some.source[here])}
        normal = np.zeros(len(some), bool)
        for source, mine in sources.items():
            if source != SYNTHETIC and _both_classes(some, mine, 0):
                normal |= mine & (some.truth[:, 0] == 0)
        for source, mine in sources.items():
            bleeding = mine & (some.truth[:, 0] == 1)
            if _both_classes(some, mine, 0):
                yield f"{source} {level} any", np.flatnonzero(mine & np.isfinite(some.truth[:, 0])), 0
            elif level == "study" and source not in some.elsewhere and bleeding.any() and normal.any():
                yield f"{source} study any, against normal heads", np.flatnonzero(bleeding | normal), 0
            for i in range(1, len(some.labels)):
                if source != SYNTHETIC and _both_classes(some, mine, i):
                    yield f"{source} {level} subtypes", np.flatnonzero(mine & np.isfinite(some.truth[:, i])), i


def _both_classes(some: Predictions, mine: NDArray[np.bool_], label: int) -> bool:
    return {0.0, 1.0} <= set(some.truth[mine, label].tolist())


def _difference(a: Predictions, b: Predictions, cells: list[tuple[_Rows, int]]) -> dict[str, Any]:
    values, drawn = [], []
    for rows, label in cells:
        truth = a.truth[rows, label] == 1
        scores = a.logit[rows, label], b.logit[rows, label]
        values.append([value_of(roc_auc(truth, score)) for score in scores])
        # Folds have other patients, so other draws; collections that all folds predict have the same.
        held_out = bool(a.held_out[rows[0]])
        number, weight = draw(a.patient[rows], seed=int(a.fold[rows[0]]) if held_out else 0)
        auc = [ranking(truth, score, number, weight)[0] for score in scores]
        drawn.append(auc[0] - auc[1])
    whole, without = np.mean(values, axis=0)
    return {
        "with": round(float(whole), 3),
        "without": round(float(without), 3),
        "difference": round(float(whole - without), 3),
        "difference_95": interval(drawn),
    }
