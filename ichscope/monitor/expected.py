"""How good a model is likely to be where nobody has looked: from its own probabilities, if these mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ichscope.metrics import Estimate
from ichscope.metrics.estimate import jackknife
from ichscope.metrics.sample import Sample, known
from ichscope.monitor.data import ExpectedPerformance
from ichscope.monitor.drift import ENOUGH

Floats = NDArray[np.float64]

ASSUMPTION = (
    "Expected figures hold only where probabilities are calibrated here: of studies with probability 0.2, one in five "
    "bleeds. A model that is wrong with confidence looks good in them. Intervals are for the choice of studies alone."
)


def expected(
    model: str, probability: Floats, flagged: Floats, truth: Floats, patient: NDArray[np.intp]
) -> ExpectedPerformance:
    """Estimate performance without labels.

    Each study counts as positive with its probability p, and as negative with 1 - p: the confusion matrix and the
    AUC that follow on average. Confidence-based performance estimation, as in NannyML's documentation (2022) and
    Kivimaki et al., "Confidence-based estimators for predictive performance in model monitoring" (JAIR 82, 2025).

    Parameters
    ----------
    probability, flagged, truth : (studies,) 0 to 1; of truth, nan where no reader said anything
    patient : (studies,) numbers of patients
    """
    looked = ~np.isnan(truth)
    seen = (int(looked.sum()), int(truth[looked].sum()), float(probability[looked].sum()))
    if len(probability) < ENOUGH:
        none = Estimate.none(f"{len(probability)} of {ENOUGH} studies needed")
        return ExpectedPerformance(model, len(probability), none, none, none, none, *seen)
    sample = known(np.zeros(len(probability)), probability, patients=patient)
    every = np.ones(len(probability))
    return ExpectedPerformance(
        model,
        len(probability),
        _ratio(probability, every, sample),
        _ratio(probability * flagged, probability, sample),
        _ratio((1 - probability) * (1 - flagged), 1 - probability, sample),
        expected_auc(sample),
        *seen,
    )


def _ratio(part: Floats, whole: Floats, sample: Sample) -> Estimate:
    total = float(whole.sum())
    if total <= 0:
        return Estimate.none("no study of this kind is expected")
    value = float(part.sum()) / total
    return jackknife(value, (part - value * whole) / total, sample, "logit")


def expected_auc(sample: Sample) -> Estimate:
    """How often a positive would score above a negative, over all pairs of two studies; ties count half.

    Study i is the positive and j the negative with weight p_i (1 - p_j).
    """
    p = sample.score
    _, step = np.unique(p, return_inverse=True)
    wins, lost = _against(p, 1 - p, step), _against(1 - p, p, step, above=True)
    own = p * (1 - p)
    total = float(p.sum() * (1 - p).sum() - own.sum())
    if total <= 0:
        return Estimate.none("all studies are expected to be alike")
    # A study would tie with itself.
    value = float(wins.sum() - 0.5 * own.sum()) / total
    pairs = p * (1 - p).sum() + (1 - p) * p.sum() - 2 * own
    influence = (wins + lost - own - value * pairs) / total
    return jackknife(value, influence, sample, "logit")


def _against(own: Floats, other: Floats, step: NDArray[np.intp], above: bool = False) -> Floats:
    """Each study's weight times that of all below it (or above it) in rank, half of those beside it."""
    of_step = np.bincount(step, other)
    upto = np.cumsum(of_step)
    reached = (upto[-1] - upto if above else upto - of_step) + of_step / 2
    return np.asarray(own * reached[step], np.float64)
