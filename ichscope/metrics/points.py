"""What a threshold gives: confusion matrix, sensitivity, specificity, PPV, NPV; and thresholds for what is wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ichscope.metrics.estimate import Estimate, Limits, few_patients, proportion_by_patient
from ichscope.metrics.sample import Bools, Ints, ThresholdCounts, known


def positives(probability: ArrayLike, threshold: ArrayLike) -> Bools:
    """Tell which probabilities count as positive: those that are the threshold or more. The one rule, for arrays.

    Parameters
    ----------
    probability : any shape; nan, where it is unknown, is not positive
    threshold : one, or as many as `probability` has in its last axis

    Examples
    --------
    >>> positives([0.2, 0.31, 0.9], 0.31)
    array([False,  True,  True])
    >>> positives([[0.2, 0.2], [0.4, 0.4]], [0.1, 0.3])
    array([[ True, False],
           [ True,  True]])
    """
    return np.asarray(np.asarray(probability) >= np.asarray(threshold), np.bool_)


@dataclass(frozen=True)
class Confusion:
    """Counts of rows: truth positive or negative, called so rightly or wrongly."""

    tp: int
    fp: int
    tn: int
    fn: int


@dataclass(frozen=True)
class AtThreshold:
    """What calling rows with score >= threshold positive gives.

    flagged : the workload, the share of all rows that is called positive
    """

    threshold: float
    confusion: Confusion
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    flagged: Estimate


def at_threshold(
    truth: ArrayLike, score: ArrayLike, threshold: float, patients: ArrayLike | None = None
) -> AtThreshold:
    """Confusion matrix and its shares, rows with score >= threshold being called positive.

    Intervals are Wilson's; where patients have several rows, with the effective number of rows (`proportion`).

    Parameters
    ----------
    truth : (rows,) 0, 1, nan where unknown
    score : (rows,)
    threshold : on the scale of the score
    patients : (rows,) whose row it is; None where every row is another patient

    Wilson (1927), doi:10.1080/01621459.1927.10502953; Rao and Scott (1992), doi:10.2307/2532311.

    Examples
    --------
    >>> point = at_threshold([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.35)
    >>> point.confusion
    Confusion(tp=2, fp=1, tn=1, fn=0)
    >>> point.sensitivity.value, round(point.sensitivity.low, 3), point.specificity.value
    (1.0, 0.342, 0.5)
    """
    sample = known(truth, score, patients=patients)
    # Counted once, by patient: of 750,000 rows all four shares then follow from a short table.
    cell = 4 * sample.patient + 2 * sample.truth + positives(sample.score, threshold)
    tn, fp, fn, tp = np.bincount(cell, minlength=4 * sample.patients).reshape(-1, 4).T
    bleeding, others = (int(np.count_nonzero(rows)) for rows in (tp + fn, fp + tn))
    return AtThreshold(
        float(threshold),
        Confusion(*(int(count.sum()) for count in (tp, fp, tn, fn))),
        sensitivity=_share(tp, tp + fn, "positives").with_caveat(few_patients(bleeding, "positive")),
        specificity=_share(tn, fp + tn, "negatives").with_caveat(few_patients(others, "negative")),
        ppv=_share(tp, tp + fp, "rows called positive").with_caveat(few_patients(bleeding, "positive")),
        npv=_share(tn, tn + fn, "rows called negative"),
        flagged=_share(tp + fp, tp + fp + tn + fn, "rows"),
    )


def _share(hits: Ints, rows: Ints, what: str) -> Estimate:
    return proportion_by_patient(hits, rows) if rows.any() else Estimate.none(f"no {what}")


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it gives; threshold None (with the reason) where there is none."""

    name: str
    threshold: float | None
    sensitivity: float | None = None
    specificity: float | None = None
    reason: str = ""


def operating_points(
    truth: ArrayLike, score: ArrayLike, sensitivities: Sequence[float] = (), specificities: Sequence[float] = ()
) -> tuple[OperatingPoint, ...]:
    """Points with wanted sensitivities, with wanted specificities, and Youden's last; as the functions for one.

    Examples
    --------
    >>> for point in operating_points([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], sensitivities=[0.95]):
    ...     print(point.name, round(point.threshold, 3), point.sensitivity, point.specificity)
    sensitivity 0.95 0.225 1.0 0.5
    Youden 0.225 1.0 0.5
    """
    sample = known(truth, score)
    names = [
        *(f"sensitivity {wanted:.2f}" for wanted in sensitivities),
        *(f"specificity {wanted:.2f}" for wanted in specificities),
        "Youden",
    ]
    if reason := sample.missing("positives", "negatives"):
        return tuple(OperatingPoint(name, None, reason=f"not estimable: {reason}") for name in names)
    counts = ThresholdCounts.of(sample)
    # Numbers, not shares: 0.9 * 10 positives is 9 of them, whatever the last bit of a quotient says.
    right, wrong = np.r_[0, counts.true_positives], np.r_[0, counts.false_positives]
    gain = right * sample.negatives - wrong * sample.positives
    steps = [
        *(int(np.argmax(right >= wanted * sample.positives - 1e-9)) for wanted in sensitivities),
        *(
            int(np.searchsorted(wrong, (1 - wanted) * sample.negatives + 1e-9, side="right")) - 1
            for wanted in specificities
        ),
        len(gain) - 1 - int(np.argmax(gain[::-1])),
    ]
    sensitivity, specificity = right / sample.positives, 1 - wrong / sample.negatives
    return tuple(
        OperatingPoint(name, _between(counts, step), float(sensitivity[step]), float(specificity[step]))
        for name, step in zip(names, steps, strict=True)
    )


def operating_point_at_sensitivity(truth: ArrayLike, score: ArrayLike, wanted: float) -> OperatingPoint:
    """Give the highest threshold that finds at least the wanted share of positives (0 to 1).

    Examples
    --------
    >>> round(operating_point_at_sensitivity([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.5).threshold, 3)
    0.6
    """
    return operating_points(truth, score, sensitivities=[wanted])[0]


def operating_point_at_specificity(truth: ArrayLike, score: ArrayLike, wanted: float) -> OperatingPoint:
    """Give the lowest threshold that calls at least the wanted share of negatives negative (0 to 1).

    Examples
    --------
    >>> round(operating_point_at_specificity([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.5).threshold, 3)
    0.225
    """
    return operating_points(truth, score, specificities=[wanted])[0]


def youden(truth: ArrayLike, score: ArrayLike) -> OperatingPoint:
    """Give the threshold with the greatest sensitivity + specificity; of equals, the most sensitive.

    Youden (1950), doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.

    Examples
    --------
    >>> youden([0, 0, 1, 1], [0.1, 0.4, 0.5, 0.8]).threshold
    0.45
    """
    return operating_points(truth, score)[0]


def _between(counts: ThresholdCounts, step: int) -> float:
    """Half-way from the score of the last step that is called positive to the next lower one.

    A new score a hair below the lowest known one is then still on the same side. Step 0 calls nothing positive.
    """
    scores = counts.threshold
    if step == 0:
        return math.nextafter(float(scores[0]), math.inf)
    if step == len(scores):
        return float(scores[-1])
    half = float(scores[step - 1] + scores[step]) / 2
    # Of two neighbours among the floating-point numbers there is no middle.
    return half if half > scores[step] else float(scores[step - 1])


@dataclass(frozen=True)
class PredictiveValues:
    """PPV, NPV and the share that is flagged, where another share of patients bleeds than in the data."""

    prevalence: float
    ppv: Estimate
    npv: Estimate
    flagged: Estimate


def at_prevalence(point: AtThreshold, prevalence: float) -> PredictiveValues:
    """PPV, NPV and workload at a prevalence (0 to 1, both excluded), from sensitivity and specificity (Bayes' rule).

    Intervals by MOVER-R: Donner and Zou (2012), Statistical Methods in Medical Research 21, 347-359.

    Examples
    --------
    >>> point = at_threshold([0] * 90 + [1] * 10, [0.9] * 9 + [0.1] * 81 + [0.9] * 8 + [0.1] * 2, 0.5)
    >>> round(at_prevalence(point, 0.1).ppv.value, 3), round(at_prevalence(point, 0.02).ppv.value, 3)
    (0.471, 0.14)
    """
    odds = (1 - prevalence) / prevalence
    return PredictiveValues(
        prevalence,
        ppv=_after(odds, complement(point.specificity), point.sensitivity, "positive"),
        npv=_after(1 / odds, complement(point.sensitivity), point.specificity, "negative"),
        flagged=_mixed(prevalence, point.sensitivity, complement(point.specificity)),
    )


def complement(share: Estimate) -> Estimate:
    """1 - share, its interval turned round."""
    if share.value is None:
        return share
    low, high = (None if limit is None else 1 - limit for limit in (share.high, share.low))
    return replace(share, value=1 - share.value, low=low, high=high)


def _after(odds: float, wrong: Estimate, right: Estimate, called: str) -> Estimate:
    """1 / (1 + odds * wrong / right), with the interval of the ratio (MOVER-R, Donner and Zou 2012)."""
    above, below = wrong.limits(), right.limits()
    if above is None or below is None:
        return Estimate.none((wrong if above is None else right).reason.removeprefix("not estimable: "))
    if above[0] == below[0] == 0:
        return Estimate.none(f"nothing is called {called}")
    value = below[0] / (below[0] + odds * above[0])
    inverse = _lowest_ratio(below, above)
    low = inverse / (inverse + odds) if inverse else 0.0
    high = 1 / (1 + odds * _lowest_ratio(above, below))
    return Estimate(value, low, high, "MOVER-R", wrong.reason or right.reason)


def _mixed(weight: float, first: Estimate, second: Estimate) -> Estimate:
    """Weighted mean of two independent shares, with the interval of the sum (MOVER, Zou and Donner 2008)."""
    first_limits, second_limits = first.limits(), second.limits()
    if first_limits is None or second_limits is None:
        return Estimate.none((first if first_limits is None else second).reason.removeprefix("not estimable: "))
    parts = ((weight, first_limits), (1 - weight, second_limits))
    value = sum(part * share for part, (share, _, _) in parts)
    below, above = (math.hypot(*(part * (limits[0] - limits[end]) for part, limits in parts)) for end in (1, 2))
    return Estimate(value, max(0.0, value - below), min(1.0, value + above), "MOVER", first.reason or second.reason)


def _lowest_ratio(above: Limits, below: Limits) -> float:
    """Give the lower limit of a ratio of two independent shares, each as (value, low, high)."""
    value, low, _ = above
    other, _, high = below
    product = low * (2 * value - low)
    if product <= 0:
        return 0.0
    root = math.sqrt(max(0.0, (value * other) ** 2 - product * high * (2 * other - high)))
    return product / (value * other + root)
