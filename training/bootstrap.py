"""Intervals from a bootstrap over patients, all draws at once: a draw is a weight a patient, not a list of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Floats = NDArray[np.float64]

DRAWS = 1000
ECE_BINS = 10
# Weights of rows that are held in memory at once.
_MOST_CELLS = 2_000_000
_SMALLEST = 1e-15


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Rows with known truth.

    truth : (n,) bool; probability : (n,); patient : (n,) names
    score : (n,), what AUC and average precision order the rows by
    called : by name of a threshold, (n,) bool
    """

    truth: NDArray[np.bool_]
    probability: Floats
    score: Floats
    called: Mapping[str, NDArray[np.bool_]]
    patient: NDArray[np.str_]


def replicates(rows: ScoredRows) -> dict[str, Floats]:
    """(DRAWS,) of each metric, nan where a draw cannot give it.

    Shares at a threshold are not among them: where all rows agree, every draw does.
    """
    return weighted(rows, *draw(rows.patient))


def draw(patient: NDArray[np.str_], seed: int = 0) -> tuple[NDArray[np.intp], Floats]:
    """Number the patients of rows (n,), and draw (DRAWS, patients) how often each counts.

    The same patients and seed give the same draws, so that two models can be compared draw by draw.
    """
    names, number = np.unique(patient, return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    return number, drawn.astype(np.float64)


def weighted(rows: ScoredRows, patient: NDArray[np.intp], weight: Floats) -> dict[str, Floats]:
    """(draws,) of each metric for patient weights (draws, patients); `patient` (n,) numbers them."""
    auc, ap = ranking(rows.truth, rows.score, patient, weight)
    return {"auc": auc, "ap": ap} | _means(rows, patient, weight)


def ranking(truth: NDArray[np.bool_], score: Floats, patient: NDArray[np.intp], weight: Floats) -> Floats:
    """(2, draws) ROC AUC and average precision."""
    order = np.argsort(-score, kind="stable")
    steps = np.flatnonzero(np.diff(score[order], prepend=np.inf))
    positive, patient = truth[order].astype(np.float64), patient[order]
    at_once = max(1, _MOST_CELLS // len(order))
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [_areas(weight[at : at + at_once, patient], positive, steps) for at in range(0, len(weight), at_once)]
    return np.concatenate(parts, axis=1)


def _areas(weight: Floats, truth: Floats, steps: NDArray[np.intp]) -> Floats:
    """Columns of `weight` from the highest score down; `steps`, where a new score begins."""
    positive = np.add.reduceat(weight * truth, steps, axis=1)
    negative = np.add.reduceat(weight * (1 - truth), steps, axis=1)
    true_positives, false_positives = positive.cumsum(axis=1), negative.cumsum(axis=1)
    positives = true_positives[:, -1]
    auc = ((true_positives - positive / 2) * negative).sum(axis=1) / (positives * false_positives[:, -1])
    # A step that no drawn patient has adds nothing, whatever its precision.
    ap = (positive * true_positives / np.maximum(true_positives + false_positives, 1e-9)).sum(axis=1) / positives
    return np.stack([auc, ap])


def _means(rows: ScoredRows, patient: NDArray[np.intp], weight: Floats) -> dict[str, Floats]:
    """Metrics that are shares of sums over patients."""

    def total(values: NDArray[np.generic]) -> Floats:
        return np.asarray(weight @ np.bincount(patient, values, weight.shape[1]))

    p, truth = rows.probability, rows.truth.astype(np.float64)
    safe = np.clip(p, _SMALLEST, 1 - _SMALLEST)
    count = total(np.ones(len(p)))
    bins = np.searchsorted(np.linspace(0, 1, ECE_BINS + 1)[1:-1], p, side="right")
    return {
        "brier": total((p - truth) ** 2) / count,
        "log_loss": -total(xlogy(truth, safe) + xlogy(1 - truth, 1 - safe)) / count,
        "ece": sum(np.abs(total((p - truth) * (bins == number))) for number in np.unique(bins)) / count,
    }


def interval(values: Sequence[Floats]) -> list[float] | None:
    """95 % percentile interval of the mean of metrics (draws,) that were drawn together; None if half the draws failed.

    A draw without a positive of some metric leaves that metric out.
    """
    finite = np.isfinite(values)
    mean = np.where(finite, values, 0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    mean = mean[finite.any(axis=0)]
    if 2 * len(mean) < len(values[0]):
        return None
    low, high = np.percentile(mean, [2.5, 97.5])
    return [round(float(low), 4), round(float(high), 4)]
