"""Curves over all thresholds: ROC and precision-recall with bands, and net benefit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from ichscope.metrics.sample import Floats, Sample, ThresholdCounts, known

REPLICATES = 500


@dataclass(frozen=True, eq=False)
class Band:
    """Where 95 % of the bootstrapped curves run, point by point: arrays (points,) at x from 0 to 1."""

    x: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Arrays (points,), thresholds falling; the first point calls nothing positive (threshold inf).

    band : of sensitivity, x being 1 - specificity; None where not asked for
    """

    threshold: Floats
    sensitivity: Floats
    specificity: Floats
    band: Band | None = None


@dataclass(frozen=True, eq=False)
class PrCurve:
    """Arrays (points,), thresholds falling; at each, sensitivity (recall) and PPV (precision).

    band : of the PPV, x being the sensitivity; None where not asked for
    """

    threshold: Floats
    sensitivity: Floats
    ppv: Floats
    band: Band | None = None


def roc_curve(
    truth: ArrayLike,
    score: ArrayLike,
    patients: ArrayLike | None = None,
    band: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> RocCurve | None:
    """Points of the ROC curve, one a distinct score; None where a class is empty.

    band : draw patients with replacement, `replicates` times

    Fawcett (2006), doi:10.1016/j.patrec.2005.10.010.

    Examples
    --------
    >>> curve = roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> curve.threshold.tolist()
    [inf, 0.8, 0.4, 0.35, 0.1]
    >>> curve.sensitivity.tolist(), curve.specificity.tolist()
    ([0.0, 0.5, 0.5, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5, 0.0])
    """
    sample = known(truth, score, patients=patients)
    if sample.missing("positives", "negatives"):
        return None
    counts = ThresholdCounts.of(sample)
    sensitivity = np.r_[0, counts.true_positives] / sample.positives
    wrong = np.r_[0, counts.false_positives] / sample.negatives
    x = np.linspace(0, 1, 101)
    curves = [sensitivity_at(x, tp, fp) for tp, fp in (bootstrap(sample, counts, replicates, seed) if band else ())]
    return RocCurve(np.r_[np.inf, counts.threshold], sensitivity, 1 - wrong, band_of(x, curves))


def pr_curve(
    truth: ArrayLike,
    score: ArrayLike,
    patients: ArrayLike | None = None,
    band: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> PrCurve | None:
    """Points of the precision-recall curve, one a distinct score; None where there are no positives.

    Arguments as for `roc_curve`. Davis and Goadrich (2006), doi:10.1145/1143844.1143874.

    Examples
    --------
    >>> curve = pr_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> curve.sensitivity.tolist(), curve.ppv.round(2).tolist()
    ([0.5, 0.5, 1.0, 1.0], [1.0, 0.5, 0.67, 0.5])
    """
    sample = known(truth, score, patients=patients)
    if sample.missing("positives"):
        return None
    counts = ThresholdCounts.of(sample)
    ppv = counts.true_positives / (counts.true_positives + counts.false_positives)
    x = np.linspace(0, 1, 101)
    curves = [ppv_at(x, tp, fp) for tp, fp in (bootstrap(sample, counts, replicates, seed) if band else ())]
    return PrCurve(counts.threshold, counts.true_positives / sample.positives, ppv, band_of(x, curves))


def bootstrap(sample: Sample, counts: ThresholdCounts, replicates: int, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Draw patients with replacement; give true and false positives (steps,) at each threshold.

    Draws without any positive, or without any negative where the sample has some, are drawn again.
    """
    random = np.random.default_rng(seed)
    # Rows of each patient at each step: of 750,000 rows a draw then is a product of milliseconds.
    shape = (len(counts.threshold), sample.patients)
    positives, negatives = (
        csr_array((np.ones(np.count_nonzero(rows)), (counts.step[rows], sample.patient[rows])), shape)
        for rows in (sample.truth, ~sample.truth)
    )
    made = 0
    while made < replicates:
        drawn = np.bincount(random.integers(0, sample.patients, sample.patients), minlength=sample.patients)
        tp, fp = np.cumsum(positives @ drawn), np.cumsum(negatives @ drawn)
        if tp[-1] and (fp[-1] or not sample.negatives):
            made += 1
            yield tp, fp


def sensitivity_at(x: Floats, tp: Floats, fp: Floats) -> Floats:
    """Sensitivity where 1 - specificity is x, on the ROC curve of these counts (steps,), between two steps as drawn."""
    return np.asarray(np.interp(x, np.r_[0, fp] / fp[-1], np.r_[0, tp] / tp[-1]))


def ppv_at(x: Floats, tp: Floats, fp: Floats) -> Floats:
    """PPV at the first step where the sensitivity reaches x: between two steps there is no model to use."""
    step = np.searchsorted(tp, np.maximum(x * tp[-1], 1) - 1e-9)
    return np.asarray(tp[step] / (tp[step] + fp[step]))


def band_of(x: Floats, curves: Sequence[Floats]) -> Band | None:
    """Give the band of 95 % of curves, (points,) each; None of none."""
    if not curves:
        return None
    low, high = np.quantile(curves, (0.025, 0.975), axis=0)
    return Band(x, low, high)


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit (Vickers and Elkin 2006) in true positives a row, arrays (points,) by threshold probability.

    Calling nobody positive has net benefit 0.
    """

    threshold: Floats
    net_benefit: Floats
    call_all: Floats


def decision_curve(
    truth: ArrayLike, probability: ArrayLike, thresholds: ArrayLike | None = None
) -> DecisionCurve | None:
    """Net benefit of calling rows positive from a threshold on; None where there are no rows.

    thresholds : probabilities of which 0 <= p < 1; by default 0 to 0.99

    Vickers and Elkin (2006), doi:10.1177/0272989X06295361.

    Examples
    --------
    >>> curve = decision_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], thresholds=[0.2, 0.5])
    >>> curve.net_benefit.round(4).tolist(), curve.call_all.round(4).tolist()
    ([0.4375, 0.25], [0.375, 0.0])
    """
    sample = known(truth, probability)
    if sample.missing():
        return None
    t = np.linspace(0, 0.99, 100) if thresholds is None else np.asarray(thresholds, np.float64)
    counts, rows = ThresholdCounts.of(sample), len(sample.truth)
    step = np.searchsorted(-counts.threshold, -t, side="right")
    tp, fp = np.r_[0, counts.true_positives][step], np.r_[0, counts.false_positives][step]
    odds = t / (1 - t)
    return DecisionCurve(t, (tp - fp * odds) / rows, (sample.positives - sample.negatives * odds) / rows)
