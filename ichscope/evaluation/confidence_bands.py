"""ROC and precision-recall curves with their bands, in a time that a page can wait for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ichscope import metrics
from ichscope.metrics import PrCurve, RocCurve
from ichscope.metrics.curves import REPLICATES, band_of, bootstrap, ppv_at, sensitivity_at
from ichscope.metrics.sample import Floats, Ints, Sample, ThresholdCounts, known

# With more rows the bands, some thousandths wide then, come from scores in steps.
MANY_ROWS = 5000
_STEPS = 500
_CLUSTERED_REPLICATES = 200


@dataclass(frozen=True, eq=False)
class Curves:
    """Both curves of one label; None where they are not estimable."""

    roc: RocCurve | None
    pr: PrCurve | None


def curves_with_bands(truth: Floats, score: Floats, patients: Ints | None = None) -> Curves:
    """Make both curves, exact, with 95 % bands over patients; arguments as for `metrics.roc_curve`, (rows,) each.

    With many rows the bands alone come from scores in steps: up to 500 quantiles of each class.

    References
    ----------
    Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13: percentile intervals, here at each
    place of a curve and over patients.

    Examples
    --------
    >>> curves = curves_with_bands(np.array([0.0, 0, 1, 1, 0, 1]), np.array([0.1, 0.6, 0.4, 0.9, 0.2, 0.7]))
    >>> float(curves.roc.sensitivity[-1]), curves.roc.band is not None
    (1.0, True)
    """
    if len(truth) <= MANY_ROWS:
        return Curves(
            metrics.roc_curve(truth, score, patients, band=True), metrics.pr_curve(truth, score, patients, band=True)
        )
    roc, pr = metrics.roc_curve(truth, score, patients), metrics.pr_curve(truth, score, patients)
    if roc is None or pr is None:
        return Curves(roc, pr)
    sample = known(truth, score, patients=patients)
    ladder = ThresholdCounts.of(sample, _in_steps(sample))
    x = np.linspace(0, 1, 101)
    sensitivity, ppv = [], []
    for tp, fp in _draws(sample, ladder):
        sensitivity.append(sensitivity_at(x, tp, fp))
        ppv.append(ppv_at(x, tp, fp))
    return Curves(replace(roc, band=band_of(x, sensitivity)), replace(pr, band=band_of(x, ppv)))


def _in_steps(sample: Sample) -> Floats:
    """Lower each score to the next quantile of the positives or of the negatives."""
    shares = np.linspace(0, 1, _STEPS + 1)
    classes = (sample.score[sample.truth], sample.score[~sample.truth])
    edges = np.unique(np.concatenate([np.quantile(scores, shares, method="lower") for scores in classes]))
    return np.asarray(edges[np.searchsorted(edges, sample.score, side="right") - 1])


def _draws(sample: Sample, ladder: ThresholdCounts) -> Iterator[tuple[Floats, Floats]]:
    """True and false positives (steps,) of samples drawn with replacement, by patient.

    Where every row is another patient, how many rows of each step and class are drawn is multinomial, which is
    quicker than to draw the rows.
    """
    if sample.clustered:
        yield from bootstrap(sample, ladder, _CLUSTERED_REPLICATES, seed=0)
        return
    random = np.random.default_rng(0)
    cells = np.concatenate([ladder.positives, ladder.negatives])
    steps = len(ladder.threshold)
    for drawn in random.multinomial(len(sample.truth), cells / cells.sum(), REPLICATES):
        tp, fp = np.cumsum(drawn[:steps]).astype(np.float64), np.cumsum(drawn[steps:]).astype(np.float64)
        if tp[-1] and fp[-1]:
            yield tp, fp
