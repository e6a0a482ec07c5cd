"""From raw logits of patients that did not train to probabilities and operating points.

Probabilities are calibrated to the prevalence of the whole, unselected heads among these patients (the collection
with and without bleeds). Positives come from every collection, so that one hospital's kind of bleed does not decide;
negatives are real heads only, for a painted one does not say how often a real head is called a bleed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import brentq, minimize
from scipy.special import expit, ndtr

from ichscope.metrics import Estimate
from ichscope.metrics.estimate import wilson
from training.out_of_fold import SYNTHETIC, Predictions

Floats = NDArray[np.float64]
# For "slice" and "study", a slope and an intercept a label: logit -> slope * logit + intercept.
Calibration = dict[str, list[list[float]]]

LEVELS = ("slice", "study")
SENSITIVITIES = (0.90, 0.95, 0.98)
# A point that flags more than a fifth of the heads without a bleed is not one to start with.
LEAST_SPECIFICITY = 0.80
# Patients of either class that a slope of its own needs, and positive ones that an intercept needs.
_ENOUGH, _ENOUGH_TO_SHIFT = 10, 3
# Bleeds of thirty patients show a collection's ways; more are no reason to suit it better than the others.
_MOST_PATIENTS = 30
# A head that is wrong on a few patients must not call the least suspicious slices bleeds.
_LEAST_SLOPE = 0.05
_STEPS = 2000


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


def cases(some: Predictions, label: int) -> Cases:
    """Choose and weigh the rows of one level for a label (a column of the predictions).

    Within a class a collection weighs as its patients, up to _MOST_PATIENTS: a large one does not rule.
    """
    truth, real = some.truth[:, label], some.source != SYNTHETIC
    row = np.flatnonzero((truth == 1) | ((truth == 0) & real))
    source, patient, positive = some.source[row], some.patient[row], truth[row] == 1
    weight = np.zeros(len(row))
    for chosen in (positive, ~positive):
        for one in np.unique(source[chosen]):
            mine = chosen & (source == one)
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
            positives += np.count_nonzero(some.truth[mine, label] == 1)
            known += np.count_nonzero(np.isfinite(some.truth[mine, label]))
    return positives / known


def fit(some: Predictions) -> Calibration:
    """Fit slope and intercept of every logit (Platt 1999) on held-out rows, `any` being the first label.

    A label with few patients of a class keeps the slope of `any`, and with hardly any its intercept too.
    """
    calibration: Calibration = {}
    for level in LEVELS:
        rows: list[list[float]] = []
        for label in range(len(some.labels)):
            one = cases(some.where(some.level == level), label)
            if min(one.patients) >= _ENOUGH or (label == 0 and min(one.patients) > 0):
                rows.append(_platt(one))
            elif min(one.patients) >= _ENOUGH_TO_SHIFT:
                rows.append([rows[0][0], _intercept(one, rows[0][0])])
            else:
                rows.append(list(rows[0]) if rows else [1.0, 0.0])
        calibration[level] = rows
    return calibration


def _targets(one: Cases) -> tuple[Floats, Floats]:
    """Targets a little inside 0 and 1, as Platt has them, so that classes that can be parted get no endless slope."""
    negatives, positives = one.patients
    target = np.where(one.truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return target, one.weight * np.where(one.truth, one.prevalence, 1 - one.prevalence)


def _platt(one: Cases) -> list[float]:
    target, weight = _targets(one)

    def loss(numbers: Floats) -> tuple[float, Floats]:
        z = numbers[0] * one.x + numbers[1]
        gap = weight * (expit(z) - target)
        return float(weight @ (np.logaddexp(0, z) - target * z)), np.array([gap @ one.x, gap.sum()])

    slope, intercept = minimize(loss, [1.0, 0.0], jac=True, method="BFGS").x
    return [float(slope), float(intercept)] if slope >= _LEAST_SLOPE else [_LEAST_SLOPE, _intercept(one, _LEAST_SLOPE)]


def _intercept(one: Cases, slope: float) -> float:
    target, weight = _targets(one)
    reach = 50 + slope * float(np.abs(one.x).max())
    return float(brentq(lambda shift: float(weight @ (expit(slope * one.x + shift) - target)), -reach, reach))


def calibrated(some: Predictions, calibration: Mapping[str, Sequence[Sequence[float]]]) -> Floats:
    """(n, labels) calibrated logits; the verdict on a picture is the study's."""
    out = np.empty_like(some.logit)
    for level, rows in calibration.items():
        slope, intercept = np.array(rows).T
        mine = (some.level == "slice") == (level == "slice")
        out[mine] = some.logit[mine] * slope + intercept
    return out


@dataclass(frozen=True, eq=False)
class Fitted:
    """Calibration and thresholds that suit some held-out rows; thresholds are on calibrated logits.

    points : by level and name, on that of `any`; thresholds : by level and label, Youden's
    """

    calibration: Calibration
    points: dict[str, dict[str, float]]
    thresholds: dict[str, dict[str, float]]

    @classmethod
    def of(cls, some: Predictions) -> Fitted:
        """Fit all on held-out rows.

        Raises
        ------
        ValueError
            if there are no whole heads with and without a bleed
        """
        fitted = cls(fit(some), {}, {})
        for level in LEVELS:
            rows = some.where(some.level == level)
            z = calibrated(rows, fitted.calibration)
            curves = [_curve(cases(rows, i), z[:, i]) for i in range(len(some.labels))]
            if curves[0] is None:
                raise ValueError("expected held-out heads with and without a bleed, found one class")
            fitted.points[level] = {f"sensitivity {one:.2f}": _at_sensitivity(curves[0], one) for one in SENSITIVITIES}
            fitted.points[level]["Youden"] = _youden(curves[0])
            fitted.thresholds[level] = {label: _youden(one) for label, one in zip(some.labels, curves, strict=True)}
        return fitted

    def judge(self, some: Predictions) -> Judged:
        """Apply to other rows; the verdict on a picture is judged as a study's."""
        slices = some.level == "slice"
        points = {
            name: np.where(slices, self.points["slice"][name], value) for name, value in self.points["study"].items()
        }
        thresholds = [
            np.where(slices, self.thresholds["slice"][name], self.thresholds["study"][name]) for name in some.labels
        ]
        return Judged(calibrated(some, self.calibration), points, np.stack(thresholds, axis=1))


@dataclass(frozen=True, eq=False)
class Judged:
    """What calibration and thresholds make of rows.

    z : (n, labels) calibrated logits; points : by name, (n,) thresholds on that of `any`
    thresholds : (n, labels), Youden's
    """

    z: Floats
    points: dict[str, Floats]
    thresholds: Floats


# Thresholds with sensitivity and specificity there, each (n,), thresholds rising.
_Curve = tuple[Floats, Floats, Floats]


def _curve(one: Cases, z: Floats) -> _Curve | None:
    """Smooth the ROC curve by a Gaussian kernel (Zou, Hall and Shapiro 1997): few heads make steps of several percent.

    z : calibrated logits of all rows from which the cases were taken
    """
    if 0 in one.patients:
        return None
    values, width = z[one.row], kernel(one, z)
    edges = np.linspace(values.min() - 5 * width, values.max() + 5 * width, _STEPS + 1)
    above = []
    for chosen in (one.truth, ~one.truth):
        density = np.histogram(values[chosen], edges, weights=one.weight[chosen])[0]
        smooth = gaussian_filter1d(density, width / (edges[1] - edges[0]), mode="constant")
        above.append(1 - np.cumsum(smooth) / smooth.sum())
    return edges[1:], above[0], 1 - above[1]


def kernel(one: Cases, z: Floats) -> float:
    """Width of the kernel: Silverman's rule in the class that varies less, for the other's far end is of no account."""
    widths = []
    for chosen in (one.truth, ~one.truth):
        values, weight = z[one.row][chosen], one.weight[chosen]
        spread = np.sqrt(np.average((values - np.average(values, weights=weight)) ** 2, weights=weight))
        widths.append(0.9 * spread * (weight @ weight) ** 0.2)
    return float(max(min(widths), 1e-3))


def _at_sensitivity(curve: _Curve, wanted: float) -> float:
    threshold, sensitivity, _ = curve
    return float(np.interp(-wanted, -sensitivity, threshold))


def _youden(curve: _Curve | None) -> float:
    if curve is None:
        return 0.0
    threshold, sensitivity, specificity = curve
    return float(threshold[np.argmax(sensitivity + specificity)])


def cross_fit(some: Predictions) -> Judged:
    """Judge every fold by what all others fitted: what a hospital would see that had no say in it.

    With a single fold there are no others: its own rows are used, and figures at thresholds are then optimistic.
    """
    order, parts = [], []
    for fold in some.folds:
        mine = some.fold == fold
        parts.append(Fitted.of(some.where(~mine) if len(some.folds) > 1 else some).judge(some.where(mine)))
        order.append(np.flatnonzero(mine))
    back = np.argsort(np.concatenate(order))
    return Judged(
        np.concatenate([part.z for part in parts])[back],
        {name: np.concatenate([part.points[name] for part in parts])[back] for name in parts[0].points},
        np.concatenate([part.thresholds for part in parts])[back],
    )


def operating_points(some: Predictions, fitted: Fitted, unseen: Judged) -> dict[str, Any]:
    """Give the points as the card has them.

    Thresholds are those of all folds; sensitivity and specificity are cross-fitted and smoothed as the thresholds are,
    with Wilson's intervals for the effective number of patients. The default is the most sensitive point that leaves
    at least LEAST_SPECIFICITY of the heads without a bleed alone.
    """
    study = some.level == "study"
    heads = some.where(study)
    one, z = cases(heads, 0), unseen.z[study, 0]
    width, patient = kernel(one, z), heads.patient[one.row]
    points = []
    for name, threshold in fitted.points["study"].items():
        flagged = ndtr((z - unseen.points[name][study])[one.row] / width)
        point: dict[str, Any] = {"name": name, "threshold": float(expit(threshold))}
        for what, hit, chosen in (("sensitivity", flagged, one.truth), ("specificity", 1 - flagged, ~one.truth)):
            share = _share(hit[chosen], one.weight[chosen], patient[chosen])
            point |= {what: round(share.value, 3), f"{what}_95": [round(share.low, 3), round(share.high, 3)]}
        points.append(point)
    default, reason = _default(points)
    thresholds = {
        level: {label: float(expit(at)) for label, at in fitted.thresholds[level].items()} for level in LEVELS
    }
    for level in LEVELS:
        thresholds[level]["any"] = float(expit(fitted.points[level][default]))
    return {
        "points": points,
        "default": default,
        "reason": reason,
        "thresholds": thresholds,
        "prevalence": round(one.prevalence, 3),
        "patients": {
            name: _patients_of(heads, one.row[chosen])
            for name, chosen in (("with a bleed", one.truth), ("without", ~one.truth))
        },
    }


def _share(hit: Floats, weight: Floats, patient: NDArray[np.str_]) -> Estimate:
    """Weighted share, with Wilson's interval for as many patients as the weights amount to (Kish 1965)."""
    by_patient = np.bincount(np.unique(patient, return_inverse=True)[1], weight)
    effective = float(by_patient.sum() ** 2 / (by_patient @ by_patient))
    return wilson(float(np.average(hit, weights=weight)), effective)


def _default(points: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    named = [one for one in points if one["name"] != "Youden"]
    usable = [one for one in named if one["specificity"] >= LEAST_SPECIFICITY]
    told = ", ".join(f"{one['specificity']:.2f} at {one['name']}" for one in named)
    rule = f"the most sensitive point that leaves at least {LEAST_SPECIFICITY:.0%} of the heads without a bleed alone"
    if not usable:
        rule = f"no point leaves {LEAST_SPECIFICITY:.0%} of the heads without a bleed alone, so the least sensitive one"
    return (usable or named[:1])[-1][
        "name"
    ], f"A missed bleed costs more than a second look: {rule} (specificity {told})."


def _patients_of(heads: Predictions, rows: NDArray[np.int64]) -> dict[str, int]:
    source, patient = heads.source[rows], heads.patient[rows]
    return {str(one): len(np.unique(patient[source == one])) for one in np.unique(source)}
