"""Calibration, operating points and the figures of the model card, on patients that did not train."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from training.sequences import EmbeddedStudy, study_labels

Calibration = dict[str, list[list[float]]]

_LEVELS = ("slice", "study")
# With fewer positives or negatives than this, a label borrows the calibration of `any`.
_ENOUGH, _ENOUGH_WITHOUT = 8, 5
_BOOTSTRAPS = 1000


def slice_auc(truth: NDArray[np.float32], score: NDArray[np.float32]) -> float:
    """ROC AUC over known labels; nan where one class is missing."""
    known = np.isfinite(truth)
    if len(np.unique(truth[known])) < 2:
        return float("nan")
    return float(roc_auc_score(truth[known], score[known]))


def predict(
    head: keras.Model, studies: Sequence[EmbeddedStudy], columns: Sequence[int]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]:
    """Logits (n, labels), truth (n, labels) with nan, and patient (n,), for "slice" and "study"."""
    logits: dict[str, list[NDArray[np.float32]]] = {level: [] for level in _LEVELS}
    for study in studies:
        out = head(study.features[None], training=False)
        for level in _LEVELS:
            logits[level].append(np.asarray(out[level]).reshape(-1, len(columns)))
    truths = {
        "slice": [study.labels[:, columns] for study in studies],
        "study": [study_labels(study.labels[None][:, :, columns]) for study in studies],
    }
    patient = np.unique([study.patient for study in studies], return_inverse=True)[1]
    return {
        level: (
            np.concatenate(logits[level]),
            np.concatenate(truths[level]),
            np.repeat(patient, [len(one) for one in logits[level]]),
        )
        for level in _LEVELS
    }


def calibrate(
    head: keras.Model,
    real: Sequence[EmbeddedStudy],
    implants: Sequence[EmbeddedStudy],
    columns: Sequence[int],
) -> Calibration:
    """Fit slope and intercept of every logit (Platt 1999) on validation patients.

    Implants join the few real positives, weighted so that positives keep their real share.
    """
    of_real, of_implants = predict(head, real, columns), predict(head, implants, columns)
    calibration: Calibration = {}
    for level in _LEVELS:
        rows: list[list[float]] = []
        for i in range(len(columns)):
            row = _platt(
                *(of[level][0][:, i] for of in (of_real, of_implants)),
                *(of[level][1][:, i] for of in (of_real, of_implants)),
            )
            rows.append(row or (rows[0] if rows else [1.0, 0.0]))
        calibration[level] = rows
    return calibration


def _platt(
    real: NDArray[np.float32], implants: NDArray[np.float32], truth: NDArray[np.float32], drawn: NDArray[np.float32]
) -> list[float] | None:
    extra = drawn == 1
    known = np.isfinite(truth)
    x = np.concatenate([real[known], implants[extra]])
    y = np.concatenate([truth[known], drawn[extra]])
    positives = int((truth[known] == 1).sum())
    if positives < 1 or positives + extra.sum() < _ENOUGH or (y == 0).sum() < _ENOUGH_WITHOUT:
        return None
    weight = np.where(y == 1, positives / (y == 1).sum(), 1.0)
    model = LogisticRegression(C=10.0).fit(x[:, None], y, sample_weight=weight)
    return [float(max(model.coef_[0, 0], 0.05)), float(model.intercept_[0])]


def operating_points(
    head: keras.Model,
    calibration: Calibration,
    real: Sequence[EmbeddedStudy],
    implants: Sequence[EmbeddedStudy],
    labels: Sequence[str],
    columns: Sequence[int],
) -> dict[str, Any]:
    """Thresholds on the study probability: sensitivity .90, .95 and Youden for `any`, Youden for the others."""
    scores = {}
    parts = [predict(head, studies, columns)["study"] for studies in (real, implants)]
    for i, label in enumerate(labels):
        logit = np.concatenate([part[0][:, i] for part in parts])
        truth = np.concatenate([part[1][:, i] for part in parts])
        known = np.isfinite(truth)
        slope, intercept = calibration["study"][i]
        scores[label] = truth[known], 1 / (1 + np.exp(-(slope * logit[known] + intercept)))
    points = [
        _at_sensitivity("sensitivity 0.90", *scores["any"], 0.90),
        _at_sensitivity("sensitivity 0.95", *scores["any"], 0.95),
        _youden(*scores["any"]),
    ]
    return {"points": points, "thresholds": {label: _youden(*score)["threshold"] for label, score in scores.items()}}


def _at_sensitivity(name: str, truth: NDArray[Any], score: NDArray[Any], wanted: float) -> dict[str, Any]:
    fall_out, sensitivity, thresholds = roc_curve(truth, score, drop_intermediate=False)
    return _point(name, fall_out, sensitivity, thresholds, int(np.argmax(sensitivity >= wanted)))


def _youden(truth: NDArray[Any], score: NDArray[Any]) -> dict[str, Any]:
    if len(np.unique(truth)) < 2:
        return {"name": "Youden", "threshold": 0.5, "sensitivity": float("nan"), "specificity": float("nan")}
    fall_out, sensitivity, thresholds = roc_curve(truth, score, drop_intermediate=False)
    return _point("Youden", fall_out, sensitivity, thresholds, int(np.argmax(sensitivity - fall_out)))


def _point(
    name: str, fall_out: NDArray[Any], sensitivity: NDArray[Any], thresholds: NDArray[Any], at: int
) -> dict[str, Any]:
    # Half way to the next lower score, so that rounding on another machine does not move a study across.
    below = thresholds[at + 1] if at + 1 < len(thresholds) else thresholds[at]
    threshold = (min(thresholds[at], 1.0) + below) / 2
    return {
        "name": name,
        "threshold": float(threshold),
        "sensitivity": round(float(sensitivity[at]), 3),
        "specificity": round(float(1 - fall_out[at]), 3),
    }


def measure(
    head: keras.Model,
    calibration: Calibration,
    studies: Sequence[EmbeddedStudy],
    labels: Sequence[str],
    columns: Sequence[int],
) -> dict[str, Any]:
    """AUC, AP and Brier score per source, level and label, with 95 % intervals from a bootstrap over patients."""
    figures: dict[str, Any] = {}
    for source in sorted({study.source for study in studies}):
        some = [study for study in studies if study.source == source]
        for level, (logits, truth, patient) in predict(head, some, columns).items():
            slope, intercept = np.array(calibration[level]).T
            score = 1 / (1 + np.exp(-(slope * logits + intercept)))
            for i, label in enumerate(labels):
                figures[f"{source} {level} {label}"] = _figures(truth[:, i], score[:, i], patient)
    return figures


def _figures(truth: NDArray[np.float32], score: NDArray[np.float32], patient: NDArray[np.int64]) -> dict[str, Any]:
    known = np.isfinite(truth)
    truth, score, patient = truth[known], score[known], patient[known]
    counts = {"n": len(truth), "positives": int(truth.sum()), "patients": len(np.unique(patient))}
    counts["positive_patients"] = len(np.unique(patient[truth == 1]))
    if len(np.unique(truth)) < 2:
        return {**counts, "auc": None, "why": "only one class"}
    return {
        **counts,
        "auc": round(float(roc_auc_score(truth, score)), 3),
        "auc_95": _bootstrap(truth, score, patient, roc_auc_score),
        "ap": round(float(average_precision_score(truth, score)), 3),
        "brier": round(float(brier_score_loss(truth, score)), 4),
    }


def _bootstrap(
    truth: NDArray[Any], score: NDArray[Any], patient: NDArray[Any], metric: Callable[..., float]
) -> list[float] | None:
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(patient == one) for one in np.unique(patient)]
    values = []
    for _ in range(_BOOTSTRAPS):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if len(np.unique(truth[rows])) == 2:
            values.append(metric(truth[rows], score[rows]))
    if len(values) < _BOOTSTRAPS // 2:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return [round(float(low), 3), round(float(high), 3)]


def summary(measured: Mapping[str, Any]) -> str:
    """One line a figure, for the terminal."""
    return "\n".join(f"{name}: {value}" for name, value in measured.items())
