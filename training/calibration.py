"""From raw logits of patients that did not train to probabilities.

Probabilities are calibrated to the prevalence of the whole, unselected heads among these patients (the collection
with and without bleeds). Positives come from every collection, so that one hospital's kind of bleed does not decide;
negatives are real heads only, for a painted one does not say how often a real head is called a bleed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit

from training.out_of_fold import SYNTHETIC, Predictions

Floats = NDArray[np.float64]
# For "slice" and "study", a slope and an intercept a label: logit -> slope * logit + intercept.
Calibration = dict[str, list[list[float]]]

LEVELS = ("slice", "study")
# Patients of either class that a slope of its own needs, and positive ones that an intercept needs.
_ENOUGH, _ENOUGH_TO_SHIFT = 10, 3
# Bleeds of thirty patients show a collection's ways; more are no reason to suit it better than the others.
_MOST_PATIENTS = 30
# A head that is wrong on a few patients must not call the least suspicious slices bleeds.
_LEAST_SLOPE = 0.05


@dataclass(frozen=True, eq=False)
class Cases:
    """Rows of one level and label that calibration and operating points use.

    x : (n,) logits; truth : (n,) bool; weight : (n,), of positives and of negatives 1 in all
    row : (n,) their places among the rows that were given; patients : of the negatives and of the positives
    prevalence : of the whole, unselected heads
    """

    x: Floats
    truth: NDArray[np.bool_]
    weight: Floats
    row: NDArray[np.int64]
    patients: tuple[int, int]
    prevalence: float


def of_level(some: Predictions, level: str) -> NDArray[np.bool_]:
    """(n,) rows to calibrate and choose thresholds of a level on.

    The verdict on a picture is judged as a study's; it only counts here where no whole studies of both classes are.
    """
    mine = some.level == level
    if level != "study" or {0.0, 1.0} <= set(some.truth[mine & (some.source != SYNTHETIC), 0].tolist()):
        return np.asarray(mine)
    return np.asarray(mine | (some.level == "picture"))


def cases(some: Predictions, label: int) -> Cases:
    """Choose and weigh the rows of one level for a label (a column of the predictions).

    Within a class a collection weighs as its patients, up to _MOST_PATIENTS: a large one does not rule.
    """
    truth, real = some.truth[:, label], some.source != SYNTHETIC
    row = np.flatnonzero((truth == 1) | ((truth == 0) & real))
    source, patient, positive = some.source[row], some.patient[row], truth[row] == 1
    weight = np.zeros(len(row))
    for chosen in (positive, ~positive):
        for collection in np.unique(source[chosen]):
            mine = chosen & (source == collection)
            weight[mine] = min(len(np.unique(patient[mine])), _MOST_PATIENTS) / np.count_nonzero(mine)
        weight[chosen] /= weight[chosen].sum() or 1.0
    return Cases(
        some.logit[row, label],
        positive,
        weight,
        row,
        (len(np.unique(patient[~positive])), len(np.unique(patient[positive]))),
        _prevalence(some, label),
    )


def _prevalence(some: Predictions, label: int) -> float:
    """Share of positives in real collections that have heads with and without any bleed, by the rule of succession."""
    positives, known = 1, 2
    for source in np.unique(some.source[some.source != SYNTHETIC]):
        mine = some.source == source
        if {0.0, 1.0} <= set(some.truth[mine, 0]):
            positives += int(np.count_nonzero(some.truth[mine, label] == 1))
            known += int(np.count_nonzero(np.isfinite(some.truth[mine, label])))
    return positives / known


def fit(some: Predictions) -> Calibration:
    """Fit slope and intercept of every logit (Platt 1999) on held-out rows, `any` being the first label.

    A label with few patients of a class keeps the slope of `any`, and with hardly any its intercept too.
    """
    calibration: Calibration = {}
    for level in LEVELS:
        rows: list[list[float]] = []
        for label in range(len(some.labels)):
            chosen = cases(some.where(of_level(some, level)), label)
            if min(chosen.patients) >= _ENOUGH or (label == 0 and min(chosen.patients) > 0):
                rows.append(_platt(chosen))
            elif min(chosen.patients) >= _ENOUGH_TO_SHIFT:
                rows.append([rows[0][0], _intercept(chosen, rows[0][0])])
            else:
                rows.append(list(rows[0]) if rows else [1.0, 0.0])
        calibration[level] = rows
    return calibration


def _targets(chosen: Cases) -> tuple[Floats, Floats]:
    """Targets a little inside 0 and 1, as Platt has them, so that classes that can be parted get no endless slope."""
    positives = np.count_nonzero(chosen.truth)
    target = np.where(chosen.truth, (positives + 1) / (positives + 2), 1 / (len(chosen.truth) - positives + 2))
    return target, chosen.weight * np.where(chosen.truth, chosen.prevalence, 1 - chosen.prevalence)


def _platt(chosen: Cases) -> list[float]:
    target, weight = _targets(chosen)

    def loss(numbers: Floats) -> tuple[float, Floats]:
        z = numbers[0] * chosen.x + numbers[1]
        gap = weight * (expit(z) - target)
        return float(weight @ (np.logaddexp(0, z) - target * z)), np.array([gap @ chosen.x, gap.sum()])

    slope, intercept = minimize(loss, [1.0, 0.0], jac=True, method="BFGS").x
    if slope < _LEAST_SLOPE:
        return [_LEAST_SLOPE, _intercept(chosen, _LEAST_SLOPE)]
    return [float(slope), float(intercept)]


def _intercept(chosen: Cases, slope: float) -> float:
    target, weight = _targets(chosen)
    reach = 50 + slope * float(np.abs(chosen.x).max())
    return float(brentq(lambda shift: float(weight @ (expit(slope * chosen.x + shift) - target)), -reach, reach))


def calibrated(some: Predictions, calibration: Mapping[str, Sequence[Sequence[float]]]) -> Floats:
    """(n, labels) calibrated logits; the verdict on a picture is the study's."""
    out = np.empty_like(some.logit)
    for level, rows in calibration.items():
        slope, intercept = np.array(rows).T
        mine = (some.level == "slice") == (level == "slice")
        out[mine] = some.logit[mine] * slope + intercept
    return out
