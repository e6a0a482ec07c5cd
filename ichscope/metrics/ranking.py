"""How well scores rank positives above negatives: ROC AUC and average precision, with their curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ichscope.metrics.estimate import Estimate, cluster_sums, normal, on_logit, standard_error
from ichscope.metrics.sample import Floats, Ladder, Sample, known


def roc_auc(truth: ArrayLike, score: ArrayLike, patients: ArrayLike | None = None) -> Estimate:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    Parameters
    ----------
    truth : (rows,) 0, 1, nan where unknown
    score : (rows,)
    patients : (rows,) whose row it is; None where every row is another patient

    The interval is DeLong's (1988) where every patient has one row, else Obuchowski's (1997), which for one row
    a patient is the same. Computed from ranks as by Sun and Xu (2014).
    """
    sample = known(truth, score, patients=patients)
    if reason := sample.missing("positives", "negatives"):
        return Estimate.none(reason)
    areas = _areas(sample)
    method = "Obuchowski" if sample.clustered else "DeLong"
    variance = areas.covariance[0, 0]
    if math.isnan(variance):
        return Estimate(areas.auc[0], method=method, reason="no interval: all of one class are one patient's")
    return normal(areas.auc[0], math.sqrt(variance), method)


@dataclass(frozen=True, eq=False)
class _Areas:
    """AUC of each score, and (scores, scores) covariance over patients (nan if not estimable)."""

    auc: list[float]
    covariance: Floats


def _areas(sample: Sample) -> _Areas:
    """Areas of all scores of a sample, and how they vary together."""
    found = [_components(sample, score) for score in sample.scores]
    auc = [one[0] for one in found]
    return _Areas(auc, _covariance(sample, np.array([one[1] for one in found])))


def _components(sample: Sample, score: Floats) -> tuple[float, Floats]:
    """AUC, and per row how far its placement is from the AUC, divided by the number of rows of its class."""
    ladder = Ladder.of(sample, score)
    above = (ladder.true_positives - ladder.positives / 2) / sample.positives
    below = 1 - (ladder.false_positives - ladder.negatives / 2) / sample.negatives
    auc = float(below @ ladder.positives) / sample.positives
    placed = np.where(
        sample.truth, (below[ladder.step] - auc) / sample.positives, (above[ladder.step] - auc) / sample.negatives
    )
    return auc, placed


def _covariance(sample: Sample, placed: Floats) -> Floats:
    """Obuchowski's covariance of placements (scores, rows): positives, negatives, and both within a patient."""
    by_class = []
    for chosen in (sample.truth, ~sample.truth):
        patient = sample.patient[chosen]
        sums = np.array([cluster_sums(row, patient, sample.patients) for row in placed[:, chosen]])
        by_class.append((sums, np.count_nonzero(np.bincount(patient))))
    (positive, i10), (negative, i01), i = *by_class, sample.patients
    if min(i10, i01) < 2:
        return np.full((len(placed), len(placed)), np.nan)
    cross = positive @ negative.T
    covariance: Floats = (
        positive @ positive.T * (i10 / (i10 - 1))
        + negative @ negative.T * (i01 / (i01 - 1))
        + (cross + cross.T) * (i / (i - 1))
    )
    return covariance


def average_precision(truth: ArrayLike, score: ArrayLike, patients: ArrayLike | None = None) -> Estimate:
    """Average precision: the mean, over positives, of the PPV at their score (no interpolation, as scikit-learn).

    Arguments as for `roc_auc`. The interval is made on the logit scale from the influence of each patient.
    """
    sample = known(truth, score, patients=patients)
    if reason := sample.missing("positives"):
        return Estimate.none(reason)
    ladder = Ladder.of(sample)
    called = ladder.true_positives + ladder.false_positives
    precision = ladder.true_positives / called
    value = float(precision @ ladder.positives) / sample.positives
    # A row with score s changes the precision at its own step and at all steps below it.
    gain = _from_here_on(ladder.positives / called)[ladder.step]
    loss = _from_here_on(ladder.positives * precision / called)[ladder.step]
    influence = np.where(sample.truth, precision[ladder.step] - value + gain, 0.0) - loss
    error = standard_error(influence / sample.positives, sample.patient, sample.patients)
    return on_logit(value, error, "infinitesimal jackknife, logit")


def _from_here_on(values: Floats) -> Floats:
    return np.asarray(np.cumsum(values[::-1])[::-1])


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Arrays (points,), thresholds falling; the first point calls nothing positive (threshold inf)."""

    threshold: Floats
    sensitivity: Floats
    specificity: Floats


@dataclass(frozen=True, eq=False)
class PrCurve:
    """Arrays (points,), thresholds falling; at each, sensitivity (recall) and PPV (precision)."""

    threshold: Floats
    sensitivity: Floats
    ppv: Floats


def roc_curve(truth: ArrayLike, score: ArrayLike) -> RocCurve | None:
    """Points of the ROC curve, one a distinct score; None where a class is empty."""
    sample = known(truth, score)
    if sample.missing("positives", "negatives"):
        return None
    ladder = Ladder.of(sample)
    return RocCurve(
        np.r_[np.inf, ladder.threshold],
        np.r_[0, ladder.true_positives] / sample.positives,
        1 - np.r_[0, ladder.false_positives] / sample.negatives,
    )


def pr_curve(truth: ArrayLike, score: ArrayLike) -> PrCurve | None:
    """Points of the precision-recall curve, one a distinct score; None where there are no positives."""
    sample = known(truth, score)
    if sample.missing("positives"):
        return None
    ladder = Ladder.of(sample)
    called = ladder.true_positives + ladder.false_positives
    return PrCurve(ladder.threshold, ladder.true_positives / sample.positives, ladder.true_positives / called)
