"""Operating points: thresholds on calibrated probabilities, and what they give to patients that had no say in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit, ndtr

from ichscope.metrics import Estimate
from ichscope.metrics.estimate import wilson
from training.calibration import LEVELS, Calibration, Cases, Floats, calibrated, cases, fit, of_level
from training.estimates import rounded_ends, value_of
from training.out_of_fold import Predictions

SENSITIVITIES = (0.90, 0.95, 0.98)
# A point that flags more than a fifth of the heads without a bleed is not one to start with.
LEAST_SPECIFICITY = 0.80
# Thresholds that are looked at.
_STEPS = 2000


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
            rows = some.where(of_level(some, level))
            z = calibrated(rows, fitted.calibration)
            curves = [_curve(cases(rows, i), z[:, i]) for i in range(len(some.labels))]
            if curves[0] is None:
                raise ValueError(
                    "expected held-out heads (or, where there are none, pictures) with and without a bleed, found one "
                    "class: more patients, or another collection, are needed in these folds"
                )
            points = {f"sensitivity {wanted:.2f}": _at_sensitivity(curves[0], wanted) for wanted in SENSITIVITIES}
            fitted.points[level] = points | {"Youden": _youden(curves[0])}
            fitted.thresholds[level] = {label: _youden(curve) for label, curve in zip(some.labels, curves, strict=True)}
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


def _curve(chosen: Cases, z: Floats) -> _Curve | None:
    """Smooth the ROC curve by a Gaussian kernel (Zou, Hall and Shapiro 1997): few heads make steps of several percent.

    z : calibrated logits of all rows from which the cases were taken
    """
    if 0 in chosen.patients:
        return None
    values, width = z[chosen.row], kernel(chosen, z)
    edges = np.linspace(values.min() - 5 * width, values.max() + 5 * width, _STEPS + 1)
    above = []
    for mine in (chosen.truth, ~chosen.truth):
        density = np.histogram(values[mine], edges, weights=chosen.weight[mine])[0]
        smooth = gaussian_filter1d(density, width / (edges[1] - edges[0]), mode="constant")
        above.append(1 - np.cumsum(smooth) / smooth.sum())
    return edges[1:], above[0], 1 - above[1]


def kernel(chosen: Cases, z: Floats) -> float:
    """Width of the kernel: Silverman's rule in the class that varies less, for the other's far end is of no account."""
    widths = []
    for mine in (chosen.truth, ~chosen.truth):
        values, weight = z[chosen.row][mine], chosen.weight[mine]
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

    With a single fold there are no others: its own rows are used, and metrics at thresholds are then optimistic.
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
    study = of_level(some, "study")
    heads = some.where(study)
    chosen, z = cases(heads, 0), unseen.z[study, 0]
    width, patient = kernel(chosen, z), heads.patient[chosen.row]
    points = []
    for name, threshold in fitted.points["study"].items():
        flagged = ndtr((z - unseen.points[name][study])[chosen.row] / width)
        point: dict[str, Any] = {"name": name, "threshold": float(expit(threshold))}
        for metric, hit, mine in (("sensitivity", flagged, chosen.truth), ("specificity", 1 - flagged, ~chosen.truth)):
            share = _share(hit[mine], chosen.weight[mine], patient[mine])
            point |= {metric: round(value_of(share), 3), f"{metric}_95": rounded_ends(share)}
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
        "prevalence": round(chosen.prevalence, 3),
        "patients": {
            name: _patients_of(heads, chosen.row[mine])
            for name, mine in (("with a bleed", chosen.truth), ("without", ~chosen.truth))
        },
    }


def _share(hit: Floats, weight: Floats, patient: NDArray[np.str_]) -> Estimate:
    """Weighted share, with Wilson's interval for as many patients as the weights amount to (Kish 1965)."""
    by_patient = np.bincount(np.unique(patient, return_inverse=True)[1], weight)
    effective = float(by_patient.sum() ** 2 / (by_patient @ by_patient))
    return wilson(float(np.average(hit, weights=weight)), effective)


def _default(points: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    named = [point for point in points if point["name"] != "Youden"]
    usable = [point for point in named if point["specificity"] >= LEAST_SPECIFICITY]
    told = ", ".join(f"{point['specificity']:.2f} at {point['name']}" for point in named)
    rule = f"the most sensitive point that leaves at least {LEAST_SPECIFICITY:.0%} of the heads without a bleed alone"
    if not usable:
        rule = f"no point leaves {LEAST_SPECIFICITY:.0%} of the heads without a bleed alone, so the least sensitive one"
    return (usable or named[:1])[-1][
        "name"
    ], f"A missed bleed costs more than a second look: {rule} (specificity {told})."


def _patients_of(heads: Predictions, rows: NDArray[np.int64]) -> dict[str, int]:
    source, patient = heads.source[rows], heads.patient[rows]
    return {str(collection): len(np.unique(patient[source == collection])) for collection in np.unique(source)}
